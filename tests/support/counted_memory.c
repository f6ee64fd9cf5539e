/* Linked in place of the allocators of base/memory.h (--wrap). */
#include "counted_memory.h"

#include "base/memory.h"

size_t counted_bytes;

int __real_resr_alloc(void *out, size_t count, size_t size);
int __real_resr_alloc_uninitialised(void *out, size_t count, size_t size);
int __real_resr_grow(void *array, size_t *capacity, size_t count, size_t size);

int __wrap_resr_alloc(void *out, size_t count, size_t size);
int __wrap_resr_alloc(void *out, size_t count, size_t size)
{
    counted_bytes += count * size;
    return __real_resr_alloc(out, count, size);
}

int __wrap_resr_alloc_uninitialised(void *out, size_t count, size_t size);
int __wrap_resr_alloc_uninitialised(void *out, size_t count, size_t size)
{
    counted_bytes += count * size;
    return __real_resr_alloc_uninitialised(out, count, size);
}

int __wrap_resr_grow(void *array, size_t *capacity, size_t count, size_t size);
int __wrap_resr_grow(void *array, size_t *capacity, size_t count, size_t size)
{
    size_t before = *capacity;
    int ret = __real_resr_grow(array, capacity, count, size);
    counted_bytes += *capacity == before ? 0 : *capacity * size;
    return ret;
}
