/* A vector of eight floats, for the kernel templates. */
#include <immintrin.h>

typedef __m256 vec;
#define VEC_LANES 8

/* Calls X(n) for the numbers of pixels or tiles that have kernels. Accumulators of n x 2 vectors,
 * two weights and a broadcast must fit 16 registers: 6 x 2 + 3 = 15. */
#define VEC_MAX_PX 6
#define EACH_PX(X) X(1) X(2) X(3) X(4) X(5) X(6)
#define EACH_EVEN_PX(X) X(2) X(4) X(6)

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

static inline vec vec_add(vec a, vec b)
{
    return _mm256_add_ps(a, b);
}

static inline vec vec_sub(vec a, vec b)
{
    return _mm256_sub_ps(a, b);
}

static inline vec vec_mul(vec a, vec b)
{
    return _mm256_mul_ps(a, b);
}

static inline vec vec_fma(vec a, vec b, vec c)
{
    return _mm256_fmadd_ps(a, b, c);
}

static inline vec vec_fnma(vec a, vec b, vec c)
{
    return _mm256_fnmadd_ps(a, b, c);
}

/* a < b ? a : b, so that a NaN in b stays. */
static inline vec vec_min(vec a, vec b)
{
    return _mm256_min_ps(a, b);
}

/* a > b ? a : b. */
static inline vec vec_max(vec a, vec b)
{
    return _mm256_max_ps(a, b);
}

static inline vec vec_div(vec a, vec b)
{
    return _mm256_div_ps(a, b);
}

/* 2^k from the sum of k, -126 to 127, and 1.5 * 2^23. */
static inline vec vec_power_of_two(vec sum)
{
    __m256i biased = _mm256_add_epi32(_mm256_castps_si256(sum), _mm256_set1_epi32(127));
    return _mm256_castsi256_ps(_mm256_slli_epi32(biased, 23));
}

static inline vec vec_prelu(vec x, vec slope)
{
    vec positive = _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_GT_OQ);
    return _mm256_blendv_ps(_mm256_mul_ps(slope, x), x, positive);
}
