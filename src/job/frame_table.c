#include "job/frame_table.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/memory.h"
#include "base/publish.h"

int resr_frame_table_set(ResrFrameTable *table, int64_t index, const ResrFrameRecord *entry)
{
    if (index < 0 || index >= RESR_MAX_FRAMES)
        return resr_fail(RESR_ERR_INTERNAL, "frame %" PRId64 " is out of range", index);
    int ret =
        resr_grow_zeroed(&table->entries, &table->capacity, (size_t)index, sizeof *table->entries);
    if (ret < 0)
        return ret;
    table->entries[index] = *entry;
    if (index >= table->length)
        table->length = index + 1;
    return 0;
}

int resr_frame_table_write(const ResrFrameTable *table, const char *path)
{
    enum { LINE_BYTES = 20 + 1 + 20 + 1 + 32 + 1 };
    char *text = NULL, *next, hex[RESR_HASH_HEX_BYTES];
    int ret = resr_alloc(&text, (size_t)table->length + 1, LINE_BYTES);
    if (ret < 0)
        return ret;
    next = text;
    for (int64_t i = 0; i < table->length; i++) {
        resr_hash_to_hex(hex, &table->entries[i].hash);
        next += snprintf(next, LINE_BYTES + 1, "%" PRId64 " %" PRId64 " %s\n", i,
                         table->entries[i].pts, hex);
    }
    ret = resr_publish_bytes(path, text, (size_t)(next - text), true);
    free(text);
    return ret;
}

void resr_frame_table_clear(ResrFrameTable *table)
{
    free(table->entries);
    *table = (ResrFrameTable){0};
}
