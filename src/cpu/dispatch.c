#include "cpu/dispatch.h"

#include <string.h>

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

const ResrOps *resr_cpu_select(ResrNumerics numerics, const char *name, unsigned mask)
{
    const ResrOps *best = NULL;
    bool name_known = false;
    for (int i = 0; resr_cpu_ops(i); i++) {
        const ResrOps *ops = resr_cpu_ops(i);
        if (name && strcmp(ops->name, name) != 0)
            continue;
        name_known = true;
        if (ops->numerics == numerics && resr_cpu_can_run(ops, mask))
            best = ops;
    }
    if (best)
        return best;
    const char *class = resr_numerics(numerics)->name;
    if (name && !name_known)
        resr_fail(RESR_ERR_USAGE, "--backend %s: not a CPU backend", name);
    else if (name)
        resr_fail(RESR_ERR_DEVICE, "--backend %s: this CPU (%s) cannot run it in class %s", name,
                  resr_cpu_brand(), class);
    else
        resr_fail(RESR_ERR_DEVICE, "numerics class %s: no backend for this CPU (%s)", class,
                  resr_cpu_brand());
    return NULL;
}
