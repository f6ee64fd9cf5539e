#include "comm/nccl_link.h"

#include <mpi.h>
#include <stdint.h>
#include <stdlib.h>
#include <xxhash.h>

#include "comm/collectives.h"
#include "net/cuda.h"

/* The worst status of all ranks; this rank's own keeps its message, others get one. */
static int share_worst(int status)
{
    int worst;
    MPI_Allreduce(&status, &worst, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    if (worst < 0 && status == 0)
        return resr_fail(worst, "--transport nccl: another rank failed (its node may lack a GPU or "
                                "NCCL, or be lost); --transport mpi does without");
    return status < 0 ? status : worst;
}

/* The device is chosen before start_ranks() would: the rank's place on its node is needed now. */
static int open_device(void)
{
    MPI_Comm node;
    int rank, size;
    /* What waits for another rank on the device must not hold up what that one waits for: enough
     * queues, and kernels that are loaded before. */
    setenv("CUDA_DEVICE_MAX_CONNECTIONS", "32", 0);
    setenv("CUDA_MODULE_LOADING", "EAGER", 0);
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
    MPI_Comm_rank(node, &rank);
    MPI_Comm_size(node, &size);
    MPI_Comm_free(&node);
    resr_cuda_backend_set_place(rank, size);
    return share_worst(resr_cuda_backend_open_nccl());
}

/* MPI carries the hash: a second way, so that what NCCL did is not judged by NCCL. */
static int verify(const float *weights, size_t bytes)
{
    uint64_t own = XXH3_64bits(weights, bytes), sent = own;
    resr_collectives_broadcast(&sent, sizeof sent);
    int status = 0;
    if (own != sent)
        status = resr_fail(RESR_ERR_DATA,
                           "--transport nccl: the weights changed on their way between the GPUs");
    return share_worst(status);
}

int resr_nccl_link_weights(float *weights, size_t bytes)
{
    unsigned char id[RESR_CUDA_BACKEND_ID_BYTES] = {0};
    int rank, ranks;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
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

int resr_nccl_link_open_link(void)
{
    unsigned char ids[2][RESR_CUDA_BACKEND_ID_BYTES] = {{0}};
    int rank, ranks, ret = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    if (ranks == 1 || resr_cuda_backend_has_link()) /* all have it, or none: see below */
        return 0;
    for (int i = 0; rank == 0 && ret == 0 && i < 2; i++)
        ret = resr_cuda_backend_nccl_id(ids[i]);
    ret = share_worst(ret);
    if (ret < 0)
        return ret;
    resr_collectives_broadcast(ids, sizeof ids);
    ret = share_worst(resr_cuda_backend_link_open(
        (const unsigned char(*)[RESR_CUDA_BACKEND_ID_BYTES])ids, ranks, rank));
    if (ret < 0)
        resr_cuda_backend_link_close();
    return ret;
}

void resr_nccl_link_close_link(void)
{
    resr_cuda_backend_link_close();
}
