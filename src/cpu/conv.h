#ifndef RESR_CPU_CONV_H
#define RESR_CPU_CONV_H

#include "cpu/feature_map.h"
#include "model/model.h"

/* How a backend convolves: directly, or by Winograd's minimal filtering. One of the two is NULL. */
typedef struct ResrConvKernels {
    const struct ResrDirectKernels *direct;
    const struct ResrWinogradKernels *winograd;
} ResrConvKernels;

/* A convolution packed for its kernels; pack.h gives the weights' layouts. Bias and slope have
 * an entry for each lane of the output's blocks, 0 in lanes without a channel. The packed network
 * owns the memory. */
typedef struct ResrPackedConv {
    const ResrConvKernels *kernels;
    int32_t cin, cout;
    int32_t kernel_px; /* 3, or 1 with direct kernels */
    int32_t in_cells;  /* direct: input blocks; Winograd: cells of the transformed input */
    int32_t out_blocks;
    int32_t *in_lanes; /* direct: real channels of each input block */
    void *weight;
    float *bias, *slope; /* slope: NULL for no activation; 0.2 for LeakyReLU */
} ResrPackedConv;

#endif
