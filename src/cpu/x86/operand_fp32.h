/* Operands of Winograd's products: fp32. After vec_*.h; see winograd_tmpl.h and product_tmpl.h. */
#define CELL_VECTORS 1

static inline void store_cell(char *v, const vec *vectors)
{
    vec_store((float *)(void *)v, vectors[0]);
}

typedef vec product_weight;

static inline vec load_weight(const char *from)
{
    return vec_load((const float *)(const void *)from);
}

static inline vec product_step(const char *x, vec w, vec acc)
{
    return vec_fma(vec_set1(*(const float *)(const void *)x), w, acc);
}
