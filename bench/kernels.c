/* Speed of whole networks with random weights on one tile, or with --layers of their single layers,
 * for each numerics class, CPU backend and number of threads. JSON on stdout: GFLOP/s of direct
 * convolution, and their share of the machine's peak for this kind of operand, which is measured
 * before and after (Winograd's fewer multiplications give more than 100 %). Each backend is first
 * compared with the scalar reference, and its row starts with the verdict. "disturbed": the two
 * peaks differ by more than a twentieth or are exceeded, so other programs used the cores and the
 * row is not a result. Exit status 1 if a result is wrong. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "base/clock.h"
#include "base/cpu_features.h"
#include "base/memory.h"
#include "cpu/dispatch.h"
#include "layers.h"
#include "net/net.h"
#include "peak.h"
#include "random_model.h"
#include "result_json.h"

typedef struct Network {
    const char *name;
    ResrNetSpec spec;
} Network;

static const Network networks[] = {
    {"x4plus", {RESR_ARCH_RRDB, 4, 1, 23, 64, 32, 3, 0, 1.0}},
    {"x2plus", {RESR_ARCH_RRDB, 2, 2, 23, 64, 32, 3, 0, 1.0}},
    {"x4plus-anime", {RESR_ARCH_RRDB, 4, 1, 6, 64, 32, 3, 0, 1.0}},
    {"animevideov3", {RESR_ARCH_SRVGG, 4, 1, 16, 64, 0, 3, 0, 1.0}},
    {"general-x4v3", {RESR_ARCH_SRVGG, 4, 1, 32, 64, 0, 3, 0, 1.0}},
};

typedef struct Options {
    const char *network, *class, *backend, *layer;
    int layers, width_px, height_px, max_threads, runs;
} Options;

/* A small tile for verdicts, since the reference is slow. */
enum { VERDICT_WIDTH_PX = 34, VERDICT_HEIGHT_PX = 10 };

/* Upscales seeded pixels `runs` times; *out (the caller's, may be NULL) is the result, *seconds
 * (may be NULL) the best time. */
static int upscale(float **out, double *seconds, const ResrOps *ops, const ResrModel *model,
                   int width_px, int height_px, int threads, int runs)
{
    ResrNet *net = NULL;
    float *in = NULL, *result = NULL;
    size_t scale = (size_t)model->spec.scale;
    size_t in_px = (size_t)width_px * (size_t)height_px, out_px = in_px * scale * scale;
    double best = 1e30;
    int ret = resr_alloc(&in, 3 * in_px, sizeof *in);
    if (ret == 0)
        ret = resr_alloc(&result, 3 * out_px, sizeof *result);
    if (ret == 0)
        ret = resr_net_create(&net, ops, model, width_px, height_px, (ResrTileSize){0}, threads);
    if (ret < 0)
        goto cleanup;
    resr_random_fill(in, 3 * in_px, 1);
    const float *const in_planes[4] = {in, in + in_px, in + 2 * in_px};
    float *const out_planes[4] = {result, result + out_px, result + 2 * out_px};
    for (int i = 0; ret == 0 && i < runs; i++) {
        int64_t start_ns = resr_clock_ns();
        ret = resr_net_upscale(net, out_planes, (size_t)width_px * scale, in_planes,
                               (size_t)width_px, NULL);
        double run_seconds = resr_clock_seconds_since(start_ns);
        best = run_seconds < best ? run_seconds : best;
    }
cleanup:
    if (seconds)
        *seconds = best;
    if (out)
        *out = result;
    else
        free(result);
    resr_net_free(net);
    free(in);
    return ret;
}

/* The relative error, or negative if it cannot be computed. */
static double verdict(const float *expected, const ResrOps *ops, const ResrModel *model,
                      int threads)
{
    float *got = NULL;
    int ret = upscale(&got, NULL, ops, model, VERDICT_WIDTH_PX, VERDICT_HEIGHT_PX, threads, 1);
    size_t values = (size_t)(3 * VERDICT_WIDTH_PX * VERDICT_HEIGHT_PX) *
                    (size_t)(model->spec.scale * model->spec.scale);
    double error = ret < 0 ? -1 : bench_relative_error(expected, got, values);
    free(got);
    return error;
}

static int measure(const Network *network, const ResrOps *ops, const ResrModel *model,
                   const float *expected, int threads, const Options *options, int *first)
{
    BenchRow row = {.kind = "network",
                    .name = network->name,
                    .ops = ops,
                    .peak_of = ops->name,
                    .threads = threads,
                    .width_px = options->width_px,
                    .height_px = options->height_px,
                    .error = verdict(expected, ops, model, threads),
                    .limit = resr_numerics(ops->numerics)->tolerance,
                    .flops = 2.0 * options->width_px * options->height_px *
                             resr_spec_macs_per_px(&model->spec)};
    if (row.error < 0)
        return RESR_ERR_INTERNAL;
    row.peak_before = bench_peak_flops(ops->name, threads);
    int ret = upscale(NULL, &row.seconds, ops, model, options->width_px, options->height_px,
                      threads, options->runs);
    if (ret < 0)
        return ret;
    row.peak_after = bench_peak_flops(ops->name, threads);
    return bench_row_print(&row, first);
}

static bool selected(const ResrOps *ops, const Options *options)
{
    return resr_cpu_can_run(ops, ~0u) &&
           (!options->class || strcmp(options->class, resr_ops_class(ops)) == 0) &&
           (!options->backend || strcmp(options->backend, ops->name) == 0);
}

static int measure_network(const Network *network, const Options *options, int *first)
{
    ResrModel *model = NULL;
    float *expected = NULL;
    bool wrong = false;
    int ret = resr_random_model(&model, &network->spec, 1, 1.4);
    if (ret == 0)
        ret = upscale(&expected, NULL, resr_cpu_ops(0), model, VERDICT_WIDTH_PX, VERDICT_HEIGHT_PX,
                      options->max_threads, 1);
    for (int i = 1; ret == 0 && resr_cpu_ops(i); i++) {
        const ResrOps *ops = resr_cpu_ops(i);
        if (!selected(ops, options))
            continue;
        for (int threads = 1; threads <= options->max_threads; threads *= 2)
            wrong |= measure(network, ops, model, expected, threads, options, first) < 0;
    }
    free(expected);
    resr_model_free(model);
    return ret < 0 || wrong ? RESR_ERR_INTERNAL : 0;
}

static int measure_layers(const Options *options, int *first)
{
    BenchLayers layers = {options->layer, options->width_px, options->height_px,
                          options->max_threads, options->runs};
    bool failed = false;
    for (int i = 1; resr_cpu_ops(i); i++)
        if (selected(resr_cpu_ops(i), options))
            failed |= bench_layers(&layers, resr_cpu_ops(i), first) < 0;
    return failed ? RESR_ERR_INTERNAL : 0;
}

static bool parse(Options *options, int argc, char **argv)
{
    const BenchOption table[] = {
        {"network", .text = &options->network},    {"class", .text = &options->class},
        {"backend", .text = &options->backend},    {"width", .number = &options->width_px},
        {"height", .number = &options->height_px}, {"threads", .number = &options->max_threads},
        {"runs", .number = &options->runs},        {"layers", .flag = &options->layers},
        {"layer", .text = &options->layer},
    };
    *options = (Options){.width_px = 128, .height_px = 128, .max_threads = 2, .runs = 3};
    bool parsed = bench_parse(table, sizeof table / sizeof *table, argc, argv);
    options->layers |= options->layer != NULL;
    return parsed && options->width_px > 0 && options->height_px > 0 && options->max_threads > 0 &&
           options->runs > 0 &&
           !(options->layers && (options->width_px % 2 || options->height_px % 2));
}

int main(int argc, char **argv)
{
    Options options;
    int first = 1, failed = 0;
    if (!parse(&options, argc, argv)) {
        fprintf(stderr,
                "usage: bench_kernels [--network NAME | --layers | --layer NAME] [--class NAME] "
                "[--backend NAME] [--width PX] [--height PX] [--threads MAX] [--runs N]\n");
        return 64;
    }
    printf("{\"cpu\": \"%s\", \"results\": [", resr_cpu_brand());
    if (options.layers)
        failed = measure_layers(&options, &first) < 0;
    for (size_t i = 0; !options.layers && i < sizeof networks / sizeof networks[0]; i++)
        if (!options.network || strcmp(options.network, networks[i].name) == 0)
            failed |= measure_network(&networks[i], &options, &first) < 0;
    printf("\n]}\n");
    if (failed || first)
        fprintf(stderr, "bench_kernels: %s\n",
                failed ? "a result is wrong or an error occurred" : "nothing was measured");
    return failed || first;
}
