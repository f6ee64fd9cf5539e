#ifndef RESR_MPI_COORDINATOR_H
#define RESR_MPI_COORDINATOR_H

#include "job/report.h"
#include "mpi/compute.h"
#include "mpi/pipeline.h"

/* Rank 0's main loop: takes frames from the decoder's thread, gives parts to ranks (its own compute
 * thread included), puts results back in order, and gives them to the encoder's thread. Main
 * thread only. */
typedef struct ResrCoordinator ResrCoordinator;

/* Opens the exchange with the workers. `compute` is NULL when rank 0 does not compute. `ranks`:
 * plan->ranks entries, those with threads == 0 are left out; their counters are kept up to date.
 * All arguments must outlive the coordinator. RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_coordinator_create(ResrCoordinator **out, ResrCompute *compute,
                                            const ResrPlan *plan, const ResrOptions *options,
                                            ResrRankInfo *ranks, ResrReport *report);

/* Runs the job until the output is published. *stop_signal, set by a signal, ends it early with
 * RESR_ERR_STOPPED. The ledger must balance: frames decoded = frames encoded, else
 * RESR_ERR_INTERNAL. */
RESR_MUST_CHECK int resr_coordinator_run(ResrCoordinator *coordinator, ResrPipeline *pipeline,
                                         const volatile int *stop_signal);

/* Frames decoded, and frames encoded. */
void resr_coordinator_ledger(const ResrCoordinator *coordinator, int64_t *frames_in,
                             int64_t *frames_out);

/* Tells every worker to stop, waits for its goodbye while dropping what still arrives, and frees
 * the coordinator. RESR_ERR_DATA: a message was damaged, now or earlier; the exchange cannot be
 * ended in order and the caller must abort the job. NULL is allowed. */
RESR_MUST_CHECK int resr_coordinator_dismiss(ResrCoordinator *coordinator);

#endif
