#ifndef RESR_CPU_WAVEFRONT_H
#define RESR_CPU_WAVEFRONT_H

#include "cpu/layer.h"

/* Layers of which each reads what the one before wrote, run together as a wave over rows: in a
 * step, layer k works `rows` rows, two steps behind layer k - 1, so that all that it reads was
 * written in earlier steps. The layers of a step are then independent, and the threads share its
 * work evenly, whatever it is made of; they meet between steps. What a layer wrote is read again
 * while it is in cache. `rows` >= the height means layer after layer.
 *
 * A map between two layers of a wave may be a ring of resr_wavefront_ring_rows(rows) rows. */
#define RESR_WAVEFRONT_LAYERS 5

typedef struct ResrWavefront {
    ResrLayer layers[RESR_WAVEFRONT_LAYERS];
    int count, rows;
} ResrWavefront;

/* Runs waves one after the other on `threads` threads (OpenMP). Results do not depend on them. */
void resr_wavefronts_run(const ResrWavefront *waves, int count, int threads);

/* Rows a step: so many that each thread has thread_px pixels of a layer, some tenths of a
 * millisecond, against which meeting is cheap, and no more than that, to stay in cache; a multiple
 * of grid_px. */
int resr_wavefront_rows(int width, int thread_px, int threads, int grid_px);

static inline int resr_wavefront_ring_rows(int rows)
{
    return 4 * rows;
}

#endif
