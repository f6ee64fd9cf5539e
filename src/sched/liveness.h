#ifndef RESR_SCHED_LIVENESS_H
#define RESR_SCHED_LIVENESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* Decides which ranks hang. Two clocks run for each rank:
 *   silence   since its last message; limit: deadline_seconds
 *   progress  while it has work, since its count of frames last grew (or it got work); limit: the
 *             larger of deadline_seconds and RESR_DEADLINE_FRAMES times the longest frame so far
 * Bookkeeping only: times are arguments, in nanoseconds. Main thread only. */
typedef struct ResrLiveness ResrLiveness;

/* `first_frame_seconds`: limit of the progress clock before any frame was measured.
 * RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_liveness_create(ResrLiveness **out, int ranks, double deadline_seconds,
                                         double first_frame_seconds, int64_t now_ns);
void resr_liveness_free(ResrLiveness *liveness);

/* Restarts the silence clock: a message of the rank has arrived. */
void resr_liveness_heard(ResrLiveness *liveness, int rank, int64_t now_ns);

/* The rank has computed `frames` frames so far. True, and restarts the progress clock, if the
 * number changed. */
bool resr_liveness_progress(ResrLiveness *liveness, int rank, int64_t frames, int64_t now_ns);

/* Whether the rank has work; starts the progress clock when it gets work. */
void resr_liveness_busy(ResrLiveness *liveness, int rank, bool busy, int64_t now_ns);

/* The calling process itself was suspended: restarts all clocks. */
void resr_liveness_restart(ResrLiveness *liveness, int ranks, int64_t now_ns);

/* Records the duration of a frame. */
void resr_liveness_frame(ResrLiveness *liveness, double seconds);

/* If the rank hangs, the seconds that the exceeded clock shows, else 0. *silent: the silence clock
 * is the reason, so that the rank cannot be reached; else only its device hangs. */
double resr_liveness_overdue(const ResrLiveness *liveness, int rank, bool *silent, int64_t now_ns);

#endif
