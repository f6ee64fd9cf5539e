/* Kernels of class `bf16-avx512` for networks whose quality allows Winograd's F(4x4, 3x3) with bf16
 * operands: the compact ones (SRVGG), which still have an error 4 to 8 dB smaller than with other
 * programs' bf16. The products take 9/16 of F(2x2)'s time, the transformed input half its memory.
 */
#include "cpu/backends.h"

#if defined(__x86_64__)
#include "cpu/winograd.h"
#include "cpu/x86/vec_avx512_bf16.h"

#include "cpu/x86/operand_bf16.h"
#define WINOGRAD_OUTPUTS 4
#define WINOGRAD_FRACTIONS
#define WINOGRAD_STRIP_TILES 56
#include "cpu/x86/winograd_tmpl.h"

#include "cpu/x86/product_tmpl.h"

#include "cpu/x86/winograd_table.h"

const ResrConvKernels resr_kernels_avx512_bf16_f4 = {.winograd = &winograd};

#endif
