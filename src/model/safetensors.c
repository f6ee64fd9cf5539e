/* .safetensors: an 8-byte little-endian length, a JSON header of this length, the tensors' data. */

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "model/readers.h"

/* The header of a 23-block RRDBNet has 80 KB. */
#define MAX_HEADER_BYTES (1u << 20)

static int read_dtype(ResrDtype *dtype, const char *name, const char *text)
{
    static const struct {
        const char *text;
        ResrDtype dtype;
    } known[] = {
        {"F32", RESR_DTYPE_F32}, {"F16", RESR_DTYPE_F16}, {"BF16", RESR_DTYPE_BF16},
        {"F64", RESR_DTYPE_F64}, {"I64", RESR_DTYPE_I64}, {"I32", RESR_DTYPE_I32},
        {"I16", RESR_DTYPE_I16}, {"I8", RESR_DTYPE_I8},   {"U8", RESR_DTYPE_I8},
        {"BOOL", RESR_DTYPE_I8},
    };
    for (size_t i = 0; text && i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].text, text) == 0) {
            *dtype = known[i].dtype;
            return 0;
        }
    return resr_fail(RESR_ERR_DATA,
                     "tensor %s has dtype %s; F32, F16, BF16, F64 and integers are read", name,
                     text ? text : "(none)");
}

/* Reads one entry of the header. Its data must begin at *offset, which is moved to its end: the
 * format allows no gaps and no overlaps. */
static int read_entry(ResrTensor *tensor, const char *name, const json_t *entry,
                      const uint8_t *data, size_t data_bytes)
{
    const json_t *shape = json_object_get(entry, "shape");
    const json_t *offsets = json_object_get(entry, "data_offsets");
    int ret = read_dtype(&tensor->dtype, name, json_string_value(json_object_get(entry, "dtype")));
    if (ret < 0)
        return ret;
    if (strlen(name) >= sizeof tensor->name)
        return resr_fail(RESR_ERR_DATA, "tensor name %.40s... is longer than %d bytes", name,
                         RESR_TENSOR_NAME_BYTES - 1);
    if (json_object_size(entry) != 3 || json_array_size(offsets) != 2 || !json_is_array(shape) ||
        json_array_size(shape) > RESR_TENSOR_MAX_RANK)
        return resr_fail(RESR_ERR_DATA,
                         "tensor %s: expected dtype, shape (at most %d sizes) and two "
                         "data_offsets",
                         name, RESR_TENSOR_MAX_RANK);
    memcpy(tensor->name, name, strlen(name) + 1);
    tensor->rank = (int)json_array_size(shape);
    size_t bytes = resr_dtype_bytes(tensor->dtype);
    for (int i = 0; i < tensor->rank; i++) {
        const json_t *size = json_array_get(shape, (size_t)i);
        tensor->shape[i] = json_integer_value(size);
        if (!json_is_integer(size) || tensor->shape[i] < 1 ||
            !resr_checked_mul(&bytes, bytes, (size_t)tensor->shape[i]))
            return resr_fail(RESR_ERR_DATA, "tensor %s: size %d of its shape is out of range", name,
                             i);
    }
    json_int_t begin = json_integer_value(json_array_get(offsets, 0));
    json_int_t end = json_integer_value(json_array_get(offsets, 1));
    if (!json_is_integer(json_array_get(offsets, 0)) || begin < 0 || end < begin ||
        (size_t)end > data_bytes || (size_t)(end - begin) != bytes)
        return resr_fail(
            RESR_ERR_DATA,
            "tensor %s: data_offsets [%lld, %lld] do not hold the %zu bytes of its shape "
            "within %zu",
            name, (long long)begin, (long long)end, bytes, data_bytes);
    tensor->data = data + begin;
    return 0;
}

static int by_data(const void *a, const void *b)
{
    const ResrTensor *left = a, *right = b;
    return left->data < right->data ? -1 : left->data > right->data;
}

/* Checks that the tensors fill the data section exactly. */
static int check_layout(ResrTensor *tensors, size_t n, const uint8_t *data, size_t data_bytes)
{
    const uint8_t *expected = data;
    qsort(tensors, n, sizeof *tensors, by_data);
    for (size_t i = 0; i < n; i++) {
        if (tensors[i].data != expected)
            return resr_fail(RESR_ERR_DATA,
                             "tensor %s overlaps another tensor or leaves a gap before it",
                             tensors[i].name);
        expected += resr_tensor_bytes(&tensors[i]);
    }
    if (expected != data + data_bytes)
        return resr_fail(RESR_ERR_DATA, "%zu bytes follow the last tensor",
                         (size_t)(data + data_bytes - expected));
    return 0;
}

static int read_header(json_t **out, const ResrBytes *file, size_t *header_bytes)
{
    uint64_t length = 0;
    json_error_t error = {0};
    for (int i = 0; i < 8; i++)
        length |= (uint64_t)file->data[i] << (8 * i);
    if (length < 2 || length > MAX_HEADER_BYTES || length > file->bytes - 8)
        return resr_fail(
            RESR_ERR_DATA, "the header is said to take %llu bytes; expected at most %zu",
            (unsigned long long)length,
            file->bytes - 8 < MAX_HEADER_BYTES ? file->bytes - 8 : (size_t)MAX_HEADER_BYTES);
    *out = json_loadb((const char *)file->data + 8, length, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(*out))
        return resr_fail(RESR_ERR_DATA, "the header is not a JSON object: %s", error.text);
    *header_bytes = 8 + length;
    return 0;
}

/* Sets the facts of `spec` that no tensor carries. */
static int read_metadata(ResrNetSpec *spec, json_t *metadata)
{
    const char *key;
    char *end;
    json_t *value;
    if (!json_is_object(metadata))
        return resr_fail(RESR_ERR_DATA, "__metadata__ is not an object");
    json_object_foreach(metadata, key, value)
    {
        if (!json_is_string(value))
            return resr_fail(RESR_ERR_DATA, "__metadata__: the value of %.64s is not text", key);
        if (strcmp(key, RESR_METADATA_RESIZE) == 0) {
            spec->resize = strtod(json_string_value(value), &end);
            if (*end || !(spec->resize > 0 && spec->resize <= 1))
                return resr_fail(RESR_ERR_DATA,
                                 "__metadata__: %s '%.64s' is not a number in (0, 1]", key,
                                 json_string_value(value));
        }
        if (strcmp(key, RESR_METADATA_NORMALISE) == 0) {
            if (strcmp(json_string_value(value), RESR_METADATA_IMAGENET) != 0)
                return resr_fail(RESR_ERR_DATA, "__metadata__: %s '%.64s' is not known", key,
                                 json_string_value(value));
            spec->normalise = RESR_NORMALISE_IMAGENET;
        }
    }
    return 0;
}

int resr_model_read_safetensors(ResrModel **out, const ResrBytes *file)
{
    json_t *header = NULL, *value;
    ResrTensor *tensors = NULL;
    const char *key;
    size_t n = 0, header_bytes = 0;
    ResrNetSpec facts = {.resize = 1};
    int ret = read_header(&header, file, &header_bytes);
    if (ret < 0)
        goto cleanup;
    const uint8_t *data = file->data + header_bytes;
    size_t data_bytes = file->bytes - header_bytes;
    ret = resr_alloc(&tensors, json_object_size(header) + 1, sizeof *tensors);
    if (ret < 0)
        goto cleanup;
    json_object_foreach(header, key, value)
    {
        if (strcmp(key, "__metadata__") == 0)
            ret = read_metadata(&facts, value);
        else
            ret = read_entry(&tensors[n++], key, value, data, data_bytes);
        if (ret < 0)
            goto cleanup;
    }
    ret = check_layout(tensors, n, data, data_bytes);
    if (ret == 0)
        ret = resr_model_from_state_dict(out, tensors, n, data_bytes);
    if (ret < 0)
        goto cleanup;
    (*out)->spec.resize = facts.resize;
    if (facts.normalise && (*out)->spec.normalise)
        (*out)->spec.normalise = facts.normalise;
cleanup:
    free(tensors);
    json_decref(header);
    return ret;
}
