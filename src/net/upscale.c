#include "net/upscale.h"

#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/minmax.h"
#include "media/colour.h"

typedef struct Group {
    ResrFrame *frames[RESR_MAX_GROUP_FRAMES]; /* results; NULL: collected */
    int count, next;                          /* next: the next one to be collected */
} Group;

struct ResrUpscaler {
    ResrFormat output;
    ResrNet *net;
    ResrColour *colour;
    ResrRgb small, large; /* the network's input and output */
    bool on_device;       /* the backend converts colours; no RGB here */
    int group_frames;
    Group in_flight[RESR_GROUPS_IN_FLIGHT];
    unsigned submitted, collected; /* groups */
};

/* Lets the backend convert colours if it can; otherwise creates the RGB images for the conversion.
 */
static int prepare_colours(ResrUpscaler *upscaler, const ResrFormat *input, const ResrNetSpec *spec)
{
    int scale = spec->scale, planes = resr_max(3, spec->channels);
    ResrFrameSetup setup = {.in = input, .out = &upscaler->output};
    int in_matrix, out_matrix;
    if (resr_colour_is_plain(upscaler->colour, &in_matrix, &out_matrix)) {
        setup.in_matrix = in_matrix;
        setup.out_matrix = out_matrix;
        int ret = resr_net_begin_frames(upscaler->net, &setup);
        upscaler->on_device = ret > 0;
        if (ret > 0)
            upscaler->group_frames = ret;
        if (ret != 0)
            return ret < 0 ? ret : 0;
    }
    int ret = resr_net_reserve(upscaler->net);
    if (ret == 0)
        ret = resr_rgb_create(&upscaler->small, input->width_px, input->height_px, planes);
    if (ret == 0)
        ret = resr_rgb_create(&upscaler->large, input->width_px * scale, input->height_px * scale,
                              planes);
    return ret;
}

int resr_upscaler_create(ResrUpscaler **out, const ResrOps *ops, const ResrModel *model,
                         const ResrFormat *input, const ResrFormat *output, ResrTileSize tile,
                         int threads)
{
    ResrUpscaler *upscaler;
    int scale = model->spec.scale;
    int ret = resr_alloc(out, 1, sizeof **out);
    if (ret < 0)
        return ret;
    upscaler = *out;
    upscaler->output = *output;
    upscaler->group_frames = 1;
    ret = resr_net_create(&upscaler->net, ops, model, input->width_px, input->height_px, tile,
                          threads);
    if (ret == 0)
        ret = resr_colour_create(&upscaler->colour, input, output, input->width_px * scale,
                                 input->height_px * scale, model->spec.channels == 4);
    if (ret == 0)
        ret = prepare_colours(upscaler, input, &model->spec);
    if (ret < 0) {
        resr_upscaler_free(upscaler);
        *out = NULL;
    }
    return ret;
}

static void free_group(Group *group)
{
    for (int i = 0; i < group->count; i++)
        resr_frame_free(group->frames[i]);
    *group = (Group){.count = 0};
}

void resr_upscaler_free(ResrUpscaler *upscaler)
{
    if (!upscaler)
        return;
    for (int i = 0; i < RESR_GROUPS_IN_FLIGHT; i++)
        free_group(&upscaler->in_flight[i]);
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
    size_t planes = upscaler->small.plane[3] ? 4 : 3;
    return resr_net_workspace_bytes(upscaler->net) + rgb * planes * sizeof(float);
}

double resr_upscaler_computed_macs(const ResrUpscaler *upscaler)
{
    return resr_net_computed_macs(upscaler->net);
}

static int upscale_here(ResrUpscaler *upscaler, ResrFrame *out, const ResrFrame *in,
                        const atomic_bool *stop)
{
    const float *const small[4] = {upscaler->small.plane[0], upscaler->small.plane[1],
                                   upscaler->small.plane[2], upscaler->small.plane[3]};
    int ret = resr_colour_to_rgb(upscaler->colour, &upscaler->small, in);
    if (ret == 0)
        ret = resr_net_upscale(upscaler->net, upscaler->large.plane, upscaler->large.stride, small,
                               upscaler->small.stride, stop);
    return ret < 0 ? ret : resr_colour_from_rgb(upscaler->colour, out, &upscaler->large, in);
}

int resr_upscaler_group(const ResrUpscaler *upscaler)
{
    return upscaler->group_frames;
}

int resr_upscaler_depth(const ResrUpscaler *upscaler)
{
    return upscaler->on_device ? RESR_GROUPS_IN_FLIGHT : 1;
}

/* Creates the frames for the results of `in`. */
static int create_group(Group *group, const ResrFormat *format, ResrFrame *const *in, int count)
{
    for (int i = 0; i < count; i++) {
        int ret = resr_frame_create(&group->frames[i], format);
        if (ret < 0)
            return ret;
        group->count++;
        group->frames[i]->index = in[i]->index;
        group->frames[i]->pts = in[i]->pts;
        group->frames[i]->duration = in[i]->duration;
    }
    return 0;
}

/* Prepends the group's frames to a message about the network's output. */
static int name_frames(const Group *group, int ret)
{
    int64_t first = group->frames[0]->index;
    if (ret == RESR_ERR_DATA && group->count == 1)
        return resr_fail_prefix(ret, "frame %" PRId64 ": ", first);
    if (ret == RESR_ERR_DATA)
        return resr_fail_prefix(ret, "frames %" PRId64 " to %" PRId64 ": ", first,
                                first + group->count - 1);
    return ret;
}

int resr_upscaler_submit(ResrUpscaler *upscaler, ResrFrame *const *in, int count,
                         const atomic_bool *stop)
{
    Group *group = &upscaler->in_flight[upscaler->submitted % RESR_GROUPS_IN_FLIGHT];
    if (stop && *stop)
        return resr_fail(RESR_ERR_STOPPED, "stopped on request");
    if (upscaler->submitted - upscaler->collected == RESR_GROUPS_IN_FLIGHT ||
        count > upscaler->group_frames)
        return resr_fail(RESR_ERR_INTERNAL, "%d more frames, with %u groups in flight", count,
                         upscaler->submitted - upscaler->collected);
    int ret = create_group(group, &upscaler->output, in, count);
    if (ret == 0 && upscaler->on_device)
        ret = resr_net_submit_frames(upscaler->net, in, count);
    else if (ret == 0)
        ret = name_frames(group, upscale_here(upscaler, group->frames[0], in[0], stop));
    if (ret < 0)
        free_group(group);
    else
        upscaler->submitted++;
    return ret;
}

int resr_upscaler_collect(ResrUpscaler *upscaler, ResrFrame **out)
{
    *out = NULL;
    assert(upscaler->submitted - upscaler->collected <= RESR_GROUPS_IN_FLIGHT);
    if (upscaler->collected == upscaler->submitted)
        return 0;
    Group *group = &upscaler->in_flight[upscaler->collected % RESR_GROUPS_IN_FLIGHT];
    int ret = 0;
    assert(group->next < group->count);
    if (upscaler->on_device && group->next == 0)
        ret = name_frames(group, resr_net_collect_frames(upscaler->net, group->frames));
    if (ret == 0) {
        *out = group->frames[group->next];
        group->frames[group->next++] = NULL;
    }
    if (ret < 0 || group->next == group->count) {
        free_group(group);
        upscaler->collected++;
    }
    return ret;
}
