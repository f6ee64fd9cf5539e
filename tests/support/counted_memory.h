#ifndef RESR_TESTS_COUNTED_MEMORY_H
#define RESR_TESTS_COUNTED_MEMORY_H

#include <stddef.h>

/* Bytes that resr_alloc(), resr_alloc_uninitialised() and resr_grow() have allocated so far; free()
 * does not lower the sum. Calls are counted in programs that link the library counted_memory. */
extern size_t counted_bytes;

#endif
