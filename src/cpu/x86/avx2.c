/* AVX2 backends: 6 pixels or tiles x 2 vectors = 12 accumulators, 2 weight vectors and a broadcast
 * in 15 of 16 registers. By bench_kernels on a Zen 5 that other programs used too, x4plus, on one
 * core and on two, relative to the peak with 256-bit vectors: class `exact` (direct) 92 to 98 % and
 * 93 to 95 %; class `fp32` (Winograd F(4x4), four times fewer products) 3.0 to 3.2 and 2.9 to 3.0
 * times. */
#include "cpu/backends.h"

#if defined(__x86_64__)
#include "cpu/direct.h"
#include "cpu/dispatch.h"
#include "cpu/forward.h"
#include "cpu/winograd.h"
#include "cpu/x86/vec_avx2.h"

#include "cpu/x86/direct_tmpl.h"
#include "cpu/x86/winograd_f4.h"

CONV_KERNELS(1)
CONV_KERNELS(2)
CONV_KERNELS(3)
CONV_KERNELS(4)
CONV_KERNELS(5)
CONV_KERNELS(6)
CONV_NEAREST_KERNELS(2)
CONV_NEAREST_KERNELS(4)
CONV_NEAREST_KERNELS(6)

static const ResrDirectKernels direct = {
    .vector_lanes = VEC_LANES,
    .max_px = 6,
    .plain = {CONV_ENTRY(1), CONV_ENTRY(2), CONV_ENTRY(3), CONV_ENTRY(4), CONV_ENTRY(5),
              CONV_ENTRY(6)},
    .nearest = {CONV_NEAREST_ENTRY(2), CONV_NEAREST_ENTRY(4), CONV_NEAREST_ENTRY(6)},
};

PRODUCTS_1_TO_6(2)

/* One block of 16 output channels is two vectors. */
static void product_1(const ResrWinogradProduct *args)
{
    static const ProductKernel kernels[] = {ENTRIES_1_TO_6(2)};
    product_groups(args, kernels, 6);
}

static const ResrWinogradKernels winograd = {
    .outputs = WINOGRAD_OUTPUTS,
    .tile_lanes = 16,
    .strip_tiles = 36,
    .input = {winograd_input, winograd_input_nearest},
    .product = {NULL, product_1},
    .output = {NULL, winograd_output_1},
};

static int available(unsigned cpumask)
{
    return (resr_cpu_flags() & cpumask & RESR_CPU_AVX2) != 0;
}

static int prepare_exact(void **packed, const ResrModel *model)
{
    static const ResrConvKernels kernels = {.direct = &direct};
    return resr_packed_net_create(packed, model, &kernels, &kernels);
}

static int prepare_fp32(void **packed, const ResrModel *model)
{
    static const ResrConvKernels kernels = {.winograd = &winograd};
    return resr_packed_net_create(packed, model, &kernels, &kernels);
}

const ResrOps resr_ops_avx2 = RESR_FORWARD_OPS("avx2", "exact", available, prepare_exact);
const ResrOps resr_ops_avx2_fp32 = RESR_FORWARD_OPS("avx2", "fp32", available, prepare_fp32);

#endif
