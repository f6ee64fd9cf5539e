#ifndef RESR_BASE_MINMAX_H
#define RESR_BASE_MINMAX_H

#include <stdint.h>

static inline int32_t resr_min(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

static inline int32_t resr_max(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

#endif
