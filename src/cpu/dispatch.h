#ifndef RESR_CPU_DISPATCH_H
#define RESR_CPU_DISPATCH_H

#include "net/backend.h"

/* The CPU backends in the order of cpu/backends.h: the scalar reference first, the newest
 * instructions last. NULL past the end. net/select_backend.h measures which one is fastest. */
const ResrOps *resr_cpu_ops(int index);

/* Whether this machine has all that `ops` needs, of the instruction sets that `mask` allows (bits
 * of base/cpu_features.h). */
bool resr_cpu_can_run(const ResrOps *ops, unsigned mask);

#endif
