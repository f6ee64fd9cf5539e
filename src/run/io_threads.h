#ifndef RESR_RUN_IO_THREADS_H
#define RESR_RUN_IO_THREADS_H

#include <stdbool.h>

#include "ckpt/checkpoint.h"
#include "job/plan.h"
#include "job/report.h"
#include "media/decode.h"
#include "media/sink.h"

/* Rank 0's two ends: a thread that decodes, and one that encodes or hands on to media/encoders.h,
 * with one pool of frame credits between them. A frame takes its credit before it is decoded;
 * whoever lets it go last gives the credit back. Credits are taken in frame order, so the oldest
 * frame always has one and the job cannot lock up. The threads hash what they touch: the decoder's
 * frames leave with their hash, the encoder checks what comes back. Neither calls MPI. */
typedef struct ResrIoThreads ResrIoThreads;

/* What the threads work with; all of it must outlive the pipeline. */
typedef struct ResrIoThreadsParts {
    ResrDecoder *decoder;
    ResrSink *sink;
    ResrCheckpoint *checkpoint; /* NULL: none */
    ResrFrameTable *ledger;     /* of the encoder's thread until resr_io_threads_stop() */
    const ResrPlan *plan;
    int64_t max_frames;    /* 0: all */
    const char *framehash; /* written at the end; empty: not at all */
} ResrIoThreadsParts;

/* Starts both threads. RESR_ERR_INTERNAL. */
RESR_MUST_CHECK int resr_io_threads_start(ResrIoThreads **out, const ResrIoThreadsParts *parts);

/* The next frame (the caller's), or NULL at once: decoded, or done in an earlier attempt
 * (frame->stage). */
ResrFrame *resr_io_threads_next(ResrIoThreads *pipeline);

/* True once every frame of the input was handed out. */
bool resr_io_threads_at_end(ResrIoThreads *pipeline);

/* No more frames are decoded. */
void resr_io_threads_stop_decoding(ResrIoThreads *pipeline);

/* Gives an upscaled frame to the encoder, in order; never waits. */
void resr_io_threads_give(ResrIoThreads *pipeline, ResrFrame *frame);

/* --encode ranks. A frame of a segment that rank 0 owns goes to its encoders, in any order; a
 * segment that another rank has encoded is added to the output; taken over both. The marks of their
 * frames are given as above when resr_io_threads_committed() has named the segment. */
void resr_io_threads_gather(ResrIoThreads *pipeline, ResrFrame *frame);
void resr_io_threads_adopt(ResrIoThreads *pipeline, ResrSegment *segment);

/* The video has so many frames: the last segment is complete with the last of them. */
void resr_io_threads_end(ResrIoThreads *pipeline, int64_t frames);

/* A segment that was added since the last call: true, and its frames. */
bool resr_io_threads_committed(ResrIoThreads *pipeline, int64_t *first, int64_t *frames);

int64_t resr_io_threads_encoded(const ResrIoThreads *pipeline);

/* 0, or the first error of a thread with its message. */
RESR_MUST_CHECK int resr_io_threads_status(ResrIoThreads *pipeline);

/* Nothing more will be given: the encoder writes what it has and finishes the sink (the output is
 * published). */
void resr_io_threads_finish(ResrIoThreads *pipeline);

/* True when that has happened, or failed. */
bool resr_io_threads_finished(const ResrIoThreads *pipeline);

/* What the threads are at now, for resr_bottleneck_sample(). */
typedef struct ResrIoThreadsState {
    bool decoder_rests; /* the input has ended, or all credits are taken */
    bool backlog;       /* frames wait for the encoder, or it finishes the output */
    bool committing;    /* the encoder waits for the disk */
} ResrIoThreadsState;

ResrIoThreadsState resr_io_threads_state(ResrIoThreads *pipeline);

/* Seconds that the threads spent at work: fills in decode, encode, and of both hash. */
void resr_io_threads_seconds(const ResrIoThreads *pipeline, ResrTimes *times);

/* Seconds that a thread has been busy with one frame now, and the most it ever was: a file system
 * that does not answer shows here. */
void resr_io_threads_stall(const ResrIoThreads *pipeline, double *now, double *longest);

/* Seconds without a packet written while the output is finished; else 0. For one caller. */
double resr_io_threads_finish_stall(ResrIoThreads *pipeline);

/* Ends both threads at once. NULL is allowed. */
void resr_io_threads_stop(ResrIoThreads *pipeline);

/* Frees everything but the parts; no frame that it handed out may be left. NULL is allowed. */
void resr_io_threads_free(ResrIoThreads *pipeline);

#endif
