/* PyTorch's objects in a pickle: known globals, storages, tensors, the state dict. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "model/pickle_machine.h"

/* Dictionaries around the state dict; one may contain itself. */
enum { MAX_NESTING = 4 };

static const char *const global_names[] = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
    "torch FloatStorage",
    "torch HalfStorage",
    "torch BFloat16Storage",
    "torch DoubleStorage",
    "torch LongStorage",
    "torch IntStorage",
    "torch ShortStorage",
    "torch CharStorage",
    "torch ByteStorage",
    "torch BoolStorage",
};

/* Of the storages among them. */
static const ResrDtype storage_dtypes[] = {
    RESR_DTYPE_F32, RESR_DTYPE_F16, RESR_DTYPE_BF16, RESR_DTYPE_F64, RESR_DTYPE_I64,
    RESR_DTYPE_I32, RESR_DTYPE_I16, RESR_DTYPE_I8,   RESR_DTYPE_I8,  RESR_DTYPE_I8,
};

int resr_pickle_global(ResrPickle *p)
{
    char name[128];
    size_t used = 0;
    for (int lines = 0; lines < 2;) {
        if (p->at == p->bytes || used == sizeof name)
            return resr_pickle_refuse(p, "the name of a global does not end");
        char c = (char)p->data[p->at++];
        if (c == '\n')
            c = ++lines == 1 ? ' ' : 0;
        name[used++] = c;
    }
    for (size_t i = 0; i < sizeof global_names / sizeof *global_names; i++)
        if (strcmp(name, global_names[i]) == 0) {
            ResrPickleValue *value = resr_pickle_create(p, RESR_PICKLE_GLOBAL);
            if (value)
                value->number = (int64_t)i;
            return resr_pickle_push(p, value);
        }
    for (char *c = name; *c; c++) /* for the terminal, in the message */
        if (*c < ' ' || *c > '~')
            *c = '?';
    return resr_fail(RESR_ERR_DATA,
                     "pickle: opcode 0x%02x at offset %zu: the global '%s' is not allowed; only "
                     "tensors in dictionaries are read",
                     p->op, p->op_at, name);
}

int resr_pickle_persistent_id(ResrPickle *p)
{
    const ResrPickleValue *id = resr_pickle_pop(p);
    if (!id || id->kind != RESR_PICKLE_TUPLE || id->count < 5 || id->count > 6 ||
        !resr_pickle_is_text(id->items[0], "storage"))
        return resr_pickle_refuse(p, "a persistent id is not a storage");
    if (id->count == 6 && id->items[5]->kind != RESR_PICKLE_NONE)
        return resr_pickle_refuse(p, "a storage is a view of another; save a copy of its tensors");
    const ResrPickleValue *type = id->items[1], *key = id->items[2], *numel = id->items[4];
    if (type->kind != RESR_PICKLE_GLOBAL || type->number < RESR_PICKLE_FIRST_STORAGE ||
        key->kind != RESR_PICKLE_TEXT || numel->kind != RESR_PICKLE_INT || numel->number < 0)
        return resr_pickle_refuse(p,
                                  "a storage is not of floating-point numbers or integers with a "
                                  "key and a number of elements");
    ResrPickleValue *storage = resr_pickle_create(p, RESR_PICKLE_STORAGE);
    if (storage) {
        storage->number = storage_dtypes[type->number - RESR_PICKLE_FIRST_STORAGE];
        storage->text = key->text;
        storage->count = key->count;
        storage->numel = numel->number;
    }
    return resr_pickle_push(p, storage);
}

/* Checks the strides of a tensor: its elements fill a part of the storage without gaps and
 * overlaps, the dimensions in any order (a transposed or channels_last view). */
static int set_strides(ResrPickle *p, ResrPickleValue *tensor, const ResrPickleValue *strides)
{
    int64_t filled = 1, usual = 1;
    bool placed[RESR_TENSOR_MAX_RANK] = {false}, reordered = false;
    for (int i = tensor->rank - 1; i >= 0; i--) {
        reordered = reordered || (tensor->shape[i] > 1 && strides->items[i]->number != usual);
        usual *= tensor->shape[i];
    }
    for (int done = 0; reordered && done < tensor->rank; done++) {
        int next = 0;
        while (next < tensor->rank && (placed[next] || (tensor->shape[next] > 1 &&
                                                        strides->items[next]->number != filled)))
            next++;
        if (next == tensor->rank)
            return resr_pickle_refuse(p, "a tensor's elements overlap or leave gaps");
        placed[next] = true;
        tensor->stride[next] = filled;
        filled *= tensor->shape[next];
    }
    return 0;
}

/* Checks shape and strides of a tensor, and that it lies inside its storage. */
static int set_geometry(ResrPickle *p, ResrPickleValue *tensor, const ResrPickleValue *shape,
                        const ResrPickleValue *strides)
{
    int64_t count = 1, end;
    if (shape->kind != RESR_PICKLE_TUPLE || strides->kind != RESR_PICKLE_TUPLE ||
        shape->count != strides->count || shape->count > RESR_TENSOR_MAX_RANK)
        return resr_pickle_refuse(p,
                                  "a tensor's shape is not of 0 to 4 sizes with as many strides");
    tensor->rank = (int)shape->count;
    for (int i = 0; i < tensor->rank; i++) {
        const ResrPickleValue *size = shape->items[i];
        if (size->kind != RESR_PICKLE_INT || strides->items[i]->kind != RESR_PICKLE_INT ||
            size->number < 1)
            return resr_pickle_refuse(p, "a tensor's sizes and strides are not positive numbers");
        tensor->shape[i] = size->number;
        if (__builtin_mul_overflow(count, size->number, &count))
            return resr_pickle_refuse(p, "a tensor's size overflows");
    }
    if (tensor->offset < 0 || __builtin_add_overflow(tensor->offset, count, &end) ||
        end > tensor->storage->numel)
        return resr_pickle_refuse(p, "a tensor reaches beyond its storage");
    return set_strides(p, tensor, strides);
}

/* _rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks[, metadata]). */
static int rebuild_tensor(ResrPickle *p, const ResrPickleValue *arguments)
{
    if (arguments->count < 6 || arguments->count > 7 ||
        arguments->items[0]->kind != RESR_PICKLE_STORAGE ||
        arguments->items[1]->kind != RESR_PICKLE_INT)
        return resr_pickle_refuse(p, "a tensor is not built from a storage and an offset");
    ResrPickleValue *tensor = resr_pickle_create(p, RESR_PICKLE_TENSOR);
    if (!tensor)
        return resr_pickle_refuse(p, "too many values");
    tensor->storage = arguments->items[0];
    tensor->offset = arguments->items[1]->number;
    int ret = set_geometry(p, tensor, arguments->items[2], arguments->items[3]);
    return ret < 0 ? ret : resr_pickle_push(p, tensor);
}

int resr_pickle_reduce(ResrPickle *p)
{
    ResrPickleValue *arguments = resr_pickle_pop(p);
    const ResrPickleValue *callee = resr_pickle_pop(p);
    if (!arguments || !callee || callee->kind != RESR_PICKLE_GLOBAL ||
        arguments->kind != RESR_PICKLE_TUPLE)
        return resr_pickle_refuse(p, "a call of something that is not a known global");
    if (callee->number == RESR_PICKLE_ORDERED_DICT && arguments->count == 0) {
        ResrPickleValue *dict = resr_pickle_create(p, RESR_PICKLE_DICT);
        if (dict)
            dict->number = 1;
        return resr_pickle_push(p, dict);
    }
    if (callee->number == RESR_PICKLE_REBUILD_TENSOR)
        return rebuild_tensor(p, arguments);
    if (callee->number == RESR_PICKLE_REBUILD_PARAMETER && arguments->count == 3 &&
        arguments->items[0]->kind == RESR_PICKLE_TENSOR)
        return resr_pickle_push(p, arguments->items[0]);
    return resr_pickle_refuse(p, "a call with arguments that do not fit");
}

const ResrPickleValue *resr_pickle_lookup(const ResrPickleValue *dict, const char *key)
{
    for (size_t i = 0; i < dict->count; i += 2)
        if (resr_pickle_is_text(dict->items[i], key))
            return dict->items[i + 1];
    return NULL;
}

/* The dictionary inside `dict` that may be the state dict: under a known key, or the only entry. */
static const ResrPickleValue *unwrap(const ResrPickleValue *dict)
{
    const ResrPickleValue *inner = dict->count == 2 ? dict->items[1] : NULL;
    const char *key;
    if (inner && inner->kind == RESR_PICKLE_DICT)
        return inner;
    for (int i = 0; (key = resr_state_dict_key(i)); i++) {
        inner = resr_pickle_lookup(dict, key);
        if (inner && inner->kind == RESR_PICKLE_DICT && inner->count > 0)
            return inner;
    }
    return NULL;
}

/* Finds the data of a tensor, whose name is set. */
static int find_data(ResrTensor *tensor, const ResrPickleValue *value, ResrRecordReader read_record,
                     void *user)
{
    char record[64];
    size_t bytes, expected, element = resr_dtype_bytes(tensor->dtype);
    const ResrPickleValue *storage = value->storage;
    if (storage->count >= sizeof record || memchr(storage->text, 0, storage->count))
        return resr_fail(RESR_ERR_DATA,
                         "tensor %s: the key of its storage is not text of up to %zu "
                         "bytes",
                         tensor->name, sizeof record - 1);
    snprintf(record, sizeof record, "%.*s", (int)storage->count, storage->text);
    int ret = read_record(user, record, &tensor->data, &bytes);
    if (ret < 0)
        return ret;
    if (!resr_checked_mul(&expected, (size_t)storage->numel, element) || expected != bytes)
        return resr_fail(RESR_ERR_DATA,
                         "tensor %s: its storage should hold %lld elements, but record data/%s "
                         "has %zu bytes",
                         tensor->name, (long long)storage->numel, record, bytes);
    tensor->data += (size_t)value->offset * element;
    return 0;
}

/* Sets *tensor to an entry of the state dict and *is_tensor; false: nothing of the network. */
static int emit(ResrTensor *tensor, bool *is_tensor, const ResrPickleValue *key,
                const ResrPickleValue *value, ResrRecordReader read_record, void *user)
{
    *is_tensor = false;
    if (value->kind != RESR_PICKLE_TENSOR)
        return 0;
    if (key->kind != RESR_PICKLE_TEXT || key->count == 0 || key->count >= sizeof tensor->name ||
        memchr(key->text, 0, key->count))
        return resr_fail(RESR_ERR_DATA, "a key of the state dict is not text of 1 to %d bytes",
                         RESR_TENSOR_NAME_BYTES - 1);
    memset(tensor, 0, sizeof *tensor);
    memcpy(tensor->name, key->text, key->count);
    *is_tensor = true;
    tensor->rank = value->rank;
    tensor->dtype = (ResrDtype)value->storage->number;
    memcpy(tensor->shape, value->shape, sizeof tensor->shape);
    memcpy(tensor->stride, value->stride, sizeof tensor->stride);
    return find_data(tensor, value, read_record, user);
}

int resr_pickle_collect(ResrTensor **tensors, size_t *n, const ResrPickle *p,
                        ResrRecordReader read_record, void *user)
{
    const ResrPickleValue *dict = p->stack[0], *inner = unwrap(dict);
    *tensors = NULL;
    *n = 0;
    for (int depth = 0; inner && depth < MAX_NESTING; depth++, inner = unwrap(dict))
        dict = inner;
    size_t count = dict->count / 2;
    if (count > RESR_MAX_TENSORS)
        return resr_fail(RESR_ERR_DATA, "the state dict has %zu entries; at most %d are read",
                         count, RESR_MAX_TENSORS);
    int ret = resr_alloc(tensors, count + 1, sizeof **tensors);
    for (size_t i = 0; ret == 0 && i < count; i++) {
        bool is_tensor;
        ret = emit(&(*tensors)[*n], &is_tensor, dict->items[2 * i], dict->items[2 * i + 1],
                   read_record, user);
        *n += is_tensor;
    }
    if (ret == 0 && *n == 0)
        ret = resr_fail(RESR_ERR_DATA, "has no tensors; save the network's state_dict()");
    if (ret < 0) {
        free(*tensors);
        *tensors = NULL;
    }
    return ret;
}
