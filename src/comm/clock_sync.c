#include "comm/clock_sync.h"

#include <mpi.h>
#include <time.h>

/* endpoint.c uses tags 1 and 2. */
enum { TAG_PING = 3, TAG_PONG = 4 };

#define ROUNDS 32 /* the first one wakes the other rank and is not counted */
#define TURN_SLEEP_NS 200000

/* Rank 0: measures the clock of `rank`. The answer is made some time within the round trip, so half
 * of the trip bounds the error of its middle. Clocks that may be equal, as on one machine, are
 * assumed to be equal. */
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
    int arrived = 0;
    int64_t ns;
    while (!arrived) {
        MPI_Iprobe(0, TAG_PING, MPI_COMM_WORLD, &arrived, MPI_STATUS_IGNORE);
        if (!arrived)
            nanosleep(&(struct timespec){0, TURN_SLEEP_NS}, NULL);
    }
    for (int i = 0; i < ROUNDS; i++) {
        MPI_Recv(&ns, 1, MPI_INT64_T, 0, TAG_PING, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        ns = resr_clock_ns();
        MPI_Send(&ns, 1, MPI_INT64_T, 0, TAG_PONG, MPI_COMM_WORLD);
    }
}

void resr_clock_sync(ResrTrace *trace, int rank, int ranks)
{
    if (!resr_events_on())
        return;
    for (int i = 1; rank == 0 && i < ranks; i++)
        measure(trace, i);
    if (rank > 0)
        answer();
}
