/* Products of bf16 operands that are kept as fp32, for CPUs of AVX-512 that have no VDPBF16PS or a
 * slow one: an Emerald Rapids starts one in two clocks, in which it starts four FMAs
 * (bench_kernels, 2026-11-30: 86 GFLOP/s a core, 177 with FMA). Its bits: of a pair of channels the
 * odd one is added first; products of two bf16 are exact, so a fused multiply-add rounds where it
 * does; denormals count as zero. (Intel, Architecture Instruction Set Extensions Programming
 * Reference, VDPBF16PS.) */
#define OPERAND_AT(k) ((k) ^ 4)

typedef vec product_weight;

static inline vec load_weight(const char *from)
{
    return vec_load((const float *)(const void *)from);
}

static inline vec product_step(const char *x, vec w, vec acc)
{
    return vec_fma(vec_set1(*(const float *)(const void *)x), w, acc);
}

#include "cpu/x86/product_tmpl.h"

PRODUCTS_1_TO_6(1)
PRODUCTS_1_TO_6(2)
PRODUCTS_7_TO_14(1)
PRODUCTS_7_TO_14(2)

/* The kernels work from memory to memory, so that none of their arithmetic leaves the two calls. */
static void without_denormals(const ResrWinogradProduct *args, const ProductKernel *kernels)
{
    unsigned control = _mm_getcsr();
    _mm_setcsr(control | RESR_NO_DENORMALS);
    product_groups(args, kernels, 14);
    _mm_setcsr(control);
}

static void product_1(const ResrWinogradProduct *args)
{
    static const ProductKernel kernels[] = {ENTRIES_1_TO_6(1), ENTRIES_7_TO_14(1)};
    without_denormals(args, kernels);
}

static void product_2(const ResrWinogradProduct *args)
{
    static const ProductKernel kernels[] = {ENTRIES_1_TO_6(2), ENTRIES_7_TO_14(2)};
    without_denormals(args, kernels);
}
