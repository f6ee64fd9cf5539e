#include "cpu/workspace.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "base/memory.h"

#define HUGE_PAGE_BYTES ((size_t)2 << 20)

int resr_workspace_alloc(float **out, size_t floats)
{
    size_t bytes;
    *out = NULL;
    if (!resr_checked_mul(&bytes, floats, sizeof(float)))
        return resr_fail(RESR_ERR_INTERNAL, "out of memory: %zu floats overflow", floats);
    if (bytes < HUGE_PAGE_BYTES)
        return resr_alloc_uninitialised(out, floats, sizeof(float));
    bytes = resr_round_up(bytes, HUGE_PAGE_BYTES);
    *out = aligned_alloc(HUGE_PAGE_BYTES, bytes);
    if (!*out)
        return resr_fail(RESR_ERR_INTERNAL,
                         "out of memory: a tile's feature maps need %zu bytes; give a smaller -t",
                         bytes);
    madvise(*out, bytes, MADV_HUGEPAGE); /* a hint: failure affects speed only */
    return 0;
}
