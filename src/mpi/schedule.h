#ifndef RESR_MPI_SCHEDULE_H
#define RESR_MPI_SCHEDULE_H

#include <stdbool.h>

#include "job/options.h"
#include "job/plan.h"

/* Which frames go to which rank next, and which are there now. Pure bookkeeping: no MPI, no frames,
 * no clock.
 * Pull: the next part goes to the rank that could end a frame more first, by the speed it has
 * shown. Its size is a batch, and less as the work runs out or before a speed is known; a rank that
 * would end after the others gets none: so all end within about a frame's time of each other.
 * Static: batch b belongs to the computing rank b mod N, undivided unless memory is short.
 * Parts of ranks that were lost go first, to whoever has room. */
typedef struct ResrScheduler ResrScheduler;

/* Is frame `index` still to be computed? Asked for frames that are there. */
typedef bool (*ResrFrameNeeded)(void *user, int64_t index);

/* `ranks`: the `n` computing ranks. */
RESR_MUST_CHECK int resr_scheduler_create(ResrScheduler **out, const ResrPlan *plan, int schedule,
                                          const int *ranks, int n, ResrFrameNeeded needed,
                                          void *user);
void resr_scheduler_free(ResrScheduler *scheduler);

/* `decoded`: frames that are there, from 0 without gaps; `at_end`: no more will come; `now`:
 * seconds since any moment. Call before resr_scheduler_next() and resr_scheduler_done(). */
void resr_scheduler_update(ResrScheduler *scheduler, int64_t decoded, bool at_end, double now);

/* `rank` has computed so many frames in so many seconds. */
void resr_scheduler_measure(ResrScheduler *scheduler, int rank, int frames, double seconds);

/* The next part that can be sent now and its rank; false if there is none. */
bool resr_scheduler_next(ResrScheduler *scheduler, ResrPart *part, int *rank);

/* Part (first, attempt) of `rank` has come back, or was given up: it is no longer in flight. False
 * if it was not. */
bool resr_scheduler_done(ResrScheduler *scheduler, int rank, const ResrPart *part);

/* A part that came back unfinished is to be sent again, as another attempt. */
void resr_scheduler_requeue(ResrScheduler *scheduler, const ResrPart *part);

/* `rank` gets nothing more; what it has goes to others. */
void resr_scheduler_lose(ResrScheduler *scheduler, int rank);

/* It can be used again. */
void resr_scheduler_revive(ResrScheduler *scheduler, int rank);

/* Parts in flight on `rank`, or on all live ranks (rank < 0). */
int resr_scheduler_in_flight(const ResrScheduler *scheduler, int rank);

/* Ranks that are not lost. */
int resr_scheduler_live(const ResrScheduler *scheduler);

#endif
