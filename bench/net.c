/* bench_net: evaluates a network on one tile on request, for comparisons that run several programs
 * alternately.
 *
 *   bench_net --model FILE|rrdb:..|srvgg:..|span:.. --width PX --height PX --in FILE --out FILE
 *             [--precision auto|bf16|fp32|exact] [--backend NAME] [--cpumask SET] [--threads N]
 *
 * FILE of --in: planar RGB, float32 in [0, 1], [3][height][width]; of --out: the last result,
 * [3][height * scale][width * scale]. Prints backend and class as a line of
 * JSON; then, for each line on stdin, evaluates the tile once and prints {"seconds": S}; writes the
 * result at the end of stdin. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "base/clock.h"
#include "base/cpu_features.h"
#include "base/memory.h"
#include "model_argument.h"
#include "must.h"
#include "net/net.h"
#include "net/select_backend.h"

typedef struct Options {
    const char *model, *in, *out, *precision, *backend, *cpumask;
    int width_px, height_px, threads;
} Options;

static void must_io(size_t done, size_t wanted, const char *path)
{
    if (done == wanted)
        return;
    fprintf(stderr, "bench_net: %s: %zu of %zu values\n", path, done, wanted);
    exit(74);
}

static Options parse(int argc, char **argv)
{
    Options options = {.precision = "auto", .backend = "auto", .threads = 2};
    const BenchOption table[] = {
        {"model", .text = &options.model},       {"in", .text = &options.in},
        {"out", .text = &options.out},           {"precision", .text = &options.precision},
        {"backend", .text = &options.backend},   {"cpumask", .text = &options.cpumask},
        {"width", .number = &options.width_px},  {"height", .number = &options.height_px},
        {"threads", .number = &options.threads},
    };
    bool parsed = bench_parse(table, sizeof table / sizeof *table, argc, argv);
    if (!parsed || !options.model || !options.in || !options.out || options.width_px < 1 ||
        options.height_px < 1 || options.threads < 1) {
        fprintf(stderr, "usage: bench_net --model M --width PX --height PX --in FILE --out FILE "
                        "[--precision P] [--backend NAME] [--cpumask SET] [--threads N]\n");
        exit(64);
    }
    return options;
}

static const ResrOps *choose(const Options *options, const ResrModel *model)
{
    ResrProbe probe;
    char class[16];
    unsigned mask = ~0u;
    if (options->cpumask)
        must(resr_cpu_parse_mask(&mask, options->cpumask));
    must(resr_select_backend_probe(&probe, (ResrArch)model->spec.arch, options->precision,
                                   options->backend, mask, options->threads));
    must(resr_select_backend_class(class, &probe, 1));
    return resr_select_backend_fastest(&probe, class);
}

static void serve(const Options *options, const ResrOps *ops, const ResrModel *model, float *in,
                  float *out)
{
    ResrNet *net;
    char line[64];
    size_t width = (size_t)options->width_px, in_px = width * (size_t)options->height_px;
    size_t scale = (size_t)model->spec.scale, out_px = in_px * scale * scale;
    const float *const in_planes[4] = {in, in + in_px, in + 2 * in_px};
    float *const out_planes[4] = {out, out + out_px, out + 2 * out_px};
    must(resr_net_create(&net, ops, model, options->width_px, options->height_px, (ResrTileSize){0},
                         options->threads));
    printf("{\"cpu\": \"%s\", \"backend\": \"%s\", \"class\": \"%s\", \"threads\": %d, "
           "\"model\": \"%s\", \"scale\": %d}\n",
           resr_cpu_brand(), ops->name, resr_ops_class(ops), options->threads, model->name,
           model->spec.scale);
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        int64_t start_ns = resr_clock_ns();
        must(resr_net_upscale(net, out_planes, width * scale, in_planes, width, NULL));
        printf("{\"seconds\": %.6f}\n", resr_clock_seconds_since(start_ns));
        fflush(stdout);
    }
    resr_net_free(net);
}

int main(int argc, char **argv)
{
    ResrModel *model;
    float *in, *out;
    Options options = parse(argc, argv);
    must(bench_model_argument(&model, options.model));
    const ResrOps *ops = choose(&options, model);
    size_t floats = 3 * (size_t)options.width_px * (size_t)options.height_px;
    size_t out_floats = floats * (size_t)(model->spec.scale * model->spec.scale);
    must(resr_alloc(&in, floats, sizeof *in));
    must(resr_alloc(&out, out_floats, sizeof *out));
    FILE *file = fopen(options.in, "rb");
    must_io(file ? fread(in, sizeof *in, floats, file) : 0, floats, options.in);
    fclose(file);
    serve(&options, ops, model, in, out);
    file = fopen(options.out, "wb");
    must_io(file ? fwrite(out, sizeof *out, out_floats, file) : 0, out_floats, options.out);
    fclose(file);
    free(in);
    free(out);
    resr_model_free(model);
    return 0;
}
