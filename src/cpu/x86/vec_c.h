/* The vectors of vec_avx512_bf16.h in the compiler's vector types, with the same bits on any CPU,
 * for the emulated AMX backend. (Plain arrays would work too, but take a sanitizer build minutes.)
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#define VEC_LANES 16

/* It warns of vectors as arguments, but all functions here are inlined. */
#pragma GCC diagnostic ignored "-Wpsabi"

typedef float vec __attribute__((vector_size(VEC_LANES * sizeof(float))));
typedef int32_t vec_bits __attribute__((vector_size(VEC_LANES * sizeof(int32_t))));

static inline vec vec_load(const float *from)
{
    vec value;
    memcpy(&value, from, sizeof value);
    return value;
}

static inline void vec_store(float *to, vec value)
{
    memcpy(to, &value, sizeof value);
}

static inline vec vec_set1(float value)
{
    return value - (vec){0};
}

static inline vec vec_add(vec a, vec b)
{
    return a + b;
}

static inline vec vec_sub(vec a, vec b)
{
    return a - b;
}

static inline vec vec_mul(vec a, vec b)
{
    return a * b;
}

static inline vec vec_div(vec a, vec b)
{
    return a / b;
}

static inline vec vec_select(vec_bits mask, vec a, vec b)
{
    return (vec)((mask & (vec_bits)a) | (~mask & (vec_bits)b));
}

static inline vec vec_min(vec a, vec b)
{
    return vec_select(a < b, a, b);
}

static inline vec vec_max(vec a, vec b)
{
    return vec_select(a > b, a, b);
}

static inline vec vec_power_of_two(vec sum)
{
    return (vec)(((vec_bits)sum + 127) << 23);
}

static inline vec vec_fma(vec a, vec b, vec c)
{
    for (int i = 0; i < VEC_LANES; i++)
        c[i] = fmaf(a[i], b[i], c[i]);
    return c;
}

static inline vec vec_fnma(vec a, vec b, vec c)
{
    return vec_fma(-a, b, c);
}

static inline vec vec_prelu(vec x, vec slope)
{
    return vec_select(x > 0, x, slope * x);
}

static inline uint16_t bf16_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (isnan(value))
        return (uint16_t)(bits >> 16 | 0x40);
    if (fabsf(value) < 0x1p-126f)
        return (uint16_t)(bits >> 16 & 0x8000);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static inline void vec_store_bf16(char *to, vec low, vec high)
{
    uint16_t values[2 * VEC_LANES];
    for (int i = 0; i < VEC_LANES; i++) {
        values[i] = bf16_of(low[i]);
        values[VEC_LANES + i] = bf16_of(high[i]);
    }
    memcpy(to, values, sizeof values);
}
