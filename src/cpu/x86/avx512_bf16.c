/* AVX512-BF16 backend of class `bf16-avx512`: Winograd with bf16 operands, fp32 sums and fp32
 * feature maps; F(2x2, 3x3) for RRDB, F(4x4, 3x3) of avx512_bf16_f4.c for SRVGG, which is far less
 * sensitive. Not available on a CPU whose bf16 instructions round otherwise than Intel describes
 * (none is known): class `bf16-avx512` is then computed by avx512_bf16emu.c. */
#include "cpu/backends.h"

#if defined(__x86_64__)
#include "base/cpu_features.h"
#include "cpu/forward.h"
#include "cpu/winograd.h"
#include "cpu/x86/vec_avx512_bf16.h"
#include "cpu/x86/vec_avx512_bf16emu.h"

#include "cpu/x86/operand_bf16.h"
#define WINOGRAD_OUTPUTS 2
#define WINOGRAD_SHARED
/* Longer strips than in fp32 read the weights less often; V is in the line buffer. */
#define WINOGRAD_STRIP_TILES 64
#include "cpu/x86/winograd_tmpl.h"

#include "cpu/x86/product_tmpl.h"

#include "cpu/x86/winograd_table.h"

enum { LANES = RESR_BLOCK_LANES };

/* A random bf16 with a biased exponent of `exponent` to exponent + 7; 0 includes denormals. */
static uint32_t random_bf16(uint32_t *state, int exponent)
{
    *state = *state * 1664525u + 1013904223u;
    uint32_t random = *state >> 8;
    return (random & 0x807f) | ((uint32_t)exponent + (random >> 16 & 7)) << 7;
}

/* Random pairs of bf16. */
static void random_pairs(uint32_t pairs[LANES], uint32_t *state, int exponent)
{
    for (int i = 0; i < LANES; i++) {
        pairs[i] = random_bf16(state, exponent) << 16;
        pairs[i] |= random_bf16(state, exponent);
    }
}

/* Not inlined, from memory to memory, so that its arithmetic stays between the two changes of
 * MXCSR. */
static __attribute__((noinline)) void add_products(uint32_t sums[LANES], const uint32_t a[LANES],
                                                   const uint32_t b[LANES])
{
    const __m512i upper = _mm512_set1_epi32((int)0xffff0000u);
    __m512i pairs_a = _mm512_loadu_si512(a), pairs_b = _mm512_loadu_si512(b);
    vec odd_a = _mm512_castsi512_ps(_mm512_and_si512(pairs_a, upper));
    vec odd_b = _mm512_castsi512_ps(_mm512_and_si512(pairs_b, upper));
    vec even_a = _mm512_castsi512_ps(_mm512_slli_epi32(pairs_a, 16));
    vec even_b = _mm512_castsi512_ps(_mm512_slli_epi32(pairs_b, 16));
    vec acc = _mm512_castsi512_ps(_mm512_loadu_si512(sums));
    acc = vec_fma(even_a, even_b, vec_fma(odd_a, odd_b, acc));
    _mm512_storeu_si512(sums, _mm512_castps_si512(acc));
}

/* Whether VDPBF16PS and the conversion to bf16 give the bits that Intel describes, on random
 * operands: those of two fused multiply-adds without denormals, the odd elements' first, and those
 * of vec_store_bf16emu(). Exponents: usual ones; then ones whose results, products and operands are
 * denormal. */
static bool is_as_described(const ResrOps *self)
{
    (void)self;
    static const struct {
        int a, b, sum;
    } exponents[] = {{127, 127, 131}, {64, 64, 1}, {60, 60, 1}, {0, 127, 0}, {0, 240, 115}};
    enum { KINDS = sizeof exponents / sizeof exponents[0] };
    uint32_t state = 1, a[LANES], b[LANES], sums[LANES], dots[LANES], wide[LANES];
    uint16_t narrow[2 * LANES];
    bool same = true;
    for (int i = 0; i < 32 * KINDS; i++) {
        random_pairs(a, &state, exponents[i % KINDS].a);
        random_pairs(b, &state, exponents[i % KINDS].b);
        random_pairs(sums, &state, exponents[i % KINDS].sum);
        vec sum = _mm512_castsi512_ps(_mm512_loadu_si512(sums));
        vec dot =
            _mm512_dpbf16_ps(sum, (__m512bh)_mm512_loadu_si512(a), (__m512bh)_mm512_loadu_si512(b));
        _mm512_storeu_si512(dots, _mm512_castps_si512(dot));
        vec_store_bf16((char *)narrow, sum, sum);
        vec_store_bf16emu((char *)wide, sum);
        unsigned control = _mm_getcsr();
        _mm_setcsr(control | RESR_NO_DENORMALS);
        add_products(sums, a, b);
        _mm_setcsr(control);
        for (int k = 0; k < LANES; k++)
            same &= sums[k] == dots[k] && wide[k] == (uint32_t)narrow[k] << 16;
    }
    return same;
}

static const ResrConvKernels f2 = {.winograd = &winograd};

const ResrOps resr_ops_avx512_bf16 = {
    .name = "avx512_bf16",
    .numerics = RESR_NUMERICS_BF16_AVX512,
    .cpu_needs = RESR_CPU_AVX512_BF16,
    .available = is_as_described,
    .kernels = &(const ResrNetKernels){&f2, &resr_kernels_avx512_bf16_f4, &resr_kernels_avx512_fp32,
                                       &resr_kernels_avx512_exact},
    RESR_FORWARD_OPS,
};

#endif
