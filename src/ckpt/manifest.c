#include "ckpt/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/memory.h"
#include "base/publish.h"
#include "job/json.h"
#include "media/images.h"
#include "version.h"

/* Bytes read at both ends of a file for its identity; less for images, which are many. */
#define IDENTITY_BYTES (4 << 20)
#define IMAGE_IDENTITY_BYTES (64 << 10)

#define MAX_BYTES (1 << 20) /* of the file; a larger one is not this program's */

struct ResrManifest {
    json_t *object;
};

static int hash_ends(ResrHash *out, const char *path, int64_t bytes, int64_t most)
{
    char *buffer = NULL;
    int64_t piece = bytes < most ? bytes : most;
    int ret = resr_alloc(&buffer, 2, (size_t)piece + 1);
    if (ret < 0)
        return ret;
    int fd = resr_file_open(path, O_RDONLY, 0);
    if (fd < 0 || resr_file_read(fd, buffer, (size_t)piece, 0) != (ssize_t)piece ||
        resr_file_read(fd, buffer + piece, (size_t)piece, bytes - piece) != (ssize_t)piece)
        ret = resr_fail(RESR_ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
    *out = resr_hash_bytes(buffer, 2 * (size_t)piece);
    if (fd >= 0)
        close(fd);
    free(buffer);
    return ret;
}

/* A file is identified by its size and both ends, a list of images by their names as well. */
static int identify_input(json_t *object, const char *path)
{
    ResrImages images;
    struct stat status;
    char hex[RESR_HASH_HEX_BYTES];
    int64_t bytes = 0;
    int ret = resr_images_find(&images, path);
    if (ret < 0)
        return ret;
    ResrHash *hashes = NULL;
    ret = resr_alloc(&hashes, 2 * (size_t)images.count, sizeof *hashes);
    for (int64_t i = 0; i < images.count && ret == 0; i++) {
        if (stat(images.paths[i], &status) != 0) {
            ret =
                resr_fail(RESR_ERR_IO, "%s: cannot be read: %s", images.paths[i], strerror(errno));
        } else {
            ret = hash_ends(&hashes[2 * i], images.paths[i], (int64_t)status.st_size,
                            images.is_list ? IMAGE_IDENTITY_BYTES : IDENTITY_BYTES);
            if (images.is_list)
                hashes[2 * i + 1] = resr_hash_bytes(images.names[i], strlen(images.names[i]));
        }
        bytes += (int64_t)status.st_size;
    }
    if (ret == 0) {
        ResrHash all = resr_hash_bytes(hashes, 2 * (size_t)images.count * sizeof *hashes);
        resr_hash_to_hex(hex, &all);
        json_object_set_new(object, "input_bytes", json_integer((json_int_t)bytes));
        json_object_set_new(object, "input_xxh128", json_string(hex));
    }
    free(hashes);
    resr_images_free(&images);
    return ret;
}

static void set_formats(json_t *object, const ResrFormat *in, const ResrFormat *out)
{
    char text[128];
    snprintf(text, sizeof text, "%d x %d %s", in->width_px, in->height_px, in->pix_fmt);
    json_object_set_new(object, "input_format", json_string(text));
    snprintf(text, sizeof text, "%d x %d %s matrix %d transfer %d primaries %d range %d chroma %d",
             out->width_px, out->height_px, out->pix_fmt, out->matrix, out->transfer,
             out->primaries, out->full_range, out->chroma_location);
    json_object_set_new(object, "output_format", json_string(text));
}

static void set_tile(json_t *object, ResrTileSize tile)
{
    json_object_set_new(object, "tile_width_px", json_integer(tile.width_px));
    json_object_set_new(object, "tile_height_px", json_integer(tile.height_px));
}

int resr_manifest_create(ResrManifest **out, const ResrOptions *options, const ResrPlan *plan,
                         const ResrModel *model, const char *encoder, const char *encoder_version)
{
    struct timespec now;
    char started[64];
    int ret = resr_alloc(out, 1, sizeof **out);
    if (ret < 0)
        return ret;
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(started, sizeof started, "%" PRId64 ".%09ld", (int64_t)now.tv_sec, now.tv_nsec);
    const ResrEncodeOptions *encode = &options->encode;
    json_t *object = json_pack(
        "{s:s, s:s, s:s, s:s, s:f, s:f, s:i, s:I, s:I, s:s, s:s, s:f, s:i, s:b, s:s}", "program",
        RESR_VERSION, "started", started, "numerics_class", plan->numerics_class, "model_sha256",
        model->sha256, "outscale", options->outscale, "denoise", options->denoise, "tile_pad_px",
        options->tile_pad_px, "frames", (json_int_t)options->max_frames, "segment_frames",
        (json_int_t)plan->batching.segment_frames, "encoder", encoder, "encoder_library",
        encoder_version, "crf", encode->crf, "encoder_threads", encode->threads, "keep_frames",
        options->keep_frames, "hwaccel", plan->hwaccel);
    if (object) {
        resr_json_set_exact(object, "model", model->name);
        resr_json_set_exact(object, "preset", encode->preset);
        set_formats(object, &plan->input, &plan->output);
        json_object_set_new(object, "tile_px",
                            options->tile_px == RESR_TILE_AUTO ? json_string("auto")
                                                               : json_integer(options->tile_px));
        set_tile(object, plan->tile);
        ret = identify_input(object, options->input);
    } else {
        ret = resr_fail(RESR_ERR_INTERNAL, "out of memory: the job's manifest");
    }
    (*out)->object = object;
    if (ret < 0) {
        resr_manifest_free(*out);
        *out = NULL;
    }
    return ret;
}

void resr_manifest_free(ResrManifest *manifest)
{
    if (!manifest)
        return;
    json_decref(manifest->object);
    free(manifest);
}

/* Hash of the object without its seal. */
static int seal_of(ResrHash *out, json_t *object)
{
    json_t *bare = json_copy(object);
    json_object_del(bare, "seal");
    char *text = bare ? json_dumps(bare, JSON_SORT_KEYS | JSON_COMPACT) : NULL;
    json_decref(bare);
    if (!text)
        return resr_fail(RESR_ERR_INTERNAL, "out of memory: the job's manifest");
    *out = resr_hash_bytes(text, strlen(text));
    free(text);
    return 0;
}

static int damaged(const char *path, const char *why)
{
    return resr_fail(RESR_ERR_DATA, "%s: damaged: %s", path, why);
}

int resr_manifest_read(ResrManifest **out, const char *path)
{
    json_error_t error;
    ResrHash seal;
    char hex[RESR_HASH_HEX_BYTES];
    struct stat status;
    if (stat(path, &status) != 0)
        return resr_fail(RESR_ERR_NOINPUT, "%s: %s", path, strerror(errno));
    if (!S_ISREG(status.st_mode) || status.st_size > MAX_BYTES)
        return damaged(path, "not a manifest of this program");
    json_t *object = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(object)) {
        json_decref(object);
        return damaged(path, error.text);
    }
    int ret = seal_of(&seal, object);
    resr_hash_to_hex(hex, &seal);
    const char *written = json_string_value(json_object_get(object, "seal"));
    if (ret == 0 && (!written || strcmp(written, hex) != 0))
        ret = damaged(path, "its seal does not agree");
    if (ret == 0)
        ret = resr_alloc(out, 1, sizeof **out);
    if (ret < 0) {
        json_decref(object);
        return ret;
    }
    (*out)->object = object;
    return 0;
}

int resr_manifest_write(const ResrManifest *manifest, const char *path)
{
    ResrHash seal;
    char hex[RESR_HASH_HEX_BYTES];
    int ret = seal_of(&seal, manifest->object);
    if (ret < 0)
        return ret;
    resr_hash_to_hex(hex, &seal);
    json_object_set_new(manifest->object, "seal", json_string(hex));
    char *text = json_dumps(manifest->object, JSON_INDENT(1));
    ret = text ? resr_publish_bytes(path, text, strlen(text), true)
               : resr_fail(RESR_ERR_INTERNAL, "out of memory: the job's manifest");
    free(text);
    return ret;
}

int64_t resr_manifest_segment_frames(const ResrManifest *manifest)
{
    int64_t frames = json_integer_value(json_object_get(manifest->object, "segment_frames"));
    return frames > 0 && frames < INT32_MAX ? frames : 0;
}

/* 0 for numbers that no frame has. */
static int32_t side_of(const ResrManifest *manifest, const char *key)
{
    int64_t px = json_integer_value(json_object_get(manifest->object, key));
    return px > 0 && px <= RESR_MAX_SIDE_PX ? (int32_t)px : 0;
}

ResrTileSize resr_manifest_tile(const ResrManifest *manifest)
{
    ResrTileSize tile = {.pad_px = side_of(manifest, "tile_pad_px")};
    int32_t width_px = side_of(manifest, "tile_width_px");
    int32_t height_px = side_of(manifest, "tile_height_px");
    if (width_px > 0 && height_px > 0) {
        tile.width_px = width_px;
        tile.height_px = height_px;
    }
    return tile;
}

void resr_manifest_set_tile(ResrManifest *manifest, ResrTileSize tile)
{
    set_tile(manifest->object, tile);
}

const char *resr_manifest_class(const ResrManifest *manifest)
{
    const char *class = json_string_value(json_object_get(manifest->object, "numerics_class"));
    return class ? class : "";
}

void resr_manifest_set_class(ResrManifest *manifest, const char *numerics_class)
{
    json_object_set_new(manifest->object, "numerics_class", json_string(numerics_class));
}

uint64_t resr_manifest_job_id(const ResrManifest *manifest)
{
    ResrHash seal = {{0}};
    uint64_t run;
    if (seal_of(&seal, manifest->object) < 0)
        return 0;
    memcpy(&run, seal.bytes, sizeof run);
    return run;
}

/* A value as readable text. */
static void show(char out[160], const json_t *value)
{
    char *text = value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;
    snprintf(out, 160, "%s", text ? text : "nothing");
    free(text);
}

/* Appends a difference to a list of `used` characters; returns its new length. */
static size_t list_difference(char *list, size_t bytes, size_t used, const char *key,
                              const json_t *before, const json_t *value)
{
    char was[160], is[160];
    if (strcmp(key, "started") == 0 || strcmp(key, "numerics_class") == 0 ||
        strcmp(key, "tile_width_px") == 0 || strcmp(key, "tile_height_px") == 0 ||
        strcmp(key, "seal") == 0 || (before && value && json_equal(before, value)))
        return used;
    show(was, before);
    show(is, value);
    int n = snprintf(list + used, bytes - used, "%s%s was %s and is now %s", used ? "; " : "", key,
                     was, is);
    return used + (size_t)n < bytes ? used + (size_t)n : bytes - 1;
}

int resr_manifest_compare(const ResrManifest *now, const ResrManifest *then, const char *folder)
{
    const char *key;
    json_t *value;
    char list[600] = "";
    size_t used = 0;
    json_object_foreach(now->object, key, value)
    {
        used = list_difference(list, sizeof list, used, key, json_object_get(then->object, key),
                               value);
    }
    json_object_foreach(then->object, key, value)
    {
        if (!json_object_get(now->object, key))
            used = list_difference(list, sizeof list, used, key, value, NULL);
    }
    if (!used)
        return 0;
    return resr_fail(RESR_ERR_MISMATCH,
                     "%s contains another job: %s. Give the options of that job to resume it, or "
                     "remove the folder to start over",
                     folder, list);
}
