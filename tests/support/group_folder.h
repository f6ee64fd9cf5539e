#ifndef RESR_TESTS_GROUP_FOLDER_H
#define RESR_TESTS_GROUP_FOLDER_H

#include <stddef.h>
#include <stdint.h>

/* A folder of a test program's own: set-up and tear-down functions for cmocka's groups. */
int test_create_group_folder(void **state);
int test_remove_group_folder(void **state);

/* The path of a file there, in one of four static buffers that are used in turn. */
const char *test_in_folder(const char *name);

/* The content of a file of at most 1 MiB; the caller frees it. Both fail the test on an error. */
uint8_t *test_read_bytes(const char *path, size_t *bytes);
void test_write_bytes(const char *path, const uint8_t *data, size_t bytes);

#endif
