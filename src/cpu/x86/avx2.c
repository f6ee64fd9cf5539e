/* AVX2 backends: classes `exact` (direct convolution) and `fp32` (Winograd F(4x4, 3x3), a quarter
 * of the products). bench_kernels on a Zen 5 shared with other programs, x4plus, one core and two,
 * each relative to the peak with 256-bit vectors: `exact` 92 to 98 % and 93 to 95 %; `fp32` 3.0
 * to 3.2 and 2.9 to 3.0 times the peak. */
#include "cpu/backends.h"

#if defined(__x86_64__)
#include "base/cpu_features.h"
#include "cpu/direct.h"
#include "cpu/forward.h"
#include "cpu/winograd.h"
#include "cpu/x86/vec_avx2.h"

#include "cpu/x86/direct_tmpl.h"

#include "cpu/x86/operand_fp32.h"
#define WINOGRAD_OUTPUTS 4
#define WINOGRAD_STRIP_TILES 36
#include "cpu/x86/winograd_tmpl.h"

#include "cpu/x86/product_tmpl.h"

#include "cpu/x86/winograd_table.h"

static const ResrConvKernels exact = {.direct = &direct}, fp32 = {.winograd = &winograd};

RESR_FORWARD_BACKEND(resr_ops_avx2, "avx2", RESR_NUMERICS_EXACT, RESR_CPU_AVX2, &exact, &exact,
                     &exact, &exact);

RESR_FORWARD_BACKEND(resr_ops_avx2_fp32, "avx2", RESR_NUMERICS_FP32, RESR_CPU_AVX2, &fp32, &fp32,
                     &fp32, &exact);

#endif
