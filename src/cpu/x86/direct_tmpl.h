/* Direct 3x3 convolution for all vector widths: kernels, and their table `direct`. The including
 * file includes cpu/direct.h and a vec_*.h before: type `vec`, VEC_LANES, vec_load, vec_store,
 * vec_set1, vec_fma(a, b, c) = a * b + c, vec_prelu(x, slope), VEC_MAX_PX, EACH_PX and
 * EACH_EVEN_PX.
 *
 * A kernel keeps the accumulators of `px` output pixels x `vectors` output vectors in registers and
 * sums all taps and input channels before it stores them. Each input value is broadcast once for
 * `vectors` products, each weight vector is loaded once for `px` products.
 *
 * Measured on two cores of a Zen 5 (AVX-512, fp32 peak 540 to 570 GFLOP/s), in GFLOP/s: */
/* clang-format off */
/*   405..530  prototype on NHWC maps of 192 channels, a dense block of 256 x 256, layer by layer
 *   511..531  the same as a wavefront; for channels in whole vectors only
 *   493..520  whole x4plus networks of 4 blocks, 128 x 128, on feature maps in blocks of 16
 *             channels: any number of channels, and constant displacements
 *   +2..4 %   on two cores from unrolling over input channels by 2; 4 is no better; nothing on one
 *   0 %       from 1 to 8 rows per step of the wavefront, within the noise
 */
/* clang-format on */

#include "cpu/x86/activation_tmpl.h"

/* Input pixel of output pixel p and tap kx, counted from args->row. */
#define PLAIN(p, kx) (p)
#define NEAREST(p, kx) (((p) + (kx) + 1) >> 1)

#ifndef ALWAYS_INLINE
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#endif

/* Adds the products of one tap and all input channels. */
ALWAYS_INLINE const float *conv_tap(vec acc[][2], const ResrDirectArgs *args, const float *in,
                                    const float *weight, const int px, const int vectors,
                                    const bool nearest, const int kx)
{
    for (int block = 0; block < args->in_blocks; block++, in += args->in_block_stride) {
#pragma GCC unroll 2
        for (int c = 0; c < args->in_lanes[block]; c++, weight += vectors * VEC_LANES) {
            vec w[2];
#pragma GCC unroll 2
            for (int v = 0; v < vectors; v++)
                w[v] = vec_load(weight + v * VEC_LANES);
#pragma GCC unroll 14
            for (int p = 0; p < px; p++) {
                int step = nearest ? NEAREST(p, kx) : PLAIN(p, kx);
                vec x = vec_set1(in[step * RESR_BLOCK_LANES + c]);
#pragma GCC unroll 2
                for (int v = 0; v < vectors; v++)
                    acc[p][v] = vec_fma(x, w[v], acc[p][v]);
            }
        }
    }
    return weight;
}

/* Floats between the first lanes of a tile and of its vector v, in a feature map. */
ALWAYS_INLINE size_t vector_offset(size_t block_stride, int v)
{
    const int per_block = RESR_BLOCK_LANES / VEC_LANES;
    return (size_t)(v / per_block) * block_stride + (size_t)(v % per_block * VEC_LANES);
}

ALWAYS_INLINE void conv_finish(vec acc[][2], const ResrDirectArgs *args, const int px,
                               const int vectors)
{
#pragma GCC unroll 2
    for (int v = 0; v < vectors; v++) {
        size_t offset = vector_offset(args->out_block_stride, v);
        size_t residual = vector_offset(args->residual_block_stride, v);
        if (args->activation == RESR_ACTIVATION_SLOPE) {
            vec slope = vec_load(args->slope + v * VEC_LANES);
#pragma GCC unroll 14
            for (int p = 0; p < px; p++)
                acc[p][v] = vec_prelu(acc[p][v], slope);
        }
        if (args->activation == RESR_ACTIVATION_SILU) {
#pragma GCC unroll 14
            for (int p = 0; p < px; p++)
                acc[p][v] = vec_silu(acc[p][v]);
        }
        if (args->activation == RESR_ACTIVATION_GATE) {
#pragma GCC unroll 14
            for (int p = 0; p < px; p++)
                acc[p][v] =
                    vec_gate(acc[p][v], vec_load(args->residual + residual + p * RESR_BLOCK_LANES));
        } else if (args->residual) {
            vec factor = vec_set1(args->factor);
#pragma GCC unroll 14
            for (int p = 0; p < px; p++)
                acc[p][v] = vec_fma(factor, acc[p][v],
                                    vec_load(args->residual + residual + p * RESR_BLOCK_LANES));
        }
        if (args->trunk) {
#pragma GCC unroll 14
            for (int p = 0; p < px; p++)
                acc[p][v] = vec_fma(vec_set1(0.2f), acc[p][v],
                                    vec_load(args->trunk + residual + p * RESR_BLOCK_LANES));
        }
#pragma GCC unroll 14
        for (int p = 0; p < px; p++)
            vec_store(args->out + offset + p * RESR_BLOCK_LANES, acc[p][v]);
        if (args->copy) {
            float *copy = args->copy + vector_offset(args->copy_block_stride, v);
#pragma GCC unroll 14
            for (int p = 0; p < px; p++)
                vec_store(copy + p * RESR_BLOCK_LANES, acc[p][v]);
        }
    }
}

ALWAYS_INLINE void conv_run(const ResrDirectArgs *args, const int px, const int vectors,
                            const bool nearest)
{
    vec acc[RESR_DIRECT_MAX_PX][2];
#pragma GCC unroll 14
    for (int p = 0; p < px; p++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            acc[p][v] = vec_load(args->bias + v * VEC_LANES);

    const float *weight = args->weight;
    if (args->is_1x1)
        conv_tap(acc, args, args->row[1] + RESR_BLOCK_LANES, weight, px, vectors, false, 0);
    for (int ky = 0; ky < 3 && !args->is_1x1; ky++) {
        const float *in = args->row[ky];
        if (nearest) { /* the displacements depend on kx: three copies with constants */
            weight = conv_tap(acc, args, in, weight, px, vectors, true, 0);
            weight = conv_tap(acc, args, in, weight, px, vectors, true, 1);
            weight = conv_tap(acc, args, in, weight, px, vectors, true, 2);
        } else {
            for (int kx = 0; kx < 3; kx++, in += RESR_BLOCK_LANES)
                weight = conv_tap(acc, args, in, weight, px, vectors, false, 0);
        }
    }
    conv_finish(acc, args, px, vectors);
}

#define CONV_KERNEL(name, px, vectors, nearest)                                                    \
    static void name##px##x##vectors(const ResrDirectArgs *args)                                   \
    {                                                                                              \
        conv_run(args, px, vectors, nearest);                                                      \
    }
#define PLAIN_KERNELS(px) CONV_KERNEL(conv_, px, 1, false) CONV_KERNEL(conv_, px, 2, false)
#define NEAREST_KERNELS(px) CONV_KERNEL(nearest_, px, 1, true) CONV_KERNEL(nearest_, px, 2, true)
#define PLAIN_ENTRY(px) [px] = {NULL, conv_##px##x1, conv_##px##x2},
#define NEAREST_ENTRY(px) [px] = {NULL, nearest_##px##x1, nearest_##px##x2},

EACH_PX(PLAIN_KERNELS)
EACH_EVEN_PX(NEAREST_KERNELS)

static const ResrDirectKernels direct = {
    .vector_lanes = VEC_LANES,
    .max_px = VEC_MAX_PX,
    .plain = {EACH_PX(PLAIN_ENTRY)},
    .nearest = {EACH_EVEN_PX(NEAREST_ENTRY)},
};
