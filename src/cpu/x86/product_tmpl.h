/* Winograd's products for all vector widths and types of operands: product_1() and, if a vector is
 * a block, product_2(), for ResrWinogradKernels.product. The including file includes before:
 *   vec_*.h       vec and its functions, VEC_MAX_PX, EACH_PX
 *   operand_*.h   product_weight          a vector of weights
 *                 load_weight(from)
 *                 product_step(x, w, acc) acc plus w times the operand at `x` (4 bytes: a float or
 *                                         two bf16)
 *                 OPERAND_AT(k)           byte of the cell's operand for weight k, if not k
 *                 PRODUCTS_WITHOUT_DENORMALS  if denormals must count as zero
 *
 * A kernel keeps the accumulators of tiles x vectors in registers; each operand of V is broadcast
 * once for `vectors` products, each vector of weights is loaded once for `tiles` products. */

#ifndef OPERAND_AT
#define OPERAND_AT(k) (k)
#endif

ALWAYS_INLINE void product_run(const ResrWinogradProduct *args, int first, const int tiles,
                               const int vectors)
{
    const int weight_bytes = VEC_LANES * RESR_WINOGRAD_CELL_BYTES / RESR_BLOCK_LANES;
    vec acc[VEC_MAX_PX][2];
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

typedef void (*ProductKernel)(const ResrWinogradProduct *args, int first);

/* Runs all tiles in groups of about equal size. The kernels work from memory to memory, so none of
 * their arithmetic can leave the two changes of MXCSR. */
static inline void product_groups(const ResrWinogradProduct *args, const ProductKernel *kernels)
{
    int groups = (args->tiles + VEC_MAX_PX - 1) / VEC_MAX_PX;
#ifdef PRODUCTS_WITHOUT_DENORMALS
    unsigned control = _mm_getcsr();
    _mm_setcsr(control | RESR_NO_DENORMALS);
#endif
    for (int i = 0; i < groups; i++) {
        int start = args->tiles * i / groups, end = args->tiles * (i + 1) / groups;
        kernels[end - start](args, start);
    }
#ifdef PRODUCTS_WITHOUT_DENORMALS
    _mm_setcsr(control);
#endif
}

#define PRODUCT(tiles, vectors)                                                                    \
    static void product_##tiles##x##vectors(const ResrWinogradProduct *args, int first)            \
    {                                                                                              \
        product_run(args, first, tiles, vectors);                                                  \
    }
#define PRODUCT_X1(tiles) PRODUCT(tiles, 1)
#define PRODUCT_X2(tiles) PRODUCT(tiles, 2)
#define ENTRY_X1(tiles) [tiles] = product_##tiles##x1,
#define ENTRY_X2(tiles) [tiles] = product_##tiles##x2,

EACH_PX(PRODUCT_X2)

#if VEC_LANES == RESR_BLOCK_LANES

EACH_PX(PRODUCT_X1)

static void product_1(const ResrWinogradProduct *args)
{
    static const ProductKernel kernels[] = {EACH_PX(ENTRY_X1)};
    product_groups(args, kernels);
}

static void product_2(const ResrWinogradProduct *args)
{
    static const ProductKernel kernels[] = {EACH_PX(ENTRY_X2)};
    product_groups(args, kernels);
}

#else

/* A block of 16 output channels is two vectors. */
static void product_1(const ResrWinogradProduct *args)
{
    static const ProductKernel kernels[] = {EACH_PX(ENTRY_X2)};
    product_groups(args, kernels);
}

#endif
