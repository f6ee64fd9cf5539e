#include "mpi/launch.h"

#include <mpi.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/stop.h"
#include "mpi/idle.h"
#include "mpi/transport.h"
#include "net/cuda.h"

void resr_launch_starting(void (*hangs)(int signal))
{
    signal(SIGALRM, hangs);
    alarm(resr_stop_signal() ? RESR_DRAIN_SECONDS : RESR_START_UP_SECONDS);
}

void resr_launch_stopping(void)
{
    unsigned left = alarm(RESR_DRAIN_SECONDS);
    if (left < RESR_DRAIN_SECONDS) /* 0: nothing starts */
        alarm(left);
}

void resr_launch_started(void)
{
    alarm(0);
    signal(SIGALRM, SIG_DFL);
}

void resr_launch_announce(void *data, size_t bytes)
{
    MPI_Request request;
    ResrIdle idle = {0};
    int done = 0;
    MPI_Ibcast(data, (int)bytes, MPI_BYTE, 0, MPI_COMM_WORLD, &request);
    while (MPI_Test(&request, &done, MPI_STATUS_IGNORE), !done)
        resr_idle_turn(&idle, false, false);
}

void resr_launch_broadcast(void *data, size_t bytes)
{
    char *next = data;
    while (bytes > 0) {
        int piece = (int)(bytes < RESR_MESSAGE_PIECE_BYTES ? bytes : RESR_MESSAGE_PIECE_BYTES);
        MPI_Bcast(next, piece, MPI_BYTE, 0, MPI_COMM_WORLD);
        next += piece;
        bytes -= (size_t)piece;
    }
}

int resr_launch_share_status(int status)
{
    resr_launch_broadcast(&status, sizeof status);
    return status;
}

int resr_launch_broadcast_model(ResrModel **model, int transport)
{
    int rank, lowest;
    ResrNetSpec spec = {0};
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (rank == 0)
        spec = (*model)->spec;
    resr_launch_broadcast(&spec, sizeof spec);
    int status = rank == 0 ? 0 : resr_model_create(model, &spec);
    MPI_Allreduce(&status, &lowest, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    if (lowest < 0)
        return status < 0 ? status
                          : resr_fail(lowest, "a rank has no memory for the network's weights");
    size_t bytes = (*model)->arena_floats * sizeof *(*model)->arena;
    if (transport == RESR_TRANSPORT_NCCL) {
        int ret = resr_transport_weights((*model)->arena, bytes);
        return ret < 0 ? ret : resr_transport_open_link();
    }
    resr_launch_broadcast((*model)->arena, bytes);
    return 0;
}

int resr_launch_threads(int *cpus)
{
    MPI_Comm node;
    cpu_set_t own, *all = NULL;
    int rank, size, sharing = 0;
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
    MPI_Comm_rank(node, &rank);
    MPI_Comm_size(node, &size);
    resr_cuda_backend_set_place(rank, size);
    CPU_ZERO(&own);
    if (sched_getaffinity(0, sizeof own, &own) != 0 || CPU_COUNT(&own) == 0)
        CPU_SET(0, &own);
    *cpus = CPU_COUNT(&own);
    if (resr_alloc(&all, (size_t)size, sizeof *all) < 0) {
        MPI_Comm_free(&node);
        return 1;
    }
    MPI_Allgather(&own, sizeof own, MPI_BYTE, all, sizeof own, MPI_BYTE, node);
    for (int i = 0; i < size; i++) {
        cpu_set_t common;
        CPU_AND(&common, &own, &all[i]);
        sharing += CPU_COUNT(&common) > 0;
    }
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    if (rank == 0 && *cpus == 1 && online > size)
        resr_log_warn("this rank may use 1 of %ld CPUs; pass --bind-to none (or --map-by "
                      "slot:PE=%ld) to mpirun to use them all",
                      online, online / size);
    free(all);
    MPI_Comm_free(&node);
    return *cpus > sharing ? *cpus / sharing : 1;
}

void resr_launch_gather(ResrRankInfo *all, const ResrRankInfo *own)
{
    MPI_Gather(own, sizeof *own, MPI_BYTE, all, sizeof *own, MPI_BYTE, 0, MPI_COMM_WORLD);
}

void resr_launch_gather_status(int *statuses, char *texts, int status)
{
    char text[RESR_ERROR_TEXT_BYTES] = {0};
    if (status < 0)
        memcpy(text, resr_error_text(), strlen(resr_error_text()));
    MPI_Gather(&status, 1, MPI_INT, statuses, 1, MPI_INT, 0, MPI_COMM_WORLD);
    MPI_Gather(text, sizeof text, MPI_BYTE, texts, sizeof text, MPI_BYTE, 0, MPI_COMM_WORLD);
}
