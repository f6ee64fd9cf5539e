/* AVX512-BF16 backend of class `bf16-avx512`: Winograd F(2x2, 3x3) with bf16 operands, fp32 sums
 * and fp32 maps; 14 tiles x 2 vectors = 28 accumulators, 2 weight vectors, operands from memory. */
#include "cpu/backends.h"

#if defined(__x86_64__)
#include "cpu/dispatch.h"
#include "cpu/stages.h"
#include "cpu/winograd.h"
#include "cpu/x86/vec_avx512_bf16.h"

#include "cpu/x86/winograd_f2.h"

typedef __m512bh product_weight;

static inline __m512bh load_weight(const char *from)
{
    return (__m512bh)_mm512_loadu_si512(from);
}

static inline vec product_step(const char *x, __m512bh w, vec acc)
{
    return _mm512_dpbf16_ps(acc, w, (__m512bh)_mm512_set1_epi32(*(const int *)(const void *)x));
}

#include "cpu/x86/product_kernel.h"

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

static const ResrWinogradKernels winograd = {
    .outputs = WINOGRAD_OUTPUTS,
    .bf16 = 1,
    .tile_lanes = 32,
    .strip_tiles = 56,
    .input = {winograd_input, winograd_input_nearest},
    .product = {NULL, product_1, product_2},
    .output = {NULL, winograd_output_1, winograd_output_2},
};

static int available(unsigned cpumask)
{
    return (resr_cpu_flags() & cpumask & RESR_CPU_AVX512_BF16) != 0;
}

static int prepare(void **packed, const ResrModel *model)
{
    static const ResrConvKernels kernels = {.winograd = &winograd};
    return resr_packed_net_create(packed, model, &kernels, &resr_kernels_avx512_fp32);
}

const ResrOps resr_ops_avx512_bf16 =
    RESR_STAGES_OPS("avx512_bf16", "bf16-avx512", available, prepare);

#endif
