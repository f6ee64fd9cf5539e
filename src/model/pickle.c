#include "model/pickle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* A checkpoint of 702 tensors has a pickle of 80 KB, a stack of tens and a memo of thousands. */
enum {
    MAX_PICKLE_BYTES = 4 << 20,
    MAX_STACK = 4096,
    MAX_MEMO = 100000,
    MAX_VALUES = 2000000,
    MAX_STEPS = 10000000,
    MAX_ITEMS = 1 << 20,
};

typedef enum Kind {
    KIND_NONE,
    KIND_BOOL,
    KIND_INT,
    KIND_FLOAT,
    KIND_TEXT,
    KIND_SEQUENCE, /* tuple or list */
    KIND_DICT,
    KIND_GLOBAL,
    KIND_STORAGE,
    KIND_TENSOR,
} Kind;

typedef enum Global {
    GLOBAL_ORDERED_DICT,
    GLOBAL_REBUILD_TENSOR,
    GLOBAL_REBUILD_PARAMETER,
    GLOBAL_FLOAT_STORAGE, /* the storages in the order of ResrDtype */
    GLOBAL_HALF_STORAGE,
    GLOBAL_BFLOAT16_STORAGE,
} Global;

static const char *const global_names[] = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
    "torch FloatStorage",
    "torch HalfStorage",
    "torch BFloat16Storage",
};

typedef struct Value Value;

struct Value {
    Kind kind;
    int64_t number;   /* BOOL, INT; GLOBAL: Global; STORAGE: ResrDtype */
    const char *text; /* TEXT, STORAGE (its key): inside the pickle, `count` bytes */
    size_t count;     /* items of SEQUENCE; key-value pairs of DICT, two items each */
    Value **items;    /* SEQUENCE, DICT */
    size_t capacity;
    int64_t numel;        /* STORAGE */
    const Value *storage; /* TENSOR */
    int64_t offset;
    int rank;
    int64_t shape[RESR_TENSOR_MAX_RANK];
    Value *next; /* all values, for freeing */
};

typedef struct Machine {
    const uint8_t *data;
    size_t bytes, at;
    size_t op_at; /* offset of the opcode at work */
    uint8_t op;
    Value *stack[MAX_STACK];
    int depth;
    int marks[MAX_STACK];
    int n_marks;
    Value **memo;
    Value *all;
    int n_values;
} Machine;

static int refuse(const Machine *m, const char *what)
{
    return resr_fail(RESR_ERR_DATA, "pickle: opcode 0x%02x at offset %zu: %s", m->op, m->op_at,
                     what);
}

static Value *create(Machine *m, Kind kind)
{
    Value *value = NULL;
    if (m->n_values >= MAX_VALUES || resr_alloc(&value, 1, sizeof *value) < 0)
        return NULL;
    value->kind = kind;
    value->next = m->all;
    m->all = value;
    m->n_values++;
    return value;
}

static int push(Machine *m, Value *value)
{
    if (!value)
        return refuse(m, "too many values");
    if (m->depth == MAX_STACK)
        return refuse(m, "the stack is full");
    m->stack[m->depth++] = value;
    return 0;
}

/* The value on top, removed; NULL if there is none above the last mark. */
static Value *pop(Machine *m)
{
    int floor = m->n_marks > 0 ? m->marks[m->n_marks - 1] : 0;
    return m->depth > floor ? m->stack[--m->depth] : NULL;
}

static Value *top(Machine *m)
{
    int floor = m->n_marks > 0 ? m->marks[m->n_marks - 1] : 0;
    return m->depth > floor ? m->stack[m->depth - 1] : NULL;
}

static int append(Machine *m, Value *list, Value *item)
{
    if (list->count * (list->kind == KIND_DICT ? 2 : 1) + 2 > list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 8;
        Value **items =
            capacity <= 2 * MAX_ITEMS ? realloc(list->items, capacity * sizeof *items) : NULL;
        if (!items)
            return refuse(m, "too many items");
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = item;
    return 0;
}

static int set_item(Machine *m, Value *dict, Value *key, Value *value)
{
    if (dict->kind != KIND_DICT)
        return refuse(m, "sets an item of something that is no dictionary");
    if (2 * dict->count + 2 > dict->capacity) {
        size_t capacity = dict->capacity ? 2 * dict->capacity : 16;
        Value **items =
            capacity <= 2 * MAX_ITEMS ? realloc(dict->items, capacity * sizeof *items) : NULL;
        if (!items)
            return refuse(m, "too many items");
        dict->items = items;
        dict->capacity = capacity;
    }
    dict->items[2 * dict->count] = key;
    dict->items[2 * dict->count + 1] = value;
    dict->count++;
    return 0;
}

static bool is_text(const Value *value, const char *text)
{
    return value && value->kind == KIND_TEXT && value->count == strlen(text) &&
           memcmp(value->text, text, value->count) == 0;
}

/* `bytes` of the pickle as an unsigned little-endian number; false at its end. */
static bool take_number(Machine *m, int bytes, uint64_t *out)
{
    if ((size_t)bytes > m->bytes - m->at)
        return false;
    *out = 0;
    for (int i = 0; i < bytes; i++)
        *out |= (uint64_t)m->data[m->at++] << (8 * i);
    return true;
}

static int push_int(Machine *m, int64_t number)
{
    Value *value = create(m, KIND_INT);
    if (value)
        value->number = number;
    return push(m, value);
}

/* GLOBAL: two lines, module and name, which must be one of the known pairs. */
static int op_global(Machine *m)
{
    char name[128];
    size_t used = 0;
    for (int lines = 0; lines < 2;) {
        if (m->at == m->bytes || used + 1 >= sizeof name)
            return refuse(m, "the name of a global does not end");
        char c = (char)m->data[m->at++];
        if (c == '\n')
            c = ++lines == 1 ? ' ' : 0;
        name[used++] = c;
    }
    for (size_t i = 0; i < sizeof global_names / sizeof *global_names; i++)
        if (strcmp(name, global_names[i]) == 0) {
            Value *value = create(m, KIND_GLOBAL);
            if (value)
                value->number = (int64_t)i;
            return push(m, value);
        }
    return resr_fail(
        RESR_ERR_DATA,
        "pickle: offset %zu: the global '%s' is not allowed; only tensors in dictionaries "
        "are read",
        m->op_at, name);
}

static int op_text(Machine *m)
{
    uint64_t length;
    if (!take_number(m, 4, &length) || length > m->bytes - m->at)
        return refuse(m, "a text ends after the pickle");
    Value *value = create(m, KIND_TEXT);
    if (value) {
        value->text = (const char *)m->data + m->at;
        value->count = length;
    }
    m->at += length;
    return push(m, value);
}

/* BINPERSID: ('storage', type, key, device, number of elements). */
static int op_persistent_id(Machine *m)
{
    const Value *tuple = pop(m);
    if (!tuple || tuple->kind != KIND_SEQUENCE || tuple->count != 5 ||
        !is_text(tuple->items[0], "storage"))
        return refuse(m, "a persistent id is no storage");
    const Value *type = tuple->items[1], *key = tuple->items[2], *numel = tuple->items[4];
    if (type->kind != KIND_GLOBAL || type->number < GLOBAL_FLOAT_STORAGE ||
        key->kind != KIND_TEXT || numel->kind != KIND_INT || numel->number < 0)
        return refuse(m, "a storage is not of float, half or bfloat16 with a key and a size");
    Value *storage = create(m, KIND_STORAGE);
    if (storage) {
        storage->number = type->number - GLOBAL_FLOAT_STORAGE;
        storage->text = key->text;
        storage->count = key->count;
        storage->numel = numel->number;
    }
    return push(m, storage);
}

/* Shape and strides of a tensor: C-contiguous, inside its storage. */
static int set_geometry(Machine *m, Value *tensor, const Value *shape, const Value *strides)
{
    int64_t expected = 1;
    if (shape->kind != KIND_SEQUENCE || strides->kind != KIND_SEQUENCE ||
        shape->count != strides->count || shape->count > RESR_TENSOR_MAX_RANK)
        return refuse(m, "a tensor's shape is not of 0 to 4 sizes with as many strides");
    tensor->rank = (int)shape->count;
    for (int i = tensor->rank - 1; i >= 0; i--) {
        const Value *size = shape->items[i], *stride = strides->items[i];
        if (size->kind != KIND_INT || stride->kind != KIND_INT || size->number < 1)
            return refuse(m, "a tensor's sizes and strides are no positive numbers");
        if (size->number > 1 && stride->number != expected)
            return refuse(m, "a tensor's elements do not lie one behind the other");
        tensor->shape[i] = size->number;
        if (__builtin_mul_overflow(expected, size->number, &expected))
            return refuse(m, "a tensor's size overflows");
    }
    int64_t end;
    if (tensor->offset < 0 || __builtin_add_overflow(tensor->offset, expected, &end) ||
        end > tensor->storage->numel)
        return refuse(m, "a tensor reaches beyond its storage");
    return 0;
}

/* _rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks[, metadata]). */
static int rebuild_tensor(Machine *m, const Value *arguments)
{
    if (arguments->count < 6 || arguments->count > 7 || arguments->items[0]->kind != KIND_STORAGE ||
        arguments->items[1]->kind != KIND_INT)
        return refuse(m, "a tensor is built from something else than a storage and an offset");
    Value *tensor = create(m, KIND_TENSOR);
    if (!tensor)
        return refuse(m, "too many values");
    tensor->storage = arguments->items[0];
    tensor->offset = arguments->items[1]->number;
    int ret = set_geometry(m, tensor, arguments->items[2], arguments->items[3]);
    return ret < 0 ? ret : push(m, tensor);
}

/* REDUCE would call a function; here it recognises the three calls that a state dict is made of. */
static int op_reduce(Machine *m)
{
    Value *arguments = pop(m);
    const Value *callee = pop(m);
    if (!arguments || !callee || callee->kind != KIND_GLOBAL || arguments->kind != KIND_SEQUENCE)
        return refuse(m, "a call of something that is no known global");
    if (callee->number == GLOBAL_ORDERED_DICT && arguments->count == 0)
        return push(m, create(m, KIND_DICT));
    if (callee->number == GLOBAL_REBUILD_TENSOR)
        return rebuild_tensor(m, arguments);
    if (callee->number == GLOBAL_REBUILD_PARAMETER && arguments->count == 3 &&
        arguments->items[0]->kind == KIND_TENSOR)
        return push(m, arguments->items[0]);
    return refuse(m, "a call with arguments that do not fit");
}

/* BUILD sets attributes: of an OrderedDict (_metadata) they are of no interest. */
static int op_build(Machine *m)
{
    const Value *state = pop(m), *target = top(m);
    if (!state || !target || target->kind != KIND_DICT)
        return refuse(m, "attributes of something that is no dictionary");
    return 0;
}

/* A tuple of the top `count` values, or with -1 of those above the last mark. */
static int op_tuple(Machine *m, int count)
{
    Value *tuple = create(m, KIND_SEQUENCE);
    int floor = m->n_marks > 0 ? m->marks[m->n_marks - 1] : 0;
    if (!tuple)
        return refuse(m, "too many values");
    if (count < 0) {
        if (m->n_marks == 0)
            return refuse(m, "there is no mark");
        m->n_marks--;
        count = m->depth - floor;
    } else if (m->depth - floor < count) {
        return refuse(m, "the stack is too short");
    }
    int ret = 0;
    for (int i = m->depth - count; ret == 0 && i < m->depth; i++)
        ret = append(m, tuple, m->stack[i]);
    m->depth -= count;
    return ret < 0 ? ret : push(m, tuple);
}

/* SETITEMS and APPENDS: what lies above the last mark goes into the value below it. */
static int op_fill(Machine *m, bool dict)
{
    if (m->n_marks == 0)
        return refuse(m, "there is no mark");
    int first = m->marks[--m->n_marks];
    Value *target = first > 0 ? m->stack[first - 1] : NULL;
    if (!target || (dict && (m->depth - first) % 2) || (!dict && target->kind != KIND_SEQUENCE))
        return refuse(m, "there is nothing to fill");
    int ret = 0;
    for (int i = first; ret == 0 && i < m->depth; i += dict ? 2 : 1)
        ret = dict ? set_item(m, target, m->stack[i], m->stack[i + 1])
                   : append(m, target, m->stack[i]);
    m->depth = first;
    return ret;
}

static int op_set_one(Machine *m, bool dict)
{
    Value *value = pop(m), *key = dict ? pop(m) : value, *target = top(m);
    if (!value || !key || !target || (!dict && target->kind != KIND_SEQUENCE))
        return refuse(m, "there is nothing to fill");
    return dict ? set_item(m, target, key, value) : append(m, target, value);
}

static int op_put(Machine *m, int bytes)
{
    uint64_t index;
    if (!take_number(m, bytes, &index) || index >= MAX_MEMO || !top(m))
        return refuse(m, "the memo's index is out of range");
    m->memo[index] = top(m);
    return 0;
}

static int op_get(Machine *m, int bytes)
{
    uint64_t index;
    if (!take_number(m, bytes, &index) || index >= MAX_MEMO || !m->memo[index])
        return refuse(m, "the memo has nothing there");
    return push(m, m->memo[index]);
}

static int op_int(Machine *m, int bytes, bool is_signed)
{
    uint64_t number;
    if (!take_number(m, bytes, &number))
        return refuse(m, "a number ends after the pickle");
    if (is_signed && bytes < 8 && number >> (8 * bytes - 1))
        number |= ~(uint64_t)0 << (8 * bytes);
    return push_int(m, (int64_t)number);
}

static int op_long(Machine *m)
{
    uint64_t bytes;
    if (!take_number(m, 1, &bytes) || bytes > 8)
        return refuse(m, "a number of more than 8 bytes");
    return bytes == 0 ? push_int(m, 0) : op_int(m, (int)bytes, true);
}

static int op_mark(Machine *m)
{
    if (m->n_marks == MAX_STACK)
        return refuse(m, "too many marks");
    m->marks[m->n_marks++] = m->depth;
    return 0;
}

static int op_bool(Machine *m, int64_t truth)
{
    Value *value = create(m, KIND_BOOL);
    if (value)
        value->number = truth;
    return push(m, value);
}

static int op_skip(Machine *m, int bytes, Kind kind)
{
    uint64_t ignored;
    if (!take_number(m, bytes, &ignored))
        return refuse(m, "ends after the pickle");
    return push(m, create(m, kind));
}

/* The opcodes of a state dict (Python's pickletools names); all others are refused. */
static int step(Machine *m)
{
    /* clang-format off */
    uint64_t version;
    switch (m->op) {
    case 0x80: /* PROTO */
        if (!take_number(m, 1, &version) || version != 2)
            return refuse(m, "only protocol 2 is read; save the file with torch.save");
        return 0;
    case 'c': return op_global(m);             /* GLOBAL */
    case ')': return op_tuple(m, 0);           /* EMPTY_TUPLE */
    case 0x85: return op_tuple(m, 1);          /* TUPLE1 */
    case 0x86: return op_tuple(m, 2);          /* TUPLE2 */
    case 0x87: return op_tuple(m, 3);          /* TUPLE3 */
    case 't': return op_tuple(m, -1);          /* TUPLE */
    case ']': return op_tuple(m, 0);           /* EMPTY_LIST */
    case '}': return push(m, create(m, KIND_DICT)); /* EMPTY_DICT */
    case '(': return op_mark(m);               /* MARK */
    case 'X': return op_text(m);               /* BINUNICODE */
    case 'J': return op_int(m, 4, true);       /* BININT */
    case 'K': return op_int(m, 1, false);      /* BININT1 */
    case 'M': return op_int(m, 2, false);      /* BININT2 */
    case 0x8a: return op_long(m);              /* LONG1 */
    case 'G': return op_skip(m, 8, KIND_FLOAT); /* BINFLOAT */
    case 'N': return push(m, create(m, KIND_NONE)); /* NONE */
    case 0x88: return op_bool(m, 1);           /* NEWTRUE */
    case 0x89: return op_bool(m, 0);           /* NEWFALSE */
    case 'q': return op_put(m, 1);             /* BINPUT */
    case 'r': return op_put(m, 4);             /* LONG_BINPUT */
    case 'h': return op_get(m, 1);             /* BINGET */
    case 'j': return op_get(m, 4);             /* LONG_BINGET */
    case 'Q': return op_persistent_id(m);      /* BINPERSID */
    case 'R': return op_reduce(m);             /* REDUCE */
    case 'b': return op_build(m);              /* BUILD */
    case 's': return op_set_one(m, true);      /* SETITEM */
    case 'a': return op_set_one(m, false);     /* APPEND */
    case 'u': return op_fill(m, true);         /* SETITEMS */
    case 'e': return op_fill(m, false);        /* APPENDS */
    default: return refuse(m, "is not allowed: a state dict needs no such thing");
    }
    /* clang-format on */
}

static int run(Machine *m)
{
    for (int steps = 0; steps < MAX_STEPS; steps++) {
        if (m->at == m->bytes)
            return resr_fail(RESR_ERR_DATA, "pickle: ends without STOP");
        m->op_at = m->at;
        m->op = m->data[m->at++];
        if (m->op == '.') /* STOP */
            return m->depth == 1 && m->n_marks == 0 && m->stack[0]->kind == KIND_DICT
                       ? 0
                       : refuse(m, "the result is no dictionary");
        int ret = step(m);
        if (ret < 0)
            return ret;
    }
    return resr_fail(RESR_ERR_DATA, "pickle: more than %d opcodes", MAX_STEPS);
}

static const Value *lookup(const Value *dict, const char *key)
{
    for (size_t i = 0; i < dict->count; i++)
        if (is_text(dict->items[2 * i], key))
            return dict->items[2 * i + 1];
    return NULL;
}

static int emit(ResrTensor *tensor, const Value *key, const Value *value,
                ResrRecordReader read_record, void *user)
{
    char record[64];
    size_t bytes, expected;
    if (key->kind != KIND_TEXT || key->count == 0 || key->count >= sizeof tensor->name ||
        memchr(key->text, 0, key->count))
        return resr_fail(RESR_ERR_DATA, "a key of the state dict is no text of 1 to %d bytes",
                         RESR_TENSOR_NAME_BYTES - 1);
    memcpy(tensor->name, key->text, key->count);
    if (value->kind != KIND_TENSOR)
        return resr_fail(RESR_ERR_DATA, "%s is no tensor", tensor->name);
    const Value *storage = value->storage;
    tensor->rank = value->rank;
    tensor->dtype = (ResrDtype)storage->number;
    memcpy(tensor->shape, value->shape, sizeof tensor->shape);
    if (storage->count >= sizeof record)
        return resr_fail(RESR_ERR_DATA, "%s: its storage's key is too long", tensor->name);
    snprintf(record, sizeof record, "%.*s", (int)storage->count, storage->text);
    int ret = read_record(user, record, &tensor->data, &bytes);
    if (ret < 0)
        return ret;
    if (!resr_checked_mul(&expected, (size_t)storage->numel, resr_dtype_bytes(tensor->dtype)) ||
        expected != bytes)
        return resr_fail(
            RESR_ERR_DATA,
            "%s: its storage is said to hold %lld elements, but record %s has %zu bytes",
            tensor->name, (long long)storage->numel, record, bytes);
    tensor->data += (size_t)value->offset * resr_dtype_bytes(tensor->dtype);
    return 0;
}

static int collect(ResrTensor **tensors, size_t *n, const Value *root, ResrRecordReader read_record,
                   void *user)
{
    const Value *dict = lookup(root, "params_ema");
    if (!dict)
        dict = lookup(root, "params");
    if (!dict)
        dict = root;
    if (dict->kind != KIND_DICT)
        return resr_fail(RESR_ERR_DATA, "params_ema or params is no dictionary");
    int ret = resr_alloc(tensors, dict->count + 1, sizeof **tensors);
    for (size_t i = 0; ret == 0 && i < dict->count; i++, ++*n)
        ret = emit(&(*tensors)[i], dict->items[2 * i], dict->items[2 * i + 1], read_record, user);
    for (size_t i = 0; ret == 0 && i < *n; i++)
        for (size_t k = 0; ret == 0 && k < i; k++)
            if (strcmp((*tensors)[i].name, (*tensors)[k].name) == 0)
                ret = resr_fail(RESR_ERR_DATA, "tensor %s is there twice", (*tensors)[i].name);
    return ret;
}

int resr_pickle_read(ResrTensor **tensors, size_t *n, const uint8_t *data, size_t bytes,
                     ResrRecordReader read_record, void *user)
{
    Machine *m = NULL;
    *tensors = NULL;
    *n = 0;
    if (bytes > MAX_PICKLE_BYTES)
        return resr_fail(RESR_ERR_DATA, "the pickle takes %zu bytes; at most %d are read", bytes,
                         MAX_PICKLE_BYTES);
    int ret = resr_alloc(&m, 1, sizeof *m);
    if (ret < 0)
        return ret;
    m->data = data;
    m->bytes = bytes;
    ret = resr_alloc(&m->memo, MAX_MEMO, sizeof *m->memo);
    if (ret == 0)
        ret = run(m);
    if (ret == 0)
        ret = collect(tensors, n, m->stack[0], read_record, user);
    for (Value *value = m->all; value;) {
        Value *next = value->next;
        free(value->items);
        free(value);
        value = next;
    }
    free(m->memo);
    free(m);
    if (ret < 0) {
        free(*tensors);
        *tensors = NULL;
    }
    return ret;
}
