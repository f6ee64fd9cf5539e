/* The activations of SPAN for all vector widths; the including file includes a vec_*.h before.
 * cpu/sigmoid.h defines sigmoid(x) in these operations, so all backends give the same bits. */

#ifndef RESR_CPU_X86_ACTIVATION_TMPL_H
#define RESR_CPU_X86_ACTIVATION_TMPL_H

#include "cpu/sigmoid.h"

#ifndef ALWAYS_INLINE
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#endif

ALWAYS_INLINE vec vec_sigmoid(vec x)
{
    const vec one = vec_set1(1), magic = vec_set1(RESR_SIGMOID_MAGIC);
    vec t = vec_sub(vec_set1(0), x);
    t = vec_max(vec_set1(-RESR_SIGMOID_MAX), vec_min(vec_set1(RESR_SIGMOID_MAX), t));
    vec shifted = vec_fma(t, vec_set1(RESR_SIGMOID_LOG2_E), magic);
    vec k = vec_sub(shifted, magic);
    vec r = vec_fnma(k, vec_set1(RESR_SIGMOID_LN2_HIGH), t);
    r = vec_fnma(k, vec_set1(RESR_SIGMOID_LN2_LOW), r);
    vec p = vec_fma(vec_set1(RESR_SIGMOID_C5), r, vec_set1(RESR_SIGMOID_C4));
    p = vec_fma(p, r, vec_set1(RESR_SIGMOID_C3));
    p = vec_fma(p, r, vec_set1(RESR_SIGMOID_C2));
    p = vec_fma(p, r, one);
    p = vec_fma(p, r, one);
    return vec_div(one, vec_fma(p, vec_power_of_two(shifted), one));
}

ALWAYS_INLINE vec vec_silu(vec x)
{
    return vec_mul(x, vec_sigmoid(x));
}

ALWAYS_INLINE vec vec_gate(vec y, vec x)
{
    return vec_mul(vec_add(y, x), vec_sub(vec_sigmoid(y), vec_set1(0.5f)));
}

#endif
