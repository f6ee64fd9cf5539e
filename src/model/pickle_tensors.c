/* PyTorch's objects in a pickle: known globals, storages, tensors, the state dict. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "model/pickle_machine.h"

static const char *const global_names[] = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
    "torch FloatStorage",
    "torch HalfStorage",
    "torch BFloat16Storage",
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
    if (!id || id->kind != RESR_PICKLE_TUPLE || id->count != 5 ||
        !resr_pickle_is_text(id->items[0], "storage"))
        return resr_pickle_refuse(p, "a persistent id is not a storage");
    const ResrPickleValue *type = id->items[1], *key = id->items[2], *numel = id->items[4];
    if (type->kind != RESR_PICKLE_GLOBAL || type->number < RESR_PICKLE_FLOAT_STORAGE ||
        key->kind != RESR_PICKLE_TEXT || numel->kind != RESR_PICKLE_INT || numel->number < 0)
        return resr_pickle_refuse(p, "a storage is not of float, half or bfloat16 with a key and a "
                                     "number of elements");
    ResrPickleValue *storage = resr_pickle_create(p, RESR_PICKLE_STORAGE);
    if (storage) {
        storage->number = type->number - RESR_PICKLE_FLOAT_STORAGE;
        storage->text = key->text;
        storage->count = key->count;
        storage->numel = numel->number;
    }
    return resr_pickle_push(p, storage);
}

/* Checks shape and strides of a tensor: C-contiguous and inside its storage. */
static int set_geometry(ResrPickle *p, ResrPickleValue *tensor, const ResrPickleValue *shape,
                        const ResrPickleValue *strides)
{
    int64_t expected = 1, end;
    if (shape->kind != RESR_PICKLE_TUPLE || strides->kind != RESR_PICKLE_TUPLE ||
        shape->count != strides->count || shape->count > RESR_TENSOR_MAX_RANK)
        return resr_pickle_refuse(p,
                                  "a tensor's shape is not of 0 to 4 sizes with as many strides");
    tensor->rank = (int)shape->count;
    for (int i = tensor->rank - 1; i >= 0; i--) {
        const ResrPickleValue *size = shape->items[i], *stride = strides->items[i];
        if (size->kind != RESR_PICKLE_INT || stride->kind != RESR_PICKLE_INT || size->number < 1)
            return resr_pickle_refuse(p, "a tensor's sizes and strides are not positive numbers");
        if (size->number > 1 && stride->number != expected)
            return resr_pickle_refuse(p, "a tensor's elements do not lie one behind the other");
        tensor->shape[i] = size->number;
        if (__builtin_mul_overflow(expected, size->number, &expected))
            return resr_pickle_refuse(p, "a tensor's size overflows");
    }
    if (tensor->offset < 0 || __builtin_add_overflow(tensor->offset, expected, &end) ||
        end > tensor->storage->numel)
        return resr_pickle_refuse(p, "a tensor reaches beyond its storage");
    return 0;
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

static const ResrPickleValue *lookup(const ResrPickleValue *dict, const char *key)
{
    for (size_t i = 0; i < dict->count; i += 2)
        if (resr_pickle_is_text(dict->items[i], key))
            return dict->items[i + 1];
    return NULL;
}

static int emit(ResrTensor *tensor, const ResrPickleValue *key, const ResrPickleValue *value,
                ResrRecordReader read_record, void *user)
{
    char record[64];
    size_t bytes, expected;
    if (key->kind != RESR_PICKLE_TEXT || key->count == 0 || key->count >= sizeof tensor->name ||
        memchr(key->text, 0, key->count))
        return resr_fail(RESR_ERR_DATA, "a key of the state dict is not text of 1 to %d bytes",
                         RESR_TENSOR_NAME_BYTES - 1);
    memcpy(tensor->name, key->text, key->count);
    if (value->kind != RESR_PICKLE_TENSOR)
        return resr_fail(RESR_ERR_DATA, "%s is not a tensor", tensor->name);
    const ResrPickleValue *storage = value->storage;
    tensor->rank = value->rank;
    tensor->dtype = (ResrDtype)storage->number;
    memcpy(tensor->shape, value->shape, sizeof tensor->shape);
    if (storage->count >= sizeof record || memchr(storage->text, 0, storage->count))
        return resr_fail(RESR_ERR_DATA,
                         "tensor %s: the key of its storage is not text of up to %zu "
                         "bytes",
                         tensor->name, sizeof record - 1);
    snprintf(record, sizeof record, "%.*s", (int)storage->count, storage->text);
    int ret = read_record(user, record, &tensor->data, &bytes);
    if (ret < 0)
        return ret;
    size_t element = resr_dtype_bytes(tensor->dtype);
    if (!resr_checked_mul(&expected, (size_t)storage->numel, element) || expected != bytes)
        return resr_fail(RESR_ERR_DATA,
                         "tensor %s: its storage should hold %lld elements, but record data/%s "
                         "has %zu bytes",
                         tensor->name, (long long)storage->numel, record, bytes);
    tensor->data += (size_t)value->offset * element;
    return 0;
}

int resr_pickle_collect(ResrTensor **tensors, size_t *n, const ResrPickleValue *root,
                        ResrRecordReader read_record, void *user)
{
    const ResrPickleValue *dict = lookup(root, "params_ema");
    if (!dict)
        dict = lookup(root, "params");
    if (!dict)
        dict = root;
    if (dict->kind != RESR_PICKLE_DICT)
        return resr_fail(RESR_ERR_DATA, "params_ema or params is not a dictionary");
    size_t count = dict->count / 2;
    if (count > RESR_MAX_TENSORS)
        return resr_fail(RESR_ERR_DATA, "the state dict has %zu entries; at most %d are read",
                         count, RESR_MAX_TENSORS);
    int ret = resr_alloc(tensors, count, sizeof **tensors);
    for (; ret == 0 && *n < count; ++*n)
        ret =
            emit(&(*tensors)[*n], dict->items[2 * *n], dict->items[2 * *n + 1], read_record, user);
    return ret;
}
