#ifndef RESR_SCHED_SCHEDULE_H
#define RESR_SCHED_SCHEDULE_H

#include <stdbool.h>

#include "job/options.h"
#include "job/plan.h"
#include "sched/retry_set.h"

/* Which frames go to which rank next, and which are there now. Pure bookkeeping: no MPI, no frames,
 * no clock.
 * Pull: the next part goes to the rank that could end a frame more first, by the speed it has
 * shown. Its size is a batch, and less as the work runs out or before a speed is known; a rank that
 * would end after the others gets none: so all end within about a frame's time of each other. Where
 * that was wrong (a rank became slow, or has not shown its speed) and ranks have nothing to do,
 * what it has not begun is recalled, and then what it has begun is handed out a second time.
 * Static: batch b belongs to the computing rank b mod N, undivided unless memory is short.
 * Frames of parts that were lost or came back go first, by the same rules. */
typedef struct ResrScheduler ResrScheduler;

/* `ranks`: the `n` computing ranks. `needed` is asked for frames that are there. */
RESR_MUST_CHECK int resr_scheduler_create(ResrScheduler **out, const ResrPlan *plan, int schedule,
                                          const int *ranks, int n, ResrFrameNeeded needed,
                                          void *user);
void resr_scheduler_free(ResrScheduler *scheduler);

/* `decoded`: frames that are there, from 0 without gaps; `at_end`: no more will come; `now`:
 * seconds since any moment. Call before resr_scheduler_next() and resr_scheduler_done(). Frames
 * that are there and needed, or in flight, lie within plan->pool_frames of each other. */
void resr_scheduler_update(ResrScheduler *scheduler, int64_t decoded, bool at_end, double now);

/* `rank` has computed so many frames in so many seconds. */
void resr_scheduler_measure(ResrScheduler *scheduler, int rank, int frames, double seconds);

/* The next part that can be sent now and its rank; false if there is none. All of its frames are
 * needed. */
bool resr_scheduler_next(ResrScheduler *scheduler, ResrPart *part, int *rank);

/* Part (first, attempt) of `rank` has come back, or was given up: it is no longer in flight. False
 * if it was not. */
bool resr_scheduler_done(ResrScheduler *scheduler, int rank, const ResrPart *part);

/* The part whose frames that are not begun should be asked back from `rank` now; false if there is
 * none. Call when resr_scheduler_next() has no more; resr_scheduler_return() gets the answer. */
bool resr_scheduler_recall(ResrScheduler *scheduler, ResrPart *part, int *rank);

/* `rank` does not compute the frames `rest`, the end of a part of its own (count 0: it has begun
 * all): they are to be sent again. Nothing happens if the part was given up. */
void resr_scheduler_return(ResrScheduler *scheduler, int rank, const ResrPart *rest);

/* A part that failed is to be sent again, as another attempt. Frames that it has in common with
 * others that are to be sent again are sent once. */
void resr_scheduler_requeue(ResrScheduler *scheduler, const ResrPart *part);

/* `rank` gets nothing more; what it has goes to others. */
void resr_scheduler_exclude(ResrScheduler *scheduler, int rank);

/* It can be used again. */
void resr_scheduler_readmit(ResrScheduler *scheduler, int rank);

/* Parts in flight on `rank`, or on all live ranks (rank < 0). */
int resr_scheduler_in_flight(const ResrScheduler *scheduler, int rank);

/* Ranks that are not lost. */
int resr_scheduler_live(const ResrScheduler *scheduler);

#endif
