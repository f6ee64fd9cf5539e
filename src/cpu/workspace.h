#ifndef RESR_CPU_WORKSPACE_H
#define RESR_CPU_WORKSPACE_H

#include "base/error.h"

/* Memory for maps: `floats` of them, not zeroed, on huge pages where the kernel gives them (a wave
 * touches dozens of distant rows at once: with 4 KiB pages the TLB would be too small). Freed with
 * free(). RESR_ERR_INTERNAL. */
RESR_MUST_CHECK int resr_workspace_alloc(float **out, size_t floats);

#endif
