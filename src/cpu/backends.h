#ifndef RESR_CPU_BACKENDS_H
#define RESR_CPU_BACKENDS_H

#include "cpu/conv.h"
#include "net/backend.h"

/* The CPU backends; a new one is one file and one line here. cpu/dispatch.h gives them to others.
 * Among backends of a class that are equally fast the last one is chosen. */
#if defined(__x86_64__)
#define X86_BACKENDS(X)                                                                            \
    X(resr_ops_avx2)                                                                               \
    X(resr_ops_avx512)                                                                             \
    X(resr_ops_avx2_fp32)                                                                          \
    X(resr_ops_avx512_fp32)                                                                        \
    X(resr_ops_avx512_bf16emu)                                                                     \
    X(resr_ops_avx512_bf16)
#else
#define X86_BACKENDS(X)
#endif
#if defined(RESR_HAVE_AMX)
#define AMX_BACKENDS(X) X(resr_ops_amx_bf16)
#else
#define AMX_BACKENDS(X)
#endif
#define RESR_CPU_BACKENDS(X) X(resr_ops_c) X86_BACKENDS(X) AMX_BACKENDS(X)

#define DECLARE(ops) extern const ResrOps ops;
RESR_CPU_BACKENDS(DECLARE)
#undef DECLARE

extern const ResrOps resr_ops_amx_emulated; /* for tests only */

/* Kernels that several backends use. */
extern const ResrConvKernels resr_kernels_avx512_exact, resr_kernels_avx512_fp32;
extern const ResrConvKernels resr_kernels_avx512_bf16_f4, resr_kernels_avx512_bf16emu_f4;

#endif
