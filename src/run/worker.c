#include "run/worker.h"

#include <signal.h>
#include <time.h>

#include "base/clock.h"
#include "comm/backoff.h"
#include "comm/endpoint.h"
#include "run/segment_gather.h"
#include "run/trace_collect.h"

#define WAKE_UP_NS 200000000

typedef struct Worker {
    ResrCompute *compute;
    ResrEndpoint *mail;
    double deadline_seconds;
    int64_t heard_ns, told_ns; /* of rank 0; to rank 0 */
    int64_t turn_ns;           /* the loop's last turn */
    ResrSegmentGather *gather; /* NULL: rank 0 encodes, or this rank does not compute */
    int rank, peers, said_bye; /* peers: other workers, if this rank exchanges frames with them */
    bool stopping;
    ResrMessage *goodbye; /* to be sent when the events were */
    ResrEventCursor events;
} Worker;

/* Tells rank 0 that this rank runs, and how far it is. */
static int send_alive(Worker *worker)
{
    ResrMessage *message;
    int ret = resr_message_create(&message, RESR_WIRE_ALIVE);
    if (ret < 0)
        return ret;
    message->header.progress = worker->compute ? resr_compute_progress(worker->compute) : 0;
    if (worker->gather)
        message->header.progress += resr_segment_gather_progress(worker->gather);
    worker->told_ns = resr_clock_ns();
    return resr_endpoint_send(worker->mail, 0, message);
}

/* Says which frames of `part`, or of all parts if its attempt is 0, will not be computed. */
static int give_back(Worker *worker, const ResrPart *part)
{
    ResrMessage *message;
    ResrPart rest;
    int ret = 0;
    while (ret == 0 && worker->compute && resr_compute_recall(worker->compute, part, &rest)) {
        ret = resr_message_create(&message, RESR_WIRE_RETURN);
        if (ret < 0)
            return ret;
        message->header.part = rest;
        ret = resr_endpoint_send(worker->mail, 0, message);
        if (part->attempt > 0)
            break;
    }
    return ret;
}

static int handle(Worker *worker, ResrMessage *message, int rank)
{
    if (rank == 0)
        worker->heard_ns = resr_clock_ns();
    if (message->header.kind == RESR_WIRE_STOP) {
        worker->stopping = true;
        message->header.kind = RESR_WIRE_BYE;
        worker->goodbye = message;
        if (worker->compute)
            resr_compute_end_idle(worker->compute);
        return 0;
    }
    if (message->header.kind == RESR_WIRE_WORK && worker->compute)
        return resr_compute_push(worker->compute, message);
    if (message->header.kind == RESR_WIRE_RESULT && worker->gather) {
        resr_segment_gather_take(worker->gather, message);
        return 0;
    }
    if (message->header.kind == RESR_WIRE_END && worker->gather)
        resr_segment_gather_end(worker->gather, message->header.progress);
    worker->said_bye += message->header.kind == RESR_WIRE_BYE;
    int ret =
        message->header.kind == RESR_WIRE_RECALL ? give_back(worker, &message->header.part) : 0;
    resr_message_free(message);
    return ret;
}

/* Sends what the compute thread and the encoders have made. *active: there was something. */
static int send_results(Worker *worker, bool *active)
{
    ResrMessage *message = worker->compute ? resr_compute_poll(worker->compute) : NULL;
    int ret = 0;
    if (message && worker->gather && message->header.kind == RESR_WIRE_RESULT)
        ret = resr_segment_gather_route(worker->gather, worker->mail, message);
    else if (message)
        ret = resr_endpoint_send(worker->mail, 0, message);
    *active = *active || message;
    return ret == 0 && worker->gather ? resr_segment_gather_send(worker->gather, worker->mail)
                                      : ret;
}

/* What this rank has recorded for --trace, then its goodbye: to the other workers too, so that none
 * leaves while frames are on their way to it, which the next video would take for its own. */
static int take_leave(Worker *worker, const ResrPlan *plan)
{
    bool done;
    int ret = resr_trace_collect_send(worker->mail, &worker->events, &done);
    if (ret < 0 || !done)
        return ret;
    ResrMessage *goodbye = worker->goodbye;
    worker->goodbye = NULL;
    ret = resr_endpoint_send(worker->mail, 0, goodbye);
    for (int i = 1; worker->peers > 0 && i < plan->ranks && ret == 0; i++) {
        if (i == worker->rank)
            continue;
        ret = resr_message_create(&goodbye, RESR_WIRE_BYE);
        if (ret == 0)
            ret = resr_endpoint_send(worker->mail, i, goodbye);
    }
    return ret;
}

/* A process that was stopped is often woken only to be ended: mpirun sends SIGCONT, SIGTERM and
 * then SIGKILL. It must not touch MPI meanwhile: a message from a rank that is gone makes Open MPI
 * abort once more, in which mpirun may hang. */
static int wake_up(const Worker *worker, const volatile int *stop_signal)
{
    if (resr_clock_seconds_since(worker->turn_ns) < worker->deadline_seconds / 2)
        return 0;
    nanosleep(&(struct timespec){0, WAKE_UP_NS}, NULL);
    return *stop_signal == SIGTERM
               ? resr_fail(RESR_ERR_STOPPED, "told to end after it had been stopped")
               : 0;
}

/* Rank 0 speaks at least as often as this rank does. After this process itself was stopped for a
 * while there is nothing to be said of rank 0 yet. */
static int check_root(Worker *worker)
{
    if (resr_clock_seconds_since(worker->turn_ns) > worker->deadline_seconds / 2)
        worker->heard_ns = resr_clock_ns();
    worker->turn_ns = resr_clock_ns();
    double silent = resr_clock_seconds_since(worker->heard_ns);
    if (silent < 2 * worker->deadline_seconds || worker->stopping)
        return 0;
    return resr_fail(RESR_ERR_STOPPED,
                     "rank 0 has not been heard of for %.0f s: the job ends here; run the same "
                     "command again to go on",
                     silent);
}

int resr_worker_run(ResrCompute *compute, const ResrPlan *plan, int rank,
                    const volatile int *stop_signal)
{
    Worker worker = {.compute = compute,
                     .rank = rank,
                     .deadline_seconds = plan->deadline_seconds,
                     .heard_ns = resr_clock_ns(),
                     .turn_ns = resr_clock_ns()};
    ResrMessage *message;
    ResrBackoff idle = {0};
    int sender;
    worker.peers = plan->encode_ranks ? plan->ranks - 2 : 0;
    int ret = resr_endpoint_create(&worker.mail, 0, plan->encode_ranks ? plan->ranks - 1 : 0, plan);
    if (ret == 0 && plan->encode_ranks && compute)
        ret = resr_segment_gather_start(&worker.gather, plan, rank);
    while (ret == 0 && (!worker.stopping || worker.goodbye || worker.said_bye < worker.peers ||
                        resr_endpoint_sending(worker.mail) > 0)) {
        ret = wake_up(&worker, stop_signal);
        if (ret < 0)
            break;
        ret = resr_endpoint_poll(worker.mail, &message, &sender);
        bool active = resr_endpoint_active(worker.mail) || message;
        if (message)
            ret = handle(&worker, message, sender);
        if (ret == 0 && !worker.stopping)
            ret = send_results(&worker, &active);
        if (ret == 0 && !worker.stopping &&
            resr_clock_seconds_since(worker.told_ns) >= resr_plan_heartbeat_seconds(plan))
            ret = send_alive(&worker);
        if (ret == 0 && worker.goodbye)
            ret = take_leave(&worker, plan);
        if (ret == 0)
            ret = check_root(&worker);
        resr_backoff_wait(&idle, active, resr_endpoint_moving(worker.mail));
    }
    resr_message_free(worker.goodbye);
    resr_segment_gather_free(worker.gather);
    if (ret == 0)
        resr_endpoint_free(worker.mail);
    return ret; /* on failure the exchange stays as it is: there is no orderly way out */
}
