/* Both ends of a pass: the tiles' pixels from host memory or from a frame on the device to the
 * first feature map, and those of the last convolution back. */
#include "forward_pixels.h"

#include "forward.h"

#include <stdint.h>
#include <string.h>

static float *floats_at(const Run *run, size_t offset)
{
    return (float *)(run->memory + offset);
}

/* The tiles one after the other in memory at `offset`, of width x height each. */
static void place_tiles(const Run *run, PixelsImage *image, size_t offset, int width, int height)
{
    image->planar = floats_at(run, offset);
    image->stride = (size_t)width;
    image->plane = (size_t)width * (size_t)height;
    image->width = width;
    image->height = height;
    for (int i = 0; i < run->at.tiles; i++)
        image->tile[i].base = (size_t)(i * run->net->spec.channels) * image->plane;
}

/* The tiles as parts of frames on the device. */
static void place_in_frame(const Run *run, PixelsImage *image)
{
    const Frames *frames = &run->frames;
    image->planar = frames->rgb_in.planar;
    image->stride = frames->rgb_in.stride;
    image->plane = frames->rgb_in.plane;
    image->width = frames->in.width;
    image->height = frames->in.height;
    for (int i = 0; i < run->at.tiles; i++) {
        image->tile[i].base = (size_t)run->ins[i].frame * 3 * image->plane;
        image->tile[i].x = run->ins[i].frame_x_px;
        image->tile[i].y = run->ins[i].frame_y_px;
    }
}

static void place_in(const Run *run, PixelsImage *image)
{
    if (run->in_frame)
        place_in_frame(run, image);
    else
        place_tiles(run, image, run->at.planar_in, run->at.width, run->at.height);
}

static void place_out(const Run *run, PixelsImage *image)
{
    const Frames *frames = &run->frames;
    if (!run->in_frame) {
        place_tiles(run, image, run->at.planar_out, run->outs->width_px, run->outs->height_px);
        return;
    }
    image->planar = frames->rgb_out.planar;
    image->stride = frames->rgb_out.stride;
    image->plane = frames->rgb_out.plane;
    image->width = frames->out.width;
    image->height = frames->out.height;
    for (int i = 0; i < run->at.tiles; i++) {
        image->tile[i].base = (size_t)run->outs[i].frame * 3 * image->plane;
        image->tile[i].x = run->outs[i].frame_x_px;
        image->tile[i].y = run->outs[i].frame_y_px;
    }
}

static PixelFlags *flags_of(const Run *run)
{
    const Frames *frames = &run->frames;
    if (!run->in_frame)
        return (PixelFlags *)(run->memory + run->at.flags);
    return frames->slots[frames->submitted % FRAME_SLOTS].device_flags + frames->next_tile;
}

/* The tiles' pixels to pinned memory, then to the device. */
static int upload(Run *run, const ResrTileIn *in)
{
    const ForwardLayout *at = &run->at;
    size_t width = (size_t)at->width;
    float *to = run->host_in;
    for (int tile = 0; tile < at->tiles; tile++)
        for (int c = 0; c < run->net->spec.channels; c++)
            for (int y = 0; y < at->height; y++, to += width)
                memcpy(to, in[tile].plane[c] + (size_t)y * in[tile].stride, width * sizeof *to);
    int ret = resr_cuda_check(cudaMemcpyAsync(run->memory + at->planar_in, run->host_in,
                                              (size_t)(to - run->host_in) * sizeof *to,
                                              cudaMemcpyHostToDevice, run->stream),
                              "copying pixels to it");
    if (ret == 0)
        ret = resr_cuda_check(cudaMemsetAsync(run->memory + at->flags, 0,
                                              (size_t)at->tiles * sizeof(PixelFlags), run->stream),
                              "clearing flags");
    return ret;
}

int resr_cuda_put_tiles(Run *run, const ResrTileIn *in)
{
    const NetWeights *net = run->net;
    run->in_frame = !in->plane[0];
    memcpy(run->ins, in, (size_t)run->tiles * sizeof *in);
    int ret = run->in_frame ? 0 : upload(run, in);
    if (ret < 0)
        return ret;
    PixelsIn pixels = {.out = run->memory + run->at.head,
                       .bf16 = net->bf16,
                       .colours = net->spec.channels,
                       .channels = net->convs[0].cin,
                       .factor = net->spec.unshuffle,
                       .scale = 1,
                       .tiles = run->at.tiles,
                       .height = run->at.height,
                       .width = run->at.width,
                       .flags = flags_of(run)};
    const ResrNormalisation *normal = resr_spec_normalisation(&net->spec);
    if (normal) {
        memcpy(pixels.mean, normal->mean, sizeof normal->mean);
        pixels.scale = normal->factor;
    }
    place_in(run, &pixels.in);
    return resr_cuda_pixels_in(&pixels, run->stream);
}

/* Results and flags to pinned memory. */
static int download(Run *run, size_t floats)
{
    int ret = resr_cuda_check(cudaMemcpyAsync(run->host_out, run->memory + run->at.planar_out,
                                              floats * sizeof(float), cudaMemcpyDeviceToHost,
                                              run->stream),
                              "copying pixels from it");
    if (ret == 0)
        ret = resr_cuda_check(cudaMemcpyAsync(run->host_flags, run->memory + run->at.flags,
                                              (size_t)run->at.tiles * sizeof(PixelFlags),
                                              cudaMemcpyDeviceToHost, run->stream),
                              "copying flags from it");
    return ret;
}

int resr_cuda_finish_rows(const Run *run, int first, int rows, int top)
{
    const ForwardLayout *at = &run->at;
    const ResrTileOut *out = run->outs;
    const NetWeights *net = run->net;
    bool rrdb = resr_spec_is_rrdb(&net->spec);
    int enlarged = 1 << net->enlargements;
    int pitch = rrdb ? NET_LAST_PITCH : net->convs[net->n_convs - 1].cout;
    int width = at->body_width * enlarged;
    size_t skip = (size_t)(first - top) * (size_t)(enlarged * width * pitch);
    PixelsOut pixels = {.last = floats_at(run, at->last) + skip,
                        .pitch = pitch,
                        .factor = rrdb ? 1 : at->scale,
                        .colours = net->spec.channels,
                        .add_nearest = net->spec.arch == RESR_ARCH_SRVGG,
                        .tiles = at->tiles,
                        .height = rows * enlarged,
                        .width = width,
                        .crop_x = out->crop_x_px,
                        .crop_y = out->crop_y_px - first * enlarged,
                        .out_height = out->height_px,
                        .out_width = out->width_px,
                        .flags = flags_of(run)};
    place_in(run, &pixels.in);
    place_out(run, &pixels.out);
    return resr_cuda_pixels_out(&pixels, run->stream);
}

int resr_cuda_get_tiles(Run *run)
{
    int tiles = run->at.tiles;
    if (run->in_frame) {
        run->frames.next_tile += tiles;
        return 0;
    }
    size_t px = (size_t)run->outs->height_px * (size_t)run->outs->width_px;
    return download(run, (size_t)(tiles * run->net->spec.channels) * px);
}

static void store_plane(const ResrTileOut *out, int c, const float *from)
{
    size_t width = (size_t)out->width_px;
    for (int y = 0; out->plane[c] && y < out->height_px; y++, from += width)
        memcpy(out->plane[c] + (size_t)y * out->stride, from, width * sizeof *from);
}

/* Of gray networks all three planes are the same. */
int resr_cuda_wait(void *pointer, const atomic_bool *stop)
{
    (void)stop; /* a forward pass ends in a fraction of a second */
    Run *run = pointer;
    int ret = resr_cuda_check(cudaStreamSynchronize(run->stream), "computing tiles");
    if (ret == 0)
        ret = resr_cuda_check_flags(run->host_flags, run->at.tiles, run->net->device);
    if (ret != 0)
        return resr_cuda_device_error(ret);
    int colours = run->net->spec.channels;
    const float *from = run->host_out;
    for (int tile = 0; tile < run->at.tiles; tile++) {
        const ResrTileOut *out = &run->outs[tile];
        size_t plane = (size_t)out->height_px * (size_t)out->width_px;
        for (int c = 0; c < colours; c++, from += plane)
            store_plane(out, c, from);
        for (int c = 1; colours == 1 && c < 3; c++)
            store_plane(out, c, from - plane);
    }
    return 0;
}
