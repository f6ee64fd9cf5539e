#include "cpu/wave.h"

#include <omp.h>

#include "cpu/barrier.h"

static int min_int(int a, int b)
{
    return a < b ? a : b;
}

static int max_int(int a, int b)
{
    return a > b ? a : b;
}

/* A step's rows of a layer. */
static void step_rows(const ResrLayer *layer, int index, int step, int rows, int *y0, int *y1)
{
    int64_t first = (int64_t)(step - 2 * index) * rows;
    *y0 = (int)(first < layer->needed.y0 ? layer->needed.y0 : first);
    *y1 = (int)(first + rows < layer->needed.y1 ? first + rows : layer->needed.y1);
    if (*y1 < *y0)
        *y1 = *y0;
}

/* Column of a row at which `cost` is spent; a whole number of kernels from the row's start. */
static int cut(const ResrLayer *layer, int64_t cost)
{
    int64_t width = layer->needed.x1 - layer->needed.x0, unit = layer->unit_px;
    int64_t unit_cost = layer->column_cost * unit;
    int64_t pixels = cost <= 0 ? 0 : (cost + unit_cost / 2) / unit_cost * unit;
    return layer->needed.x0 + (int)(pixels < width ? pixels : width);
}

/* The rows of a step, in the order of layers, are laid end to end and cut where each thread has the
 * same share of the cost: mostly, a thread keeps to the same layers, whose weights stay in its
 * cache. */
static void run_share(const ResrWave *wave, int step, int thread, int threads)
{
    int64_t row_cost[RESR_WAVE_LAYERS], total = 0, position = 0;
    int y0[RESR_WAVE_LAYERS], y1[RESR_WAVE_LAYERS];
    for (int k = 0; k < wave->count; k++) {
        const ResrLayer *layer = &wave->layers[k];
        step_rows(layer, k, step, wave->rows, &y0[k], &y1[k]);
        row_cost[k] = layer->column_cost * (layer->needed.x1 - layer->needed.x0);
        total += row_cost[k] * ((y1[k] - y0[k] + layer->grid_px - 1) / layer->grid_px);
    }
    int64_t from = total * thread / threads, to = total * (thread + 1) / threads;
    for (int k = 0; k < wave->count; k++) {
        const ResrLayer *layer = &wave->layers[k];
        for (int y = y0[k]; y < y1[k]; y += layer->grid_px, position += row_cost[k]) {
            if (position >= to || position + row_cost[k] <= from)
                continue;
            int x0 = cut(layer, from - position);
            int x1 = position + row_cost[k] <= to ? layer->needed.x1 : cut(layer, to - position);
            if (x0 < x1)
                layer->rows(layer, thread, y, x0, x1);
        }
    }
}

static void run_wave(const ResrWave *wave, ResrBarrier *barrier, int thread, int threads)
{
    int first = INT32_MAX, last = 0;
    for (int k = 0; k < wave->count; k++) {
        const ResrRect *needed = &wave->layers[k].needed;
        first = min_int(first, needed->y0 / wave->rows + 2 * k);
        last = max_int(last, (needed->y1 - 1) / wave->rows + 2 * k);
    }
    for (int step = first; step <= last; step++) {
        run_share(wave, step, thread, threads);
        resr_barrier_wait(barrier);
    }
}

void resr_waves_run(const ResrWave *waves, int count, int threads)
{
    ResrBarrier barrier;
#pragma omp parallel num_threads(threads)
    {
        int thread = omp_get_thread_num(), team = omp_get_num_threads();
#pragma omp single
        resr_barrier_init(&barrier, team);
        for (int i = 0; i < count; i++)
            run_wave(&waves[i], &barrier, thread, team);
    }
    resr_barrier_destroy(&barrier);
}

int resr_wave_rows(int width, int threads, int grid_px)
{
    const int pixels_of_a_thread = 512;
    int rows = (pixels_of_a_thread * threads + width - 1) / width;
    return (rows + grid_px - 1) / grid_px * grid_px;
}
