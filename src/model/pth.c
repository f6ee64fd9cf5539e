/* PyTorch's checkpoint: a zip archive with stored or deflated entries in one top folder: data.pkl,
 * data/KEY for each storage, version, byteorder. zip_layout.c judges the layout of the archive and
 * reads no entry; libzip reads the entries and checks their CRC-32. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

#include "base/memory.h"
#include "model/pickle.h"
#include "model/zip_layout.h"

typedef struct Archive {
    zip_t *zip;
    zip_int64_t entries;
    char folder[RESR_ZIP_NAME_BYTES];
    size_t bytes;      /* of all entries */
    uint8_t **records; /* the entries read so far, by index */
} Archive;

static zip_int64_t find_entry(const Archive *a, const char *name)
{
    char path[2 * RESR_ZIP_NAME_BYTES];
    snprintf(path, sizeof path, "%s%s", a->folder, name);
    return zip_name_locate(a->zip, path, 0);
}

/* Reads an entry to its end: libzip compares the CRC-32 in the read that finds no more bytes. */
static bool read_all(zip_file_t *file, uint8_t *data, size_t bytes)
{
    for (size_t done = 0; done < bytes;) {
        zip_int64_t got = zip_fread(file, data + done, bytes - done);
        if (got <= 0)
            return false;
        done += (size_t)got;
    }
    uint8_t beyond;
    return zip_fread(file, &beyond, 1) == 0;
}

static int read_entry(Archive *a, const char *name, const uint8_t **data, size_t *bytes)
{
    zip_stat_t status;
    zip_int64_t index = find_entry(a, name);
    if (index < 0 || zip_stat_index(a->zip, (zip_uint64_t)index, 0, &status) != 0)
        return resr_fail(RESR_ERR_DATA, "zip: entry %s%s is missing", a->folder, name);
    *bytes = (size_t)status.size;
    if (!a->records[index]) {
        int ret = resr_alloc_uninitialised(&a->records[index], 1, *bytes);
        if (ret < 0)
            return ret;
        zip_file_t *file = zip_fopen_index(a->zip, (zip_uint64_t)index, 0);
        bool whole = file && read_all(file, a->records[index], *bytes);
        if (file)
            zip_fclose(file);
        if (!whole)
            return resr_fail(RESR_ERR_DATA,
                             "zip: entry %s%s is damaged: its data does not have the size and "
                             "CRC-32 of the directory",
                             a->folder, name);
    }
    *data = a->records[index];
    return 0;
}

static int read_record(void *user, const char *key, const uint8_t **data, size_t *bytes)
{
    char name[RESR_ZIP_NAME_BYTES];
    snprintf(name, sizeof name, "data/%s", key);
    return read_entry(user, name, data, bytes);
}

/* Checks that an entry begins with `expected`; old files lack it. */
static int check_text(Archive *a, const char *name, const char *expected)
{
    const uint8_t *data;
    size_t bytes;
    if (find_entry(a, name) < 0)
        return 0;
    int ret = read_entry(a, name, &data, &bytes);
    if (ret == 0 && (bytes < strlen(expected) || memcmp(data, expected, strlen(expected)) != 0))
        ret = resr_fail(RESR_ERR_DATA, "zip: %s is not %s", name, expected);
    return ret;
}

/* libzip looks for the directory itself, and may find another one inside an entry. */
static int check_directory(const Archive *a)
{
    size_t left = a->bytes;
    zip_stat_t status;
    bool same = true;
    for (zip_int64_t i = 0; same && i < a->entries; i++) {
        same = zip_stat_index(a->zip, (zip_uint64_t)i, 0, &status) == 0 && status.size <= left;
        left -= same ? (size_t)status.size : 0;
    }
    return same && left == 0 ? 0 : resr_fail(RESR_ERR_DATA, "zip: has a second central directory");
}

static int open_archive(Archive *a, const ResrBytes *file)
{
    zip_error_t error;
    zip_error_init(&error);
    int ret = resr_zip_check(a->folder, &a->bytes, file);
    if (ret < 0)
        return ret;
    zip_source_t *source = zip_source_buffer_create(file->data, file->bytes, 0, &error);
    if (source)
        a->zip = zip_open_from_source(source, ZIP_RDONLY, &error);
    if (!a->zip) {
        ret = resr_fail(RESR_ERR_DATA, "zip: %s", zip_error_strerror(&error));
        zip_source_free(source);
        zip_error_fini(&error);
        return ret;
    }
    a->entries = zip_get_num_entries(a->zip, 0);
    ret = check_directory(a);
    return ret < 0 ? ret : resr_alloc(&a->records, (size_t)a->entries, sizeof *a->records);
}

int resr_model_read_pth(ResrModel **out, const ResrBytes *file)
{
    Archive archive = {0};
    ResrTensor *tensors = NULL;
    const uint8_t *pickle;
    size_t bytes, n = 0;
    int ret = open_archive(&archive, file);
    if (ret == 0)
        ret = check_text(&archive, "byteorder", "little");
    if (ret == 0)
        ret = check_text(&archive, "version", "3");
    if (ret == 0)
        ret = read_entry(&archive, "data.pkl", &pickle, &bytes);
    if (ret == 0)
        ret = resr_pickle_read(&tensors, &n, pickle, bytes, read_record, &archive);
    if (ret == 0)
        ret = resr_model_from_state_dict(out, tensors, n, archive.bytes);
    free(tensors);
    for (zip_int64_t i = 0; archive.records && i < archive.entries; i++)
        free(archive.records[i]);
    free(archive.records);
    if (archive.zip)
        zip_discard(archive.zip);
    return ret;
}
