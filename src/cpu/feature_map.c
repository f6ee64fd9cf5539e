#include "cpu/feature_map.h"

#include <string.h>

/* Floats from a block to the next: the row's pixels, the borders, and a remainder that keeps the
 * blocks of a pixel apart in the cache. Kernels read windows of up to 16 pixels from all blocks at
 * once. With strides of 16 or 48 lines modulo 64 these windows fill the 64 sets of an L1 cache
 * evenly; a stride near a multiple of 64 would pile them up in a few sets. */
static size_t block_stride(int width)
{
    size_t lines = (size_t)width + 1 + RESR_FEATURE_MAP_RIGHT;
    lines = (lines + 15) / 32 * 32 + 16;
    return lines * RESR_BLOCK_LANES;
}

size_t resr_feature_map_floats(int blocks, int width, int rows)
{
    return ((size_t)rows + 1) * (size_t)blocks * block_stride(width);
}

void resr_feature_map_set(ResrFeatureMap *map, float *data, int blocks, int width, int height,
                          int rows)
{
    size_t pixel_bytes = RESR_BLOCK_LANES * sizeof(float);
    map->data = data;
    map->width = width;
    map->height = height;
    map->blocks = blocks;
    map->rows = rows;
    map->block_stride = block_stride(width);
    map->row_stride = map->block_stride * (size_t)blocks;
    memset(data, 0, map->row_stride * sizeof(float));
    for (int i = 0; i < rows * blocks; i++) {
        float *row = data + map->row_stride + (size_t)i * map->block_stride;
        memset(row, 0, pixel_bytes);
        memset(row + ((size_t)width + 1) * RESR_BLOCK_LANES, 0,
               RESR_FEATURE_MAP_RIGHT * pixel_bytes);
    }
}
