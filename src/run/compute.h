#ifndef RESR_RUN_COMPUTE_H
#define RESR_RUN_COMPUTE_H

#include "comm/wire.h"
#include "job/plan.h"

/* A rank's compute thread: it owns the upscaler with its OpenMP team or GPU and turns WORK messages
 * into RESULT (or FAILURE) messages in place. It never calls MPI. Main thread only, unless noted.
 */
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

/* Recalls the unstarted frames of `part`, or of any part if its attempt is 0. *rest: the frames
 * that will not be computed, the end of a pushed part. The part then has a shorter result, or none
 * if no frame was started. False if the part is not held; with attempt 0 if no part has unstarted
 * frames. A part with an attempt may have an empty *rest. */
bool resr_compute_recall(ResrCompute *compute, const ResrPart *part, ResrPart *rest);

/* Are parts pushed that were neither polled nor recalled? Call from any thread. */
bool resr_compute_busy(const ResrCompute *compute);

/* Number of frames computed so far; grows while the thread is busy. Call from any thread. */
int64_t resr_compute_progress(const ResrCompute *compute);

/* For --trace: if the thread is idle, records its idle time until now. */
void resr_compute_end_idle(const ResrCompute *compute);

/* Ends the thread, whose computing stops at the next tile, and frees everything. NULL is allowed.
 */
void resr_compute_stop(ResrCompute *compute);

#endif
