#ifndef RESR_MPI_SCHEDULE_H
#define RESR_MPI_SCHEDULE_H

#include <stdbool.h>

#include "job/options.h"
#include "job/plan.h"

/* Which frames go to which rank next. Pure bookkeeping: no MPI, no frames, no clock.
 * Pull: a part goes to the rank with the fewest parts in flight. Once the end of the video is
 * known, parts are halved as the work runs out, so that no rank ends far behind the others.
 * Static: batch b belongs to the computing rank b mod N, undivided unless memory is short. */
typedef struct ResrScheduler ResrScheduler;

/* `ranks`: the `n` computing ranks. */
RESR_MUST_CHECK int resr_scheduler_create(ResrScheduler **out, const ResrPlan *plan, int schedule,
                                          const int *ranks, int n);
void resr_scheduler_free(ResrScheduler *scheduler);

/* `decoded`: frames that are there, from 0 without gaps; `at_end`: no more will come. */
void resr_scheduler_update(ResrScheduler *scheduler, int64_t decoded, bool at_end);

/* The next part that can be sent now and its rank; false if there is none. */
bool resr_scheduler_next(ResrScheduler *scheduler, ResrPart *part, int *rank);

/* A part of `rank` has come back. */
void resr_scheduler_done(ResrScheduler *scheduler, int rank);

#endif
