/* Operations that AVX2 and AVX-512 have under the same name: of a file that defines vec,
 * vec_bits (its integers), MM(name) as the intrinsic of that name for its width, and the casts
 * VEC_BITS and VEC_FLOATS; undefines MM. */

static inline vec vec_load(const float *from)
{
    return MM(loadu_ps)(from);
}

static inline void vec_store(float *to, vec value)
{
    MM(storeu_ps)(to, value);
}

static inline vec vec_set1(float value)
{
    return MM(set1_ps)(value);
}

#define BINARY(name)                                                                               \
    static inline vec vec_##name(vec a, vec b)                                                     \
    {                                                                                              \
        return MM(name##_ps)(a, b);                                                                \
    }
BINARY(add)
BINARY(sub)
BINARY(mul)
BINARY(div)
BINARY(min) /* a < b ? a : b, so that a NaN in b stays */
BINARY(max) /* a > b ? a : b */
#undef BINARY

static inline vec vec_fma(vec a, vec b, vec c)
{
    return MM(fmadd_ps)(a, b, c);
}

static inline vec vec_fnma(vec a, vec b, vec c)
{
    return MM(fnmadd_ps)(a, b, c);
}

/* 2^k from the sum of k, -126 to 127, and 1.5 * 2^23. */
static inline vec vec_power_of_two(vec sum)
{
    vec_bits biased = MM(add_epi32)(VEC_BITS(sum), MM(set1_epi32)(127));
    return VEC_FLOATS(MM(slli_epi32)(biased, 23));
}

#undef MM
