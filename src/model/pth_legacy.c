/* PyTorch's checkpoint of before version 1.6, a stream without a container (torch/serialization.py,
 * _legacy_save):
 *   pickles of two numbers: the magic number and the protocol's version, 1001;
 *   a pickle of a dictionary: the writer's byte order and sizes of types;
 *   the pickle of the state dict, whose storages have a key each;
 *   a pickle of the list of these keys;
 *   for each key, in this order: the number of elements in 8 bytes, then the elements.
 * The pickles run in the same restricted machine as those of a zip container. The data is used
 * where it lies in the file. */

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "model/pickle_machine.h"

enum {
    MAX_SYSTEM_BYTES = 4096, /* the dictionary about the writer takes 100 */
    MAX_KEY_BYTES = 80,      /* of the list, for each key with its opcodes */
};

/* A storage of the state dict; `data` is NULL until the list of keys names it. */
typedef struct Storage {
    const ResrPickleValue *value;
    const uint8_t *data;
} Storage;

typedef struct Stream {
    const ResrBytes *file;
    size_t at;
    Storage *storages; /* sorted by key, each key once */
    size_t n;
} Stream;

static int by_key(const void *a, const void *b)
{
    const ResrPickleValue *left = ((const Storage *)a)->value, *right = ((const Storage *)b)->value;
    if (left->count != right->count)
        return left->count < right->count ? -1 : 1;
    return memcmp(left->text, right->text, left->count);
}

static Storage *find(const Stream *s, const char *key, size_t bytes)
{
    const ResrPickleValue value = {.text = key, .count = bytes};
    const Storage wanted = {&value, NULL};
    return bsearch(&wanted, s->storages, s->n, sizeof wanted, by_key);
}

/* Runs the next pickle, of at most `limit` bytes. */
static int next_pickle(ResrPickle **out, Stream *s, size_t limit, ResrPickleKind result)
{
    size_t left = s->file->bytes - s->at;
    return resr_pickle_parse(out, &s->at, s->file->data, s->at + (left < limit ? left : limit),
                             result);
}

static int check_start(Stream *s)
{
    static const char start[] = RESR_LEGACY_MAGIC "\x80\x02M\xe9\x03."; /* 1001 */
    ResrPickle *system;
    s->at = sizeof start - 1;
    if (s->file->bytes < s->at || memcmp(s->file->data, start, s->at) != 0)
        return resr_fail(RESR_ERR_DATA,
                         "is a PyTorch stream, but not of protocol 1001; load and save it once "
                         "with PyTorch");
    int ret = next_pickle(&system, s, MAX_SYSTEM_BYTES, RESR_PICKLE_DICT);
    if (ret < 0)
        return ret;
    const ResrPickleValue *little = resr_pickle_lookup(system->stack[0], "little_endian");
    if (!little || little->kind != RESR_PICKLE_BOOL || little->number != 1)
        ret = resr_fail(RESR_ERR_DATA, "the numbers of the PyTorch stream are not little-endian; "
                                       "load and save it once with PyTorch on x86 or ARM");
    resr_pickle_free(system);
    return ret;
}

/* Lists the storages that the state dict mentions. */
static int list_storages(Stream *s, const ResrPickle *p)
{
    size_t count = 0, kept = 0;
    for (const ResrPickleValue *value = p->all; value; value = value->next)
        count += value->kind == RESR_PICKLE_STORAGE;
    int ret = resr_alloc(&s->storages, count + 1, sizeof *s->storages);
    if (ret < 0)
        return ret;
    for (const ResrPickleValue *value = p->all; value; value = value->next)
        if (value->kind == RESR_PICKLE_STORAGE)
            s->storages[s->n++].value = value;
    qsort(s->storages, s->n, sizeof *s->storages, by_key);
    for (size_t i = 0; i < s->n; i++) {
        const Storage *one = &s->storages[i], *before = kept ? &s->storages[kept - 1] : NULL;
        if (!before || by_key(before, one) != 0)
            s->storages[kept++] = *one;
        else if (before->value->number != one->value->number ||
                 before->value->numel != one->value->numel)
            return resr_fail(RESR_ERR_DATA, "a storage of the state dict has two types or sizes");
    }
    s->n = kept;
    return 0;
}

/* Takes the data of the storage that entry `i` of the list names. */
static int take_storage(Stream *s, const ResrPickleValue *key, size_t i)
{
    size_t left = s->file->bytes - s->at, bytes;
    uint64_t count = 0;
    Storage *storage = key->kind == RESR_PICKLE_TEXT ? find(s, key->text, key->count) : NULL;
    if (!storage)
        return resr_fail(RESR_ERR_DATA, "storage %zu of the list is not one of the state dict", i);
    if (storage->data)
        return resr_fail(RESR_ERR_DATA, "storage %zu of the list occurs twice", i);
    for (int k = 0; left >= 8 && k < 8; k++)
        count |= (uint64_t)s->file->data[s->at++] << (8 * k);
    if (left < 8)
        return resr_fail(RESR_ERR_DATA, "storage %zu of the list is missing: the file is cut", i);
    if (count != (uint64_t)storage->value->numel)
        return resr_fail(RESR_ERR_DATA,
                         "storage %zu of the list has %llu elements, and %lld in the state dict", i,
                         (unsigned long long)count, (long long)storage->value->numel);
    if (!resr_checked_mul(&bytes, (size_t)count,
                          resr_dtype_bytes((ResrDtype)storage->value->number)) ||
        bytes > left - 8)
        return resr_fail(RESR_ERR_DATA,
                         "storage %zu of the list has %llu elements, more than the file; it is cut",
                         i, (unsigned long long)count);
    storage->data = s->file->data + s->at;
    s->at += bytes;
    return 0;
}

static int take_storages(Stream *s)
{
    ResrPickle *list;
    int ret = next_pickle(&list, s, MAX_KEY_BYTES * (s->n + 1), RESR_PICKLE_LIST);
    if (ret < 0)
        return ret;
    const ResrPickleValue *keys = list->stack[0];
    if (keys->count != s->n)
        ret = resr_fail(RESR_ERR_DATA, "the list names %zu storages, and the state dict %zu",
                        keys->count, s->n);
    for (size_t i = 0; ret == 0 && i < keys->count; i++)
        ret = take_storage(s, keys->items[i], i);
    if (ret == 0 && s->at != s->file->bytes)
        ret = resr_fail(RESR_ERR_DATA, "%zu bytes follow the last storage", s->file->bytes - s->at);
    resr_pickle_free(list);
    return ret;
}

static int read_record(void *user, const char *key, const uint8_t **data, size_t *bytes)
{
    const Storage *storage = find(user, key, strlen(key));
    *data = storage->data;
    *bytes = (size_t)storage->value->numel * resr_dtype_bytes((ResrDtype)storage->value->number);
    return 0;
}

int resr_model_read_legacy(ResrModel **out, const ResrBytes *file)
{
    Stream stream = {.file = file};
    ResrPickle *state_dict = NULL;
    ResrTensor *tensors = NULL;
    size_t n = 0;
    int ret = check_start(&stream);
    if (ret == 0)
        ret = next_pickle(&state_dict, &stream, RESR_PICKLE_MAX_BYTES, RESR_PICKLE_DICT);
    if (ret == 0)
        ret = list_storages(&stream, state_dict);
    if (ret == 0)
        ret = take_storages(&stream);
    if (ret == 0)
        ret = resr_pickle_collect(&tensors, &n, state_dict, read_record, &stream);
    free(stream.storages);
    resr_pickle_free(state_dict);
    if (ret == 0)
        ret = resr_model_from_state_dict(out, tensors, n, file->bytes);
    free(tensors);
    return ret;
}
