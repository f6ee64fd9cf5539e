/* A vector of sixteen floats, for the kernel templates. */
#include <immintrin.h>

typedef __m512 vec;
typedef __m512i vec_bits;
#define VEC_LANES 16

/* Calls X(n) for the numbers of pixels or tiles that have kernels. Accumulators of n x 2 vectors,
 * two weights and a broadcast must fit 32 registers: 14 x 2 + 3 = 31. */
#define VEC_MAX_PX 14
#define EACH_PX(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)
#define EACH_EVEN_PX(X) X(2) X(4) X(6) X(8) X(10) X(12) X(14)

/* Bits of MXCSR: denormal operands and results count as zero. */
#define RESR_NO_DENORMALS 0x8040u

#define MM(name) _mm512_##name
#define VEC_BITS _mm512_castps_si512
#define VEC_FLOATS _mm512_castsi512_ps
#include "cpu/x86/vec_tmpl.h"

static inline vec vec_prelu(vec x, vec slope)
{
    __mmask16 positive = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_GT_OQ);
    return _mm512_mask_blend_ps(positive, _mm512_mul_ps(slope, x), x);
}
