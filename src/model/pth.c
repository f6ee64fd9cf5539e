/* PyTorch's checkpoint: a zip archive of stored entries under one top folder: data.pkl, data/KEY
 * for each storage, version, byteorder. libzip reads the container; the rules on top are ours. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

#include "base/memory.h"
#include "model/pickle.h"

enum { MAX_ENTRIES = 5000, MAX_FOLDER_BYTES = 256 };

typedef struct Archive {
    zip_t *zip;
    zip_int64_t entries;
    char folder[MAX_FOLDER_BYTES];
    uint8_t **records; /* entries that were read, by index */
    size_t file_bytes;
} Archive;

/* Entries are stored, not compressed or encrypted, together no larger than the file (so none lies
 * inside another), of different names under one folder. */
static int check_entries(Archive *a)
{
    size_t total = 0, folder_length = 0;
    for (zip_int64_t i = 0; i < a->entries; i++) {
        zip_stat_t status;
        if (zip_stat_index(a->zip, (zip_uint64_t)i, 0, &status) != 0 ||
            (status.valid & (ZIP_STAT_NAME | ZIP_STAT_SIZE)) != (ZIP_STAT_NAME | ZIP_STAT_SIZE))
            return resr_fail(RESR_ERR_DATA, "zip: entry %lld cannot be described", (long long)i);
        if (status.comp_method != ZIP_CM_STORE || status.encryption_method != ZIP_EM_NONE ||
            status.comp_size != status.size)
            return resr_fail(RESR_ERR_DATA,
                             "zip: entry %s is compressed or encrypted; PyTorch stores",
                             status.name);
        if (!resr_checked_add(&total, total, (size_t)status.size) || total > a->file_bytes)
            return resr_fail(RESR_ERR_DATA,
                             "zip: the entries overlap: together they are larger than "
                             "the file");
        const char *slash = strchr(status.name, '/');
        if (i == 0 && slash) {
            folder_length = (size_t)(slash - status.name) + 1;
            if (folder_length >= sizeof a->folder)
                return resr_fail(RESR_ERR_DATA, "zip: the top folder's name is too long");
            memcpy(a->folder, status.name, folder_length);
        }
        if (folder_length == 0 || strncmp(status.name, a->folder, folder_length) != 0)
            return resr_fail(RESR_ERR_DATA, "zip: entry %s is not in the one top folder",
                             status.name);
        if (zip_name_locate(a->zip, status.name, 0) != i)
            return resr_fail(RESR_ERR_DATA, "zip: entry %s is there twice", status.name);
    }
    return 0;
}

/* Reads a whole entry; libzip checks its CRC-32 at the end. */
static int read_entry(Archive *a, const char *name, const uint8_t **data, size_t *bytes)
{
    char path[MAX_FOLDER_BYTES + 128];
    zip_stat_t status;
    snprintf(path, sizeof path, "%s%s", a->folder, name);
    zip_int64_t index = zip_name_locate(a->zip, path, 0);
    if (index < 0 || zip_stat_index(a->zip, (zip_uint64_t)index, 0, &status) != 0)
        return resr_fail(RESR_ERR_DATA, "zip: entry %s is missing", path);
    *bytes = (size_t)status.size;
    *data = a->records[index];
    if (*data)
        return 0;
    int ret = resr_alloc_uninitialised(&a->records[index], 1, *bytes + 1);
    if (ret < 0)
        return ret;
    *data = a->records[index];
    zip_file_t *file = zip_fopen_index(a->zip, (zip_uint64_t)index, 0);
    zip_int64_t got = file ? zip_fread(file, a->records[index], *bytes + 1) : -1;
    int closed = file ? zip_fclose(file) : 0;
    if (got != (zip_int64_t)*bytes || closed != 0)
        return resr_fail(RESR_ERR_DATA, "zip: entry %s is damaged (size or CRC-32)", path);
    return 0;
}

static int read_record(void *user, const char *key, const uint8_t **data, size_t *bytes)
{
    char name[96];
    snprintf(name, sizeof name, "data/%s", key);
    return read_entry(user, name, data, bytes);
}

/* `byteorder`, where there is one, says little. */
static int check_byteorder(Archive *a)
{
    char path[MAX_FOLDER_BYTES + 16];
    const uint8_t *data;
    size_t bytes;
    snprintf(path, sizeof path, "%sbyteorder", a->folder);
    if (zip_name_locate(a->zip, path, 0) < 0)
        return 0;
    int ret = read_entry(a, "byteorder", &data, &bytes);
    if (ret == 0 && (bytes != 6 || memcmp(data, "little", 6) != 0))
        ret = resr_fail(RESR_ERR_DATA, "zip: byteorder is not little");
    return ret;
}

static int open_archive(Archive *a, const ResrBytes *file)
{
    zip_error_t error;
    zip_error_init(&error);
    a->file_bytes = file->bytes;
    zip_source_t *source = zip_source_buffer_create(file->data, file->bytes, 0, &error);
    if (source)
        a->zip = zip_open_from_source(source, ZIP_RDONLY | ZIP_CHECKCONS, &error);
    if (!a->zip) {
        int ret = resr_fail(RESR_ERR_DATA, "zip: %s", zip_error_strerror(&error));
        zip_source_free(source);
        zip_error_fini(&error);
        return ret;
    }
    zip_error_fini(&error);
    a->entries = zip_get_num_entries(a->zip, 0);
    if (a->entries < 1 || a->entries > MAX_ENTRIES)
        return resr_fail(RESR_ERR_DATA, "zip: %lld entries; 1 to %d are read",
                         (long long)a->entries, MAX_ENTRIES);
    int ret = resr_alloc(&a->records, (size_t)a->entries, sizeof *a->records);
    return ret < 0 ? ret : check_entries(a);
}

int resr_model_read_pth(ResrModel **out, const ResrBytes *file)
{
    Archive archive = {0};
    ResrTensor *tensors = NULL;
    const uint8_t *pickle;
    size_t bytes, n;
    int ret = open_archive(&archive, file);
    if (ret == 0)
        ret = check_byteorder(&archive);
    if (ret == 0)
        ret = read_entry(&archive, "data.pkl", &pickle, &bytes);
    if (ret == 0)
        ret = resr_pickle_read(&tensors, &n, pickle, bytes, read_record, &archive);
    if (ret == 0)
        ret = resr_model_from_tensors(out, tensors, n);
    free(tensors);
    for (zip_int64_t i = 0; archive.records && i < archive.entries; i++)
        free(archive.records[i]);
    free(archive.records);
    if (archive.zip)
        zip_discard(archive.zip);
    return ret;
}
