#ifndef RESR_MPI_COORDINATOR_H
#define RESR_MPI_COORDINATOR_H

#include "job/report.h"
#include "mpi/compute.h"
#include "mpi/pipeline.h"

/* Rank 0's main loop: takes frames from the decoder's thread, gives parts to ranks (its own compute
 * thread included), puts results back in order, and gives them to the encoder's thread. Main
 * thread. `compute` is NULL when rank 0 does not compute. `ranks`: plan->ranks entries, those with
 * threads == 0 are left out; their counters are filled in. `stop_requested` (set by a signal) ends
 * the job early: RESR_ERR_STOPPED. On every return all workers have been told to stop and have
 * answered. *frames_in, *frames_out: the ledger; they are equal on success (RESR_ERR_INTERNAL). */
RESR_MUST_CHECK int resr_coordinator_run(ResrPipeline *pipeline, ResrCompute *compute,
                                         const ResrPlan *plan, const ResrOptions *options,
                                         ResrRankInfo *ranks, ResrReport *report,
                                         const volatile int *stop_requested, int64_t *frames_in,
                                         int64_t *frames_out);

#endif
