#include "mpi/pipeline.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/queue.h"
#include "mpi/wire.h"

struct ResrPipeline {
    ResrDecoder *decoder;
    ResrSink *sink;
    const ResrPlan *plan;
    int64_t max_frames;
    const char *framehash_path;
    FILE *framehash;
    sem_t credits;
    ResrQueue *decoded, *encode;
    pthread_t decode_thread, encode_thread;
    bool decode_started, encode_started;
    bool whole; /* the decoder came to the input's end */
    atomic_bool decode_ended, stop;
    atomic_llong encoded;
    atomic_llong decode_ns, encode_ns;
    pthread_mutex_t lock; /* of status and error */
    int status;
    char error[RESR_ERROR_TEXT_BYTES];
};

/* Keeps the first error; the text is the calling thread's. */
static void record_error(ResrPipeline *pipeline, int status)
{
    pthread_mutex_lock(&pipeline->lock);
    if (pipeline->status == 0) {
        pipeline->status = status;
        snprintf(pipeline->error, sizeof pipeline->error, "%s", resr_error_text());
    }
    pthread_mutex_unlock(&pipeline->lock);
}

static void *decode_main(void *argument)
{
    ResrPipeline *pipeline = argument;
    int ret = 0;
    for (int64_t n = 0; pipeline->max_frames == 0 || n < pipeline->max_frames; n++) {
        ResrFrame *frame = NULL;
        while (sem_wait(&pipeline->credits) != 0) {
            /* interrupted by a signal */
        }
        if (pipeline->stop)
            break;
        int64_t start_ns = resr_clock_ns();
        ret = resr_decoder_read(pipeline->decoder, &frame);
        if (ret < 0 || !frame)
            break;
        resr_frame_hash(frame->hash, &pipeline->plan->input, frame);
        pipeline->decode_ns += resr_clock_ns() - start_ns;
        if (!resr_queue_push(pipeline->decoded, frame)) {
            resr_frame_free(frame);
            break;
        }
    }
    pipeline->whole = ret == 0 && pipeline->max_frames == 0;
    if (ret < 0)
        record_error(pipeline, ret);
    else
        pipeline->decode_ended = true;
    return NULL;
}

static int encode_frame(ResrPipeline *pipeline, ResrFrame *frame)
{
    int ret = resr_frame_verify(frame, &pipeline->plan->output);
    if (ret < 0)
        return ret;
    if (pipeline->framehash && fprintf(pipeline->framehash, "%" PRId64 " %" PRId64 " %s\n",
                                       frame->index, frame->pts, frame->hash) < 0)
        return resr_fail(RESR_ERR_IO, "%s: cannot be written: %s", pipeline->framehash_path,
                         strerror(errno));
    return resr_sink_write(pipeline->sink, frame);
}

static int finish_output(ResrPipeline *pipeline)
{
    if (pipeline->encoded == 0)
        return resr_fail(RESR_ERR_DATA, "the input holds no frame that can be decoded");
    if (pipeline->framehash) {
        int failed = fclose(pipeline->framehash);
        pipeline->framehash = NULL;
        if (failed)
            return resr_fail(RESR_ERR_IO, "%s: cannot be written: %s", pipeline->framehash_path,
                             strerror(errno));
    }
    return resr_sink_finish(pipeline->sink, pipeline->whole);
}

static void *encode_main(void *argument)
{
    ResrPipeline *pipeline = argument;
    ResrFrame *frame;
    int ret = 0;
    while (ret == 0 && (frame = resr_queue_pop(pipeline->encode))) {
        int64_t start_ns = resr_clock_ns();
        ret = pipeline->stop ? RESR_ERR_STOPPED : encode_frame(pipeline, frame);
        resr_frame_free(frame);
        pipeline->encode_ns += resr_clock_ns() - start_ns;
        if (ret == 0)
            pipeline->encoded++;
        sem_post(&pipeline->credits);
    }
    int64_t start_ns = resr_clock_ns();
    if (ret == 0 && !pipeline->stop)
        ret = finish_output(pipeline);
    pipeline->encode_ns += resr_clock_ns() - start_ns;
    if (ret < 0)
        record_error(pipeline, ret);
    return NULL;
}

int resr_pipeline_start(ResrPipeline **out, ResrDecoder *decoder, ResrSink *sink,
                        const ResrPlan *plan, int64_t max_frames, const char *framehash)
{
    int ret = resr_alloc(out, 1, sizeof **out);
    if (ret < 0)
        return ret;
    ResrPipeline *pipeline = *out;
    pipeline->decoder = decoder;
    pipeline->sink = sink;
    pipeline->plan = plan;
    pipeline->max_frames = max_frames;
    pipeline->framehash_path = framehash;
    pthread_mutex_init(&pipeline->lock, NULL);
    sem_init(&pipeline->credits, 0, (unsigned)plan->pool_frames);
    ret = resr_queue_create(&pipeline->decoded, (size_t)plan->pool_frames);
    if (ret == 0)
        ret = resr_queue_create(&pipeline->encode, (size_t)plan->pool_frames);
    if (ret == 0 && framehash[0] && !(pipeline->framehash = fopen(framehash, "we")))
        ret = resr_fail(RESR_ERR_EXISTS, "%s: cannot be created: %s", framehash, strerror(errno));
    if (ret == 0) {
        pipeline->decode_started =
            pthread_create(&pipeline->decode_thread, NULL, decode_main, pipeline) == 0;
        pipeline->encode_started =
            pthread_create(&pipeline->encode_thread, NULL, encode_main, pipeline) == 0;
        if (!pipeline->decode_started || !pipeline->encode_started)
            ret = resr_fail(RESR_ERR_INTERNAL,
                            "the decoder's and encoder's threads cannot be started");
    }
    if (ret < 0) {
        resr_pipeline_stop(pipeline);
        *out = NULL;
    }
    return ret;
}

ResrFrame *resr_pipeline_next(ResrPipeline *pipeline)
{
    return resr_queue_try_pop(pipeline->decoded);
}

bool resr_pipeline_at_end(ResrPipeline *pipeline)
{
    return pipeline->decode_ended && resr_queue_length(pipeline->decoded) == 0;
}

void resr_pipeline_give(ResrPipeline *pipeline, ResrFrame *frame)
{
    if (!resr_queue_try_push(pipeline->encode, frame))
        resr_frame_free(frame);
}

int64_t resr_pipeline_encoded(const ResrPipeline *pipeline)
{
    return pipeline->encoded;
}

int resr_pipeline_status(ResrPipeline *pipeline)
{
    pthread_mutex_lock(&pipeline->lock);
    int status = pipeline->status;
    if (status < 0)
        resr_fail(status, "%s", pipeline->error);
    pthread_mutex_unlock(&pipeline->lock);
    return status;
}

int resr_pipeline_finish(ResrPipeline *pipeline)
{
    resr_queue_close(pipeline->encode);
    if (pipeline->encode_started)
        pthread_join(pipeline->encode_thread, NULL);
    pipeline->encode_started = false;
    return resr_pipeline_status(pipeline);
}

void resr_pipeline_seconds(const ResrPipeline *pipeline, double *decode, double *encode)
{
    *decode = (double)pipeline->decode_ns * 1e-9;
    *encode = (double)pipeline->encode_ns * 1e-9;
}

static void free_frame(void *item)
{
    resr_frame_free(item);
}

void resr_pipeline_stop(ResrPipeline *pipeline)
{
    if (!pipeline)
        return;
    pipeline->stop = true;
    if (pipeline->decoded)
        resr_queue_close(pipeline->decoded);
    if (pipeline->encode)
        resr_queue_close(pipeline->encode);
    sem_post(&pipeline->credits);
    if (pipeline->decode_started)
        pthread_join(pipeline->decode_thread, NULL);
    if (pipeline->encode_started)
        pthread_join(pipeline->encode_thread, NULL);
    resr_queue_destroy(pipeline->decoded, free_frame);
    resr_queue_destroy(pipeline->encode, free_frame);
    if (pipeline->framehash)
        fclose(pipeline->framehash);
    sem_destroy(&pipeline->credits);
    pthread_mutex_destroy(&pipeline->lock);
    free(pipeline);
}
