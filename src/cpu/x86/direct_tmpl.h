/* Direct 3x3 convolution, written once for all vector widths. The including file defines, before
 * the include: the type `vec` and vec_load, vec_store, vec_set1 (also from memory), vec_fma(a, b,
 * c) = a * b + c, vec_prelu(x, slope); VEC_LANES; and after it the table of kernels.
 *
 * Shape: `px` output pixels x `vectors` output vectors of accumulators in registers, all taps and
 * input channels summed before they are stored. Each input value is broadcast once for the
 * `vectors` products, each weight vector is loaded once for the `px` products.
 *
 * Ladder on two cores of a Zen 5 (AVX-512, fp32 peak 540 to 570 GFLOP/s), GFLOP/s:
 *   405..530  prototype on NHWC maps of 192 channels, one dense block of 256 x 256, layer by layer;
 *   511..531  the same walking rows as a wave. Only for channels in whole vectors.
 *   493..520  whole x4plus networks of 4 blocks, 128 x 128, on maps in blocks of 16 channels
 *             (cpu/feature_map.h): every channel count, and all steps are constant displacements.
 * Rows per step of the wave, from 1 to 8, made no difference beyond the noise. +2..4 %   on two
 * cores from unrolling over input channels by 2; by 4 is no better, and on one core neither shows.
 */

/* Step between an output pixel's neighbours in the input, in pixels from args->row. */
#define PLAIN(p, kx) (p)
#define NEAREST(p, kx) (((p) + (kx) + 1) >> 1)

#ifndef ALWAYS_INLINE
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#endif

/* One tap: adds the products of all input channels. */
ALWAYS_INLINE const float *conv_tap(vec acc[][2], const ResrDirectArgs *args, const float *in,
                                    const float *weight, const int px, const int vectors,
                                    const int nearest, const int kx)
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

/* Floats from a tile's first lane to those of vector v, in a map. */
ALWAYS_INLINE size_t vector_offset(const ResrDirectArgs *args, int v)
{
    const int per_block = RESR_BLOCK_LANES / VEC_LANES;
    return (size_t)(v / per_block) * args->out_block_stride + (size_t)(v % per_block * VEC_LANES);
}

ALWAYS_INLINE void conv_finish(vec acc[][2], const ResrDirectArgs *args, const int px,
                               const int vectors)
{
#pragma GCC unroll 2
    for (int v = 0; v < vectors; v++) {
        size_t offset = vector_offset(args, v);
        if (args->slope) {
            vec slope = vec_load(args->slope + v * VEC_LANES);
#pragma GCC unroll 14
            for (int p = 0; p < px; p++)
                acc[p][v] = vec_prelu(acc[p][v], slope);
        }
        if (args->residual) {
            vec factor = vec_set1(args->factor);
#pragma GCC unroll 14
            for (int p = 0; p < px; p++)
                acc[p][v] = vec_fma(factor, acc[p][v],
                                    vec_load(args->residual + offset + p * RESR_BLOCK_LANES));
        }
        if (args->trunk) {
#pragma GCC unroll 14
            for (int p = 0; p < px; p++)
                acc[p][v] = vec_fma(vec_set1(0.2f), acc[p][v],
                                    vec_load(args->trunk + offset + p * RESR_BLOCK_LANES));
        }
#pragma GCC unroll 14
        for (int p = 0; p < px; p++)
            vec_store(args->out + offset + p * RESR_BLOCK_LANES, acc[p][v]);
        if (args->copy) {
#pragma GCC unroll 14
            for (int p = 0; p < px; p++)
                vec_store(args->copy + offset + p * RESR_BLOCK_LANES, acc[p][v]);
        }
    }
}

ALWAYS_INLINE void conv_run(const ResrDirectArgs *args, const int px, const int vectors,
                            const int nearest)
{
    vec acc[RESR_DIRECT_MAX_PX][2];
#pragma GCC unroll 14
    for (int p = 0; p < px; p++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            acc[p][v] = vec_load(args->bias + v * VEC_LANES);

    const float *weight = args->weight;
    for (int ky = 0; ky < 3; ky++) {
        const float *in = args->row[ky];
        if (nearest) { /* the steps depend on kx: three copies with constants */
            weight = conv_tap(acc, args, in, weight, px, vectors, 1, 0);
            weight = conv_tap(acc, args, in, weight, px, vectors, 1, 1);
            weight = conv_tap(acc, args, in, weight, px, vectors, 1, 2);
        } else {
            for (int kx = 0; kx < 3; kx++, in += RESR_BLOCK_LANES)
                weight = conv_tap(acc, args, in, weight, px, vectors, 0, 0);
        }
    }
    conv_finish(acc, args, px, vectors);
}

#define CONV_KERNEL(px, vectors)                                                                   \
    static void conv_##px##x##vectors(const ResrDirectArgs *args)                                  \
    {                                                                                              \
        conv_run(args, px, vectors, 0);                                                            \
    }
#define CONV_NEAREST_KERNEL(px, vectors)                                                           \
    static void conv_nearest_##px##x##vectors(const ResrDirectArgs *args)                          \
    {                                                                                              \
        conv_run(args, px, vectors, 1);                                                            \
    }
#define CONV_KERNELS(px) CONV_KERNEL(px, 1) CONV_KERNEL(px, 2)
#define CONV_NEAREST_KERNELS(px) CONV_NEAREST_KERNEL(px, 1) CONV_NEAREST_KERNEL(px, 2)
#define CONV_ENTRY(px) [px] = {NULL, conv_##px##x1, conv_##px##x2}
#define CONV_NEAREST_ENTRY(px) [px] = {NULL, conv_nearest_##px##x1, conv_nearest_##px##x2}
