/* AMX-BF16 backend of class `bf16-amx`: Winograd F(2x2, 3x3) as avx512_bf16.c has it, with the
 * products on tiles. 4 accumulators (2 x 16 Winograd tiles, 2 x 16 output channels), 2 tiles of V
 * and 2 of weights, straight from their layouts: 16 neighbouring cells of V are a tile, and so are
 * a cell's 16 pairs of input channels by 16 output channels. For 4 dot products 4 tiles are loaded.
 *
 * RESR_AMX_EMULATED makes the twin that the tests run where there is no AMX. The speed on hardware
 * has not been measured: the project had no such machine. */
#include "cpu/backends.h"

#if defined(RESR_AMX_EMULATED) || defined(RESR_HAVE_AMX)
#include "cpu/dispatch.h"
#include "cpu/forward.h"
#include "cpu/winograd.h"
#include "cpu/x86/amx_tile.h"
#ifdef RESR_AMX_EMULATED
#include "cpu/x86/vec_c.h"
#else
#include "cpu/x86/vec_avx512_bf16.h"
#endif

#include "cpu/x86/winograd_f2.h"

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

static const ResrWinogradKernels winograd = {
    .outputs = WINOGRAD_OUTPUTS,
    .bf16 = 1,
    .shared = 1,
    .tile_lanes = 32,
    .strip_tiles = 64,
    .input = {winograd_input, winograd_input_nearest},
    .product = {NULL, product_1, product_2},
    .output = {NULL, winograd_output_1, winograd_output_2},
};

static int prepare(void **packed, const ResrModel *model)
{
    static const ResrConvKernels kernels = {.winograd = &winograd};
    return resr_packed_net_create(packed, model, &kernels, &resr_kernels_avx512_fp32);
}

#ifdef RESR_AMX_EMULATED

static int available(unsigned cpumask)
{
    (void)cpumask;
    return 1;
}

const ResrOps resr_ops_amx_emulated =
    RESR_FORWARD_OPS("amx_emulated", "bf16-amx", available, prepare);

#else

static int available(unsigned cpumask)
{
    return (resr_cpu_flags() & cpumask & RESR_CPU_AMX_BF16) != 0;
}

const ResrOps resr_ops_amx_bf16 = RESR_FORWARD_OPS("amx_bf16", "bf16-amx", available, prepare);

#endif
#endif
