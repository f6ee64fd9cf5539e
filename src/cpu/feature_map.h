#ifndef RESR_CPU_FEATURE_MAP_H
#define RESR_CPU_FEATURE_MAP_H

#include <stddef.h>
#include <stdint.h>

/* Channels that lie side by side in memory: one AVX-512 vector, two AVX2 vectors, one cache line.
 */
#define RESR_BLOCK_LANES 16

/* Feature maps in blocks of channels: [row][block][pixel][16 channels], fp32. A pixel's step is a
 * constant 64 bytes, so that kernels address neighbours by displacements, and a row's blocks lie
 * together, so that a wave over rows stays in cache. A group of channels (a dense block's input,
 * each of its growing outputs) begins a new block; the lanes after its last channel are garbage
 * that class `exact` does
 * not read; the others read zeros there, since they compute all lanes.
 *
 * Every row has zero pixels on both sides, one on the left and RESR_FEATURE_MAP_RIGHT on the right
 * (the last Winograd tile of a row may reach that far), and one row of zeros stands for all rows
 * outside: the convolutions' zero padding. A ring holds only the last `rows` rows. Owns nothing. */
#define RESR_FEATURE_MAP_RIGHT 4

typedef struct ResrFeatureMap {
    float *data;
    int32_t width, height;           /* pixels */
    int32_t blocks, rows;            /* rows: height, or fewer for a ring */
    size_t block_stride, row_stride; /* floats */
} ResrFeatureMap;

/* Floats that a map needs. */
size_t resr_feature_map_floats(int blocks, int width, int rows);

/* Lays a map over `data` (resr_feature_map_floats() of it, 64-byte aligned) and zeroes its borders.
 */
void resr_feature_map_set(ResrFeatureMap *map, float *data, int blocks, int width, int height,
                          int rows);

/* Pixel (0, y) of a block. Rows outside are the row of zeros: do not write to them. */
static inline float *resr_feature_map_row(const ResrFeatureMap *map, int y, int block)
{
    size_t slot = y < 0 || y >= map->height ? 0 : 1 + (size_t)(y % map->rows);
    return map->data + slot * map->row_stride + (size_t)block * map->block_stride +
           RESR_BLOCK_LANES;
}

static inline int resr_blocks(int channels)
{
    return (channels + RESR_BLOCK_LANES - 1) / RESR_BLOCK_LANES;
}

#endif
