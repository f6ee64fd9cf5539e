#ifndef RESR_JOB_PROGRESS_H
#define RESR_JOB_PROGRESS_H

#include <stdint.h>

#include "job/options.h"

/* Progress on stderr, drawn by rank 0's main thread: a bar on a terminal, a line every few seconds
 * elsewhere, or one JSON object a line for programs; with the current bottleneck. */
typedef struct ResrProgress {
    int mode; /* ResrProgressMode, never AUTO once started */
    int64_t start_ns, last_ns;
    int64_t frames_total; /* 0: unknown */
    int64_t frames_shown;
    const char *limit; /* set by the caller: a word of resr_bottleneck_name(); NULL: not known */
} ResrProgress;

void resr_progress_start(ResrProgress *progress, int mode, int64_t frames_total);

/* Draws if the interval has passed. `frames`: encoded so far, `restored` of them by earlier
 * attempts. */
void resr_progress_update(ResrProgress *progress, int64_t frames, int64_t restored);

/* Draws the final state, and a newline after a bar. */
void resr_progress_end(ResrProgress *progress, int64_t frames, int64_t restored);

#endif
