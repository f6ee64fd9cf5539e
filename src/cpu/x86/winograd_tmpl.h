/* Winograd's transforms for F(2x2, 3x3) and F(4x4, 3x3), all types of operands and all vector
 * widths: winograd_input*() and winograd_output_*() for ResrWinogradKernels; cpu/winograd.c
 * explains the method. The including file includes and defines before: */
/* clang-format off */
/*   vec_*.h               vec, VEC_LANES, vec_load, vec_store, vec_set1, vec_add, vec_sub, vec_mul,
 *                         vec_fma(a, b, c) = a * b + c, vec_fnma(a, b, c) = c - a * b,
 *                         vec_prelu(x, slope), and those that activation_tmpl.h needs
 *   operand_*.h           CELL_VECTORS: vectors that form a cell, 1 or 2
 *                         store_cell(v, vectors): rounds these vectors and stores them as a cell
 *   WINOGRAD_OUTPUTS      2 or 4
 *   WINOGRAD_FRACTIONS    if the interpolation points are 3/5 and 3/2 instead of 1 and 2
 *
 * Measured with x4plus on 256 x 256 pixels, two cores of a Zen 5, GFLOP/s of direct convolution:
 *
 *   bf16  fp32
 *   1713  1364   prototypes of one dense block on NHWC maps of 192 channels, V computed for each
 *                layer
 *   1899         the same with V kept for conv1..5
 *   1869  1500   whole network; fp32 feature maps [row][block][pixel][16], V in a line buffer, the
 *                trunk in place; layers dealt out to threads: down to 1090 if the cores share no L3
 *   1920  1500   each thread keeps its columns in all layers of a wavefront
 *   1920  1350   fp32 computes V for each layer, since its line buffer has 12 MB: up to 10 % slower
 *                on a quiet machine, 17 % faster (1050 to 1200) where neighbours use the L3 cache
 *
 * Without gain: prefetching the input of the transform; 2 to 16 rows per step of the wavefront.
 */
/* clang-format on */

#include "cpu/x86/activation_tmpl.h"

#define PATCH (WINOGRAD_OUTPUTS + 2)
#ifndef ALWAYS_INLINE
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#endif

/* One row of B^T d, and of A^T m: Lavin and Gray, arXiv 1509.09308, section 4. For other points, by
 * the method of Cook and Toom, row p of B^T has the coefficients of the product of (x - q) over the
 * other points q, and A^T has the powers of the points. */
#if WINOGRAD_OUTPUTS == 2

ALWAYS_INLINE void input_1d(const vec d[PATCH], vec t[PATCH])
{
    t[0] = vec_sub(d[0], d[2]);
    t[1] = vec_add(d[1], d[2]);
    t[2] = vec_sub(d[2], d[1]);
    t[3] = vec_sub(d[1], d[3]);
}

ALWAYS_INLINE void output_1d(const vec m[PATCH], vec y[WINOGRAD_OUTPUTS])
{
    y[0] = vec_add(vec_add(m[0], m[1]), m[2]);
    y[1] = vec_sub(vec_sub(m[1], m[2]), m[3]);
}

#elif defined(WINOGRAD_FRACTIONS)

#define POINT_A 0.6f
#define POINT_B 1.5f
#define SQUARE_A (POINT_A * POINT_A)
#define SQUARE_B (POINT_B * POINT_B)

ALWAYS_INLINE void input_1d(const vec d[PATCH], vec t[PATCH])
{
    const vec a = vec_set1(POINT_A), a2 = vec_set1(SQUARE_A);
    const vec b = vec_set1(POINT_B), b2 = vec_set1(SQUARE_B);
    const vec both = vec_set1(SQUARE_A + SQUARE_B), product = vec_set1(SQUARE_A * SQUARE_B);
    vec even = vec_fnma(b2, d[2], d[4]), odd = vec_fnma(b2, d[1], d[3]);
    vec even2 = vec_fnma(a2, d[2], d[4]), odd2 = vec_fnma(a2, d[1], d[3]);
    t[0] = vec_fnma(both, d[2], vec_fma(product, d[0], d[4]));
    t[1] = vec_fma(a, odd, even);
    t[2] = vec_fnma(a, odd, even);
    t[3] = vec_fma(b, odd2, even2);
    t[4] = vec_fnma(b, odd2, even2);
    t[5] = vec_fnma(both, d[3], vec_fma(product, d[1], d[5]));
}

ALWAYS_INLINE void output_1d(const vec m[PATCH], vec y[WINOGRAD_OUTPUTS])
{
    vec sum = vec_add(m[1], m[2]), difference = vec_sub(m[1], m[2]);
    vec sum2 = vec_add(m[3], m[4]), difference2 = vec_sub(m[3], m[4]);
    y[0] = vec_add(vec_add(m[0], sum), sum2);
    y[1] = vec_fma(vec_set1(POINT_B), difference2, vec_mul(vec_set1(POINT_A), difference));
    y[2] = vec_fma(vec_set1(SQUARE_B), sum2, vec_mul(vec_set1(SQUARE_A), sum));
    y[3] = vec_fma(vec_set1(SQUARE_B * POINT_B), difference2,
                   vec_fma(vec_set1(SQUARE_A * POINT_A), difference, m[5]));
}

#else

ALWAYS_INLINE void input_1d(const vec d[PATCH], vec t[PATCH])
{
    const vec two = vec_set1(2), four = vec_set1(4), five = vec_set1(5);
    vec even = vec_fnma(four, d[2], d[4]), odd = vec_fnma(four, d[1], d[3]);
    vec outer = vec_sub(d[4], d[2]), inner = vec_sub(d[3], d[1]);
    t[0] = vec_fma(four, d[0], vec_fnma(five, d[2], d[4]));
    t[1] = vec_add(even, odd);
    t[2] = vec_sub(even, odd);
    t[3] = vec_fma(two, inner, outer);
    t[4] = vec_fnma(two, inner, outer);
    t[5] = vec_fma(four, d[1], vec_fnma(five, d[3], d[5]));
}

ALWAYS_INLINE void output_1d(const vec m[PATCH], vec y[WINOGRAD_OUTPUTS])
{
    vec sum = vec_add(m[1], m[2]), difference = vec_sub(m[1], m[2]);
    vec sum2 = vec_add(m[3], m[4]), difference2 = vec_sub(m[3], m[4]);
    y[0] = vec_add(vec_add(m[0], sum), sum2);
    y[1] = vec_fma(vec_set1(2), difference2, difference);
    y[2] = vec_fma(vec_set1(4), sum2, sum);
    y[3] = vec_add(vec_fma(vec_set1(8), difference2, difference), m[5]);
}

#endif

/* Rows and columns of frequencies that are zero after an enlargement. */
#ifdef WINOGRAD_FRACTIONS
#define VANISHES(nearest, i) 0
#else
#define VANISHES(nearest, i) ((nearest) && (i) == RESR_WINOGRAD_NEAREST_ZERO)
#endif

/* Pixels from the start of a patch's row to its column j. */
#define COLUMN(j, nearest) ((nearest) ? ((j) + 1) >> 1 : (j))

/* Vertical transform of column j of the patch at `pixel` floats. */
ALWAYS_INLINE void input_column(vec s[PATCH], const float *const row[PATCH], ptrdiff_t pixel)
{
    vec d[PATCH];
#pragma GCC unroll 6
    for (int i = 0; i < PATCH; i++)
        d[i] = vec_load(row[i] + pixel);
    input_1d(d, s);
}

/* Stores V of a cell (CELL_VECTORS vectors of it, from lane `lane` on) for all tiles. Neighbouring
 * patches overlap in two columns, whose vertical transforms are kept. */
ALWAYS_INLINE void input_run(const ResrWinogradInput *in, int lane, const bool nearest)
{
    const float *row[CELL_VECTORS][PATCH];
    vec s[CELL_VECTORS][PATCH][PATCH]; /* [vector][column][vertical frequency] */
    const int step = (nearest ? WINOGRAD_OUTPUTS / 2 : WINOGRAD_OUTPUTS) * RESR_BLOCK_LANES;
    char *v = in->v + (size_t)lane * (RESR_WINOGRAD_CELL_BYTES / RESR_BLOCK_LANES);
    for (int n = 0; n < CELL_VECTORS; n++) {
        for (int i = 0; i < PATCH; i++)
            row[n][i] = in->row[n][i] + lane;
        for (int j = 0; j < 2; j++)
            input_column(s[n][WINOGRAD_OUTPUTS + j], row[n], COLUMN(j, nearest) * RESR_BLOCK_LANES);
    }
    ptrdiff_t pixel = 0;
    for (int t = 0; t < in->tiles; t++, pixel += step, v += RESR_WINOGRAD_CELL_BYTES) {
#pragma GCC unroll 2
        for (int n = 0; n < CELL_VECTORS; n++) {
#pragma GCC unroll 6
            for (int j = 0; j < PATCH; j++)
#pragma GCC unroll 6
                for (int i = 0; i < PATCH && j < 2; i++)
                    s[n][j][i] = s[n][WINOGRAD_OUTPUTS + j][i];
#pragma GCC unroll 6
            for (int j = 2; j < PATCH; j++)
                input_column(s[n][j], row[n], pixel + COLUMN(j, nearest) * RESR_BLOCK_LANES);
        }
#pragma GCC unroll 6
        for (int i = 0; i < PATCH; i++) {
            vec line[CELL_VECTORS][PATCH], column[PATCH];
            if (VANISHES(nearest, i))
                continue;
#pragma GCC unroll 2
            for (int n = 0; n < CELL_VECTORS; n++) {
#pragma GCC unroll 6
                for (int j = 0; j < PATCH; j++)
                    column[j] = s[n][j][i];
                input_1d(column, line[n]);
            }
#pragma GCC unroll 6
            for (int j = 0; j < PATCH; j++) {
                vec cell[CELL_VECTORS];
                if (VANISHES(nearest, j))
                    continue;
#pragma GCC unroll 2
                for (int n = 0; n < CELL_VECTORS; n++)
                    cell[n] = line[n][j];
                store_cell(v + (size_t)(i * PATCH + j) * in->frequency_stride, cell);
            }
        }
    }
}

static void winograd_input(const ResrWinogradInput *in)
{
    for (int lane = 0; lane < RESR_BLOCK_LANES; lane += VEC_LANES)
        input_run(in, lane, false);
}

static void winograd_input_nearest(const ResrWinogradInput *in)
{
    for (int lane = 0; lane < RESR_BLOCK_LANES; lane += VEC_LANES)
        input_run(in, lane, true);
}

/* Floats from the start of a row of the output, of the residual and trunk, and of the copy. */
typedef struct Offsets {
    size_t out, residual, copy;
} Offsets;

/* Applies the operations after the convolution to one vector of a pixel and stores it, at these
 * offsets plus `px` pixels. */
ALWAYS_INLINE void finish(const ResrWinogradOutput *out, int row, const Offsets *at, int px, vec y,
                          vec bias, vec slope, const ResrActivation activation, const bool residual,
                          const bool trunk, const bool copy)
{
    const int lanes = px * RESR_BLOCK_LANES;
    y = vec_add(y, bias);
    if (activation == RESR_ACTIVATION_SLOPE)
        y = vec_prelu(y, slope);
    if (activation == RESR_ACTIVATION_SILU)
        y = vec_silu(y);
    if (activation == RESR_ACTIVATION_GATE)
        y = vec_gate(y, vec_load(out->residual[row] + at->residual + lanes));
    else if (residual)
        y = vec_fma(vec_set1(out->factor), y, vec_load(out->residual[row] + at->residual + lanes));
    if (trunk)
        y = vec_fma(vec_set1(0.2f), y, vec_load(out->trunk[row] + at->residual + lanes));
    vec_store(out->out[row] + at->out + lanes, y);
    if (copy)
        vec_store(out->copy[row] + at->copy + lanes, y);
}

ALWAYS_INLINE void output_run(const ResrWinogradOutput *out, const int blocks,
                              const ResrActivation activation, const bool residual,
                              const bool trunk, const bool copy)
{
    const int vectors = blocks * RESR_BLOCK_LANES / VEC_LANES;
    for (int t = 0; t < out->tiles; t++) {
        int columns = out->columns - t * WINOGRAD_OUTPUTS;
        for (int n = 0; n < vectors; n++) {
            size_t lane = (size_t)(n * VEC_LANES);
            size_t block = lane / RESR_BLOCK_LANES;
            size_t first =
                lane % RESR_BLOCK_LANES + (size_t)(t * WINOGRAD_OUTPUTS) * RESR_BLOCK_LANES;
            const Offsets at = {block * out->block_stride + first,
                                block * out->residual_block_stride + first,
                                block * out->copy_block_stride + first};
            const float *m = out->m + (size_t)(t * blocks) * RESR_BLOCK_LANES + lane;
            vec bias = vec_load(out->bias + lane);
            vec slope =
                activation == RESR_ACTIVATION_SLOPE ? vec_load(out->slope + lane) : vec_set1(0);
            vec s[WINOGRAD_OUTPUTS][PATCH];
#pragma GCC unroll 6
            for (int j = 0; j < PATCH; j++) {
                vec column[PATCH], y[WINOGRAD_OUTPUTS];
#pragma GCC unroll 6
                for (int i = 0; i < PATCH; i++)
                    column[i] = vec_load(m + (size_t)(i * PATCH + j) * out->frequency_stride);
                output_1d(column, y);
#pragma GCC unroll 4
                for (int i = 0; i < WINOGRAD_OUTPUTS; i++)
                    s[i][j] = y[i];
            }
#pragma GCC unroll 4
            for (int i = 0; i < WINOGRAD_OUTPUTS; i++) {
                vec y[WINOGRAD_OUTPUTS];
                if (i >= out->rows)
                    break;
                output_1d(s[i], y);
#pragma GCC unroll 4
                for (int j = 0; j < WINOGRAD_OUTPUTS; j++)
                    if (j < columns)
                        finish(out, i, &at, j, y[j], bias, slope, activation, residual, trunk,
                               copy);
            }
        }
    }
}

/* The usual cases have no branch per pixel. */
ALWAYS_INLINE void output_cases(const ResrWinogradOutput *out, const int blocks)
{
    const ResrActivation none = RESR_ACTIVATION_NONE, slope = RESR_ACTIVATION_SLOPE;
    ResrActivation activation = out->activation;
    bool residual = out->residual[0] != NULL, trunk = out->trunk[0] != NULL;
    bool copy = out->copy[0] != NULL;
    if (activation == slope && !residual && !trunk && !copy)
        output_run(out, blocks, slope, false, false, false);
    else if (activation == none && residual && !trunk && !copy)
        output_run(out, blocks, none, true, false, false);
    else if (activation == none && residual && trunk && copy)
        output_run(out, blocks, none, true, true, true);
    else if (activation == RESR_ACTIVATION_SILU && !copy)
        output_run(out, blocks, RESR_ACTIVATION_SILU, false, false, false);
    else if (activation == RESR_ACTIVATION_GATE && !copy)
        output_run(out, blocks, RESR_ACTIVATION_GATE, true, false, false);
    else
        output_run(out, blocks, activation, residual, trunk, copy);
}

static void winograd_output_1(const ResrWinogradOutput *out)
{
    output_cases(out, 1);
}

#if VEC_LANES == RESR_BLOCK_LANES
static void winograd_output_2(const ResrWinogradOutput *out)
{
    output_cases(out, 2);
}
#endif
