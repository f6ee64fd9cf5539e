#ifndef RESR_BASE_CPU_FEATURES_H
#define RESR_BASE_CPU_FEATURES_H

#include "base/error.h"

/* Instruction sets that kernels are written for, as bits. A set counts only if the CPU has it, the
 * operating system saves its registers, and all sets below it are present too. */
enum {
    RESR_CPU_AVX2 = 1 << 0,        /* AVX2, FMA and F16C */
    RESR_CPU_AVX512 = 1 << 1,      /* AVX512F, BW, DQ and VL */
    RESR_CPU_AVX512_BF16 = 1 << 2, /* AVX512-BF16 */
    RESR_CPU_AMX_BF16 = 1 << 3,    /* AMX-TILE and AMX-BF16 */
};

/* The sets of this machine; 0 on other processors than x86-64. */
unsigned resr_cpu_flags(void);

/* Parses --cpumask: the name of a set ("avx2", "avx512", "avx512_bf16", "amx_bf16") stands for this
 * set and all below it, "c" for none; a number is taken as bits. RESR_ERR_USAGE. */
RESR_MUST_CHECK int resr_cpu_parse_mask(unsigned *mask, const char *text);

/* Brand string of the CPU, for reports ("AMD EPYC 9B45"). Valid until the thread's next call. */
const char *resr_cpu_brand(void);

#endif
