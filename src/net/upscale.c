#include "net/upscale.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/memory.h"
#include "media/colour.h"

struct ResrUpscaler {
    ResrFormat output;
    ResrNet *net;
    ResrColour *colour;
    ResrRgb small, large; /* the network's input and output */
    bool on_device;       /* frames go to the backend as they are; no RGB here */
    ResrFrame *under_way[RESR_FRAMES_UNDER_WAY];
    unsigned submitted, collected;
};

/* Whether the backend takes frames as they are; else the RGB images that the conversion needs. */
static int prepare_colours(ResrUpscaler *upscaler, const ResrFormat *input, int scale)
{
    ResrFrameSetup setup = {.in = input, .out = &upscaler->output};
    int in_matrix, out_matrix;
    if (resr_colour_is_plain(upscaler->colour, &in_matrix, &out_matrix)) {
        setup.in_matrix = in_matrix;
        setup.out_matrix = out_matrix;
        int ret = resr_net_begin_frames(upscaler->net, &setup);
        upscaler->on_device = ret > 0;
        if (ret != 0)
            return ret < 0 ? ret : 0;
    }
    int ret = resr_net_reserve(upscaler->net);
    if (ret == 0)
        ret = resr_rgb_create(&upscaler->small, input->width_px, input->height_px);
    if (ret == 0)
        ret = resr_rgb_create(&upscaler->large, input->width_px * scale, input->height_px * scale);
    return ret;
}

int resr_upscaler_create(ResrUpscaler **out, const ResrOps *ops, const ResrModel *model,
                         const ResrFormat *input, const ResrFormat *output, int tile_px,
                         int tile_pad_px, int threads)
{
    ResrUpscaler *upscaler;
    int scale = model->spec.scale;
    int ret = resr_alloc(out, 1, sizeof **out);
    if (ret < 0)
        return ret;
    upscaler = *out;
    upscaler->output = *output;
    ret = resr_net_create(&upscaler->net, ops, model, input->width_px, input->height_px, tile_px,
                          tile_pad_px, threads);
    if (ret == 0)
        ret = resr_colour_create(&upscaler->colour, input, output, input->width_px * scale,
                                 input->height_px * scale);
    if (ret == 0)
        ret = prepare_colours(upscaler, input, scale);
    if (ret < 0) {
        resr_upscaler_free(upscaler);
        *out = NULL;
    }
    return ret;
}

void resr_upscaler_free(ResrUpscaler *upscaler)
{
    if (!upscaler)
        return;
    for (; upscaler->collected < upscaler->submitted; upscaler->collected++)
        resr_frame_free(upscaler->under_way[upscaler->collected % RESR_FRAMES_UNDER_WAY]);
    resr_rgb_free(&upscaler->small);
    resr_rgb_free(&upscaler->large);
    resr_colour_free(upscaler->colour);
    resr_net_free(upscaler->net);
    free(upscaler);
}

size_t resr_upscaler_workspace_bytes(const ResrUpscaler *upscaler)
{
    size_t rgb = upscaler->small.stride * (size_t)upscaler->small.height_px +
                 upscaler->large.stride * (size_t)upscaler->large.height_px;
    return resr_net_workspace_bytes(upscaler->net) + rgb * 3 * sizeof(float);
}

static int upscale_here(ResrUpscaler *upscaler, ResrFrame *out, const ResrFrame *in,
                        const volatile int *stop)
{
    const float *const small[3] = {upscaler->small.plane[0], upscaler->small.plane[1],
                                   upscaler->small.plane[2]};
    int ret = resr_colour_to_rgb(upscaler->colour, &upscaler->small, in);
    if (ret == 0)
        ret = resr_net_upscale(upscaler->net, upscaler->large.plane, upscaler->large.stride, small,
                               upscaler->small.stride, stop);
    return ret < 0 ? ret : resr_colour_from_rgb(upscaler->colour, out, &upscaler->large, in);
}

int resr_upscaler_submit(ResrUpscaler *upscaler, const ResrFrame *in, const volatile int *stop)
{
    ResrFrame *frame;
    if (stop && *stop)
        return resr_fail(RESR_ERR_STOPPED, "stopped on request");
    if (upscaler->submitted - upscaler->collected == RESR_FRAMES_UNDER_WAY)
        return resr_fail(RESR_ERR_INTERNAL, "%d frames are under way already",
                         RESR_FRAMES_UNDER_WAY);
    int ret = resr_frame_create(&frame, &upscaler->output);
    if (ret < 0)
        return ret;
    ret = upscaler->on_device ? resr_net_submit_frame(upscaler->net, in)
                              : upscale_here(upscaler, frame, in, stop);
    if (ret < 0) {
        resr_frame_free(frame);
        return ret;
    }
    frame->index = in->index;
    frame->pts = in->pts;
    frame->duration = in->duration;
    upscaler->under_way[upscaler->submitted++ % RESR_FRAMES_UNDER_WAY] = frame;
    return 0;
}

int resr_upscaler_collect(ResrUpscaler *upscaler, ResrFrame **out)
{
    *out = NULL;
    if (upscaler->collected == upscaler->submitted)
        return 0;
    ResrFrame *frame = upscaler->under_way[upscaler->collected++ % RESR_FRAMES_UNDER_WAY];
    int ret = upscaler->on_device ? resr_net_collect_frame(upscaler->net, frame) : 0;
    if (ret < 0) {
        resr_frame_free(frame);
        return ret;
    }
    *out = frame;
    return 0;
}
