#ifndef FAKE_IO_THREADS_H
#define FAKE_IO_THREADS_H

#include "run/io_threads.h"

/* run/io_threads.h, with its segment encoders, without threads: frames whose hash is their index
 * are "decoded" while credits are left, and the frames that are passed on are "encoded" at once. */

struct ResrIoThreads {
    int64_t frames;  /* of the input */
    int64_t decoded; /* handed out */
    sem_t credits;
    bool stopped;   /* resr_io_threads_stop_decoding() was called */
    bool finishing; /* resr_io_threads_finish() was called */
    int64_t encoded;
    bool in_order; /* so far each frame followed the one before, with its input's hash */
    int imported;  /* segments */
    int64_t end;   /* frames of the video, as the encoders know it; 0: unknown */
};

void fake_io_threads_init(ResrIoThreads *io, int64_t frames, int pool_frames);

/* The hash of decoded frame `index`. */
void fake_io_threads_hash(char out[RESR_FRAME_HASH_BYTES], int64_t index);

#endif
