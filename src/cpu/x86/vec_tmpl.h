/* Operations that AVX2 and AVX-512 have under the same name: of a file that defines vec, and
 * MM(name) as the intrinsic of that name for its width. */

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

static inline vec vec_add(vec a, vec b)
{
    return MM(add_ps)(a, b);
}

static inline vec vec_sub(vec a, vec b)
{
    return MM(sub_ps)(a, b);
}

static inline vec vec_mul(vec a, vec b)
{
    return MM(mul_ps)(a, b);
}

static inline vec vec_fma(vec a, vec b, vec c)
{
    return MM(fmadd_ps)(a, b, c);
}

static inline vec vec_fnma(vec a, vec b, vec c)
{
    return MM(fnmadd_ps)(a, b, c);
}

/* a < b ? a : b, so that a NaN in b stays. */
static inline vec vec_min(vec a, vec b)
{
    return MM(min_ps)(a, b);
}

/* a > b ? a : b. */
static inline vec vec_max(vec a, vec b)
{
    return MM(max_ps)(a, b);
}

static inline vec vec_div(vec a, vec b)
{
    return MM(div_ps)(a, b);
}
