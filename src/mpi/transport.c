#include "mpi/transport.h"

#include <mpi.h>
#include <stdint.h>
#include <xxhash.h>

#include "mpi/launch.h"
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
    resr_launch_broadcast(&sent, sizeof sent);
    int status = 0;
    if (own != sent)
        status = resr_fail(RESR_ERR_DATA,
                           "--transport nccl: the weights changed on their way between the GPUs");
    return share_worst(status);
}

int resr_transport_weights(float *weights, size_t bytes)
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
    resr_launch_broadcast(id, sizeof id);
    ret = share_worst(resr_cuda_backend_nccl_broadcast(weights, bytes, id, ranks, rank));
    return ret < 0 ? ret : verify(weights, bytes);
}
