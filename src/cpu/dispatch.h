#ifndef RESR_CPU_DISPATCH_H
#define RESR_CPU_DISPATCH_H

#include "net/backend.h"

/* What this CPU (and the kernel's saved register state) offers, as bits; --cpumask clears some. */
enum {
    RESR_CPU_AVX2 = 1 << 0,   /* AVX2, FMA, F16C */
    RESR_CPU_AVX512 = 1 << 1, /* F, BW, DQ, VL */
    RESR_CPU_AVX512_BF16 = 1 << 2,
    RESR_CPU_AMX_BF16 = 1 << 3,
};

unsigned resr_cpu_flags(void); /* detected, no mask applied */

/* Parses --cpumask: "c", "avx2", "avx512", "avx512_bf16", "amx_bf16": that set and all below it;
 * or a number as bits. RESR_ERR_USAGE. */
RESR_MUST_CHECK int resr_cpu_parse_mask(unsigned *mask, const char *text);

/* The CPU backends, the newest instructions last; NULL past the end. Which is fastest is measured:
 * net/probe.h. */
const ResrOps *resr_cpu_ops(int index);

/* The last backend of numerics class `class` that can run here under `mask`; `name` (may be NULL)
 * asks for one by name. NULL with a message if there is none. */
const ResrOps *resr_cpu_select(const char *class, const char *name, unsigned mask);

/* Brand string of the CPU, for reports ("AMD EPYC 9B45"). */
const char *resr_cpu_brand(void);

#endif
