/* The table of a set of Winograd kernels, after winograd_tmpl.h and product_tmpl.h (or product_1()
 * and product_2() of the including file), which defines
 *   WINOGRAD_STRIP_TILES    ResrWinogradKernels.strip_tiles
 *   WINOGRAD_SHARED         if inputs transformed once for a dense block pay off */
static const ResrWinogradKernels winograd = {
    .outputs = WINOGRAD_OUTPUTS,
#ifdef OPERAND_BF16
    .bf16 = true,
#endif
#ifdef OPERAND_BF16EMU
    .bf16emu = true,
#endif
#ifdef WINOGRAD_FRACTIONS
    .fractions = true,
#endif
#ifdef WINOGRAD_SHARED
    .shared = true,
#endif
    .tile_lanes = 2 * VEC_LANES,
    .strip_tiles = WINOGRAD_STRIP_TILES,
    .input = {winograd_input, winograd_input_nearest},
#if VEC_LANES == RESR_BLOCK_LANES
    .product = {NULL, product_1, product_2},
    .output = {NULL, winograd_output_1, winograd_output_2},
#else
    .product = {NULL, product_1},
    .output = {NULL, winograd_output_1},
#endif
};
