/* AVX-512 backend of class `bf16-avx512` for CPUs without AVX512-BF16, or with a slow one: the bits
 * of avx512_bf16.c, emulated with fp32 instructions. */
#include "cpu/backends.h"

#if defined(__x86_64__)
#include "base/cpu_features.h"
#include "cpu/forward.h"
#include "cpu/winograd.h"
#include "cpu/x86/vec_avx512.h"

#include "cpu/x86/operand_bf16emu.h"
#define WINOGRAD_OUTPUTS 2
#define WINOGRAD_SHARED
#define WINOGRAD_STRIP_TILES 64
#include "cpu/x86/winograd_tmpl.h"

#include "cpu/x86/product_tmpl.h"

#include "cpu/x86/winograd_table.h"

static const ResrConvKernels f2 = {.winograd = &winograd};

RESR_FORWARD_BACKEND(resr_ops_avx512_bf16emu, "avx512", RESR_NUMERICS_BF16_AVX512, RESR_CPU_AVX512,
                     &f2, &resr_kernels_avx512_bf16emu_f4, &resr_kernels_avx512_fp32,
                     &resr_kernels_avx512_exact);

#endif
