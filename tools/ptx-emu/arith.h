// Scalar arithmetic of PTX. Registers hold raw bits; F, D, U and U64 convert.
#ifndef PTX_EMU_ARITH_H
#define PTX_EMU_ARITH_H

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

using std::isnan;

template <class T> static inline T load(const char *p)
{
    T value;
    memcpy(&value, p, sizeof value);
    return value;
}

template <class T> static inline void store(char *p, T value)
{
    memcpy(p, &value, sizeof value);
}

static inline float F(uint32_t bits)
{
    return load<float>((const char *)&bits);
}

static inline double D(uint64_t bits)
{
    return load<double>((const char *)&bits);
}

static inline uint32_t U(float value)
{
    return load<uint32_t>((const char *)&value);
}

static inline uint64_t U64(double value)
{
    return load<uint64_t>((const char *)&value);
}

static inline float bf16_to_float(uint16_t bits)
{
    return F((uint32_t)bits << 16);
}

static inline uint16_t float_to_bf16(float value)
{
    uint32_t bits = U(value);
    return isnan(value) ? 0x7fff : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

static inline float half_to_float(uint16_t bits)
{
    return __builtin_ia32_vcvtph2ps((__attribute__((vector_size(16))) short){(short)bits})[0];
}

static inline uint16_t float_to_half(float value)
{
    return (uint16_t)__builtin_ia32_vcvtps2ph((__attribute__((vector_size(16))) float){value},
                                              0)[0];
}

static inline uint32_t float_to_tf32(float value)
{
    return (U(value) + 0x1000) & 0xffffe000u;
}

static inline float tf32_to_float(uint32_t bits)
{
    return F(bits & 0xffffe000u);
}

static inline float FMA(float a, float b, float c)
{
    return fmaf(a, b, c);
}

static inline double FMA(double a, double b, double c)
{
    return fma(a, b, c);
}

static inline float saturate(float x)
{
    return x > 0.f ? (x < 1.f ? x : 1.f) : 0.f; // NaN becomes 0
}

static inline float min_nan(float a, float b)
{
    return isnan(a) || isnan(b) ? NAN : fminf(a, b);
}

static inline float max_nan(float a, float b)
{
    return isnan(a) || isnan(b) ? NAN : fmaxf(a, b);
}

template <class T> static inline T int_div(T a, T b)
{
    return b ? (T)(a / b) : (T)-1;
}

template <class T> static inline T int_rem(T a, T b)
{
    return b ? (T)(a % b) : a;
}

template <class T> static inline T low_bits(unsigned count)
{
    return count >= sizeof(T) * 8 ? (T) ~(T)0 : (T)(((T)1 << count) - 1);
}

// shf: a and b are the low and the high half.
static inline uint32_t funnel_shift(bool left, bool clamp, uint32_t a, uint32_t b, uint32_t count)
{
    unsigned n = clamp ? (count > 32 ? 32 : count) : count & 31;
    uint64_t value = (uint64_t)b << 32 | a;
    if (n == 32)
        return left ? a : b;
    return left ? (uint32_t)(value << n >> 32) : (uint32_t)(value >> n);
}

// bfe: bits position .. position + length - 1 of a, T unsigned; the sign is that of the last bit.
template <class T, bool SIGNED> static inline T bit_extract(T a, uint32_t position, uint32_t length)
{
    const unsigned width = sizeof(T) * 8;
    unsigned at = position & 255, n = length & 255;
    T result = at < width && n ? (T)(a >> at & low_bits<T>(n)) : 0;
    if (!SIGNED || !n)
        return result;
    unsigned last = at + n - 1 < width ? at + n - 1 : width - 1;
    if (!(a >> last & 1))
        return result;
    if (at >= width)
        return (T) ~(T)0;
    unsigned valid = n < width - at ? n : width - at;
    return valid < width ? (T)(result | (T) ~(T)0 << valid) : result;
}

// bfi: a's low bits at position .. position + length - 1 of b.
template <class T> static inline T bit_insert(T a, T b, uint32_t position, uint32_t length)
{
    unsigned at = position & 255, n = length & 255;
    if (at >= sizeof(T) * 8 || !n)
        return b;
    T mask = (T)(low_bits<T>(n) << at);
    return (T)((b & ~mask) | ((a << at) & mask));
}

template <class T> static inline uint32_t leading_zeros(T x)
{
    return x ? __builtin_clzll(x) - (64 - sizeof(T) * 8) : sizeof(T) * 8;
}

template <class T> static inline T bit_reverse(T x)
{
    T result = 0;
    for (unsigned i = 0; i < sizeof(T) * 8; i++)
        result |= (x >> i & 1) << (sizeof(T) * 8 - 1 - i);
    return result;
}

// bfind: the place of the highest bit that differs from the sign, T unsigned; as_shift: how far a
// left shift would have to move it to the top.
template <class T> static inline uint32_t bit_find(T x, bool is_signed, bool as_shift)
{
    const uint32_t top = sizeof(T) * 8 - 1;
    if (is_signed && x >> top)
        x = (T)~x;
    if (!x)
        return ~0u;
    uint32_t shift = leading_zeros(x);
    return as_shift ? shift : top - shift;
}

// prmt: each nibble of the selector chooses a byte of b:a, or with its high bit that byte's sign.
static inline uint32_t permute_bytes(uint32_t a, uint32_t b, uint32_t selector)
{
    uint64_t bytes = (uint64_t)b << 32 | a;
    uint32_t result = 0;
    for (int i = 0; i < 4; i++) {
        unsigned nibble = selector >> (4 * i) & 15;
        uint8_t byte = bytes >> ((nibble & 7) * 8);
        if (nibble & 8)
            byte = byte & 128 ? 255 : 0;
        result |= (uint32_t)byte << (8 * i);
    }
    return result;
}

// lop3: bit n of the table is the result for a, b, c = bits 2, 1, 0 of n.
static inline uint32_t logic3(uint32_t a, uint32_t b, uint32_t c, unsigned table)
{
    uint32_t result = 0;
    for (unsigned n = 0; n < 8; n++)
        if (table >> n & 1)
            result |= (n & 4 ? a : ~a) & (n & 2 ? b : ~b) & (n & 1 ? c : ~c);
    return result;
}

static inline uint32_t dot_bytes(uint32_t a, uint32_t b, bool a_signed, bool b_signed)
{
    uint32_t sum = 0;
    for (int i = 0; i < 4; i++) {
        int x = a_signed ? (int8_t)(a >> 8 * i) : (uint8_t)(a >> 8 * i);
        int y = b_signed ? (int8_t)(b >> 8 * i) : (uint8_t)(b >> 8 * i);
        sum += (uint32_t)(x * y);
    }
    return sum;
}

// Saturates; NaN becomes 0. The caller has rounded x.
template <class T> static inline T float_to_int(double x)
{
    typedef std::numeric_limits<T> Limits;
    if (isnan(x))
        return 0;
    if (x <= (double)Limits::min())
        return Limits::min();
    return x >= (double)Limits::max() ? Limits::max() : (T)x;
}

template <class T> static inline float int_to_float_toward_zero(T x)
{
    float f = (float)x;
    bool is_beyond = x > 0 ? (double)f > (double)x : (double)f < (double)x;
    return is_beyond ? nextafterf(f, 0) : f;
}

template <class T, class S> static inline T int_saturate(S x)
{
    __int128 value = x, low = std::numeric_limits<T>::min(), high = std::numeric_limits<T>::max();
    return (T)(value < low ? low : value > high ? high : value);
}

#endif
