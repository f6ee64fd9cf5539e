#ifndef RESR_APP_SESSION_H
#define RESR_APP_SESSION_H

#include <signal.h>
#include <stdbool.h>

#include "job/options.h"

/* The state of a launch on one rank, for one job or a list of jobs. */
typedef struct ResrSession {
    int rank, ranks;
    int64_t start_ns;
    ResrOptions options;                      /* the same on every rank */
    const volatile sig_atomic_t *stop_signal; /* non-zero: a signal asked to stop */
    void (*start_up_hangs)(int signal);       /* ends the process */
    /* Rank 0: parses a line of --jobs into the options of its job. RESR_ERR_USAGE. */
    int (*parse_line)(ResrOptions *out, const char *line);
    bool lost; /* set when ranks can no longer be reached: the launch must be aborted */
} ResrSession;

/* Runs one job, or with --jobs all jobs of the list. Status and message of the launch are rank 0's;
 * of a list, those of the first job that failed. Collective over all ranks, main threads. */
RESR_MUST_CHECK int resr_session_run(ResrSession *session);

/* --dry-run: plans the job, measures the speed of rank 0's machine and prints both. Collective. */
RESR_MUST_CHECK int resr_session_dry_run(ResrSession *session);

/* --list-devices: prints the devices and kernels of every rank. Collective. */
RESR_MUST_CHECK int resr_session_list_devices(ResrSession *session);

#endif
