#ifndef RESR_CPU_LAYER_H
#define RESR_CPU_LAYER_H

#include "cpu/conv.h"

/* Pixels [x0, x1) x [y0, y1). */
typedef struct ResrRect {
    int32_t x0, y0, x1, y1;
} ResrRect;

struct ResrWinogradRing;

/* One convolution from map to map, with what follows it. */
typedef struct ResrLayer ResrLayer;
struct ResrLayer {
    const ResrPackedConv *conv;
    const ResrFeatureMap *in;
    int nearest; /* the input is enlarged by two, by pixel repetition, as it is read */
    const ResrFeatureMap *out;
    int32_t out_block;                             /* the first block written */
    const ResrFeatureMap *residual, *trunk, *copy; /* out = fma(factor, out, residual), then
                                               fma(0.2, out, trunk), also to `copy`; NULL: absent */
    float factor;
    ResrRect needed; /* of the output; the rest is not computed. On the kernels' grid, or the map's
                        edge */
    /* Called with each finished piece of a row, by the thread that made it; may be NULL. */
    void (*finish)(void *context, const ResrLayer *layer, int y, int x0, int x1);
    void *context;

    /* Winograd: where the transformed inputs of a wave's layers lie (NULL: each layer for itself);
     * the first cell that this layer transforms, from `in`; each thread's own memory. */
    const struct ResrWinogradRing *ring;
    int32_t new_cell;
    char *scratch;
    size_t scratch_bytes; /* of a thread */

    /* Set by resr_layer_prepare(). */
    int32_t row_px, column_px; /* rows and columns are computed in multiples of these */
    void (*rows)(const ResrLayer *layer, int thread, int y, int x0, int x1);
};

/* Chooses how the layer is computed, from its kernels. */
void resr_layer_prepare(ResrLayer *layer);

#endif
