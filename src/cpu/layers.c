#include "cpu/layers.h"

#include <omp.h>

static int min_int(int a, int b)
{
    return a < b ? a : b;
}

static int max_int(int a, int b)
{
    return a > b ? a : b;
}

static const float *row_or_null(const ResrMap *map, int y, int x)
{
    return map ? resr_map_row(map, y, 0) + (ptrdiff_t)x * RESR_BLOCK_LANES : NULL;
}

/* `px` pixels from (x, y) on: all output channels, tile after tile. */
static void run_pixels(const ResrLayer *layer, int y, int x, int px)
{
    const ResrPackedConv *conv = layer->conv;
    const ResrConvKernel *kernel =
        layer->nearest ? layer->kernels->nearest[px] : layer->kernels->plain[px];
    ptrdiff_t column = (ptrdiff_t)x * RESR_BLOCK_LANES;
    ResrConvArgs args = {
        .in_block_stride = layer->in->block_stride,
        .out_block_stride = layer->out->block_stride,
        .in_lanes = conv->in_lanes,
        .in_blocks = conv->in_blocks,
        .weight = conv->weight,
        .bias = conv->bias,
        .slope = conv->slope,
        .residual = row_or_null(layer->residual, y, x),
        .factor = layer->factor,
        .trunk = row_or_null(layer->trunk, y, x),
        .out = resr_map_row(layer->out, y, layer->out_block) + column,
        .copy = (float *)row_or_null(layer->copy, y, x),
    };
    for (int ky = 0; ky < 3; ky++) {
        int in_y = layer->nearest ? (y + ky - 1) >> 1 : y + ky - 1;
        int in_x = layer->nearest ? (x >> 1) - 1 : x - 1;
        args.row[ky] = row_or_null(layer->in, in_y, in_x);
    }
    for (int vector = 0; vector < conv->out_vectors; vector += 2) {
        int vectors = min_int(2, conv->out_vectors - vector);
        size_t lanes = (size_t)(vectors * conv->vector_lanes);
        kernel[vectors](&args);
        size_t floats = lanes / RESR_BLOCK_LANES * layer->out->block_stride;
        args.weight += lanes * 9 * (size_t)conv->cin;
        args.bias += lanes;
        args.slope = args.slope ? args.slope + lanes : NULL;
        args.out += floats;
        args.residual = args.residual ? args.residual + floats : NULL;
        args.trunk = args.trunk ? args.trunk + floats : NULL;
        args.copy = args.copy ? args.copy + floats : NULL;
    }
}

/* Pixels [x0, x1) of a row, in pieces of about equal size that a kernel exists for. */
static void run_row(const ResrLayer *layer, int y, int x0, int x1)
{
    int unit = layer->nearest ? 2 : 1;
    int units = (x1 - x0) / unit, max_units = layer->kernels->max_px / unit;
    int pieces = (units + max_units - 1) / max_units;
    for (int i = 0; i < pieces; i++) {
        int start = units * i / pieces, end = units * (i + 1) / pieces;
        run_pixels(layer, y, x0 + start * unit, (end - start) * unit);
    }
    if (layer->finish)
        layer->finish(layer->context, layer, y, x0, x1);
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

static int64_t pixel_cost(const ResrLayer *layer)
{
    return (int64_t)layer->conv->cin * layer->conv->out_vectors;
}

/* Column of a row at which `cost` is spent; a whole number of kernels from the row's start. */
static int cut(const ResrLayer *layer, int64_t cost)
{
    int64_t width = layer->needed.x1 - layer->needed.x0, unit = layer->kernels->max_px;
    int64_t unit_cost = pixel_cost(layer) * unit;
    int64_t pixels = cost <= 0 ? 0 : (cost + unit_cost / 2) / unit_cost * unit;
    return layer->needed.x0 + (int)(pixels < width ? pixels : width);
}

/* The rows of a step, in the order of layers, are laid end to end and cut where each thread has the
 * same share of the cost: mostly, a thread keeps to the same layers, whose weights stay in its
 * cache. */
static void run_share(const ResrLayer *layers, int count, int step, int rows, int thread,
                      int threads)
{
    int64_t total = 0, position = 0;
    int y0, y1;
    for (int k = 0; k < count; k++) {
        step_rows(&layers[k], k, step, rows, &y0, &y1);
        total += pixel_cost(&layers[k]) * (layers[k].needed.x1 - layers[k].needed.x0) * (y1 - y0);
    }
    int64_t from = total * thread / threads, to = total * (thread + 1) / threads;
    for (int k = 0; k < count; k++) {
        int64_t row_cost = pixel_cost(&layers[k]) * (layers[k].needed.x1 - layers[k].needed.x0);
        step_rows(&layers[k], k, step, rows, &y0, &y1);
        for (int y = y0; y < y1; y++, position += row_cost) {
            if (position >= to)
                return;
            if (position + row_cost <= from)
                continue;
            int x0 = cut(&layers[k], from - position);
            int x1 =
                to >= position + row_cost ? layers[k].needed.x1 : cut(&layers[k], to - position);
            if (x0 < x1)
                run_row(&layers[k], y, x0, x1);
        }
    }
}

void resr_layers_run(const ResrLayer *layers, int count, int rows, int threads)
{
    int first = INT32_MAX, last = 0;
    for (int k = 0; k < count; k++) {
        first = min_int(first, layers[k].needed.y0 / rows + 2 * k);
        last = max_int(last, (layers[k].needed.y1 - 1) / rows + 2 * k);
    }
#pragma omp parallel num_threads(threads)
    {
        int thread = omp_get_thread_num(), team = omp_get_num_threads();
        for (int step = first; step <= last; step++) {
            run_share(layers, count, step, rows, thread, team);
#pragma omp barrier
        }
    }
}

int resr_layers_rows(const ResrConvKernels *kernels, int width, int threads)
{
    int pieces = (width + kernels->max_px - 1) / kernels->max_px;
    return 1 + 2 * threads / pieces;
}
