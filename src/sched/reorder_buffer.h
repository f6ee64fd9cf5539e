#ifndef RESR_SCHED_REORDER_BUFFER_H
#define RESR_SCHED_REORDER_BUFFER_H

#include <stdbool.h>

#include "base/frame.h"

/* Rank 0's frames between decoder and encoder, in slot index modulo the pool's size: the frames
 * from `delivered` to `decoded` are consecutive and never more than the pool. Main thread only. A
 * decoded frame stays, for a retry, until its result arrives; where ranks encode, until its segment
 * is on disk, with its state. */
typedef struct ResrReorderBuffer {
    int64_t size;
    int64_t decoded, delivered; /* number of frames received and delivered, in order */
    ResrFrame **input;
    ResrFrame **done; /* results that wait for earlier frames */
} ResrReorderBuffer;

/* RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_reorder_buffer_create(ResrReorderBuffer *buffer, int64_t size);
void resr_reorder_buffer_clear(ResrReorderBuffer *buffer); /* safe on a zeroed one */

/* Adds the next frame of the decoder's thread: to be computed, or computed by an earlier attempt.
 */
void resr_reorder_buffer_add(ResrReorderBuffer *buffer, ResrFrame *frame);

/* Is the frame decoded and not computed yet? */
bool resr_reorder_buffer_needs(const ResrReorderBuffer *buffer, int64_t index);

/* The decoded frame, owned by the buffer; NULL: not in the buffer. */
ResrFrame *resr_reorder_buffer_input(const ResrReorderBuffer *buffer, int64_t index);

/* Replaces a needed frame by its result, which gets the frame's credit and source hash. */
void resr_reorder_buffer_accept(ResrReorderBuffer *buffer, ResrFrame *frame);

/* Removes and returns the next frame in order, the caller's; NULL: its result has not arrived. */
ResrFrame *resr_reorder_buffer_deliver(ResrReorderBuffer *buffer);

/* Records that the owner of the frame's segment has the result (computed), or lost it. */
void resr_reorder_buffer_set_computed(ResrReorderBuffer *buffer, int64_t index, bool computed);

/* Records that the frame is on disk: it is delivered as a placeholder. */
void resr_reorder_buffer_set_durable(ResrReorderBuffer *buffer, int64_t index);

#endif
