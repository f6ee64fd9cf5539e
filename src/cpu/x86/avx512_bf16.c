/* AVX512-BF16 backend of class `bf16-avx512`: Winograd with bf16 operands, fp32 sums and fp32 maps;
 * of class `bf16-fused` on CPUs whose VDPBF16PS rounds in another way than Intel describes.
 * F(2x2, 3x3) for RRDB; SRVGG, which is far less sensitive, takes F(4x4, 3x3) of avx512_bf16_f4.c.
 */
#include "cpu/backends.h"

#if defined(__x86_64__)
#include "cpu/dispatch.h"
#include "cpu/stages.h"
#include "cpu/winograd.h"
#include "cpu/x86/vec_avx512_bf16.h"

#include "cpu/x86/winograd_f2.h"

#include "cpu/x86/product_bf16.h"

/* A function of its own: a compiler may move arithmetic past what sets the control register. */
static __attribute__((noinline)) vec add_products(vec acc, __m512i a, __m512i b)
{
    const __m512i upper = _mm512_set1_epi32((int)0xffff0000u);
    vec odd_a = _mm512_castsi512_ps(_mm512_and_si512(a, upper));
    vec odd_b = _mm512_castsi512_ps(_mm512_and_si512(b, upper));
    vec even_a = _mm512_castsi512_ps(_mm512_slli_epi32(a, 16));
    vec even_b = _mm512_castsi512_ps(_mm512_slli_epi32(b, 16));
    return vec_fma(even_a, even_b, vec_fma(odd_a, odd_b, acc));
}

/* With an exponent (biased) of `exponent` to exponent + 7. */
static uint32_t random_bf16(uint32_t *state, int exponent)
{
    *state = *state * 1664525u + 1013904223u;
    uint32_t random = *state >> 8;
    return (random & 0x807f) | ((uint32_t)exponent + (random >> 16 & 7)) << 7;
}

/* Sixteen pairs of bf16; a pair is a float too. */
static __m512i random_pairs(uint32_t *state, int exponent)
{
    uint32_t pairs[VEC_LANES];
    for (int i = 0; i < VEC_LANES; i++)
        pairs[i] = random_bf16(state, exponent) << 16 | random_bf16(state, exponent);
    return _mm512_loadu_si512(pairs);
}

/* Whether VDPBF16PS makes of random operands the bits of two fused multiply-adds without denormals,
 * the odd elements' first, as Intel describes it. */
static int is_two_fmas(void)
{
    /* The products' middle is the sum's; then products and sums on both sides of denormals. */
    const int operands[] = {127, 64, 60}, sums[] = {131, 1, 1};
    uint32_t state = 1;
    int same = 1;
    for (int i = 0; i < 96; i++) {
        __m512i a = random_pairs(&state, operands[i % 3]),
                b = random_pairs(&state, operands[i % 3]);
        vec acc = _mm512_castsi512_ps(random_pairs(&state, sums[i % 3]));
        vec dot = _mm512_dpbf16_ps(acc, (__m512bh)a, (__m512bh)b);
        unsigned control = _mm_getcsr();
        _mm_setcsr(control | RESR_NO_DENORMALS);
        vec fmas = add_products(acc, a, b);
        _mm_setcsr(control);
        __m512i difference = _mm512_xor_si512(_mm512_castps_si512(dot), _mm512_castps_si512(fmas));
        same &= _mm512_test_epi32_mask(difference, difference) == 0;
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
    return allowed(cpumask) && is_two_fmas();
}

static int available_fused(unsigned cpumask)
{
    return allowed(cpumask) && !is_two_fmas();
}

static int prepare(void **packed, const ResrModel *model)
{
    static const ResrConvKernels f2 = {.winograd = &winograd};
    int compact = model->spec.arch == RESR_ARCH_SRVGG;
    return resr_packed_net_create(packed, model, compact ? &resr_kernels_avx512_bf16_f4 : &f2,
                                  &resr_kernels_avx512_fp32);
}

const ResrOps resr_ops_avx512_bf16 =
    RESR_STAGES_OPS("avx512_bf16", "bf16-avx512", available, prepare);
const ResrOps resr_ops_avx512_bf16_fused =
    RESR_STAGES_OPS("avx512_bf16", "bf16-fused", available_fused, prepare);

#endif
