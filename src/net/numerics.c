#include "net/numerics.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* `exact` is for comparisons: automatic choice takes it only where nothing else runs. A class with
 * bf16 operands must be a twentieth faster than fp32, so that the noise of measurements does not
 * change pixels. */
#define LAST_RESORT 1e12
#define BF16_MARGIN 1.05

const ResrNumericsInfo *resr_numerics(ResrNumerics numerics)
{
    /* clang-format off */
    static const ResrNumericsInfo table[RESR_NUMERICS_COUNT] = {
        /*                             name           precision    needs         tolerance handicap */
        [RESR_NUMERICS_SIMULATED]   = {"simulated",   "simulated", RESR_ON_NONE, INFINITY, 1},
        [RESR_NUMERICS_EXACT]       = {"exact",       "exact",     RESR_ON_CPU,  0,        LAST_RESORT},
        [RESR_NUMERICS_FP32]        = {"fp32",        "fp32",      RESR_ON_CPU,  1e-4,     1},
        [RESR_NUMERICS_BF16_AVX512] = {"bf16-avx512", "bf16",      RESR_ON_CPU,  4e-2,     BF16_MARGIN},
        [RESR_NUMERICS_BF16_AMX]    = {"bf16-amx",    "bf16",      RESR_ON_CPU,  4e-2,     BF16_MARGIN},
        [RESR_NUMERICS_FP16_GPU]    = {"fp16",        "fp16",      RESR_ON_GPU,  5e-3,     1},
        [RESR_NUMERICS_BF16_GPU]    = {"bf16",        "bf16",      RESR_ON_GPU,  4e-2,     BF16_MARGIN},
    };
    /* clang-format on */
    assert(numerics < RESR_NUMERICS_COUNT);
    return &table[numerics];
}

/* Row of the table; of a GPU's kernels that of their precision. NULL: not a class. */
static const ResrNumericsInfo *find_class(const char *name)
{
    for (int i = 0; i < RESR_NUMERICS_COUNT; i++)
        if (strcmp(resr_numerics((ResrNumerics)i)->name, name) == 0)
            return resr_numerics((ResrNumerics)i);
    if (!strstr(name, "-sm"))
        return NULL;
    return resr_numerics(strncmp(name, "bf16", 4) == 0 ? RESR_NUMERICS_BF16_GPU
                                                       : RESR_NUMERICS_FP16_GPU);
}

const char *resr_numerics_precision(const char *class_name)
{
    const ResrNumericsInfo *info = find_class(class_name);
    return info ? info->precision : "";
}

ResrProcessor resr_numerics_processor(const char *class_name)
{
    const ResrNumericsInfo *info = find_class(class_name);
    return info ? info->needs : RESR_ON_NONE;
}
