#include "net/net.h"

#include <stdlib.h>

#include "base/memory.h"
#include "net/tile.h"

struct ResrNet {
    const ResrOps *ops;
    ResrNetSpec spec;
    void *packed, *run;
    ResrTilePlan plan;                       /* over the extended frame */
    int32_t frame_width_px, frame_height_px; /* as the caller sees it */
    float *extended;                         /* three planes, or NULL if no extension is needed */
    size_t workspace_bytes;
};

static int32_t round_up(int32_t value, int32_t multiple)
{
    return (value + multiple - 1) / multiple * multiple;
}

int resr_net_create(ResrNet **out, const ResrOps *ops, const ResrModel *model, int frame_width_px,
                    int frame_height_px, int tile_px, int tile_pad_px, int threads)
{
    int tile_width_px, tile_height_px;
    ResrNet *net = NULL;
    int multiple = model->spec.unshuffle;
    int ret = resr_alloc(&net, 1, sizeof *net);
    if (ret < 0)
        goto cleanup;
    net->ops = ops;
    net->spec = model->spec;
    net->frame_width_px = frame_width_px;
    net->frame_height_px = frame_height_px;
    ret = resr_tile_plan(&net->plan, round_up(frame_width_px, multiple),
                         round_up(frame_height_px, multiple), tile_px, tile_pad_px, multiple);
    if (ret < 0)
        goto cleanup;
    if (frame_width_px % multiple || frame_height_px % multiple) {
        size_t floats = (size_t)net->plan.frame_width_px * (size_t)net->plan.frame_height_px * 3;
        ret = resr_alloc(&net->extended, floats, sizeof(float));
        if (ret < 0)
            goto cleanup;
        net->workspace_bytes += floats * sizeof(float);
    }
    ret = ops->prepare(&net->packed, model);
    if (ret < 0)
        goto cleanup;
    resr_tile_bounds(&net->plan, &tile_width_px, &tile_height_px);
    net->workspace_bytes +=
        ops->workspace_bytes(net->packed, tile_width_px, tile_height_px, threads);
    ret = ops->run_create(&net->run, net->packed, tile_width_px, tile_height_px, threads);
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
    if (net->run)
        net->ops->run_free(net->run);
    if (net->packed)
        net->ops->release(net->packed);
    free(net->extended);
    free(net);
}

size_t resr_net_workspace_bytes(const ResrNet *net)
{
    return net->workspace_bytes;
}

static int walk_rrdb(ResrNet *net)
{
    const ResrOps *ops = net->ops;
    int ret = 0;
    for (int block = 0; block < net->spec.num_blocks; block++)
        for (int dense = 0; dense < 3; dense++)
            if ((ret = ops->dense_block(net->run, block, dense, dense == 2)) < 0)
                return ret;
    if ((ret = ops->body_end(net->run)) < 0)
        return ret;
    if ((ret = ops->upsample(net->run, 0)) < 0)
        return ret;
    return ops->upsample(net->run, 1);
}

int resr_net_run(ResrNet *net, const ResrTileOut *out, const ResrTileIn *in)
{
    const ResrOps *ops = net->ops;
    int ret = ops->head(net->run, in);
    if (ret == 0)
        ret = net->spec.arch == RESR_ARCH_RRDB ? walk_rrdb(net) : ops->compact_body(net->run);
    if (ret == 0)
        ret = ops->tail(net->run, out);
    if (ret == 0)
        ret = ops->submit(net->run);
    if (ret == 0)
        ret = ops->wait(net->run);
    return ret;
}

/* Where the extended frame's coordinate lies in the real one: mirrored at the last pixel, which is
 * not repeated. A frame too small to mirror gives its first pixel. */
static int32_t reflect(int32_t position, int32_t size)
{
    if (position < size)
        return position;
    int32_t mirrored = 2 * (size - 1) - position;
    return mirrored > 0 ? mirrored : 0;
}

static void extend(ResrNet *net, const float *const in[3], size_t in_stride)
{
    int32_t width = net->plan.frame_width_px, height = net->plan.frame_height_px;
    float *to = net->extended;
    for (int c = 0; c < 3; c++)
        for (int32_t y = 0; y < height; y++) {
            const float *from = in[c] + (size_t)reflect(y, net->frame_height_px) * in_stride;
            for (int32_t x = 0; x < width; x++)
                *to++ = from[reflect(x, net->frame_width_px)];
        }
}

static int32_t at_most(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

int resr_net_upscale(ResrNet *net, float *const out[3], size_t out_stride, const float *const in[3],
                     size_t in_stride, const volatile int *stop)
{
    const float *source[3] = {in[0], in[1], in[2]};
    size_t source_stride = in_stride;
    int32_t scale = net->spec.scale;
    if (net->extended) {
        source_stride = (size_t)net->plan.frame_width_px;
        extend(net, in, in_stride);
        for (size_t c = 0; c < 3; c++)
            source[c] = net->extended + c * source_stride * (size_t)net->plan.frame_height_px;
    }
    for (int i = 0; i < net->plan.columns * net->plan.rows; i++) {
        if (stop && *stop)
            return resr_fail(RESR_ERR_STOPPED, "stopped on request");
        ResrTile tile = resr_tile_at(&net->plan, i);
        ResrTileIn tile_in = {
            .stride = source_stride,
            .width_px = tile.in_width_px,
            .height_px = tile.in_height_px,
            .keep_x_px = tile.x_px - tile.in_x_px,
            .keep_y_px = tile.y_px - tile.in_y_px,
            .keep_width_px = tile.width_px,
            .keep_height_px = tile.height_px,
        };
        ResrTileOut tile_out = {
            .stride = out_stride,
            .crop_x_px = tile_in.keep_x_px * scale,
            .crop_y_px = tile_in.keep_y_px * scale,
            .width_px = at_most(tile.width_px, net->frame_width_px - tile.x_px) * scale,
            .height_px = at_most(tile.height_px, net->frame_height_px - tile.y_px) * scale,
        };
        for (int c = 0; c < 3; c++) {
            tile_in.plane[c] = source[c] + (size_t)tile.in_y_px * source_stride + tile.in_x_px;
            tile_out.plane[c] =
                out[c] + (size_t)(tile.y_px * scale) * out_stride + (size_t)(tile.x_px * scale);
        }
        int ret = resr_net_run(net, &tile_out, &tile_in);
        if (ret < 0)
            return ret;
    }
    return 0;
}
