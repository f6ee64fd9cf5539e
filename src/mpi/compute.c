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

/* A part that is here: its first `begun` frames are begun, those from `keep` on were recalled. */
typedef struct Held {
    ResrMessage *message;
    int begun, keep;
} Held;

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
    atomic_int outstanding; /* messages that were pushed and will come back */
    atomic_llong progress;
    atomic_llong idle_since_ns; /* for --trace; 0: it computes, or nothing is recorded */
    ResrQueue *done;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t pushed;
    bool computing; /* the first part that is held is in the thread's hands */
    int held_count;
    Held held[2 * RESR_PARTS_IN_FLIGHT]; /* what was given up may still be computed */
};

/* Begins with frames of a part, which are freed. */
static int submit_frames(ResrCompute *compute, ResrUpscaler *upscaler, ResrFrame **in, int count)
{
    int ret = 0;
    for (int i = 0; ret == 0 && i < count; i++)
        ret = resr_frame_verify(in[i], &compute->plan->input);
    if (ret == 0)
        ret = resr_upscaler_submit(upscaler, in, count, &compute->stop);
    for (int i = 0; ret == 0 && i < count; i++) {
        resr_frame_free(in[i]);
        in[i] = NULL;
    }
    return ret;
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

/* Up to `count` frames of the first part, from `first` on, are begun now; returns how many: others
 * were recalled. */
static int begin_frames(ResrCompute *compute, int first, int count)
{
    pthread_mutex_lock(&compute->lock);
    int kept = compute->held[0].keep - first;
    count = kept < count ? kept : count;
    compute->held[0].begun += count;
    pthread_mutex_unlock(&compute->lock);
    return count;
}

static void let_go(ResrCompute *compute, int i)
{
    memmove(&compute->held[i], &compute->held[i + 1],
            (size_t)(--compute->held_count - i) * sizeof(Held));
}

/* The first part is done: how many of its frames were kept. */
static int end_part(ResrCompute *compute)
{
    pthread_mutex_lock(&compute->lock);
    int keep = compute->held[0].keep;
    compute->computing = false;
    let_go(compute, 0);
    pthread_mutex_unlock(&compute->lock);
    return keep;
}

/* Upscales the frames of a part, as long as they are not recalled; on success `message` holds the
 * results. Frames are collected when the next group was submitted, so that a GPU always has work.
 */
static int run_part(ResrCompute *compute, ResrUpscaler *upscaler, ResrMessage *message)
{
    int count = message->header.part.count, group = resr_upscaler_group(upscaler), ret = 0;
    for (int first = 0, done = 0; ret == 0 && done < count; first += group) {
        int begun = first < count ? begin_frames(compute, first, group) : 0;
        if (first < count && begun < group)
            count = first + begun;
        if (begun > 0)
            ret = submit_frames(compute, upscaler, &message->frames[first], begun);
        for (; ret == 0 && done < first && done < count; done++)
            ret = collect_frame(compute, upscaler, &message->frames[done]);
    }
    return ret;
}

/* What an error left under way is no part of the next message. */
static void discard_frames(ResrUpscaler *upscaler)
{
    char error[RESR_ERROR_TEXT_BYTES]; /* the first error counts */
    snprintf(error, sizeof error, "%s", resr_error_text());
    ResrFrame *frame;
    while (resr_upscaler_collect(upscaler, &frame) < 0 || frame)
        resr_frame_free(frame);
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
    pthread_mutex_lock(&compute->lock);
    if (compute->held_count == 0) {
        compute->idle_since_ns = resr_events_now();
        while (compute->held_count == 0 && !compute->stop)
            pthread_cond_wait(&compute->pushed, &compute->lock);
        if (!compute->stop)
            resr_compute_end_idle(compute);
        compute->idle_since_ns = 0;
        resr_simulation_idled();
    }
    compute->computing = !compute->stop;
    ResrMessage *message = compute->stop ? NULL : compute->held[0].message;
    pthread_mutex_unlock(&compute->lock);
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
    resr_simulation_watch(&compute->stop);
    sem_post(&compute->ready);

    ResrMessage *message;
    while (status == 0 && (message = next_part(compute))) {
        int64_t start_ns = resr_clock_ns();
        int ret = run_part(compute, upscaler, message);
        message->header.part.count = end_part(compute);
        if (message->header.part.count == 0) {
            compute->outstanding--;
            resr_message_free(message);
            continue;
        }
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
    resr_simulation_watch(NULL);
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
    pthread_mutex_init(&compute->lock, NULL);
    pthread_cond_init(&compute->pushed, NULL);
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
    compute->outstanding++;
    pthread_mutex_lock(&compute->lock);
    compute->held[compute->held_count++] = (Held){work, 0, work->header.part.count};
    pthread_cond_signal(&compute->pushed);
    pthread_mutex_unlock(&compute->lock);
}

ResrMessage *resr_compute_poll(ResrCompute *compute)
{
    ResrMessage *message = resr_queue_try_pop(compute->done);
    compute->outstanding -= message != NULL;
    return message;
}

bool resr_compute_recall(ResrCompute *compute, const ResrPart *part, ResrPart *rest)
{
    bool found = false;
    pthread_mutex_lock(&compute->lock);
    for (int i = 0; i < compute->held_count && !found; i++) {
        Held *held = &compute->held[i];
        const ResrPart *here = &held->message->header.part;
        found = part->attempt > 0 ? here->first == part->first && here->attempt == part->attempt
                                  : held->keep > held->begun;
        if (!found)
            continue;
        *rest = *here;
        rest->first += held->begun;
        rest->count = held->keep - held->begun;
        held->keep = held->begun;
        if (i > 0 || !compute->computing) {
            resr_message_free(held->message);
            compute->outstanding--;
            let_go(compute, i);
        }
    }
    pthread_mutex_unlock(&compute->lock);
    return found;
}

bool resr_compute_busy(const ResrCompute *compute)
{
    return compute->outstanding > 0;
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
    pthread_mutex_lock(&compute->lock);
    compute->stop = 1;
    pthread_cond_signal(&compute->pushed);
    pthread_mutex_unlock(&compute->lock);
    if (compute->done)
        resr_queue_close(compute->done);
    if (compute->started)
        pthread_join(compute->thread, NULL);
    for (int i = 0; i < compute->held_count; i++)
        resr_message_free(compute->held[i].message);
    resr_queue_destroy(compute->done, free_message);
    sem_destroy(&compute->ready);
    pthread_cond_destroy(&compute->pushed);
    pthread_mutex_destroy(&compute->lock);
    free(compute);
}
