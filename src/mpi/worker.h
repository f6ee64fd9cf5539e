#ifndef RESR_MPI_WORKER_H
#define RESR_MPI_WORKER_H

#include "mpi/compute.h"

/* A rank other than 0: receives parts, has them computed, sends the results, until rank 0 says
 * stop. `compute` may be NULL: a rank that was left out only waits for the end. Main thread.
 * Returns 0, or RESR_ERR_DATA when a message was damaged. */
RESR_MUST_CHECK int resr_worker_run(ResrCompute *compute, const ResrPlan *plan);

#endif
