/* Rank 0's network specification and weights, broadcast to all ranks.
 *
 * By MPI the weights are one broadcast. By NCCL they go from device to device: each rank opens its
 * device and NCCL (open_device), rank 0's NCCL id is broadcast by MPI, cuda/nccl.c broadcasts the
 * weights, and each rank compares the hash of the received weights with rank 0's, which travels by
 * MPI. After each step the ranks agree on the worst status, so that all stop at the same step. */
#include "comm/weights.h"

#include <mpi.h>
#include <stdint.h>
#include <stdlib.h>
#include <xxhash.h>

#include "comm/collectives.h"
#include "job/options.h"
#include "net/cuda.h"

/* Returns the worst status of all ranks. A rank that failed keeps its message. */
static int share_worst(int status)
{
    int worst;
    MPI_Allreduce(&status, &worst, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    if (worst < 0 && status == 0)
        return resr_fail(worst, "--transport nccl: another rank failed (its node may lack a GPU or "
                                "NCCL, or be lost); --transport mpi needs neither");
    return status < 0 ? status : worst;
}

/* The backend selects the device by the rank's place on its node, which resr_collectives_threads()
 * sets only later. */
static int open_device(void)
{
    MPI_Comm node;
    int rank, size;
    /* A kernel that waits for another rank must not block the work that rank waits for: enough
     * hardware queues, and kernels loaded in advance. */
    setenv("CUDA_DEVICE_MAX_CONNECTIONS", "32", 0);
    setenv("CUDA_MODULE_LOADING", "EAGER", 0);
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
    MPI_Comm_rank(node, &rank);
    MPI_Comm_size(node, &size);
    MPI_Comm_free(&node);
    resr_cuda_backend_set_place(rank, size);
    return share_worst(resr_cuda_backend_open_nccl());
}

/* The hash travels by MPI, so that an error of NCCL cannot change it too. */
static int verify(const float *weights, size_t bytes)
{
    uint64_t own = XXH3_64bits(weights, bytes), sent = own;
    resr_collectives_broadcast(&sent, sizeof sent);
    int status = 0;
    if (own != sent)
        status =
            resr_fail(RESR_ERR_DATA, "--transport nccl: the weights changed between the GPUs; use "
                                     "--transport mpi");
    return share_worst(status);
}

static int broadcast_by_nccl(float *weights, size_t bytes, int rank)
{
    unsigned char id[RESR_CUDA_BACKEND_ID_BYTES] = {0};
    int ranks;
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    int ret = open_device();
    if (ret == 0)
        ret = share_worst(rank == 0 ? resr_cuda_backend_nccl_id(id) : 0);
    if (ret < 0)
        return ret;
    resr_collectives_broadcast(id, sizeof id);
    ret = share_worst(resr_cuda_backend_nccl_broadcast(weights, bytes, id, ranks, rank));
    return ret < 0 ? ret : verify(weights, bytes);
}

int resr_weights_broadcast(ResrModel **model, int transport)
{
    int rank, lowest;
    ResrNetSpec spec = {0};
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (rank == 0)
        spec = (*model)->spec;
    resr_collectives_broadcast(&spec, sizeof spec);
    int status = rank == 0 ? 0 : resr_model_create(model, &spec);
    MPI_Allreduce(&status, &lowest, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    if (lowest < 0)
        return status < 0 ? status
                          : resr_fail(lowest, "a rank has no memory for the network's weights");
    resr_collectives_broadcast((*model)->name, sizeof(*model)->name);
    size_t bytes = (*model)->arena_floats * sizeof *(*model)->arena;
    if (transport == RESR_TRANSPORT_NCCL)
        return broadcast_by_nccl((*model)->arena, bytes, rank);
    resr_collectives_broadcast((*model)->arena, bytes);
    return 0;
}
