/* AVX-512 backend of class `bf16-avx512`, for CPUs without AVX512-BF16 and for those that have it
 * slow: the bits of avx512_bf16.c, by fp32 instructions. */
#include "cpu/backends.h"

#if defined(__x86_64__)
#include "cpu/dispatch.h"
#include "cpu/forward.h"
#include "cpu/winograd.h"
#include "cpu/x86/vec_avx512.h"
#include "cpu/x86/vec_avx512_bf16emu.h"

#define WINOGRAD_OUTPUTS 2
#define WINOGRAD_PARTS 1

static inline void store_cell(char *v, const vec *part)
{
    vec_store_bf16emu(v, part[0]);
}

#include "cpu/x86/winograd_tmpl.h"

#include "cpu/x86/product_bf16emu.h"

static void winograd_output_2(const ResrWinogradOutput *out)
{
    output_cases(out, 2);
}

static const ResrWinogradKernels winograd = {
    .outputs = WINOGRAD_OUTPUTS,
    .bf16 = 1,
    .widened = 1,
    .shared = 1,
    .tile_lanes = 32,
    .strip_tiles = 64,
    .input = {winograd_input, winograd_input_nearest},
    .product = {NULL, product_1, product_2},
    .output = {NULL, winograd_output_1, winograd_output_2},
};

static int available(unsigned cpumask)
{
    return (resr_cpu_flags() & cpumask & RESR_CPU_AVX512) != 0;
}

static int prepare(void **packed, const ResrModel *model)
{
    static const ResrConvKernels f2 = {.winograd = &winograd};
    int compact = model->spec.arch == RESR_ARCH_SRVGG;
    return resr_packed_net_create(packed, model, compact ? &resr_kernels_avx512_bf16emu_f4 : &f2,
                                  &resr_kernels_avx512_fp32);
}

const ResrOps resr_ops_avx512_bf16emu =
    RESR_FORWARD_OPS("avx512", "bf16-avx512", available, prepare);

#endif
