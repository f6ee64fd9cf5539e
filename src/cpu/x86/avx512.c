/* AVX-512 backend of class `exact`: 14 pixels x 2 vectors = 28 accumulators, 2 weight vectors and a
 * broadcast in 31 of 32 registers. Share of a Zen 5's fp32 peak, by bench_kernels on a machine that
 * other programs used too: x4plus 86 to 98 % on one core, 90 to 93 % on two; animevideov3 85 to
 * 91 %. */
#include "cpu/backends.h"

#if defined(__x86_64__)
#include "cpu/direct.h"
#include "cpu/dispatch.h"
#include "cpu/stages.h"
#include "cpu/winograd.h"
#include "cpu/x86/vec_avx512.h"

#include "cpu/x86/direct_kernel.h"
#include "cpu/x86/winograd_f4.h"

CONV_KERNELS(1)
CONV_KERNELS(2)
CONV_KERNELS(3)
CONV_KERNELS(4)
CONV_KERNELS(5)
CONV_KERNELS(6)
CONV_KERNELS(7)
CONV_KERNELS(8)
CONV_KERNELS(9)
CONV_KERNELS(10)
CONV_KERNELS(11)
CONV_KERNELS(12)
CONV_KERNELS(13)
CONV_KERNELS(14)
CONV_NEAREST_KERNELS(2)
CONV_NEAREST_KERNELS(4)
CONV_NEAREST_KERNELS(6)
CONV_NEAREST_KERNELS(8)
CONV_NEAREST_KERNELS(10)
CONV_NEAREST_KERNELS(12)
CONV_NEAREST_KERNELS(14)

static const ResrDirectKernels direct = {
    .vector_lanes = VEC_LANES,
    .max_px = 14,
    .plain = {CONV_ENTRY(1), CONV_ENTRY(2), CONV_ENTRY(3), CONV_ENTRY(4), CONV_ENTRY(5),
              CONV_ENTRY(6), CONV_ENTRY(7), CONV_ENTRY(8), CONV_ENTRY(9), CONV_ENTRY(10),
              CONV_ENTRY(11), CONV_ENTRY(12), CONV_ENTRY(13), CONV_ENTRY(14)},
    .nearest = {CONV_NEAREST_ENTRY(2), CONV_NEAREST_ENTRY(4), CONV_NEAREST_ENTRY(6),
                CONV_NEAREST_ENTRY(8), CONV_NEAREST_ENTRY(10), CONV_NEAREST_ENTRY(12),
                CONV_NEAREST_ENTRY(14)},
};

PRODUCT(1, 1)
PRODUCT(2, 1)
PRODUCT(3, 1)
PRODUCT(4, 1)
PRODUCT(5, 1)
PRODUCT(6, 1)
PRODUCT(7, 1)
PRODUCT(8, 1)
PRODUCT(9, 1)
PRODUCT(10, 1)
PRODUCT(11, 1)
PRODUCT(12, 1)
PRODUCT(13, 1)
PRODUCT(14, 1)

static void product_1(const ResrWinogradProduct *args)
{
    static const ProductKernel kernels[] = {NULL, product_1x1, product_2x1, product_3x1, product_4x1, product_5x1, product_6x1, product_7x1, product_8x1, product_9x1, product_10x1, product_11x1, product_12x1, product_13x1, product_14x1};
    product_groups(args, kernels, 14);
}

PRODUCT(1, 2)
PRODUCT(2, 2)
PRODUCT(3, 2)
PRODUCT(4, 2)
PRODUCT(5, 2)
PRODUCT(6, 2)
PRODUCT(7, 2)
PRODUCT(8, 2)
PRODUCT(9, 2)
PRODUCT(10, 2)
PRODUCT(11, 2)
PRODUCT(12, 2)
PRODUCT(13, 2)
PRODUCT(14, 2)

static void product_2(const ResrWinogradProduct *args)
{
    static const ProductKernel kernels[] = {NULL, product_1x2, product_2x2, product_3x2, product_4x2, product_5x2, product_6x2, product_7x2, product_8x2, product_9x2, product_10x2, product_11x2, product_12x2, product_13x2, product_14x2};
    product_groups(args, kernels, 14);
}

static void winograd_output_2(const ResrWinogradOutput *out)
{
    output_cases(out, 2);
}

static const ResrWinogradKernels winograd = {
    .outputs = WINOGRAD_OUTPUTS,
    .tile_lanes = 32,
    .unit_tiles = 14,
    .strip_tiles = 56,
    .product_cost = 36 * 8,
    .input_cost = 80,
    .output_cost = 70,
    .input = {winograd_input, winograd_input_nearest},
    .product = {NULL, product_1, product_2},
    .output = {NULL, winograd_output_1, winograd_output_2},
};

static int available(unsigned cpumask)
{
    return (resr_cpu_flags() & cpumask & RESR_CPU_AVX512) != 0;
}

static int prepare_exact(void **packed, const ResrModel *model)
{
    static const ResrConvKernels kernels = {.direct = &direct};
    return resr_packed_net_create(packed, model, &kernels);
}

static int prepare_fp32(void **packed, const ResrModel *model)
{
    static const ResrConvKernels kernels = {.winograd = &winograd};
    return resr_packed_net_create(packed, model, &kernels);
}

const ResrOps resr_ops_avx512 = RESR_STAGES_OPS("avx512", "exact", available, prepare_exact);
const ResrOps resr_ops_avx512_fp32 = RESR_STAGES_OPS("avx512", "fp32", available, prepare_fp32);

#endif
