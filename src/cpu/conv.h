#ifndef RESR_CPU_CONV_H
#define RESR_CPU_CONV_H

#include "cpu/map.h"
#include "model/model.h"

/* A 3x3 convolution packed for direct kernels of one vector width.
 *
 * Weights: output channels in tiles of two vectors, the last tile of one where that is enough:
 * [tile][ky][kx][ci][lanes of the tile], zero where there is no output channel. ci runs over the
 * real input channels; in_lanes[b] of them come from input block b. Bias and slope have an entry
 * for each lane. */
typedef struct ResrPackedConv {
    int32_t cin, cout, in_blocks, out_vectors, vector_lanes;
    int32_t *in_lanes;
    float *weight, *bias, *slope; /* slope: NULL for no activation; 0.2 for LeakyReLU */
    void *memory;
} ResrPackedConv;

/* `groups`: the input channels as groups that begin a block each (ended by 0), summing up to cin.
 * `leaky`: LeakyReLU follows. RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_conv_pack(ResrPackedConv *out, const ResrConv *conv, const int *groups,
                                   int leaky, int vector_lanes);
void resr_conv_release(ResrPackedConv *conv);

/* What a kernel does for a few neighbouring output pixels of one row and one tile of output
 * channels. All maps at the output's size share a block stride; NULL means absent. */
typedef struct ResrConvArgs {
    const float *row[3]; /* input pixel left of the first one, block 0, of the rows ky = 0..2 */
    size_t in_block_stride, out_block_stride;
    const int32_t *in_lanes;
    int32_t in_blocks;
    const float *weight, *bias, *slope;
    const float *residual; /* out = fma(factor, out, residual) */
    float factor;
    const float *trunk; /* then out = fma(0.2, out, trunk) */
    float *out, *copy;
} ResrConvArgs;

typedef void (*ResrConvKernel)(const ResrConvArgs *args);

/* The kernels of an instruction set by [pixels][vectors]. `nearest` ones read an input of half the
 * size as if it were enlarged by pixel repetition; they exist for even pixel counts and start at
 * even columns. */
#define RESR_CONV_MAX_PX 14

typedef struct ResrConvKernels {
    int vector_lanes, max_px; /* max_px is even */
    ResrConvKernel plain[RESR_CONV_MAX_PX + 1][3];
    ResrConvKernel nearest[RESR_CONV_MAX_PX + 1][3];
} ResrConvKernels;

#endif
