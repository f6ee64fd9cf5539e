/* AMX-BF16 backend of class `bf16-amx`: Winograd F(2x2, 3x3) as in avx512_bf16.c, with the products
 * on AMX tiles. Both operands load straight from their layouts: 16 neighbouring cells of V are an
 * AMX tile, and so are a cell's 16 pairs of input channels by 16 output channels. Four accumulators
 * (2 x 16 Winograd tiles, 2 x 16 output channels), two AMX tiles of V and two of weights: four
 * loads for four dot products.
 *
 * With RESR_AMX_EMULATED the tests build it for machines without AMX. Its speed on hardware is not
 * known: no machine with AMX was available. */
#include "cpu/backends.h"

#if defined(RESR_AMX_EMULATED) || defined(RESR_HAVE_AMX)
#include "base/cpu_features.h"
#include "cpu/forward.h"
#include "cpu/winograd.h"
#include "cpu/x86/amx_tile.h"
#ifdef RESR_AMX_EMULATED
#include "cpu/x86/vec_c.h"
#else
#include "cpu/x86/vec_avx512_bf16.h"
#endif

#include "cpu/x86/operand_bf16.h"
#define WINOGRAD_OUTPUTS 2
#define WINOGRAD_SHARED
#define WINOGRAD_STRIP_TILES 64
#include "cpu/x86/winograd_tmpl.h"

enum { LANES = RESR_BLOCK_LANES, CELL = RESR_WINOGRAD_CELL_BYTES };

/* 16 Winograd tiles from `first` on, 16 output channels. */
static void product_16(const ResrWinogradProduct *args, int first)
{
    const char *weight = args->weight;
    AMX_ZERO(0);
    for (int cell = 0; cell < args->cells; cell++, weight += LANES * CELL) {
        AMX_LOAD(4, args->v[cell] + args->v_offset + first * CELL, CELL);
        AMX_LOAD(6, weight, CELL);
        AMX_DOT_BF16(0, 4, 6);
    }
    AMX_STORE(0, args->m + first * LANES, CELL);
}

static void product_1(const ResrWinogradProduct *args)
{
    amx_configure();
    for (int first = 0; first < args->tiles; first += AMX_ROWS)
        product_16(args, first);
}

/* 16 Winograd tiles, 32 output channels. */
static void product_16x2(const ResrWinogradProduct *args, int first)
{
    const char *weight = args->weight;
    float *m = args->m + first * 2 * LANES;
    AMX_ZERO(0);
    AMX_ZERO(1);
    for (int cell = 0; cell < args->cells; cell++, weight += 2 * LANES * CELL) {
        AMX_LOAD(4, args->v[cell] + args->v_offset + first * CELL, CELL);
        AMX_LOAD(6, weight, 2 * CELL);
        AMX_LOAD(7, weight + CELL, 2 * CELL);
        AMX_DOT_BF16(0, 4, 6);
        AMX_DOT_BF16(1, 4, 7);
    }
    AMX_STORE(0, m, 2 * CELL);
    AMX_STORE(1, m + LANES, 2 * CELL);
}

/* 32 Winograd tiles, 32 output channels. */
static void product_32x2(const ResrWinogradProduct *args, int first)
{
    const char *weight = args->weight;
    float *m = args->m + first * 2 * LANES;
    AMX_ZERO(0);
    AMX_ZERO(1);
    AMX_ZERO(2);
    AMX_ZERO(3);
    for (int cell = 0; cell < args->cells; cell++, weight += 2 * LANES * CELL) {
        const char *v = args->v[cell] + args->v_offset + first * CELL;
        AMX_LOAD(4, v, CELL);
        AMX_LOAD(6, weight, 2 * CELL);
        AMX_LOAD(7, weight + CELL, 2 * CELL);
        AMX_DOT_BF16(0, 4, 6);
        AMX_DOT_BF16(1, 4, 7);
        AMX_LOAD(5, v + AMX_ROWS * CELL, CELL);
        AMX_DOT_BF16(2, 5, 6);
        AMX_DOT_BF16(3, 5, 7);
    }
    AMX_STORE(0, m, 2 * CELL);
    AMX_STORE(1, m + LANES, 2 * CELL);
    AMX_STORE(2, m + 2 * AMX_ROWS * LANES, 2 * CELL);
    AMX_STORE(3, m + 2 * AMX_ROWS * LANES + LANES, 2 * CELL);
}

static void product_2(const ResrWinogradProduct *args)
{
    amx_configure();
    for (int first = 0; first < args->tiles; first += 2 * AMX_ROWS)
        if (args->tiles - first > AMX_ROWS)
            product_32x2(args, first);
        else
            product_16x2(args, first);
}

#include "cpu/x86/winograd_table.h"

static const ResrConvKernels f2 = {.winograd = &winograd};

#ifdef RESR_AMX_EMULATED
const ResrOps resr_ops_amx_emulated = {
    .name = "amx_emulated",
#else
const ResrOps resr_ops_amx_bf16 = {
    .name = "amx_bf16",
    .cpu_needs = RESR_CPU_AMX_BF16,
#endif
    .numerics = RESR_NUMERICS_BF16_AMX,
    .kernels =
        &(const ResrNetKernels){&f2, &f2, &resr_kernels_avx512_fp32, &resr_kernels_avx512_exact},
    RESR_FORWARD_OPS,
};

#endif
