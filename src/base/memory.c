#include "base/memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int resr_alloc_uninitialised(void *out, size_t count, size_t size)
{
    void **pointer = out;
    size_t bytes;
    *pointer = NULL;
    if (!resr_checked_mul(&bytes, count, size) || bytes > SIZE_MAX / 2)
        return resr_fail(RESR_ERR_INTERNAL, "out of memory: %zu x %zu bytes overflow", count, size);
    bytes = resr_round_up(bytes ? bytes : 1, RESR_ALIGN_BYTES);
    *pointer = aligned_alloc(RESR_ALIGN_BYTES, bytes);
    if (!*pointer)
        return resr_fail(RESR_ERR_INTERNAL, "out of memory: %zu bytes were refused", bytes);
    return 0;
}

int resr_alloc(void *out, size_t count, size_t size)
{
    int ret = resr_alloc_uninitialised(out, count, size);
    if (ret == 0)
        memset(*(void **)out, 0, count * size);
    return ret;
}

int resr_grow_zeroed(void *array, size_t *capacity, size_t index, size_t size)
{
    enum { FIRST = 1024 };
    void **pointer = array;
    size_t more, bytes;
    if (index < *capacity)
        return 0;
    bool fits = resr_checked_add(&more, index, index < FIRST ? FIRST : index / 2) &&
                resr_checked_mul(&bytes, more, size);
    void *grown = fits ? realloc(*pointer, bytes) : NULL;
    if (!grown)
        return resr_fail(RESR_ERR_INTERNAL, "out of memory: %zu x %zu bytes", index, size);
    memset((char *)grown + *capacity * size, 0, bytes - *capacity * size);
    *pointer = grown;
    *capacity = more;
    return 0;
}

int resr_grow(void *array, size_t *capacity, size_t count, size_t size)
{
    enum { FIRST = 64 };
    void **pointer = array;
    size_t more = *capacity ? 2 * *capacity : FIRST, bytes;
    if (count < *capacity)
        return 0;
    void *grown = resr_checked_mul(&bytes, more, size) ? realloc(*pointer, bytes) : NULL;
    if (!grown)
        return resr_fail(RESR_ERR_INTERNAL, "out of memory: %zu x %zu bytes", more, size);
    *pointer = grown;
    *capacity = more;
    return 0;
}
