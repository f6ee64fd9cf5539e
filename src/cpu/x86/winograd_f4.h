/* Class `fp32`, F(4x4, 3x3), for all vector widths: included after the definitions that
 * winograd_tmpl.h asks for. */
#define WINOGRAD_OUTPUTS 4
#define WINOGRAD_PARTS 1

static inline void store_cell(char *v, const vec *part)
{
    vec_store((float *)(void *)v, part[0]);
}

#include "cpu/x86/winograd_tmpl.h"

typedef vec product_weight;

static inline vec load_weight(const char *from)
{
    return vec_load((const float *)(const void *)from);
}

static inline vec product_step(const char *x, vec w, vec acc)
{
    return vec_fma(vec_set1(*(const float *)(const void *)x), w, acc);
}

#include "cpu/x86/product_tmpl.h"
