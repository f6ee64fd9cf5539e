/* The command line: popt splits it into options and texts, the option table converts the texts,
 * and the checks here see all options together. A text is kept until the last word is read, because
 * the last of several occurrences of an option counts. */

#include "cli.h"

#include <popt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "option_table.h"

void resr_cli_print_help(void)
{
    char line[160], name[32], letter[8];
    printf("usage: mpirun -n RANKS realesrgan-mpi -i INPUT -o OUTPUT [-m WEIGHTS] [options]\n"
           "Upscales a video or images with ESRGAN, compact and SPAN networks, frames spread over "
           "MPI ranks.\n");
    for (int i = 0; i < RESR_OPTION_COUNT; i++) {
        const ResrOption *option = &resr_option_table[i];
        if (i == 0 || option->heading != option[-1].heading)
            printf("%s:\n", resr_option_heading(option->heading));
        snprintf(letter, sizeof letter, option->letter ? "-%c, " : "    ", option->letter);
        snprintf(name, sizeof name, "%s--%s %s", letter, option->name,
                 option->argument ? option->argument : "");
        printf("  %-24s %s\n", name, resr_option_describe(line, sizeof line, option));
    }
}

/* Rules that concern several options. */
static int check_together(ResrOptions *options)
{
    options->encode.segment_frames = options->segment_frames;
    if (options->keep_frames && options->checkpoint == RESR_CHECKPOINT_OFF)
        return resr_fail(RESR_ERR_USAGE,
                         "--keep-frames: needs the job folder; remove --checkpoint off");
    return 0;
}

/* With --jobs the options of single videos belong into the list's lines. */
static int check_launch(const ResrOptions *options)
{
    if (options->request == RESR_REQUEST_DRY_RUN)
        return resr_fail(RESR_ERR_USAGE, "--dry-run: takes one video, not --jobs");
    if (options->output[0] || options->job_dir[0] || options->report[0] || options->framehash[0] ||
        options->trace[0])
        return resr_fail(RESR_ERR_USAGE, "-o, --job-dir, --report, --framehash and --trace: with "
                                         "--jobs they belong into its lines");
    return 0;
}

/* Are all options given that the request requires? */
static int check_complete(const ResrOptions *options)
{
    if (options->request == RESR_REQUEST_CONVERT && !options->output[0])
        return resr_fail(RESR_ERR_USAGE, "--convert: no output was given; it takes two names: "
                                         "--convert FILE OUT.safetensors");
    if (options->request != RESR_REQUEST_UPSCALE && options->request != RESR_REQUEST_DRY_RUN)
        return 0;
    if (options->jobs[0])
        return check_launch(options);
    if (!options->input[0])
        return resr_fail(RESR_ERR_USAGE, "-i: no input was given; --help shows the options");
    if (!options->output[0])
        return resr_fail(RESR_ERR_USAGE, "-o: no output was given; --help shows the options");
    return 0;
}

/* The word after "--convert FILE" is the output, as with -o. */
static void take_output(ResrOptionValue *values, poptContext context)
{
    bool converts = false;
    ResrOptionValue *output = NULL;
    for (int i = 0; i < RESR_OPTION_COUNT; i++)
        if (strcmp(resr_option_table[i].name, "convert") == 0)
            converts = values[i].given;
        else if (strcmp(resr_option_table[i].name, "output") == 0)
            output = &values[i];
    if (converts && output && !output->given && poptPeekArg(context))
        *output = (ResrOptionValue){.given = true, .text = strdup(poptGetArg(context))};
}

/* Reads all words into `values`, by their index in the option table. */
static int read_words(ResrOptionValue *values, int argc, const char *const *argv)
{
    struct poptOption table[RESR_OPTION_COUNT + 1] = {0}; /* ends with a row of zeros */
    for (int i = 0; i < RESR_OPTION_COUNT; i++)
        table[i] = (struct poptOption){
            .longName = resr_option_table[i].name,
            .shortName = resr_option_table[i].letter,
            .argInfo = (resr_option_table[i].argument ? POPT_ARG_STRING : POPT_ARG_NONE) |
                       (resr_option_is_bare(&resr_option_table[i]) ? POPT_ARGFLAG_OPTIONAL : 0),
            .val = i + 1,
        };
    poptContext context = poptGetContext("realesrgan-mpi", argc, (const char **)argv, table, 0);
    int code, ret = 0;
    while ((code = poptGetNextOpt(context)) > 0) {
        ResrOptionValue *value = &values[code - 1];
        free(value->text);
        *value = (ResrOptionValue){.given = true, .text = poptGetOptArg(context)};
    }
    take_output(values, context);
    if (code < -1)
        ret = resr_fail(RESR_ERR_USAGE, "%s: %s; --help shows the options",
                        poptBadOption(context, POPT_BADOPTION_NOALIAS), poptStrerror(code));
    else if (poptPeekArg(context))
        ret = resr_fail(RESR_ERR_USAGE,
                        "'%s' was given without an option; inputs take -i, outputs -o",
                        poptPeekArg(context));
    poptFreeContext(context);
    return ret;
}

static int parse_words(ResrOptions *options, int argc, const char *const *argv)
{
    ResrOptionValue values[RESR_OPTION_COUNT] = {0};
    *options = (ResrOptions){.denoise = -1, .cpumask = ~0u, .encode = {.crf = -1}};
    int ret = read_words(values, argc, argv);
    if (ret == 0)
        ret = resr_option_convert_all(options, values);
    for (int i = 0; i < RESR_OPTION_COUNT; i++)
        free(values[i].text);
    return ret < 0 ? ret : check_together(options);
}

int resr_cli_parse(ResrOptions *options, int argc, const char *const *argv)
{
    int ret = parse_words(options, argc, argv);
    if (ret == 0 && options->simulate[0])
        resr_log_warn("the devices are simulated: no network runs, and the output repeats the "
                      "input's pixels");
    return ret < 0 ? ret : check_complete(options);
}

/* Options that the ranks were started with cannot change from line to line. */
static int check_same_launch(const ResrOptions *options, const ResrOptions *launch)
{
    if (strcmp(options->jobs, launch->jobs) != 0 || options->request != RESR_REQUEST_UPSCALE)
        return resr_fail(RESR_ERR_USAGE, "a line of --jobs is one video to upscale");
    if (strcmp(options->backend, launch->backend) != 0 ||
        strcmp(options->simulate, launch->simulate) != 0 ||
        strcmp(options->precision, launch->precision) != 0 || options->cpumask != launch->cpumask ||
        options->threads != launch->threads || options->transport != launch->transport ||
        options->root_dedicated != launch->root_dedicated)
        return resr_fail(RESR_ERR_USAGE,
                         "--backend, --conv, --precision, --cpumask, --threads, --transport and "
                         "--root hold for all of --jobs: give them on the command line");
    return 0;
}

int resr_cli_parse_line(ResrOptions *options, const ResrOptions *launch, int argc,
                        const char *const *argv, const char *line)
{
    const char **words = NULL, **all = NULL;
    int n = 0;
    int code = poptParseArgvString(line, &n, &words);
    if (code != 0)
        return resr_fail(RESR_ERR_USAGE, "the line cannot be split into words: %s",
                         poptStrerror(code));
    int ret = resr_alloc(&all, (size_t)(argc + n + 1), sizeof *all);
    if (ret == 0) {
        memcpy(all, argv, (size_t)argc * sizeof *all);
        memcpy(all + argc, words, (size_t)n * sizeof *all);
        ret = parse_words(options, argc + n, all);
    }
    if (ret == 0)
        ret = check_same_launch(options, launch);
    if (ret == 0 && !options->input[0])
        ret = resr_fail(RESR_ERR_USAGE, "-i: no input was given");
    if (ret == 0 && !options->output[0])
        ret = resr_fail(RESR_ERR_USAGE, "-o: no output was given");
    free(all);
    free(words);
    return ret;
}
