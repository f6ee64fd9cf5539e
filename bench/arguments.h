#ifndef RESR_BENCH_ARGUMENTS_H
#define RESR_BENCH_ARGUMENTS_H

#include <getopt.h>
#include <stdbool.h>
#include <stdlib.h>

/* An option --NAME with one of the places: a text, a whole number, or a flag, which is set to 1. */
typedef struct BenchOption {
    const char *name;
    const char **text;
    int *number, *flag;
} BenchOption;

/* Parses a command line of at most 15 options; false unless all its arguments are options. */
static inline bool bench_parse(const BenchOption *options, int count, int argc, char **argv)
{
    struct option table[16] = {{0}};
    for (int i = 0; i < count; i++)
        table[i] = (struct option){options[i].name,
                                   options[i].flag ? no_argument : required_argument, NULL, i};
    for (int i; (i = getopt_long(argc, argv, "", table, NULL)) != -1;) {
        if (i >= count)
            return false;
        if (options[i].text)
            *options[i].text = optarg;
        else if (options[i].number)
            *options[i].number = atoi(optarg);
        else
            *options[i].flag = 1;
    }
    return optind == argc;
}

#endif
