/* AVX-512 backend of class `exact`: 14 pixels x 2 vectors = 28 accumulators, 2 weight vectors and a
 * broadcast in 31 of 32 registers. Share of a Zen 5's fp32 peak, by bench_kernels on a machine that
 * other programs used too: x4plus 86 to 98 % on one core, 90 to 93 % on two; animevideov3 85 to
 * 91 %. */
#include "cpu/backends.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "cpu/direct.h"
#include "cpu/dispatch.h"

typedef __m512 vec;
#define VEC_LANES 16

static inline vec vec_load(const float *from)
{
    return _mm512_loadu_ps(from);
}

static inline void vec_store(float *to, vec value)
{
    _mm512_storeu_ps(to, value);
}

static inline vec vec_set1(float value)
{
    return _mm512_set1_ps(value);
}

static inline vec vec_fma(vec a, vec b, vec c)
{
    return _mm512_fmadd_ps(a, b, c);
}

static inline vec vec_prelu(vec x, vec slope)
{
    __mmask16 positive = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_GT_OQ);
    return _mm512_mask_blend_ps(positive, _mm512_mul_ps(slope, x), x);
}

#include "cpu/x86/conv_kernel.h"

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

static const ResrConvKernels kernels = {
    .vector_lanes = VEC_LANES,
    .max_px = 14,
    .plain = {CONV_ENTRY(1), CONV_ENTRY(2), CONV_ENTRY(3), CONV_ENTRY(4), CONV_ENTRY(5),
              CONV_ENTRY(6), CONV_ENTRY(7), CONV_ENTRY(8), CONV_ENTRY(9), CONV_ENTRY(10),
              CONV_ENTRY(11), CONV_ENTRY(12), CONV_ENTRY(13), CONV_ENTRY(14)},
    .nearest = {CONV_NEAREST_ENTRY(2), CONV_NEAREST_ENTRY(4), CONV_NEAREST_ENTRY(6),
                CONV_NEAREST_ENTRY(8), CONV_NEAREST_ENTRY(10), CONV_NEAREST_ENTRY(12),
                CONV_NEAREST_ENTRY(14)},
};

static int available(unsigned cpumask)
{
    return (resr_cpu_flags() & cpumask & RESR_CPU_AVX512) != 0;
}

static int prepare(void **packed, const ResrModel *model)
{
    ResrPackedNet *net;
    int ret = resr_packed_net_create(&net, model, &kernels);
    *packed = net;
    return ret;
}

static void release(void *packed)
{
    resr_packed_net_free(packed);
}

const ResrOps resr_ops_avx512 = RESR_DIRECT_OPS("avx512", available, prepare, release);

#endif
