/* The main loop of rank 0.
 *
 * Only this thread calls MPI. It never waits for a thread or a rank: a turn of the loop
 *  - accepts the decoder's frames into the reorder buffer, which holds at most the pool (feed);
 *  - sends the parts that the scheduler hands out, and recalls the parts that it wants back (feed);
 *  - handles at most one message of a worker, and all messages of its own compute thread (collect);
 *  - passes frames on to the encoder's thread in order (deliver);
 *  - once per heartbeat sends ALIVE to the ranks that are not SILENT, and excludes ranks that hang
 *    (periodic_tasks);
 * and then backs off, if nothing happened.
 *
 * The scheduler (sched/schedule.h) decides which part goes where; rank_health.h, which ranks are in
 * use; the delivery (delivery.h), which rank receives the frames of a part and when a frame can
 * leave the reorder buffer. A decoded frame stays in the buffer until its result has arrived, or
 * with --encode ranks until its segment is durable, so that it can be computed again. A part may be
 * computed twice, by a slow rank and by another one: the first result counts, and the scheduler is
 * asked only for frames that are still needed.
 *
 * The loop ends when every decoded frame has left the buffer. The encoder's thread then finishes
 * the output, while messages, heartbeats and signals are still handled (finish_output). After a
 * signal (begin_stop) no part is sent; with a checkpoint, the loop waits for the parts that are
 * being computed, because their frames can be kept. resr_coordinator_shutdown() exchanges STOP and
 * BYE with all ranks that answer. */

#include "run/coordinator.h"

#include <assert.h>
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
#include "run/deliver_in_order.h"
#include "run/deliver_segments.h"
#include "run/rank_health.h"

struct ResrCoordinator {
    ResrCoordinatorConfig config;
    ResrEndpoint *endpoint; /* NULL when rank 0 is alone */
    ResrScheduler *scheduler;
    ResrRankHealth health;
    ResrBottleneck bottleneck;
    ResrReorderBuffer frames;
    ResrDelivery *delivery;
    bool *said_bye; /* by rank */
    int64_t encoded, restored;
    int64_t heartbeat_sent_ns;
    int64_t first_sent_ns, last_result_ns, cpu_ns; /* cpu: of this thread while it ran the job */
    bool stopping;                                 /* a signal has arrived */
    bool broken;                                   /* a message was damaged */
    bool decoded_reported;
};

static const ResrPart all_parts = {.attempt = 0}; /* for a recall */

/* A rank with one of these faults cannot end in order. */
static const unsigned hanging = RESR_RANK_SILENT | RESR_RANK_STUCK;

static bool is_needed(void *user, int64_t index)
{
    return resr_reorder_buffer_needs(&((ResrCoordinator *)user)->frames, index);
}

static int send_part(ResrCoordinator *c, const ResrPart *part, int rank)
{
    ResrMessage *message;
    int ret = resr_message_create(&message, RESR_WIRE_WORK);
    if (ret < 0)
        return ret;
    assert(part->count >= 1 && part->count <= c->config.plan->batching.batch_frames);
    message->header.part = *part;
    message->header.owner = c->delivery->ops->target_of(c->delivery, part);
    if (c->first_sent_ns == 0)
        c->first_sent_ns = c->last_result_ns = resr_clock_ns();
    for (int i = 0; i < part->count; i++)
        message->frames[i] =
            resr_frame_hold(resr_reorder_buffer_input(&c->frames, part->first + i));
    resr_rank_health_update(&c->health, rank);
    if (rank != 0)
        return resr_endpoint_send(c->endpoint, rank, message);
    resr_message_seal(message);
    return resr_compute_push(c->config.compute, message);
}

/* A rank does not compute the frames `rest`. */
static void accept_return(ResrCoordinator *c, int rank, const ResrPart *rest)
{
    resr_scheduler_return(c->scheduler, rank, rest);
    resr_rank_health_update(&c->health, rank);
}

/* Asks a rank to return the unstarted frames of a part, or of all parts (attempt 0). */
static int recall(ResrCoordinator *c, int rank, const ResrPart *part)
{
    ResrMessage *message;
    ResrPart rest;
    while (rank == 0 && c->config.compute && resr_compute_recall(c->config.compute, part, &rest)) {
        accept_return(c, 0, &rest);
        if (part->attempt > 0)
            break;
    }
    if (rank == 0)
        return 0;
    int ret = resr_message_create(&message, RESR_WIRE_RECALL);
    if (ret < 0)
        return ret;
    message->header.part = *part;
    return resr_endpoint_send(c->endpoint, rank, message);
}

/* Accepts decoded frames and sends the parts that can be sent. */
static int feed(ResrCoordinator *c, bool *active)
{
    ResrFrame *frame;
    ResrPart part;
    int rank, ret = 0;
    while (ret == 0 && (frame = resr_io_threads_next(c->config.io))) {
        *active = true;
        c->restored += frame->state != RESR_FRAME_DECODED;
        ret = c->delivery->ops->accept_input(c->delivery, frame);
    }
    bool at_end = resr_io_threads_at_end(c->config.io);
    resr_scheduler_update(c->scheduler, c->frames.decoded, at_end, resr_clock_seconds_since(0));
    if (c->config.decoded && !c->decoded_reported && at_end) {
        c->decoded_reported = true;
        c->config.decoded(c->config.user);
    }
    while (ret == 0 && !c->stopping && resr_scheduler_next(c->scheduler, &part, &rank)) {
        ret = send_part(c, &part, rank);
        *active = true;
    }
    if (ret == 0 && !c->stopping && resr_scheduler_recall(c->scheduler, &part, &rank))
        ret = recall(c, rank, &part);
    return ret;
}

/* A fault is over. A rank that is used again drops the parts that it still has. */
static int recover(ResrCoordinator *c, int rank, ResrRankFault fault)
{
    bool readmitted;
    int ret = resr_rank_health_recover(&c->health, rank, fault, &readmitted);
    return ret == 0 && readmitted ? recall(c, rank, &all_parts) : ret;
}

/* The end of a part. Late results of excluded ranks count, too, where frames are still needed. */
static int record_result(ResrCoordinator *c, ResrMessage *message, int rank)
{
    const ResrPart *part = &message->header.part;
    ResrRankInfo *info = &c->config.ranks[rank];
    bool in_flight = resr_scheduler_done(c->scheduler, rank, part);
    resr_scheduler_measure(c->scheduler, rank, part->count, message->header.seconds);
    int accepted = c->delivery->ops->record_result(c->delivery, message, rank, in_flight);
    if (accepted > 0)
        c->last_result_ns = resr_clock_ns();
    info->frames += accepted;
    info->parts++;
    info->compute_seconds += message->header.seconds;
    info->macs += message->header.macs;
    resr_rank_health_frame(&c->health, message->header.seconds / part->count);
    resr_rank_health_update(&c->health, rank);
    int ret = recover(c, rank, RESR_RANK_STUCK);
    return ret == 0 && accepted > 0
               ? resr_report_part(c->config.report, part, rank, message->header.seconds)
               : ret;
}

static int accept_result(ResrCoordinator *c, ResrMessage *message, int rank)
{
    bool ends_part;
    int ret = c->delivery->ops->route_result(c->delivery, message, rank, &ends_part);
    return ret == 0 && ends_part ? record_result(c, message, rank) : ret;
}

static bool is_complete(const ResrCoordinator *c)
{
    assert(c->frames.delivered <= c->frames.decoded);
    return resr_io_threads_at_end(c->config.io) && c->frames.delivered == c->frames.decoded;
}

/* A part, or with none the encoder of a rank, has failed. A rank whose device has failed is
 * excluded; other failures get another attempt, on any rank. */
static int accept_failure(ResrCoordinator *c, const ResrMessage *message, int rank)
{
    const ResrWireHeader *header = &message->header;
    if (header->part.count == 0 && c->health.faults[rank]) { /* its segments have other owners */
        resr_rank_health_exclude(&c->health, rank, RESR_RANK_NO_DEVICE);
        return 0;
    }
    if (header->part.count == 0)
        return resr_fail(header->code, "rank %d on %s: %s", rank, c->config.ranks[rank].host,
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
        return resr_fail(header->code, "rank %d on %s: %s", rank, c->config.ranks[rank].host,
                         header->text);
    resr_log_warn("rank %d on %s: %s; frames %" PRId64 " to %" PRId64 " are tried again", rank,
                  c->config.ranks[rank].host, header->text, part.first,
                  part.first + part.count - 1);
    resr_scheduler_requeue(c->scheduler, &part);
    if (device_lost)
        resr_rank_health_exclude(&c->health, rank, RESR_RANK_NO_DEVICE);
    return 0;
}

/* Handles a message from a worker, or from rank 0's own compute thread; frees it. */
static int handle(ResrCoordinator *c, ResrMessage *message, int rank)
{
    int ret = 0;
    resr_rank_health_heard(&c->health, rank);
    switch (message->header.kind) {
    case RESR_WIRE_RESULT:
    case RESR_WIRE_DONE:
        ret = accept_result(c, message, rank);
        break;
    case RESR_WIRE_SEGMENT:
        c->config.ranks[rank].encode_seconds = message->header.seconds;
        ret = c->delivery->ops->accept_segment(c->delivery, message);
        break;
    case RESR_WIRE_FAILURE:
        ret = accept_failure(c, message, rank);
        break;
    case RESR_WIRE_ALIVE:
        if (resr_rank_health_progress(&c->health, rank, message->header.progress))
            ret = recover(c, rank, RESR_RANK_STUCK);
        break;
    case RESR_WIRE_RETURN:
        accept_return(c, rank, &message->header.part);
        break;
    case RESR_WIRE_BYE:
        c->said_bye[rank] = true;
        break;
    default:
        ret = resr_fail(RESR_ERR_DATA, "rank %d sent a message of kind %u", rank,
                        message->header.kind);
    }
    resr_message_free(message);
    return ret < 0 ? ret : recover(c, rank, RESR_RANK_SILENT);
}

/* Frames leave the reorder buffer, in order, for the encoder's thread: computed ones, or the
 * placeholders of durable ones. */
static int deliver(ResrCoordinator *c, bool *active)
{
    ResrFrame *frame;
    int ret = c->delivery->ops->advance(c->delivery, active);
    while (ret == 0 && (frame = resr_reorder_buffer_deliver(&c->frames))) {
        resr_io_threads_encode(c->config.io, frame);
        *active = true;
    }
    return ret;
}

static int poll_endpoint(ResrCoordinator *c, bool *active)
{
    ResrMessage *message;
    int rank;
    int ret = resr_endpoint_poll(c->endpoint, &message, &rank);
    if (ret < 0) {
        c->broken = true;
        return resr_fail_prefix(RESR_ERR_STOPPED, "run the same command again to resume: ");
    }
    if (resr_endpoint_active(c->endpoint))
        *active = true;
    return message ? handle(c, message, rank) : 0;
}

static int collect(ResrCoordinator *c, bool *active)
{
    ResrMessage *message = NULL;
    int ret = c->endpoint ? poll_endpoint(c, active) : 0;
    while (ret == 0 && c->config.compute && (message = resr_compute_poll(c->config.compute))) {
        *active = true;
        ret = handle(c, message, 0);
    }
    return ret < 0 ? ret : deliver(c, active);
}

/* Sends a message without content to every rank that has none of `faults`. */
static int broadcast(ResrCoordinator *c, ResrWireKind kind, unsigned faults)
{
    int ret = 0;
    for (int i = 1; c->endpoint && i < c->config.plan->ranks && ret == 0; i++) {
        ResrMessage *message;
        if (c->health.faults[i] & faults)
            continue;
        ret = resr_message_create(&message, kind);
        if (ret == 0)
            ret = resr_endpoint_send(c->endpoint, i, message);
    }
    return ret;
}

/* The duties of every turn, and of every heartbeat. */
static int periodic_tasks(ResrCoordinator *c)
{
    int64_t now_ns = resr_clock_ns();
    double interval = resr_plan_heartbeat_seconds(c->config.plan);
    int ret = c->config.checkpoint ? resr_checkpoint_error(c->config.checkpoint) : 0;
    *c->config.turn_ns = now_ns;
    if (ret < 0 || (double)(now_ns - c->heartbeat_sent_ns) * 1e-9 < interval)
        return ret;
    c->heartbeat_sent_ns = now_ns;
    c->delivery->ops->plan_saving(c->delivery, c->config.ranks, resr_scheduler_live(c->scheduler));
    ret = broadcast(c, RESR_WIRE_ALIVE, RESR_RANK_SILENT);
    if (ret < 0)
        return ret;
    if (c->config.compute)
        resr_rank_health_progress(&c->health, 0, resr_compute_progress(c->config.compute));
    resr_rank_health_check(&c->health);
    if (resr_scheduler_live(c->scheduler) > 0 || is_complete(c))
        return 0;
    return resr_fail(RESR_ERR_STOPPED,
                     "no rank is left that answers; run the same command again to resume");
}

/* A signal has arrived: no part is sent any more, and unstarted frames are recalled. */
static int begin_stop(ResrCoordinator *c, int number)
{
    c->stopping = true;
    resr_io_threads_stop_decoding(c->config.io);
    int ret = recall(c, 0, &all_parts);
    if (c->config.checkpoint)
        resr_log_info("stopping after signal %d: frames that are being computed are waited for",
                      number);
    return ret < 0 ? ret : broadcast(c, RESR_WIRE_RECALL, RESR_RANK_SILENT);
}

static int stopped(const ResrCoordinator *c, int number)
{
    if (!c->config.checkpoint)
        return resr_fail(RESR_ERR_STOPPED, "stopped by signal %d; no output was written", number);
    return resr_fail(RESR_ERR_STOPPED, "stopped by signal %d; run the same command again to resume",
                     number);
}

static void show_progress(ResrCoordinator *c, ResrProgress *progress)
{
    ResrBottleneckConfig config = {.scheduler = c->scheduler,
                                   .endpoint = c->endpoint,
                                   .io = c->config.io,
                                   .checkpoint = c->config.checkpoint,
                                   .ranks = c->config.ranks,
                                   .faults = c->health.faults,
                                   .n = c->config.plan->ranks};
    if (progress->mode != RESR_PROGRESS_NONE)
        progress->limit = resr_bottleneck_sample(&c->bottleneck, &config);
    resr_progress_update(progress, resr_io_threads_encoded(c->config.io), c->restored);
}

static int run_loop(ResrCoordinator *c, ResrProgress *progress,
                    const volatile sig_atomic_t *stop_signal)
{
    ResrBackoff backoff = {0};
    int64_t stop_ns = 0;
    int ret = 0;
    while (ret == 0) {
        bool active = false;
        ret = feed(c, &active);
        if (ret == 0)
            ret = collect(c, &active);
        if (ret == 0)
            ret = resr_io_threads_status(c->config.io);
        if (ret == 0)
            ret = periodic_tasks(c);
        if (ret == 0 && *stop_signal && !c->stopping) {
            stop_ns = resr_clock_ns();
            ret = begin_stop(c, *stop_signal);
        }
        double limit = *stop_signal == SIGUSR1 ? RESR_DRAIN_NOTICE_SECONDS : RESR_DRAIN_SECONDS;
        if (ret == 0 && c->stopping &&
            (!c->config.checkpoint || resr_scheduler_in_flight(c->scheduler, -1) == 0 ||
             resr_clock_seconds_since(stop_ns) > limit))
            ret = stopped(c, *stop_signal);
        if (ret == 0 && !c->stopping && is_complete(c))
            break;
        show_progress(c, progress);
        resr_backoff_wait(&backoff, active, resr_endpoint_moving(c->endpoint));
    }
    return ret;
}

/* Waits for the output while ranks and signals are still handled. */
static int finish_output(ResrCoordinator *c, ResrProgress *progress,
                         const volatile sig_atomic_t *stop_signal)
{
    ResrBackoff backoff = {0};
    int ret = 0;
    resr_io_threads_finish(c->config.io);
    while (ret == 0 && !resr_io_threads_finished(c->config.io)) {
        bool active = false;
        ret = collect(c, &active);
        if (ret == 0)
            ret = periodic_tasks(c);
        if (ret == 0 && *stop_signal)
            ret = stopped(c, *stop_signal);
        show_progress(c, progress);
        resr_backoff_wait(&backoff, active, resr_endpoint_moving(c->endpoint));
    }
    return ret < 0 ? ret : resr_io_threads_status(c->config.io);
}

int resr_coordinator_run(ResrCoordinator *c, const volatile sig_atomic_t *stop_signal)
{
    ResrProgress progress;
    int64_t cpu_ns = resr_clock_thread_cpu_ns();
    resr_progress_start(&progress, c->config.options->progress, c->config.plan->frames_estimate);
    int ret = run_loop(c, &progress, stop_signal);
    if (ret == 0)
        ret = finish_output(c, &progress, stop_signal);
    c->encoded = resr_io_threads_encoded(c->config.io);
    c->cpu_ns = resr_clock_thread_cpu_ns() - cpu_ns;
    resr_progress_end(&progress, c->encoded, c->restored);
    if (ret == 0 && c->frames.decoded != c->encoded)
        ret = resr_fail(RESR_ERR_INTERNAL,
                        "%" PRId64 " frames were decoded but %" PRId64 " were delivered",
                        c->frames.decoded, c->encoded);
    return ret;
}

/* The tables that know which ranks compute. */
static int create_tables(ResrCoordinator *c, const int *computing, int n)
{
    const ResrPlan *plan = c->config.plan;
    int ret = resr_scheduler_create(&c->scheduler, plan, c->config.options->schedule, computing, n,
                                    is_needed, c);
    ResrDeliveryConfig delivery = {.plan = plan,
                                   .frames = &c->frames,
                                   .io = c->config.io,
                                   .checkpoint = c->config.checkpoint,
                                   .scheduler = c->scheduler,
                                   .endpoint = c->endpoint,
                                   .computing = computing,
                                   .computing_count = n};
    if (ret == 0)
        ret = plan->encode_ranks ? resr_deliver_segments_create(&c->delivery, &delivery)
                                 : resr_deliver_in_order_create(&c->delivery, &delivery);
    ResrRankHealthConfig health = {.plan = plan,
                                   .ranks = c->config.ranks,
                                   .scheduler = c->scheduler,
                                   .delivery = c->delivery,
                                   .checkpoint = c->config.checkpoint};
    return ret < 0 ? ret : resr_rank_health_create(&c->health, &health);
}

int resr_coordinator_create(ResrCoordinator **out, const ResrCoordinatorConfig *config)
{
    const ResrPlan *plan = config->plan;
    size_t ranks = (size_t)plan->ranks;
    int *computing = NULL, n = 0;
    int ret = resr_alloc(out, 1, sizeof **out);
    if (ret < 0)
        return ret;
    ResrCoordinator *c = *out;
    c->config = *config;
    ret = resr_alloc(&computing, ranks, sizeof *computing);
    for (int i = 0; ret == 0 && i < plan->ranks; i++)
        if (config->ranks[i].threads > 0)
            computing[n++] = i;
    if (ret == 0 && plan->ranks > 1)
        ret = resr_endpoint_create(&c->endpoint, 1, plan->ranks - 1, plan);
    if (ret == 0)
        ret = create_tables(c, computing, n);
    if (ret == 0)
        ret = resr_alloc(&c->said_bye, ranks, sizeof *c->said_bye);
    if (ret == 0)
        ret = resr_reorder_buffer_create(&c->frames, plan->pool_frames);
    free(computing);
    return ret;
}

void resr_coordinator_counters(const ResrCoordinator *c, int64_t *frames_in, int64_t *frames_out,
                               ResrTimes *times)
{
    times->makespan = (double)(c->last_result_ns - c->first_sent_ns) * 1e-9;
    times->scheduler = (double)c->cpu_ns * 1e-9;
    resr_endpoint_bytes(c->endpoint, &times->bytes_out, &times->bytes_in);
    *frames_in = c->frames.decoded;
    *frames_out = c->encoded;
}

/* True if every rank that does not hang has said goodbye; *all: every rank has. */
static bool all_said_bye(const ResrCoordinator *c, bool *all)
{
    bool said = true;
    *all = true;
    for (int i = 1; i < c->config.plan->ranks; i++) {
        *all = *all && c->said_bye[i];
        said = said && (c->said_bye[i] || c->health.faults[i] & hanging);
    }
    return said;
}

static void warn_of_silent(const ResrCoordinator *c, double seconds)
{
    for (int i = 1; i < c->config.plan->ranks; i++)
        if (!c->said_bye[i] && !(c->health.faults[i] & hanging))
            resr_log_warn("rank %d on %s has not been heard of for %.1f s: it is left out", i,
                          c->config.ranks[i].host, seconds);
}

static int shut_down_workers(ResrCoordinator *c, bool fast)
{
    double limit = c->config.plan->deadline_seconds;
    if (fast && limit > RESR_HURRY_SECONDS)
        limit = RESR_HURRY_SECONDS;
    ResrBackoff backoff = {0};
    int64_t start_ns = resr_clock_ns();
    bool all = false;
    if (c->broken || !c->said_bye) /* allocated last */
        return RESR_ERR_STOPPED;
    int ret = broadcast(c, RESR_WIRE_STOP, hanging);
    while (ret == 0 &&
           (!all_said_bye(c, &all) || (all && resr_endpoint_sending(c->endpoint) > 0))) {
        ResrMessage *message;
        int rank;
        ret = resr_endpoint_poll(c->endpoint, &message, &rank);
        if (ret == 0 && message && message->header.kind == RESR_WIRE_BYE)
            c->said_bye[rank] = true;
        if (ret == 0 && message)
            resr_trace_collect_add(c->config.trace, message, rank);
        resr_message_free(message);
        if (resr_clock_seconds_since(start_ns) > limit) {
            warn_of_silent(c, limit);
            break;
        }
        resr_backoff_wait(&backoff, resr_endpoint_active(c->endpoint), true);
    }
    return ret == 0 && all ? 0 : RESR_ERR_STOPPED;
}

bool resr_coordinator_root_hangs(const ResrCoordinator *c)
{
    return c->health.faults && c->health.faults[0] & hanging;
}

int resr_coordinator_shutdown(ResrCoordinator *c, bool fast)
{
    int ret = 0;
    if (!c)
        return 0;
    if (c->endpoint)
        ret = shut_down_workers(c, fast);
    if (ret == 0)
        resr_endpoint_free(c->endpoint);
    if (c->delivery)
        c->delivery->ops->free(c->delivery);
    resr_rank_health_clear(&c->health);
    resr_reorder_buffer_clear(&c->frames);
    resr_scheduler_free(c->scheduler);
    free(c->said_bye);
    free(c);
    return ret;
}
