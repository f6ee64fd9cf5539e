#include "ckpt/batchfile.h"

#include <errno.h>
#include <hdf5.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/publish.h"
#include "version.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void resr_batchfile_name(char out[32], int64_t first)
{
    snprintf(out, 32, "batch-%08" PRId64 ".h5", first);
}

bool resr_batchfile_is_name(const char *name, int64_t *first)
{
    char exact[32];
    if (sscanf(name, "batch-%" SCNd64 ".h5", first) != 1 || *first < 0)
        return false;
    resr_batchfile_name(exact, *first);
    return strcmp(name, exact) == 0;
}

static const char *plane_name(const ResrFormat *format, int plane)
{
    static const char *const yuv[] = {"Y", "U", "V"}, *const rgb[] = {"G", "B", "R"};
    if (format->has_alpha && plane == format->planes - 1)
        return "A";
    return format->model == RESR_COLOUR_RGB ? rgb[plane] : yuv[plane];
}

static hid_t sample_type(const ResrFormat *format)
{
    return resr_format_sample_bytes(format) == 1 ? H5T_NATIVE_UINT8 : H5T_NATIVE_UINT16;
}

static hid_t hash_type(void)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, RESR_FRAME_HASH_BYTES);
    return type;
}

/* Files are opened by one process at a time as the job folder's lock has it; HDF5's own locks fail
 * on some network file systems. */
static hid_t access_list(void)
{
    hid_t list = H5Pcreate(H5P_FILE_ACCESS);
#if H5_VERSION_GE(1, 10, 7)
    H5Pset_file_locking(list, 0, 1);
#endif
    return list;
}

/* The first system error since create_file(), under the lock. HDF5 tells it in words only. */
static int system_error;

static herr_t find_errno(unsigned place, const H5E_error2_t *entry, void *user)
{
    const char *text = entry->desc ? strstr(entry->desc, "errno = ") : NULL;
    (void)place;
    (void)user;
    if (text && system_error == 0)
        system_error = (int)strtol(text + strlen("errno = "), NULL, 10);
    return 0;
}

static herr_t note_errors(hid_t stack, void *user)
{
    return H5Ewalk2(stack, H5E_WALK_UPWARD, find_errno, user);
}

/* HDF5 keeps a file whose closing failed, trips over it when the process exits, and is therefore
 * not asked to clean up then. */
static void prepare_library(void)
{
    static bool prepared;
    if (!prepared)
        H5dont_atexit();
    prepared = true;
    H5Eset_auto2(H5E_DEFAULT, note_errors, NULL);
}

static hid_t create_file(const char *path)
{
    hid_t file;
    prepare_library();
    hid_t list = access_list();
    do {
        system_error = 0;
        file = H5Fcreate(path, H5F_ACC_EXCL, H5P_DEFAULT, list);
    } while (file < 0 && system_error == EINTR);
    H5Pclose(list);
    return file;
}

static hid_t open_file(const char *path)
{
    prepare_library();
    hid_t list = access_list();
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, list);
    H5Pclose(list);
    return file;
}

static bool put_text(hid_t file, const char *name, const char *text)
{
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
    H5Tset_size(type, strlen(text) + 1);
    hid_t attribute = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    bool good = attribute >= 0 && H5Awrite(attribute, type, text) >= 0;
    good = H5Aclose(attribute) >= 0 && good;
    H5Sclose(space);
    H5Tclose(type);
    return good;
}

static bool put_number(hid_t file, const char *name, int value)
{
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t attribute = H5Acreate2(file, name, H5T_STD_I32LE, space, H5P_DEFAULT, H5P_DEFAULT);
    bool good = attribute >= 0 && H5Awrite(attribute, H5T_NATIVE_INT, &value) >= 0;
    good = H5Aclose(attribute) >= 0 && good;
    H5Sclose(space);
    return good;
}

static bool put_attributes(hid_t file, const ResrBatchInfo *info)
{
    const ResrFormat *format = info->format;
    return put_text(file, "program", "realesrgan-mpi " RESR_VERSION) &&
           put_text(file, "model", info->model) &&
           put_text(file, "model_sha256", info->model_sha256) &&
           put_text(file, "numerics_class", info->numerics_class) &&
           put_text(file, "pix_fmt", format->pix_fmt) &&
           put_number(file, "width_px", format->width_px) &&
           put_number(file, "height_px", format->height_px) &&
           put_number(file, "depth_bits", format->depth_bits) &&
           put_number(file, "matrix_h273", format->matrix) &&
           put_number(file, "transfer_h273", format->transfer) &&
           put_number(file, "primaries_h273", format->primaries) &&
           put_number(file, "full_range", format->full_range) &&
           put_number(file, "chroma_location", format->chroma_location) &&
           put_number(file, "time_base_num", info->time_base_num) &&
           put_number(file, "time_base_den", info->time_base_den);
}

/* Memory and file selections for one frame's plane; `which` in a dataset of `frames`. */
static bool transfer_plane(hid_t set, const ResrFormat *format, int plane, uint8_t *data, int which,
                           bool write)
{
    ResrPlane p = resr_format_plane(format, plane);
    size_t sample = (size_t)resr_format_sample_bytes(format);
    hsize_t rows = (hsize_t)p.height_px, columns = (hsize_t)p.width_px;
    hsize_t memory_dims[2] = {rows, p.stride_bytes / sample}, zero[2] = {0, 0};
    hsize_t memory_count[2] = {rows, columns};
    hsize_t start[3] = {(hsize_t)which, 0, 0}, count[3] = {1, rows, columns};
    hid_t memory = H5Screate_simple(2, memory_dims, NULL), space = H5Dget_space(set);
    bool good = H5Sselect_hyperslab(memory, H5S_SELECT_SET, zero, NULL, memory_count, NULL) >= 0 &&
                H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL) >= 0;
    uint8_t *pixels = data + p.offset_bytes;
    if (good)
        good = (write ? H5Dwrite(set, sample_type(format), memory, space, H5P_DEFAULT, pixels)
                      : H5Dread(set, sample_type(format), memory, space, H5P_DEFAULT, pixels)) >= 0;
    H5Sclose(memory);
    H5Sclose(space);
    return good;
}

static bool write_planes(hid_t file, const ResrFormat *format, ResrFrame *const frames[], int n)
{
    bool good = true;
    for (int plane = 0; plane < format->planes && good; plane++) {
        ResrPlane p = resr_format_plane(format, plane);
        hsize_t dims[3] = {(hsize_t)n, (hsize_t)p.height_px, (hsize_t)p.width_px};
        hsize_t chunk[3] = {1, dims[1], dims[2]};
        hid_t space = H5Screate_simple(3, dims, NULL), list = H5Pcreate(H5P_DATASET_CREATE);
        H5Pset_chunk(list, 3, chunk);
        H5Pset_fletcher32(list);
        hid_t set = H5Dcreate2(file, plane_name(format, plane), sample_type(format), space,
                               H5P_DEFAULT, list, H5P_DEFAULT);
        good = set >= 0;
        for (int i = 0; i < n && good; i++)
            good = transfer_plane(set, format, plane, frames[i]->data, i, true);
        good = H5Dclose(set) >= 0 && good;
        H5Pclose(list);
        H5Sclose(space);
    }
    return good;
}

/* A value per frame. */
static bool write_column(hid_t file, const char *name, hid_t type, const void *values, int n)
{
    hsize_t dims[1] = {(hsize_t)n};
    hid_t space = H5Screate_simple(1, dims, NULL), list = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(list, 1, dims);
    H5Pset_fletcher32(list);
    hid_t set = H5Dcreate2(file, name, type, space, H5P_DEFAULT, list, H5P_DEFAULT);
    bool good = set >= 0 && H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0;
    good = H5Dclose(set) >= 0 && good;
    H5Pclose(list);
    H5Sclose(space);
    return good;
}

static bool write_columns(hid_t file, ResrFrame *const frames[], int n)
{
    int64_t index[RESR_MAX_BATCH_FRAMES], pts[RESR_MAX_BATCH_FRAMES];
    int64_t duration[RESR_MAX_BATCH_FRAMES];
    char hashes[RESR_MAX_BATCH_FRAMES][RESR_FRAME_HASH_BYTES];
    for (int i = 0; i < n; i++) {
        index[i] = frames[i]->index;
        pts[i] = frames[i]->pts;
        duration[i] = frames[i]->duration;
        memcpy(hashes[i], frames[i]->hash, sizeof hashes[i]);
    }
    hid_t text = hash_type();
    bool good = write_column(file, "index", H5T_NATIVE_INT64, index, n) &&
                write_column(file, "pts", H5T_NATIVE_INT64, pts, n) &&
                write_column(file, "duration", H5T_NATIVE_INT64, duration, n) &&
                write_column(file, "hash", text, hashes, n);
    H5Tclose(text);
    return good;
}

static bool read_value(hid_t file, const char *name, hid_t type, int number, void *out)
{
    hsize_t start[1] = {(hsize_t)number}, one[1] = {1};
    hid_t set = H5Dopen2(file, name, H5P_DEFAULT);
    if (set < 0)
        return false;
    hid_t space = H5Dget_space(set), memory = H5Screate_simple(1, one, NULL);
    bool good = H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, one, NULL) >= 0 &&
                H5Dread(set, type, memory, space, H5P_DEFAULT, out) >= 0;
    H5Sclose(memory);
    H5Sclose(space);
    H5Dclose(set);
    return good;
}

static bool read_planes(hid_t file, const ResrFormat *format, ResrFrame *frame, int number)
{
    bool good = true;
    for (int plane = 0; plane < format->planes && good; plane++) {
        ResrPlane p = resr_format_plane(format, plane);
        hsize_t dims[3] = {0, 0, 0};
        hid_t set = H5Dopen2(file, plane_name(format, plane), H5P_DEFAULT);
        if (set < 0)
            return false;
        hid_t space = H5Dget_space(set);
        good = H5Sget_simple_extent_ndims(space) == 3 &&
               H5Sget_simple_extent_dims(space, dims, NULL) == 3 && dims[0] > (hsize_t)number &&
               dims[1] == (hsize_t)p.height_px && dims[2] == (hsize_t)p.width_px &&
               transfer_plane(set, format, plane, frame->data, number, false);
        H5Sclose(space);
        H5Dclose(set);
    }
    return good;
}

static bool read_frame(const char *path, const ResrFormat *format, ResrFrame *frame, int number)
{
    pthread_mutex_lock(&lock);
    hid_t file = open_file(path), text = hash_type();
    bool good = file >= 0 && read_value(file, "index", H5T_NATIVE_INT64, number, &frame->index) &&
                read_value(file, "pts", H5T_NATIVE_INT64, number, &frame->pts) &&
                read_value(file, "duration", H5T_NATIVE_INT64, number, &frame->duration) &&
                read_value(file, "hash", text, number, frame->hash) &&
                read_planes(file, format, frame, number);
    H5Tclose(text);
    if (file >= 0)
        H5Fclose(file);
    pthread_mutex_unlock(&lock);
    return good;
}

int resr_batchfile_read(ResrFrame **out, const char *path, const ResrFormat *format, int number)
{
    char hash[RESR_FRAME_HASH_BYTES];
    int ret = resr_frame_create(out, format);
    if (ret < 0)
        return ret;
    bool good = read_frame(path, format, *out, number);
    if (good)
        resr_frame_hash(hash, format, *out);
    if (!good || memcmp(hash, (*out)->hash, sizeof hash) != 0) {
        resr_frame_free(*out);
        *out = NULL;
        return resr_fail(RESR_ERR_DATA, "%s: frame %d of the file cannot be read or is damaged",
                         path, number);
    }
    (*out)->state = RESR_FRAME_RESTORED;
    return 0;
}

/* Compares the file on disk with its frames: on a full disk HDF5 may report success. */
static bool reads_back(const char *path, const ResrFormat *format, ResrFrame *const frames[], int n)
{
    bool good = true;
    for (int i = 0; i < n && good; i++) {
        ResrFrame *frame = NULL;
        good = resr_batchfile_read(&frame, path, format, i) == 0 &&
               strcmp(frame->hash, frames[i]->hash) == 0 && frame->index == frames[i]->index &&
               frame->pts == frames[i]->pts && frame->duration == frames[i]->duration;
        resr_frame_free(frame);
    }
    return good;
}

static bool write_file(const char *path, const ResrBatchInfo *info, ResrFrame *const frames[],
                       int n)
{
    pthread_mutex_lock(&lock);
    hid_t file = create_file(path);
    bool good = file >= 0 && put_attributes(file, info) &&
                write_planes(file, info->format, frames, n) && write_columns(file, frames, n);
    if (file >= 0)
        good = H5Fclose(file) >= 0 && good;
    pthread_mutex_unlock(&lock);
    return good;
}

/* A failed write is a full disk if HDF5 says so or there is no room for the file. */
static int write_failure(const char *path, int64_t bytes)
{
    pthread_mutex_lock(&lock);
    errno = system_error ? system_error : EIO;
    pthread_mutex_unlock(&lock);
    if (resr_publish_free_bytes(path) < bytes)
        errno = ENOSPC;
    return resr_publish_write_failure(path, bytes);
}

int resr_batchfile_write(ResrRecord *record, const char *path, const ResrBatchInfo *info,
                         ResrFrame *const frames[], int count)
{
    char temporary[PATH_MAX];
    int ret = resr_publish_temporary(temporary, sizeof temporary, path);
    if (ret < 0)
        return ret;
    unlink(temporary);
    *record = (ResrRecord){.type = RESR_RECORD_BATCH, .number = frames[0]->index, .a = count};
    if (!write_file(temporary, info, frames, count) ||
        !reads_back(temporary, info->format, frames, count))
        ret = write_failure(path, (int64_t)frames[0]->bytes * count + (64 << 10));
    if (ret == 0)
        ret = resr_hash_file(&record->hash, &record->b, temporary);
    if (ret == 0)
        ret = resr_publish(temporary, path, true);
    if (ret < 0)
        unlink(temporary);
    return ret;
}

/* One virtual dataset over the same one of all batch files. */
static bool write_virtual(hid_t file, const char *name, hid_t type, const ResrRecord *records,
                          size_t count, int rank, hsize_t dims[3])
{
    hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    hid_t space = H5Screate_simple(rank, dims, NULL);
    bool good = true;
    for (size_t i = 0; i < count && good; i++) {
        char source[32];
        hsize_t start[3] = {(hsize_t)records[i].number, 0, 0};
        hsize_t size[3] = {(hsize_t)records[i].a, dims[1], dims[2]};
        hid_t source_space = H5Screate_simple(rank, size, NULL);
        resr_batchfile_name(source, records[i].number);
        good = H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, size, NULL) >= 0 &&
               H5Pset_virtual(list, space, source, name, source_space) >= 0;
        H5Sclose(source_space);
    }
    H5Sselect_all(space);
    hid_t set = good ? H5Dcreate2(file, name, type, space, H5P_DEFAULT, list, H5P_DEFAULT) : -1;
    good = set >= 0 && H5Dclose(set) >= 0;
    H5Sclose(space);
    H5Pclose(list);
    return good;
}

int resr_batchfile_write_index(const char *path, const ResrBatchInfo *info,
                               const ResrRecord *records, size_t count)
{
    static const char *const columns[] = {"index", "pts", "duration"};
    char temporary[PATH_MAX];
    int ret = resr_publish_temporary(temporary, sizeof temporary, path);
    if (ret < 0)
        return ret;
    unlink(temporary);
    hsize_t frames = count ? (hsize_t)(records[count - 1].number + records[count - 1].a) : 0;
    pthread_mutex_lock(&lock);
    hid_t file = create_file(temporary), text = hash_type();
    bool good = file >= 0 && put_attributes(file, info);
    for (int plane = 0; plane < info->format->planes && good; plane++) {
        ResrPlane p = resr_format_plane(info->format, plane);
        hsize_t dims[3] = {frames, (hsize_t)p.height_px, (hsize_t)p.width_px};
        good = write_virtual(file, plane_name(info->format, plane), sample_type(info->format),
                             records, count, 3, dims);
    }
    hsize_t column[3] = {frames, 0, 0};
    for (int i = 0; i < 3 && good; i++)
        good = write_virtual(file, columns[i], H5T_NATIVE_INT64, records, count, 1, column);
    good = good && write_virtual(file, "hash", text, records, count, 1, column);
    H5Tclose(text);
    if (file >= 0)
        good = H5Fclose(file) >= 0 && good;
    pthread_mutex_unlock(&lock);
    if (!good)
        ret = write_failure(path, 1 << 20);
    if (ret == 0)
        ret = resr_publish(temporary, path, true);
    if (ret < 0)
        unlink(temporary);
    return ret;
}
