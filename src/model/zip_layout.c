#include "model/zip_layout.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum {
    END_BYTES = 22,
    END64_BYTES = 56,
    LOCATOR_BYTES = 20,
    CENTRAL_BYTES = 46,
    LOCAL_BYTES = 30,
    METHOD_STORED = 0,
    METHOD_DEFLATED = 8,
    FLAG_DESCRIPTOR = 1 << 3,
    FLAGS_ENCRYPTED = 1 << 0 | 1 << 6 | 1 << 13,
};

#define SIGNATURE_CENTRAL 0x02014b50u
#define SIGNATURE_LOCAL 0x04034b50u
#define SIGNATURE_DESCRIPTOR 0x08074b50u
#define SIGNATURE_END 0x06054b50u
#define SIGNATURE_END64 0x06064b50u
#define SIGNATURE_LOCATOR 0x07064b50u

typedef struct Entry {
    const char *name; /* inside the file, not zero-terminated */
    size_t name_bytes;
    uint32_t flags, crc;
    uint64_t method;
    size_t packed, bytes; /* of the data in the file, and of the entry */
    size_t begin, end;    /* from the local header to the end of data or descriptor */
} Entry;

typedef struct Directory {
    size_t begin, end;
    uint64_t entries;
} Directory;

static uint64_t number(const uint8_t *data, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++)
        value |= (uint64_t)data[i] << (8 * i);
    return value;
}

/* Reads the end record, which must be the last in the file, and the zip64 records that PyTorch
 * writes before it; both must agree. */
static int read_end(Directory *directory, const ResrBytes *file)
{
    if (file->bytes < END_BYTES + LOCATOR_BYTES + END64_BYTES)
        return resr_fail(RESR_ERR_DATA, "zip: %zu bytes are too few", file->bytes);
    size_t at = file->bytes - END_BYTES;
    const uint8_t *end = file->data + at, *locator = end - LOCATOR_BYTES;
    if (number(end, 4) != SIGNATURE_END || number(end + 20, 2) != 0)
        return resr_fail(RESR_ERR_DATA, "zip: the file does not end with an end record; it is cut "
                                        "short or something was appended");
    uint64_t entries = number(end + 10, 2), bytes = number(end + 12, 4);
    uint64_t offset = number(end + 16, 4);
    bool one_disk = number(end + 4, 4) == 0 && number(end + 8, 2) == entries;
    if (number(locator, 4) == SIGNATURE_LOCATOR) {
        at -= LOCATOR_BYTES + END64_BYTES;
        const uint8_t *end64 = file->data + at;
        if (number(locator + 4, 4) != 0 || number(locator + 8, 8) != at ||
            number(locator + 16, 4) != 1 || number(end64, 4) != SIGNATURE_END64 ||
            number(end64 + 4, 8) != END64_BYTES - 12 || number(end64 + 16, 8) != 0 ||
            number(end64 + 24, 8) != entries || number(end64 + 32, 8) != entries ||
            number(end64 + 40, 8) != bytes || number(end64 + 48, 8) != offset)
            return resr_fail(RESR_ERR_DATA,
                             "zip: the zip64 end record disagrees with the end record");
    }
    if (!one_disk || offset > at || bytes != at - offset)
        return resr_fail(RESR_ERR_DATA,
                         "zip: the central directory (%llu bytes at %llu) does not "
                         "end where the end records begin",
                         (unsigned long long)bytes, (unsigned long long)offset);
    if (entries < 1 || entries > RESR_ZIP_MAX_ENTRIES)
        return resr_fail(RESR_ERR_DATA, "zip: %llu entries; 1 to %d are read",
                         (unsigned long long)entries, RESR_ZIP_MAX_ENTRIES);
    *directory = (Directory){(size_t)offset, at, entries};
    return 0;
}

static int refuse(const Entry *entry, const char *what)
{
    return resr_fail(RESR_ERR_DATA, "zip: entry %.*s %s", (int)entry->name_bytes, entry->name,
                     what);
}

/* Compares an entry's local header, and the descriptor after its data, with the directory. */
static int check_local(Entry *entry, const ResrBytes *file, size_t limit)
{
    const uint8_t *local = file->data + entry->begin;
    if (entry->begin > limit || limit - entry->begin < LOCAL_BYTES ||
        number(local, 4) != SIGNATURE_LOCAL)
        return refuse(entry, "has no local header at the directory's offset");
    size_t names = number(local + 26, 2), extra = number(local + 28, 2);
    size_t left = limit - entry->begin - LOCAL_BYTES;
    if (names != entry->name_bytes || left < names + extra ||
        memcmp(local + LOCAL_BYTES, entry->name, names) != 0)
        return refuse(entry, "has a different name in its local header");
    left -= names + extra;
    if (left < entry->packed)
        return refuse(entry, "reaches into the central directory");
    left -= entry->packed;
    entry->end = limit - left;
    bool descriptor = entry->flags & FLAG_DESCRIPTOR, same = true;
    const uint64_t expected[] = {entry->crc, entry->packed, entry->bytes};
    for (int i = 0; i < 3; i++) { /* with a descriptor, each may be 0 */
        uint64_t found = number(local + 14 + 4 * i, 4);
        same = same && (found == expected[i] || (descriptor && found == 0));
    }
    if (number(local + 6, 2) != entry->flags || number(local + 8, 2) != entry->method || !same)
        return refuse(entry,
                      "has different flags or sizes in its local header than in the directory");
    if (!descriptor)
        return 0;
    const uint8_t *behind = file->data + entry->end;
    if (left < 16 || number(behind, 4) != SIGNATURE_DESCRIPTOR ||
        number(behind + 4, 4) != entry->crc)
        return refuse(entry, "has no data descriptor that agrees with the directory");
    bool sizes32 = number(behind + 8, 4) == entry->packed && number(behind + 12, 4) == entry->bytes;
    bool sizes64 = left >= 24 && number(behind + 8, 8) == entry->packed &&
                   number(behind + 16, 8) == entry->bytes;
    if (!sizes32 && !sizes64)
        return refuse(entry, "has a different size in its data descriptor than in the directory");
    entry->end += sizes32 ? 16 : 24;
    return 0;
}

static int read_central(Entry *entry, size_t *at, const ResrBytes *file, const Directory *directory)
{
    const uint8_t *central = file->data + *at;
    size_t left = directory->end - *at;
    if (left < CENTRAL_BYTES || number(central, 4) != SIGNATURE_CENTRAL)
        return resr_fail(RESR_ERR_DATA, "zip: the central directory is damaged at offset %zu", *at);
    size_t names = number(central + 28, 2);
    size_t bytes = CENTRAL_BYTES + names + number(central + 30, 2) + number(central + 32, 2);
    if (names < 1 || names >= RESR_ZIP_NAME_BYTES || left < bytes ||
        memchr(central + CENTRAL_BYTES, 0, names))
        return resr_fail(RESR_ERR_DATA,
                         "zip: the name at offset %zu of the directory is not of 1 "
                         "to %d bytes",
                         *at, RESR_ZIP_NAME_BYTES - 1);
    *entry = (Entry){.name = (const char *)central + CENTRAL_BYTES,
                     .name_bytes = names,
                     .flags = (uint32_t)number(central + 8, 2),
                     .crc = (uint32_t)number(central + 16, 4),
                     .method = number(central + 10, 2),
                     .packed = number(central + 20, 4),
                     .bytes = number(central + 24, 4),
                     .begin = number(central + 42, 4)};
    *at += bytes;
    if (entry->flags & FLAGS_ENCRYPTED)
        return refuse(entry, "is encrypted");
    if (entry->method != METHOD_STORED && entry->method != METHOD_DEFLATED)
        return refuse(entry, "is compressed by another method than deflate");
    if (entry->method == METHOD_STORED && entry->packed != entry->bytes)
        return refuse(entry, "is stored, but has two sizes");
    if (number(central + 34, 2) != 0)
        return refuse(entry, "is on another disk of a split archive");
    return check_local(entry, file, directory->begin);
}

static int by_name(const void *a, const void *b)
{
    const Entry *left = a, *right = b;
    size_t common = left->name_bytes < right->name_bytes ? left->name_bytes : right->name_bytes;
    int order = memcmp(left->name, right->name, common);
    return order ? order
                 : (left->name_bytes > right->name_bytes) - (left->name_bytes < right->name_bytes);
}

static int by_place(const void *a, const void *b)
{
    const Entry *left = a, *right = b;
    return (left->begin > right->begin) - (left->begin < right->begin);
}

static int check_together(Entry *entries, size_t n, char folder[RESR_ZIP_NAME_BYTES])
{
    const char *slash = memchr(entries[0].name, '/', entries[0].name_bytes);
    size_t folder_bytes = slash ? (size_t)(slash - entries[0].name) + 1 : 0;
    memcpy(folder, entries[0].name, folder_bytes);
    folder[folder_bytes] = 0;
    for (size_t i = 0; i < n; i++)
        if (folder_bytes < 2 || entries[i].name_bytes < folder_bytes ||
            memcmp(entries[i].name, folder, folder_bytes) != 0)
            return refuse(&entries[i], "is not in the top folder of the others");
    qsort(entries, n, sizeof *entries, by_name);
    for (size_t i = 1; i < n; i++)
        if (by_name(&entries[i - 1], &entries[i]) == 0)
            return refuse(&entries[i], "occurs twice");
    qsort(entries, n, sizeof *entries, by_place);
    for (size_t i = 1; i < n; i++)
        if (entries[i].begin < entries[i - 1].end)
            return refuse(&entries[i], "overlaps another entry");
    return 0;
}

static int check_bytes(size_t *bytes, const Entry *entries, size_t n, size_t file_bytes)
{
    *bytes = 0; /* no overflow: the sizes have 32 bits */
    for (size_t i = 0; i < n; i++)
        *bytes += entries[i].bytes;
    if (*bytes > RESR_ZIP_MAX_BYTES || *bytes / RESR_ZIP_MAX_RATIO > file_bytes)
        return resr_fail(RESR_ERR_DATA,
                         "zip: %zu bytes expand to %zu; at most %d times as many and %d are read",
                         file_bytes, *bytes, RESR_ZIP_MAX_RATIO, RESR_ZIP_MAX_BYTES);
    return 0;
}

int resr_zip_check(char folder[RESR_ZIP_NAME_BYTES], size_t *bytes, const ResrBytes *file)
{
    Directory directory = {0};
    Entry *entries = NULL;
    int ret = read_end(&directory, file);
    if (ret < 0)
        return ret;
    size_t at = directory.begin, n = (size_t)directory.entries;
    ret = resr_alloc(&entries, n, sizeof *entries);
    for (size_t i = 0; ret == 0 && i < n; i++)
        ret = read_central(&entries[i], &at, file, &directory);
    if (ret == 0 && at != directory.end)
        ret = resr_fail(RESR_ERR_DATA, "zip: the central directory has data after its %zu entries",
                        n);
    if (ret == 0)
        ret = check_together(entries, n, folder);
    if (ret == 0)
        ret = check_bytes(bytes, entries, n, file->bytes);
    free(entries);
    return ret;
}
