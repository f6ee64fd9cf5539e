#ifndef RESR_BASE_MEMORY_H
#define RESR_BASE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Alignment of every buffer that kernels, zimg or a device copy touch: one cache line, one zmm. */
#define RESR_ALIGN_BYTES 64

/* Allocates count * size zeroed bytes, aligned to RESR_ALIGN_BYTES, into *out; the caller frees
 * with free(). RESR_ERR_INTERNAL (the message names the bytes) when the product overflows or
 * memory is exhausted; *out is then NULL. */
RESR_MUST_CHECK int resr_alloc(void *out, size_t count, size_t size);

/* The same without zeroing, for buffers that another thread must touch first (NUMA). */
RESR_MUST_CHECK int resr_alloc_uninitialised(void *out, size_t count, size_t size);

/* Makes room for one more after `count` elements of `size` bytes: *array (a pointer, NULL or from
 * realloc()) has *capacity elements, which doubles. RESR_ERR_INTERNAL leaves both unchanged. */
RESR_MUST_CHECK int resr_grow(void *array, size_t *capacity, size_t count, size_t size);

/* The same for `more` elements after `count`. */
RESR_MUST_CHECK int resr_grow_by(void *array, size_t *capacity, size_t count, size_t more,
                                 size_t size);

/* Makes room for element `index` in such an array; new elements are zeroed, and the capacity grows
 * by half. RESR_ERR_INTERNAL as above. */
RESR_MUST_CHECK int resr_grow_zeroed(void *array, size_t *capacity, size_t index, size_t size);

/* Memory of this machine, or the limit of this process's cgroup if that limit is smaller. */
int64_t resr_memory_bytes(void);

/* Sets this process's place, from 1, among those on this machine that need the same memory; 1 by
 * default. Call from the main thread only, before resr_memory_check(). */
void resr_memory_share(int place);

/* Sets the memory that the machine's processes need in addition: each of them (its encoders), and
 * all together (rank 0's pool and encoders on its machine). */
void resr_memory_expect(int64_t each_bytes, int64_t once_bytes);

/* Whether `bytes` for each process up to this one's place, with the memory of resr_memory_expect(),
 * fit the machine's RAM and swap space, or the cgroup's limit. So of the processes of a machine the
 * first ones fit, as many as have room. Libraries and other programs are not counted, so that no
 * job is refused that could finish: without encoders the sum was 15 to 85 % of the largest resident
 * set of small jobs (2026-11-30). */
bool resr_memory_fits(int64_t bytes);

/* RESR_ERR_DEVICE if they do not, before the kernel kills a process for lack of memory. The message
 * starts with `what` and ends with `remedy`. */
RESR_MUST_CHECK int resr_memory_check(const char *what, int64_t bytes, const char *remedy);

/* *out = a * b, or *out = a + b: returns false if the result does not fit a size_t. */
static inline bool resr_checked_mul(size_t *out, size_t a, size_t b)
{
    return !__builtin_mul_overflow(a, b, out);
}

static inline bool resr_checked_add(size_t *out, size_t a, size_t b)
{
    return !__builtin_add_overflow(a, b, out);
}

/* Rounds up to a multiple of `step` (a power of two). */
static inline size_t resr_round_up(size_t value, size_t step)
{
    return (value + step - 1) & ~(step - 1);
}

#endif
