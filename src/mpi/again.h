#ifndef RESR_MPI_AGAIN_H
#define RESR_MPI_AGAIN_H

#include <stdbool.h>

#include "base/error.h"
#include "job/units.h"

/* The frames that must be sent again, each at its index modulo `size`: those that are still needed
 * lie within that of each other. A frame that was added twice is there once. */
typedef struct ResrAgain {
    int64_t size, low, count; /* none is before `low` */
    struct ResrAgainFrame *frames;
} ResrAgain;

/* Is frame `index` still to be computed? */
typedef bool (*ResrFrameNeeded)(void *user, int64_t index);

RESR_MUST_CHECK int resr_again_create(ResrAgain *again, int64_t size);
void resr_again_free(ResrAgain *again);

/* Adds the frames of a part, for another attempt. */
void resr_again_add(ResrAgain *again, const ResrPart *part);

/* Sets part->first to the first frame that is still needed; false if there is none. Drops those
 * before it. */
bool resr_again_find(ResrAgain *again, ResrPart *part, ResrFrameNeeded needed, void *user);

/* Takes out the frames from part->first on, up to `end` or to a gap: count, attempt and failures of
 * the part are set. */
void resr_again_take(ResrAgain *again, ResrPart *part, int64_t end, ResrFrameNeeded needed,
                     void *user);

#endif
