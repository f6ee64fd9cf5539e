#ifndef RESR_COMM_WEIGHTS_H
#define RESR_COMM_WEIGHTS_H

#include "model/model.h"

/* Broadcasts rank 0's model to all ranks: one read of the file serves all nodes. On other ranks
 * *model is created and belongs to the caller. `transport` (ResrTransport): the weights travel by
 * MPI, or by NCCL from device to device, which needs a GPU on every rank. Collective; main threads
 * only. If one rank fails, every rank returns an error: RESR_ERR_INTERNAL (memory), and with NCCL
 * RESR_ERR_DEVICE (no GPU, no NCCL), RESR_ERR_STOPPED (an NCCL error, or a minute without progress)
 * or RESR_ERR_DATA (the weights that arrived differ from those sent). MPI remains usable. */
RESR_MUST_CHECK int resr_weights_broadcast(ResrModel **model, int transport);

#endif
