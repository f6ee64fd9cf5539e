#ifndef RESR_COMM_CLOCK_SYNC_H
#define RESR_COMM_CLOCK_SYNC_H

#include "job/trace.h"

/* Measures the offset of every rank's clock to rank 0's and enters it into `trace` (rank 0's, NULL
 * on other ranks): the shortest of a few round trips to each rank in turn. Ranks that wait for
 * their turn sleep. No effect if nothing is recorded. Collective over `ranks` ranks; blocks; main
 * threads only. */
void resr_clock_sync(ResrTrace *trace, int rank, int ranks);

#endif
