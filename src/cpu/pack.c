#include "cpu/pack.h"

#include <assert.h>
#include <string.h>

#include "base/memory.h"
#include "base/minmax.h"
#include "cpu/direct.h"
#include "cpu/winograd.h"

static void pack_direct(float *to, const ResrConv *conv, int lanes_of_vector)
{
    int out_vectors = (conv->cout + lanes_of_vector - 1) / lanes_of_vector;
    int taps = conv->kernel_px * conv->kernel_px;
    for (int vector = 0; vector < out_vectors; vector += 2) {
        int lanes = resr_min(2, out_vectors - vector) * lanes_of_vector;
        int first = vector * lanes_of_vector;
        for (int tap = 0; tap < taps; tap++)
            for (int ci = 0; ci < conv->cin; ci++)
                for (int lane = 0; lane < lanes; lane++, to++)
                    if (first + lane < conv->cout)
                        *to = conv->weight[((first + lane) * conv->cin + ci) * taps + tap];
    }
}

/* Rows of G for the interpolation points 0, 1, -1, (2, -2,) infinity. */
static const double g2[4][3] = {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}};
static const double g4[6][3] = {
    {1.0 / 4, 0, 0},
    {-1.0 / 6, -1.0 / 6, -1.0 / 6},
    {-1.0 / 6, 1.0 / 6, -1.0 / 6},
    {1.0 / 24, 1.0 / 12, 1.0 / 6},
    {1.0 / 24, -1.0 / 12, 1.0 / 6},
    {0, 0, 1},
};

/* Rows of G for the points 0, 3/5, -3/5, 3/2, -3/2, infinity: the powers of a point over the
 * product of its distances from the others. */
#define A (3.0 / 5)
#define B (3.0 / 2)
#define N_A (2 * A * A * (A * A - B * B))
#define N_B (2 * B * B * (B * B - A * A))
/* clang-format off */
static const double g4_fractions[6][3] = {
    {1 / (A * A * B * B), 0, 0},
    {1 / N_A,  A / N_A, A * A / N_A},
    {1 / N_A, -A / N_A, A * A / N_A},
    {1 / N_B,  B / N_B, B * B / N_B},
    {1 / N_B, -B / N_B, B * B / N_B},
    {0, 0, 1},
};
/* clang-format on */

/* Frequency (i, j) of G g G^T. */
static float transformed(const float *g, const ResrWinogradKernels *kernels, int i, int j)
{
    const double(*matrix)[3] = kernels->fractions ? g4_fractions : kernels->outputs == 2 ? g2 : g4;
    const double *rows = matrix[i], *columns = matrix[j];
    double sum = 0;
    for (int y = 0; y < 3; y++)
        for (int x = 0; x < 3; x++)
            sum += rows[y] * columns[x] * (double)g[y * 3 + x];
    return (float)sum;
}

/* Rounds to nearest, ties to even, as the CPUs' conversions do. Weights are finite. */
static uint16_t bf16_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static float float_of(uint16_t bf16)
{
    uint32_t bits = (uint32_t)bf16 << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Stores all frequencies of input channel ci, which is channel k of its cell, for one tile of
 * output channels. */
static void pack_channel(char *to, size_t frequency_bytes, const ResrConv *conv, int ci, int k,
                         int first_lane, int lanes, const ResrWinogradKernels *kernels)
{
    int patch = kernels->outputs + 2;
    for (int lane = 0; lane < lanes && first_lane + lane < conv->cout; lane++) {
        const float *g =
            conv->weight + ((size_t)(first_lane + lane) * (size_t)conv->cin + (size_t)ci) * 9;
        for (int f = 0; f < patch * patch; f++) {
            float value = transformed(g, kernels, f / patch, f % patch);
            char *cell = to + (size_t)f * frequency_bytes;
            if (kernels->bf16emu)
                ((float *)(void *)cell)[(k ^ 1) * lanes + lane] = float_of(bf16_of(value));
            else if (kernels->bf16)
                ((uint16_t *)(void *)cell)[(k / 2 * lanes + lane) * 2 + k % 2] = bf16_of(value);
            else
                ((float *)(void *)cell)[k * lanes + lane] = value;
        }
    }
}

static void pack_winograd(char *to, const ResrConv *conv, const ResrPackedConv *packed,
                          const int *groups, const ResrWinogradKernels *kernels)
{
    int k_of_cell = resr_winograd_cell_lanes(kernels);
    for (int block = 0; block < packed->out_blocks;) {
        int blocks = resr_min(kernels->tile_lanes / RESR_BLOCK_LANES, packed->out_blocks - block);
        size_t cell_bytes = (size_t)blocks * RESR_BLOCK_LANES * RESR_WINOGRAD_CELL_BYTES;
        size_t frequency_bytes = cell_bytes * (size_t)packed->in_cells;
        char *cells = to;
        for (int g = 0, ci = 0; groups[g]; g++) {
            for (int k = 0; k < groups[g]; k++, ci++)
                pack_channel(cells + (size_t)(k / k_of_cell) * cell_bytes, frequency_bytes, conv,
                             ci, k % k_of_cell, block * RESR_BLOCK_LANES, blocks * RESR_BLOCK_LANES,
                             kernels);
            cells += (size_t)resr_winograd_cells(kernels, groups[g]) * cell_bytes;
        }
        to += frequency_bytes * (size_t)resr_winograd_frequencies(kernels);
        block += blocks;
    }
}

/* Everything but the pointers to weights, bias and slopes. */
static ResrPackedConv shape_of(const ResrConv *conv, const int *groups,
                               const ResrConvKernels *kernels)
{
    ResrPackedConv shape = {.kernels = kernels,
                            .cin = conv->cin,
                            .cout = conv->cout,
                            .kernel_px = conv->kernel_px,
                            .out_blocks = resr_blocks(conv->cout)};
    int channels = 0;
    for (int i = 0; groups[i]; i++) {
        channels += groups[i];
        shape.in_cells += kernels->direct ? resr_blocks(groups[i])
                                          : resr_winograd_cells(kernels->winograd, groups[i]);
    }
    assert(channels == conv->cin && !kernels->direct != !kernels->winograd);
    assert(conv->kernel_px == 3 || kernels->direct);
    return shape;
}

static size_t weight_bytes(const ResrPackedConv *conv, const ResrConvKernels *kernels)
{
    size_t lanes = (size_t)conv->out_blocks * RESR_BLOCK_LANES;
    if (kernels->direct)
        return lanes * (size_t)(conv->kernel_px * conv->kernel_px * conv->cin) * sizeof(float);
    return lanes * (size_t)(resr_winograd_frequencies(kernels->winograd) * conv->in_cells) *
           RESR_WINOGRAD_CELL_BYTES;
}

size_t resr_conv_packed_bytes(const ResrConv *conv, const int *groups,
                              const ResrConvKernels *kernels)
{
    ResrPackedConv shape = shape_of(conv, groups, kernels);
    size_t floats = 2 * (size_t)shape.out_blocks * RESR_BLOCK_LANES + (size_t)shape.in_cells;
    return resr_round_up(weight_bytes(&shape, kernels) + floats * sizeof(float), RESR_ALIGN_BYTES);
}

void resr_conv_pack(ResrPackedConv *out, const ResrConv *conv, const int *groups, bool leaky,
                    const ResrConvKernels *kernels, void *memory)
{
    *out = shape_of(conv, groups, kernels);
    size_t lanes = (size_t)out->out_blocks * RESR_BLOCK_LANES;
    out->weight = memory;
    out->bias = (float *)(void *)((char *)memory + weight_bytes(out, kernels));
    memcpy(out->bias, conv->bias, (size_t)conv->cout * sizeof(float));
    if (conv->slope || leaky) {
        out->slope = out->bias + lanes;
        for (int i = 0; i < conv->cout; i++)
            out->slope[i] = leaky ? 0.2f : conv->slope[i];
    }
    if (kernels->winograd) {
        pack_winograd(out->weight, conv, out, groups, kernels->winograd);
        return;
    }
    out->in_lanes = (int32_t *)(void *)(out->bias + 2 * lanes);
    int32_t *in_lanes = out->in_lanes;
    for (int i = 0; groups[i]; i++)
        for (int left = groups[i]; left > 0; left -= RESR_BLOCK_LANES)
            *in_lanes++ = resr_min(left, RESR_BLOCK_LANES);
    pack_direct(out->weight, conv, kernels->direct->vector_lanes);
}
