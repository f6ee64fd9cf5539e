#include "mpi/coordinator.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "job/progress.h"
#include "mpi/idle.h"
#include "mpi/mail.h"
#include "mpi/schedule.h"

/* Frames between decoder and encoder, found by index modulo the pool's size: never more than the
 * pool are there, and they are consecutive. */
typedef struct Window {
    int64_t size;
    ResrFrame **waiting; /* decoded, not sent */
    ResrFrame **done;    /* upscaled, waiting for their turn */
} Window;

struct ResrCoordinator {
    ResrPipeline *pipeline;
    ResrCompute *compute;
    const ResrPlan *plan;
    const ResrOptions *options;
    ResrRankInfo *ranks;
    ResrReport *report;
    ResrMail *mail; /* NULL when rank 0 is alone */
    ResrScheduler *scheduler;
    Window window;
    int64_t decoded, delivered; /* frames taken from the decoder, given to the encoder */
    int64_t encoded;
    int byes;
    int broken; /* the exchange's first error */
};

static int send_part(ResrCoordinator *c, const ResrPart *part, int rank)
{
    ResrMessage *message;
    int ret = resr_message_create(&message, RESR_WIRE_WORK);
    if (ret < 0)
        return ret;
    message->header.part = *part;
    for (int i = 0; i < part->count; i++) {
        ResrFrame **slot = &c->window.waiting[(part->first + i) % c->window.size];
        message->frames[i] = *slot;
        *slot = NULL;
    }
    if (rank != 0)
        return resr_mail_send(c->mail, rank, message);
    resr_message_seal(message);
    resr_compute_push(c->compute, message);
    return 0;
}

/* Takes what the decoder has and sends what can be sent. */
static int feed(ResrCoordinator *c, bool *active)
{
    ResrFrame *frame;
    ResrPart part;
    int rank, ret = 0;
    while ((frame = resr_pipeline_next(c->pipeline))) {
        c->window.waiting[frame->index % c->window.size] = frame;
        c->decoded = frame->index + 1;
        *active = true;
    }
    resr_scheduler_update(c->scheduler, c->decoded, resr_pipeline_at_end(c->pipeline));
    while (ret == 0 && resr_scheduler_next(c->scheduler, &part, &rank)) {
        ret = send_part(c, &part, rank);
        *active = true;
    }
    return ret;
}

static int take_result(ResrCoordinator *c, ResrMessage *message, int rank)
{
    const ResrPart *part = &message->header.part;
    resr_scheduler_done(c->scheduler, rank);
    c->ranks[rank].frames += part->count;
    c->ranks[rank].parts++;
    c->ranks[rank].compute_seconds += message->header.seconds;
    for (int i = 0; i < part->count; i++) {
        int64_t index = message->frames[i]->index;
        ResrFrame **slot =
            &c->window.done[((index % c->window.size) + c->window.size) % c->window.size];
        if (index < c->delivered || index >= c->decoded || *slot)
            return resr_fail(RESR_ERR_INTERNAL, "rank %d returned frame %" PRId64 " out of turn",
                             rank, index);
        *slot = message->frames[i];
        message->frames[i] = NULL;
    }
    return resr_report_part(c->report, part, rank, message->header.seconds);
}

/* Handles a message from a worker, or from rank 0's own compute thread; frees it. */
static int handle(ResrCoordinator *c, ResrMessage *message, int rank)
{
    int ret = 0;
    switch (message->header.kind) {
    case RESR_WIRE_RESULT:
        ret = take_result(c, message, rank);
        break;
    case RESR_WIRE_FAILURE:
        ret = resr_fail(message->header.code, "rank %d on %s: %s", rank, c->ranks[rank].host,
                        message->header.text);
        break;
    case RESR_WIRE_BYE:
        c->byes++;
        break;
    default:
        ret = resr_fail(RESR_ERR_DATA, "rank %d sent a message of kind %u", rank,
                        message->header.kind);
    }
    resr_message_free(message);
    return ret;
}

static int collect(ResrCoordinator *c, bool *active)
{
    ResrMessage *message = NULL;
    int rank = 0, ret = 0;
    if (c->mail)
        ret = c->broken = resr_mail_poll(c->mail, &message, &rank);
    if (c->mail && resr_mail_active(c->mail))
        *active = true;
    if (ret == 0 && message)
        ret = handle(c, message, rank);
    while (ret == 0 && c->compute && (message = resr_compute_poll(c->compute))) {
        *active = true;
        ret = handle(c, message, 0);
    }
    ResrFrame **slot = &c->window.done[c->delivered % c->window.size];
    while (ret == 0 && *slot) {
        resr_pipeline_give(c->pipeline, *slot);
        *slot = NULL;
        slot = &c->window.done[++c->delivered % c->window.size];
        *active = true;
    }
    return ret;
}

static int run_loop(ResrCoordinator *c, const volatile int *stop_signal)
{
    ResrProgress progress;
    ResrIdle idle = {0};
    int ret = 0;
    resr_progress_start(&progress, c->options->progress, c->plan->frames_estimate);
    while (ret == 0) {
        bool active = false;
        ret = feed(c, &active);
        if (ret == 0)
            ret = collect(c, &active);
        if (ret == 0)
            ret = resr_pipeline_status(c->pipeline);
        if (ret == 0 && *stop_signal)
            ret = resr_fail(RESR_ERR_STOPPED, "stopped by signal %d; no output was written",
                            *stop_signal);
        if (ret == 0 && resr_pipeline_at_end(c->pipeline) && c->delivered == c->decoded)
            break;
        resr_progress_update(&progress, resr_pipeline_encoded(c->pipeline));
        resr_idle_turn(&idle, active);
    }
    if (ret == 0)
        ret = resr_pipeline_finish(c->pipeline);
    c->encoded = resr_pipeline_encoded(c->pipeline);
    resr_progress_end(&progress, c->encoded);
    return ret;
}

int resr_coordinator_create(ResrCoordinator **out, ResrCompute *compute, const ResrPlan *plan,
                            const ResrOptions *options, ResrRankInfo *ranks, ResrReport *report)
{
    int *computing = NULL, n = 0;
    int ret = resr_alloc(out, 1, sizeof **out);
    if (ret < 0)
        return ret;
    ResrCoordinator *c = *out;
    c->compute = compute;
    c->plan = plan;
    c->options = options;
    c->ranks = ranks;
    c->report = report;
    c->window.size = plan->pool_frames;
    if (plan->ranks > 1)
        ret = resr_mail_create(&c->mail, 1, plan->ranks - 1, &plan->output);
    if (ret == 0)
        ret = resr_alloc(&computing, (size_t)plan->ranks, sizeof *computing);
    for (int i = 0; ret == 0 && i < plan->ranks; i++)
        if (ranks[i].threads > 0)
            computing[n++] = i;
    if (ret == 0)
        ret = resr_scheduler_create(&c->scheduler, plan, options->schedule, computing, n);
    free(computing);
    if (ret == 0)
        ret = resr_alloc(&c->window.waiting, (size_t)c->window.size, sizeof(ResrFrame *));
    if (ret == 0)
        ret = resr_alloc(&c->window.done, (size_t)c->window.size, sizeof(ResrFrame *));
    return ret;
}

int resr_coordinator_run(ResrCoordinator *c, ResrPipeline *pipeline,
                         const volatile int *stop_signal)
{
    c->pipeline = pipeline;
    int ret = run_loop(c, stop_signal);
    if (ret == 0 && c->decoded != c->encoded)
        ret = resr_fail(RESR_ERR_INTERNAL,
                        "%" PRId64 " frames were decoded but %" PRId64 " were delivered",
                        c->decoded, c->encoded);
    return ret;
}

void resr_coordinator_ledger(const ResrCoordinator *c, int64_t *frames_in, int64_t *frames_out)
{
    *frames_in = c->decoded;
    *frames_out = c->encoded;
}

static int dismiss_workers(ResrCoordinator *c)
{
    ResrIdle idle = {0};
    ResrMessage *message;
    int rank, ret = c->broken;
    for (int i = 1; i < c->plan->ranks && ret == 0; i++) {
        ret = resr_message_create(&message, RESR_WIRE_STOP);
        if (ret == 0)
            ret = resr_mail_send(c->mail, i, message);
    }
    while (ret == 0 && (c->byes < c->plan->ranks - 1 || resr_mail_sending(c->mail) > 0)) {
        ret = resr_mail_poll(c->mail, &message, &rank);
        if (message && message->header.kind == RESR_WIRE_BYE)
            c->byes++;
        resr_message_free(message);
        resr_idle_turn(&idle, resr_mail_active(c->mail));
    }
    return ret;
}

int resr_coordinator_dismiss(ResrCoordinator *c)
{
    int ret = 0;
    if (!c)
        return 0;
    if (c->mail) {
        ret = dismiss_workers(c);
        if (ret == 0)
            resr_mail_free(c->mail);
    }
    for (int64_t i = 0; i < c->window.size; i++) {
        resr_frame_free(c->window.waiting ? c->window.waiting[i] : NULL);
        resr_frame_free(c->window.done ? c->window.done[i] : NULL);
    }
    free(c->window.waiting);
    free(c->window.done);
    resr_scheduler_free(c->scheduler);
    free(c);
    return ret;
}
