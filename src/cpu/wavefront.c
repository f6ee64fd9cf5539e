#include "cpu/wavefront.h"

#include <assert.h>
#include <omp.h>

#include "base/minmax.h"
#include "cpu/barrier.h"
#include "cpu/winograd.h"

/* A panel: layer k computes columns [x0[k], x1[k]). The next panel reads layer k's output from
 * border[k] on, and this one from first[k] on, where the border of the panel before begins. */
typedef struct Panel {
    int index;
    bool last;
    int x0[RESR_WAVEFRONT_LAYERS], x1[RESR_WAVEFRONT_LAYERS];
    int first[RESR_WAVEFRONT_LAYERS], border[RESR_WAVEFRONT_LAYERS];
} Panel;

/* The run of all wavefronts, shared by the threads. */
typedef struct Run {
    ResrBarrier barrier;
    const atomic_bool *stop;
    atomic_int stop_after; /* number of a step after which all threads end */
} Run;

/* First column of its input that a layer reads for the columns from x on. */
static int first_read(const ResrLayer *layer, int x)
{
    return layer->nearest ? (x >> 1) - 1 : x - 1;
}

/* End of the columns for which `input_end` columns of the input are enough, on the layer's grid. */
static int last_complete(const ResrLayer *layer, int input_end)
{
    int end = (layer->nearest ? 2 * input_end : input_end) - 1;
    end = end / layer->column_px * layer->column_px;
    return resr_max(resr_min(end, layer->needed.x1), layer->needed.x0);
}

static Panel panel_at(const ResrWavefront *wavefront, const Panel *before)
{
    const ResrLayer *layers = wavefront->layers;
    Panel panel = {.index = before ? before->index + 1 : 0};
    for (int k = 0; k < wavefront->count; k++) {
        panel.x0[k] = before ? before->x1[k] : layers[k].needed.x0;
        panel.first[k] = before ? before->border[k] : layers[k].needed.x0;
    }
    panel.last = layers[0].needed.x1 - panel.x0[0] <= wavefront->panel_px;
    for (int k = 0; k < wavefront->count; k++) {
        if (panel.last)
            panel.x1[k] = layers[k].needed.x1;
        else if (k == 0)
            panel.x1[0] = panel.x0[0] + wavefront->panel_px;
        else
            panel.x1[k] = last_complete(&layers[k], panel.x1[k - 1]);
    }
    for (int k = 0; k < wavefront->count; k++) {
        int reader = layers[k].last_reader;
        panel.border[k] = reader ? first_read(&layers[reader], panel.x1[reader]) : panel.x1[k];
    }
    return panel;
}

static int first_tile(const ResrWavefront *wavefront, const int x[RESR_WAVEFRONT_LAYERS])
{
    const ResrLayer *last = &wavefront->layers[wavefront->count - 1];
    return x[wavefront->count - 1] / last->column_px;
}

/* Moves the line buffers to a panel. Where several layers write one map, the first has the first
 * column. */
static void begin_panel(const ResrWavefront *wavefront, const Panel *panel)
{
    for (int k = wavefront->count - 1; k >= 0; k--) {
        const ResrLayer *layer = &wavefront->layers[k];
        if (layer->out->columns < layer->out->width || layer->out->rows < layer->out->height)
            resr_feature_map_move(layer->out, panel->first[k]);
        if (layer->lines)
            layer->lines->first_tile =
                resr_min(panel->x0[0] / layer->column_px, first_tile(wavefront, panel->x0));
    }
}

/* Rows [*y0, *y1) that layer `index` computes in a step. */
static void step_rows(const ResrLayer *layer, int index, int step, int *y0, int *y1)
{
    int64_t first = (int64_t)(step - 2 * index) * layer->step_rows;
    *y0 = (int)(first < layer->needed.y0 ? layer->needed.y0 : first);
    *y1 = (int)(first + layer->step_rows < layer->needed.y1 ? first + layer->step_rows
                                                            : layer->needed.y1);
    if (*y1 < *y0)
        *y1 = *y0;
}

/* Saves what columns [x0, x1) of row_px rows have of the border. */
static void save(const ResrWavefront *wavefront, const Panel *panel, int k, int y, int x0, int x1)
{
    const ResrLayer *layer = &wavefront->layers[k];
    int from = resr_max(x0, panel->border[k]);
    if (panel->last)
        return;
    for (int i = 0; layer->last_reader && i < layer->row_px && from < x1; i++)
        if (y + i < layer->out->height)
            resr_feature_map_save(layer->out, panel->index, panel->border[k], y + i,
                                  layer->out_block, layer->out_blocks, from, x1);
    if (layer->lines) {
        int tile = first_tile(wavefront, panel->x1), end = x1 / layer->column_px;
        int start = resr_max(x0 / layer->column_px, tile);
        if (start < end)
            resr_winograd_save(layer->lines, layer->line_group, panel->index, tile,
                               y / layer->row_px, start, end);
    }
}

/* Restores the border of the panel before in rows [y0, y1), a thread's share of them. */
static void restore(const ResrWavefront *wavefront, const Panel *panel, int k, int y0, int y1,
                    int thread, int threads)
{
    const ResrLayer *layer = &wavefront->layers[k];
    int before = panel->index + 1; /* the other one of two */
    if (panel->index == 0)
        return;
    if (layer->last_reader && panel->first[k] < panel->x0[k])
        for (int y = y0 + thread; y < y1; y += threads)
            resr_feature_map_restore(layer->out, before, panel->first[k], y, layer->out_block,
                                     layer->out_blocks, panel->first[k], panel->x0[k]);
    if (layer->lines) {
        int tile = first_tile(wavefront, panel->x0), end = panel->x0[k] / layer->column_px;
        int row0 = y0 / layer->row_px, row1 = (y1 + layer->row_px - 1) / layer->row_px;
        for (int row = row0 + thread; row < row1 && tile < end; row += threads)
            resr_winograd_restore(layer->lines, layer->line_group, before, tile, row, tile, end);
    }
}

static double macs_per_px(const ResrLayer *layer)
{
    const ResrPackedConv *conv = layer->conv;
    return conv ? (double)(conv->kernel_px * conv->kernel_px) * conv->cin * conv->cout : 0;
}

/* A thread's share of a step: of each layer, the rows laid end to end and cut into equal parts. A
 * thread then has the same columns of all layers and reads mostly its own results, which matters
 * where cores are far apart: with whole layers dealt out to threads instead, two cores of a Zen 5
 * gave 1.03 to 1.75 times the speed of one, depending on where the hypervisor placed them.
 * Returns the multiply-accumulates. */
static double run_share(const ResrWavefront *wavefront, const Panel *panel, int step, int thread,
                        int threads)
{
    double macs = 0;
    for (int k = 0; k < wavefront->count; k++) {
        const ResrLayer *layer = &wavefront->layers[k];
        int y0, y1, x0 = panel->x0[k], x1 = panel->x1[k];
        int row_px = layer->row_px, column_px = layer->column_px;
        step_rows(layer, k, step, &y0, &y1);
        restore(wavefront, panel, k, y0, y1, thread, threads);
        int64_t columns = (x1 - x0 + column_px - 1) / column_px;
        int64_t rows = (y1 - y0 + row_px - 1) / row_px;
        int64_t from = columns * rows * thread / threads;
        int64_t to = columns * rows * (thread + 1) / threads;
        for (int64_t at = from, end; at < to; at = end) {
            int64_t row = at / columns, start = at - row * columns;
            end = (row + 1) * columns < to ? (row + 1) * columns : to;
            int y = y0 + (int)row * row_px, left = x0 + (int)start * column_px;
            int right = resr_min(x0 + (int)(end - row * columns) * column_px, x1);
            layer->rows(layer, thread, y, left, right);
            save(wavefront, panel, k, y, left, right);
            macs += (double)(right - left) * resr_min(row_px, y1 - y) * macs_per_px(layer);
        }
    }
    return macs;
}

/* Ends a step; false if all threads are to end. Thread 0 decides, before the barrier, so that all
 * threads see the same. */
static bool end_step(Run *run, int number, int thread)
{
    if (thread == 0 && run->stop && *run->stop && atomic_load(&run->stop_after) == INT32_MAX)
        atomic_store(&run->stop_after, number);
    resr_barrier_wait(&run->barrier);
    return number < atomic_load(&run->stop_after);
}

/* Runs a wavefront; `number` counts the steps of all wavefronts, and `macs` the thread's work. */
static bool run_wavefront(const ResrWavefront *wavefront, Run *run, int *number, double *macs,
                          int thread, int threads)
{
    int first = INT32_MAX, last = 0;
    assert(wavefront->count >= 1 && wavefront->count <= RESR_WAVEFRONT_LAYERS);
    for (int k = 0; k < wavefront->count; k++) {
        const ResrLayer *layer = &wavefront->layers[k];
        first = resr_min(first, layer->needed.y0 / layer->step_rows + 2 * k);
        last = resr_max(last, (layer->needed.y1 - 1) / layer->step_rows + 2 * k);
    }
    Panel panel = panel_at(wavefront, NULL);
    for (;; panel = panel_at(wavefront, &panel)) {
        if (thread == 0)
            begin_panel(wavefront, &panel);
        resr_barrier_wait(&run->barrier);
        for (int step = first; step <= last; step++) {
            *macs += run_share(wavefront, &panel, step, thread, threads);
            if (!end_step(run, (*number)++, thread))
                return false;
        }
        if (panel.last)
            return true;
    }
}

bool resr_wavefronts_run(const ResrWavefront *wavefronts, int count, int threads,
                         const atomic_bool *stop, double *macs)
{
    double total = 0;
    Run run = {.stop = stop, .stop_after = INT32_MAX};
#pragma omp parallel num_threads(threads) reduction(+ : total)
    {
        int thread = omp_get_thread_num(), team = omp_get_num_threads(), number = 0;
#pragma omp single
        resr_barrier_init(&run.barrier, team);
        bool going = true;
        for (int i = 0; going && i < count; i++)
            going = run_wavefront(&wavefronts[i], &run, &number, &total, thread, team);
    }
    resr_barrier_destroy(&run.barrier);
    *macs += total;
    return run.stop_after == INT32_MAX;
}

int resr_wavefront_rows(int width, int thread_px, int threads, int grid_px)
{
    int rows = (thread_px * threads + width - 1) / width;
    return (rows + grid_px - 1) / grid_px * grid_px;
}
