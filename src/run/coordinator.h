#ifndef RESR_RUN_COORDINATOR_H
#define RESR_RUN_COORDINATOR_H

#include <stdatomic.h>

#include "ckpt/checkpoint.h"
#include "job/report.h"
#include "run/compute.h"
#include "run/io_threads.h"
#include "run/trace_collect.h"

/* Rank 0's main loop: takes frames from the decoder's thread, gives parts to ranks (its own compute
 * thread included), puts results back in order, and gives them to the encoder's thread. Ranks that
 * hang are left out and their parts given to others. Main thread only. */
typedef struct ResrCoordinator ResrCoordinator;

/* What the coordinator works with; all of it must outlive it. */
typedef struct ResrCoordinatorParts {
    ResrCompute *compute; /* NULL when rank 0 does not compute */
    const ResrPlan *plan;
    const ResrOptions *options;
    ResrRankInfo
        *ranks; /* plan->ranks entries; threads 0: left out; counters are kept up to date */
    ResrReport *report;
    ResrIoThreads *pipeline;
    ResrCheckpoint *checkpoint;  /* NULL: none */
    atomic_llong *turn_ns;       /* set to the time of each turn of the loop */
    ResrTrace *trace;            /* NULL: none; takes what workers recorded */
    void (*decoded)(void *user); /* NULL, or called once the input has been decoded to its end */
    void *user;
} ResrCoordinatorParts;

/* Opens the exchange with the workers. RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_coordinator_create(ResrCoordinator **out,
                                            const ResrCoordinatorParts *parts);

/* Runs the job until the output is published. *stop_signal, set by a signal, ends it early with
 * RESR_ERR_STOPPED: with a checkpoint, parts that are being computed are waited for, within
 * RESR_DRAIN_SECONDS. RESR_ERR_STOPPED also when no rank is left that answers. The ledger must
 * balance: frames decoded = frames encoded, else RESR_ERR_INTERNAL. */
RESR_MUST_CHECK int resr_coordinator_run(ResrCoordinator *coordinator,
                                         const volatile int *stop_signal);

/* Frames decoded, and frames encoded, those of earlier attempts included; fills in times->makespan,
 * times->scheduler and the bytes. */
void resr_coordinator_ledger(const ResrCoordinator *coordinator, int64_t *frames_in,
                             int64_t *frames_out, ResrTimes *times);

/* Tells every worker to stop, waits for its goodbye while dropping what still arrives, and frees
 * the coordinator. `hurry`: ranks that do not answer are not waited for as long as the deadline
 * allows. RESR_ERR_STOPPED: a rank does not answer, or a message was damaged, now or
 * earlier; the exchange cannot be ended in order and the caller must abort the job. NULL is
 * allowed. */
RESR_MUST_CHECK int resr_coordinator_dismiss(ResrCoordinator *coordinator, bool hurry);

/* Rank 0's own compute thread was found hung. */
bool resr_coordinator_gave_up_root(const ResrCoordinator *coordinator);

#endif
