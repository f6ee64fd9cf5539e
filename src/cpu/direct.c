#include "cpu/direct.h"

#include <stdlib.h>

#include "base/memory.h"
#include "cpu/pixels.h"
#include "cpu/workspace.h"

typedef struct Packed {
    ResrNetSpec spec;
    const ResrConvKernels *kernels;
    int32_t n_convs;
    ResrPackedConv *convs; /* in the model's order */
} Packed;

/* Where the maps lie in a run's memory, in floats. */
typedef struct Plan {
    size_t pixels, feat, rrdb_in, dense[2], up1, up2, hr, last, total;
    int tail_rows; /* of a step of the tail's wave */
} Plan;

typedef struct Run {
    const Packed *net;
    int threads;
    ResrTileIn in;
    int width, height; /* of the body */
    ResrRect keep;     /* of the body: what the tail makes pixels of */
    int current;       /* which of `dense` holds the trunk */
    Plan plan;
    float *memory;
    ResrMap pixels;   /* the head's input */
    ResrMap feat;     /* the head's output, then body_end's */
    ResrMap rrdb_in;  /* the trunk at the start of an RRDB; the first RRDB's is feat */
    ResrMap dense[2]; /* dense blocks: from one into the other; SRVGG: the body's maps */
    ResrMap up1;      /* twice the body's size; lies where `dense` was */
    ResrMap up2, hr;  /* rings of rows of four times the body's size */
    ResrMap last;     /* the last layer's output */
} Run;

static int is_rrdb(const Packed *net)
{
    return net->spec.arch == RESR_ARCH_RRDB;
}

static int dense_blocks(const ResrNetSpec *spec)
{
    return resr_blocks(spec->nf) + 4 * resr_blocks(spec->gc);
}

/* Input channels of a convolution as groups that begin a block: a dense block's k-th reads the
 * trunk and k outputs before it. */
static void input_groups(int groups[6], const Packed *net, const ResrConv *conv, int index)
{
    const ResrNetSpec *spec = &net->spec;
    int in_body = is_rrdb(net) && index > 0 && index <= 15 * spec->num_blocks;
    int grown = in_body ? (index - 1) % 5 : 0;
    groups[0] = in_body ? spec->nf : conv->cin;
    for (int i = 1; i <= grown; i++)
        groups[i] = spec->gc;
    groups[grown + 1] = 0;
}

static int leaky_follows(const Packed *net, int index)
{
    int from_end = net->n_convs - 1 - index;
    if (!is_rrdb(net) || index == 0 || from_end == 0 || from_end == 4)
        return 0;
    return from_end < 4 || (index - 1) % 5 < 4;
}

void resr_direct_release(void *packed)
{
    Packed *net = packed;
    if (!net)
        return;
    for (int i = 0; net->convs && i < net->n_convs; i++)
        resr_conv_release(&net->convs[i]);
    free(net->convs);
    free(net);
}

int resr_direct_prepare(void **packed, const ResrModel *model, const ResrConvKernels *kernels)
{
    Packed *net = NULL;
    int ret = resr_alloc(&net, 1, sizeof *net);
    if (ret < 0)
        goto cleanup;
    net->spec = model->spec;
    net->kernels = kernels;
    net->n_convs = model->n_convs;
    ret = resr_alloc(&net->convs, (size_t)model->n_convs, sizeof *net->convs);
    for (int i = 0; ret == 0 && i < model->n_convs; i++) {
        int groups[6];
        input_groups(groups, net, &model->convs[i], i);
        ret = resr_conv_pack(&net->convs[i], &model->convs[i], groups, leaky_follows(net, i),
                             kernels->vector_lanes);
    }
cleanup:
    if (ret < 0) {
        resr_direct_release(net);
        net = NULL;
    }
    *packed = net;
    return ret;
}

static size_t take(size_t *total, size_t floats)
{
    size_t at = *total;
    *total += floats;
    return at;
}

static Plan plan_memory(const Packed *net, int width_px, int height_px, int threads)
{
    Plan plan = {0};
    const ResrNetSpec *spec = &net->spec;
    int width = width_px / spec->unshuffle, height = height_px / spec->unshuffle;
    int nf_blocks = resr_blocks(spec->nf);
    plan.pixels =
        take(&plan.total,
             resr_map_floats(resr_blocks(3 * spec->unshuffle * spec->unshuffle), width, height));
    if (!is_rrdb(net)) {
        plan.dense[0] = take(&plan.total, resr_map_floats(nf_blocks, width, height));
        plan.dense[1] = take(&plan.total, resr_map_floats(nf_blocks, width, height));
        plan.last = take(&plan.total, resr_map_floats(resr_blocks(3 * spec->scale * spec->scale),
                                                      width, height));
        return plan;
    }
    plan.feat = take(&plan.total, resr_map_floats(nf_blocks, width, height));
    plan.rrdb_in = take(&plan.total, resr_map_floats(nf_blocks, width, height));

    plan.up1 = plan.total;
    size_t up1_floats = resr_map_floats(nf_blocks, width * 2, height * 2);
    plan.dense[0] = take(&plan.total, resr_map_floats(dense_blocks(spec), width, height));
    plan.dense[1] = take(&plan.total, resr_map_floats(dense_blocks(spec), width, height));
    if (plan.total < plan.up1 + up1_floats)
        plan.total = plan.up1 + up1_floats;

    plan.tail_rows = resr_layers_rows(net->kernels, width * 4, threads);
    int ring = resr_layers_ring_rows(plan.tail_rows);
    plan.up2 = take(&plan.total, resr_map_floats(nf_blocks, width * 4, ring));
    plan.hr = take(&plan.total, resr_map_floats(nf_blocks, width * 4, ring));
    plan.last = take(&plan.total, resr_map_floats(1, width * 4, plan.tail_rows));
    return plan;
}

size_t resr_direct_workspace_bytes(const void *packed, int width_px, int height_px)
{
    const int many_threads = 64; /* more of them make the tail's rings a little larger */
    return plan_memory(packed, width_px, height_px, many_threads).total * sizeof(float);
}

void resr_direct_run_free(void *context)
{
    Run *run = context;
    if (!run)
        return;
    free(run->memory);
    free(run);
}

int resr_direct_run_create(void **out, const void *packed, int width_px, int height_px, int threads)
{
    Run *run = NULL;
    int ret = resr_alloc(&run, 1, sizeof *run);
    if (ret < 0)
        goto cleanup;
    run->net = packed;
    run->threads = threads;
    run->plan = plan_memory(run->net, width_px, height_px, threads);
    ret = resr_workspace_alloc(&run->memory, run->plan.total);
cleanup:
    if (ret < 0) {
        resr_direct_run_free(run);
        run = NULL;
    }
    *out = run;
    return ret;
}

static int max_int(int a, int b)
{
    return a > b ? a : b;
}

static int min_int(int a, int b)
{
    return a < b ? a : b;
}

/* A rectangle with `margin` pixels around it, as far as a width x height map goes. */
static ResrRect grow(ResrRect rect, int margin, int width, int height)
{
    return (ResrRect){.x0 = max_int(rect.x0 - margin, 0),
                      .y0 = max_int(rect.y0 - margin, 0),
                      .x1 = min_int(rect.x1 + margin, width),
                      .y1 = min_int(rect.y1 + margin, height)};
}

static ResrRect scale_up(ResrRect rect, int factor)
{
    return (ResrRect){rect.x0 * factor, rect.y0 * factor, rect.x1 * factor, rect.y1 * factor};
}

/* The body's pixels that are needed where `after` more 3x3 convolutions of the body follow. At its
 * end, RRDB's four convolutions at twice and four times the size reach 2 body pixels further. */
static ResrRect needed(const Run *run, int after)
{
    int end = is_rrdb(run->net) ? 2 : 0;
    return grow(run->keep, end + after, run->width, run->height);
}

static ResrLayer layer_of(const Run *run, int index, const ResrMap *in, const ResrMap *out,
                          ResrRect rect)
{
    return (ResrLayer){.conv = &run->net->convs[index],
                       .kernels = run->net->kernels,
                       .in = in,
                       .out = out,
                       .factor = 1.0f,
                       .needed = rect};
}

static int body_convs(const Run *run)
{
    return is_rrdb(run->net) ? 15 * run->net->spec.num_blocks + 1 : run->net->spec.num_blocks + 1;
}

static void set_maps(Run *run)
{
    const ResrNetSpec *spec = &run->net->spec;
    const Plan *plan = &run->plan;
    int width = run->width, height = run->height, nf_blocks = resr_blocks(spec->nf);
    int unshuffled = 3 * spec->unshuffle * spec->unshuffle;
    resr_map_set(&run->pixels, run->memory + plan->pixels, resr_blocks(unshuffled), width, height,
                 height);
    int blocks = is_rrdb(run->net) ? dense_blocks(spec) : nf_blocks;
    for (int i = 0; i < 2; i++)
        resr_map_set(&run->dense[i], run->memory + plan->dense[i], blocks, width, height, height);
    if (!is_rrdb(run->net)) {
        resr_map_set(&run->last, run->memory + plan->last,
                     resr_blocks(3 * spec->scale * spec->scale), width, height, height);
        return;
    }
    resr_map_set(&run->feat, run->memory + plan->feat, nf_blocks, width, height, height);
    resr_map_set(&run->rrdb_in, run->memory + plan->rrdb_in, nf_blocks, width, height, height);
    int ring = resr_layers_ring_rows(plan->tail_rows);
    resr_map_set(&run->up2, run->memory + plan->up2, nf_blocks, width * 4, height * 4, ring);
    resr_map_set(&run->hr, run->memory + plan->hr, nf_blocks, width * 4, height * 4, ring);
    resr_map_set(&run->last, run->memory + plan->last, 1, width * 4, height * 4, plan->tail_rows);
}

int resr_direct_head(void *context, const ResrTileIn *in)
{
    Run *run = context;
    int factor = run->net->spec.unshuffle;
    run->in = *in;
    run->width = in->width_px / factor;
    run->height = in->height_px / factor;
    run->keep = (ResrRect){0, 0, run->width, run->height};
    if (in->keep_width_px > 0)
        run->keep = (ResrRect){in->keep_x_px / factor, in->keep_y_px / factor,
                               (in->keep_x_px + in->keep_width_px) / factor,
                               (in->keep_y_px + in->keep_height_px) / factor};
    set_maps(run);
    run->current = 0;
#pragma omp parallel for num_threads(run->threads)
    for (int y = 0; y < run->height; y++)
        resr_pixels_load_row(&run->pixels, in, factor, y);

    ResrLayer layer = layer_of(run, 0, &run->pixels, &run->dense[0], needed(run, body_convs(run)));
    layer.copy = is_rrdb(run->net) ? &run->feat : NULL;
    resr_layers_run(&layer, 1, run->height, run->threads);
    return 0;
}

int resr_direct_dense_block(void *context, int block, int dense, int last_of_rrdb)
{
    Run *run = context;
    const ResrNetSpec *spec = &run->net->spec;
    int index = block * 3 + dense;
    int after = 1 + 5 * (3 * spec->num_blocks - 1 - index); /* convolutions after this block */
    const ResrMap *in = &run->dense[run->current];
    ResrLayer layers[5];
    for (int k = 0; k < 5; k++) {
        layers[k] = layer_of(run, 1 + index * 5 + k, in, in, needed(run, after + 4 - k));
        layers[k].out_block = resr_blocks(spec->nf) + k * resr_blocks(spec->gc);
    }
    run->current ^= 1;
    layers[4].out = &run->dense[run->current];
    layers[4].out_block = 0;
    layers[4].residual = in;
    layers[4].factor = 0.2f;
    if (last_of_rrdb) {
        layers[4].trunk = block == 0 ? &run->feat : &run->rrdb_in;
        layers[4].copy = &run->rrdb_in;
    }
    resr_layers_run(layers, 5, resr_layers_rows(run->net->kernels, run->width, run->threads),
                    run->threads);
    return 0;
}

int resr_direct_body_end(void *context)
{
    Run *run = context;
    ResrLayer layer =
        layer_of(run, run->net->n_convs - 5, &run->dense[run->current], &run->feat, needed(run, 0));
    layer.residual = &run->feat;
    resr_layers_run(&layer, 1, run->height, run->threads);
    return 0;
}

int resr_direct_compact_body(void *context)
{
    Run *run = context;
    for (int i = 1; i <= run->net->spec.num_blocks; i++) {
        const ResrMap *in = &run->dense[run->current];
        run->current ^= 1;
        ResrLayer layer = layer_of(run, i, in, &run->dense[run->current],
                                   needed(run, run->net->spec.num_blocks + 1 - i));
        resr_layers_run(&layer, 1, run->height, run->threads);
    }
    return 0;
}

/* The second step is the tail's affair: its output would be the largest map of all. */
int resr_direct_upsample(void *context, int step)
{
    Run *run = context;
    if (step != 0)
        return 0;
    int width = run->width * 2, height = run->height * 2;
    resr_map_set(&run->up1, run->memory + run->plan.up1, resr_blocks(run->net->spec.nf), width,
                 height, height);
    ResrRect rect = grow(scale_up(run->keep, 2), 2, width, height);
    ResrLayer layer = layer_of(run, run->net->n_convs - 4, &run->feat, &run->up1, rect);
    layer.nearest = 1;
    resr_layers_run(&layer, 1, height, run->threads);
    return 0;
}

static void tail_rrdb(Run *run, const ResrTileOut *out, ResrPixelsSink *sink)
{
    int width = run->width * 4, height = run->height * 4, first = run->net->n_convs - 3;
    ResrRect rect = {out->crop_x_px, out->crop_y_px, out->crop_x_px + out->width_px,
                     out->crop_y_px + out->height_px};
    ResrRect up2_rect = grow(rect, 2, width, height);
    up2_rect.x0 &= ~1;
    up2_rect.x1 = (up2_rect.x1 + 1) & ~1;
    ResrLayer layers[3] = {
        layer_of(run, first, &run->up1, &run->up2, up2_rect),
        layer_of(run, first + 1, &run->up2, &run->hr, grow(rect, 1, width, height)),
        layer_of(run, first + 2, &run->hr, &run->last, rect),
    };
    layers[0].nearest = 1;
    layers[2].finish = resr_pixels_store;
    layers[2].context = sink;
    resr_layers_run(layers, 3, run->plan.tail_rows, run->threads);
}

static void tail_srvgg(Run *run, const ResrTileOut *out, ResrPixelsSink *sink)
{
    int scale = sink->scale;
    ResrRect rect = {out->crop_x_px / scale, out->crop_y_px / scale,
                     (out->crop_x_px + out->width_px + scale - 1) / scale,
                     (out->crop_y_px + out->height_px + scale - 1) / scale};
    ResrLayer layer =
        layer_of(run, run->net->n_convs - 1, &run->dense[run->current], &run->last, rect);
    layer.finish = resr_pixels_store_shuffled;
    layer.context = sink;
    resr_layers_run(&layer, 1, run->height, run->threads);
}

int resr_direct_tail(void *context, const ResrTileOut *out)
{
    Run *run = context;
    ResrPixelsSink sink = {.in = &run->in, .out = out, .scale = run->net->spec.scale};
    if (is_rrdb(run->net))
        tail_rrdb(run, out, &sink);
    else
        tail_srvgg(run, out, &sink);
    return 0;
}

int resr_direct_submit(void *context)
{
    (void)context;
    return 0;
}
