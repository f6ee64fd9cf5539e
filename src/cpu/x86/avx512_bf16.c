/* AVX512-BF16 backend of class `bf16-avx512`: Winograd with bf16 operands, fp32 sums and fp32 maps;
 * of class `bf16-other` on CPUs whose instructions for bf16 round otherwise than Intel describes,
 * which are taken to do so alike: none is known.
 * F(2x2, 3x3) for RRDB; SRVGG, which is far less sensitive, takes F(4x4, 3x3) of avx512_bf16_f4.c.
 */
#include "cpu/backends.h"

#if defined(__x86_64__)
#include "cpu/dispatch.h"
#include "cpu/forward.h"
#include "cpu/winograd.h"
#include "cpu/x86/vec_avx512_bf16.h"
#include "cpu/x86/vec_avx512_bf16emu.h"

#include "cpu/x86/winograd_f2.h"

#include "cpu/x86/product_bf16.h"

enum { LANES = RESR_BLOCK_LANES };

/* With an exponent (biased) of `exponent` to exponent + 7; 0 makes denormals too. */
static uint32_t random_bf16(uint32_t *state, int exponent)
{
    *state = *state * 1664525u + 1013904223u;
    uint32_t random = *state >> 8;
    return (random & 0x807f) | ((uint32_t)exponent + (random >> 16 & 7)) << 7;
}

/* Pairs of bf16; a pair is a float too. */
static void random_pairs(uint32_t pairs[LANES], uint32_t *state, int exponent)
{
    for (int i = 0; i < LANES; i++) {
        pairs[i] = random_bf16(state, exponent) << 16;
        pairs[i] |= random_bf16(state, exponent);
    }
}

/* A function of its own, from memory to memory: see without_denormals() of product_bf16emu.h. */
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

/* Whether VDPBF16PS makes of random operands the bits of two fused multiply-adds without denormals,
 * the odd elements' first, and the conversion to bf16 those of vec_store_bf16emu(), as Intel
 * describes both. Exponents: usual ones; then results, products and operands that vanish. */
static int is_as_described(void)
{
    static const struct {
        int a, b, sum;
    } exponents[] = {{127, 127, 131}, {64, 64, 1}, {60, 60, 1}, {0, 127, 0}, {0, 240, 115}};
    enum { KINDS = sizeof exponents / sizeof exponents[0] };
    uint32_t state = 1, a[LANES], b[LANES], sums[LANES], dots[LANES], wide[LANES];
    uint16_t narrow[2 * LANES];
    int same = 1;
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

static const ResrWinogradKernels winograd = {
    .outputs = WINOGRAD_OUTPUTS,
    .bf16 = 1,
    .shared = 1,
    .tile_lanes = 32,
    .strip_tiles = 64, /* V lies in the ring: longer strips read the weights less often */
    .input = {winograd_input, winograd_input_nearest},
    .product = {NULL, product_1, product_2},
    .output = {NULL, winograd_output_1, winograd_output_2},
};

static int allowed(unsigned cpumask)
{
    return (resr_cpu_flags() & cpumask & RESR_CPU_AVX512_BF16) != 0;
}

static int available(unsigned cpumask)
{
    return allowed(cpumask) && is_as_described();
}

static int available_other(unsigned cpumask)
{
    return allowed(cpumask) && !is_as_described();
}

static int prepare(void **packed, const ResrModel *model)
{
    static const ResrConvKernels f2 = {.winograd = &winograd};
    int compact = model->spec.arch == RESR_ARCH_SRVGG;
    return resr_packed_net_create(packed, model, compact ? &resr_kernels_avx512_bf16_f4 : &f2,
                                  &resr_kernels_avx512_fp32);
}

const ResrOps resr_ops_avx512_bf16 =
    RESR_FORWARD_OPS("avx512_bf16", "bf16-avx512", available, prepare);
const ResrOps resr_ops_avx512_bf16_other =
    RESR_FORWARD_OPS("avx512_bf16", "bf16-other", available_other, prepare);

#endif
