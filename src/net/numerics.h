#ifndef RESR_NET_NUMERICS_H
#define RESR_NET_NUMERICS_H

#include <stdint.h>

/* A numerics class is a specification of every rounding: backends of one class give identical bits,
 * on any machine and with any number of threads. A job runs in one class; its name is in the job
 * folder and in reports. The classes of GPUs have further parts in their names (kernels and compute
 * capability, "mma-sm80"): the order of additions in a matrix instruction is the hardware's. */
typedef enum ResrNumerics {
    RESR_NUMERICS_SIMULATED,
    RESR_NUMERICS_EXACT,
    RESR_NUMERICS_FP32,
    RESR_NUMERICS_BF16_AVX512,
    RESR_NUMERICS_BF16_AMX,
    RESR_NUMERICS_FP16_GPU,
    RESR_NUMERICS_BF16_GPU,
    RESR_NUMERICS_COUNT
} ResrNumerics;

/* Processor that a class runs on. */
typedef enum ResrProcessor { RESR_ON_NONE, RESR_ON_CPU, RESR_ON_GPU } ResrProcessor;

typedef struct ResrNumericsInfo {
    const char *name;      /* unless ResrOps.class_name is set */
    const char *precision; /* value of --precision that asks for the class */
    ResrProcessor needs;
    /* Largest error against `exact`: root mean square of the difference of a whole network's
     * outputs, over the standard deviation of the expected ones. 0: the same bits. GPU classes: an
     * estimate; tests/cuda holds them to a PSNR instead. SPAN: an error of a gate's
     * convolution is multiplied by at most 0.5 + |conv + input| / 4; in eight networks that people
     * share by 0.1 to 0.55 (root mean square), so errors of blocks do not add up: 4.4e-6 in fp32
     * and 7.6e-3 in bf16 at most, on two pictures. Random weights on inputs of -128 to 127 exceed
     * bf16's limit: 0.26 with six blocks. */
    double tolerance;
    /* Order of the automatic choice: the measured speed is divided by this first. */
    double handicap;
} ResrNumericsInfo;

const ResrNumericsInfo *resr_numerics(ResrNumerics numerics);

/* The value of --precision that asks for the class of this name: that of the table, or of a GPU's
 * kernels ("fp16-sm90", "bf16-sm90", "mma-sm80"), which compute in fp16 unless the name says bf16.
 * "" for any other name, such as the empty one of a manifest without the field. */
const char *resr_numerics_precision(const char *class_name);

/* The processor of the class of this name; RESR_ON_NONE for other names. */
ResrProcessor resr_numerics_processor(const char *class_name);

#endif
