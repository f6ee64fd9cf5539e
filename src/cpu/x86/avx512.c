/* AVX-512 backends: 14 pixels or tiles x 2 vectors = 28 accumulators, 2 weight vectors and a
 * broadcast in 31 of 32 registers. By bench_kernels on a Zen 5 that other programs used too,
 * x4plus, on one core and on two, relative to the fp32 peak: class `exact` (direct) 86 to 98 % and
 * 90 to 93 %; class `fp32` (Winograd F(4x4), four times fewer products) 2.8 to 3.1 and 2.5 to 2.7
 * times. */
#include "cpu/backends.h"

#if defined(__x86_64__)
#include "cpu/direct.h"
#include "cpu/dispatch.h"
#include "cpu/forward.h"
#include "cpu/winograd.h"
#include "cpu/x86/vec_avx512.h"

#include "cpu/x86/direct_tmpl.h"
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

PRODUCTS_1_TO_6(1)
PRODUCTS_1_TO_6(2)
PRODUCTS_7_TO_14(1)
PRODUCTS_7_TO_14(2)

static void product_1(const ResrWinogradProduct *args)
{
    static const ProductKernel kernels[] = {ENTRIES_1_TO_6(1), ENTRIES_7_TO_14(1)};
    product_groups(args, kernels, 14);
}

static void product_2(const ResrWinogradProduct *args)
{
    static const ProductKernel kernels[] = {ENTRIES_1_TO_6(2), ENTRIES_7_TO_14(2)};
    product_groups(args, kernels, 14);
}

static void winograd_output_2(const ResrWinogradOutput *out)
{
    output_cases(out, 2);
}

static const ResrWinogradKernels winograd = {
    .outputs = WINOGRAD_OUTPUTS,
    .tile_lanes = 32,
    .strip_tiles = 32,
    .input = {winograd_input, winograd_input_nearest},
    .product = {NULL, product_1, product_2},
    .output = {NULL, winograd_output_1, winograd_output_2},
};

const ResrConvKernels resr_kernels_avx512_fp32 = {.winograd = &winograd};

static int available(unsigned cpumask)
{
    return (resr_cpu_flags() & cpumask & RESR_CPU_AVX512) != 0;
}

static int prepare_exact(void **packed, const ResrModel *model)
{
    static const ResrConvKernels kernels = {.direct = &direct};
    return resr_packed_net_create(packed, model, &kernels, &kernels);
}

static int prepare_fp32(void **packed, const ResrModel *model)
{
    return resr_packed_net_create(packed, model, &resr_kernels_avx512_fp32,
                                  &resr_kernels_avx512_fp32);
}

const ResrOps resr_ops_avx512 = RESR_FORWARD_OPS("avx512", "exact", available, prepare_exact);
const ResrOps resr_ops_avx512_fp32 = RESR_FORWARD_OPS("avx512", "fp32", available, prepare_fp32);

#endif
