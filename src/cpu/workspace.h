#ifndef RESR_CPU_WORKSPACE_H
#define RESR_CPU_WORKSPACE_H

#include "base/error.h"

/* Memory for feature maps and weights: `floats` floats, not zeroed, on huge pages if the kernel has
 * any (a wavefront touches dozens of distant rows at once, more than the TLB covers with 4 KiB
 * pages). Freed with free(). RESR_ERR_INTERNAL. */
RESR_MUST_CHECK int resr_workspace_alloc(float **out, size_t floats);

#endif
