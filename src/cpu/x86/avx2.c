/* AVX2 backend of class `exact`: 6 pixels x 2 vectors = 12 accumulators, 2 weight vectors and a
 * broadcast in 15 of 16 registers. Share of a Zen 5's peak with 256-bit vectors, by bench_kernels
 * on a machine that other programs used too: x4plus 92 to 98 % on one core, 93 to 95 % on two;
 * animevideov3 89 to 94 %. */
#include "cpu/backends.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "cpu/direct.h"
#include "cpu/dispatch.h"

typedef __m256 vec;
#define VEC_LANES 8

static inline vec vec_load(const float *from)
{
    return _mm256_loadu_ps(from);
}

static inline void vec_store(float *to, vec value)
{
    _mm256_storeu_ps(to, value);
}

static inline vec vec_set1(float value)
{
    return _mm256_set1_ps(value);
}

static inline vec vec_fma(vec a, vec b, vec c)
{
    return _mm256_fmadd_ps(a, b, c);
}

static inline vec vec_prelu(vec x, vec slope)
{
    vec positive = _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_GT_OQ);
    return _mm256_blendv_ps(_mm256_mul_ps(slope, x), x, positive);
}

#include "cpu/x86/conv_kernel.h"

CONV_KERNELS(1)
CONV_KERNELS(2)
CONV_KERNELS(3)
CONV_KERNELS(4)
CONV_KERNELS(5)
CONV_KERNELS(6)
CONV_NEAREST_KERNELS(2)
CONV_NEAREST_KERNELS(4)
CONV_NEAREST_KERNELS(6)

static const ResrConvKernels kernels = {
    .vector_lanes = VEC_LANES,
    .max_px = 6,
    .plain = {CONV_ENTRY(1), CONV_ENTRY(2), CONV_ENTRY(3), CONV_ENTRY(4), CONV_ENTRY(5),
              CONV_ENTRY(6)},
    .nearest = {CONV_NEAREST_ENTRY(2), CONV_NEAREST_ENTRY(4), CONV_NEAREST_ENTRY(6)},
};

static int available(unsigned cpumask)
{
    return (resr_cpu_flags() & cpumask & RESR_CPU_AVX2) != 0;
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

const ResrOps resr_ops_avx2 = RESR_DIRECT_OPS("avx2", available, prepare, release);

#endif
