/* How a frame goes through a network.
 *
 * Backends without frames_begin(): resr_net_upscale() cuts an RGB frame into tiles (net/tile.h)
 * and passes them to the backend one after the other, or as many of one shape together as
 * reserve() found memory for. Tiles inside a frame have one shape; those along an edge or in a
 * corner have shapes of their own, so a frame takes up to nine passes where all tiles fit. Each
 * pass is a forward pass (forward()) and a wait.
 *
 * Backends with frames_begin() receive groups of whole frames in the decoder's format
 * (resr_net_submit_frames()); the forward passes of their tiles are only enqueued, and
 * resr_net_collect_frames() waits for the oldest group.
 *
 * Frames whose size is not a multiple of the network's unshuffle factor are extended by reflection
 * before, and cropped after. A network with one channel gets the picture's luminance; one with four
 * gets an opaque alpha where the picture has none. */
#include "net/net.h"

#include <assert.h>
#include <omp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/minmax.h"

struct ResrNet {
    const ResrOps *ops;
    ResrNetSpec spec;
    char name[sizeof((ResrModel *)0)->name];
    void *packed, *ctx;
    ResrTilePlan plan;                       /* over the extended frame */
    int32_t frame_width_px, frame_height_px; /* as the caller sees it */
    float *prepared;  /* the input's planes, of the extended frame; NULL: the caller's are used */
    int max_tiles;    /* of a forward pass; 0: not reserved yet */
    int group_frames; /* whose tiles may share a forward pass */
    ResrTileIn *tiles_in; /* [max_tiles] */
    ResrTileOut *tiles_out;
    bool *done; /* tiles already passed on, [frame of the group][tile] */
    size_t prepared_bytes, workspace_bytes;
    double tile_macs; /* of the tiles passed on, context included */
};

static int32_t round_up(int32_t value, int32_t multiple)
{
    return (value + multiple - 1) / multiple * multiple;
}

int resr_net_reserve(ResrNet *net)
{
    int tiles = net->plan.columns * net->plan.rows * net->group_frames;
    if (net->max_tiles > 0)
        return 0;
    int reserved = 1;
    int ret = 0;
    if (net->ops->reserve)
        ret = net->ops->reserve(net->ctx, tiles, 2 * net->plan.tile.pad_px, &reserved);
    if (ret == 0)
        ret = resr_alloc(&net->tiles_in, (size_t)reserved, sizeof *net->tiles_in);
    if (ret == 0)
        ret = resr_alloc(&net->tiles_out, (size_t)reserved, sizeof *net->tiles_out);
    if (ret == 0)
        ret = resr_alloc(&net->done, (size_t)tiles, sizeof *net->done);
    if (ret == 0)
        net->max_tiles = reserved;
    return ret;
}

/* Bytes of a rank that computes in tiles of this size: the network's, and the frame's RGB planes.
 */
static int64_t bytes_with(const ResrNet *net, ResrTileSize tile, int threads)
{
    ResrTilePlan plan;
    int width_px, height_px, channels = resr_max(3, net->spec.channels);
    double px = (double)net->frame_width_px * net->frame_height_px;
    double planes = px * (1 + net->spec.scale * net->spec.scale) * channels * sizeof(float);
    if (resr_tile_plan(&plan, net->plan.frame_width_px, net->plan.frame_height_px, tile,
                       net->spec.unshuffle) < 0)
        return INT64_MAX;
    resr_tile_bounds(&plan, &width_px, &height_px);
    return (int64_t)planes + (int64_t)net->prepared_bytes +
           (int64_t)net->ops->workspace_bytes(net->packed, width_px, height_px, threads);
}

/* Largest side of square tiles for which this rank has memory, a multiple of the groups of pixels
 * that a network unshuffles, and smaller than the present tile; 0: none. */
static int fitting_px(const ResrNet *net, int width_px, int height_px, int threads)
{
    enum { STEP_PX = 16 };
    int low = 0, high = resr_max(width_px, height_px) / STEP_PX;
    while (high - low > 1) {
        int middle = (low + high) / 2;
        ResrTileSize tile = resr_tile_square(middle * STEP_PX, net->plan.tile.pad_px);
        if (resr_memory_fits(bytes_with(net, tile, threads)))
            low = middle;
        else
            high = middle;
    }
    return low * STEP_PX;
}

/* RESR_ERR_DEVICE if a frame needs more memory than this machine has. Backends that convert colours
 * keep frames on their device, whose memory reserve() checks. */
static int check_memory(const ResrNet *net, int width_px, int height_px, int threads)
{
    char what[96], remedy[160] = "choose a network that enlarges less, a smaller --outscale or "
                                 "fewer ranks on a machine";
    int64_t bytes = bytes_with(net, net->plan.tile, threads);
    if (net->ops->frames_begin || resr_memory_fits(bytes))
        return 0;
    snprintf(what, sizeof what, "frames of %d x %d, %d x %d inside the network",
             net->frame_width_px, net->frame_height_px, net->frame_width_px * net->spec.scale,
             net->frame_height_px * net->spec.scale);
    int side_px = fitting_px(net, width_px, height_px, threads);
    if (side_px > 0)
        snprintf(remedy, sizeof remedy, "smaller tiles: -t %d fits", side_px);
    return resr_memory_check(what, bytes, remedy);
}

int resr_net_create(ResrNet **out, const ResrOps *ops, const ResrModel *model, int frame_width_px,
                    int frame_height_px, ResrTileSize tile, int threads)
{
    int tile_width_px, tile_height_px;
    ResrNet *net = NULL;
    int multiple = model->spec.unshuffle;
    int ret = resr_alloc(&net, 1, sizeof *net);
    if (ret < 0)
        goto cleanup;
    net->ops = ops;
    net->spec = model->spec;
    memcpy(net->name, model->name, sizeof net->name);
    net->group_frames = 1;
    net->frame_width_px = frame_width_px;
    net->frame_height_px = frame_height_px;
    ret = resr_tile_plan(&net->plan, round_up(frame_width_px, multiple),
                         round_up(frame_height_px, multiple), tile, multiple);
    if (ret < 0)
        goto cleanup;
    if (frame_width_px % multiple || frame_height_px % multiple || net->spec.channels != 3) {
        size_t floats = (size_t)net->plan.frame_width_px * (size_t)net->plan.frame_height_px *
                        (size_t)net->spec.channels;
        ret = resr_alloc(&net->prepared, floats, sizeof(float));
        if (ret < 0)
            goto cleanup;
        net->prepared_bytes = floats * sizeof(float);
    }
    omp_set_num_threads(threads); /* for packing */
    ret = ops->prepare(ops, &net->packed, model);
    if (ret < 0)
        goto cleanup;
    resr_tile_bounds(&net->plan, &tile_width_px, &tile_height_px);
    net->workspace_bytes = net->prepared_bytes + ops->workspace_bytes(net->packed, tile_width_px,
                                                                      tile_height_px, threads);
    ret = check_memory(net, tile_width_px, tile_height_px, threads);
    if (ret == 0)
        ret = ops->ctx_create(&net->ctx, net->packed, tile_width_px, tile_height_px, threads);
cleanup:
    if (ret < 0) {
        resr_net_free(net);
        net = NULL;
    }
    *out = net;
    return ret;
}

void resr_net_free(ResrNet *net)
{
    if (!net)
        return;
    if (net->ctx)
        net->ops->ctx_free(net->ctx);
    if (net->packed)
        net->ops->release(net->packed);
    free(net->prepared);
    free(net->tiles_in);
    free(net->tiles_out);
    free(net->done);
    free(net);
}

size_t resr_net_workspace_bytes(const ResrNet *net)
{
    return net->workspace_bytes;
}

double resr_net_computed_macs(const ResrNet *net)
{
    return net->ops->computed_macs ? net->ops->computed_macs(net->ctx) : net->tile_macs;
}

static int forward_rrdb(ResrNet *net)
{
    const ResrOps *ops = net->ops;
    int ret = 0;
    for (int block = 0; block < net->spec.num_blocks; block++)
        for (int dense = 0; dense < 3; dense++)
            if ((ret = ops->dense_block(net->ctx, block, dense, dense == 2)) < 0)
                return ret;
    if ((ret = ops->body_end(net->ctx)) < 0)
        return ret;
    for (int step = 0; ret == 0 && step < resr_spec_enlargements(&net->spec); step++)
        ret = ops->upsample(net->ctx, step);
    return ret;
}

static int forward_span(ResrNet *net)
{
    int ret = 0;
    for (int block = 0; ret == 0 && block < net->spec.num_blocks; block++)
        ret = net->ops->attention_block(net->ctx, block);
    return ret == 0 ? net->ops->attention_end(net->ctx) : ret;
}

static int forward_body(ResrNet *net)
{
    switch ((ResrArch)net->spec.arch) {
    case RESR_ARCH_RRDB:
        return forward_rrdb(net);
    case RESR_ARCH_SRVGG:
        return net->ops->compact_body(net->ctx);
    case RESR_ARCH_SPAN:
        return forward_span(net);
    }
    return resr_fail(RESR_ERR_INTERNAL, "architecture %d has no forward pass", net->spec.arch);
}

/* Enqueues a forward pass of `tiles` tiles of one shape. */
static int forward(ResrNet *net, const ResrTileOut *out, const ResrTileIn *in, int tiles)
{
    const ResrOps *ops = net->ops;
    if (ops->set_tiles)
        ops->set_tiles(net->ctx, tiles);
    net->tile_macs +=
        (double)tiles * in->width_px * in->height_px * resr_spec_macs_per_px(&net->spec);
    int ret = ops->head(net->ctx, in);
    if (ret == 0)
        ret = forward_body(net);
    if (ret == 0)
        ret = ops->tail(net->ctx, out);
    return ret;
}

/* Turns RESR_NOT_FINITE into a message and RESR_ERR_DATA. */
static int report_not_finite(const ResrNet *net, int ret)
{
    if (ret != RESR_NOT_FINITE)
        return ret;
    bool fp16 = strcmp(resr_numerics(net->ops->numerics)->precision, "fp16") == 0;
    return resr_fail(RESR_ERR_DATA,
                     "the output of network %s has infinite values or NaN in numerics class %s: "
                     "its weights are too large or damaged; use other weights%s",
                     net->name, resr_ops_class(net->ops),
                     fp16 ? ", or --precision fp32, which has a larger range" : "");
}

/* Coordinate in the frame of `position` in the extended frame: mirrored at the last pixel, without
 * repeating it. A frame too small to mirror gives its first pixel. */
static int32_t reflect(int32_t position, int32_t size)
{
    if (position < size)
        return position;
    int32_t mirrored = 2 * (size - 1) - position;
    return mirrored > 0 ? mirrored : 0;
}

/* Luminance by the weights of ITU-R BT.601, in a form that leaves gray pixels as they are. */
static float luminance(float r, float g, float b)
{
    return g + 0.299f * (r - g) + 0.114f * (b - g);
}

/* Fills net->prepared from the caller's planes. */
static void prepare(ResrNet *net, const float *const in[4], size_t in_stride)
{
    int32_t width = net->plan.frame_width_px, height = net->plan.frame_height_px;
    float *to = net->prepared;
    for (int c = 0; c < net->spec.channels; c++)
        for (int32_t y = 0; y < height; y++) {
            size_t row = (size_t)reflect(y, net->frame_height_px) * in_stride;
            for (int32_t x = 0; x < width; x++) {
                size_t at = row + (size_t)reflect(x, net->frame_width_px);
                if (net->spec.channels == 1)
                    *to++ = luminance(in[0][at], in[1][at], in[2][at]);
                else
                    *to++ = in[c] ? in[c][at] : 1.0f;
            }
        }
}

/* Input and output frame of a forward pass; all NULL if the backend has the frames. */
typedef struct Planes {
    const float *in[4];
    float *out[4];
    size_t in_stride, out_stride;
} Planes;

static void place_tile(const ResrNet *net, ResrTileOut *out, ResrTileIn *in, const Planes *planes,
                       int index)
{
    int32_t scale = net->spec.scale, tiles = net->plan.columns * net->plan.rows;
    ResrTile tile = resr_tile_at(&net->plan, index % tiles);
    *in = (ResrTileIn){
        .stride = planes->in_stride,
        .width_px = tile.in_width_px,
        .height_px = tile.in_height_px,
        .keep_x_px = tile.x_px - tile.in_x_px,
        .keep_y_px = tile.y_px - tile.in_y_px,
        .keep_width_px = tile.width_px,
        .keep_height_px = tile.height_px,
        .frame = index / tiles,
        .frame_x_px = tile.in_x_px,
        .frame_y_px = tile.in_y_px,
    };
    *out = (ResrTileOut){
        .stride = planes->out_stride,
        .crop_x_px = in->keep_x_px * scale,
        .crop_y_px = in->keep_y_px * scale,
        .width_px = resr_min(tile.width_px, net->frame_width_px - tile.x_px) * scale,
        .height_px = resr_min(tile.height_px, net->frame_height_px - tile.y_px) * scale,
        .frame = in->frame,
        .frame_x_px = tile.x_px * scale,
        .frame_y_px = tile.y_px * scale,
    };
    for (int c = 0; c < 4; c++) {
        if (planes->in[c])
            in->plane[c] = planes->in[c] + (size_t)tile.in_y_px * planes->in_stride + tile.in_x_px;
        if (planes->out[c])
            out->plane[c] = planes->out[c] + (size_t)(tile.y_px * scale) * planes->out_stride +
                            (size_t)(tile.x_px * scale);
    }
}

/* Whether two tiles may share a forward pass. */
static bool same_shape(const ResrTileOut *out, const ResrTileIn *in, const ResrTileOut *other_out,
                       const ResrTileIn *other_in)
{
    return in->width_px == other_in->width_px && in->height_px == other_in->height_px &&
           in->keep_x_px == other_in->keep_x_px && in->keep_y_px == other_in->keep_y_px &&
           in->keep_width_px == other_in->keep_width_px &&
           in->keep_height_px == other_in->keep_height_px && out->width_px == other_out->width_px &&
           out->height_px == other_out->height_px;
}

/* Collects tile `first` and later ones of its shape, up to max_tiles, from the first `tiles` tiles;
 * returns their number, and marks them as done. */
static int gather_tiles(ResrNet *net, const Planes *planes, int first, int tiles)
{
    int count = 0;
    for (int i = first; i < tiles && count < net->max_tiles; i++) {
        if (net->done[i])
            continue;
        ResrTileIn in;
        ResrTileOut out;
        place_tile(net, &out, &in, planes, i);
        if (count > 0 && !same_shape(&out, &in, &net->tiles_out[0], &net->tiles_in[0]))
            continue;
        net->tiles_in[count] = in;
        net->tiles_out[count++] = out;
        net->done[i] = true;
    }
    return count;
}

int resr_net_upscale(ResrNet *net, float *const out[4], size_t out_stride, const float *const in[4],
                     size_t in_stride, const atomic_bool *stop)
{
    Planes planes = {{in[0], in[1], in[2]}, {out[0], out[1], out[2]}, in_stride, out_stride};
    if (net->spec.channels == 4)
        planes.out[3] = out[3];
    int tiles = net->plan.columns * net->plan.rows, ret = resr_net_reserve(net);
    if (ret < 0)
        return ret;
    if (net->prepared) {
        size_t plane = (size_t)net->plan.frame_width_px * (size_t)net->plan.frame_height_px;
        planes.in_stride = (size_t)net->plan.frame_width_px;
        prepare(net, in, in_stride);
        for (int c = 0; c < 4; c++)
            planes.in[c] = c < net->spec.channels ? net->prepared + (size_t)c * plane : NULL;
    }
    memset(net->done, 0, (size_t)tiles * sizeof *net->done);
    for (int i = 0; i < tiles; i++) {
        if (net->done[i])
            continue;
        if (stop && *stop)
            return resr_fail(RESR_ERR_STOPPED, "stopped on request");
        int count = gather_tiles(net, &planes, i, tiles);
        ret = forward(net, net->tiles_out, net->tiles_in, count);
        if (ret == 0)
            ret = report_not_finite(net, net->ops->wait(net->ctx, stop));
        if (ret < 0)
            return ret;
    }
    return 0;
}

int resr_net_begin_frames(ResrNet *net, const ResrFrameSetup *setup)
{
    ResrFrameSetup complete = *setup;
    complete.tiles = net->plan.columns * net->plan.rows;
    bool can = net->ops->frames_begin && net->spec.channels == 3;
    int group = can ? net->ops->frames_begin(net->ctx, &complete) : 0;
    if (group <= 0)
        return group;
    assert(group <= RESR_MAX_GROUP_FRAMES && net->max_tiles == 0);
    net->group_frames = group;
    int ret = resr_net_reserve(net);
    return ret < 0 ? ret : group;
}

int resr_net_submit_frames(ResrNet *net, ResrFrame *const *in, int count)
{
    static const Planes on_device;
    int tiles = net->plan.columns * net->plan.rows * count;
    assert(count >= 1 && count <= net->group_frames);
    int ret = net->ops->frames_submit(net->ctx, in, count);
    if (ret == 1)
        return net->ops->frames_finish(net->ctx);
    memset(net->done, 0, (size_t)tiles * sizeof *net->done);
    for (int i = 0; ret == 0 && i < tiles; i++)
        if (!net->done[i]) {
            int together = gather_tiles(net, &on_device, i, tiles);
            ret = forward(net, net->tiles_out, net->tiles_in, together);
        }
    return ret == 0 ? net->ops->frames_finish(net->ctx) : ret;
}

int resr_net_collect_frames(ResrNet *net, ResrFrame *const *out)
{
    return report_not_finite(net, net->ops->frames_collect(net->ctx, out));
}
