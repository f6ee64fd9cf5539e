/* Winograd's minimal filtering F(m x m, 3 x 3) (Lavin and Gray, arXiv 1509.09308).
 *
 * An output tile of m x m pixels is computed from a patch d of (m + 2) x (m + 2) input pixels:
 *
 *   Y = A^T [sum over input channels of U . (B^T d B)] A      with U = G g G^T, . elementwise
 *
 * which takes (m + 2)^2 / m^2 products for each output pixel and channel instead of 9: 4 for m = 2
 * and 2.25 for m = 4. U is computed when the network is packed (cpu/pack.c). A row of tiles is
 * computed in strips, each in three steps:
 *
 *   input     V = B^T d B of all tiles, for every cell of input channels
 *   product   M = sum of U x V, for every frequency: a matrix product, tiles x output channels
 *   output    Y = A^T M A, activation, residuals, store
 *
 * Product and output alternate over tiles of output channels, so that M stays in cache.
 *
 * Layout: a cell of V is 64 bytes, 16 channels of one tile and frequency in fp32 (also for emulated
 * bf16) or 32 in bf16, i.e. two blocks of the feature map; a group of channels starts a new cell. A
 * frequency is a position (row, column) in the transformed patch, numbered (m + 2) * row + column.
 *
 * Tiles lie on a grid that starts at the map's pixel (0, 0), so the bits do not depend on how the
 * work is divided. Rows and columns outside the map are computed from zeros and not stored.
 *
 * Interpolation points: 0, 1, -1 and infinity for m = 2; also 2 and -2 for m = 4; and 0, 3/5, -3/5,
 * 3/2, -3/2 and infinity for m = 4 with bf16 operands. The latter have rounding errors 2 to 4 dB
 * smaller with 3/4 and 4/3 than with 1 and 2, and another 1 to 4 dB smaller with 3/5 and 3/2
 * (animevideov3, eight crops, 25 pairs of points tried).
 *
 * Nearest enlargement by two, as conv_up's input, repeats pixels in the patch; with an
 * interpolation point at -1 all frequencies in row or column 2 of V are then zero. Their products
 * are left out: 25 of 36 remain, or 9 of 16. */
#include "cpu/winograd.h"

#include <assert.h>
#include <string.h>

#include "base/memory.h"
#include "base/minmax.h"

/* Bytes between frequencies: an odd number of cache lines, so that the stores of a tile, one for
 * each frequency, spread over the sets of a cache. */
static size_t v_frequency_stride(int tiles)
{
    return ((size_t)(tiles + RESR_WINOGRAD_SPARE_TILES) | 1) * RESR_WINOGRAD_CELL_BYTES;
}

static size_t m_frequency_stride(const ResrWinogradKernels *kernels)
{
    size_t tiles = (size_t)(kernels->strip_tiles + RESR_WINOGRAD_SPARE_TILES);
    return tiles * (size_t)kernels->tile_lanes + RESR_BLOCK_LANES;
}

/* Tiles of a group that the last layer has not read at the end of a panel. */
static int border_tiles(int group)
{
    return RESR_WINOGRAD_GROUPS - 1 - group;
}

static int cells_of(const ResrWinogradLineBuffer *lines, int group)
{
    return lines->first_cell[group + 1] - lines->first_cell[group];
}

static size_t frequencies_of(const ResrWinogradLineBuffer *lines)
{
    return lines->cell_bytes / lines->frequency_stride;
}

void resr_winograd_line_buffer_set(ResrWinogradLineBuffer *lines,
                                   const ResrWinogradKernels *kernels, int columns, int height,
                                   const int *cells_of_group, const int *tile_rows_of_group)
{
    int tiles = (columns + kernels->outputs - 1) / kernels->outputs;
    size_t frequencies = (size_t)resr_winograd_frequencies(kernels), total = 0;
    *lines = (ResrWinogradLineBuffer){
        .frequency_stride = v_frequency_stride(tiles),
        .border_rows = (height + kernels->outputs - 1) / kernels->outputs,
    };
    lines->cell_bytes = lines->frequency_stride * frequencies;
    for (int g = 0; g < RESR_WINOGRAD_GROUPS; g++) {
        lines->first_cell[g + 1] = lines->first_cell[g] + cells_of_group[g];
        lines->tile_rows[g] = tile_rows_of_group[g];
        lines->offset[g] = total;
        total += (size_t)(cells_of_group[g] * tile_rows_of_group[g]) * lines->cell_bytes;
        lines->border_offset[g] = lines->border_row_bytes;
        lines->border_row_bytes +=
            (size_t)(cells_of_group[g] * border_tiles(g)) * frequencies * RESR_WINOGRAD_CELL_BYTES;
    }
}

size_t resr_winograd_line_buffer_bytes(const ResrWinogradLineBuffer *lines)
{
    const int last = RESR_WINOGRAD_GROUPS - 1;
    return lines->offset[last] +
           (size_t)(cells_of(lines, last) * lines->tile_rows[last]) * lines->cell_bytes;
}

size_t resr_winograd_border_bytes(const ResrWinogradLineBuffer *lines)
{
    return 2 * (size_t)lines->border_rows * lines->border_row_bytes;
}

/* A cell of a group, `cell` from the group's first, in a row of tiles: tile 0, which need not be in
 * memory. */
static char *line_buffer_cell(const ResrWinogradLineBuffer *lines, int group, int cell,
                              int tile_row)
{
    int row = cell * lines->tile_rows[group] + tile_row % lines->tile_rows[group];
    return lines->data + lines->offset[group] + (size_t)row * lines->cell_bytes -
           (ptrdiff_t)lines->first_tile * RESR_WINOGRAD_CELL_BYTES;
}

static void copy_border(const ResrWinogradLineBuffer *lines, int group, int panel, int border_tile,
                        int tile_row, int t0, int t1, bool save)
{
    size_t frequencies = frequencies_of(lines),
           bytes = (size_t)(t1 - t0) * RESR_WINOGRAD_CELL_BYTES;
    size_t row = (size_t)(panel % 2) * (size_t)lines->border_rows + (size_t)tile_row;
    char *border = lines->border + row * lines->border_row_bytes + lines->border_offset[group] +
                   (size_t)(t0 - border_tile) * RESR_WINOGRAD_CELL_BYTES;
    assert(t0 >= border_tile && t1 - border_tile <= border_tiles(group));
    for (int c = 0; c < cells_of(lines, group); c++) {
        char *cell =
            line_buffer_cell(lines, group, c, tile_row) + (ptrdiff_t)t0 * RESR_WINOGRAD_CELL_BYTES;
        for (size_t f = 0; f < frequencies; f++) {
            memcpy(save ? border : cell, save ? cell : border, bytes);
            border += border_tiles(group) * RESR_WINOGRAD_CELL_BYTES;
            cell += lines->frequency_stride;
        }
    }
}

void resr_winograd_save(const ResrWinogradLineBuffer *lines, int group, int panel, int border_tile,
                        int tile_row, int t0, int t1)
{
    copy_border(lines, group, panel, border_tile, tile_row, t0, t1, true);
}

void resr_winograd_restore(const ResrWinogradLineBuffer *lines, int group, int panel,
                           int border_tile, int tile_row, int t0, int t1)
{
    copy_border(lines, group, panel, border_tile, tile_row, t0, t1, false);
}

/* A thread's memory: pointers to cells, V of a strip (unless a line buffer has it), M of a strip.
 */
typedef struct Scratch {
    const char **v;
    char *own_v;
    float *m;
} Scratch;

/* Bytes of the pointers, and of V. */
static size_t pointer_bytes(int cells)
{
    return resr_round_up((size_t)cells * sizeof(char *), RESR_WINOGRAD_CELL_BYTES);
}

static size_t v_bytes(const ResrWinogradKernels *kernels, int cells)
{
    return v_frequency_stride(kernels->strip_tiles) *
           (size_t)(resr_winograd_frequencies(kernels) * cells);
}

static Scratch scratch_at(char *memory, const ResrWinogradKernels *kernels, int cells)
{
    char *v = memory + pointer_bytes(cells);
    return (Scratch){.v = (const char **)(void *)memory,
                     .own_v = v,
                     .m = (float *)(void *)(v + v_bytes(kernels, cells))};
}

size_t resr_winograd_scratch_bytes(const ResrWinogradKernels *kernels, int cells)
{
    size_t frequencies = (size_t)resr_winograd_frequencies(kernels);
    size_t m = m_frequency_stride(kernels) * frequencies * sizeof(float);
    return resr_round_up(pointer_bytes(cells) + v_bytes(kernels, cells) + m, 4096);
}

/* Points scratch->v at tile `tile` of each input cell; returns the bytes between frequencies. */
static size_t find_cells(const Scratch *scratch, const ResrLayer *layer, int tile_row, int tile)
{
    const ResrWinogradLineBuffer *lines = layer->lines;
    const ResrWinogradKernels *kernels = layer->conv->kernels->winograd;
    size_t stride = v_frequency_stride(kernels->strip_tiles);
    if (!lines) {
        for (int c = 0; c < layer->conv->in_cells; c++)
            scratch->v[c] =
                scratch->own_v + (size_t)c * stride * (size_t)resr_winograd_frequencies(kernels);
        return stride;
    }
    for (int g = 0, c = 0; c < layer->conv->in_cells; g++)
        for (; c < lines->first_cell[g + 1] && c < layer->conv->in_cells; c++)
            scratch->v[c] = line_buffer_cell(lines, g, c - lines->first_cell[g], tile_row) +
                            (ptrdiff_t)tile * RESR_WINOGRAD_CELL_BYTES;
    return lines->frequency_stride;
}

static void transform_input(const ResrLayer *layer, const Scratch *scratch, size_t stride, int y,
                            int x, int tiles)
{
    const ResrWinogradKernels *kernels = layer->conv->kernels->winograd;
    int blocks_of_cell = resr_winograd_cell_lanes(kernels) / RESR_BLOCK_LANES;
    int in_x = layer->nearest ? (x >> 1) - 1 : x - 1;
    int new_cell = layer->lines ? layer->lines->first_cell[layer->line_group] : 0;
    for (int c = new_cell; c < layer->conv->in_cells; c++) {
        ResrWinogradInput args = {
            .tiles = tiles, .v = (char *)scratch->v[c], .frequency_stride = stride};
        for (int b = 0; b < blocks_of_cell; b++) {
            int block = (c - new_cell) * blocks_of_cell + b;
            for (int i = 0; i < kernels->outputs + 2; i++) {
                int in_y = layer->nearest ? (y + i - 1) >> 1 : y + i - 1;
                bool present = block < layer->in->blocks; /* otherwise the row of zeros */
                args.row[b][i] =
                    resr_feature_map_row(layer->in, present ? in_y : -1, present ? block : 0) +
                    (ptrdiff_t)in_x * RESR_BLOCK_LANES;
            }
        }
        kernels->input[layer->nearest](&args);
    }
}

/* Whether V is zero at a frequency; see above on nearest enlargement. */
static bool vanishes(const ResrLayer *layer, int frequency)
{
    int patch = layer->conv->kernels->winograd->outputs + 2;
    return layer->nearest && !layer->conv->kernels->winograd->fractions &&
           (frequency / patch == RESR_WINOGRAD_NEAREST_ZERO ||
            frequency % patch == RESR_WINOGRAD_NEAREST_ZERO);
}

/* Computes M of one tile of output channels. */
static void multiply(const ResrLayer *layer, const Scratch *scratch, size_t stride,
                     const char *weight, int blocks, int tiles)
{
    const ResrWinogradKernels *kernels = layer->conv->kernels->winograd;
    int frequencies = resr_winograd_frequencies(kernels);
    /* Of U: lanes x 16 channels x 4 bytes in fp32, lanes x 32 channels x 2 bytes in bf16. */
    size_t frequency_bytes =
        (size_t)(layer->conv->in_cells * blocks) * RESR_BLOCK_LANES * RESR_WINOGRAD_CELL_BYTES;
    for (int f = 0; f < frequencies; f++, weight += frequency_bytes) {
        float *m = scratch->m + (size_t)f * m_frequency_stride(kernels);
        if (vanishes(layer, f)) {
            memset(m, 0, (size_t)(tiles * blocks) * RESR_BLOCK_LANES * sizeof *m);
            continue;
        }
        ResrWinogradProduct args = {
            .v = scratch->v,
            .v_offset = (size_t)f * stride,
            .cells = layer->conv->in_cells,
            .tiles = tiles,
            .weight = weight,
            .m = m,
        };
        kernels->product[blocks](&args);
    }
}

static float *pixel_or_null(const ResrFeatureMap *map, int y, int block, int x)
{
    return map ? resr_feature_map_row(map, y, block) + (ptrdiff_t)x * RESR_BLOCK_LANES : NULL;
}

static size_t block_stride_or_0(const ResrFeatureMap *map)
{
    return map ? map->block_stride : 0;
}

static void transform_output(const ResrLayer *layer, const Scratch *scratch, int first_block,
                             int blocks, int y, int x, int tiles)
{
    const ResrWinogradKernels *kernels = layer->conv->kernels->winograd;
    const ResrPackedConv *conv = layer->conv;
    ResrWinogradOutput args = {
        .m = scratch->m,
        .frequency_stride = m_frequency_stride(kernels),
        .tiles = tiles,
        .rows = resr_min(kernels->outputs, layer->out->height - y),
        .columns = resr_min(kernels->outputs * tiles, layer->out->width - x),
        .block_stride = layer->out->block_stride,
        .residual_block_stride = block_stride_or_0(layer->residual),
        .copy_block_stride = block_stride_or_0(layer->copy),
        .bias = conv->bias + first_block * RESR_BLOCK_LANES,
        .slope = conv->slope ? conv->slope + first_block * RESR_BLOCK_LANES : NULL,
        .factor = layer->factor,
        .activation = layer->activation,
    };
    for (int i = 0; i < args.rows; i++) {
        args.residual[i] = pixel_or_null(layer->residual, y + i, first_block, x);
        args.trunk[i] = pixel_or_null(layer->trunk, y + i, first_block, x);
        args.out[i] = pixel_or_null(layer->out, y + i, layer->out_block + first_block, x);
        args.copy[i] = pixel_or_null(layer->copy, y + i, layer->copy_block + first_block, x);
    }
    kernels->output[blocks](&args);
}

static void run_strip(const ResrLayer *layer, const Scratch *scratch, int y, int x, int tiles)
{
    const ResrWinogradKernels *kernels = layer->conv->kernels->winograd;
    const ResrPackedConv *conv = layer->conv;
    const char *weight = conv->weight;
    int blocks_of_tile = kernels->tile_lanes / RESR_BLOCK_LANES;
    size_t stride = find_cells(scratch, layer, y / kernels->outputs, x / kernels->outputs);
    transform_input(layer, scratch, stride, y, x, tiles);
    for (int first = 0; first < conv->out_blocks; first += blocks_of_tile) {
        int blocks = resr_min(blocks_of_tile, conv->out_blocks - first);
        multiply(layer, scratch, stride, weight, blocks, tiles);
        transform_output(layer, scratch, first, blocks, y, x, tiles);
        weight += (size_t)(conv->in_cells * blocks * resr_winograd_frequencies(kernels)) *
                  RESR_BLOCK_LANES * RESR_WINOGRAD_CELL_BYTES;
    }
}

/* In strips of about equal size, of at most strip_tiles tiles. */
void resr_winograd_rows(const ResrLayer *layer, int thread, int y, int x0, int x1)
{
    const ResrWinogradKernels *kernels = layer->conv->kernels->winograd;
    int outputs = kernels->outputs, first = x0 / outputs;
    int tiles = (x1 + outputs - 1) / outputs - first;
    int strips = (tiles + kernels->strip_tiles - 1) / kernels->strip_tiles;
    Scratch scratch = scratch_at(layer->scratch + (size_t)thread * layer->scratch_bytes, kernels,
                                 layer->conv->in_cells);
    for (int i = 0; i < strips; i++) {
        int start = tiles * i / strips, end = tiles * (i + 1) / strips;
        run_strip(layer, &scratch, y, (first + start) * outputs, end - start);
    }
    for (int i = 0; layer->finish && i < outputs && y + i < layer->out->height; i++)
        layer->finish(layer->context, layer, y + i, x0, x1);
}
