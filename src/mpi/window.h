#ifndef RESR_MPI_WINDOW_H
#define RESR_MPI_WINDOW_H

#include <stdbool.h>

#include "media/frame.h"

/* Rank 0's frames between decoder and encoder, found by index modulo the pool's size: never more
 * than the pool are there, and they are consecutive. Main thread only.
 * A decoded frame is kept until its result is there, for another attempt; where ranks encode, until
 * its segment is on disk, with the stage that it has reached. */
typedef struct ResrWindow {
    int64_t size;
    int64_t decoded, delivered; /* frames that came, and frames that went, in order */
    ResrFrame **input;
    ResrFrame **done; /* waiting for their turn */
} ResrWindow;

/* RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_window_create(ResrWindow *window, int64_t size);
void resr_window_clear(ResrWindow *window); /* safe on a zeroed one */

/* A frame from the decoder's thread: to be computed, or made in an earlier attempt. */
void resr_window_take(ResrWindow *window, ResrFrame *frame);

/* Is the frame there, and still to be computed? */
bool resr_window_needs(const ResrWindow *window, int64_t index);

/* The decoded frame, which stays the window's; NULL: it is not there. */
ResrFrame *resr_window_input(const ResrWindow *window, int64_t index);

/* The result of a frame that was needed: takes its place, its credit and its source's hash. */
void resr_window_accept(ResrWindow *window, ResrFrame *frame);

/* The next frame whose turn it is, the caller's; NULL: it is not there yet. */
ResrFrame *resr_window_deliver(ResrWindow *window);

/* The frame's result is with its segment's owner (computed), or is lost with it. */
void resr_window_set_computed(ResrWindow *window, int64_t index, bool computed);

/* The frame is on disk: a mark of it takes its turn. */
void resr_window_set_durable(ResrWindow *window, int64_t index);

#endif
