#include "cpu/dispatch.h"

#include "base/cpu_features.h"
#include "cpu/backends.h"

const ResrOps *resr_cpu_ops(int index)
{
#define ENTRY(ops) &ops,
    static const ResrOps *const backends[] = {RESR_CPU_BACKENDS(ENTRY)};
#undef ENTRY
    int count = (int)(sizeof backends / sizeof backends[0]);
    return index >= 0 && index < count ? backends[index] : NULL;
}

bool resr_cpu_can_run(const ResrOps *ops, unsigned mask)
{
    return (ops->cpu_needs & ~(resr_cpu_flags() & mask)) == 0 &&
           (!ops->available || ops->available(ops));
}
