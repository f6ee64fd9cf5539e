#ifndef RESR_CPU_DIRECT_H
#define RESR_CPU_DIRECT_H

#include "cpu/layer.h"

/* Direct convolution, class `exact`: what a kernel does for a few neighbouring output pixels of one
 * row and one tile of output channels. All maps at the output's size share a block stride; NULL
 * means absent. */
typedef struct ResrDirectArgs {
    const float *row[3]; /* input pixel left of the first one, block 0, of the rows ky = 0..2 */
    size_t in_block_stride, out_block_stride;
    const int32_t *in_lanes;
    int32_t in_blocks;
    const float *weight, *bias, *slope;
    const float *residual; /* out = fma(factor, out, residual) */
    float factor;
    const float *trunk; /* then out = fma(0.2, out, trunk) */
    float *out, *copy;
} ResrDirectArgs;

typedef void (*ResrDirectKernel)(const ResrDirectArgs *args);

/* The kernels of an instruction set by [pixels][vectors]. `nearest` ones read an input of half the
 * size as if it were enlarged by pixel repetition; they exist for even pixel counts and start at
 * even columns. */
#define RESR_DIRECT_MAX_PX 14

typedef struct ResrDirectKernels {
    int vector_lanes, max_px; /* max_px is even */
    ResrDirectKernel plain[RESR_DIRECT_MAX_PX + 1][3];
    ResrDirectKernel nearest[RESR_DIRECT_MAX_PX + 1][3];
} ResrDirectKernels;

/* Computes output pixels [x0, x1) of row y of a layer, all channels. */
void resr_direct_rows(const ResrLayer *layer, int thread, int y, int x0, int x1);

#endif
