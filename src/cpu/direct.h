#ifndef RESR_CPU_DIRECT_H
#define RESR_CPU_DIRECT_H

#include "cpu/layer.h"

/* Direct convolution, class `exact`: a kernel computes a few neighbouring output pixels of a row,
 * for one tile of output channels. NULL means absent. */
typedef struct ResrDirectArgs {
    const float *row[3]; /* [ky]: block 0 of the input pixel left of the first one */
    size_t in_block_stride, out_block_stride;
    size_t residual_block_stride; /* also the trunk's */
    size_t copy_block_stride;
    const int32_t *in_lanes; /* [block]: channels */
    int32_t in_blocks;
    const float *weight, *bias, *slope;
    const float *residual; /* as in ResrLayer, like factor and activation */
    float factor;
    ResrActivation activation;
    bool is_1x1;        /* the convolution has one tap */
    const float *trunk; /* then out = fma(0.2, out, trunk) */
    float *out, *copy;
} ResrDirectArgs;

typedef void (*ResrDirectKernel)(const ResrDirectArgs *args);

/* The kernels of an instruction set, [output pixels][output vectors]. Those in `nearest` enlarge
 * their input by two, by pixel repetition; they exist for even numbers of pixels and start at even
 * columns. */
#define RESR_DIRECT_MAX_PX 14

typedef struct ResrDirectKernels {
    int vector_lanes, max_px; /* max_px is even */
    ResrDirectKernel plain[RESR_DIRECT_MAX_PX + 1][3];
    ResrDirectKernel nearest[RESR_DIRECT_MAX_PX + 1][3];
} ResrDirectKernels;

/* Computes all channels of output pixels [x0, x1) of row y of a layer. */
void resr_direct_rows(const ResrLayer *layer, int thread, int y, int x0, int x1);

#endif
