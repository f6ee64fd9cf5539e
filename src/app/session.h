#ifndef RESR_APP_SESSION_H
#define RESR_APP_SESSION_H

#include <stdbool.h>

#include "job/options.h"

/* A launch on one rank: one job, from the plan to the published output, or a list of them. */
typedef struct ResrSession {
    int rank, ranks;
    int64_t start_ns;
    ResrOptions options;                /* the same on every rank */
    const volatile int *stop_signal;    /* non-zero: a signal asked to stop */
    void (*start_up_hangs)(int signal); /* ends the process */
    /* Rank 0: a line of --jobs to the options of its job. RESR_ERR_USAGE. */
    int (*parse_line)(ResrOptions *out, const char *line);
    bool lost; /* set when ranks can no longer talk to each other: the job must be aborted */
} ResrSession;

/* Collective, main threads: one job, or with --jobs all of the list. The status that counts and its
 * message are rank 0's. Of a list it is that of the first video that failed. */
RESR_MUST_CHECK int resr_session_run(ResrSession *session);

/* --dry-run: plans the job, probes this machine's speed and prints both. */
RESR_MUST_CHECK int resr_session_dry_run(ResrSession *session);

/* --list-devices: what every rank computes with. */
RESR_MUST_CHECK int resr_session_list_devices(ResrSession *session);

#endif
