#ifndef RESR_NET_CUDA_H
#define RESR_NET_CUDA_H

#include <stdbool.h>

#include "net/backend.h"

/* The CUDA backend: cuda/'s shared object, opened at run time. $REALESRGAN_CUDA names it; else it
 * lies beside the program (realesrgan-cuda.so). Main thread only; opened by the first call of
 * resr_cuda_backend_ops(). */

/* This rank's place among the ranks of its node: it takes device `node_rank` modulo the visible
 * ones. Before the first call of the others. */
void resr_cuda_backend_set_place(int node_rank, int node_ranks);

/* Tables of this rank's device: "cuda", then "cuda-mma" and so on; NULL past the end, and where
 * there is no device. */
const ResrOps *resr_cuda_backend_ops(int index);

/* Why no device is available ("realesrgan-cuda.so is not beside the program"), or an empty string.
 */
const char *resr_cuda_backend_missing(void);

/* NCCL between the ranks' devices, opened by the first call: 0, or RESR_ERR_DEVICE where there is
 * no device or no NCCL. */
RESR_MUST_CHECK int resr_cuda_backend_open_nccl(void);

/* Rank 0 only: creates the id by which the ranks meet. Call after resr_cuda_backend_open_nccl().
 * RESR_ERR_STOPPED. */
enum { RESR_CUDA_BACKEND_ID_BYTES = 128 };
RESR_MUST_CHECK int resr_cuda_backend_nccl_id(unsigned char id[RESR_CUDA_BACKEND_ID_BYTES]);

/* Rank 0's bytes to all ranks. Collective. RESR_ERR_STOPPED for errors that a
 * restart may clear: a lost rank or link, a minute without progress ($RESR_NCCL_TIMEOUT_S). */
RESR_MUST_CHECK int
resr_cuda_backend_nccl_broadcast(void *data, size_t bytes,
                                 const unsigned char id[RESR_CUDA_BACKEND_ID_BYTES], int ranks,
                                 int rank);

/* A description of this rank's device, "0: NVIDIA H100 80GB HBM3 (GPU-...), 132 SMs, ..."; an empty
 * string without one. */
const char *resr_cuda_backend_device(void);

#endif
