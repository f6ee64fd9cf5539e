/* Rounding to bf16 with fp32 instructions and the bits of vec_avx512_bf16.h; after vec_avx512.h. */

/* Stores 16 channels as fp32; rounds to nearest, ties to even, denormals to zero; NaN stays NaN. */
static inline void vec_store_bf16emu(char *to, vec value)
{
    enum { DENORMAL = 0x20, ANY_NAN = 0x81 };
    const __m512i upper = _mm512_set1_epi32((int)0xffff0000u);
    __m512i bits = _mm512_castps_si512(value);
    __m512i even = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    __m512i up = _mm512_add_epi32(bits, _mm512_add_epi32(even, _mm512_set1_epi32(0x7fff)));
    up = _mm512_mask_and_epi32(up, _mm512_fpclass_ps_mask(value, DENORMAL), bits,
                               _mm512_set1_epi32((int)0x80000000u));
    up = _mm512_mask_or_epi32(up, _mm512_fpclass_ps_mask(value, ANY_NAN), bits,
                              _mm512_set1_epi32(0x400000));
    _mm512_storeu_si512(to, _mm512_and_si512(up, upper));
}
