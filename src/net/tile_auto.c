#include "net/tile_auto.h"

#include <stdbool.h>

#include "base/limits.h"
#include "base/memory.h"
#include "base/minmax.h"
#include "net/numerics.h"

/* Line buffers, the threads' scratch, tables. */
#define ALLOWANCE_BYTES (INT64_C(64) << 20)

/* A packed weight: at most 36 frequencies in fp32 for 9 taps on CPUs, one fp32 number on GPUs. */
enum { CPU_WEIGHT_BYTES = 16, GPU_WEIGHT_BYTES = 4 };

/* Rows and columns that the kernels compute together, at the body's scale: F(4x4). */
enum { GRID_PX = 4 };

/* Channels of a block of a CPU's feature map; of a plane of a GPU's fp32 residuals, whose other
 * activations are fp16. */
enum { CPU_BLOCK = 16, GPU_PLANE = 64, HALF_BYTES = 2, FLOAT_BYTES = 4 };

static bool on_gpu(const char *numerics_class)
{
    return resr_numerics_processor(numerics_class) == RESR_ON_GPU;
}

/* Channels of a CPU's map, with those that fill its last block. */
static int64_t padded(int channels)
{
    return (int64_t)resr_round_up((size_t)channels, CPU_BLOCK);
}

/* Bytes of whole feature maps per pixel of the body. */
static int64_t cpu_map_bytes(const ResrNetSpec *spec)
{
    int64_t channels = 0;
    switch ((ResrArch)spec->arch) {
    case RESR_ARCH_RRDB:
        channels = 3 * padded(spec->nf);
        break;
    case RESR_ARCH_SRVGG:
        channels = 2 * padded(spec->nf) + padded(spec->channels);
        break;
    case RESR_ARCH_SPAN:
        channels = 2 * padded(spec->nf) + 4 * padded(spec->nf) + padded(spec->channels);
        break;
    }
    return channels * FLOAT_BYTES;
}

static int64_t gpu_map_bytes(const ResrNetSpec *spec)
{
    int64_t residual = (int64_t)resr_round_up((size_t)spec->nf, GPU_PLANE) * FLOAT_BYTES;
    int64_t head = spec->channels * spec->unshuffle * spec->unshuffle * HALF_BYTES;
    int64_t last = spec->channels * spec->scale * spec->scale * FLOAT_BYTES;
    switch ((ResrArch)spec->arch) {
    case RESR_ARCH_RRDB:
        return 2 * (spec->nf + 4 * spec->gc) * HALF_BYTES + 3 * residual + head;
    case RESR_ARCH_SRVGG:
        return 2 * spec->nf * HALF_BYTES + last + head;
    case RESR_ARCH_SPAN:
        return (2 + 4) * spec->nf * HALF_BYTES + residual + last + head;
    }
    return 0;
}

int64_t resr_tile_auto_bytes(const ResrNetSpec *spec, const char *numerics_class, int width_px,
                             int height_px)
{
    bool gpu = on_gpu(numerics_class);
    int64_t px = (int64_t)width_px * height_px;
    int64_t body_px = px / (spec->unshuffle * spec->unshuffle);
    int64_t planes = resr_max(3, spec->channels) * (1 + spec->scale * spec->scale) * FLOAT_BYTES;
    int64_t weights = (int64_t)resr_spec_floats(spec) * (gpu ? GPU_WEIGHT_BYTES : CPU_WEIGHT_BYTES);
    return body_px * (gpu ? gpu_map_bytes(spec) : cpu_map_bytes(spec)) + px * planes + weights +
           ALLOWANCE_BYTES;
}

int64_t resr_tile_auto_limit(const char *numerics_class)
{
    return on_gpu(numerics_class) ? RESR_PLAN_GPU_BYTES : RESR_PLAN_BYTES;
}

int resr_tile_auto_step(const ResrNetSpec *spec)
{
    return GRID_PX * spec->unshuffle;
}

/* Size of the tiles that cut `frame_px` into at most `tiles`. */
static int32_t even(int32_t frame_px, int32_t tiles, int32_t step)
{
    int32_t length = (frame_px + tiles - 1) / tiles;
    return resr_min((length + step - 1) / step * step, frame_px);
}

static bool fits(const ResrNetSpec *spec, const char *numerics_class, int frame_width_px,
                 int frame_height_px, ResrTileSize tile)
{
    ResrTilePlan plan;
    int width_px, height_px;
    if (resr_tile_plan(&plan, frame_width_px, frame_height_px, tile, spec->unshuffle) < 0)
        return true; /* resr_net_create() reports it */
    resr_tile_bounds(&plan, &width_px, &height_px);
    return resr_tile_auto_bytes(spec, numerics_class, width_px, height_px) <=
           resr_tile_auto_limit(numerics_class);
}

ResrTileSize resr_tile_auto(const ResrNetSpec *spec, const char *numerics_class, int frame_width_px,
                            int frame_height_px, int pad_px)
{
    int32_t step = resr_tile_auto_step(spec);
    ResrTileSize tile = {.pad_px = pad_px};
    for (int columns = 1; columns == 1 || tile.width_px > RESR_TILE_PX; columns++) {
        tile.width_px = even(frame_width_px, columns, step);
        if (columns > 1 && tile.width_px < RESR_TILE_PX)
            break;
        for (int rows = 1; rows == 1 || tile.height_px > RESR_TILE_PX; rows++) {
            tile.height_px = even(frame_height_px, rows, step);
            if (rows > 1 && tile.height_px < RESR_TILE_PX)
                break;
            if (fits(spec, numerics_class, frame_width_px, frame_height_px, tile))
                return tile;
        }
    }
    tile.width_px = resr_min(RESR_TILE_PX, frame_width_px);
    tile.height_px = resr_min(RESR_TILE_PX, frame_height_px);
    return tile;
}
