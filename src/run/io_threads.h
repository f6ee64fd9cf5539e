#ifndef RESR_RUN_IO_THREADS_H
#define RESR_RUN_IO_THREADS_H

#include <stdbool.h>

#include "ckpt/checkpoint.h"
#include "job/plan.h"
#include "job/report.h"
#include "media/decode.h"
#include "media/segment_encoders.h"

/* Rank 0's decoder and encoder threads. Neither calls MPI. Call from the main thread only, except
 * where a function says otherwise. */
typedef struct ResrIoThreads ResrIoThreads;

/* All pointers must outlive the threads. */
typedef struct ResrIoThreadsConfig {
    ResrDecoder *decoder;
    ResrSink *sink;
    ResrCheckpoint *checkpoint;  /* NULL: none; not NULL if the sink stores segments */
    ResrFrameTable *frame_table; /* used by the encoder's thread until resr_io_threads_stop() */
    const ResrPlan *plan;
    int64_t max_frames;    /* 0: all */
    const char *framehash; /* path of the table's file, written at the end; empty: none */
} ResrIoThreadsConfig;

/* Starts both threads. RESR_ERR_INTERNAL. */
RESR_MUST_CHECK int resr_io_threads_start(ResrIoThreads **out, const ResrIoThreadsConfig *config);

/* The next frame (the caller's) or, at once, NULL: a decoded frame, or one that an earlier attempt
 * has completed (frame->state). */
ResrFrame *resr_io_threads_next(ResrIoThreads *io);

/* True once resr_io_threads_next() has returned every frame of the input. */
bool resr_io_threads_at_end(ResrIoThreads *io);

/* Ends decoding. */
void resr_io_threads_stop_decoding(ResrIoThreads *io);

/* Takes ownership of the next frame in order and passes it to the encoder's thread; never waits. A
 * placeholder of a durable frame returns its credit. */
void resr_io_threads_encode(ResrIoThreads *io, ResrFrame *frame);

/* The encoders of rank 0's segments; NULL unless the sink stores segments. With plan->encode_ranks
 * they take frames in any order, and segments of other ranks. */
ResrSegmentEncoders *resr_io_threads_encoders(ResrIoThreads *io);

/* With plan->encode_ranks: true, and a segment that has become durable, once for each one. */
bool resr_io_threads_committed(ResrIoThreads *io, int64_t *first, int64_t *frames);

int64_t resr_io_threads_encoded(const ResrIoThreads *io);

/* 0, or the first error of a thread with its message. */
RESR_MUST_CHECK int resr_io_threads_status(ResrIoThreads *io);

/* No more frames follow: the encoder's thread encodes those that it has and finishes the sink,
 * which publishes the output. */
void resr_io_threads_finish(ResrIoThreads *io);

/* True when that has ended, with or without an error. */
bool resr_io_threads_finished(const ResrIoThreads *io);

/* A sample of the threads, for resr_bottleneck_sample(). */
typedef struct ResrIoThreadsState {
    bool decoder_waiting; /* the input has ended, or all credits are taken */
    bool backlog;         /* frames wait for the encoder, or it finishes the output */
    bool committing;      /* a segment is being made durable */
} ResrIoThreadsState;

ResrIoThreadsState resr_io_threads_state(ResrIoThreads *io);

/* Sets the seconds that the threads have worked: decode, encode, and hash, which is part of both.
 */
void resr_io_threads_seconds(const ResrIoThreads *io, ResrTimes *times);

/* Seconds that a thread has spent on its current frame, and the most that one frame ever took: a
 * file system that does not answer shows here. From any thread. */
void resr_io_threads_stall(const ResrIoThreads *io, double *now, double *longest);

/* While the output is being finished: seconds since the last packet was written; otherwise 0. Keeps
 * state between calls: call from one thread only, which may be another than the main thread. */
double resr_io_threads_finish_stall(ResrIoThreads *io);

/* Ends both threads at once. NULL is allowed. */
void resr_io_threads_stop(ResrIoThreads *io);

/* Stops the threads and frees the object; all frames that it has returned must be freed before.
 * NULL is allowed. */
void resr_io_threads_free(ResrIoThreads *io);

#endif
