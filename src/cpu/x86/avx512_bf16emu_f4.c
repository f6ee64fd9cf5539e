/* The kernels of avx512_bf16_f4.c emulated with fp32 instructions, with the same bits; see
 * avx512_bf16emu.c. */
#include "cpu/backends.h"

#if defined(__x86_64__)
#include "cpu/winograd.h"
#include "cpu/x86/vec_avx512.h"

#include "cpu/x86/operand_bf16emu.h"
#define WINOGRAD_OUTPUTS 4
#define WINOGRAD_FRACTIONS
#define WINOGRAD_STRIP_TILES 32
#include "cpu/x86/winograd_tmpl.h"

#include "cpu/x86/product_tmpl.h"

#include "cpu/x86/winograd_table.h"

const ResrConvKernels resr_kernels_avx512_bf16emu_f4 = {.winograd = &winograd};

#endif
