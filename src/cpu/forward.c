/* The forward pass on a CPU: from calls of layers to wavefronts.
 *
 * head() to tail() compute nothing; each queues its layers, and wait() runs the queue. Layers that
 * follow each other are queued as one wavefront (cpu/wavefront.h), in which all of them work on
 * neighbouring rows at the same time, so that a layer reads the rows of the layer before it from
 * cache. The wavefronts of a network:
 *
 *   RRDB    input, conv_first | conv1..5 of a dense block, for each block | conv_body | all
 *           conv_up, conv_hr, conv_last
 *   SRVGG   input, first | up to six convolutions of the body, repeatedly, then last
 *   SPAN    input, conv_1 | c1_r, c2_r, c3_r of two blocks, repeatedly | conv_2, conv_cat and
 *           upsampler
 *
 * Between the layers of a wavefront a line buffer of some rows, as wide as a panel, is enough.
 * Whole feature maps exist only between wavefronts, so the largest ones, of the output's size,
 * never do; the last layer's rows go to the output when they are finished.
 *
 * A dense block updates the trunk in place: conv5 writes some rows and columns behind those that
 * the first layer reads. It has one of two layouts, by ResrWinogradKernels.shared:
 *   not shared   a first layer copies the trunk to a line buffer, in which conv1..4 append their
 *                outputs; each convolution reads all channels from there
 *   shared       conv k transforms only its new input, the output of conv k - 1, and finds the
 *                transformed inputs of the convolutions before in a line buffer of their own
 *
 * Only pixels that the kept part of the output depends on are computed: find_needed() follows the
 * receptive field from the output back to the end of the body, needed() through the body. */
#include "cpu/forward.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/minmax.h"
#include "cpu/forward_memory.h"
#include "cpu/pixels.h"
#include "cpu/wavefront.h"
#include "cpu/workspace.h"

typedef struct Context {
    const ResrPackedNet *net;
    int threads;
    ResrForwardCut cut;
    ResrTileIn in;
    ResrTileOut out;
    ResrPixelsSource source;
    ResrPixelsSink sink;
    int max_width, max_height;      /* of the body, that the memory is for */
    int width, height;              /* of the body, pixels */
    ResrRect body_end;              /* part of conv_body's output that the kept output depends on */
    ResrRect up[3], high_res, last; /* the same of these feature maps */
    int current;                    /* the map that holds the trunk */
    ResrForwardMemory at;
    float *memory;
    ResrWavefront *wavefronts; /* queue: filled by the layers' functions, run by wait */
    int n_wavefronts, max_wavefronts;
    double macs; /* computed so far */
} Context;

size_t resr_forward_workspace_bytes(const void *packed, int width_px, int height_px, int threads)
{
    const ResrPackedNet *net = packed;
    int width = width_px / net->spec.unshuffle, height = height_px / net->spec.unshuffle;
    ResrForwardCut cut = resr_forward_cut(net, width, height, threads, RESR_PANEL_PX);
    return net->memory_bytes +
           resr_forward_place(NULL, NULL, net, width, height, threads, &cut) * sizeof(float);
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

int resr_forward_ctx_create_panels(void **out, const void *packed, int width_px, int height_px,
                                   int threads, int panel_px)
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
    ctx->cut = resr_forward_cut(net, width, height, threads, panel_px);
    ctx->max_wavefronts = net->n_convs; /* a wavefront has at least one convolution */
    ret = resr_alloc(&ctx->wavefronts, (size_t)ctx->max_wavefronts, sizeof *ctx->wavefronts);
    if (ret == 0)
        ret = resr_workspace_alloc(
            &ctx->memory, resr_forward_place(NULL, NULL, net, width, height, threads, &ctx->cut));
cleanup:
    if (ret < 0) {
        resr_forward_ctx_free(ctx);
        ctx = NULL;
    }
    *out = ctx;
    return ret;
}

int resr_forward_ctx_create(void **out, const void *packed, int width_px, int height_px,
                            int threads)
{
    return resr_forward_ctx_create_panels(out, packed, width_px, height_px, threads, RESR_PANEL_PX);
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
    int factor = ctx->net->spec.unshuffle, grid = resr_grid_px(ctx->net->ends);
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
    int margin = after * resr_grid_px(ctx->net->body);
    return grow(ctx->body_end, margin, resr_grid_px(ctx->net->convs[conv].kernels), ctx->width,
                ctx->height);
}

static ResrLayer layer_of(Context *ctx, int conv, int in, int out, ResrRect rect)
{
    return (ResrLayer){.conv = &ctx->net->convs[conv],
                       .in = &ctx->at.maps[in],
                       .out = &ctx->at.maps[out],
                       .factor = 1.0f,
                       .needed = rect,
                       .step_rows = ctx->cut.body_rows,
                       .scratch = ctx->at.scratch,
                       .scratch_bytes = ctx->at.scratch_bytes};
}

/* Queues a wavefront without layers; add_layer() follows. */
static ResrWavefront *queue_wavefront(Context *ctx, int panel_px)
{
    if (ctx->n_wavefronts == ctx->max_wavefronts) {
        resr_fail(RESR_ERR_INTERNAL, "more layers were queued than the network has convolutions");
        return NULL;
    }
    ResrWavefront *wavefront = &ctx->wavefronts[ctx->n_wavefronts++];
    *wavefront = (ResrWavefront){.panel_px = panel_px};
    return wavefront;
}

/* Appends a layer, whose output the next `distance` layers read from a line buffer; 0: the output
 * is a whole map, or no later layer of the wavefront reads it. */
static ResrLayer *add_layer(ResrWavefront *wavefront, ResrLayer layer, int distance)
{
    assert(wavefront->count < RESR_WAVEFRONT_LAYERS);
    layer.last_reader = distance > 0 ? wavefront->count + distance : 0;
    wavefront->layers[wavefront->count] = layer;
    return &wavefront->layers[wavefront->count++];
}

int resr_forward_head(void *pointer, const ResrTileIn *in)
{
    Context *ctx = pointer;
    const ResrNetSpec *spec = &ctx->net->spec;
    int factor = spec->unshuffle;
    bool rrdb = resr_spec_is_rrdb(spec);
    ctx->in = *in;
    ctx->n_wavefronts = 0;
    ctx->current = RESR_MAP_TRUNK;
    ctx->width = in->width_px / factor;
    ctx->height = in->height_px / factor;
    assert(ctx->width <= ctx->max_width && ctx->height <= ctx->max_height);
    find_needed(ctx);
    resr_forward_place(&ctx->at, ctx->memory, ctx->net, ctx->width, ctx->height, ctx->threads,
                       &ctx->cut);
    ctx->source = (ResrPixelsSource){&ctx->in, spec};

    /* Of the convolutions that follow, all but the tail's enlarged ones, and conv_cat, widen. */
    int after = rrdb                           ? resr_spec_conv_body(spec)
                : spec->arch == RESR_ARCH_SPAN ? 3 * spec->num_blocks + 2
                                               : spec->num_blocks + 1;
    ResrWavefront *wavefront = queue_wavefront(ctx, ctx->cut.body_panel_px);
    if (!wavefront)
        return RESR_ERR_INTERNAL;
    ResrRect rect = needed(ctx, 0, after);
    int rows = resr_forward_ends_rows(ctx->net, &ctx->cut);
    add_layer(
        wavefront,
        (ResrLayer){.out = &ctx->at.maps[RESR_MAP_INPUT],
                    .out_blocks = ctx->at.maps[RESR_MAP_INPUT].blocks,
                    .needed = grow(rect, 1, resr_max_grid_px(ctx->net), ctx->width, ctx->height),
                    .step_rows = rows,
                    .rows = resr_pixels_load,
                    .context = &ctx->source},
        1);
    ResrLayer *first =
        add_layer(wavefront, layer_of(ctx, 0, RESR_MAP_INPUT, ctx->current, rect), 0);
    first->step_rows = rows;
    first->copy = spec->arch != RESR_ARCH_SRVGG ? &ctx->at.maps[RESR_MAP_FEAT] : NULL;
    return 0;
}

/* Copies a part of a row of the trunk to the line buffer. */
static void load_trunk(const ResrLayer *layer, int thread, int y, int x0, int x1)
{
    (void)thread;
    for (int b = 0; b < layer->out_blocks; b++)
        memcpy(resr_feature_map_row(layer->out, y, b) + (ptrdiff_t)x0 * RESR_BLOCK_LANES,
               resr_feature_map_row(layer->in, y, b) + (ptrdiff_t)x0 * RESR_BLOCK_LANES,
               (size_t)(x1 - x0) * RESR_BLOCK_LANES * sizeof(float));
}

/* Conv k + 1 of a dense block. */
static ResrLayer dense_layer(Context *ctx, int conv, int k, ResrRect rect)
{
    const ResrNetSpec *spec = &ctx->net->spec;
    if (!resr_forward_shares_v(ctx->net)) {
        ResrLayer layer =
            layer_of(ctx, conv, RESR_MAP_DENSE, k == 4 ? RESR_MAP_TRUNK : RESR_MAP_DENSE, rect);
        layer.out_block = k == 4 ? 0 : resr_blocks(spec->nf) + k * resr_blocks(spec->gc);
        return layer;
    }
    int in = k == 0 ? RESR_MAP_TRUNK : RESR_MAP_INNER + k - 1,
        out = k == 4 ? RESR_MAP_TRUNK : RESR_MAP_INNER + k;
    ResrLayer layer = layer_of(ctx, conv, in, out, rect);
    layer.lines = &ctx->at.lines;
    layer.line_group = k;
    return layer;
}

int resr_forward_dense_block(void *pointer, int block, int dense, bool last_of_rrdb)
{
    Context *ctx = pointer;
    const ResrNetSpec *spec = &ctx->net->spec;
    int index = block * 3 + dense, first = 1 + index * 5;
    int after = 1 + 5 * (3 * spec->num_blocks - 1 - index); /* convolutions after this block */
    bool shared = resr_forward_shares_v(ctx->net);
    ResrWavefront *wavefront = queue_wavefront(ctx, ctx->cut.body_panel_px);
    if (!wavefront)
        return RESR_ERR_INTERNAL;
    if (!shared)
        add_layer(wavefront,
                  (ResrLayer){.in = &ctx->at.maps[RESR_MAP_TRUNK],
                              .out = &ctx->at.maps[RESR_MAP_DENSE],
                              .out_blocks = resr_blocks(spec->nf),
                              .needed = needed(ctx, first, after + 5),
                              .step_rows = ctx->cut.body_rows,
                              .rows = load_trunk},
                  5);
    for (int k = 0; k < 5; k++)
        add_layer(wavefront, dense_layer(ctx, first + k, k, needed(ctx, first + k, after + 4 - k)),
                  k == 4   ? 0
                  : shared ? 1
                           : 4 - k);
    ResrLayer *last = &wavefront->layers[wavefront->count - 1];
    last->residual = &ctx->at.maps[RESR_MAP_TRUNK];
    last->factor = 0.2f;
    if (last_of_rrdb) {
        last->trunk = &ctx->at.maps[block == 0 ? RESR_MAP_FEAT : RESR_MAP_RRDB_IN];
        last->copy = &ctx->at.maps[RESR_MAP_RRDB_IN];
    }
    return 0;
}

int resr_forward_body_end(void *pointer)
{
    Context *ctx = pointer;
    int conv = resr_spec_conv_body(&ctx->net->spec);
    ResrWavefront *wavefront = queue_wavefront(ctx, ctx->cut.body_panel_px);
    if (!wavefront)
        return RESR_ERR_INTERNAL;
    ResrLayer *layer =
        add_layer(wavefront, layer_of(ctx, conv, ctx->current, RESR_MAP_FEAT, ctx->body_end), 0);
    layer->residual = &ctx->at.maps[RESR_MAP_FEAT];
    layer->step_rows = resr_forward_ends_rows(ctx->net, &ctx->cut);
    return 0;
}

/* Wavefronts of up to RESR_WAVEFRONT_LAYERS layers; each reads one of the trunk's maps and writes
 * the other. The tail appends the last layer to the last wavefront. */
int resr_forward_compact_body(void *pointer)
{
    Context *ctx = pointer;
    int blocks = ctx->net->spec.num_blocks;
    for (int done = 0; done < blocks;) {
        int layers = resr_min(RESR_WAVEFRONT_LAYERS, blocks - done);
        int next = ctx->current == RESR_MAP_TRUNK ? RESR_MAP_TRUNK_2 : RESR_MAP_TRUNK;
        bool tail_follows = done + layers == blocks && layers < RESR_WAVEFRONT_LAYERS;
        ResrWavefront *wavefront = queue_wavefront(ctx, ctx->cut.body_panel_px);
        if (!wavefront)
            return RESR_ERR_INTERNAL;
        for (int k = 0; k < layers; k++, done++) {
            bool inside = k < layers - 1 || tail_follows;
            add_layer(wavefront,
                      layer_of(ctx, 1 + done, k == 0 ? ctx->current : RESR_MAP_INNER + k - 1,
                               inside ? RESR_MAP_INNER + k : next,
                               needed(ctx, 1 + done, blocks - done)),
                      inside ? 1 : 0);
        }
        ctx->current = tail_follows ? RESR_MAP_INNER + layers - 1 : next;
    }
    return 0;
}

/* In FEAT conv_cat finds the outputs of the head, conv_2, the first block, and the last block's
 * c1_r. A wavefront has two blocks, or one if the number of blocks is odd. */
int resr_forward_attention_block(void *pointer, int block)
{
    Context *ctx = pointer;
    const ResrNetSpec *spec = &ctx->net->spec;
    int after = 2 + 3 * (spec->num_blocks - 1 - block), first = 1 + 3 * block;
    bool second = block % 2 == 1, inside = !second && block < spec->num_blocks - 1;
    ResrWavefront *wavefront = second ? &ctx->wavefronts[ctx->n_wavefronts - 1]
                                      : queue_wavefront(ctx, ctx->cut.body_panel_px);
    if (!wavefront)
        return RESR_ERR_INTERNAL;
    int inner = second ? RESR_MAP_INNER + 3 : RESR_MAP_INNER,
        in = second ? RESR_MAP_INNER + 2 : ctx->current;
    int next = ctx->current == RESR_MAP_TRUNK ? RESR_MAP_TRUNK_2 : RESR_MAP_TRUNK,
        out = inside ? RESR_MAP_INNER + 2 : next;
    ResrLayer *c1 =
        add_layer(wavefront, layer_of(ctx, first, in, inner, needed(ctx, first, after + 2)), 1);
    ResrLayer *c2 =
        add_layer(wavefront,
                  layer_of(ctx, first + 1, inner, inner + 1, needed(ctx, first + 1, after + 1)), 1);
    ResrLayer *c3 = add_layer(
        wavefront, layer_of(ctx, first + 2, inner + 1, out, needed(ctx, first + 2, after)),
        inside ? 3 : 0);
    c1->activation = c2->activation = RESR_ACTIVATION_SILU;
    c3->activation = RESR_ACTIVATION_GATE;
    c3->residual = &ctx->at.maps[in];
    if (block == 0) {
        c3->copy = &ctx->at.maps[RESR_MAP_FEAT];
        c3->copy_block = 2 * resr_blocks(spec->nf);
    }
    if (block == spec->num_blocks - 1) {
        c1->copy = &ctx->at.maps[RESR_MAP_FEAT];
        c1->copy_block = 3 * resr_blocks(spec->nf);
    }
    if (!inside)
        ctx->current = next;
    return 0;
}

int resr_forward_attention_end(void *pointer)
{
    Context *ctx = pointer;
    int conv = 1 + 3 * ctx->net->spec.num_blocks;
    ResrRect rect = needed(ctx, conv, 1);
    ResrWavefront *wavefront = queue_wavefront(ctx, ctx->cut.body_panel_px);
    if (!wavefront)
        return RESR_ERR_INTERNAL;
    ResrLayer *conv_2 =
        add_layer(wavefront, layer_of(ctx, conv, ctx->current, RESR_MAP_FEAT, rect), 0);
    conv_2->out_block = resr_blocks(ctx->net->spec.nf);
    add_layer(wavefront, layer_of(ctx, conv + 1, RESR_MAP_FEAT, RESR_MAP_INNER, rect), 1);
    ctx->current = RESR_MAP_INNER;
    return 0;
}

/* The tail's wavefront has all enlargements, so that none of their outputs exists as a whole. */
int resr_forward_upsample(void *pointer, int step)
{
    (void)pointer, (void)step;
    return 0;
}

static int tail_rrdb(Context *ctx)
{
    int steps = resr_spec_enlargements(&ctx->net->spec), last = ctx->net->n_convs - 1;
    int first_up = resr_spec_conv_body(&ctx->net->spec) + 1;
    ResrWavefront *wavefront = queue_wavefront(ctx, ctx->cut.tail_panel_px * (steps > 0 ? 2 : 1));
    if (!wavefront)
        return RESR_ERR_INTERNAL;
    for (int i = 0; i < steps; i++) {
        ResrLayer *up =
            add_layer(wavefront,
                      layer_of(ctx, first_up + i, i == 0 ? RESR_MAP_FEAT : RESR_MAP_UP + i - 1,
                               RESR_MAP_UP + i, ctx->up[i]),
                      1);
        up->nearest = true;
        up->step_rows = resr_forward_up_rows(ctx->net, &ctx->cut, i);
    }
    int in = steps > 0 ? RESR_MAP_UP + steps - 1 : RESR_MAP_FEAT;
    ResrLayer *high_res =
        add_layer(wavefront, layer_of(ctx, last - 1, in, RESR_MAP_HIGH_RES, ctx->high_res), 1);
    ResrLayer *end =
        add_layer(wavefront, layer_of(ctx, last, RESR_MAP_HIGH_RES, RESR_MAP_LAST, ctx->last), 0);
    high_res->step_rows = end->step_rows = ctx->cut.tail_rows;
    end->finish = resr_pixels_store;
    end->context = &ctx->sink;
    return 0;
}

static int tail_shuffled(Context *ctx)
{
    bool appended = ctx->current >= RESR_MAP_INNER;
    ResrWavefront *wavefront = appended ? &ctx->wavefronts[ctx->n_wavefronts - 1]
                                        : queue_wavefront(ctx, ctx->cut.body_panel_px);
    if (!wavefront)
        return RESR_ERR_INTERNAL;
    ResrLayer *end = add_layer(
        wavefront, layer_of(ctx, ctx->net->n_convs - 1, ctx->current, RESR_MAP_LAST, ctx->body_end),
        0);
    end->finish = resr_pixels_store_shuffled;
    end->context = &ctx->sink;
    return 0;
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

int resr_forward_wait(void *pointer, const atomic_bool *stop)
{
    Context *ctx = pointer;
    for (int i = 0; i < ctx->n_wavefronts; i++)
        for (int k = 0; k < ctx->wavefronts[i].count; k++)
            resr_layer_prepare(&ctx->wavefronts[i].layers[k]);
    bool done =
        resr_wavefronts_run(ctx->wavefronts, ctx->n_wavefronts, ctx->threads, stop, &ctx->macs);
    ctx->n_wavefronts = 0;
    if (!done)
        return resr_fail(RESR_ERR_STOPPED, "stopped on request");
    return ctx->sink.not_finite ? RESR_NOT_FINITE : 0;
}

double resr_forward_computed_macs(const void *pointer)
{
    const Context *ctx = pointer;
    return ctx->macs;
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
