/* The classes with bf16 operands, F(2x2, 3x3): what their products have in common. Included after
 * vec_avx512.h. Two blocks of 16 channels are rounded (to nearest, ties to even) into one cell. */
#define WINOGRAD_OUTPUTS 2
#define WINOGRAD_PARTS 2

static inline void store_cell(char *v, const vec *part)
{
    vec_store_bf16(v, part[0], part[1]);
}

#include "cpu/x86/winograd_tmpl.h"

static void winograd_output_2(const ResrWinogradOutput *out)
{
    output_cases(out, 2);
}
