/* Operands of Winograd's products: bf16, two blocks of 16 channels in a cell. After vec_*.h with
 * vec_store_bf16(); see winograd_tmpl.h and product_tmpl.h. */
#define CELL_VECTORS 2
#define OPERAND_BF16

static inline void store_cell(char *v, const vec *vectors)
{
    vec_store_bf16(v, vectors[0], vectors[1]);
}

#ifdef __AVX512BF16__ /* the emulated AMX backend has products of its own */

typedef __m512bh product_weight;

static inline __m512bh load_weight(const char *from)
{
    return (__m512bh)_mm512_loadu_si512(from);
}

/* VDPBF16PS adds the products of a pair of channels, the odd one first; denormals count as zero. */
static inline vec product_step(const char *x, __m512bh w, vec acc)
{
    return _mm512_dpbf16_ps(acc, w, (__m512bh)_mm512_set1_epi32(*(const int *)(const void *)x));
}

#endif
