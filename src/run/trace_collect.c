#include "run/trace_collect.h"

#include <mpi.h>
#include <stdio.h>
#include <time.h>

#include "base/log.h"

/* endpoint.c has 1 and 2. */
enum { TAG_PING = 3, TAG_PONG = 4 };

#define ROUNDS 32          /* the first one wakes the other side */
#define MESSAGES_AT_ONCE 4 /* of events, from one rank */
#define TURN_SLEEP_NS 200000

/* Rank 0: the clock of `rank` against this one's. The answer was given some time within the round
 * trip, so its middle is wrong by half of it at most. Clocks that may be equal are taken to be:
 * those of one machine are. */
static void measure(ResrTrace *trace, int rank)
{
    int64_t best_ns = INT64_MAX, offset_ns = 0, theirs_ns = 0;
    for (int i = 0; i < ROUNDS; i++) {
        int64_t start_ns = resr_clock_ns();
        MPI_Send(&start_ns, 1, MPI_INT64_T, rank, TAG_PING, MPI_COMM_WORLD);
        MPI_Recv(&theirs_ns, 1, MPI_INT64_T, rank, TAG_PONG, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        int64_t trip_ns = resr_clock_ns() - start_ns;
        if (i > 0 && trip_ns < best_ns) {
            best_ns = trip_ns;
            offset_ns = theirs_ns - (start_ns + trip_ns / 2);
        }
    }
    int64_t half_ns = best_ns / 2 + 1, distance_ns = offset_ns < 0 ? -offset_ns : offset_ns;
    if (distance_ns <= half_ns)
        resr_trace_align(trace, rank, 0, half_ns + distance_ns);
    else
        resr_trace_align(trace, rank, offset_ns, half_ns);
}

static void answer(void)
{
    int there = 0;
    int64_t ns;
    while (!there) {
        MPI_Iprobe(0, TAG_PING, MPI_COMM_WORLD, &there, MPI_STATUS_IGNORE);
        if (!there)
            nanosleep(&(struct timespec){0, TURN_SLEEP_NS}, NULL);
    }
    for (int i = 0; i < ROUNDS; i++) {
        MPI_Recv(&ns, 1, MPI_INT64_T, 0, TAG_PING, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        ns = resr_clock_ns();
        MPI_Send(&ns, 1, MPI_INT64_T, 0, TAG_PONG, MPI_COMM_WORLD);
    }
}

void resr_trace_collect_align(ResrTrace *trace)
{
    int rank, ranks;
    if (!resr_events_on())
        return;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    for (int i = 1; rank == 0 && i < ranks; i++)
        measure(trace, i);
    if (rank > 0)
        answer();
}

void resr_trace_collect_accept(int64_t index, int rank, const ResrPart *part)
{
    int64_t now_ns = resr_events_now();
    resr_events_add(&(ResrEvent){.start_ns = now_ns,
                                 .end_ns = now_ns,
                                 .first = index,
                                 .frames = 1,
                                 .peer = rank,
                                 .attempt = part->attempt,
                                 .stage = RESR_STAGE_ACCEPT});
}

int resr_trace_collect_send(ResrEndpoint *endpoint, ResrEventCursor *cursor, bool *done)
{
    int ret = 0;
    *done = !resr_events_on();
    while (ret == 0 && !*done && resr_endpoint_sending(endpoint) < MESSAGES_AT_ONCE) {
        ResrMessage *message;
        ret = resr_message_create(&message, RESR_WIRE_TRACE);
        if (ret < 0)
            return ret;
        size_t n = resr_events_read(cursor, message->header.events, RESR_WIRE_EVENTS);
        *done = n < RESR_WIRE_EVENTS;
        message->header.part.count = (int32_t)n;
        message->header.code = *done;
        message->header.progress = resr_events_dropped();
        ret = resr_endpoint_send(endpoint, 0, message);
    }
    return ret;
}

void resr_trace_collect_take(ResrTrace *trace, const ResrMessage *message, int rank)
{
    const ResrWireHeader *header = &message->header;
    if (!trace || header->kind != RESR_WIRE_TRACE)
        return;
    resr_trace_take(trace, rank, header->events, (size_t)header->part.count);
    if (header->code)
        resr_trace_complete(trace, rank, header->progress);
}

int resr_trace_collect_finish(ResrTrace *trace, const char *path, const ResrRankInfo *ranks,
                              const char *numerics_class, ResrCompute *compute, int ret)
{
    char error[RESR_ERROR_TEXT_BYTES];
    ResrEvent some[256];
    ResrEventCursor cursor = {0};
    size_t n;
    if (!trace)
        return ret;
    if (compute)
        resr_compute_end_idle(compute);
    while ((n = resr_events_read(&cursor, some, sizeof some / sizeof *some)) > 0)
        resr_trace_take(trace, 0, some, n);
    resr_trace_complete(trace, 0, resr_events_dropped());
    snprintf(error, sizeof error, "%s", resr_error_text());
    int status = resr_trace_write(trace, path, ranks, numerics_class);
    if (ret == 0)
        return status;
    if (status < 0)
        resr_log_warn("%s", resr_error_text());
    return resr_fail(ret, "%s", error);
}
