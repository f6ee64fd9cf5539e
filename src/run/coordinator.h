#ifndef RESR_RUN_COORDINATOR_H
#define RESR_RUN_COORDINATOR_H

#include <signal.h>
#include <stdatomic.h>

#include "ckpt/checkpoint.h"
#include "job/report.h"
#include "run/compute.h"
#include "run/io_threads.h"
#include "run/trace_collect.h"

/* Rank 0's main loop: accepts frames from the decoder's thread, sends parts to ranks (its own
 * compute thread included), and passes the results on to the encoder's thread in order. Ranks that
 * hang are excluded, and their parts go to others. Call from the main thread only. */
typedef struct ResrCoordinator ResrCoordinator;

/* All pointers must outlive the coordinator. */
typedef struct ResrCoordinatorConfig {
    ResrCompute *compute; /* NULL: rank 0 does not compute */
    const ResrPlan *plan;
    const ResrOptions *options;
    ResrRankInfo *ranks; /* plan->ranks of them, whose counters are updated; threads 0: the rank
                            does not compute */
    ResrReport *report;
    ResrIoThreads *io;
    ResrCheckpoint *checkpoint;  /* NULL: none */
    atomic_llong *turn_ns;       /* set to the time of each turn of the loop */
    ResrTrace *trace;            /* NULL: none; receives the workers' events */
    void (*decoded)(void *user); /* NULL, or called once the input is decoded to its end */
    void *user;
} ResrCoordinatorConfig;

/* Opens the exchange with the workers. RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_coordinator_create(ResrCoordinator **out,
                                            const ResrCoordinatorConfig *config);

/* Runs the job until the output is published. *stop_signal, set by a signal handler, ends it early
 * with RESR_ERR_STOPPED; with a checkpoint, the loop first waits for the parts that are being
 * computed, at most RESR_DRAIN_SECONDS. RESR_ERR_STOPPED also when no computing rank answers.
 * RESR_ERR_INTERNAL if the numbers of decoded and encoded frames differ. */
RESR_MUST_CHECK int resr_coordinator_run(ResrCoordinator *coordinator,
                                         const volatile sig_atomic_t *stop_signal);

/* Frames decoded and frames encoded, those of earlier attempts included; sets times->makespan,
 * times->scheduler and the bytes. */
void resr_coordinator_counters(const ResrCoordinator *coordinator, int64_t *frames_in,
                               int64_t *frames_out, ResrTimes *times);

/* Tells every worker to stop, waits for their goodbyes while late messages are dropped, and frees
 * the coordinator. Waits at most the deadline; with `fast`, at most RESR_HURRY_SECONDS.
 * RESR_ERR_STOPPED: a rank does not answer, or a message was damaged, now or earlier; the exchange
 * cannot be closed in order, and the caller must abort the job. NULL is allowed. */
RESR_MUST_CHECK int resr_coordinator_shutdown(ResrCoordinator *coordinator, bool fast);

/* True if rank 0's own compute thread hangs. */
bool resr_coordinator_root_hangs(const ResrCoordinator *coordinator);

#endif
