#ifndef RESR_COMM_NCCL_LINK_H
#define RESR_COMM_NCCL_LINK_H

#include <stddef.h>

#include "base/error.h"

/* Rank 0's weights to everyone from device to device, by NCCL. Collective, main threads; every rank
 * needs a GPU. Every rank returns an error if one does: RESR_ERR_DEVICE (no GPU, no NCCL),
 * RESR_ERR_STOPPED (an error of NCCL's, or a minute without progress), RESR_ERR_DATA (what arrived
 * is not what was sent). MPI stays in order. */
RESR_MUST_CHECK int resr_nccl_link_weights(float *weights, size_t bytes);

/* From now on frames between rank 0 and the others go from device to device, too (endpoint.c).
 * Collective, after resr_nccl_link_weights(), with its errors. Nothing happens a second time. */
RESR_MUST_CHECK int resr_nccl_link_open_link(void);

/* Nothing happens without a link. */
void resr_nccl_link_close_link(void);

#endif
