#ifndef RESR_CPU_WAVEFRONT_H
#define RESR_CPU_WAVEFRONT_H

#include <stdatomic.h>

#include "cpu/layer.h"

/* A wavefront: layers, each of which reads the output of layers before, computed together from
 * the first row to the last. In step s layer k computes `step_rows` rows, two steps behind layer
 * k - 1, so that all its inputs were written in earlier steps:
 *
 *   step      0    1    2    3    4    ...
 *   layer 0   r0   r1   r2   r3   r4         r0: rows 0 to step_rows - 1, and so on
 *   layer 1             r0   r1   r2
 *   layer 2                       r0
 *
 * (One step behind would not be enough: a 3x3 convolution reads one row below its own.) A layer
 * that enlarges by two has twice the rows in a step. The layers of a step are independent of each
 * other; the threads divide the work of a step evenly among them and meet at a barrier between
 * steps. Rows are read again while they are in cache.
 *
 * A wide map is computed in panels, ranges of columns, one after the other, so that the rows of a
 * panel fit in cache. Layer k's panel ends where its input ends, which is one column of its grid
 * before the end of layer k - 1's; the last panel ends at the map's edge in all layers:
 *
 *   layer 0   |.......0.......|.......1.......|....2....|
 *   layer 1   |......0......|.......1.......|.....2.....|
 *   layer 2   |.....0.....|.......1.......|......2......|
 *
 * No pixel is computed twice. Columns of layer k - 1 that layer k has not read at the end of a
 * panel are border columns: they are saved row by row as they are computed, and restored when the
 * next panel reaches their row. There are two sets of them, since a panel saves a row while it
 * restores the columns of the panel before.
 *
 * A feature map between layers of a wavefront may be a line buffer, of
 * resr_wavefront_buffer_rows() rows and resr_wavefront_buffer_columns() columns. */
#define RESR_WAVEFRONT_LAYERS 6

/* Smallest width of a panel but the last: six layers end up to 20 columns before their panel. */
#define RESR_MIN_PANEL_PX 32

typedef struct ResrWavefront {
    ResrLayer layers[RESR_WAVEFRONT_LAYERS];
    int count;
    int panel_px; /* columns of layer 0 in a panel, a multiple of 4; >= the width: one panel */
} ResrWavefront;

/* Runs wavefronts one after the other on `threads` threads (OpenMP). Results do not depend on the
 * number of threads, of rows or of panels. Returns false, with results incomplete, if *stop (which
 * may be NULL) becomes true; it is read in each step. Adds to *macs the multiply-accumulates of
 * the output pixels computed, counted as direct convolutions. */
RESR_MUST_CHECK bool resr_wavefronts_run(const ResrWavefront *wavefronts, int count, int threads,
                                         const atomic_bool *stop, double *macs);

/* Rows of a step in which each thread has `thread_px` pixels of a layer, as a multiple of grid_px.
 * This many take some tenths of a millisecond, against which the barrier is cheap; more would not
 * stay in cache. */
int resr_wavefront_rows(int width, int thread_px, int threads, int grid_px);

/* Rows of a line buffer that is read `distance` layers after the one that writes it. */
static inline int resr_wavefront_buffer_rows(int step_rows, int distance)
{
    return (2 * distance + 2) * step_rows;
}

/* Columns of a line buffer for panels of `panel_px` of its columns: with up to 40 border columns,
 * those of six layers on a grid of 4, or of the last layer after three enlargements. */
static inline int resr_wavefront_buffer_columns(int width, int panel_px)
{
    return panel_px + 40 < width ? panel_px + 40 : width;
}

/* Border columns between a layer and one that reads it `distance` layers later. */
static inline int resr_wavefront_border_px(int distance, int grid_px)
{
    return distance * grid_px + 1;
}

#endif
