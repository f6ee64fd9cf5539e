/* Speed of a whole network on the CUDA backend: frames made in memory go through the program's own
 * forward pass (upload, all layers, download), with a verdict against another variant first. A line
 * of JSON.
 *
 *   bench_cuda_net MODEL WIDTH HEIGHT [TILE [PAD [BACKEND [SECONDS]]]]
 *
 * MODEL: as bench_net takes it (rrdb:2:23:1 is x2plus with random weights). TILE 0: whole frames.
 * Frames go one by one: the model's column for 1 frame.
 * BACKEND: cuda, cuda-mma, ... [cuda]. Verdict: PSNR of the float output of a small frame against
 * the variant "cublas", or "mma" where that one is measured; "alone" where there is no other
 * variant. TFLOP/s are of direct convolution: computed counts the tiles' context, useful does not.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "model_argument.h"
#include "must.h"
#include "net/cuda.h"
#include "net/net.h"
#include "net/tile.h"
#include "random_model.h"

enum { MAX_RUNS = 1000, VERDICT_WIDTH_PX = 48, VERDICT_HEIGHT_PX = 36 };

#define MIN_PSNR_DB 60.0 /* two roundings of fp16 apart, as tests/cuda asks for */

typedef struct Frame {
    float *in, *out;
    size_t in_px, out_px;
    int width_px, height_px, scale;
} Frame;

static Frame make_frame(int width_px, int height_px, int scale)
{
    Frame frame = {.width_px = width_px, .height_px = height_px, .scale = scale};
    frame.in_px = (size_t)width_px * (size_t)height_px;
    frame.out_px = frame.in_px * (size_t)scale * (size_t)scale;
    must(resr_alloc(&frame.in, 3 * frame.in_px, sizeof *frame.in));
    must(resr_alloc(&frame.out, 3 * frame.out_px, sizeof *frame.out));
    resr_random_fill(frame.in, 3 * frame.in_px, 5);
    return frame;
}

static void free_frame(Frame *frame)
{
    free(frame->in);
    free(frame->out);
}

static void upscale(ResrNet *net, const Frame *frame)
{
    const float *const in[4] = {frame->in, frame->in + frame->in_px, frame->in + 2 * frame->in_px};
    float *const out[4] = {frame->out, frame->out + frame->out_px, frame->out + 2 * frame->out_px};
    must(resr_net_upscale(net, out, (size_t)(frame->width_px * frame->scale), in,
                          (size_t)frame->width_px, NULL));
}

static const ResrOps *find_ops(const char *name)
{
    const ResrOps *ops;
    for (int i = 0; (ops = resr_cuda_backend_ops(i)); i++)
        if (strcmp(ops->name, name) == 0)
            return ops;
    return NULL;
}

static void run_small(const Frame *frame, const ResrOps *ops, const ResrModel *model)
{
    ResrNet *net;
    must(
        resr_net_create(&net, ops, model, frame->width_px, frame->height_px, (ResrTileSize){0}, 1));
    upscale(net, frame);
    resr_net_free(net);
}

/* PSNR in dB between two variants; NaN if there is only one. */
static double compare(const ResrOps *ops, const ResrModel *model)
{
    const ResrOps *other = find_ops("cuda-cublas");
    if (!other || strcmp(resr_ops_class(other), resr_ops_class(ops)) == 0)
        other = find_ops("cuda-mma");
    if (!other || other == ops || strcmp(other->name, ops->name) == 0)
        return NAN;
    Frame a = make_frame(VERDICT_WIDTH_PX, VERDICT_HEIGHT_PX, model->spec.scale);
    Frame b = make_frame(VERDICT_WIDTH_PX, VERDICT_HEIGHT_PX, model->spec.scale);
    run_small(&a, ops, model);
    run_small(&b, other, model);
    double squares = 0;
    for (size_t i = 0; i < 3 * a.out_px; i++)
        squares += pow((double)a.out[i] - (double)b.out[i], 2);
    free_frame(&a);
    free_frame(&b);
    return 10 * log10(3.0 * (double)a.out_px / fmax(squares, 1e-30));
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median of the times of a frame, over at least three of them. */
static double median_seconds(ResrNet *net, const Frame *frame, double seconds)
{
    static double times[MAX_RUNS];
    int64_t start_ns = resr_clock_ns();
    int n = 0;
    upscale(net, frame); /* captures graphs, loads kernels */
    while (n < 3 || (n < MAX_RUNS && resr_clock_seconds_since(start_ns) < seconds)) {
        int64_t frame_ns = resr_clock_ns();
        upscale(net, frame);
        times[n++] = resr_clock_seconds_since(frame_ns);
    }
    qsort(times, (size_t)n, sizeof *times, by_value);
    return times[n / 2];
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr,
                "usage: bench_cuda_net MODEL WIDTH HEIGHT [TILE [PAD [BACKEND [SECONDS]]]]\n");
        return 64;
    }
    int width_px = atoi(argv[2]), height_px = atoi(argv[3]);
    int tile_px = argc > 4 ? atoi(argv[4]) : 0, pad_px = argc > 5 ? atoi(argv[5]) : 0;
    const char *backend = argc > 6 ? argv[6] : "cuda";
    ResrModel *model;
    ResrNet *net;
    ResrTileSize tile = resr_tile_square(tile_px, pad_px);
    ResrTilePlan plan;
    const ResrOps *ops = find_ops(backend);
    if (!ops) {
        fprintf(stderr, "bench_cuda_net: no backend %s: %s\n", backend,
                resr_cuda_backend_missing());
        return 77;
    }
    must(bench_model_argument(&model, argv[1]));
    double psnr = compare(ops, model);
    Frame frame = make_frame(width_px, height_px, model->spec.scale);
    must(resr_tile_plan(&plan, width_px, height_px, tile, model->spec.unshuffle));
    must(resr_net_create(&net, ops, model, width_px, height_px, tile, 1));
    double seconds = median_seconds(net, &frame, argc > 7 ? atof(argv[7]) : 5);
    double flops = 2 * resr_spec_macs_per_px(&model->spec) * (double)frame.in_px / seconds;
    printf("{\"model\": \"%s\", \"backend\": \"%s\", \"class\": \"%s\", \"width\": %d, "
           "\"height\": %d, \"tile\": %d, \"pad\": %d, \"seconds\": %.5f, "
           "\"tflops_computed\": %.3f, \"tflops_useful\": %.3f, \"psnr_db\": %.1f, "
           "\"verdict\": \"%s\", \"device\": \"%s\"}\n",
           argv[1], ops->name, resr_ops_class(ops), width_px, height_px, tile_px, pad_px, seconds,
           flops * resr_tile_overhead(&plan) / 1e12, flops / 1e12, isnan(psnr) ? 0 : psnr,
           isnan(psnr)           ? "alone"
           : psnr >= MIN_PSNR_DB ? "ok"
                                 : "WRONG",
           resr_cuda_backend_device());
    resr_net_free(net);
    free_frame(&frame);
    resr_model_free(model);
    return psnr < MIN_PSNR_DB;
}
