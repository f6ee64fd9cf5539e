#ifndef RESR_OPTION_TABLE_H
#define RESR_OPTION_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "job/options.h"

/* The options of the command line. Parsing, --help, the manual page and the shell completions are
 * made from this one table. */

enum { RESR_OPTION_COUNT = 49 };

typedef enum ResrOptionHeading {
    RESR_HEADING_INPUT,
    RESR_HEADING_MODEL,
    RESR_HEADING_TILES,
    RESR_HEADING_OUTPUT,
    RESR_HEADING_JOBS,
    RESR_HEADING_MACHINE,
    RESR_HEADING_REPORTS,
    RESR_HEADING_COUNT,
} ResrOptionHeading;

/* The type of an option's field in ResrOptions, and the arguments that the option accepts. */
typedef enum ResrOptionType {
    RESR_OPTION_TEXT,    /* char[]: any text that fits, not empty */
    RESR_OPTION_INT32,   /* int32_t: a whole number from `low` to `high` */
    RESR_OPTION_INT64,   /* int64_t: the same */
    RESR_OPTION_REAL,    /* double: a number from `real_low` to `real_high` */
    RESR_OPTION_BYTES,   /* int64_t: bytes, with an optional suffix K, M, G or T */
    RESR_OPTION_CHOICE,  /* int32_t: the index of one of `names` */
    RESR_OPTION_NAME,    /* char[]: one of `names` */
    RESR_OPTION_CUSTOM,  /* converted by `convert` */
    RESR_OPTION_FLAG,    /* bool, true if the option is given; no argument */
    RESR_OPTION_REQUEST, /* the ResrRequest in `low`; its argument, if any, is a text */
} ResrOptionType;

/* An option as it stands on the command line. The caller owns `text`. */
typedef struct ResrOptionValue {
    bool given;
    char *text; /* the argument; NULL for options without one */
} ResrOptionValue;

typedef struct ResrOption ResrOption;

struct ResrOption {
    const char *name; /* without dashes */
    char letter;      /* 0: no short form */
    ResrOptionHeading heading;
    ResrOptionType type;
    size_t offset, bytes; /* of the field in ResrOptions; unused if `convert` is set */
    int64_t low, high;
    double real_low, real_high;
    const char *const *names; /* NULL-ended; of options of other types: values to suggest */
    const char *(*suggest)(int index); /* or a function that returns these; NULL past the last */
    /* Converts `text` into *out. `values` are all options of the command line, by their index in
     * the table; options of earlier rows are converted already. */
    int (*convert)(ResrOptions *out, const ResrOption *option, const char *text,
                   const ResrOptionValue *values);
    const char *standard; /* default, converted like a given text; NULL: none */
    const char *unset;    /* without `standard`: the default in words, for the help */
    const char *argument; /* its name in the help; NULL: none; "[NAME]": may be left out */
    const char *help;     /* one line; "%s" stands for the list of `names` */
    const char *more;     /* sentences for the manual page, or NULL */
};

/* In order of headings, and of conversion. */
extern const ResrOption resr_option_table[RESR_OPTION_COUNT];

/* "Input", "Model", ... */
const char *resr_option_heading(ResrOptionHeading heading);

/* True if the option's argument may be left out. */
bool resr_option_is_bare(const ResrOption *option);

/* The i-th value to suggest for the option's argument; NULL past the last. */
const char *resr_option_suggestion(const ResrOption *option, int i);

/* The option's line of help, with its names and its default; returns `out`. */
const char *resr_option_describe(char *out, size_t out_bytes, const ResrOption *option);

/* Sets the fields of *out from `values`, in the table's order, and from the defaults where an
 * option is not given. RESR_ERR_USAGE names the option, the text and the expected form. */
RESR_MUST_CHECK int resr_option_convert_all(ResrOptions *out, const ResrOptionValue *values);

#endif
