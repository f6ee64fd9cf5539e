#ifndef RESR_SCHED_LIVENESS_H
#define RESR_SCHED_LIVENESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* Which ranks still run and get on. A rank shows that it runs by any message, and that it gets on
 * by the number of frames it has computed. Bookkeeping only: times are given, in nanoseconds. */
typedef struct ResrLiveness ResrLiveness;

/* `deadline_seconds`: the longest silence. A busy rank must finish a frame within the larger of
 * that and RESR_DEADLINE_FRAMES times the longest frame seen, or `first_frame_seconds` as long as
 * none was. */
RESR_MUST_CHECK int resr_liveness_create(ResrLiveness **out, int ranks, double deadline_seconds,
                                         double first_frame_seconds, int64_t now_ns);
void resr_liveness_free(ResrLiveness *liveness);

void resr_liveness_heard(ResrLiveness *liveness, int rank, int64_t now_ns);

/* The rank has computed `frames` frames so far: true if that is news. */
bool resr_liveness_progress(ResrLiveness *liveness, int rank, int64_t frames, int64_t now_ns);

/* The rank has work from now on, if it had none. */
void resr_liveness_busy(ResrLiveness *liveness, int rank, bool busy, int64_t now_ns);

/* Whoever looks was away: all waits begin again. */
void resr_liveness_restart(ResrLiveness *liveness, int ranks, int64_t now_ns);

/* A frame took so long. */
void resr_liveness_frame(ResrLiveness *liveness, double seconds);

/* Seconds without what was due, if the rank counts as hung; else 0. *silent: it does not even
 * run. */
double resr_liveness_overdue(const ResrLiveness *liveness, int rank, bool *silent, int64_t now_ns);

#endif
