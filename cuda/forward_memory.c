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

/* Bytes of feature maps of `px` pixels. */
static size_t maps_bytes(size_t px, int channels)
{
    return px * (size_t)channels * HALF_BYTES;
}

/* Residuals lie in planes of 64 channels. */
static size_t trunk_bytes(const NetWeights *net, size_t px)
{
    int planes = (net->features + NET_LAYER_OUTPUTS - 1) / NET_LAYER_OUTPUTS;
    return px * (size_t)(planes * NET_LAYER_OUTPUTS) * sizeof(float);
}

/* Buffers of the layers behind an RRDB's body, over buffers that are dead by then: conv_hr's over
 * those of the body's outputs, which only the layer behind the body reads, or where that is conv_hr
 * itself, over the trunk's; the last convolution's over the first enlargements. */
static void place_enlarged(ForwardLayout *at, const NetWeights *net, size_t planar_out)
{
    int n = net->enlargements;
    size_t row = (size_t)at->tiles * (size_t)at->body_width, rows = (size_t)at->body_height;
    size_t body_end = at->bytes, end = n > 0 ? at->dense[0] : at->feat;
    if (at->band_rows > 0) {
        end = at->feat; /* every band reads the body's outputs */
        at->planar_out = add(&end, planar_out);
        rows = (size_t)(at->band_rows + 2 * BAND_CONTEXT_ROWS);
    }
    size_t maps = maps_bytes(rows * row, net->features);
    at->high_res = add(&end, maps << 2 * n);
    if (at->band_rows == 0)
        end = larger(end, body_end);
    if (n > 0)
        at->up[n - 1] = add(&end, maps << 2 * n);
    size_t first_end = end;
    for (int step = n - 1; step > 0; step--)
        at->up[step - 1] = add(&first_end, maps << 2 * step);
    at->last = add(&end, (rows * row << 2 * n) * NET_LAST_PITCH * sizeof(float));
    if (at->band_rows == 0)
        at->planar_out = add(&end, planar_out);
    at->bytes = larger(body_end, larger(end, first_end));
}

/* Rows of a band whose buffers about fill the body's free memory (feat, base and trunk, 12 bytes a
 * feature and pixel, less the planar output's; 72 of a band at 4x, four times that at 8x). */
static int band_rows(int height, int enlargements)
{
    int rows = height / (1 << (2 * enlargements - 1)) - 2 * BAND_CONTEXT_ROWS;
    return rows > BAND_LEAST_ROWS ? rows : BAND_LEAST_ROWS;
}

/* The body's buffers of a network that ends in a pixel shuffle. */
static void place_shuffled(ForwardLayout *at, const NetWeights *net, size_t px, size_t planar_out)
{
    size_t maps = maps_bytes(px, net->features);
    if (net->spec.arch == RESR_ARCH_SPAN) {
        at->concat = add(&at->bytes, maps_bytes(px, resr_cuda_concatenated(net)));
        at->trunk = add(&at->bytes, trunk_bytes(net, px));
    }
    at->dense[0] = add(&at->bytes, maps);
    at->dense[1] = add(&at->bytes, maps);
    at->last = add(&at->bytes, px * (size_t)net->convs[net->n_convs - 1].cout * sizeof(float));
    at->planar_out = add(&at->bytes, planar_out);
}

ForwardLayout resr_cuda_layout(const NetWeights *net, int tiles, int width, int height, int banded)
{
    const ResrNetSpec *spec = &net->spec;
    ForwardLayout at = {.tiles = tiles, .width = width, .height = height, .scale = spec->scale};
    at.body_width = width / spec->unshuffle;
    at.body_height = height / spec->unshuffle;
    size_t in_px = (size_t)tiles * (size_t)width * (size_t)height;
    size_t px = (size_t)tiles * (size_t)at.body_width * (size_t)at.body_height;
    size_t planar = in_px * (size_t)spec->channels * sizeof(float);
    size_t planar_out = planar * (size_t)(spec->scale * spec->scale);
    at.flags = add(&at.bytes, (size_t)tiles * sizeof(PixelFlags));
    at.planar_in = add(&at.bytes, planar);
    at.head = add(&at.bytes, maps_bytes(px, net->convs[0].cin));
    if (!resr_spec_is_rrdb(spec)) {
        place_shuffled(&at, net, px, planar_out);
        return at;
    }
    size_t dense = maps_bytes(px, resr_cuda_concatenated(net)), wide = trunk_bytes(net, px);
    at.dense[0] = add(&at.bytes, dense);
    at.dense[1] = add(&at.bytes, dense);
    at.feat = add(&at.bytes, wide);
    at.base = add(&at.bytes, wide);
    at.trunk = add(&at.bytes, wide);
    at.band_rows = banded ? band_rows(at.body_height, net->enlargements) : 0;
    place_enlarged(&at, net, planar_out);
    return at;
}

/* The most that a variant wants for any layer; RRDB's behind conv_body run at 2x, 4x.. */
static size_t scratch_bytes(const NetWeights *net, const ForwardLayout *at)
{
    size_t most = 0;
    int conv_body = net->n_convs - 3 - net->enlargements;
    for (int i = 0; i < net->n_convs; i++)
        for (int k = 0; k < net->convs[i].layers; k++) {
            const NetLayer *layer = &net->layers[net->convs[i].first_layer + k];
            int behind = i > conv_body ? i - conv_body : 0;
            int step = behind < net->enlargements ? behind : net->enlargements;
            ConvCall call = {.cin = layer->cin,
                             .cout = layer->cout,
                             .in_pitch = layer->cin,
                             .activation = layer->activation,
                             .upsample = behind > 0 && behind <= net->enlargements,
                             .tiles = at->tiles,
                             .height = at->body_height << step,
                             .width = at->body_width << step};
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
