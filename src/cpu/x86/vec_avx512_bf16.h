/* vec_avx512.h, and rounding to bf16 by its instruction. */
#include "cpu/x86/vec_avx512.h"

/* Stores 32 channels, those of `low` first; rounds to nearest, ties to even, denormals to zero. */
static inline void vec_store_bf16(char *to, vec low, vec high)
{
    _mm512_storeu_si512(to, (__m512i)_mm512_cvtne2ps_pbh(high, low));
}
