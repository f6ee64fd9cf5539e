/* The main loop of a worker.
 *
 * Only this thread calls MPI. A turn of the loop receives at most one message, passes WORK to the
 * compute thread, sends results, and sends a heartbeat (ALIVE, with the number of frames computed
 * and packets encoded) when one is due. Without --encode ranks a RESULT goes to rank 0 with its
 * frames; with it, segment_gather.c sends the frames to the rank that owns their segment and a
 * notice (DONE) to rank 0, and gathers the segments of this rank.
 *
 * RECALL is answered with RETURN for every part that loses its unstarted frames. After STOP the
 * worker sends its events (--trace) and then BYE: to rank 0, and with --encode ranks to all other
 * workers, whose BYE it waits for, so that no message of this job is left for the next one.
 *
 * A worker ends by itself when rank 0 is silent for two deadlines. */

#include "run/worker.h"

#include <signal.h>
#include <time.h>

#include "base/clock.h"
#include "comm/backoff.h"
#include "comm/endpoint.h"
#include "run/segment_gather.h"
#include "run/trace_collect.h"

#define RESUME_NS 200000000

typedef struct Worker {
    ResrCompute *compute;
    ResrEndpoint *endpoint;
    double deadline_seconds;
    int64_t heard_ns;          /* last message of rank 0 */
    int64_t heartbeat_sent_ns; /* to rank 0 */
    int64_t turn_ns;           /* last turn of the loop */
    ResrSegmentGather *gather; /* NULL: rank 0 encodes, or this rank does not compute */
    int rank;
    int peers, said_bye; /* other workers that this rank exchanges frames with; that have ended */
    bool stopping;
    ResrMessage *goodbye; /* sent once all events are */
    ResrEventCursor events;
} Worker;

/* Sends a heartbeat with this rank's progress. */
static int send_alive(Worker *worker)
{
    ResrMessage *message;
    int ret = resr_message_create(&message, RESR_WIRE_ALIVE);
    if (ret < 0)
        return ret;
    message->header.progress = worker->compute ? resr_compute_progress(worker->compute) : 0;
    if (worker->gather)
        message->header.progress += resr_segment_gather_progress(worker->gather);
    worker->heartbeat_sent_ns = resr_clock_ns();
    return resr_endpoint_send(worker->endpoint, 0, message);
}

/* Returns the unstarted frames of `part`, or of all parts if its attempt is 0. */
static int return_parts(Worker *worker, const ResrPart *part)
{
    ResrMessage *message;
    ResrPart rest;
    int ret = 0;
    while (ret == 0 && worker->compute && resr_compute_recall(worker->compute, part, &rest)) {
        ret = resr_message_create(&message, RESR_WIRE_RETURN);
        if (ret < 0)
            return ret;
        message->header.part = rest;
        ret = resr_endpoint_send(worker->endpoint, 0, message);
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
        resr_segment_gather_add(worker->gather, message);
        return 0;
    }
    if (message->header.kind == RESR_WIRE_END && worker->gather)
        resr_segment_gather_end(worker->gather, message->header.progress);
    worker->said_bye += message->header.kind == RESR_WIRE_BYE;
    int ret =
        message->header.kind == RESR_WIRE_RECALL ? return_parts(worker, &message->header.part) : 0;
    resr_message_free(message);
    return ret;
}

/* Sends results and finished segments; sets *active if a result was ready. */
static int send_results(Worker *worker, bool *active)
{
    ResrMessage *message = worker->compute ? resr_compute_poll(worker->compute) : NULL;
    int ret = 0;
    if (message && worker->gather && message->header.kind == RESR_WIRE_RESULT)
        ret = resr_segment_gather_route(worker->gather, worker->endpoint, message);
    else if (message)
        ret = resr_endpoint_send(worker->endpoint, 0, message);
    *active = *active || message;
    return ret == 0 && worker->gather ? resr_segment_gather_send(worker->gather, worker->endpoint)
                                      : ret;
}

/* Sends events, and after the last ones the goodbye. The other workers get one, too: a worker that
 * ended with frames in transit to it would receive them in the next job. */
static int send_goodbye(Worker *worker, const ResrPlan *plan)
{
    bool done;
    int ret = resr_trace_collect_send(worker->endpoint, &worker->events, &done);
    if (ret < 0 || !done)
        return ret;
    ResrMessage *goodbye = worker->goodbye;
    worker->goodbye = NULL;
    ret = resr_endpoint_send(worker->endpoint, 0, goodbye);
    for (int i = 1; worker->peers > 0 && i < plan->ranks && ret == 0; i++) {
        if (i == worker->rank)
            continue;
        ret = resr_message_create(&goodbye, RESR_WIRE_BYE);
        if (ret == 0)
            ret = resr_endpoint_send(worker->endpoint, i, goodbye);
    }
    return ret;
}

/* A suspended process is often resumed only to be ended: mpirun sends SIGCONT, SIGTERM and then
 * SIGKILL. It must not call MPI in between: a message from a rank that has ended makes Open MPI
 * abort a second time, and mpirun may hang in that. */
static int check_suspension(const Worker *worker, const volatile sig_atomic_t *stop_signal)
{
    if (resr_clock_seconds_since(worker->turn_ns) < worker->deadline_seconds / 2)
        return 0;
    nanosleep(&(struct timespec){0, RESUME_NS}, NULL);
    return *stop_signal == SIGTERM
               ? resr_fail(RESR_ERR_STOPPED, "told to end after it had been stopped")
               : 0;
}

/* Rank 0 sends heartbeats at the same interval. After this process was suspended, the wait for
 * rank 0 starts again. */
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
                     "command again to resume",
                     silent);
}

int resr_worker_run(ResrCompute *compute, const ResrPlan *plan, int rank,
                    const volatile sig_atomic_t *stop_signal)
{
    Worker worker = {.compute = compute,
                     .rank = rank,
                     .deadline_seconds = plan->deadline_seconds,
                     .heard_ns = resr_clock_ns(),
                     .turn_ns = resr_clock_ns()};
    ResrMessage *message;
    ResrBackoff backoff = {0};
    int sender;
    worker.peers = plan->encode_ranks ? plan->ranks - 2 : 0;
    int ret =
        resr_endpoint_create(&worker.endpoint, 0, plan->encode_ranks ? plan->ranks - 1 : 0, plan);
    if (ret == 0 && plan->encode_ranks && compute)
        ret = resr_segment_gather_start(&worker.gather, plan, rank);
    while (ret == 0 && (!worker.stopping || worker.goodbye || worker.said_bye < worker.peers ||
                        resr_endpoint_sending(worker.endpoint) > 0)) {
        ret = check_suspension(&worker, stop_signal);
        if (ret < 0)
            break;
        ret = resr_endpoint_poll(worker.endpoint, &message, &sender);
        bool active = resr_endpoint_active(worker.endpoint) || message;
        if (message)
            ret = handle(&worker, message, sender);
        if (ret == 0 && !worker.stopping)
            ret = send_results(&worker, &active);
        if (ret == 0 && !worker.stopping &&
            resr_clock_seconds_since(worker.heartbeat_sent_ns) >= resr_plan_heartbeat_seconds(plan))
            ret = send_alive(&worker);
        if (ret == 0 && worker.goodbye)
            ret = send_goodbye(&worker, plan);
        if (ret == 0)
            ret = check_root(&worker);
        resr_backoff_wait(&backoff, active, resr_endpoint_moving(worker.endpoint));
    }
    resr_message_free(worker.goodbye);
    resr_segment_gather_free(worker.gather);
    if (ret == 0)
        resr_endpoint_free(worker.endpoint);
    return ret; /* after a failure the exchange cannot be closed in order */
}
