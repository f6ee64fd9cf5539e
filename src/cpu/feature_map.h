#ifndef RESR_CPU_FEATURE_MAP_H
#define RESR_CPU_FEATURE_MAP_H

#include <stddef.h>
#include <stdint.h>

/* Channels that lie side by side in memory: one AVX-512 vector, two AVX2 vectors, one cache line.
 */
#define RESR_BLOCK_LANES 16

/* A feature map: fp32 in blocks of 16 channels, [row][block][pixel][16 channels].
 *
 * Neighbouring pixels of a block are a constant 64 bytes apart, so kernels address them by
 * displacements; the blocks of a row are neighbours, so a wavefront over rows stays in cache. Each
 * group of channels (a dense block's input, each of its outputs) starts a new block. The lanes
 * after a group's last channel hold garbage for class `exact`, which does not read them, and zeros
 * for the other classes, which compute all lanes.
 *
 * The convolutions' zero padding is part of the map: each row has one zero pixel on the left and
 * RESR_FEATURE_MAP_RIGHT on the right (the last Winograd tile may reach that far), and one row of
 * zeros stands for all rows above and below. A line buffer is a map that holds only the last `rows`
 * rows written, and of them the `columns` columns from `first_column` on: those of a panel
 * (cpu/wavefront.h). The memory is the caller's. */
#define RESR_FEATURE_MAP_RIGHT 4

typedef struct ResrFeatureMap {
    float *data;
    int32_t width, height;           /* pixels */
    int32_t blocks;                  /* of 16 channels */
    int32_t rows, columns;           /* in memory: height and width, or fewer in a line buffer */
    int32_t first_column;            /* in memory; 0 unless it is a line buffer */
    size_t block_stride, row_stride; /* floats */
    float *border; /* line buffer: columns kept for the next panel, [2][y][block][px][16] */
    int32_t border_px;
} ResrFeatureMap;

/* Floats of memory that a feature map needs. */
size_t resr_feature_map_floats(int blocks, int columns, int rows);

/* Lays a feature map over `data` (resr_feature_map_floats() floats, 64-byte aligned) and zeroes its
 * borders. */
void resr_feature_map_set(ResrFeatureMap *map, float *data, int blocks, int width, int height,
                          int columns, int rows);

/* Makes a line buffer hold the columns from `first_column` on; all rows are lost. Zeroes the
 * border on the right of the map if it is among them. */
void resr_feature_map_move(ResrFeatureMap *map, int first_column);

/* Floats of memory for the border of a line buffer. */
size_t resr_feature_map_border_floats(int blocks, int height, int border_px);

/* Copies columns [x0, x1) of row y, `blocks` blocks from `block` on, to or from the border
 * `panel % 2`, whose first column is `border_x`. */
void resr_feature_map_save(const ResrFeatureMap *map, int panel, int border_x, int y, int block,
                           int blocks, int x0, int x1);
void resr_feature_map_restore(const ResrFeatureMap *map, int panel, int border_x, int y, int block,
                              int blocks, int x0, int x1);

/* Pixel (0, y) of a block; in a line buffer it need not be in memory. Rows outside the map are the
 * row of zeros, which must not be written. */
static inline float *resr_feature_map_row(const ResrFeatureMap *map, int y, int block)
{
    size_t slot = y < 0 || y >= map->height ? 0 : 1 + (size_t)(y % map->rows);
    return map->data + slot * map->row_stride + (size_t)block * map->block_stride +
           (ptrdiff_t)(1 - map->first_column) * RESR_BLOCK_LANES;
}

static inline int resr_blocks(int channels)
{
    return (channels + RESR_BLOCK_LANES - 1) / RESR_BLOCK_LANES;
}

#endif
