#ifndef RESR_RUN_WORKER_H
#define RESR_RUN_WORKER_H

#include <signal.h>

#include "run/compute.h"

/* Runs `rank`, one other than 0, for one job: receives parts, has them computed and sends the
 * results, until rank 0 says stop. `compute` is NULL on a rank that was left out at the start: it
 * only waits for the end. Call from the main thread only. RESR_ERR_DATA (a damaged message) and
 * RESR_ERR_INTERNAL (memory): rank 0 cannot be told, and the caller must abort the job.
 * RESR_ERR_STOPPED: rank 0 is silent, or SIGTERM (in *stop_signal) arrived while this process was
 * suspended. */
RESR_MUST_CHECK int resr_worker_run(ResrCompute *compute, const ResrPlan *plan, int rank,
                                    const volatile sig_atomic_t *stop_signal);

#endif
