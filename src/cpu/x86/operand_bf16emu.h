/* Operands of Winograd's products: bf16 emulated with fp32 instructions, with the bits of
 * operand_bf16.h. After vec_avx512.h; see winograd_tmpl.h and product_tmpl.h.
 *
 * For CPUs that have AVX-512 but not VDPBF16PS, or a slow one: an Emerald Rapids starts one every
 * two clocks, in which it starts four FMAs (bench_kernels, 2026-11-30: 86 GFLOP/s a core, 177 with
 * FMAs). The bits are the same because the product of two bf16 is exact in fp32, so a fused
 * multiply-add rounds where VDPBF16PS does; of a pair of channels the odd one is added first; and
 * denormals count as zero. (Intel, Architecture Instruction Set Extensions Programming Reference,
 * VDPBF16PS.) */
#include "cpu/x86/vec_avx512_bf16emu.h"

#define CELL_VECTORS 1
#define OPERAND_BF16
#define OPERAND_BF16EMU
#define OPERAND_AT(k) ((k) ^ 4)
#define PRODUCTS_WITHOUT_DENORMALS

static inline void store_cell(char *v, const vec *vectors)
{
    vec_store_bf16emu(v, vectors[0]);
}

typedef vec product_weight;

static inline vec load_weight(const char *from)
{
    return vec_load((const float *)(const void *)from);
}

static inline vec product_step(const char *x, vec w, vec acc)
{
    return vec_fma(vec_set1(*(const float *)(const void *)x), w, acc);
}
