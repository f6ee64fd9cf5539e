/* Products of class `fp32`, for F(4x4, 3x3) and all vector widths: included after the definitions
 * that winograd_kernel.h asks for.
 *
 * Shape: tiles x vectors of accumulators in registers, each input value broadcast once for the
 * vectors' products, each weight vector loaded once for the tiles'. */
#define WINOGRAD_OUTPUTS 4
#define WINOGRAD_PARTS 1

static inline void store_cell(char *v, const vec *part)
{
    vec_store((float *)(void *)v, part[0]);
}

#include "cpu/x86/winograd_kernel.h"

ALWAYS_INLINE void product_run(const ResrWinogradProduct *args, int first, const int tiles,
                               const int vectors)
{
    vec acc[RESR_DIRECT_MAX_PX][2];
    const float *weight = args->weight;
#pragma GCC unroll 14
    for (int t = 0; t < tiles; t++)
#pragma GCC unroll 2
        for (int n = 0; n < vectors; n++)
            acc[t][n] = vec_load(args->init + n * VEC_LANES);
    for (int cell = 0; cell < args->cells; cell++) {
        const float *v = (const float *)(const void *)(args->v[cell] + args->v_offset) +
                         first * RESR_BLOCK_LANES;
#pragma GCC unroll 2
        for (int k = 0; k < RESR_BLOCK_LANES; k++, weight += vectors * VEC_LANES) {
            vec w[2];
#pragma GCC unroll 2
            for (int n = 0; n < vectors; n++)
                w[n] = vec_load(weight + n * VEC_LANES);
#pragma GCC unroll 14
            for (int t = 0; t < tiles; t++) {
                vec x = vec_set1(v[t * RESR_BLOCK_LANES + k]);
#pragma GCC unroll 2
                for (int n = 0; n < vectors; n++)
                    acc[t][n] = vec_fma(x, w[n], acc[t][n]);
            }
        }
    }
    float *m = args->m + first * vectors * VEC_LANES;
#pragma GCC unroll 14
    for (int t = 0; t < tiles; t++)
#pragma GCC unroll 2
        for (int n = 0; n < vectors; n++)
            vec_store(m + (t * vectors + n) * VEC_LANES, acc[t][n]);
}

#define PRODUCT(tiles, vectors)                                                                    \
    static void product_##tiles##x##vectors(const ResrWinogradProduct *args, int first)            \
    {                                                                                              \
        product_run(args, first, tiles, vectors);                                                  \
    }

/* All tiles, in groups of about equal size that a kernel exists for. */
typedef void (*ProductKernel)(const ResrWinogradProduct *args, int first);

static inline void product_groups(const ResrWinogradProduct *args, const ProductKernel *kernels,
                                  int most)
{
    int groups = (args->tiles + most - 1) / most;
    for (int i = 0; i < groups; i++) {
        int start = args->tiles * i / groups, end = args->tiles * (i + 1) / groups;
        kernels[end - start](args, start);
    }
}
