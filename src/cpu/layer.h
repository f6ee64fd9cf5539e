#ifndef RESR_CPU_LAYER_H
#define RESR_CPU_LAYER_H

#include <stdbool.h>

#include "cpu/conv.h"

/* Pixels [x0, x1) x [y0, y1). */
typedef struct ResrRect {
    int32_t x0, y0, x1, y1;
} ResrRect;

struct ResrWinogradLineBuffer;

/* What follows the sum of a convolution, before the residuals. */
typedef enum ResrActivation {
    RESR_ACTIVATION_NONE,
    RESR_ACTIVATION_SLOPE, /* v > 0 ? v : slope * v; set where the convolution has slopes */
    RESR_ACTIVATION_SILU,  /* v * sigmoid(v); cpu/sigmoid.h */
    RESR_ACTIVATION_GATE,  /* (v + residual) * (sigmoid(v) - 0.5); the residual is used up */
} ResrActivation;

/* One convolution from feature map to feature map, with the operations that follow it (or, without
 * `conv`, a function that fills `out`):
 *   out = convolution, activated
 *   out = fma(factor, out, residual)    if residual, unless it is the gate's
 *   out = fma(0.2, out, trunk)          if trunk
 *   copy = out                          if copy
 */
typedef struct ResrLayer ResrLayer;
struct ResrLayer {
    const ResrPackedConv *conv;
    const ResrFeatureMap *in;
    bool nearest; /* the input is enlarged by two, by pixel repetition, as it is read */
    ResrFeatureMap *out;
    int32_t out_block, out_blocks;                 /* the first block written, and their number */
    const ResrFeatureMap *residual, *trunk, *copy; /* NULL: absent */
    int32_t copy_block;                            /* the first block written of `copy` */
    ResrActivation activation;
    float factor;
    /* Pixels of the output that are computed; on the kernels' grid or at the map's edge. */
    ResrRect needed;
    /* In a wavefront: rows of a step, a multiple of row_px, and the last layer that reads the
     * output from a line buffer; 0: the output is a whole map, or is not read. */
    int32_t step_rows, last_reader;
    /* Called for each finished piece of a row by the thread that computed it; may be NULL. */
    void (*finish)(void *context, const ResrLayer *layer, int y, int x0, int x1);
    void *context;

    /* Winograd: the transformed inputs that layers of a wavefront share (NULL: none are shared);
     * the group of cells that this layer transforms, from `in`; memory of each thread. */
    struct ResrWinogradLineBuffer *lines;
    int32_t line_group;
    char *scratch;
    size_t scratch_bytes; /* of a thread */

    /* Set by resr_layer_prepare(). */
    int32_t row_px, column_px; /* rows and columns are computed in multiples of these */
    void (*rows)(const ResrLayer *layer, int thread, int y, int x0, int x1);
};

/* Sets out_blocks, row_px, column_px and rows from the layer's convolution, and the activation of
 * one with slopes. A layer without convolution comes with `out_blocks` and `rows`. */
void resr_layer_prepare(ResrLayer *layer);

#endif
