#ifndef RESR_CPU_WINOGRAD_H
#define RESR_CPU_WINOGRAD_H

#include <stdbool.h>

#include "cpu/layer.h"

/* Convolution of a layer by Winograd's minimal filtering; winograd.c says how it works. */
#define RESR_WINOGRAD_MAX_OUTPUTS 4
#define RESR_WINOGRAD_MAX_PATCH (RESR_WINOGRAD_MAX_OUTPUTS + 2)
#define RESR_WINOGRAD_CELL_BYTES 64
#define RESR_WINOGRAD_NEAREST_ZERO 2 /* row and column of the frequencies that are zero */

/* Input transform: B^T d B of one cell for neighbouring tiles. */
typedef struct ResrWinogradInput {
    /* The input pixel left of the first tile, [block of the cell][row of the patch]; cells of 16
     * channels have one block. Nearest: of the input before the enlargement. */
    const float *row[2][RESR_WINOGRAD_MAX_PATCH];
    int32_t tiles;
    char *v;                 /* cell of the first tile at frequency 0 */
    size_t frequency_stride; /* bytes */
} ResrWinogradInput;

/* Product of one frequency, summed over input channels: m[tile][lane] = sum of v x weight. */
typedef struct ResrWinogradProduct {
    const char *const *v; /* [cell]: the first tile at frequency 0 */
    size_t v_offset;      /* of this frequency, bytes */
    int32_t cells, tiles;
    const void *weight;
    float *m; /* writable for RESR_WINOGRAD_SPARE_TILES tiles after the last one */
} ResrWinogradProduct;
#define RESR_WINOGRAD_SPARE_TILES 15

/* Output transform: A^T M A, then activation and residuals (cpu/layer.h), then the store. NULL
 * means absent. Block b of the output lies b * block_stride floats after the pointer; that of
 * residual and trunk, and of the copy, have strides of their own. */
typedef struct ResrWinogradOutput {
    const float *m;          /* [frequency][tile][lane] */
    size_t frequency_stride; /* floats */
    int32_t tiles;
    int32_t rows, columns; /* of pixels, from the first; those beyond are not stored */
    size_t block_stride, residual_block_stride, copy_block_stride;
    const float *bias, *slope;
    float factor;
    ResrActivation activation;
    const float *residual[RESR_WINOGRAD_MAX_OUTPUTS], *trunk[RESR_WINOGRAD_MAX_OUTPUTS];
    float *out[RESR_WINOGRAD_MAX_OUTPUTS], *copy[RESR_WINOGRAD_MAX_OUTPUTS];
} ResrWinogradOutput;

typedef struct ResrWinogradKernels {
    int32_t outputs;     /* m: 2 or 4 */
    bool bf16;           /* operands of the products are rounded to bf16; else fp32 */
    bool bf16emu;        /* bf16 operands are stored as fp32, of two channels the odd one first */
    bool fractions;      /* interpolation points 3/5 and 3/2 instead of 1 and 2 */
    bool shared;         /* keeping V for the other convolutions of a dense block is faster */
    int32_t tile_lanes;  /* output lanes of a product: 16 or 32 */
    int32_t strip_tiles; /* tiles of a row that are computed together, to stay in cache */
    void (*input[2])(const ResrWinogradInput *);     /* [nearest] */
    void (*product[3])(const ResrWinogradProduct *); /* [blocks of 16 output lanes] */
    void (*output[3])(const ResrWinogradOutput *);   /* [blocks of 16 output lanes] */
} ResrWinogradKernels;

static inline int resr_winograd_frequencies(const ResrWinogradKernels *kernels)
{
    return (kernels->outputs + 2) * (kernels->outputs + 2);
}

/* Channels of a cell. */
static inline int resr_winograd_cell_lanes(const ResrWinogradKernels *kernels)
{
    return kernels->bf16 && !kernels->bf16emu ? 2 * RESR_BLOCK_LANES : RESR_BLOCK_LANES;
}

/* Cells of a group of `channels` channels. */
static inline int resr_winograd_cells(const ResrWinogradKernels *kernels, int channels)
{
    int lanes = resr_winograd_cell_lanes(kernels);
    return (channels + lanes - 1) / lanes;
}

/* Line buffer of transformed inputs that the layers of a wavefront share, in groups of cells: group
 * k is the new input of layer k. Each group keeps the last rows of tiles, fewer in later groups,
 * which are read for fewer steps. The layer of a group transforms it for the columns that it
 * computes; the layers after it read it in later steps. It holds the tiles of a panel
 * (cpu/wavefront.h), from `first_tile` on; those that the last layer has not read at the end of the
 * panel are kept in the border, 4 - k tiles of group k. The memory is the caller's. */
#define RESR_WINOGRAD_GROUPS 5

typedef struct ResrWinogradLineBuffer {
    char *data, *border;
    int32_t first_tile;
    int32_t border_rows;                          /* rows of tiles of the map */
    size_t frequency_stride;                      /* bytes */
    size_t cell_bytes;                            /* of a cell, for a row of tiles */
    int32_t first_cell[RESR_WINOGRAD_GROUPS + 1]; /* of each group; then the number of cells */
    int32_t tile_rows[RESR_WINOGRAD_GROUPS];      /* rows of tiles kept */
    size_t offset[RESR_WINOGRAD_GROUPS];          /* bytes */
    size_t border_offset[RESR_WINOGRAD_GROUPS];   /* in a row of the border, bytes */
    size_t border_row_bytes;
} ResrWinogradLineBuffer;

/* Lays out a line buffer for panels of `columns` pixels in a map of `height` rows; the caller sets
 * `data` and `border`, 64-byte aligned. */
void resr_winograd_line_buffer_set(ResrWinogradLineBuffer *lines,
                                   const ResrWinogradKernels *kernels, int columns, int height,
                                   const int *cells_of_group, const int *tile_rows_of_group);

/* Bytes of both. */
size_t resr_winograd_line_buffer_bytes(const ResrWinogradLineBuffer *lines);
size_t resr_winograd_border_bytes(const ResrWinogradLineBuffer *lines);

/* Copies tiles [t0, t1) of a group and row of tiles to or from the border `panel % 2`, whose first
 * tile is `border_tile`. */
void resr_winograd_save(const ResrWinogradLineBuffer *lines, int group, int panel, int border_tile,
                        int tile_row, int t0, int t1);
void resr_winograd_restore(const ResrWinogradLineBuffer *lines, int group, int panel,
                           int border_tile, int tile_row, int t0, int t1);

/* Bytes of a thread's scratch for layers of up to `cells` input cells. */
size_t resr_winograd_scratch_bytes(const ResrWinogradKernels *kernels, int cells);

/* Computes all channels of output pixels [x0, x1) in the row of tiles that starts at row y. */
void resr_winograd_rows(const ResrLayer *layer, int thread, int y, int x0, int x1);

#endif
