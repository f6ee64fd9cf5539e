#ifndef RESR_CPU_WAVEFRONT_H
#define RESR_CPU_WAVEFRONT_H

#include "cpu/layer.h"

/* A wavefront: layers, each of which reads the output of the layer before, computed together from
 * the first row to the last. In step s layer k computes `rows` rows, two steps behind layer k - 1,
 * so that all its inputs were written in earlier steps:
 *
 *   step      0    1    2    3    4    ...
 *   layer 0   r0   r1   r2   r3   r4         r0: rows 0 to rows - 1, and so on
 *   layer 1             r0   r1   r2
 *   layer 2                       r0
 *
 * (One step behind would not be enough: a 3x3 convolution reads one row below its own.) The layers
 * of a step are independent of each other; the threads divide the work of a step evenly among them
 * and meet at a barrier between steps. Rows are read again while they are in cache. `rows` >= the
 * height computes one layer after the other.
 *
 * A feature map between two layers of a wavefront may be a line buffer of
 * resr_wavefront_buffer_rows(rows) rows. */
#define RESR_WAVEFRONT_LAYERS 5

typedef struct ResrWavefront {
    ResrLayer layers[RESR_WAVEFRONT_LAYERS];
    int count, rows; /* layers; rows of a step, a multiple of their row_px */
} ResrWavefront;

/* Runs wavefronts one after the other on `threads` threads (OpenMP). Results do not depend on the
 * number of threads or of rows. */
void resr_wavefronts_run(const ResrWavefront *wavefronts, int count, int threads);

/* Rows of a step in which each thread has `thread_px` pixels of a layer, as a multiple of grid_px.
 * This many take some tenths of a millisecond, against which the barrier is cheap; more would not
 * stay in cache. */
int resr_wavefront_rows(int width, int thread_px, int threads, int grid_px);

static inline int resr_wavefront_buffer_rows(int rows)
{
    return 4 * rows;
}

#endif
