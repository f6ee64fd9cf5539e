#include "cpu/feature_map.h"

#include <assert.h>
#include <string.h>

#define PIXEL_BYTES (RESR_BLOCK_LANES * sizeof(float))

/* Floats from a block to the next: the row's pixels, the borders, and a remainder that keeps the
 * blocks of a pixel apart in the cache. Kernels read windows of up to 16 pixels from all blocks at
 * once. With strides of 16 or 48 lines modulo 64 these windows fill the 64 sets of an L1 cache
 * evenly; a stride near a multiple of 64 would pile them up in a few sets. */
static size_t block_stride(int columns)
{
    size_t lines = (size_t)columns + 1 + RESR_FEATURE_MAP_RIGHT;
    lines = (lines + 15) / 32 * 32 + 16;
    return lines * RESR_BLOCK_LANES;
}

size_t resr_feature_map_floats(int blocks, int columns, int rows)
{
    return ((size_t)rows + 1) * (size_t)blocks * block_stride(columns);
}

void resr_feature_map_set(ResrFeatureMap *map, float *data, int blocks, int width, int height,
                          int columns, int rows)
{
    *map = (ResrFeatureMap){.data = data,
                            .width = width,
                            .height = height,
                            .blocks = blocks,
                            .rows = rows,
                            .columns = columns,
                            .block_stride = block_stride(columns)};
    map->row_stride = map->block_stride * (size_t)blocks;
    memset(data, 0, map->row_stride * sizeof(float));
    for (int i = 0; i < rows * blocks; i++)
        memset(data + map->row_stride + (size_t)i * map->block_stride, 0, PIXEL_BYTES);
    resr_feature_map_move(map, 0);
}

void resr_feature_map_move(ResrFeatureMap *map, int first_column)
{
    int right = map->width - first_column; /* position of the border in memory */
    map->first_column = first_column;
    if (right > map->columns)
        return;
    for (int i = 0; i < map->rows * map->blocks; i++)
        memset(map->data + map->row_stride + (size_t)i * map->block_stride +
                   ((size_t)right + 1) * RESR_BLOCK_LANES,
               0, RESR_FEATURE_MAP_RIGHT * PIXEL_BYTES);
}

size_t resr_feature_map_border_floats(int blocks, int height, int border_px)
{
    return 2 * (size_t)height * (size_t)blocks * (size_t)border_px * RESR_BLOCK_LANES;
}

static float *border_at(const ResrFeatureMap *map, int panel, int y, int block)
{
    size_t row = (size_t)(panel % 2) * (size_t)map->height + (size_t)y;
    return map->border +
           (row * (size_t)map->blocks + (size_t)block) * (size_t)map->border_px * RESR_BLOCK_LANES;
}

void resr_feature_map_save(const ResrFeatureMap *map, int panel, int border_x, int y, int block,
                           int blocks, int x0, int x1)
{
    assert(x0 >= border_x && x1 - border_x <= map->border_px);
    for (int b = block; b < block + blocks; b++)
        memcpy(border_at(map, panel, y, b) + (size_t)(x0 - border_x) * RESR_BLOCK_LANES,
               resr_feature_map_row(map, y, b) + (ptrdiff_t)x0 * RESR_BLOCK_LANES,
               (size_t)(x1 - x0) * PIXEL_BYTES);
}

void resr_feature_map_restore(const ResrFeatureMap *map, int panel, int border_x, int y, int block,
                              int blocks, int x0, int x1)
{
    assert(x0 >= border_x && x1 - border_x <= map->border_px);
    for (int b = block; b < block + blocks; b++)
        memcpy(resr_feature_map_row(map, y, b) + (ptrdiff_t)x0 * RESR_BLOCK_LANES,
               border_at(map, panel, y, b) + (size_t)(x0 - border_x) * RESR_BLOCK_LANES,
               (size_t)(x1 - x0) * PIXEL_BYTES);
}
