/* The forward pass of both architectures on a device.
 *
 * A pass computes one layer after the other for several tiles at once, on the run's stream, each
 * convolution by its layer's variant (conv.cuh). head() uploads the tiles, or takes them from a
 * frame on the device, and makes fp16 feature maps. Of RRDB, dense_block() writes each
 * convolution's output behind its input in one of two buffers of 192 channels, and adds the fp32
 * trunk at a block's and an RRDB's end; body_end(), upsample() and tail() compute the layers behind
 * the body, for a whole tile or, where its memory does not suffice, in bands of rows. SRVGG's
 * compact_body() alternates between two buffers of 64 channels. tail() converts the output to
 * planar fp32 and downloads it, or writes it into a frame on the device. wait() waits for the
 * stream and checks the flags of the tiles: finite results, and none constant.
 *
 * forward_memory.c allocates the buffers, frames.c runs passes over groups of whole frames. */
#include "forward.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "forward_memory.h"

void (*resr_cuda_warn)(const char *format, ...);

enum { TILE_STEP_PX = 4 };

size_t resr_cuda_workspace_bytes(const void *packed, int width_px, int height_px, int threads)
{
    const NetWeights *net = packed;
    (void)threads;
    return net->bytes + resr_cuda_run_bytes(net, 1, width_px, height_px, 0);
}

static int choose_device(const Run *run)
{
    return resr_cuda_check(cudaSetDevice(run->net->device), "choosing it");
}

int resr_cuda_run_create(void **out, const void *packed, int width_px, int height_px, int threads)
{
    Run *run = calloc(1, sizeof *run);
    (void)threads;
    *out = run;
    if (!run)
        return resr_cuda_fail(RESR_ERR_INTERNAL, "out of memory");
    run->net = packed;
    run->max_width = width_px;
    run->max_height = height_px;
    run->tiles = 1;
    int ret = choose_device(run);
    if (ret == 0)
        ret = resr_cuda_check(cudaStreamCreateWithFlags(&run->stream, cudaStreamNonBlocking),
                              "a stream");
    if (ret < 0) {
        resr_cuda_run_free(run);
        *out = NULL;
    }
    return ret;
}

void resr_cuda_run_free(void *pointer)
{
    Run *run = pointer;
    cudaSetDevice(run->net->device);
    if (run->stream) {
        cudaStreamSynchronize(run->stream); /* after an error work may be in flight */
        cudaStreamDestroy(run->stream);
    }
    resr_cuda_free_frames(&run->frames);
    resr_cuda_free_tiles(run);
    free(run);
}

static int can_band(const NetWeights *net)
{
    return net->spec.arch == RESR_ARCH_RRDB;
}

/* The largest square tile, context included, of which one would fit `bytes`. */
static int fitting_px(const NetWeights *net, size_t bytes)
{
    int px = 0, next = TILE_STEP_PX;
    for (; resr_cuda_run_bytes(net, 1, next, next, can_band(net)) <= bytes; next += TILE_STEP_PX)
        px = next;
    return px;
}

/* A sixteenth is reserved for memory lost in pages. */
static int fail_no_room(const Run *run, int context_px, size_t free_bytes)
{
    const NetWeights *net = run->net;
    int tile_px = fitting_px(net, free_bytes - free_bytes / 16) - context_px;
    size_t wanted = resr_cuda_run_bytes(net, 1, run->max_width, run->max_height, can_band(net));
    char advice[64] = "let fewer ranks share it, or choose a smaller --tile-pad";
    if (tile_px > 0)
        snprintf(advice, sizeof advice, "-t %d fits", tile_px);
    return resr_cuda_fail(RESR_ERR_DEVICE,
                          "CUDA device %d: a tile of %d x %d pixels, context included, takes %zu "
                          "MB, of which %zu are free; %s",
                          net->device, run->max_width, run->max_height, (wanted >> 20) + 1,
                          free_bytes >> 20, advice);
}

/* The most tiles, from `wanted` down, for which there is memory; at last one, in bands. */
static int alloc_most(Run *run, int wanted, int *tiles)
{
    int ret = RESR_CUDA_NO_MEMORY;
    for (*tiles = wanted; ret == RESR_CUDA_NO_MEMORY && *tiles > 0; *tiles /= 2) {
        ret = resr_cuda_alloc_tiles(run, *tiles, 0);
        if (ret != RESR_CUDA_NO_MEMORY)
            return ret;
    }
    *tiles = 1;
    return can_band(run->net) ? resr_cuda_alloc_tiles(run, 1, 1) : ret;
}

int resr_cuda_reserve(void *pointer, int wanted, int context_px, int *tiles)
{
    Run *run = pointer;
    size_t free_bytes, total_bytes;
    int filling = resr_cuda_filling_tiles(run);
    wanted = wanted < filling ? wanted : filling;
    int ret = choose_device(run);
    if (ret == 0)
        ret = resr_cuda_check(cudaMemGetInfo(&free_bytes, &total_bytes), "its memory");
    if (ret == 0)
        ret = alloc_most(run, wanted, tiles);
    if (ret == RESR_CUDA_NO_MEMORY)
        return fail_no_room(run, context_px, free_bytes);
    if (ret < 0 || !resr_cuda_warn)
        return ret;
    if (run->banded)
        resr_cuda_warn(
            "CUDA device %d has no memory for a whole tile at once: the layers behind the "
            "network's body are computed in bands of rows: slower, the same pixels",
            run->net->device);
    else if (*tiles < wanted)
        resr_cuda_warn("CUDA device %d has memory for %d tiles at once, not for %d: slower, the "
                       "same pixels",
                       run->net->device, *tiles, wanted);
    return 0;
}

void resr_cuda_set_tiles(void *pointer, int tiles)
{
    Run *run = pointer;
    run->tiles = tiles;
}

/* A convolution of the pass, with the arguments that most of them share. */
static ConvCall make_call(const Run *run, int index, int enlarged)
{
    const NetLayer *layer = &run->net->layers[index];
    return (ConvCall){.cin = layer->cin,
                      .cout = layer->cout,
                      .weights = layer->weights,
                      .bias = layer->bias,
                      .slope = layer->slope,
                      .activation = layer->activation,
                      .tiles = run->at.tiles,
                      .height = run->at.body_height * enlarged,
                      .width = run->at.body_width * enlarged,
                      .scratch = run->scratch};
}

static int convolve(const Run *run, int index, const ConvCall *call)
{
    return run->net->layers[index].variant->run(call, run->stream);
}

static float *floats_at(const Run *run, size_t offset)
{
    return (float *)(run->memory + offset);
}

static bool is_rrdb(const Run *run)
{
    return run->net->spec.arch == RESR_ARCH_RRDB;
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
        image->tile[i].base = (size_t)i * 3 * image->plane;
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
        for (int c = 0; c < 3; c++)
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

int resr_cuda_head(void *pointer, const ResrTileIn *in)
{
    Run *run = pointer;
    int ret = choose_device(run);
    if (ret == 0 && run->max_tiles == 0) {
        int tiles;
        ret = resr_cuda_reserve(run, 1, 0, &tiles);
    }
    if (ret < 0)
        return ret;
    run->at = resr_cuda_layout(run->net, run->tiles, in->width_px, in->height_px, run->banded);
    run->current = 0;
    run->in_frame = !in->plane[0];
    memcpy(run->ins, in, (size_t)run->tiles * sizeof *in);
    ret = run->in_frame ? 0 : upload(run, in);
    if (ret < 0)
        return ret;
    PixelsIn pixels = {.out = run->memory + run->at.head,
                       .bf16 = run->net->bf16,
                       .channels = run->net->head_channels,
                       .factor = run->net->spec.unshuffle,
                       .tiles = run->at.tiles,
                       .height = run->at.height,
                       .width = run->at.width,
                       .flags = flags_of(run)};
    place_in(run, &pixels.in);
    ret = resr_cuda_pixels_in(&pixels, run->stream);
    if (ret < 0)
        return ret;
    ConvCall call = make_call(run, 0, 1);
    call.in = run->memory + run->at.head;
    call.in_pitch = run->net->head_channels;
    call.out = run->memory + run->at.dense[0];
    call.out_pitch = is_rrdb(run) ? NET_DENSE_PITCH : NET_FEATURES;
    if (is_rrdb(run)) {
        call.out_f32 = floats_at(run, run->at.feat);
        call.out_f32_pitch = call.out_f32_count = NET_FEATURES;
    }
    return convolve(run, 0, &call);
}

int resr_cuda_dense_block(void *pointer, int block, int dense, bool last_of_rrdb)
{
    Run *run = pointer;
    int first = 1 + (block * 3 + dense) * 5, ret = 0;
    char *in = run->memory + run->at.dense[run->current];
    for (int k = 0; ret == 0 && k < 4; k++) {
        ConvCall call = make_call(run, first + k, 1);
        call.in = call.out = in;
        call.in_pitch = call.out_pitch = NET_DENSE_PITCH;
        call.out_channel = NET_FEATURES + k * NET_GROWTH;
        ret = convolve(run, first + k, &call);
    }
    if (ret < 0)
        return ret;
    run->current ^= 1;
    const float *base = floats_at(run, block == 0 ? run->at.feat : run->at.base);
    ConvCall call = make_call(run, first + 4, 1);
    call.in = in;
    call.out = run->memory + run->at.dense[run->current];
    call.in_pitch = call.out_pitch = NET_DENSE_PITCH;
    call.trunk_in = dense == 0 ? base : floats_at(run, run->at.trunk);
    call.trunk_out = floats_at(run, last_of_rrdb ? run->at.base : run->at.trunk);
    call.base = last_of_rrdb ? base : NULL;
    return convolve(run, first + 4, &call);
}

int resr_cuda_body_end(void *pointer)
{
    Run *run = pointer;
    int index = run->net->n_layers - 5;
    ConvCall call = make_call(run, index, 1);
    call.in = run->memory + run->at.dense[run->current];
    call.in_pitch = NET_DENSE_PITCH;
    run->current ^= 1;
    call.out = run->memory + run->at.dense[run->current];
    call.out_pitch = NET_FEATURES;
    call.add = floats_at(run, run->at.feat);
    return convolve(run, index, &call);
}

int resr_cuda_compact_body(void *pointer)
{
    Run *run = pointer;
    int ret = 0;
    for (int i = 1; ret == 0 && i <= run->net->spec.num_blocks; i++) {
        ConvCall call = make_call(run, i, 1);
        call.in = run->memory + run->at.dense[run->current];
        run->current ^= 1;
        call.out = run->memory + run->at.dense[run->current];
        call.in_pitch = call.out_pitch = NET_FEATURES;
        ret = convolve(run, i, &call);
    }
    return ret;
}

/* Nearest x2 and conv_up of the body's rows top..top+rows-1. */
static int enlarge(const Run *run, int step, int top, int rows)
{
    const ForwardLayout *at = &run->at;
    int index = run->net->n_layers - 4 + step;
    size_t skip = (size_t)top * (size_t)at->body_width * NET_FEATURES * sizeof(uint16_t);
    ConvCall call = make_call(run, index, step == 0 ? 2 : 4);
    call.in = run->memory + (step == 0 ? at->dense[run->current] + skip : at->up1);
    call.out = run->memory + (step == 0 ? at->up1 : at->up2);
    call.in_pitch = call.out_pitch = NET_FEATURES;
    call.upsample = 1;
    call.height = rows * (step == 0 ? 2 : 4);
    return convolve(run, index, &call);
}

int resr_cuda_upsample(void *pointer, int step)
{
    const Run *run = pointer;
    return run->at.band_rows > 0 ? 0 : enlarge(run, step, 0, run->at.body_height);
}

/* RRDB: conv_hr, then conv_last's three channels (of four stored), of `rows` rows of the body. */
static int tail_rrdb(const Run *run, int rows)
{
    int index = run->net->n_layers - 2;
    ConvCall call = make_call(run, index, 4);
    call.in = run->memory + run->at.up2;
    call.out = run->memory + run->at.high_res;
    call.in_pitch = call.out_pitch = NET_FEATURES;
    call.height = rows * 4;
    int ret = convolve(run, index, &call);
    if (ret < 0)
        return ret;
    call = make_call(run, index + 1, 4);
    call.in = run->memory + run->at.high_res;
    call.in_pitch = NET_FEATURES;
    call.out_f32 = floats_at(run, run->at.last);
    call.out_f32_pitch = call.out_f32_count = 4;
    call.height = rows * 4;
    return convolve(run, index + 1, &call);
}

static int tail_compact(const Run *run)
{
    const NetWeights *net = run->net;
    int first = net->n_layers - net->tail_pieces, ret = 0;
    for (int i = first; ret == 0 && i < net->n_layers; i++) {
        ConvCall call = make_call(run, i, 1);
        call.in = run->memory + run->at.dense[run->current];
        call.in_pitch = NET_FEATURES;
        call.out_f32 = floats_at(run, run->at.last) + (i - first) * NET_FEATURES;
        call.out_f32_pitch = net->tail_channels;
        call.out_f32_count = call.cout;
        ret = convolve(run, i, &call);
    }
    return ret;
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

/* The body's rows first..first+rows-1 of the last convolution's output, which begins with its row
 * `top`, to where the tiles belong. */
static int finish_rows(const Run *run, int first, int rows, int top)
{
    const ForwardLayout *at = &run->at;
    const ResrTileOut *out = run->outs;
    int enlarged = is_rrdb(run) ? 4 : 1, pitch = is_rrdb(run) ? 4 : run->net->tail_channels;
    int width = at->body_width * enlarged;
    size_t skip = (size_t)(first - top) * (size_t)(enlarged * width * pitch);
    PixelsOut pixels = {.last = floats_at(run, at->last) + skip,
                        .pitch = pitch,
                        .factor = is_rrdb(run) ? 1 : at->scale,
                        .add_nearest = !is_rrdb(run),
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

/* RRDB: everything behind the body, band after band. */
static int tail_in_bands(const Run *run)
{
    int height = run->at.body_height, ret = 0;
    for (int first = 0, rows; ret == 0 && first < height; first += rows) {
        int top = first > BAND_CONTEXT_ROWS ? first - BAND_CONTEXT_ROWS : 0;
        rows = height - first < run->at.band_rows ? height - first : run->at.band_rows;
        int below = height - first - rows;
        int with_context =
            first + rows - top + (below < BAND_CONTEXT_ROWS ? below : BAND_CONTEXT_ROWS);
        for (int step = 0; ret == 0 && step < 2; step++)
            ret = enlarge(run, step, top, with_context);
        if (ret == 0)
            ret = tail_rrdb(run, with_context);
        if (ret == 0)
            ret = finish_rows(run, first, rows, top);
    }
    return ret;
}

static int tail_at_once(const Run *run)
{
    int rows = run->at.body_height;
    int ret = is_rrdb(run) ? tail_rrdb(run, rows) : tail_compact(run);
    return ret < 0 ? ret : finish_rows(run, 0, rows, 0);
}

int resr_cuda_tail(void *pointer, const ResrTileOut *out)
{
    Run *run = pointer;
    int tiles = run->at.tiles;
    memcpy(run->outs, out, (size_t)tiles * sizeof *out);
    int ret = run->at.band_rows > 0 ? tail_in_bands(run) : tail_at_once(run);
    if (ret < 0)
        return ret;
    if (run->in_frame) {
        run->frames.next_tile += tiles;
        return 0;
    }
    return download(run, (size_t)tiles * 3 * (size_t)out->height_px * (size_t)out->width_px);
}

int resr_cuda_wait(void *pointer)
{
    Run *run = pointer;
    int ret = resr_cuda_check(cudaStreamSynchronize(run->stream), "computing tiles");
    if (ret == 0)
        ret = resr_cuda_check_flags(run->host_flags, run->at.tiles, run->net->device);
    if (ret != 0)
        return resr_cuda_device_error(ret);
    const float *from = run->host_out;
    for (int tile = 0; tile < run->at.tiles; tile++) {
        const ResrTileOut *out = &run->outs[tile];
        size_t width = (size_t)out->width_px;
        for (int c = 0; c < 3; c++)
            for (int y = 0; y < out->height_px; y++, from += width)
                memcpy(out->plane[c] + (size_t)y * out->stride, from, width * sizeof *from);
    }
    return 0;
}
