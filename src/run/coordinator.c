#include "run/coordinator.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "comm/backoff.h"
#include "comm/endpoint.h"
#include "job/progress.h"
#include "run/bottleneck.h"
#include "run/owners.h"
#include "sched/liveness.h"
#include "sched/reorder_buffer.h"
#include "sched/schedule.h"

struct ResrCoordinator {
    ResrCoordinatorParts parts;
    ResrEndpoint *mail; /* NULL when rank 0 is alone */
    ResrScheduler *scheduler;
    ResrLiveness *liveness;
    ResrBottleneck gauge;
    ResrReorderBuffer window;
    ResrOwners *owners;    /* NULL: rank 0 encodes */
    bool *gone, *said_bye; /* by rank: found hung or failed; has ended */
    int64_t encoded, restored;
    int64_t told_ns, checked_ns;                   /* heartbeat sent; ranks looked at */
    int64_t first_sent_ns, last_result_ns, cpu_ns; /* cpu: of this thread while it ran the job */
    bool stopping, broken;                         /* a signal came; a message was damaged */
    bool told_decoded;
};

static const ResrPart all_parts = {.attempt = 0}; /* of a recall */

static bool is_needed(void *user, int64_t index)
{
    return resr_reorder_buffer_needs(&((ResrCoordinator *)user)->window, index);
}

static int send_part(ResrCoordinator *c, const ResrPart *part, int rank)
{
    ResrMessage *message;
    int ret = resr_message_create(&message, RESR_WIRE_WORK);
    if (ret < 0)
        return ret;
    message->header.part = *part;
    if (c->first_sent_ns == 0)
        c->first_sent_ns = c->last_result_ns = resr_clock_ns();
    for (int i = 0; i < part->count; i++)
        message->frames[i] =
            resr_frame_hold(resr_reorder_buffer_input(&c->window, part->first + i));
    if (c->owners)
        message->header.owner = resr_owners_of(c->owners, part);
    resr_liveness_busy(c->liveness, rank, true, resr_clock_ns());
    if (rank != 0)
        return resr_endpoint_send(c->mail, rank, message);
    resr_message_seal(message);
    return resr_compute_push(c->parts.compute, message);
}

/* A rank does not compute the frames `rest`. */
static void take_return(ResrCoordinator *c, int rank, const ResrPart *rest)
{
    resr_scheduler_return(c->scheduler, rank, rest);
    resr_liveness_busy(c->liveness, rank, resr_scheduler_in_flight(c->scheduler, rank) > 0,
                       resr_clock_ns());
}

/* Asks a rank for what it has not begun of a part, or of all (attempt 0). */
static int recall(ResrCoordinator *c, int rank, const ResrPart *part)
{
    ResrMessage *message;
    ResrPart rest;
    while (rank == 0 && c->parts.compute && resr_compute_recall(c->parts.compute, part, &rest)) {
        take_return(c, 0, &rest);
        if (part->attempt > 0)
            break;
    }
    if (rank == 0)
        return 0;
    int ret = resr_message_create(&message, RESR_WIRE_RECALL);
    if (ret < 0)
        return ret;
    message->header.part = *part;
    return resr_endpoint_send(c->mail, rank, message);
}

/* Takes what the decoder has and sends what can be sent. */
static int feed(ResrCoordinator *c, bool *active)
{
    ResrFrame *frame;
    ResrPart part;
    int rank, ret = 0;
    while (ret == 0 && (frame = resr_io_threads_next(c->parts.pipeline))) {
        *active = true;
        c->restored += frame->stage != RESR_FRAME_DECODED;
        if (c->owners)
            ret = resr_owners_take(c->owners, frame);
        else
            resr_reorder_buffer_take(&c->window, frame);
    }
    if (ret == 0 && c->owners)
        ret = resr_owners_tell_end(c->owners, c->gone);
    resr_scheduler_update(c->scheduler, c->window.decoded,
                          resr_io_threads_at_end(c->parts.pipeline), resr_clock_seconds_since(0));
    if (c->parts.decoded && !c->told_decoded && resr_io_threads_at_end(c->parts.pipeline)) {
        c->told_decoded = true;
        c->parts.decoded(c->parts.user);
    }
    while (ret == 0 && !c->stopping && resr_scheduler_next(c->scheduler, &part, &rank)) {
        ret = send_part(c, &part, rank);
        *active = true;
    }
    if (ret == 0 && !c->stopping && resr_scheduler_recall(c->scheduler, &part, &rank))
        ret = recall(c, rank, &part);
    return ret;
}

/* Takes the frames of a result that are of use, or hears that they are with their owner; returns
 * how many. */
static int64_t accept_frames(ResrCoordinator *c, ResrMessage *message, int rank)
{
    const ResrPart *part = &message->header.part;
    int64_t accepted = 0;
    for (int i = 0; i < part->count && message->frames[i]; i++) {
        ResrFrame *frame = message->frames[i];
        if (frame->index < 0 || !is_needed(c, frame->index))
            continue;
        resr_trace_collect_accept(frame->index, rank, part);
        resr_reorder_buffer_accept(&c->window, frame);
        if (c->parts.checkpoint)
            resr_checkpoint_keep(c->parts.checkpoint, frame);
        message->frames[i] = NULL;
        accepted++;
    }
    return accepted;
}

/* A rank that was given up shows that it gets on: it is used again, without what it still has. */
static int revive(ResrCoordinator *c, int rank)
{
    c->gone[rank] = false;
    resr_scheduler_readmit(c->scheduler, rank);
    int ret = c->owners ? resr_owners_revive(c->owners, rank) : 0;
    resr_log_info("rank %d on %s answers again", rank, c->parts.ranks[rank].host);
    return ret < 0 ? ret : recall(c, rank, &all_parts);
}

/* Late answers of ranks that were given up are taken where they are still of use. */
static int take_result(ResrCoordinator *c, ResrMessage *message, int rank)
{
    const ResrPart *part = &message->header.part;
    ResrRankInfo *info = &c->parts.ranks[rank];
    int64_t accepted;
    bool was_in_flight = resr_scheduler_done(c->scheduler, rank, part);
    resr_scheduler_measure(c->scheduler, rank, part->count, message->header.seconds);
    accepted = c->owners ? resr_owners_note(c->owners, rank, &message->header, was_in_flight)
                         : accept_frames(c, message, rank);
    if (accepted > 0)
        c->last_result_ns = resr_clock_ns();
    info->frames += accepted;
    info->parts++;
    info->compute_seconds += message->header.seconds;
    resr_liveness_frame(c->liveness, message->header.seconds / part->count);
    resr_liveness_busy(c->liveness, rank, resr_scheduler_in_flight(c->scheduler, rank) > 0,
                       resr_clock_ns());
    int ret = c->gone[rank] ? revive(c, rank) : 0;
    return ret == 0 && accepted > 0
               ? resr_report_part(c->parts.report, part, rank, message->header.seconds)
               : ret;
}

/* The rank is given up: its parts go to others. */
static int lose_rank(ResrCoordinator *c, int rank, bool silent)
{
    resr_scheduler_exclude(c->scheduler, rank);
    if (c->owners)
        resr_owners_lose(c->owners, rank, silent);
    resr_liveness_busy(c->liveness, rank, false, resr_clock_ns());
    if (c->parts.checkpoint)
        resr_checkpoint_record_hang(c->parts.checkpoint, c->parts.ranks[rank].host, rank);
    bool complete =
        resr_io_threads_at_end(c->parts.pipeline) && c->window.delivered == c->window.decoded;
    if (resr_scheduler_live(c->scheduler) > 0 || complete)
        return 0;
    return resr_fail(RESR_ERR_STOPPED,
                     "no rank is left that answers; run the same command again to go on");
}

/* A part failed: a device that failed is out, anything else gets another attempt elsewhere. */
static int take_failure(ResrCoordinator *c, const ResrMessage *message, int rank)
{
    const ResrWireHeader *header = &message->header;
    if (header->part.count == 0 && c->gone[rank])
        return 0; /* its segments are others' */
    if (header->part.count == 0)
        return resr_fail(header->code, "rank %d on %s: %s", rank, c->parts.ranks[rank].host,
                         header->text);
    if (!resr_scheduler_done(c->scheduler, rank, &header->part))
        return 0;
    if (header->code == RESR_ERR_STOPPED && c->stopping)
        return 0;
    bool device_lost = header->code == RESR_ERR_DEVICE;
    bool last = device_lost && resr_scheduler_live(c->scheduler) == 1;
    ResrPart part = header->part;
    part.failures++;
    if (last || part.failures >= RESR_MAX_FAILURES)
        return resr_fail(header->code, "rank %d on %s: %s", rank, c->parts.ranks[rank].host,
                         header->text);
    resr_log_warn("rank %d on %s: %s; frames %" PRId64 " to %" PRId64 " are tried again", rank,
                  c->parts.ranks[rank].host, header->text, part.first, part.first + part.count - 1);
    resr_scheduler_requeue(c->scheduler, &part);
    return device_lost ? lose_rank(c, rank, false) : 0;
}

static int take_alive(ResrCoordinator *c, const ResrMessage *message, int rank)
{
    bool news =
        resr_liveness_progress(c->liveness, rank, message->header.progress, resr_clock_ns());
    return news && c->gone[rank] ? revive(c, rank) : 0;
}

/* Handles a message from a worker, or from rank 0's own compute thread; frees it. */
static int handle(ResrCoordinator *c, ResrMessage *message, int rank)
{
    int ret = 0;
    resr_liveness_heard(c->liveness, rank, resr_clock_ns());
    switch (message->header.kind) {
    case RESR_WIRE_RESULT:
        if (c->owners)
            ret = resr_owners_route(c->owners, message);
        if (ret == 0 && (!c->owners || rank == 0))
            ret = take_result(c, message, rank);
        break;
    case RESR_WIRE_DONE:
        ret = take_result(c, message, rank);
        break;
    case RESR_WIRE_SEGMENT:
        c->parts.ranks[rank].encode_seconds = message->header.seconds;
        ret = resr_owners_take_segment(c->owners, message);
        break;
    case RESR_WIRE_FAILURE:
        ret = take_failure(c, message, rank);
        break;
    case RESR_WIRE_ALIVE:
        ret = take_alive(c, message, rank);
        break;
    case RESR_WIRE_RETURN:
        take_return(c, rank, &message->header.part);
        break;
    case RESR_WIRE_BYE:
        c->said_bye[rank] = true;
        break;
    default:
        ret = resr_fail(RESR_ERR_DATA, "rank %d sent a message of kind %u", rank,
                        message->header.kind);
    }
    resr_message_free(message);
    return ret;
}

/* Results in order to the encoder. */
static void deliver(ResrCoordinator *c, bool *active)
{
    ResrFrame *frame;
    if (c->owners && resr_owners_settle(c->owners))
        *active = true;
    while ((frame = resr_reorder_buffer_deliver(&c->window))) {
        resr_io_threads_give(c->parts.pipeline, frame);
        *active = true;
    }
}

static int poll_mail(ResrCoordinator *c, bool *active)
{
    ResrMessage *message;
    int rank;
    int ret = resr_endpoint_poll(c->mail, &message, &rank);
    if (ret < 0) {
        c->broken = true;
        return resr_fail_prefix(RESR_ERR_STOPPED, "run the same command again to go on: ");
    }
    if (resr_endpoint_active(c->mail))
        *active = true;
    return message ? handle(c, message, rank) : 0;
}

static int collect(ResrCoordinator *c, bool *active)
{
    ResrMessage *message = NULL;
    int ret = c->mail ? poll_mail(c, active) : 0;
    while (ret == 0 && c->parts.compute && (message = resr_compute_poll(c->parts.compute))) {
        *active = true;
        ret = handle(c, message, 0);
    }
    if (ret == 0)
        deliver(c, active);
    return ret;
}

/* A message of no content to every rank that is there. */
static int tell_all(ResrCoordinator *c, ResrWireKind kind)
{
    int ret = 0;
    for (int i = 1; c->mail && i < c->parts.plan->ranks && ret == 0; i++) {
        ResrMessage *message;
        if (c->gone[i])
            continue;
        ret = resr_message_create(&message, kind);
        if (ret == 0)
            ret = resr_endpoint_send(c->mail, i, message);
    }
    return ret;
}

/* Who does not answer, or does not get on? Silent ranks first: others may wait for their frames. */
static int check_ranks(ResrCoordinator *c, int64_t now_ns)
{
    double gap = (double)(now_ns - c->checked_ns) * 1e-9;
    int ret = 0, ranks = c->parts.plan->ranks;
    resr_liveness_heard(c->liveness, 0, now_ns);
    if (c->checked_ns && gap > c->parts.plan->deadline_seconds / 2) /* this process was stopped */
        resr_liveness_restart(c->liveness, ranks, now_ns);
    c->checked_ns = now_ns;
    if (c->parts.compute)
        resr_liveness_progress(c->liveness, 0, resr_compute_progress(c->parts.compute), now_ns);
    for (int turn = 0; turn < 2 * ranks && ret == 0; turn++) {
        int i = turn % ranks;
        bool silent, computes = c->parts.ranks[i].threads > 0;
        if (i > 0)
            resr_liveness_busy(c->liveness, i,
                               resr_scheduler_in_flight(c->scheduler, i) > 0 ||
                                   (c->owners && resr_owners_wait_for(c->owners, i)),
                               now_ns);
        double seconds = c->gone[i] ? 0 : resr_liveness_overdue(c->liveness, i, &silent, now_ns);
        if (seconds <= 0 || (turn < ranks && !silent))
            continue;
        resr_log_warn("rank %d on %s %s for %.1f s: it is left out%s", i, c->parts.ranks[i].host,
                      silent ? "has not been heard of" : "has not finished a frame", seconds,
                      computes ? ", and its frames go to others" : "");
        if (computes)
            ret = lose_rank(c, i, silent);
        c->gone[i] = true;
    }
    return ret;
}

/* What is due from time to time. */
static int keep_house(ResrCoordinator *c)
{
    int64_t now_ns = resr_clock_ns();
    double beat = resr_plan_heartbeat_seconds(c->parts.plan);
    int ret = c->parts.checkpoint ? resr_checkpoint_error(c->parts.checkpoint) : 0;
    *c->parts.turn_ns = now_ns;
    if (ret < 0 || (double)(now_ns - c->told_ns) * 1e-9 < beat)
        return ret;
    c->told_ns = now_ns;
    if (c->parts.checkpoint && !c->owners)
        resr_checkpoint_decide_batch_files(c->parts.checkpoint, c->parts.plan, c->parts.ranks,
                                           resr_scheduler_live(c->scheduler));
    ret = tell_all(c, RESR_WIRE_ALIVE);
    return ret < 0 ? ret : check_ranks(c, now_ns);
}

/* A signal asked to stop: nothing more is handed out, what was not begun comes back. */
static int begin_stop(ResrCoordinator *c, int number)
{
    c->stopping = true;
    resr_io_threads_stop_decoding(c->parts.pipeline);
    int ret = recall(c, 0, &all_parts);
    if (c->parts.checkpoint)
        resr_log_info("stopping after signal %d: frames that are being computed are waited for",
                      number);
    return ret < 0 ? ret : tell_all(c, RESR_WIRE_RECALL);
}

static int stopped(const ResrCoordinator *c, int number)
{
    if (!c->parts.checkpoint)
        return resr_fail(RESR_ERR_STOPPED, "stopped by signal %d; no output was written", number);
    return resr_fail(RESR_ERR_STOPPED, "stopped by signal %d; run the same command again to go on",
                     number);
}

static void show_progress(ResrCoordinator *c, ResrProgress *progress)
{
    ResrBottleneckParts parts = {c->scheduler,   c->mail, c->parts.pipeline,   c->parts.checkpoint,
                                 c->parts.ranks, c->gone, c->parts.plan->ranks};
    if (progress->mode != RESR_PROGRESS_NONE)
        progress->limit = resr_bottleneck_sample(&c->gauge, &parts);
    resr_progress_update(progress, resr_io_threads_encoded(c->parts.pipeline), c->restored);
}

static int run_loop(ResrCoordinator *c, ResrProgress *progress, const volatile int *stop_signal)
{
    ResrBackoff idle = {0};
    int64_t stop_ns = 0;
    int ret = 0;
    while (ret == 0) {
        bool active = false;
        ret = feed(c, &active);
        if (ret == 0)
            ret = collect(c, &active);
        if (ret == 0)
            ret = resr_io_threads_status(c->parts.pipeline);
        if (ret == 0)
            ret = keep_house(c);
        if (ret == 0 && *stop_signal && !c->stopping) {
            stop_ns = resr_clock_ns();
            ret = begin_stop(c, *stop_signal);
        }
        double limit = *stop_signal == SIGUSR1 ? RESR_DRAIN_NOTICE_SECONDS : RESR_DRAIN_SECONDS;
        if (ret == 0 && c->stopping &&
            (!c->parts.checkpoint || resr_scheduler_in_flight(c->scheduler, -1) == 0 ||
             resr_clock_seconds_since(stop_ns) > limit))
            ret = stopped(c, *stop_signal);
        if (ret == 0 && !c->stopping && resr_io_threads_at_end(c->parts.pipeline) &&
            c->window.delivered == c->window.decoded)
            break;
        show_progress(c, progress);
        resr_backoff_wait(&idle, active, resr_endpoint_moving(c->mail));
    }
    return ret;
}

/* The encoder finishes the output; ranks and signals are still looked after. */
static int finish_output(ResrCoordinator *c, ResrProgress *progress,
                         const volatile int *stop_signal)
{
    ResrBackoff idle = {0};
    int ret = 0;
    resr_io_threads_finish(c->parts.pipeline);
    while (ret == 0 && !resr_io_threads_finished(c->parts.pipeline)) {
        bool active = false;
        ret = collect(c, &active);
        if (ret == 0)
            ret = keep_house(c);
        if (ret == 0 && *stop_signal)
            ret = stopped(c, *stop_signal);
        show_progress(c, progress);
        resr_backoff_wait(&idle, active, resr_endpoint_moving(c->mail));
    }
    return ret < 0 ? ret : resr_io_threads_status(c->parts.pipeline);
}

int resr_coordinator_run(ResrCoordinator *c, const volatile int *stop_signal)
{
    ResrProgress progress;
    int64_t cpu_ns = resr_clock_thread_cpu_ns();
    resr_progress_start(&progress, c->parts.options->progress, c->parts.plan->frames_estimate);
    int ret = run_loop(c, &progress, stop_signal);
    if (ret == 0)
        ret = finish_output(c, &progress, stop_signal);
    c->encoded = resr_io_threads_encoded(c->parts.pipeline);
    c->cpu_ns = resr_clock_thread_cpu_ns() - cpu_ns;
    resr_progress_end(&progress, c->encoded, c->restored);
    if (ret == 0 && c->window.decoded != c->encoded)
        ret = resr_fail(RESR_ERR_INTERNAL,
                        "%" PRId64 " frames were decoded but %" PRId64 " were delivered",
                        c->window.decoded, c->encoded);
    return ret;
}

/* The bookkeeping of the ranks that compute. */
static int create_tables(ResrCoordinator *c)
{
    const ResrPlan *plan = c->parts.plan;
    int *computing = NULL, n = 0;
    int ret = resr_alloc(&computing, (size_t)plan->ranks, sizeof *computing);
    for (int i = 0; ret == 0 && i < plan->ranks; i++)
        if (c->parts.ranks[i].threads > 0)
            computing[n++] = i;
    if (ret == 0)
        ret = resr_scheduler_create(&c->scheduler, plan, c->parts.options->schedule, computing, n,
                                    is_needed, c);
    ResrOwnersParts parts = {plan,         &c->window, c->parts.pipeline, c->parts.checkpoint,
                             c->scheduler, c->mail};
    if (ret == 0 && plan->encode_ranks)
        ret = resr_owners_create(&c->owners, &parts, computing, n);
    free(computing);
    return ret;
}

int resr_coordinator_create(ResrCoordinator **out, const ResrCoordinatorParts *parts)
{
    const ResrPlan *plan = parts->plan;
    double computed, useful;
    int ret = resr_alloc(out, 1, sizeof **out);
    if (ret < 0)
        return ret;
    ResrCoordinator *c = *out;
    size_t ranks = (size_t)plan->ranks;
    c->parts = *parts;
    resr_plan_frame_macs(plan, &computed, &useful);
    if (plan->ranks > 1)
        ret = resr_endpoint_create(&c->mail, 1, plan->ranks - 1, plan);
    if (ret == 0)
        ret = create_tables(c);
    if (ret == 0)
        ret = resr_liveness_create(&c->liveness, plan->ranks, plan->deadline_seconds,
                                   RESR_DEADLINE_FRAMES * computed * 2 / RESR_SLOWEST_FLOPS,
                                   resr_clock_ns());
    if (ret == 0)
        ret = resr_alloc(&c->gone, ranks, sizeof *c->gone);
    if (ret == 0)
        ret = resr_alloc(&c->said_bye, ranks, sizeof *c->said_bye);
    return ret == 0 ? resr_reorder_buffer_create(&c->window, plan->pool_frames) : ret;
}

void resr_coordinator_ledger(const ResrCoordinator *c, int64_t *frames_in, int64_t *frames_out,
                             ResrTimes *times)
{
    times->makespan = (double)(c->last_result_ns - c->first_sent_ns) * 1e-9;
    times->scheduler = (double)c->cpu_ns * 1e-9;
    resr_endpoint_bytes(c->mail, &times->bytes_out, &times->bytes_in);
    *frames_in = c->window.decoded;
    *frames_out = c->encoded;
}

/* Every rank but those that are given up has said goodbye. */
static bool all_said_bye(const ResrCoordinator *c, bool *all)
{
    bool said = true;
    *all = true;
    for (int i = 1; i < c->parts.plan->ranks; i++) {
        *all = *all && c->said_bye[i];
        said = said && (c->said_bye[i] || c->gone[i]);
    }
    return said;
}

static void tell_silent(const ResrCoordinator *c, double seconds)
{
    for (int i = 1; i < c->parts.plan->ranks; i++)
        if (!c->said_bye[i] && !c->gone[i])
            resr_log_warn("rank %d on %s has not been heard of for %.1f s: it is left out", i,
                          c->parts.ranks[i].host, seconds);
}

static int dismiss_workers(ResrCoordinator *c, bool hurry)
{
    double limit = c->parts.plan->deadline_seconds;
    if (hurry && limit > RESR_HURRY_SECONDS)
        limit = RESR_HURRY_SECONDS;
    ResrBackoff idle = {0};
    int64_t start_ns = resr_clock_ns();
    bool all = false;
    int ret = c->broken ? RESR_ERR_STOPPED : tell_all(c, RESR_WIRE_STOP);
    while (ret == 0 && (!all_said_bye(c, &all) || (all && resr_endpoint_sending(c->mail) > 0))) {
        ResrMessage *message;
        int rank;
        ret = resr_endpoint_poll(c->mail, &message, &rank);
        if (ret == 0 && message && message->header.kind == RESR_WIRE_BYE)
            c->said_bye[rank] = true;
        if (ret == 0 && message)
            resr_trace_collect_take(c->parts.trace, message, rank);
        resr_message_free(message);
        if (resr_clock_seconds_since(start_ns) > limit) {
            tell_silent(c, limit);
            break;
        }
        resr_backoff_wait(&idle, resr_endpoint_active(c->mail), true);
    }
    return ret == 0 && all ? 0 : RESR_ERR_STOPPED;
}

bool resr_coordinator_gave_up_root(const ResrCoordinator *c)
{
    return c->gone && c->gone[0];
}

int resr_coordinator_dismiss(ResrCoordinator *c, bool hurry)
{
    int ret = 0;
    if (!c)
        return 0;
    if (c->mail)
        ret = dismiss_workers(c, hurry);
    if (ret == 0)
        resr_endpoint_free(c->mail);
    resr_owners_free(c->owners);
    resr_reorder_buffer_clear(&c->window);
    resr_scheduler_free(c->scheduler);
    resr_liveness_free(c->liveness);
    free(c->gone);
    free(c->said_bye);
    free(c);
    return ret;
}
