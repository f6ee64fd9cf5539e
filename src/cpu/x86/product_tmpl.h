/* Products with vector instructions, for fp32 and bf16 operands and all vector widths. The
 * including file defines vec and its functions, and:
 *   product_weight, load_weight(from)   a vector of weights
 *   product_step(x, w, acc)             acc plus w times the operand at `x` (4 bytes: a float, two
 *                                       bf16)
 *   OPERAND_AT(k)                       byte of a cell's operand that weight k belongs to, if not k
 *
 * Shape: tiles x vectors of accumulators in registers; each operand of V is broadcast once for the
 * vectors' products, each vector of weights is loaded once for the tiles'. */

#ifndef OPERAND_AT
#define OPERAND_AT(k) (k)
#endif

ALWAYS_INLINE void product_run(const ResrWinogradProduct *args, int first, const int tiles,
                               const int vectors)
{
    const int weight_bytes = VEC_LANES * RESR_WINOGRAD_CELL_BYTES / RESR_BLOCK_LANES;
    vec acc[RESR_WINOGRAD_MAX_TILES][2];
    const char *weight = args->weight;
#pragma GCC unroll 14
    for (int t = 0; t < tiles; t++)
#pragma GCC unroll 2
        for (int n = 0; n < vectors; n++)
            acc[t][n] = vec_set1(0);
    for (int cell = 0; cell < args->cells; cell++) {
        const char *v = args->v[cell] + args->v_offset + first * RESR_WINOGRAD_CELL_BYTES;
#pragma GCC unroll 2
        for (int k = 0; k < RESR_WINOGRAD_CELL_BYTES; k += 4, weight += vectors * weight_bytes) {
            const char *x = v + OPERAND_AT(k);
            product_weight w[2];
#pragma GCC unroll 2
            for (int n = 0; n < vectors; n++)
                w[n] = load_weight(weight + n * weight_bytes);
#pragma GCC unroll 14
            for (int t = 0; t < tiles; t++)
#pragma GCC unroll 2
                for (int n = 0; n < vectors; n++)
                    acc[t][n] = product_step(x + t * RESR_WINOGRAD_CELL_BYTES, w[n], acc[t][n]);
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
#define PRODUCTS_1_TO_6(vectors)                                                                   \
    PRODUCT(1, vectors)                                                                            \
    PRODUCT(2, vectors)                                                                            \
    PRODUCT(3, vectors) PRODUCT(4, vectors) PRODUCT(5, vectors) PRODUCT(6, vectors)
#define PRODUCTS_7_TO_14(vectors)                                                                  \
    PRODUCT(7, vectors)                                                                            \
    PRODUCT(8, vectors)                                                                            \
    PRODUCT(9, vectors)                                                                            \
    PRODUCT(10, vectors)                                                                           \
    PRODUCT(11, vectors) PRODUCT(12, vectors) PRODUCT(13, vectors) PRODUCT(14, vectors)
#define ENTRIES_1_TO_6(vectors)                                                                    \
    NULL, product_1x##vectors, product_2x##vectors, product_3x##vectors, product_4x##vectors,      \
        product_5x##vectors, product_6x##vectors
#define ENTRIES_7_TO_14(vectors)                                                                   \
    product_7x##vectors, product_8x##vectors, product_9x##vectors, product_10x##vectors,           \
        product_11x##vectors, product_12x##vectors, product_13x##vectors, product_14x##vectors

typedef void (*ProductKernel)(const ResrWinogradProduct *args, int first);

/* All tiles, in groups of about equal size of at most `most`. */
static inline void product_groups(const ResrWinogradProduct *args, const ProductKernel *kernels,
                                  int most)
{
    int groups = (args->tiles + most - 1) / most;
    for (int i = 0; i < groups; i++) {
        int start = args->tiles * i / groups, end = args->tiles * (i + 1) / groups;
        kernels[end - start](args, start);
    }
}
