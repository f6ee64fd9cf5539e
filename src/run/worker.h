#ifndef RESR_RUN_WORKER_H
#define RESR_RUN_WORKER_H

#include "run/compute.h"

/* `rank`, one other than 0: receives parts, has them computed, sends the results, until rank 0 says
 * stop. `compute` may be NULL: a rank that was left out only waits for the end. Main thread.
 * Fails when a message was damaged (RESR_ERR_DATA) or memory is exhausted (RESR_ERR_INTERNAL): rank
 * 0 cannot be told any more, and the caller must abort the job. RESR_ERR_STOPPED: rank 0 is silent,
 * or SIGTERM (in *stop_signal) came while this process was stopped. */
RESR_MUST_CHECK int resr_worker_run(ResrCompute *compute, const ResrPlan *plan, int rank,
                                    const volatile int *stop_signal);

#endif
