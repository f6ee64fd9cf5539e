/* avx512_bf16_f4.c's kernels by fp32 instructions, with the same bits; see avx512_bf16emu.c. */
#include "cpu/backends.h"

#if defined(__x86_64__)
#include "cpu/winograd.h"
#include "cpu/x86/vec_avx512.h"
#include "cpu/x86/vec_avx512_bf16emu.h"

#define WINOGRAD_OUTPUTS 4
#define WINOGRAD_PARTS 1
#define WINOGRAD_FRACTIONS

static inline void store_cell(char *v, const vec *part)
{
    vec_store_bf16emu(v, part[0]);
}

#include "cpu/x86/winograd_tmpl.h"

#include "cpu/x86/product_bf16emu.h"

static void winograd_output_2(const ResrWinogradOutput *out)
{
    output_cases(out, 2);
}

static const ResrWinogradKernels winograd = {
    .outputs = WINOGRAD_OUTPUTS,
    .bf16 = 1,
    .widened = 1,
    .fractions = 1,
    .tile_lanes = 32,
    .strip_tiles = 32,
    .input = {winograd_input, winograd_input_nearest},
    .product = {NULL, product_1, product_2},
    .output = {NULL, winograd_output_1, winograd_output_2},
};

const ResrConvKernels resr_kernels_avx512_bf16emu_f4 = {.winograd = &winograd};

#endif
