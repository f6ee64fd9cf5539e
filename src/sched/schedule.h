#ifndef RESR_SCHED_SCHEDULE_H
#define RESR_SCHED_SCHEDULE_H

#include <stdbool.h>

#include "job/options.h"
#include "job/plan.h"
#include "sched/retry_set.h"

/* Assigns frames to ranks and knows which parts are in flight. Pure bookkeeping: no MPI, no pixels,
 * no clock; times are arguments. Main thread only.
 * pull: the rank with the earliest estimated finish comes first, by measured speed. Parts are
 * batches, and smaller near the end or before a speed is known, so that all ranks finish within
 * about one frame. If a rank turns out slower and others idle, its unstarted frames are recalled;
 * if that is not enough, its started frames are computed speculatively on an idle rank, too.
 * static: batch b belongs to computing rank b mod N, undivided unless memory is short.
 * Frames of lost or returned parts come first, by the same rules. */
typedef struct ResrScheduler ResrScheduler;

/* `ranks`: the `n` computing ranks. `needed`: is called for decoded frames only.
 * RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_scheduler_create(ResrScheduler **out, const ResrPlan *plan, int schedule,
                                          const int *ranks, int n, ResrFrameNeeded needed,
                                          void *user);
void resr_scheduler_free(ResrScheduler *scheduler);

/* `decoded`: number of decoded frames, from 0 without gaps; `at_end`: the input has ended; `now`:
 * seconds since any fixed time. Call before resr_scheduler_next() and resr_scheduler_done(). Frames
 * that are needed or in flight must lie within plan->pool_frames of each other. */
void resr_scheduler_update(ResrScheduler *scheduler, int64_t decoded, bool at_end, double now);

/* Records that `rank` has computed `frames` frames in `seconds`. */
void resr_scheduler_measure(ResrScheduler *scheduler, int rank, int frames, double seconds);

/* Gets the next part that can be sent now and its rank; false if there is none. All frames of the
 * part are needed. The part is then in flight. */
bool resr_scheduler_next(ResrScheduler *scheduler, ResrPart *part, int *rank);

/* Ends the flight of part (first, attempt) of `rank`: its result has arrived or it was cancelled.
 * False if the part was not in flight. */
bool resr_scheduler_done(ResrScheduler *scheduler, int rank, const ResrPart *part);

/* Gets a part whose unstarted frames should be recalled from `rank` now; false if there is none.
 * Call when resr_scheduler_next() returns false; pass the answer to resr_scheduler_return(). */
bool resr_scheduler_recall(ResrScheduler *scheduler, ResrPart *part, int *rank);

/* Queues `rest` for a retry: the frames at the end of a part that `rank` does not compute (count 0:
 * it has started all). No effect if the part is no longer in flight. */
void resr_scheduler_return(ResrScheduler *scheduler, int rank, const ResrPart *rest);

/* Queues a failed part for a retry, as another attempt. Frames that are queued already are sent
 * once. */
void resr_scheduler_requeue(ResrScheduler *scheduler, const ResrPart *part);

/* Excludes `rank`: it gets no parts, and its parts in flight are queued for a retry. */
void resr_scheduler_exclude(ResrScheduler *scheduler, int rank);

/* Readmits an excluded rank, without parts in flight. */
void resr_scheduler_readmit(ResrScheduler *scheduler, int rank);

/* Parts in flight on `rank`, or on all ranks (rank < 0); none on excluded ranks. */
int resr_scheduler_in_flight(const ResrScheduler *scheduler, int rank);

/* Number of ranks that are not excluded. */
int resr_scheduler_live(const ResrScheduler *scheduler);

#endif
