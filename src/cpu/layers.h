#ifndef RESR_CPU_LAYERS_H
#define RESR_CPU_LAYERS_H

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

/* Runs layers of which each reads what the one before wrote, as a wave over rows: in a step, layer
 * k works `rows` rows, two steps behind layer k - 1, so that all that it reads was written in
 * earlier steps; the layers of a step are then independent, and the threads share its work evenly,
 * whatever it is made of. Threads meet between steps. `rows` >= the height is layer after layer.
 *
 * A map between two layers of a wave may be a ring of resr_layers_ring_rows(rows) rows. */
void resr_layers_run(const ResrLayer *layers, int count, int rows, int threads);

static inline int resr_layers_ring_rows(int rows)
{
    return 4 * rows;
}

/* Rows a step: enough pieces of work for the threads, no more than that, to stay in cache. */
int resr_layers_rows(const ResrConvKernels *kernels, int width, int threads);

#endif
