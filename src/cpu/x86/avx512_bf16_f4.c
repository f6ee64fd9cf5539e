/* Kernels of avx512_bf16.c's classes for networks whose quality allows Winograd's F(4x4, 3x3) with
 * bf16 operands: the compact ones, on which it is still 4 to 8 dB better than other programs' bf16,
 * with 16 ninths of F(2x2)'s speed in the products and half of its transformed input. */
#include "cpu/backends.h"

#if defined(__x86_64__)
#include "cpu/winograd.h"
#include "cpu/x86/vec_avx512_bf16.h"

#define WINOGRAD_OUTPUTS 4
#define WINOGRAD_PARTS 2
#define WINOGRAD_FRACTIONS

static inline void store_cell(char *v, const vec *part)
{
    vec_store_bf16(v, part[0], part[1]);
}

#include "cpu/x86/winograd_tmpl.h"

#include "cpu/x86/product_bf16.h"

static void winograd_output_2(const ResrWinogradOutput *out)
{
    output_cases(out, 2);
}

static const ResrWinogradKernels winograd = {
    .outputs = WINOGRAD_OUTPUTS,
    .bf16 = 1,
    .fractions = 1,
    .tile_lanes = 32,
    .strip_tiles = 56,
    .input = {winograd_input, winograd_input_nearest},
    .product = {NULL, product_1, product_2},
    .output = {NULL, winograd_output_1, winograd_output_2},
};

const ResrConvKernels resr_kernels_avx512_bf16_f4 = {.winograd = &winograd};

#endif
