#include "forward_memory.h"

#include <stdlib.h>

enum { ALIGN_BYTES = 256, HALF_BYTES = 2, BODY_TILE_PX = 32 * 16 };

/* Adds a region and returns its offset. */
static size_t add(size_t *end, size_t bytes)
{
    size_t at = *end;
    *end += (bytes + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES;
    return at;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Buffers of the layers behind an RRDB's body, over buffers that are dead by then. */
static void place_enlarged(ForwardLayout *at, size_t planar_out)
{
    size_t row = (size_t)at->tiles * (size_t)at->body_width, rows = (size_t)at->body_height;
    size_t body_end = at->bytes, end = at->dense[0];
    if (at->band_rows > 0) {
        end = at->feat; /* conv_body's outputs lie before it */
        at->planar_out = add(&end, planar_out);
        rows = (size_t)(at->band_rows + 2 * BAND_CONTEXT_ROWS);
    }
    size_t maps = rows * row * NET_FEATURES * HALF_BYTES;
    at->high_res = add(&end, 16 * maps);
    if (at->band_rows == 0) /* conv_body's outputs are read by conv_up1 only */
        end = larger(end, body_end);
    at->up2 = add(&end, 16 * maps);
    size_t up = end;
    at->up1 = add(&end, 4 * maps);
    size_t up_end = end;
    end = up;
    at->last = add(&end, 16 * rows * row * 4 * sizeof(float));
    if (at->band_rows == 0)
        at->planar_out = add(&end, planar_out);
    at->bytes = larger(body_end, larger(end, up_end));
}

/* Rows of a band whose buffers about fill the body's free memory (feat, base and trunk, 768
 * bytes a pixel, less the planar output's 192; 4,608 a pixel of a band). */
static int band_rows(int height)
{
    int rows = height / 8 - 2 * BAND_CONTEXT_ROWS;
    return rows > BAND_LEAST_ROWS ? rows : BAND_LEAST_ROWS;
}

ForwardLayout resr_cuda_layout(const NetWeights *net, int tiles, int width, int height, int banded)
{
    const ResrNetSpec *spec = &net->spec;
    ForwardLayout at = {.tiles = tiles, .width = width, .height = height, .scale = spec->scale};
    at.body_width = width / spec->unshuffle;
    at.body_height = height / spec->unshuffle;
    size_t in_px = (size_t)tiles * (size_t)width * (size_t)height;
    size_t px = (size_t)tiles * (size_t)at.body_width * (size_t)at.body_height;
    size_t planar_out = in_px * (size_t)(spec->scale * spec->scale) * 3 * sizeof(float);
    size_t maps = px * NET_FEATURES * HALF_BYTES, wide = px * NET_FEATURES * sizeof(float);
    at.flags = add(&at.bytes, (size_t)tiles * sizeof(PixelFlags));
    at.planar_in = add(&at.bytes, in_px * 3 * sizeof(float));
    at.head = add(&at.bytes, px * (size_t)net->head_channels * HALF_BYTES);
    if (spec->arch != RESR_ARCH_RRDB) {
        at.dense[0] = add(&at.bytes, maps);
        at.dense[1] = add(&at.bytes, maps);
        at.last = add(&at.bytes, px * (size_t)net->tail_channels * sizeof(float));
        at.planar_out = add(&at.bytes, planar_out);
        return at;
    }
    at.dense[0] = add(&at.bytes, px * NET_DENSE_PITCH * HALF_BYTES);
    at.dense[1] = add(&at.bytes, px * NET_DENSE_PITCH * HALF_BYTES);
    at.feat = add(&at.bytes, wide);
    at.base = add(&at.bytes, wide);
    at.trunk = add(&at.bytes, wide);
    at.band_rows = banded ? band_rows(at.body_height) : 0;
    place_enlarged(&at, planar_out);
    return at;
}

/* The most that a variant wants for any layer; the layers behind conv_body run at 2x and 4x. */
static size_t scratch_bytes(const NetWeights *net, const ForwardLayout *at)
{
    size_t most = 0;
    for (int i = 0; i < net->n_layers; i++) {
        const NetLayer *layer = &net->layers[i];
        int behind = net->spec.arch == RESR_ARCH_RRDB ? i - (net->n_layers - 5) : 0;
        int enlarged = behind > 1 ? 4 : behind == 1 ? 2 : 1;
        ConvCall call = {.cin = layer->cin,
                         .cout = layer->cout,
                         .in_pitch = layer->cin,
                         .activation = layer->activation,
                         .upsample = behind == 1 || behind == 2,
                         .tiles = at->tiles,
                         .height = at->body_height * enlarged,
                         .width = at->body_width * enlarged};
        if (layer->variant->scratch_bytes)
            most = larger(most, layer->variant->scratch_bytes(&call));
    }
    return most;
}

size_t resr_cuda_run_bytes(const NetWeights *net, int tiles, int width, int height, int banded)
{
    ForwardLayout at = resr_cuda_layout(net, tiles, width, height, banded);
    return at.bytes + scratch_bytes(net, &at);
}

int resr_cuda_alloc_tiles(Run *run, int tiles, int banded)
{
    ForwardLayout at = resr_cuda_layout(run->net, tiles, run->max_width, run->max_height, banded);
    size_t in_bytes = at.head - at.planar_in, scratch = scratch_bytes(run->net, &at);
    size_t out_bytes = in_bytes * (size_t)(at.scale * at.scale);
    int ret = resr_cuda_check(cudaMalloc((void **)&run->memory, at.bytes), "memory for tiles");
    if (ret == 0 && scratch > 0)
        ret = resr_cuda_check(cudaMalloc((void **)&run->scratch, scratch), "scratch memory");
    if (ret == 0)
        ret = resr_cuda_check(cudaMallocHost((void **)&run->host_in, in_bytes), "pinned memory");
    if (ret == 0)
        ret = resr_cuda_check(cudaMallocHost((void **)&run->host_out, out_bytes), "pinned memory");
    if (ret == 0)
        ret = resr_cuda_check(
            cudaMallocHost((void **)&run->host_flags, (size_t)tiles * sizeof *run->host_flags),
            "pinned memory");
    if (ret == 0) {
        run->ins = calloc((size_t)tiles, sizeof *run->ins);
        run->outs = calloc((size_t)tiles, sizeof *run->outs);
        if (!run->ins || !run->outs)
            ret = resr_cuda_fail(RESR_ERR_INTERNAL, "out of memory for %d tiles", tiles);
    }
    run->max_tiles = tiles;
    run->banded = banded;
    if (ret < 0)
        resr_cuda_free_tiles(run);
    return ret;
}

void resr_cuda_free_tiles(Run *run)
{
    cudaFree(run->memory);
    cudaFree(run->scratch);
    cudaFreeHost(run->host_in);
    cudaFreeHost(run->host_out);
    cudaFreeHost(run->host_flags);
    free(run->ins);
    free(run->outs);
    run->ins = NULL;
    run->memory = run->scratch = NULL;
    run->host_in = run->host_out = NULL;
    run->host_flags = NULL;
    run->outs = NULL;
    run->max_tiles = 0;
}

int resr_cuda_filling_tiles(const Run *run)
{
    int sms = 1, factor = run->net->spec.unshuffle;
    cudaDeviceGetAttribute(&sms, cudaDevAttrMultiProcessorCount, run->net->device);
    long px = (long)(run->max_width / factor) * (run->max_height / factor);
    long tiles = (4L * sms * BODY_TILE_PX + px - 1) / px;
    return tiles < PIXELS_MAX_TILES ? (int)tiles : PIXELS_MAX_TILES;
}

int resr_cuda_check_flags(const PixelFlags *flags, int tiles, int device)
{
    for (int tile = 0; tile < tiles; tile++, flags++) {
        if (flags->not_finite)
            return RESR_NOT_FINITE;
        if (flags->in_varies && !flags->out_varies)
            return resr_cuda_fail(RESR_ERR_DEVICE,
                                  "CUDA device %d: all values of a tile are the same, though its "
                                  "input is not; the device or the weights are at fault",
                                  device);
    }
    return 0;
}
