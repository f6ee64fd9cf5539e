#ifndef RESR_BENCH_MUST_H
#define RESR_BENCH_MUST_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"

/* Ends the program with the message and the exit code of an error. */
static inline void must(int ret)
{
    if (ret == 0)
        return;
    fprintf(stderr, "%s: %s\n", program_invocation_short_name, resr_error_text());
    exit(resr_error_exit_status(ret));
}

#endif
