/* The compute thread of a rank.
 *
 *   push     the main thread appends a WORK message to `held`
 *   advance  the thread submits groups of frames to the upscaler, at most its depth, then waits for
 *            the first group. With a GPU the next group is always submitted before one is waited
 *            for, also if it is of the next part, so that the device works while frames travel
 *   recall   the main thread reduces `keep` of a part to the number of started frames; a part
 *            without started frames is removed
 *   poll     the main thread takes finished messages from the queue `done`
 *
 * A part is waiting, in hand (one of the first `in_hand` of `held`: the thread uses its message and
 * `collected`), or finished. `lock` protects the fields below it, and `started` and `keep` of all
 * parts. After an error all parts in hand fail, except those that are complete. */

#include "run/compute.h"

#include <assert.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/events.h"
#include "base/flag.h"
#include "base/memory.h"
#include "base/queue.h"
#include "net/simulate.h"
#include "net/upscale.h"

/* A part on this rank: its first `started` frames are started, those from `keep` on were recalled.
 * Only the thread uses the other fields. */
typedef struct Held {
    ResrMessage *message;
    int started, keep;
    int collected; /* number of its frames that the upscaler has finished */
    int64_t start_ns;
} Held;

/* The thread's view of the upscaler: the groups of frames that are submitted and not collected. */
typedef struct Flow {
    ResrUpscaler *upscaler;
    int groups, count[RESR_GROUPS_IN_FLIGHT];
    int64_t ended_ns; /* end of the last part */
    double macs;      /* computed until then */
    bool final;       /* the last error would occur on every rank: no retry */
} Flow;

struct ResrCompute {
    const ResrOps *ops;
    const ResrModel *model;
    const ResrPlan *plan;
    int threads;
    pthread_t thread;
    bool started;
    sem_t ready;
    int status; /* of the start, valid after `ready` is posted */
    char error[RESR_ERROR_TEXT_BYTES];
    size_t workspace_bytes;
    atomic_bool stop;
    atomic_int outstanding; /* messages that were pushed and not polled or recalled */
    atomic_llong progress;
    atomic_llong idle_since_ns; /* for --trace; 0: the thread computes, or nothing is recorded */
    ResrQueue *done;
    pthread_mutex_t lock; /* of the fields below */
    pthread_cond_t pushed;
    int in_hand; /* the first parts of `held`, which the thread works on */
    int held_count;
    Held held[2 * RESR_PARTS_IN_FLIGHT]; /* a cancelled part may still be computed */
};

/* Submits frames of a part and frees them. */
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

/* Discards frames of a failed message that the backend has not finished, so that they are not
 * returned with the next one. */
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

static void remove_locked(ResrCompute *compute, int i)
{
    assert(i < compute->held_count && compute->in_hand < compute->held_count);
    memmove(&compute->held[i], &compute->held[i + 1],
            (size_t)(--compute->held_count - i) * sizeof(Held));
}

/* Waits for a part. */
static void wait_for_part_locked(ResrCompute *compute)
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

/* Chooses the part whose frames start next, with at most `parts` in hand: the last one in hand or a
 * new one. Waits if there is no part at all; else NULL if no frames can start now. */
static Held *start_frames(ResrCompute *compute, int parts, int *first, int *count)
{
    Held *held = NULL;
    pthread_mutex_lock(&compute->lock);
    if (compute->in_hand == 0)
        wait_for_part_locked(compute);
    if (compute->in_hand > 0)
        held = &compute->held[compute->in_hand - 1];
    if (!held || held->started == held->keep)
        held = compute->in_hand < compute->held_count && compute->in_hand < parts
                   ? &compute->held[compute->in_hand++]
                   : NULL;
    if (compute->stop)
        held = NULL;
    if (held) {
        *first = held->started;
        if (*count > held->keep - held->started)
            *count = held->keep - held->started;
        held->started += *count;
    }
    pthread_mutex_unlock(&compute->lock);
    return held;
}

/* Ends the first part with a result or a failure, and queues its message. */
static void end_part(ResrCompute *compute, Flow *flow, int status)
{
    Held *held = &compute->held[0];
    ResrMessage *message = held->message;
    int64_t start_ns = held->start_ns > flow->ended_ns ? held->start_ns : flow->ended_ns;
    flow->ended_ns = resr_clock_ns();
    message->header.kind = RESR_WIRE_RESULT;
    message->header.seconds = (double)(flow->ended_ns - start_ns) * 1e-9;
    double macs = resr_upscaler_computed_macs(flow->upscaler);
    message->header.macs = macs - flow->macs;
    flow->macs = macs;
    pthread_mutex_lock(&compute->lock);
    message->header.part.count = held->keep;
    compute->in_hand--;
    remove_locked(compute, 0);
    pthread_mutex_unlock(&compute->lock);
    record_part(message, start_ns, status);
    if (status < 0)
        fail_part(message, status, flow->final);
    if (!resr_queue_push(compute->done, message))
        resr_message_free(message);
}

/* Are all frames of the first part, or all before a recall, collected? */
static bool is_complete(ResrCompute *compute)
{
    pthread_mutex_lock(&compute->lock);
    bool complete = compute->in_hand > 0 && compute->held[0].collected == compute->held[0].keep;
    pthread_mutex_unlock(&compute->lock);
    return complete;
}

/* Waits for the frames of the first group, which belong to the first part. */
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

/* After an error: finishes the `parts` parts before the failed one, if possible; the failed part
 * and all others in hand fail. */
static void fail_parts(ResrCompute *compute, Flow *flow, int parts, int status)
{
    char error[RESR_ERROR_TEXT_BYTES]; /* of the first error */
    bool final = flow->final;
    resr_error_save(error);
    for (int left = compute->in_hand - parts; compute->in_hand > left && flow->groups > 0;)
        if (collect_group(compute, flow) < 0)
            break;
    if (is_complete(compute)) /* by a recall */
        end_part(compute, flow, 0);
    discard_frames(flow->upscaler);
    flow->groups = 0;
    flow->final = final;
    while (compute->in_hand > 0) {
        resr_error_restore(status, error);
        end_part(compute, flow, status);
    }
}

/* Submits a group if possible, else (or if the upscaler is full) waits for the first group. */
static void advance(ResrCompute *compute, Flow *flow)
{
    int depth = resr_upscaler_depth(flow->upscaler), ret = 0;
    int first = 0, count = resr_upscaler_group(flow->upscaler);
    if (is_complete(compute)) { /* by a recall */
        end_part(compute, flow, 0);
        return;
    }
    Held *held = flow->groups < depth ? start_frames(compute, depth, &first, &count) : NULL;
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
    compute->status = resr_upscaler_create(&upscaler, compute->ops, compute->model, &plan->input,
                                           &plan->output, plan->tile, compute->threads);
    if (compute->status < 0)
        resr_error_save(compute->error);
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
    *compute = (ResrCompute){.ops = ops, .model = model, .plan = plan, .threads = threads};
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
            ret = resr_error_restore(compute->status, compute->error);
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
                                  : held->keep > held->started;
        if (!found)
            continue;
        *rest = *here;
        rest->first += held->started;
        rest->count = held->keep - held->started;
        held->keep = held->started;
        if (i >= compute->in_hand) {
            resr_message_free(held->message);
            compute->outstanding--;
            remove_locked(compute, i);
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
    resr_flag_raise(&compute->stop, &compute->lock, &compute->pushed);
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
