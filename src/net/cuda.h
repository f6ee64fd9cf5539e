#ifndef RESR_NET_CUDA_H
#define RESR_NET_CUDA_H

#include "net/ops.h"

/* The CUDA backend: cuda/'s shared object, opened at run time. $REALESRGAN_CUDA names it; else it
 * lies beside the program (realesrgan-cuda.so). Main thread only; opened by the first call of
 * resr_cuda_backend_ops(). */

/* This rank's place among the ranks of its node: it takes device `node_rank` modulo the visible
 * ones. Before the first call of the others. */
void resr_cuda_backend_set_place(int node_rank, int node_ranks);

/* Tables of this rank's device: "cuda", then "cuda-mma" and so on; NULL past the end, and where
 * there is no device. */
const ResrOps *resr_cuda_backend_ops(int index);

/* Why there is none ("realesrgan-cuda.so is not beside the program"), or an empty string. */
const char *resr_cuda_backend_missing(void);

/* The device of this rank for people, "0: NVIDIA H100 80GB HBM3 (GPU-...), 132 SMs, ..."; an empty
 * string without one. */
const char *resr_cuda_backend_device(void);

#endif
