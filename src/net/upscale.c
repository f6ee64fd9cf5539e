#include "net/upscale.h"

#include <stdlib.h>

#include "base/memory.h"
#include "media/colour.h"

struct ResrUpscaler {
    ResrFormat output;
    ResrNet *net;
    ResrColour *colour;
    ResrRgb small, large; /* the network's input and output */
};

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
        ret = resr_rgb_create(&upscaler->small, input->width_px, input->height_px);
    if (ret == 0)
        ret = resr_rgb_create(&upscaler->large, input->width_px * scale, input->height_px * scale);
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

int resr_upscaler_run(ResrUpscaler *upscaler, ResrFrame **out, const ResrFrame *in,
                      const volatile int *stop)
{
    ResrFrame *frame = NULL;
    const float *const small[3] = {upscaler->small.plane[0], upscaler->small.plane[1],
                                   upscaler->small.plane[2]};
    *out = NULL;
    int ret = resr_frame_create(&frame, &upscaler->output);
    if (ret == 0)
        ret = resr_colour_to_rgb(upscaler->colour, &upscaler->small, in);
    if (ret == 0)
        ret = resr_net_upscale(upscaler->net, upscaler->large.plane, upscaler->large.stride, small,
                               upscaler->small.stride, stop);
    if (ret == 0)
        ret = resr_colour_from_rgb(upscaler->colour, frame, &upscaler->large, in);
    if (ret < 0) {
        resr_frame_free(frame);
        return ret;
    }
    frame->index = in->index;
    frame->pts = in->pts;
    frame->duration = in->duration;
    *out = frame;
    return 0;
}
