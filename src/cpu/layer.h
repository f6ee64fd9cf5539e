#ifndef RESR_CPU_LAYER_H
#define RESR_CPU_LAYER_H

#include "cpu/conv.h"

/* Pixels [x0, x1) x [y0, y1). */
typedef struct ResrRect {
    int32_t x0, y0, x1, y1;
} ResrRect;

/* One convolution from map to map, with what follows it. */
typedef struct ResrLayer ResrLayer;
struct ResrLayer {
    const ResrPackedConv *conv;
    const ResrConvKernels *kernels;
    const ResrMap *in;
    int nearest; /* the input is enlarged by two, by pixel repetition, as it is read */
    const ResrMap *out;
    int32_t out_block;                      /* the first block written */
    const ResrMap *residual, *trunk, *copy; /* as in ResrConvArgs; NULL: absent */
    float factor;
    ResrRect needed; /* of the output; the rest is not computed. Nearest: even x0 and x1 */
    /* Called with each finished piece of a row, by the thread that made it; may be NULL. */
    void (*finish)(void *context, const ResrLayer *layer, int y, int x0, int x1);
    void *context;
};

/* Computes output pixels [x0, x1) of row y, all channels. */
void resr_layer_row(const ResrLayer *layer, int y, int x0, int x1);

/* Relative cost of a pixel, to share work by. */
static inline int64_t resr_layer_pixel_cost(const ResrLayer *layer)
{
    return (int64_t)layer->conv->cin * layer->conv->out_vectors;
}

#endif
