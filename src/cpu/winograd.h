#ifndef RESR_CPU_WINOGRAD_H
#define RESR_CPU_WINOGRAD_H

#include "cpu/layer.h"

/* Winograd's minimal filtering F(m x m, 3 x 3) (Lavin and Gray, arXiv 1509.09308) of a layer: an
 * output tile of m x m pixels comes from a patch of (m + 2) x (m + 2) input pixels, by
 * Y = A^T [sum over channels of U . (B^T d B)] A with U = G g G^T. Tiles lie on a grid from the
 * map's (0, 0), so that the bits do not depend on who computes which part. Rows and columns beyond
 * the map are computed from zeros and not stored.
 *
 * The transformed input V is kept in cells of 64 bytes: 16 channels of one tile and frequency in
 * fp32 and widened bf16, 32 in bf16 (two blocks of the map: the channels of a group start a new
 * cell). Frequencies are numbered (m + 2) * row + column.
 *
 * The interpolation points are 0, 1, -1 and infinity for m = 2, and 2, -2 with them for m = 4. With
 * bf16 operands and m = 4 they are 0, 3/5, -3/5, 3/2, -3/2 and infinity. Measured on animevideov3:
 * rounding errors are 2 to 4 dB smaller with 3/4 and 4/3 than with 1 and 2, and with 3/5 and 3/2
 * another 1 to 4 dB (eight crops; 25 pairs were tried).
 *
 * Behind a nearest enlargement by two the patch repeats pixels, and with a point at -1 every
 * frequency with row or column 2 of B^T d B is zero: those products are left out (25 of 36 remain,
 * or 9 of 16). */
#define RESR_WINOGRAD_MAX_OUTPUTS 4
#define RESR_WINOGRAD_MAX_PATCH (RESR_WINOGRAD_MAX_OUTPUTS + 2)
#define RESR_WINOGRAD_CELL_BYTES 64
#define RESR_WINOGRAD_NEAREST_ZERO 2 /* row and column of the frequencies that vanish */

/* B^T d B of one cell for tiles side by side. */
typedef struct ResrWinogradInput {
    /* For both blocks of the cell (of 16 channels: the first), the input pixel left of the first
     * tile, in the rows of the patch. Nearest: of the input before its enlargement. */
    const float *row[2][RESR_WINOGRAD_MAX_PATCH];
    int32_t tiles;
    char *v;                 /* cell of the first tile at frequency 0 */
    size_t frequency_stride; /* bytes */
} ResrWinogradInput;

/* The sum over input channels at one frequency: m[tile][lane] = sum of v x weight. */
typedef struct ResrWinogradProduct {
    const char *const *v; /* for each cell, the first tile at frequency 0 */
    size_t v_offset;      /* of this frequency, bytes */
    int32_t cells, tiles;
    const void *weight;
    float *m; /* may be written up to RESR_WINOGRAD_SPARE_TILES tiles beyond the last */
} ResrWinogradProduct;
#define RESR_WINOGRAD_SPARE_TILES 15
#define RESR_WINOGRAD_MAX_TILES 14 /* that vector kernels hold in registers */

/* A^T M A, activation or residuals, and the store. NULL means absent. Block b of a map lies
 * b * block_stride floats on. */
typedef struct ResrWinogradOutput {
    const float *m;               /* [frequency][tile][lane] */
    size_t frequency_stride;      /* floats */
    int32_t tiles, rows, columns; /* rows and columns of pixels that are stored, from the first */
    size_t block_stride;
    const float *bias, *slope;
    float factor;
    const float *residual[RESR_WINOGRAD_MAX_OUTPUTS], *trunk[RESR_WINOGRAD_MAX_OUTPUTS];
    float *out[RESR_WINOGRAD_MAX_OUTPUTS], *copy[RESR_WINOGRAD_MAX_OUTPUTS];
} ResrWinogradOutput;

typedef struct ResrWinogradKernels {
    int32_t outputs;     /* m: 2 or 4 */
    int32_t bf16;        /* operands of the products are rounded to bf16; else fp32 */
    int32_t widened;     /* bf16 operands are kept as fp32, an odd channel before its even one */
    int32_t fractions;   /* interpolation points 3/5 and 3/2 instead of 1 and 2 */
    int32_t shared;      /* V is worth keeping for the other convolutions of a dense block */
    int32_t tile_lanes;  /* output lanes of a product: 16 or 32 */
    int32_t strip_tiles; /* tiles of a row that are worked on together, for the caches' sake */
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
    return kernels->bf16 && !kernels->widened ? 2 * RESR_BLOCK_LANES : RESR_BLOCK_LANES;
}

/* Cells of a group of channels. */
static inline int resr_winograd_cells(const ResrWinogradKernels *kernels, int channels)
{
    int lanes = resr_winograd_cell_lanes(kernels);
    return (channels + lanes - 1) / lanes;
}

/* Transformed inputs that the layers of a wave share: the last rows of tiles, fewer for the groups
 * that are read sooner. The layer that transforms a group's cells does so for the columns it works
 * on; the others follow steps later. Owns nothing. */
#define RESR_WINOGRAD_RING_GROUPS 5

typedef struct ResrWinogradRing {
    char *data;
    size_t frequency_stride, cell_bytes;               /* bytes; a cell's row of tiles */
    int32_t first_cell[RESR_WINOGRAD_RING_GROUPS + 1]; /* of each group; ended */
    int32_t tile_rows[RESR_WINOGRAD_RING_GROUPS];      /* kept */
    size_t offset[RESR_WINOGRAD_RING_GROUPS];          /* bytes */
} ResrWinogradRing;

/* Lays out a ring for rows of `width` pixels; returns the bytes that `data` (64-byte aligned, set
 * by the caller) must have. */
size_t resr_winograd_ring_set(ResrWinogradRing *ring, const ResrWinogradKernels *kernels, int width,
                              const int *cells_of_group, const int *tile_rows_of_group);

/* Bytes of a thread's memory, for layers of up to `cells` input cells. */
size_t resr_winograd_scratch_bytes(const ResrWinogradKernels *kernels, int cells);

/* Computes output pixels [x0, x1) of the tiles' row that starts at row y, all channels. */
void resr_winograd_rows(const ResrLayer *layer, int thread, int y, int x0, int x1);

#endif
