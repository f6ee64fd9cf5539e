/* Products of AVX512-BF16: 14 tiles x 2 vectors = 28 accumulators, 2 vectors of weights, operands
 * from memory. Two pairs' products are added by each instruction (VDPBF16PS: odd elements first,
 * denormals count as zero). */
typedef __m512bh product_weight;

static inline __m512bh load_weight(const char *from)
{
    return (__m512bh)_mm512_loadu_si512(from);
}

static inline vec product_step(const char *x, __m512bh w, vec acc)
{
    return _mm512_dpbf16_ps(acc, w, (__m512bh)_mm512_set1_epi32(*(const int *)(const void *)x));
}

#include "cpu/x86/product_tmpl.h"

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
