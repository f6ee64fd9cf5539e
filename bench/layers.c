/* Each convolution first gives its verdict, on a small map, against a plain sum in the order that
 * class `exact` is defined by (net/backend.h). */
#include "layers.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "cpu/dispatch.h"
#include "cpu/packed_net.h"
#include "cpu/wavefront.h"
#include "cpu/winograd.h"
#include "cpu/workspace.h"
#include "net/net.h"
#include "peak.h"
#include "random_model.h"
#include "result_json.h"

/* The shortest networks that have all layers. */
static const ResrNetSpec rrdb = {RESR_ARCH_RRDB, 4, 1, 1, 64, 32, 3, 0, 1.0};
static const ResrNetSpec compact = {RESR_ARCH_SRVGG, 4, 1, 1, 64, 0, 3, 0, 1.0};

typedef struct LayerCase {
    const char *name;
    const ResrNetSpec *spec;
    int conv;
    bool leaky, nearest;
    float factor; /* of the residual; 0: none */
} LayerCase;

static const LayerCase cases[] = {
    {"conv_first", &rrdb, 0, 0, 0, 0},
    {"conv1", &rrdb, 1, 1, 0, 0},
    {"conv2", &rrdb, 2, 1, 0, 0},
    {"conv3", &rrdb, 3, 1, 0, 0},
    {"conv4", &rrdb, 4, 1, 0, 0},
    {"conv5", &rrdb, 5, 0, 0, 0.2f},
    {"conv_body", &rrdb, 16, 0, 0, 1},
    {"conv_up", &rrdb, 17, 1, 1, 0},
    {"conv_hr", &rrdb, 19, 1, 0, 0},
    {"conv_last", &rrdb, 20, 0, 0, 0},
    {"compact_first", &compact, 0, 0, 0, 0},
    {"compact_body", &compact, 1, 0, 0, 0},
    {"compact_last", &compact, 2, 0, 0, 0},
};

enum { VERDICT_WIDTH_PX = 34, VERDICT_HEIGHT_PX = 10, MAX_REPEATS = 64, DENSE_ROUNDS = 2 };

/* A small layer is repeated until a run has this much work: some milliseconds. */
static const double RUN_FLOPS = 5e9;

/* Largest error of one convolution that rounding explains; F(4x4) in bf16 has four times that of
 * F(2x2). */
static double layer_limit(const ResrConvKernels *kernels)
{
    const ResrWinogradKernels *winograd = kernels->winograd;
    if (!winograd)
        return 0;
    return !winograd->bf16 ? 1e-5 : winograd->outputs == 2 ? 1e-2 : 3e-2;
}

/* One layer with feature maps of its own. */
typedef struct Bench {
    ResrFeatureMap in, residual, out;
    float *memory;
    char *scratch;
    ResrWavefront *wavefronts; /* MAX_REPEATS times the same */
    int threads;
} Bench;

static void bench_free(Bench *bench)
{
    free(bench->memory);
    free(bench->scratch);
    free(bench->wavefronts);
    *bench = (Bench){0};
}

static void fill(const ResrFeatureMap *map, int channels, uint64_t seed)
{
    size_t row_floats = (size_t)map->width * RESR_BLOCK_LANES;
    for (int y = 0; y < map->height; y++)
        for (int b = 0; b < map->blocks; b++) {
            float *row = resr_feature_map_row(map, y, b);
            resr_random_fill(row, row_floats, seed + (uint64_t)(y * map->blocks + b));
            for (size_t i = 0; i < row_floats; i++)
                row[i] = b * RESR_BLOCK_LANES + (int)(i % RESR_BLOCK_LANES) < channels
                             ? row[i] - 0.5f
                             : 0;
        }
}

static int create_maps(Bench *bench, const LayerCase *c, const ResrConv *conv, int width,
                       int height)
{
    int in_blocks = resr_blocks(conv->cin), out_blocks = resr_blocks(conv->cout);
    int in_width = c->nearest ? width / 2 : width, in_height = c->nearest ? height / 2 : height;
    size_t in_floats = resr_feature_map_floats(in_blocks, in_width, in_height);
    size_t out_floats = resr_feature_map_floats(out_blocks, width, height);
    int ret = resr_workspace_alloc(&bench->memory, in_floats + 2 * out_floats);
    if (ret < 0)
        return ret;
    resr_feature_map_set(&bench->in, bench->memory, in_blocks, in_width, in_height, in_width,
                         in_height);
    resr_feature_map_set(&bench->residual, bench->memory + in_floats, out_blocks, width, height,
                         width, height);
    resr_feature_map_set(&bench->out, bench->memory + in_floats + out_floats, out_blocks, width,
                         height, width, height);
    fill(&bench->in, conv->cin, 1);
    fill(&bench->residual, conv->cout, 1000);
    fill(&bench->out, 0, 0); /* first touched here */
    return 0;
}

static int bench_create(Bench *bench, const LayerCase *c, const ResrPackedConv *packed,
                        const ResrConv *conv, int width, int height, int threads)
{
    const ResrWinogradKernels *winograd = packed->kernels->winograd;
    size_t scratch_bytes = winograd ? resr_winograd_scratch_bytes(winograd, packed->in_cells) : 0;
    *bench = (Bench){.threads = threads};
    int ret = create_maps(bench, c, conv, width, height);
    if (ret == 0)
        ret = resr_alloc_uninitialised(&bench->scratch, scratch_bytes * (size_t)threads + 1, 1);
    if (ret == 0)
        ret = resr_alloc(&bench->wavefronts, MAX_REPEATS, sizeof *bench->wavefronts);
    if (ret < 0) {
        bench_free(bench);
        return ret;
    }
    ResrLayer layer = {
        .conv = packed,
        .in = &bench->in,
        .nearest = c->nearest,
        .out = &bench->out,
        .residual = c->factor != 0 ? &bench->residual : NULL,
        .factor = c->factor != 0 ? c->factor : 1.0f,
        .needed = {0, 0, width, height},
        .scratch = bench->scratch,
        .scratch_bytes = scratch_bytes,
    };
    resr_layer_prepare(&layer);
    layer.step_rows = (height + layer.row_px - 1) / layer.row_px * layer.row_px;
    for (int i = 0; i < MAX_REPEATS; i++) {
        bench->wavefronts[i] = (ResrWavefront){.count = 1, .panel_px = width};
        bench->wavefronts[i].layers[0] = layer;
    }
    return 0;
}

static const float *pixel(const ResrFeatureMap *map, int channel, int y, int x)
{
    return resr_feature_map_row(map, y, channel / RESR_BLOCK_LANES) + x * RESR_BLOCK_LANES +
           channel % RESR_BLOCK_LANES;
}

static float reference(const LayerCase *c, const ResrConv *conv, const Bench *bench, int co, int y,
                       int x)
{
    float sum = conv->bias[co];
    for (int tap = 0; tap < 9; tap++) {
        int in_y = y + tap / 3 - 1, in_x = x + tap % 3 - 1;
        if (c->nearest) {
            in_y >>= 1;
            in_x >>= 1;
        }
        for (int ci = 0; ci < conv->cin; ci++)
            sum = fmaf(*pixel(&bench->in, ci, in_y, in_x),
                       conv->weight[(co * conv->cin + ci) * 9 + tap], sum);
    }
    if (c->leaky || conv->slope)
        sum = sum > 0 ? sum : (c->leaky ? 0.2f : conv->slope[co]) * sum;
    return c->factor != 0 ? fmaf(c->factor, sum, *pixel(&bench->residual, co, y, x)) : sum;
}

/* The relative error, or negative if it cannot be computed. */
static double layer_error(const LayerCase *c, const ResrPackedConv *packed, const ResrConv *conv,
                          int threads)
{
    Bench bench;
    float *values = NULL;
    size_t n = 0, floats = (size_t)(conv->cout * VERDICT_HEIGHT_PX * VERDICT_WIDTH_PX);
    double error = -1, macs = 0;
    int ret = bench_create(&bench, c, packed, conv, VERDICT_WIDTH_PX, VERDICT_HEIGHT_PX, threads);
    if (ret == 0)
        ret = resr_alloc(&values, 2 * floats, sizeof *values);
    if (ret < 0)
        goto cleanup;
    if (!resr_wavefronts_run(bench.wavefronts, 1, threads, NULL, &macs))
        goto cleanup;
    for (int co = 0; co < conv->cout; co++)
        for (int y = 0; y < VERDICT_HEIGHT_PX; y++)
            for (int x = 0; x < VERDICT_WIDTH_PX; x++, n++) {
                values[n] = reference(c, conv, &bench, co, y, x);
                values[floats + n] = *pixel(&bench.out, co, y, x);
            }
    error = bench_relative_error(values, values + floats, n);
cleanup:
    free(values);
    bench_free(&bench);
    return error;
}

static double best_seconds(const Bench *bench, int repeats, int runs)
{
    double best = INFINITY, macs = 0;
    for (int i = 0; i <= runs; i++) { /* the first one warms up */
        int64_t start_ns = resr_clock_ns();
        if (resr_wavefronts_run(bench->wavefronts, repeats, bench->threads, NULL, &macs) && i > 0)
            best = fmin(best, resr_clock_seconds_since(start_ns) / repeats);
    }
    return best;
}

/* The first and last layers of bf16's networks are fp32. */
static const char *peak_of(const ResrOps *ops, const ResrConvKernels *kernels)
{
    bool narrow = strcmp(resr_numerics(ops->numerics)->precision, "bf16") == 0;
    return narrow && !(kernels->winograd && kernels->winograd->bf16) ? "avx512" : ops->name;
}

static int measure_conv(const LayerCase *c, const ResrOps *ops, const ResrPackedNet *net,
                        const ResrModel *model, int threads, const BenchLayers *options, int *first)
{
    const ResrPackedConv *packed = &net->convs[c->conv];
    const ResrConv *conv = &model->convs[c->conv];
    Bench bench;
    BenchRow row = {.kind = "layer",
                    .name = c->name,
                    .ops = ops,
                    .peak_of = peak_of(ops, packed->kernels),
                    .threads = threads,
                    .width_px = options->width_px,
                    .height_px = options->height_px,
                    .error = layer_error(c, packed, conv, threads),
                    .limit = layer_limit(packed->kernels),
                    .flops =
                        18.0 * conv->cin * conv->cout * options->width_px * options->height_px};
    if (row.error < 0)
        return RESR_ERR_INTERNAL;
    int ret = bench_create(&bench, c, packed, conv, options->width_px, options->height_px, threads);
    if (ret < 0)
        return ret;
    int repeats = (int)fmin(MAX_REPEATS, 1 + RUN_FLOPS / row.flops);
    row.peak_before = bench_peak_flops(row.peak_of, threads);
    row.seconds = best_seconds(&bench, repeats, options->runs);
    row.peak_after = bench_peak_flops(row.peak_of, threads);
    bench_free(&bench);
    return bench_row_print(&row, first);
}

/* Best seconds of the head and `rounds` times an RRDB's three dense blocks; 0: the head alone. */
static int dense_seconds(double *best, const ResrOps *ops, void *ctx, const ResrTileIn *in,
                         int rounds, int runs)
{
    *best = INFINITY;
    for (int i = 0; i <= runs; i++) {
        int ret = ops->head(ctx, in);
        for (int d = 0; ret == 0 && d < 3 * rounds; d++)
            ret = ops->dense_block(ctx, 0, d % 3, d % 3 == 2);
        int64_t start_ns = resr_clock_ns();
        if (ret == 0)
            ret = ops->wait(ctx, NULL);
        if (ret < 0)
            return ret;
        *best = i == 0 ? *best : fmin(*best, resr_clock_seconds_since(start_ns));
    }
    return 0;
}

/* The verdict is that of a network of three blocks, since the outputs of blocks are not visible. */
static int dense_error(double *error, const ResrOps *ops, const ResrModel *model, int threads)
{
    enum { IN = VERDICT_WIDTH_PX * VERDICT_HEIGHT_PX, OUT = 16 * IN };
    const ResrOps *const both[2] = {resr_cpu_ops(0), ops};
    ResrNet *net = NULL;
    float *memory = NULL;
    int ret = resr_alloc(&memory, 3 * IN + 6 * OUT, sizeof *memory);
    if (ret == 0)
        resr_random_fill(memory, 3 * IN, 1);
    const float *const in[4] = {memory, memory + IN, memory + 2 * IN};
    for (int i = 0; ret == 0 && i < 2; i++) {
        float *first = memory + 3 * IN + 3 * OUT * i;
        float *const out[4] = {first, first + OUT, first + 2 * OUT};
        ret = resr_net_create(&net, both[i], model, VERDICT_WIDTH_PX, VERDICT_HEIGHT_PX,
                              (ResrTileSize){0}, threads);
        if (ret == 0)
            ret = resr_net_upscale(net, out, 4 * VERDICT_WIDTH_PX, in, VERDICT_WIDTH_PX, NULL);
        resr_net_free(net);
        net = NULL;
    }
    if (ret == 0)
        *error = bench_relative_error(memory + 3 * IN, memory + 3 * IN + 3 * OUT, 3 * OUT);
    free(memory);
    return ret;
}

static int measure_dense(const ResrOps *ops, const ResrPackedNet *net, const ResrModel *model,
                         int threads, const BenchLayers *options, int *first)
{
    size_t px = (size_t)options->width_px * (size_t)options->height_px;
    double head = 0, with = 0, macs = 0;
    float *plane = NULL;
    void *ctx = NULL;
    for (int i = 1; i <= 5; i++)
        macs += 9.0 * model->convs[i].cin * model->convs[i].cout;
    BenchRow row = {.kind = "layer",
                    .name = "dense_block",
                    .ops = ops,
                    .peak_of = peak_of(ops, net->body),
                    .threads = threads,
                    .width_px = options->width_px,
                    .height_px = options->height_px,
                    .limit = 2 * layer_limit(net->body),
                    .flops = 2 * macs * (double)px};
    int ret = dense_error(&row.error, ops, model, threads);
    if (ret == 0)
        ret = resr_alloc(&plane, px, sizeof *plane);
    if (ret == 0)
        ret = ops->ctx_create(&ctx, net, options->width_px, options->height_px, threads);
    if (ret < 0)
        goto cleanup;
    resr_random_fill(plane, px, 1);
    ResrTileIn in = {.plane = {plane, plane, plane},
                     .stride = (size_t)options->width_px,
                     .width_px = options->width_px,
                     .height_px = options->height_px};
    row.peak_before = bench_peak_flops(row.peak_of, threads);
    ret = dense_seconds(&head, ops, ctx, &in, 0, options->runs);
    if (ret == 0)
        ret = dense_seconds(&with, ops, ctx, &in, DENSE_ROUNDS, options->runs);
    row.seconds = (with - head) / (3 * DENSE_ROUNDS);
    row.peak_after = bench_peak_flops(row.peak_of, threads);
    if (ret == 0)
        ret = bench_row_print(&row, first);
cleanup:
    if (ctx)
        ops->ctx_free(ctx);
    free(plane);
    return ret;
}

static bool wanted(const BenchLayers *options, const char *name)
{
    return !options->layer || strcmp(options->layer, name) == 0;
}

static int measure_spec(const ResrNetSpec *spec, const ResrOps *ops, const BenchLayers *options,
                        int *first)
{
    ResrModel *model = NULL;
    void *net = NULL;
    bool wrong = false;
    int ret = resr_random_model(&model, spec, 1, 1.4);
    if (ret == 0)
        ret = ops->prepare(ops, &net, model);
    for (int threads = 1; ret == 0 && threads <= options->max_threads; threads *= 2) {
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
            if (cases[i].spec == spec && wanted(options, cases[i].name))
                wrong |= measure_conv(&cases[i], ops, net, model, threads, options, first) < 0;
        if (spec == &rrdb && wanted(options, "dense_block"))
            wrong |= measure_dense(ops, net, model, threads, options, first) < 0;
    }
    if (net)
        ops->release(net);
    resr_model_free(model);
    return ret < 0 || wrong ? RESR_ERR_INTERNAL : 0;
}

int bench_layers(const BenchLayers *options, const ResrOps *ops, int *first)
{
    bool failed = measure_spec(&rrdb, ops, options, first) < 0;
    failed |= measure_spec(&compact, ops, options, first) < 0;
    return failed ? RESR_ERR_INTERNAL : 0;
}
