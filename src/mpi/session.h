#ifndef RESR_MPI_SESSION_H
#define RESR_MPI_SESSION_H

#include <stdbool.h>

#include "job/options.h"

/* One job on one rank, from the plan to the published output. */
typedef struct ResrSession {
    int rank, ranks;
    int64_t start_ns;
    ResrOptions options;             /* the same on every rank */
    const volatile int *stop_signal; /* non-zero: a signal asked to stop */
    bool lost; /* set when ranks can no longer talk to each other: the job must be aborted */
} ResrSession;

/* Collective, main threads. Every rank returns an error if rank 0 refuses the job; the message is
 * rank 0's. */
RESR_MUST_CHECK int resr_session_run(ResrSession *session);

/* --dry-run: plans the job, probes this machine's speed and prints both. */
RESR_MUST_CHECK int resr_session_dry_run(ResrSession *session);

/* --list-devices: what every rank computes with. */
RESR_MUST_CHECK int resr_session_list_devices(ResrSession *session);

#endif
