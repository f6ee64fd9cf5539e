/* A vector of eight floats, for the kernel templates. */
#include <immintrin.h>

typedef __m256 vec;
typedef __m256i vec_bits;
#define VEC_LANES 8

/* Calls X(n) for the numbers of pixels or tiles that have kernels. Accumulators of n x 2 vectors,
 * two weights and a broadcast must fit 16 registers: 6 x 2 + 3 = 15. */
#define VEC_MAX_PX 6
#define EACH_PX(X) X(1) X(2) X(3) X(4) X(5) X(6)
#define EACH_EVEN_PX(X) X(2) X(4) X(6)

#define MM(name) _mm256_##name
#define VEC_BITS _mm256_castps_si256
#define VEC_FLOATS _mm256_castsi256_ps
#include "cpu/x86/vec_tmpl.h"

static inline vec vec_prelu(vec x, vec slope)
{
    vec positive = _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_GT_OQ);
    return _mm256_blendv_ps(_mm256_mul_ps(slope, x), x, positive);
}
