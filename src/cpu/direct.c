#include "cpu/direct.h"

#include "base/minmax.h"
static const float *row_or_null(const ResrFeatureMap *map, int y, int block, int x)
{
    return map ? resr_feature_map_row(map, y, block) + (ptrdiff_t)x * RESR_BLOCK_LANES : NULL;
}

static const float *advance(const float *pointer, size_t floats)
{
    return pointer ? pointer + floats : NULL;
}

/* Computes all output channels of `px` pixels from (x, y) on, one tile of channels at a time. */
static void run_pixels(const ResrLayer *layer, int y, int x, int px)
{
    const ResrPackedConv *conv = layer->conv;
    const ResrDirectKernels *kernels = layer->conv->kernels->direct;
    const ResrDirectKernel *kernel = layer->nearest ? kernels->nearest[px] : kernels->plain[px];
    ptrdiff_t column = (ptrdiff_t)x * RESR_BLOCK_LANES;
    ResrDirectArgs args = {
        .in_block_stride = layer->in->block_stride,
        .out_block_stride = layer->out->block_stride,
        .residual_block_stride = layer->residual ? layer->residual->block_stride : 0,
        .copy_block_stride = layer->copy ? layer->copy->block_stride : 0,
        .in_lanes = conv->in_lanes,
        .in_blocks = conv->in_cells,
        .weight = conv->weight,
        .bias = conv->bias,
        .slope = conv->slope,
        .activation = layer->activation,
        .is_1x1 = conv->kernel_px == 1,
        .residual = row_or_null(layer->residual, y, 0, x),
        .factor = layer->factor,
        .trunk = row_or_null(layer->trunk, y, 0, x),
        .out = resr_feature_map_row(layer->out, y, layer->out_block) + column,
        .copy = (float *)row_or_null(layer->copy, y, layer->copy_block, x),
    };
    for (int ky = 0; ky < 3; ky++) {
        int in_y = layer->nearest ? (y + ky - 1) >> 1 : y + ky - 1;
        int in_x = layer->nearest ? (x >> 1) - 1 : x - 1;
        args.row[ky] = row_or_null(layer->in, in_y, 0, in_x);
    }
    int out_vectors = (conv->cout + kernels->vector_lanes - 1) / kernels->vector_lanes;
    for (int vector = 0; vector < out_vectors; vector += 2) {
        int vectors = resr_min(2, out_vectors - vector);
        size_t lanes = (size_t)(vectors * kernels->vector_lanes);
        kernel[vectors](&args);
        size_t blocks = lanes / RESR_BLOCK_LANES;
        args.weight += lanes * (size_t)(conv->kernel_px * conv->kernel_px * conv->cin);
        args.bias += lanes;
        args.slope = args.slope ? args.slope + lanes : NULL;
        args.out += blocks * args.out_block_stride;
        args.residual = advance(args.residual, blocks * args.residual_block_stride);
        args.trunk = advance(args.trunk, blocks * args.residual_block_stride);
        args.copy = (float *)advance(args.copy, blocks * args.copy_block_stride);
    }
}

/* In pieces of about equal size, of at most max_px pixels. */
void resr_direct_rows(const ResrLayer *layer, int thread, int y, int x0, int x1)
{
    (void)thread;
    int unit = layer->nearest ? 2 : 1;
    int units = (x1 - x0) / unit, max_units = layer->conv->kernels->direct->max_px / unit;
    int pieces = (units + max_units - 1) / max_units;
    for (int i = 0; i < pieces; i++) {
        int start = units * i / pieces, end = units * (i + 1) / pieces;
        run_pixels(layer, y, x0 + start * unit, (end - start) * unit);
    }
    if (layer->finish)
        layer->finish(layer->context, layer, y, x0, x1);
}
