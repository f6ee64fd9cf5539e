#ifndef RESR_MPI_PIPELINE_H
#define RESR_MPI_PIPELINE_H

#include <stdbool.h>

#include "job/plan.h"
#include "media/decode.h"
#include "media/sink.h"

/* Rank 0's two ends: a thread that decodes and one that encodes, with one pool of frame credits
 * between them. A frame takes its credit before it is decoded and gives it back when it is encoded.
 * Credits are taken in frame order, so the oldest frame always has one and the job cannot lock up.
 * The threads hash what they touch: the decoder's frames leave with their hash, the encoder checks
 * what comes back. Neither calls MPI. */
typedef struct ResrPipeline ResrPipeline;

/* Starts both threads. `decoder` and `sink` belong to them until resr_pipeline_stop().
 * `max_frames`: 0 for all. `framehash`: a file that gets a line per output frame, index, pts and
 * hash; empty for none. RESR_ERR_INTERNAL, RESR_ERR_EXISTS. */
RESR_MUST_CHECK int resr_pipeline_start(ResrPipeline **out, ResrDecoder *decoder, ResrSink *sink,
                                        const ResrPlan *plan, int64_t max_frames,
                                        const char *framehash);

/* The next decoded frame (the caller's), or NULL at once. */
ResrFrame *resr_pipeline_next(ResrPipeline *pipeline);

/* True once every frame of the input was handed out. */
bool resr_pipeline_at_end(ResrPipeline *pipeline);

/* Gives an upscaled frame to the encoder, in order; never waits. */
void resr_pipeline_give(ResrPipeline *pipeline, ResrFrame *frame);

int64_t resr_pipeline_encoded(const ResrPipeline *pipeline);

/* 0, or the first error of a thread with its message. */
RESR_MUST_CHECK int resr_pipeline_status(ResrPipeline *pipeline);

/* Nothing more will be given: waits until the encoder has written everything and the sink is
 * finished (the output published). Returns resr_pipeline_status(). */
RESR_MUST_CHECK int resr_pipeline_finish(ResrPipeline *pipeline);

/* Seconds that the threads spent at work. */
void resr_pipeline_seconds(const ResrPipeline *pipeline, double *decode, double *encode);

/* Ends both threads at once and frees everything but decoder and sink. NULL is allowed. */
void resr_pipeline_stop(ResrPipeline *pipeline);

#endif
