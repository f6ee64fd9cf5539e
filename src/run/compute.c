#include "run/compute.h"

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

/* A part that is here: its first `begun` frames are begun, those from `keep` on were recalled. The
 * thread alone uses the rest. */
typedef struct Held {
    ResrMessage *message;
    int begun, keep;
    int collected; /* of its frames, from the upscaler */
    int64_t start_ns;
} Held;

/* The thread's view of the upscaler: the groups of frames that were submitted and not collected. */
typedef struct Flow {
    ResrUpscaler *upscaler;
    int groups, count[RESR_GROUPS_IN_FLIGHT];
    int64_t ended_ns; /* the last part */
    bool final;       /* the last error is one that every rank would have: no retry */
} Flow;

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
    atomic_bool stop;
    atomic_int outstanding; /* messages that were pushed and will come back */
    atomic_llong progress;
    atomic_llong idle_since_ns; /* for --trace; 0: it computes, or nothing is recorded */
    ResrQueue *done;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t pushed;
    int in_hand; /* so many of the parts that are held, the first ones, are the thread's */
    int held_count;
    Held held[2 * RESR_PARTS_IN_FLIGHT]; /* what was given up may still be computed */
};

/* Begins with frames of a part, which are freed. */
static int submit_frames(ResrCompute *compute, Flow *flow, ResrFrame **in, int count)
{
    int ret = 0;
    for (int i = 0; ret == 0 && i < count; i++)
        ret = resr_frame_verify(in[i], &compute->plan->input);
    flow->final = false;
    if (ret == 0) {
        ret = resr_upscaler_submit(flow->upscaler, in, count, &compute->stop);
        flow->final = ret == RESR_ERR_DATA;
    }
    for (int i = 0; ret == 0 && i < count; i++) {
        resr_frame_free(in[i]);
        in[i] = NULL;
    }
    return ret;
}

static int collect_frame(ResrCompute *compute, Flow *flow, ResrFrame **out)
{
    int ret = resr_upscaler_collect(flow->upscaler, out);
    flow->final = ret == RESR_ERR_DATA;
    if (ret < 0)
        return ret;
    resr_frame_hash((*out)->hash, &compute->plan->output, *out);
    compute->progress++;
    return 0;
}

/* What an error left under way is no part of the next message. */
static void discard_frames(ResrUpscaler *upscaler)
{
    ResrFrame *frame;
    while (resr_upscaler_collect(upscaler, &frame) < 0 || frame)
        resr_frame_free(frame);
}

static void fail_part(ResrMessage *message, int code, bool final)
{
    for (int i = 0; i < RESR_MAX_BATCH_FRAMES; i++) {
        resr_frame_free(message->frames[i]);
        message->frames[i] = NULL;
    }
    message->header.kind = RESR_WIRE_FAILURE;
    message->header.code = code;
    if (final)
        message->header.part.failures = RESR_MAX_FAILURES;
    snprintf(message->header.text, sizeof message->header.text, "%s", resr_error_text());
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

static void let_go(ResrCompute *compute, int i)
{
    memmove(&compute->held[i], &compute->held[i + 1],
            (size_t)(--compute->held_count - i) * sizeof(Held));
}

/* With the lock: waits for a part. */
static void wait_for_part(ResrCompute *compute)
{
    if (compute->held_count > 0 || compute->stop)
        return;
    compute->idle_since_ns = resr_events_now();
    while (compute->held_count == 0 && !compute->stop)
        pthread_cond_wait(&compute->pushed, &compute->lock);
    if (!compute->stop)
        resr_compute_end_idle(compute);
    compute->idle_since_ns = 0;
    resr_simulation_reset_debt();
}

/* The part whose frames are begun next, up to `parts` in hand: the last one in hand, or one more.
 * Waits where there is none at all; else NULL if there is none now. */
static Held *begin_frames(ResrCompute *compute, int parts, int *first, int *count)
{
    Held *held = NULL;
    pthread_mutex_lock(&compute->lock);
    if (compute->in_hand == 0)
        wait_for_part(compute);
    if (compute->in_hand > 0)
        held = &compute->held[compute->in_hand - 1];
    if (!held || held->begun == held->keep)
        held = compute->in_hand < compute->held_count && compute->in_hand < parts
                   ? &compute->held[compute->in_hand++]
                   : NULL;
    if (compute->stop)
        held = NULL;
    if (held) {
        *first = held->begun;
        if (*count > held->keep - held->begun)
            *count = held->keep - held->begun;
        held->begun += *count;
    }
    pthread_mutex_unlock(&compute->lock);
    return held;
}

/* The first part is the thread's no longer: its result, or its failure, is there. */
static void end_part(ResrCompute *compute, Flow *flow, int status)
{
    Held *held = &compute->held[0];
    ResrMessage *message = held->message;
    int64_t start_ns = held->start_ns > flow->ended_ns ? held->start_ns : flow->ended_ns;
    flow->ended_ns = resr_clock_ns();
    message->header.kind = RESR_WIRE_RESULT;
    message->header.seconds = (double)(flow->ended_ns - start_ns) * 1e-9;
    pthread_mutex_lock(&compute->lock);
    message->header.part.count = held->keep;
    compute->in_hand--;
    let_go(compute, 0);
    pthread_mutex_unlock(&compute->lock);
    record_part(message, start_ns, status);
    if (status < 0)
        fail_part(message, status, flow->final);
    if (!resr_queue_push(compute->done, message))
        resr_message_free(message);
}

/* The first part is in hand, and its frames are there: all of them, or all before a recall. */
static bool is_complete(ResrCompute *compute)
{
    pthread_mutex_lock(&compute->lock);
    bool complete = compute->in_hand > 0 && compute->held[0].collected == compute->held[0].keep;
    pthread_mutex_unlock(&compute->lock);
    return complete;
}

/* Waits for the frames of the first group, which are the first part's. */
static int collect_group(ResrCompute *compute, Flow *flow)
{
    Held *held = &compute->held[0];
    for (int i = 0; i < flow->count[0]; i++) {
        int ret = collect_frame(compute, flow, &held->message->frames[held->collected]);
        if (ret < 0)
            return ret;
        held->collected++;
    }
    memmove(flow->count, flow->count + 1, (size_t)--flow->groups * sizeof *flow->count);
    if (is_complete(compute))
        end_part(compute, flow, 0);
    return 0;
}

/* After an error: `parts` parts before the one that failed are ended first, if they can; it, and
 * all others in hand, fail. */
static void fail_parts(ResrCompute *compute, Flow *flow, int parts, int status)
{
    char error[RESR_ERROR_TEXT_BYTES]; /* the first one counts */
    bool final = flow->final;
    snprintf(error, sizeof error, "%s", resr_error_text());
    for (int left = compute->in_hand - parts; compute->in_hand > left && flow->groups > 0;)
        if (collect_group(compute, flow) < 0)
            break;
    if (is_complete(compute)) /* recalled since */
        end_part(compute, flow, 0);
    discard_frames(flow->upscaler);
    flow->groups = 0;
    flow->final = final;
    while (compute->in_hand > 0) {
        resr_fail(0, "%s", error);
        end_part(compute, flow, status);
    }
}

/* Begins what can be begun, then waits for a group. Where a GPU computes, the next group is always
 * submitted before one is waited for, be it of the next part: it has work while frames travel. */
static void advance(ResrCompute *compute, Flow *flow)
{
    int depth = resr_upscaler_depth(flow->upscaler), ret = 0;
    int first = 0, count = resr_upscaler_group(flow->upscaler);
    if (is_complete(compute)) { /* recalled since */
        end_part(compute, flow, 0);
        return;
    }
    Held *held = flow->groups < depth ? begin_frames(compute, depth, &first, &count) : NULL;
    if (held) {
        if (first == 0)
            held->start_ns = resr_clock_ns();
        ret = submit_frames(compute, flow, &held->message->frames[first], count);
        if (ret < 0) {
            fail_parts(compute, flow, compute->in_hand - 1, ret);
            return;
        }
        flow->count[flow->groups++] = count;
    }
    if (flow->groups == depth || (flow->groups > 0 && !held))
        ret = collect_group(compute, flow);
    if (ret < 0)
        fail_parts(compute, flow, 0, ret);
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

    Flow flow = {.upscaler = upscaler};
    while (status == 0 && !compute->stop)
        advance(compute, &flow);
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

int resr_compute_push(ResrCompute *compute, ResrMessage *work)
{
    const int room = sizeof compute->held / sizeof *compute->held;
    pthread_mutex_lock(&compute->lock);
    bool taken = compute->held_count < room;
    if (taken) {
        compute->outstanding++;
        compute->held[compute->held_count++] =
            (Held){.message = work, .keep = work->header.part.count};
        pthread_cond_signal(&compute->pushed);
    }
    pthread_mutex_unlock(&compute->lock);
    if (taken)
        return 0;
    resr_message_free(work);
    return resr_fail(RESR_ERR_DATA, "a rank was sent more than %d parts at once", room);
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
        if (i >= compute->in_hand) {
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
    compute->stop = true;
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
