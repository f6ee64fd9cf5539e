/* The forward pass of the three architectures on a device.
 *
 * A pass computes one layer after the other for several tiles at once, on the run's stream, each
 * convolution by its layers' variants (conv.cuh). head() makes fp16 feature maps of the tiles'
 * pixels. Of RRDB, dense_block() writes each convolution's output behind its input in one of two
 * buffers of all the block's channels, and adds the fp32 trunk at a block's and an RRDB's end;
 * body_end(), upsample() and tail() compute the layers behind the body, for a whole tile or, where
 * its memory does not suffice, in bands of rows. SRVGG's compact_body() and SPAN's
 * attention_block() alternate between two buffers of a layer's channels; the inputs of
 * SPAN's attention_end() go to a buffer of their own. wait() waits for the stream and checks the
 * flags of the tiles: finite results, and none constant.
 *
 * forward_pixels.c has both ends, forward_memory.c allocates the buffers, frames.c runs passes over
 * groups of whole frames. */
#include "forward.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "forward_memory.h"
#include "forward_pixels.h"

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

int resr_cuda_ctx_create(void **out, const void *packed, int width_px, int height_px, int threads)
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
        resr_cuda_ctx_free(run);
        *out = NULL;
    }
    return ret;
}

void resr_cuda_ctx_free(void *pointer)
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
    return net->enlargements > 0;
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
static ConvCall make_call(const Run *run, int enlarged)
{
    return (ConvCall){.tiles = run->at.tiles,
                      .height = run->at.body_height * enlarged,
                      .width = run->at.body_width * enlarged,
                      .scratch = run->scratch};
}

/* Runs a convolution, 64 outputs at a time: those are neighbours of the feature maps, and a plane
 * each of the residuals. */
static int convolve(const Run *run, int index, ConvCall call)
{
    const NetConv *conv = &run->net->convs[index];
    size_t plane =
        (size_t)call.tiles * (size_t)call.height * (size_t)call.width * (size_t)NET_LAYER_OUTPUTS;
    int ret = 0;
    for (int k = 0; ret == 0 && k < conv->layers; k++) {
        const NetLayer *layer = &run->net->layers[conv->first_layer + k];
        call.cin = layer->cin;
        call.cout = layer->cout;
        call.weights = layer->weights;
        call.bias = layer->bias;
        call.slope = layer->slope;
        call.activation = layer->activation;
        ret = layer->variant->run(&call, run->stream);
        call.out_channel += NET_LAYER_OUTPUTS;
        call.out_f32 += call.out_f32 ? NET_LAYER_OUTPUTS : 0;
        call.out_f32_count -= NET_LAYER_OUTPUTS;
        call.trunk_in += call.trunk_in ? plane : 0;
        call.trunk_out += call.trunk_out ? plane : 0;
        call.base += call.base ? plane : 0;
        call.add += call.add ? plane : 0;
    }
    return ret;
}

/* A convolution of the current feature map, of which the output becomes the current one. */
static int convolve_to(Run *run, int index, ConvCall call, char *out, int pitch)
{
    call.in = run->map;
    call.in_pitch = run->map_pitch;
    call.out = run->map = out;
    call.out_pitch = run->map_pitch = pitch;
    return convolve(run, index, call);
}

static float *floats_at(const Run *run, size_t offset)
{
    return (float *)(run->memory + offset);
}

/* The other one of the two buffers that layers write by turns. */
static char *other_buffer(Run *run)
{
    run->current ^= 1;
    return run->memory + run->at.dense[run->current];
}

/* SPAN: the channels of a part of the concatenation. */
static char *concatenated(const Run *run, int part)
{
    size_t channel = (size_t)(part * run->net->features);
    return run->memory + run->at.concat + channel * sizeof(uint16_t);
}

/* The parts, in the order of the weights (weights.h). */
enum { LAST_BLOCK, HEAD, LAST_C1, FIRST_BLOCK };

int resr_cuda_head(void *pointer, const ResrTileIn *in)
{
    Run *run = pointer;
    const NetWeights *net = run->net;
    int ret = choose_device(run), pitch = resr_cuda_concatenated(net);
    if (ret == 0 && run->max_tiles == 0) {
        int tiles;
        ret = resr_cuda_reserve(run, 1, 0, &tiles);
    }
    if (ret < 0)
        return ret;
    run->at = resr_cuda_layout(net, run->tiles, in->width_px, in->height_px, run->banded);
    run->current = 0;
    ret = resr_cuda_put_tiles(run, in);
    if (ret < 0)
        return ret;
    run->map = run->memory + run->at.head;
    run->map_pitch = net->convs[0].cin;
    ConvCall call = make_call(run, 1);
    if (net->spec.arch == RESR_ARCH_RRDB)
        call.trunk_out = floats_at(run, run->at.feat);
    if (net->spec.arch != RESR_ARCH_SPAN)
        return convolve_to(run, 0, call, run->memory + run->at.dense[0], pitch);
    call.trunk_out = floats_at(run, run->at.trunk);
    return convolve_to(run, 0, call, concatenated(run, HEAD), pitch);
}

int resr_cuda_dense_block(void *pointer, int block, int dense, bool last_of_rrdb)
{
    Run *run = pointer;
    int first = 1 + (block * 3 + dense) * 5, ret = 0;
    ConvCall call = make_call(run, 1);
    call.in = call.out = run->map;
    call.in_pitch = call.out_pitch = run->map_pitch;
    for (int k = 0; ret == 0 && k < 4; k++) {
        call.out_channel = run->net->features + k * run->net->growth;
        ret = convolve(run, first + k, call);
    }
    if (ret < 0)
        return ret;
    const float *base = floats_at(run, block == 0 ? run->at.feat : run->at.base);
    call = make_call(run, 1);
    call.trunk_in = dense == 0 ? base : floats_at(run, run->at.trunk);
    call.trunk_out = floats_at(run, last_of_rrdb ? run->at.base : run->at.trunk);
    call.base = last_of_rrdb ? base : NULL;
    return convolve_to(run, first + 4, call, other_buffer(run), run->map_pitch);
}

int resr_cuda_body_end(void *pointer)
{
    Run *run = pointer;
    ConvCall call = make_call(run, 1);
    call.add = floats_at(run, run->at.feat);
    return convolve_to(run, run->net->n_convs - 3 - run->net->enlargements, call, other_buffer(run),
                       run->net->features);
}

int resr_cuda_compact_body(void *pointer)
{
    Run *run = pointer;
    int ret = 0;
    for (int i = 1; ret == 0 && i <= run->net->spec.num_blocks; i++)
        ret = convolve_to(run, i, make_call(run, 1), other_buffer(run), run->net->features);
    return ret;
}

/* SPAN: c1_r, c2_r and c3_r, the block's input in fp32 in the trunk. Outputs that attention_end()
 * reads are written to their places in the concatenation. */
int resr_cuda_attention_block(void *pointer, int block)
{
    Run *run = pointer;
    int index = 1 + 3 * block, pitch = run->net->features;
    int wide = resr_cuda_concatenated(run->net);
    bool last = block == run->net->spec.num_blocks - 1;
    ConvCall call = make_call(run, 1);
    int ret = last ? convolve_to(run, index, call, concatenated(run, LAST_C1), wide)
                   : convolve_to(run, index, call, other_buffer(run), pitch);
    if (ret == 0)
        ret = convolve_to(run, index + 1, call, other_buffer(run), pitch);
    if (ret < 0)
        return ret;
    call.trunk_in = floats_at(run, run->at.trunk);
    call.trunk_out = last ? NULL : floats_at(run, run->at.trunk);
    if (last || block == 0)
        return convolve_to(run, index + 2, call, concatenated(run, last ? LAST_BLOCK : FIRST_BLOCK),
                           wide);
    return convolve_to(run, index + 2, call, other_buffer(run), pitch);
}

/* The last block's output is the concatenation's first part, so all of it is read. */
int resr_cuda_attention_end(void *pointer)
{
    Run *run = pointer;
    ConvCall call = make_call(run, 1);
    call.centre_from = run->net->features;
    return convolve_to(run, run->net->n_convs - 2, call, other_buffer(run), run->net->features);
}

/* RRDB: the body's output (step 0) or that of the enlargement before, from the body's row `top`
 * on; buffers of enlargements begin there. */
static const char *enlarged_to(const Run *run, int step, int top)
{
    const ForwardLayout *at = &run->at;
    size_t row = (size_t)(at->body_width * run->map_pitch) * sizeof(uint16_t);
    return step == 0 ? run->map + (size_t)top * row : run->memory + at->up[step - 1];
}

/* Nearest x2 and conv_up of the body's rows top..top+rows-1. */
static int enlarge(const Run *run, int step, int top, int rows)
{
    const NetWeights *net = run->net;
    ConvCall call = make_call(run, 2 << step);
    call.in = enlarged_to(run, step, top);
    call.out = run->memory + run->at.up[step];
    call.in_pitch = call.out_pitch = net->features;
    call.upsample = 1;
    call.height = rows * (2 << step);
    return convolve(run, net->n_convs - 2 - net->enlargements + step, call);
}

int resr_cuda_upsample(void *pointer, int step)
{
    const Run *run = pointer;
    return run->at.band_rows > 0 ? 0 : enlarge(run, step, 0, run->at.body_height);
}

/* RRDB: conv_hr, then conv_last's channels (four stored), of `rows` rows of the body from `top`. */
static int tail_rrdb(const Run *run, int top, int rows)
{
    const NetWeights *net = run->net;
    ConvCall call = make_call(run, 1 << net->enlargements);
    call.in = enlarged_to(run, net->enlargements, top);
    call.out = run->memory + run->at.high_res;
    call.in_pitch = call.out_pitch = net->features;
    call.height = rows << net->enlargements;
    int ret = convolve(run, net->n_convs - 2, call);
    if (ret < 0)
        return ret;
    call.in = call.out;
    call.out = NULL;
    call.out_f32 = floats_at(run, run->at.last);
    call.out_f32_pitch = call.out_f32_count = NET_LAST_PITCH;
    return convolve(run, net->n_convs - 1, call);
}

/* SRVGG and SPAN: the last convolution. */
static int tail_shuffled(const Run *run)
{
    int last = run->net->n_convs - 1;
    ConvCall call = make_call(run, 1);
    call.in = run->map;
    call.in_pitch = run->map_pitch;
    call.out_f32 = floats_at(run, run->at.last);
    call.out_f32_pitch = call.out_f32_count = run->net->convs[last].cout;
    return convolve(run, last, call);
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
        for (int step = 0; ret == 0 && step < run->net->enlargements; step++)
            ret = enlarge(run, step, top, with_context);
        if (ret == 0)
            ret = tail_rrdb(run, top, with_context);
        if (ret == 0)
            ret = resr_cuda_finish_rows(run, first, rows, top);
    }
    return ret;
}

static int tail_at_once(const Run *run)
{
    int rows = run->at.body_height;
    int ret = resr_spec_is_rrdb(&run->net->spec) ? tail_rrdb(run, 0, rows) : tail_shuffled(run);
    return ret < 0 ? ret : resr_cuda_finish_rows(run, 0, rows, 0);
}

int resr_cuda_tail(void *pointer, const ResrTileOut *out)
{
    Run *run = pointer;
    int tiles = run->at.tiles;
    memcpy(run->outs, out, (size_t)tiles * sizeof *out);
    int ret = run->at.band_rows > 0 ? tail_in_bands(run) : tail_at_once(run);
    if (ret < 0)
        return ret;
    return resr_cuda_get_tiles(run);
}
