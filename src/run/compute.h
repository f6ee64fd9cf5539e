#ifndef RESR_RUN_COMPUTE_H
#define RESR_RUN_COMPUTE_H

#include "comm/wire.h"
#include "job/plan.h"

/* A rank's compute thread: it owns the upscaler with its OpenMP team or GPU, turns WORK messages
 * into RESULT messages (or FAILURE) in place, and never calls MPI. */
typedef struct ResrCompute ResrCompute;

/* Starts the thread and waits until its upscaler is ready (weights packed, memory touched by the
 * thread that uses it). `ops`, `model` and `plan` must outlive it. Errors: resr_upscaler_create().
 */
RESR_MUST_CHECK int resr_compute_start(ResrCompute **out, const ResrOps *ops,
                                       const ResrModel *model, const ResrPlan *plan, int threads);

size_t resr_compute_workspace_bytes(const ResrCompute *compute);

/* Takes ownership of a WORK message, also on failure. The queue has room for RESR_PARTS_IN_FLIGHT.
 * RESR_ERR_DATA: the queue is full. */
RESR_MUST_CHECK int resr_compute_push(ResrCompute *compute, ResrMessage *work);

/* A finished message (the caller's), or NULL at once. */
ResrMessage *resr_compute_poll(ResrCompute *compute);

/* Takes back what is not begun of `part`, or of any part if its attempt is 0. *rest: the frames
 * that will not be computed, the end of a part that was pushed, which comes as a shorter result, or
 * not at all if nothing of it was begun. With an attempt *rest may be empty; false if the part is
 * not there (any more). With attempt 0 false if there is nothing to take back. */
bool resr_compute_recall(ResrCompute *compute, const ResrPart *part, ResrPart *rest);

/* Does it hold parts that were pushed and not taken back? */
bool resr_compute_busy(const ResrCompute *compute);

/* Frames computed so far: while work is there, it must grow. */
int64_t resr_compute_progress(const ResrCompute *compute);

/* For --trace: the thread has had nothing to do from its last part until now, if that is so. */
void resr_compute_end_idle(const ResrCompute *compute);

/* Ends the thread after what it is doing, which stops at the next tile, and frees everything. NULL
 * is allowed. */
void resr_compute_stop(ResrCompute *compute);

#endif
