#ifndef RESR_SCHED_RETRY_SET_H
#define RESR_SCHED_RETRY_SET_H

#include <stdbool.h>

#include "base/error.h"
#include "job/batching.h"

/* The frames to send again with their counts of attempts and failures, each in slot index modulo
 * `size`: frames that are still needed lie within `size` of each other, so that a slot with another
 * frame is out of date. A frame that is added twice is stored once. */
typedef struct ResrRetrySet {
    int64_t size, low, count; /* no frame is before `low` */
    struct ResrRetrySetFrame *frames;
} ResrRetrySet;

/* Must frame `index` still be computed? */
typedef bool (*ResrFrameNeeded)(void *user, int64_t index);

RESR_MUST_CHECK int resr_retry_set_create(ResrRetrySet *set, int64_t size);
void resr_retry_set_free(ResrRetrySet *set);

/* Adds the frames of a part, for another attempt. */
void resr_retry_set_add(ResrRetrySet *set, const ResrPart *part);

/* Sets part->first to the first frame that is still needed; false if there is none. Removes the
 * frames before it. */
bool resr_retry_set_find(ResrRetrySet *set, ResrPart *part, ResrFrameNeeded needed, void *user);

/* Removes the frames from part->first up to `end` or to a gap, and sets count, attempt and failures
 * of the part. */
void resr_retry_set_pop(ResrRetrySet *set, ResrPart *part, int64_t end, ResrFrameNeeded needed,
                        void *user);

#endif
