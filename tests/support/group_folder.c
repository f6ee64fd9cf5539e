#include "group_folder.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "model_files.h"
#include "test_main.h"

static char folder[PATH_MAX];

int test_create_group_folder(void **state)
{
    (void)state;
    test_folder(folder);
    return 0;
}

int test_remove_group_folder(void **state)
{
    (void)state;
    test_remove_folder(folder);
    return 0;
}

const char *test_in_folder(const char *name)
{
    static char path[4][PATH_MAX];
    static int turn;
    char *out = path[turn++ % 4];
    snprintf(out, sizeof path[0], "%.*s/%s", PATH_MAX - 64, folder, name);
    return out;
}

uint8_t *test_read_bytes(const char *path, size_t *bytes)
{
    uint8_t *data = malloc(1 << 20);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    *bytes = fread(data, 1, 1 << 20, file);
    fclose(file);
    return data;
}

void test_write_bytes(const char *path, const uint8_t *data, size_t bytes)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, bytes, file), bytes);
    fclose(file);
}
