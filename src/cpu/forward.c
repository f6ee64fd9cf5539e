/* The forward pass on a CPU: from calls of layers to wavefronts.
 *
 * head() to tail() compute nothing; each queues its layers, and wait() runs the queue. Layers that
 * follow each other are queued as one wavefront (cpu/wavefront.h), in which all of them work on
 * neighbouring rows at the same time, so that a layer reads the rows of the layer before it from
 * cache. The wavefronts of a network:
 *
 *   RRDB    conv_first | conv1..5 of a dense block, for each block | conv_body | conv_up of all but
 *           the last enlargement | the last conv_up, conv_hr, conv_last
 *   SRVGG   first | five convolutions of the body, repeatedly | last
 *   SPAN    conv_1 | c1_r, c2_r, c3_r of a block, for each block | conv_2, conv_cat | upsampler
 *
 * Between the layers of a wavefront a line buffer of some rows is enough. Whole feature maps exist
 * only between wavefronts, so the largest ones, of the output's size, never do: the last conv_up to
 * conv_last have line buffers, and conv_last's rows go to the output when they are finished.
 *
 * A dense block has one of two layouts, by ResrWinogradKernels.shared:
 *   not shared   one feature map holds the block's input and the outputs of conv1..4 side by side,
 *                and conv5 writes the next block's input into a second such map; blocks alternate
 *                between both maps
 *   shared       conv k transforms only its new input, the output of conv k - 1, and finds the
 *                transformed inputs of the convolutions before in a line buffer; conv1..4 write
 *                line buffers, and conv5 updates the trunk in place, some rows behind conv1
 *
 * Only pixels that the kept part of the output depends on are computed: find_needed() follows the
 * receptive field from the output back to the end of the body, needed() through the body. */
#include "cpu/forward.h"

#include <assert.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/minmax.h"
#include "cpu/pixels.h"
#include "cpu/wavefront.h"
#include "cpu/winograd.h"
#include "cpu/workspace.h"

/* The feature maps of a context. */
enum {
    PIXELS,  /* the head's input */
    FEAT,    /* the head's output, then body_end's; SPAN: the four inputs of conv_cat */
    RRDB_IN, /* the trunk at the start of an RRDB; of the first one FEAT is used instead */
    TRUNK,   /* the body's input and output, followed by conv1..4's outputs if V is not shared */
    TRUNK_2, /* second map of blocks and wavefronts that alternate; unused if V is shared */
    INNER,   /* line buffers: outputs of conv1..4 if V is shared; others: inside a wavefront */
    UP1 = INNER + RESR_WAVEFRONT_LAYERS - 1, /* outputs of conv_up1, conv_up2: all but the last */
    LAST_UP = UP1 + 2,                       /* the last conv_up's output, line buffer */
    HIGH_RES,                                /* conv_hr's output, line buffer */
    LAST,                                    /* the last layer's output */
    N_MAPS
};

/* Most rows of a step, which bound the line buffers for any number of threads. */
enum { MAX_TAIL_ROWS = 8, MAX_BODY_ROWS = 32 };

typedef struct Context {
    const ResrPackedNet *net;
    int threads;
    int body_rows, tail_rows; /* of a step of a wavefront */
    ResrTileIn in;
    ResrTileOut out;
    ResrPixelsSink sink;
    int max_width, max_height;      /* of the body, that the memory is for */
    int width, height;              /* of the body, pixels */
    ResrRect body_end;              /* part of conv_body's output that the kept output depends on */
    ResrRect up[3], high_res, last; /* the same of these feature maps */
    int current;                    /* TRUNK or TRUNK_2: the one that holds the trunk */
    ResrFeatureMap maps[N_MAPS];
    ResrWinogradLineBuffer lines; /* a dense block's transformed inputs */
    size_t offsets[N_MAPS + 2];   /* of maps, line buffer and scratch in `memory`, floats */
    float *memory;
    size_t scratch_bytes;      /* of a thread */
    ResrWavefront *wavefronts; /* queue: filled by the layers' functions, run by wait */
    int n_wavefronts, max_wavefronts;
} Context;

typedef struct MapShape {
    int blocks;      /* 0: not used */
    int enlarged;    /* width and height, in those of the body */
    int buffer_rows; /* of a line buffer; 0: all rows */
} MapShape;

/* Whether the convolutions of a dense block share transformed inputs. */
static bool shares_v(const ResrPackedNet *net)
{
    return resr_spec_is_rrdb(&net->spec) && net->body->winograd && net->body->winograd->shared;
}

/* Side of the square of pixels that kernels compute as a whole. */
static int grid_px(const ResrConvKernels *kernels)
{
    return kernels->winograd ? kernels->winograd->outputs : 1;
}

static void list_maps(MapShape shapes[N_MAPS], const ResrPackedNet *net, int body_rows,
                      int tail_rows)
{
    const ResrNetSpec *spec = &net->spec;
    bool shared = shares_v(net);
    int nf_blocks = resr_blocks(spec->nf), gc_blocks = resr_blocks(spec->gc);
    int inner = resr_spec_is_rrdb(&net->spec) ? (shared ? gc_blocks : 0) : nf_blocks;
    for (int i = 0; i < N_MAPS; i++)
        shapes[i] = (MapShape){0, 1, 0};
    shapes[PIXELS].blocks = resr_blocks(spec->channels * spec->unshuffle * spec->unshuffle);
    for (int i = INNER; i < UP1; i++)
        shapes[i] = (MapShape){inner, 1, resr_wavefront_buffer_rows(body_rows)};
    shapes[TRUNK].blocks = shapes[TRUNK_2].blocks = nf_blocks;
    if (!resr_spec_is_rrdb(&net->spec)) {
        shapes[LAST].blocks = resr_blocks(spec->channels * spec->scale * spec->scale);
        if (spec->arch == RESR_ARCH_SPAN)
            shapes[FEAT].blocks = 4 * nf_blocks;
        return;
    }
    if (shared)
        shapes[TRUNK_2].blocks = 0;
    else
        shapes[TRUNK].blocks = shapes[TRUNK_2].blocks = nf_blocks + 4 * gc_blocks;
    shapes[FEAT].blocks = shapes[RRDB_IN].blocks = nf_blocks;
    int tail_buffer = resr_wavefront_buffer_rows(tail_rows);
    int enlargements = resr_spec_enlargements(spec), enlarged = 1 << enlargements;
    for (int i = 0; i < enlargements - 1; i++)
        shapes[UP1 + i] = (MapShape){nf_blocks, 2 << i, 0};
    shapes[LAST_UP] = (MapShape){enlargements > 0 ? nf_blocks : 0, enlarged, tail_buffer};
    shapes[HIGH_RES] = (MapShape){nf_blocks, enlarged, tail_buffer};
    shapes[LAST] = (MapShape){1, enlarged, tail_rows};
}

/* Lays out a dense block's transformed inputs; returns their bytes. A row of conv k's output is
 * transformed by conv k + 1, two steps of the wavefront later; conv5 reads it last, 8 - 2k steps
 * after that. */
static size_t set_line_buffer(ResrWinogradLineBuffer *lines, const ResrPackedNet *net, int width,
                              int body_rows)
{
    const ResrWinogradKernels *kernels = net->body->winograd;
    int cells[RESR_WINOGRAD_GROUPS], tile_rows[RESR_WINOGRAD_GROUPS];
    if (!shares_v(net))
        return 0;
    for (int k = 0; k < RESR_WINOGRAD_GROUPS; k++) {
        cells[k] = resr_winograd_cells(kernels, k == 0 ? net->spec.nf : net->spec.gc);
        tile_rows[k] = (2 * (4 - k) + 1) * (body_rows / kernels->outputs);
    }
    return resr_winograd_line_buffer_set(lines, kernels, width, cells, tile_rows);
}

/* Bytes of a thread's scratch. */
static size_t scratch_bytes(const ResrPackedNet *net)
{
    size_t most = 0;
    for (int i = 0; i < net->n_convs; i++) {
        const ResrWinogradKernels *kernels = net->convs[i].kernels->winograd;
        size_t bytes = kernels ? resr_winograd_scratch_bytes(kernels, net->convs[i].in_cells) : 0;
        most = bytes > most ? bytes : most;
    }
    return most;
}

/* Places the feature maps for a body of width x height, the line buffer and the threads' scratch in
 * one piece of memory; returns its floats. */
static size_t place(size_t offsets[N_MAPS + 2], const ResrPackedNet *net, int width, int height,
                    int threads, int body_rows, int tail_rows)
{
    MapShape shapes[N_MAPS];
    ResrWinogradLineBuffer lines;
    size_t total = 0;
    list_maps(shapes, net, body_rows, tail_rows);
    for (int i = 0; i < N_MAPS; i++) {
        int rows = shapes[i].buffer_rows ? shapes[i].buffer_rows : height * shapes[i].enlarged;
        offsets[i] = total;
        if (shapes[i].blocks > 0)
            total += resr_feature_map_floats(shapes[i].blocks, width * shapes[i].enlarged, rows);
    }
    offsets[N_MAPS] = total;
    total += set_line_buffer(&lines, net, width, body_rows) / sizeof(float);
    offsets[N_MAPS + 1] = total;
    return total + scratch_bytes(net) / sizeof(float) * (size_t)threads;
}

/* Pixels of a thread in a step. Shared V stays in cache with few pixels. Otherwise more are better,
 * since the weights are read once for each piece of a row: x4plus in fp32 on 128 x 128 pixels took
 * 0.84 s with 512 and 0.95 s with 256 (two threads of an Emerald Rapids, 2026-11-30). */
static int thread_px(const ResrPackedNet *net)
{
    return shares_v(net) ? 256 : 512;
}

static int body_rows_for(const ResrPackedNet *net, int width, int threads)
{
    return resr_min(resr_wavefront_rows(width, thread_px(net), threads, grid_px(net->body)),
                    MAX_BODY_ROWS);
}

static int tail_rows_for(const ResrPackedNet *net, int width, int threads)
{
    int enlarged = width << resr_spec_enlargements(&net->spec);
    return resr_min(resr_wavefront_rows(enlarged, thread_px(net), threads, grid_px(net->ends)),
                    MAX_TAIL_ROWS);
}

size_t resr_forward_workspace_bytes(const void *packed, int width_px, int height_px, int threads)
{
    const ResrPackedNet *net = packed;
    size_t offsets[N_MAPS + 2];
    int width = width_px / net->spec.unshuffle, height = height_px / net->spec.unshuffle;
    return net->memory_bytes + place(offsets, net, width, height, threads,
                                     body_rows_for(net, width, threads),
                                     tail_rows_for(net, width, threads)) *
                                   sizeof(float);
}

void resr_forward_ctx_free(void *pointer)
{
    Context *ctx = pointer;
    if (!ctx)
        return;
    free(ctx->memory);
    free(ctx->wavefronts);
    free(ctx);
}

int resr_forward_ctx_create(void **out, const void *packed, int width_px, int height_px,
                            int threads)
{
    Context *ctx = NULL;
    const ResrPackedNet *net = packed;
    int width = width_px / net->spec.unshuffle, height = height_px / net->spec.unshuffle;
    int ret = resr_alloc(&ctx, 1, sizeof *ctx);
    if (ret < 0)
        goto cleanup;
    ctx->net = net;
    ctx->threads = threads;
    ctx->max_width = width;
    ctx->max_height = height;
    ctx->body_rows = body_rows_for(net, width, threads);
    ctx->tail_rows = tail_rows_for(net, width, threads);
    ctx->scratch_bytes = scratch_bytes(net);
    ctx->max_wavefronts = net->n_convs; /* a wavefront has at least one layer */
    ret = resr_alloc(&ctx->wavefronts, (size_t)ctx->max_wavefronts, sizeof *ctx->wavefronts);
    if (ret == 0)
        ret = resr_workspace_alloc(&ctx->memory, place(ctx->offsets, net, width, height, threads,
                                                       ctx->body_rows, ctx->tail_rows));
cleanup:
    if (ret < 0) {
        resr_forward_ctx_free(ctx);
        ctx = NULL;
    }
    *out = ctx;
    return ret;
}

static void set_maps(Context *ctx)
{
    MapShape shapes[N_MAPS];
    list_maps(shapes, ctx->net, ctx->body_rows, ctx->tail_rows);
    for (int i = 0; i < N_MAPS; i++) {
        int width = ctx->width * shapes[i].enlarged, height = ctx->height * shapes[i].enlarged;
        int rows = shapes[i].buffer_rows ? shapes[i].buffer_rows : height;
        if (shapes[i].blocks > 0)
            resr_feature_map_set(&ctx->maps[i], ctx->memory + ctx->offsets[i], shapes[i].blocks,
                                 width, height, rows);
    }
    set_line_buffer(&ctx->lines, ctx->net, ctx->width, ctx->body_rows);
    ctx->lines.data = (char *)(ctx->memory + ctx->offsets[N_MAPS]);
}

/* A rectangle plus `margin` pixels on each side, extended to the grid and clipped to width x
 * height. */
static ResrRect grow(ResrRect rect, int margin, int grid, int width, int height)
{
    return (ResrRect){.x0 = resr_max(rect.x0 - margin, 0) / grid * grid,
                      .y0 = resr_max(rect.y0 - margin, 0) / grid * grid,
                      .x1 = resr_min((rect.x1 + margin + grid - 1) / grid * grid, width),
                      .y1 = resr_min((rect.y1 + margin + grid - 1) / grid * grid, height)};
}

/* Pixels that a convolution of `rect` reads through a nearest enlargement by two. */
static ResrRect before_nearest(ResrRect rect, int grid, int width, int height)
{
    ResrRect read = {(rect.x0 - 1) >> 1, (rect.y0 - 1) >> 1, rect.x1 / 2 + 1, rect.y1 / 2 + 1};
    return grow(read, 0, grid, width, height);
}

/* Follows the kept part of the output back to the end of the body. */
static void find_needed(Context *ctx)
{
    const ResrTileIn *in = &ctx->in;
    int factor = ctx->net->spec.unshuffle, grid = grid_px(ctx->net->ends);
    int width = ctx->width, height = ctx->height;
    ResrRect keep = {0, 0, width, height};
    if (in->keep_width_px > 0)
        keep = (ResrRect){in->keep_x_px / factor, in->keep_y_px / factor,
                          (in->keep_x_px + in->keep_width_px) / factor,
                          (in->keep_y_px + in->keep_height_px) / factor};
    ctx->body_end = grow(keep, 0, grid, width, height);
    if (!resr_spec_is_rrdb(&ctx->net->spec))
        return;
    int steps = resr_spec_enlargements(&ctx->net->spec), times = 1 << steps;
    ResrRect output = {keep.x0 * times, keep.y0 * times, keep.x1 * times, keep.y1 * times};
    int even_grid = grid > 1 ? grid : 2; /* kernels that enlarge start at even columns */
    ctx->last = grow(output, 0, grid, width * times, height * times);
    ctx->high_res = grow(ctx->last, 1, grid, width * times, height * times);
    ResrRect *read = steps > 0 ? &ctx->up[steps - 1] : &ctx->body_end; /* by conv_hr */
    *read = grow(ctx->high_res, 1, steps > 0 ? even_grid : grid, width * times, height * times);
    for (int i = steps - 2; i >= 0; i--)
        ctx->up[i] = before_nearest(ctx->up[i + 1], even_grid, width << (i + 1), height << (i + 1));
    if (steps > 0)
        ctx->body_end = before_nearest(ctx->up[0], grid, width, height);
}

/* Output pixels that are needed of a convolution of the body, or of the first one, with `after`
 * more 3x3 convolutions between it and the body's end. */
static ResrRect needed(const Context *ctx, int conv, int after)
{
    int margin = after * grid_px(ctx->net->body);
    return grow(ctx->body_end, margin, grid_px(ctx->net->convs[conv].kernels), ctx->width,
                ctx->height);
}

static ResrLayer layer_of(const Context *ctx, int conv, int in, int out, ResrRect rect)
{
    return (ResrLayer){.conv = &ctx->net->convs[conv],
                       .in = &ctx->maps[in],
                       .out = &ctx->maps[out],
                       .factor = 1.0f,
                       .needed = rect,
                       .scratch = (char *)(ctx->memory + ctx->offsets[N_MAPS + 1]),
                       .scratch_bytes = ctx->scratch_bytes};
}

/* Queues a wavefront; the caller fills in its layers. */
static ResrWavefront *queue_wavefront(Context *ctx, int layers, int rows)
{
    if (ctx->n_wavefronts == ctx->max_wavefronts) {
        resr_fail(RESR_ERR_INTERNAL, "more layers were queued than the network has convolutions");
        return NULL;
    }
    ResrWavefront *wavefront = &ctx->wavefronts[ctx->n_wavefronts++];
    wavefront->count = layers;
    wavefront->rows = rows;
    return wavefront;
}

static int queue_layer(Context *ctx, ResrLayer layer)
{
    int grid = grid_px(layer.conv->kernels);
    ResrWavefront *wavefront =
        queue_wavefront(ctx, 1, (layer.out->height + grid - 1) / grid * grid);
    if (!wavefront)
        return RESR_ERR_INTERNAL;
    wavefront->layers[0] = layer;
    return 0;
}

int resr_forward_head(void *pointer, const ResrTileIn *in)
{
    Context *ctx = pointer;
    const ResrNetSpec *spec = &ctx->net->spec;
    int factor = spec->unshuffle;
    bool rrdb = resr_spec_is_rrdb(spec);
    ctx->in = *in;
    ctx->n_wavefronts = 0;
    ctx->current = TRUNK;
    ctx->width = in->width_px / factor;
    ctx->height = in->height_px / factor;
    assert(ctx->width <= ctx->max_width && ctx->height <= ctx->max_height);
    find_needed(ctx);
    set_maps(ctx);
    for (int y = 0; y < ctx->height; y++)
        resr_pixels_load_row(&ctx->maps[PIXELS], in, spec, y);

    /* Of the convolutions that follow, all but the tail's enlarged ones, and conv_cat, widen. */
    int after = rrdb                           ? resr_spec_conv_body(spec)
                : spec->arch == RESR_ARCH_SPAN ? 3 * spec->num_blocks + 2
                                               : spec->num_blocks + 1;
    ResrLayer layer = layer_of(ctx, 0, PIXELS, ctx->current, needed(ctx, 0, after));
    layer.copy = spec->arch != RESR_ARCH_SRVGG ? &ctx->maps[FEAT] : NULL;
    return queue_layer(ctx, layer);
}

/* Without shared V conv1..4 append to the map that they read. With it, conv k reads the output of
 * the convolution before as a map, and its other inputs, transformed, from the line buffer. */
static ResrLayer dense_layer(const Context *ctx, int conv, int k, ResrRect rect)
{
    const ResrNetSpec *spec = &ctx->net->spec;
    if (!shares_v(ctx->net)) {
        ResrLayer layer = layer_of(ctx, conv, ctx->current, ctx->current, rect);
        layer.out_block = resr_blocks(spec->nf) + k * resr_blocks(spec->gc);
        return layer;
    }
    int in = k == 0 ? TRUNK : INNER + k - 1, out = k == 4 ? TRUNK : INNER + k;
    ResrLayer layer = layer_of(ctx, conv, in, out, rect);
    layer.lines = &ctx->lines;
    layer.new_cell = ctx->lines.first_cell[k];
    return layer;
}

int resr_forward_dense_block(void *pointer, int block, int dense, bool last_of_rrdb)
{
    Context *ctx = pointer;
    const ResrNetSpec *spec = &ctx->net->spec;
    int index = block * 3 + dense, in = ctx->current;
    int after = 1 + 5 * (3 * spec->num_blocks - 1 - index); /* convolutions after this block */
    ResrWavefront *wavefront = queue_wavefront(ctx, 5, ctx->body_rows);
    if (!wavefront)
        return RESR_ERR_INTERNAL;
    for (int k = 0; k < 5; k++) {
        int conv = 1 + index * 5 + k;
        wavefront->layers[k] = dense_layer(ctx, conv, k, needed(ctx, conv, after + 4 - k));
    }
    if (!shares_v(ctx->net))
        ctx->current = in == TRUNK ? TRUNK_2 : TRUNK;
    ResrLayer *last = &wavefront->layers[4];
    last->out = &ctx->maps[ctx->current];
    last->out_block = 0;
    last->residual = &ctx->maps[in];
    last->factor = 0.2f;
    if (last_of_rrdb) {
        last->trunk = &ctx->maps[block == 0 ? FEAT : RRDB_IN];
        last->copy = &ctx->maps[RRDB_IN];
    }
    return 0;
}

int resr_forward_body_end(void *pointer)
{
    Context *ctx = pointer;
    int conv = resr_spec_conv_body(&ctx->net->spec);
    ResrLayer layer = layer_of(ctx, conv, ctx->current, FEAT, ctx->body_end);
    layer.residual = &ctx->maps[FEAT];
    return queue_layer(ctx, layer);
}

/* Wavefronts of up to RESR_WAVEFRONT_LAYERS layers; each reads one of the trunk's maps and writes
 * the other. */
int resr_forward_compact_body(void *pointer)
{
    Context *ctx = pointer;
    int blocks = ctx->net->spec.num_blocks;
    for (int done = 0; done < blocks;) {
        int layers = resr_min(RESR_WAVEFRONT_LAYERS, blocks - done);
        int next = ctx->current == TRUNK ? TRUNK_2 : TRUNK;
        ResrWavefront *wavefront = queue_wavefront(ctx, layers, ctx->body_rows);
        if (!wavefront)
            return RESR_ERR_INTERNAL;
        for (int k = 0; k < layers; k++, done++)
            wavefront->layers[k] =
                layer_of(ctx, 1 + done, k == 0 ? ctx->current : INNER + k - 1,
                         k == layers - 1 ? next : INNER + k, needed(ctx, 1 + done, blocks - done));
        ctx->current = next;
    }
    return 0;
}

/* In FEAT conv_cat finds the outputs of the head, conv_2, the first block, and the last block's
 * c1_r. */
int resr_forward_attention_block(void *pointer, int block)
{
    Context *ctx = pointer;
    const ResrNetSpec *spec = &ctx->net->spec;
    int in = ctx->current, out = in == TRUNK ? TRUNK_2 : TRUNK;
    int after = 2 + 3 * (spec->num_blocks - 1 - block), first = 1 + 3 * block;
    ResrWavefront *wavefront = queue_wavefront(ctx, 3, ctx->body_rows);
    if (!wavefront)
        return RESR_ERR_INTERNAL;
    ResrLayer *layers = wavefront->layers;
    layers[0] = layer_of(ctx, first, in, INNER, needed(ctx, first, after + 2));
    layers[1] = layer_of(ctx, first + 1, INNER, INNER + 1, needed(ctx, first + 1, after + 1));
    layers[2] = layer_of(ctx, first + 2, INNER + 1, out, needed(ctx, first + 2, after));
    layers[0].activation = layers[1].activation = RESR_ACTIVATION_SILU;
    layers[2].activation = RESR_ACTIVATION_GATE;
    layers[2].residual = &ctx->maps[in];
    if (block == 0) {
        layers[2].copy = &ctx->maps[FEAT];
        layers[2].copy_block = 2 * resr_blocks(spec->nf);
    }
    if (block == spec->num_blocks - 1) {
        layers[0].copy = &ctx->maps[FEAT];
        layers[0].copy_block = 3 * resr_blocks(spec->nf);
    }
    ctx->current = out;
    return 0;
}

int resr_forward_attention_end(void *pointer)
{
    Context *ctx = pointer;
    int conv = 1 + 3 * ctx->net->spec.num_blocks, in = ctx->current;
    ResrWavefront *wavefront = queue_wavefront(ctx, 2, ctx->body_rows);
    if (!wavefront)
        return RESR_ERR_INTERNAL;
    ctx->current = in == TRUNK ? TRUNK_2 : TRUNK;
    wavefront->layers[0] = layer_of(ctx, conv, in, FEAT, needed(ctx, conv, 1));
    wavefront->layers[0].out_block = resr_blocks(ctx->net->spec.nf);
    wavefront->layers[1] = layer_of(ctx, conv + 1, FEAT, ctx->current, needed(ctx, conv, 1));
    return 0;
}

/* A layer of conv_up number `step`. */
static ResrLayer up_layer(const Context *ctx, int step, int out)
{
    int conv = resr_spec_conv_body(&ctx->net->spec) + 1 + step;
    ResrLayer layer = layer_of(ctx, conv, step == 0 ? FEAT : UP1 + step - 1, out, ctx->up[step]);
    layer.nearest = true;
    return layer;
}

/* The last upsampling belongs to the tail's wavefront: its output would be the largest feature map
 * of the network. */
int resr_forward_upsample(void *pointer, int step)
{
    Context *ctx = pointer;
    bool is_last = step == resr_spec_enlargements(&ctx->net->spec) - 1;
    return is_last ? 0 : queue_layer(ctx, up_layer(ctx, step, UP1 + step));
}

static int tail_rrdb(Context *ctx)
{
    int steps = resr_spec_enlargements(&ctx->net->spec), last = ctx->net->n_convs - 1;
    ResrWavefront *wavefront = queue_wavefront(ctx, steps > 0 ? 3 : 2, ctx->tail_rows);
    if (!wavefront)
        return RESR_ERR_INTERNAL;
    ResrLayer *layer = wavefront->layers;
    if (steps > 0)
        *layer++ = up_layer(ctx, steps - 1, LAST_UP);
    *layer++ = layer_of(ctx, last - 1, steps > 0 ? LAST_UP : FEAT, HIGH_RES, ctx->high_res);
    *layer = layer_of(ctx, last, HIGH_RES, LAST, ctx->last);
    layer->finish = resr_pixels_store;
    layer->context = &ctx->sink;
    return 0;
}

static int tail_shuffled(Context *ctx)
{
    ResrLayer layer = layer_of(ctx, ctx->net->n_convs - 1, ctx->current, LAST, ctx->body_end);
    layer.finish = resr_pixels_store_shuffled;
    layer.context = &ctx->sink;
    return queue_layer(ctx, layer);
}

int resr_forward_tail(void *pointer, const ResrTileOut *out)
{
    Context *ctx = pointer;
    ctx->out = *out;
    const ResrNetSpec *spec = &ctx->net->spec;
    ctx->sink = (ResrPixelsSink){.in = &ctx->in,
                                 .out = &ctx->out,
                                 .scale = spec->scale,
                                 .planes = resr_max(3, spec->channels),
                                 .is_gray = spec->channels == 1,
                                 .adds_input = spec->arch == RESR_ARCH_SRVGG};
    return resr_spec_is_rrdb(&ctx->net->spec) ? tail_rrdb(ctx) : tail_shuffled(ctx);
}

int resr_forward_wait(void *pointer)
{
    Context *ctx = pointer;
    for (int i = 0; i < ctx->n_wavefronts; i++)
        for (int k = 0; k < ctx->wavefronts[i].count; k++)
            resr_layer_prepare(&ctx->wavefronts[i].layers[k]);
    resr_wavefronts_run(ctx->wavefronts, ctx->n_wavefronts, ctx->threads);
    ctx->n_wavefronts = 0;
    return ctx->sink.not_finite ? RESR_NOT_FINITE : 0;
}

int resr_forward_prepare(const ResrOps *self, void **packed, const ResrModel *model)
{
    ResrPackedNet *net;
    int ret = resr_packed_net_create(&net, model, self->kernels);
    *packed = net;
    return ret;
}

void resr_forward_release(void *packed)
{
    resr_packed_net_free(packed);
}
