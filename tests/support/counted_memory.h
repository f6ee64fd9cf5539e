#ifndef RESR_TESTS_COUNTED_MEMORY_H
#define RESR_TESTS_COUNTED_MEMORY_H

#include <stddef.h>

/* Bytes that resr_alloc(), resr_alloc_uninitialised() and resr_grow() have handed out, never less
 * for what was freed. A program that links the library counted_memory has its calls counted. */
extern size_t counted_bytes;

#endif
