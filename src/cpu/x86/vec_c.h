/* The vectors of vec_avx512_bf16.h in plain C, with the same bits: for the emulated AMX backend. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#define VEC_LANES 16

typedef struct vec {
    float lane[VEC_LANES];
} vec;

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
    vec out;
    for (int i = 0; i < VEC_LANES; i++)
        out.lane[i] = value;
    return out;
}

static inline vec vec_add(vec a, vec b)
{
    for (int i = 0; i < VEC_LANES; i++)
        a.lane[i] += b.lane[i];
    return a;
}

static inline vec vec_sub(vec a, vec b)
{
    for (int i = 0; i < VEC_LANES; i++)
        a.lane[i] -= b.lane[i];
    return a;
}

static inline vec vec_fma(vec a, vec b, vec c)
{
    for (int i = 0; i < VEC_LANES; i++)
        c.lane[i] = fmaf(a.lane[i], b.lane[i], c.lane[i]);
    return c;
}

static inline vec vec_prelu(vec x, vec slope)
{
    for (int i = 0; i < VEC_LANES; i++)
        x.lane[i] = x.lane[i] > 0 ? x.lane[i] : slope.lane[i] * x.lane[i];
    return x;
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
        values[i] = bf16_of(low.lane[i]);
        values[VEC_LANES + i] = bf16_of(high.lane[i]);
    }
    memcpy(to, values, sizeof values);
}
