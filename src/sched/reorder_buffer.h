#ifndef RESR_SCHED_REORDER_BUFFER_H
#define RESR_SCHED_REORDER_BUFFER_H

#include <stdbool.h>

#include "base/frame.h"

/* Rank 0's frames between decoder and encoder, found by index modulo the pool's size: never more
 * than the pool are there, and they are consecutive. Main thread only.
 * A decoded frame is kept until its result is there, for another attempt; where ranks encode, until
 * its segment is on disk, with the stage that it has reached. */
typedef struct ResrReorderBuffer {
    int64_t size;
    int64_t decoded, delivered; /* frames that came, and frames that went, in order */
    ResrFrame **input;
    ResrFrame **done; /* waiting for their turn */
} ResrReorderBuffer;

/* RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_reorder_buffer_create(ResrReorderBuffer *buffer, int64_t size);
void resr_reorder_buffer_clear(ResrReorderBuffer *buffer); /* safe on a zeroed one */

/* A frame from the decoder's thread: to be computed, or made in an earlier attempt. */
void resr_reorder_buffer_take(ResrReorderBuffer *buffer, ResrFrame *frame);

/* Is the frame there, and still to be computed? */
bool resr_reorder_buffer_needs(const ResrReorderBuffer *buffer, int64_t index);

/* The decoded frame, which stays the buffer's; NULL: it is not there. */
ResrFrame *resr_reorder_buffer_input(const ResrReorderBuffer *buffer, int64_t index);

/* The result of a frame that was needed: takes its place, its credit and its source's hash. */
void resr_reorder_buffer_accept(ResrReorderBuffer *buffer, ResrFrame *frame);

/* The next frame whose turn it is, the caller's; NULL: it is not there yet. */
ResrFrame *resr_reorder_buffer_deliver(ResrReorderBuffer *buffer);

/* The frame's result is with its segment's owner (computed), or is lost with it. */
void resr_reorder_buffer_set_computed(ResrReorderBuffer *buffer, int64_t index, bool computed);

/* The frame is on disk: a mark of it takes its turn. */
void resr_reorder_buffer_set_durable(ResrReorderBuffer *buffer, int64_t index);

#endif
