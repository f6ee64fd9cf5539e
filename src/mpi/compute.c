#include "mpi/compute.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/events.h"
#include "base/memory.h"
#include "base/queue.h"
#include "net/simulate.h"
#include "net/upscale.h"

struct ResrCompute {
    const ResrOps *ops;
    const ResrModel *model;
    const ResrPlan *plan;
    int threads;
    pthread_t thread;
    bool started;
    sem_t ready;
    int status; /* of the start, valid once `ready` was posted */
    char error[RESR_ERROR_TEXT_BYTES];
    size_t workspace_bytes;
    volatile int stop;
    int held; /* messages that were pushed and not taken back; of the caller's thread */
    atomic_llong progress;
    atomic_llong idle_since_ns; /* for --trace; 0: it computes, or nothing is recorded */
    ResrQueue *work, *done;
};

/* Begins with a frame of a part, which is freed. */
static int submit_frame(ResrCompute *compute, ResrUpscaler *upscaler, ResrFrame **in)
{
    int ret = resr_frame_verify(*in, &compute->plan->input);
    if (ret == 0)
        ret = resr_upscaler_submit(upscaler, *in, &compute->stop);
    if (ret < 0)
        return ret;
    resr_frame_free(*in);
    *in = NULL;
    return 0;
}

static int collect_frame(ResrCompute *compute, ResrUpscaler *upscaler, ResrFrame **out)
{
    int ret = resr_upscaler_collect(upscaler, out);
    if (ret < 0)
        return ret;
    resr_frame_hash((*out)->hash, &compute->plan->output, *out);
    compute->progress++;
    return 0;
}

/* Upscales the frames of a part; on success `message` holds the results. A frame is collected when
 * the next one was submitted, so that a GPU always has work. */
static int run_part(ResrCompute *compute, ResrUpscaler *upscaler, ResrMessage *message)
{
    int count = message->header.part.count, ret = 0;
    for (int i = 0; ret == 0 && i <= count; i++) {
        if (i < count)
            ret = submit_frame(compute, upscaler, &message->frames[i]);
        if (ret == 0 && i > 0)
            ret = collect_frame(compute, upscaler, &message->frames[i - 1]);
    }
    return ret;
}

/* What an error left under way is no part of the next message. */
static void discard_frames(ResrUpscaler *upscaler)
{
    char error[RESR_ERROR_TEXT_BYTES]; /* the first error counts */
    snprintf(error, sizeof error, "%s", resr_error_text());
    for (int i = 0; i < RESR_FRAMES_UNDER_WAY; i++) {
        ResrFrame *frame;
        if (resr_upscaler_collect(upscaler, &frame) == 0)
            resr_frame_free(frame);
    }
    resr_fail(0, "%s", error);
}

static void fail_part(ResrMessage *message, int code)
{
    for (int i = 0; i < RESR_MAX_BATCH_FRAMES; i++) {
        resr_frame_free(message->frames[i]);
        message->frames[i] = NULL;
    }
    message->header.kind = RESR_WIRE_FAILURE;
    message->header.code = code;
    snprintf(message->header.text, sizeof message->header.text, "%s", resr_error_text());
}

/* The next part, NULL at the end. */
static ResrMessage *next_part(ResrCompute *compute)
{
    ResrMessage *message = resr_queue_try_pop(compute->work);
    if (message)
        return message;
    compute->idle_since_ns = resr_events_now();
    message = resr_queue_pop(compute->work);
    if (message)
        resr_compute_end_idle(compute);
    compute->idle_since_ns = 0;
    resr_simulation_idled();
    return message;
}

static void record_part(const ResrMessage *message, int64_t start_ns, int status)
{
    const ResrPart *part = &message->header.part;
    resr_events_add(&(ResrEvent){.start_ns = start_ns,
                                 .end_ns = resr_events_now(),
                                 .first = part->first,
                                 .frames = part->count,
                                 .peer = -1,
                                 .attempt = part->attempt,
                                 .stage = RESR_STAGE_COMPUTE,
                                 .failed = status < 0});
}

static void *compute_main(void *argument)
{
    ResrCompute *compute = argument;
    const ResrPlan *plan = compute->plan;
    ResrUpscaler *upscaler = NULL;
    compute->status =
        resr_upscaler_create(&upscaler, compute->ops, compute->model, &plan->input, &plan->output,
                             plan->tile_px, plan->tile_pad_px, compute->threads);
    if (compute->status < 0)
        snprintf(compute->error, sizeof compute->error, "%s", resr_error_text());
    else
        compute->workspace_bytes = resr_upscaler_workspace_bytes(upscaler);
    int status = compute->status;
    sem_post(&compute->ready);

    ResrMessage *message;
    while (status == 0 && (message = next_part(compute))) {
        int64_t start_ns = resr_clock_ns();
        int ret = compute->stop ? RESR_ERR_STOPPED : run_part(compute, upscaler, message);
        message->header.kind = RESR_WIRE_RESULT;
        message->header.seconds = resr_clock_seconds_since(start_ns);
        record_part(message, start_ns, ret);
        if (ret < 0) {
            discard_frames(upscaler);
            fail_part(message, ret);
        }
        if (!resr_queue_push(compute->done, message))
            resr_message_free(message);
    }
    resr_upscaler_free(upscaler);
    return NULL;
}

int resr_compute_start(ResrCompute **out, const ResrOps *ops, const ResrModel *model,
                       const ResrPlan *plan, int threads)
{
    int ret = resr_alloc(out, 1, sizeof **out);
    if (ret < 0)
        return ret;
    ResrCompute *compute = *out;
    compute->ops = ops;
    compute->model = model;
    compute->plan = plan;
    compute->threads = threads;
    sem_init(&compute->ready, 0, 0);
    /* Twice the room: parts that were given up may still lie there. */
    ret = resr_queue_create(&compute->work, 2 * RESR_PARTS_IN_FLIGHT);
    if (ret == 0)
        ret = resr_queue_create(&compute->done, 2 * RESR_PARTS_IN_FLIGHT);
    if (ret == 0 && pthread_create(&compute->thread, NULL, compute_main, compute) != 0)
        ret = resr_fail(RESR_ERR_INTERNAL, "the compute thread cannot be started");
    if (ret == 0) {
        compute->started = true;
        while (sem_wait(&compute->ready) != 0) {
            /* interrupted by a signal */
        }
        if (compute->status < 0)
            ret = resr_fail(compute->status, "%s", compute->error);
    }
    if (ret < 0) {
        resr_compute_stop(compute);
        *out = NULL;
    }
    return ret;
}

size_t resr_compute_workspace_bytes(const ResrCompute *compute)
{
    return compute->workspace_bytes;
}

void resr_compute_push(ResrCompute *compute, ResrMessage *work)
{
    compute->held++;
    if (!resr_queue_push(compute->work, work))
        resr_message_free(work);
}

static ResrMessage *take_back(ResrCompute *compute, ResrQueue *queue)
{
    ResrMessage *message = resr_queue_try_pop(queue);
    compute->held -= message != NULL;
    return message;
}

ResrMessage *resr_compute_poll(ResrCompute *compute)
{
    return take_back(compute, compute->done);
}

ResrMessage *resr_compute_recall(ResrCompute *compute)
{
    return take_back(compute, compute->work);
}

bool resr_compute_busy(const ResrCompute *compute)
{
    return compute->held > 0;
}

int64_t resr_compute_progress(const ResrCompute *compute)
{
    return compute->progress;
}

void resr_compute_end_idle(const ResrCompute *compute)
{
    int64_t since_ns = compute->idle_since_ns;
    if (since_ns)
        resr_events_add(&(ResrEvent){.start_ns = since_ns,
                                     .end_ns = resr_events_now(),
                                     .peer = -1,
                                     .stage = RESR_STAGE_IDLE});
}

static void free_message(void *item)
{
    resr_message_free(item);
}

void resr_compute_stop(ResrCompute *compute)
{
    if (!compute)
        return;
    compute->stop = 1;
    if (compute->work)
        resr_queue_close(compute->work);
    if (compute->done)
        resr_queue_close(compute->done);
    if (compute->started)
        pthread_join(compute->thread, NULL);
    resr_queue_destroy(compute->work, free_message);
    resr_queue_destroy(compute->done, free_message);
    sem_destroy(&compute->ready);
    free(compute);
}
