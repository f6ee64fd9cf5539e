#ifndef RESR_MPI_PIPELINE_H
#define RESR_MPI_PIPELINE_H

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
typedef struct ResrPipeline ResrPipeline;

/* What the threads work with; all of it must outlive the pipeline. */
typedef struct ResrPipelineParts {
    ResrDecoder *decoder;
    ResrSink *sink;
    ResrCheckpoint *checkpoint; /* NULL: none */
    ResrLedger *ledger;         /* of the encoder's thread until resr_pipeline_stop() */
    const ResrPlan *plan;
    int64_t max_frames;    /* 0: all */
    const char *framehash; /* written at the end; empty: not at all */
} ResrPipelineParts;

/* Starts both threads. RESR_ERR_INTERNAL. */
RESR_MUST_CHECK int resr_pipeline_start(ResrPipeline **out, const ResrPipelineParts *parts);

/* The next frame (the caller's), or NULL at once: decoded, or done in an earlier attempt
 * (frame->stage). */
ResrFrame *resr_pipeline_next(ResrPipeline *pipeline);

/* True once every frame of the input was handed out. */
bool resr_pipeline_at_end(ResrPipeline *pipeline);

/* No more frames are decoded. */
void resr_pipeline_stop_decoding(ResrPipeline *pipeline);

/* Gives an upscaled frame to the encoder, in order; never waits. */
void resr_pipeline_give(ResrPipeline *pipeline, ResrFrame *frame);

/* --encode ranks. A frame of a segment that rank 0 owns goes to its encoders, in any order; a
 * segment that another rank has encoded is added to the output; taken over both. The marks of their
 * frames are given as above when resr_pipeline_committed() has named the segment. */
void resr_pipeline_gather(ResrPipeline *pipeline, ResrFrame *frame);
void resr_pipeline_adopt(ResrPipeline *pipeline, ResrSegment *segment);

/* The video has so many frames: the last segment is complete with the last of them. */
void resr_pipeline_end(ResrPipeline *pipeline, int64_t frames);

/* A segment that was added since the last call: true, and its frames. */
bool resr_pipeline_committed(ResrPipeline *pipeline, int64_t *first, int64_t *frames);

int64_t resr_pipeline_encoded(const ResrPipeline *pipeline);

/* 0, or the first error of a thread with its message. */
RESR_MUST_CHECK int resr_pipeline_status(ResrPipeline *pipeline);

/* Nothing more will be given: the encoder writes what it has and finishes the sink (the output is
 * published). */
void resr_pipeline_finish(ResrPipeline *pipeline);

/* True when that has happened, or failed. */
bool resr_pipeline_finished(const ResrPipeline *pipeline);

/* What the threads are at now, for resr_gauge_look(). */
typedef struct ResrPipelineState {
    bool decoder_rests; /* the input has ended, or all credits are taken */
    bool backlog;       /* frames wait for the encoder, or it finishes the output */
    bool committing;    /* the encoder waits for the disk */
} ResrPipelineState;

ResrPipelineState resr_pipeline_state(ResrPipeline *pipeline);

/* Seconds that the threads spent at work: fills in decode, encode, and of both hash. */
void resr_pipeline_seconds(const ResrPipeline *pipeline, ResrTimes *times);

/* Seconds that a thread has been busy with one frame now, and the most it ever was: a file system
 * that does not answer shows here. */
void resr_pipeline_stall(const ResrPipeline *pipeline, double *now, double *longest);

/* Seconds without a packet written while the output is finished; else 0. For one caller. */
double resr_pipeline_finish_stall(ResrPipeline *pipeline);

/* Ends both threads at once. NULL is allowed. */
void resr_pipeline_stop(ResrPipeline *pipeline);

/* Frees everything but the parts; no frame that it handed out may be left. NULL is allowed. */
void resr_pipeline_free(ResrPipeline *pipeline);

#endif
