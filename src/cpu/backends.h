#ifndef RESR_CPU_BACKENDS_H
#define RESR_CPU_BACKENDS_H

#include "cpu/conv.h"
#include "net/backend.h"

/* The CPU's tables of stages, for dispatch.c; others ask resr_cpu_select(). */
extern const ResrOps resr_ops_c;
#if defined(__x86_64__)
extern const ResrOps resr_ops_avx2;
extern const ResrOps resr_ops_avx512;
extern const ResrOps resr_ops_avx2_fp32;
extern const ResrOps resr_ops_avx512_fp32;
extern const ResrConvKernels resr_kernels_avx512_fp32; /* also for the ends of bf16's networks */
extern const ResrConvKernels resr_kernels_avx512_bf16_f4, resr_kernels_avx512_bf16emu_f4;
extern const ResrOps resr_ops_avx512_bf16emu;
extern const ResrOps resr_ops_avx512_bf16, resr_ops_avx512_bf16_other;
extern const ResrOps resr_ops_amx_bf16;     /* if the compiler knows AMX: RESR_HAVE_AMX */
extern const ResrOps resr_ops_amx_emulated; /* tests only */
#endif

#endif
