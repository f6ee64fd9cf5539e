/* AVX-512 backends: classes `exact` (direct convolution) and `fp32` (Winograd F(4x4, 3x3), a
 * quarter of the products). bench_kernels on a Zen 5 shared with other programs, x4plus, one core
 * and two, each relative to the fp32 peak: `exact` 86 to 98 % and 90 to 93 %; `fp32` 2.8 to 3.1
 * and 2.5 to 2.7 times the peak. */
#include "cpu/backends.h"

#if defined(__x86_64__)
#include "base/cpu_features.h"
#include "cpu/direct.h"
#include "cpu/forward.h"
#include "cpu/winograd.h"
#include "cpu/x86/vec_avx512.h"

#include "cpu/x86/direct_tmpl.h"

#include "cpu/x86/operand_fp32.h"
#define WINOGRAD_OUTPUTS 4
#define WINOGRAD_STRIP_TILES 32
#include "cpu/x86/winograd_tmpl.h"

#include "cpu/x86/product_tmpl.h"

#include "cpu/x86/winograd_table.h"

const ResrConvKernels resr_kernels_avx512_exact = {.direct = &direct};
const ResrConvKernels resr_kernels_avx512_fp32 = {.winograd = &winograd};

RESR_FORWARD_BACKEND(resr_ops_avx512, "avx512", RESR_NUMERICS_EXACT, RESR_CPU_AVX512,
                     &resr_kernels_avx512_exact, &resr_kernels_avx512_exact,
                     &resr_kernels_avx512_exact, &resr_kernels_avx512_exact);

RESR_FORWARD_BACKEND(resr_ops_avx512_fp32, "avx512", RESR_NUMERICS_FP32, RESR_CPU_AVX512,
                     &resr_kernels_avx512_fp32, &resr_kernels_avx512_fp32,
                     &resr_kernels_avx512_fp32, &resr_kernels_avx512_exact);

#endif
