#ifndef RESR_SCHED_RETRY_SET_H
#define RESR_SCHED_RETRY_SET_H

#include <stdbool.h>

#include "base/error.h"
#include "job/batching.h"

/* The frames that must be sent set, each at its index modulo `size`: those that are still needed
 * lie within that of each other. A frame that was added twice is there once. */
typedef struct ResrRetrySet {
    int64_t size, low, count; /* none is before `low` */
    struct ResrRetrySetFrame *frames;
} ResrRetrySet;

/* Is frame `index` still to be computed? */
typedef bool (*ResrFrameNeeded)(void *user, int64_t index);

RESR_MUST_CHECK int resr_retry_set_create(ResrRetrySet *set, int64_t size);
void resr_retry_set_free(ResrRetrySet *set);

/* Adds the frames of a part, for another attempt. */
void resr_retry_set_add(ResrRetrySet *set, const ResrPart *part);

/* Sets part->first to the first frame that is still needed; false if there is none. Drops those
 * before it. */
bool resr_retry_set_find(ResrRetrySet *set, ResrPart *part, ResrFrameNeeded needed, void *user);

/* Takes out the frames from part->first on, up to `end` or to a gap: count, attempt and failures of
 * the part are set. */
void resr_retry_set_take(ResrRetrySet *set, ResrPart *part, int64_t end, ResrFrameNeeded needed,
                         void *user);

#endif
