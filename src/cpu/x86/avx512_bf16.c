/* AVX512-BF16 backend of class `bf16-avx512`: Winograd with bf16 operands, fp32 sums and fp32 maps.
 * F(2x2, 3x3) for RRDB; SRVGG, which is far less sensitive, takes F(4x4, 3x3) of avx512_bf16_f4.c.
 */
#include "cpu/backends.h"

#if defined(__x86_64__)
#include "cpu/dispatch.h"
#include "cpu/stages.h"
#include "cpu/winograd.h"
#include "cpu/x86/vec_avx512_bf16.h"

#include "cpu/x86/winograd_f2.h"

#include "cpu/x86/product_bf16.h"

static const ResrWinogradKernels winograd = {
    .outputs = WINOGRAD_OUTPUTS,
    .bf16 = 1,
    .shared = 1,
    .tile_lanes = 32,
    .strip_tiles = 64, /* V lies in the ring: longer strips read the weights less often */
    .input = {winograd_input, winograd_input_nearest},
    .product = {NULL, product_1, product_2},
    .output = {NULL, winograd_output_1, winograd_output_2},
};

static int available(unsigned cpumask)
{
    return (resr_cpu_flags() & cpumask & RESR_CPU_AVX512_BF16) != 0;
}

static int prepare(void **packed, const ResrModel *model)
{
    static const ResrConvKernels f2 = {.winograd = &winograd};
    int compact = model->spec.arch == RESR_ARCH_SRVGG;
    return resr_packed_net_create(packed, model, compact ? &resr_kernels_avx512_bf16_f4 : &f2,
                                  &resr_kernels_avx512_fp32);
}

const ResrOps resr_ops_avx512_bf16 =
    RESR_STAGES_OPS("avx512_bf16", "bf16-avx512", available, prepare);

#endif
