/* The opcodes of a pickle (named as in Python's pickletools) that state dicts consist of. All other
 * opcodes are refused, and none of these calls or imports anything. */

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "model/pickle_machine.h"

enum { OP_PROTO = 0x80, OP_STOP = '.' };

typedef ResrPickle Machine;
typedef ResrPickleValue Value;

/* Reads an unsigned little-endian number of `bytes` bytes; false at the end of the pickle. */
static bool take_number(Machine *p, int bytes, uint64_t *out)
{
    if ((size_t)bytes > p->bytes - p->at)
        return false;
    *out = 0;
    for (int i = 0; i < bytes; i++)
        *out |= (uint64_t)p->data[p->at++] << (8 * i);
    return true;
}

static int op_proto(Machine *p, int version)
{
    uint64_t found;
    if (p->op_at != p->begin || !take_number(p, 1, &found) || found != (uint64_t)version)
        return resr_pickle_refuse(p, "only protocol 2 is read; save the file with torch.save");
    return 0;
}

static int op_global(Machine *p, int unused)
{
    (void)unused;
    return resr_pickle_global(p);
}

static int op_persistent_id(Machine *p, int unused)
{
    (void)unused;
    return resr_pickle_persistent_id(p);
}

static int op_reduce(Machine *p, int unused)
{
    (void)unused;
    return resr_pickle_reduce(p);
}

static int op_text(Machine *p, int length_bytes)
{
    uint64_t length;
    if (!take_number(p, length_bytes, &length) || length > p->bytes - p->at)
        return resr_pickle_refuse(p, "a text ends after the pickle");
    Value *value = resr_pickle_create(p, RESR_PICKLE_TEXT);
    if (value) {
        value->text = (const char *)p->data + p->at;
        value->count = length;
    }
    p->at += length;
    return resr_pickle_push(p, value);
}

static int push_number(Machine *p, ResrPickleKind kind, int64_t number)
{
    Value *value = resr_pickle_create(p, kind);
    if (value)
        value->number = number;
    return resr_pickle_push(p, value);
}

/* Pushes an integer of `bytes` bytes; negative: a signed one of -bytes bytes. */
static int op_int(Machine *p, int bytes)
{
    uint64_t number = 0;
    int width = bytes < 0 ? -bytes : bytes;
    if (!take_number(p, width, &number))
        return resr_pickle_refuse(p, "a number ends after the pickle");
    if (bytes < 0 && width < 8 && number >> (8 * width - 1))
        number |= ~(uint64_t)0 << (8 * width);
    return push_number(p, RESR_PICKLE_INT, (int64_t)number);
}

static int op_long(Machine *p, int length_bytes)
{
    uint64_t bytes;
    if (!take_number(p, length_bytes, &bytes) || bytes > 8)
        return resr_pickle_refuse(p, "a number of more than 8 bytes");
    return bytes == 0 ? push_number(p, RESR_PICKLE_INT, 0) : op_int(p, -(int)bytes);
}

/* Skips a floating-point number: none of a checkpoint is used. */
static int op_float(Machine *p, int bytes)
{
    uint64_t ignored;
    if (!take_number(p, bytes, &ignored))
        return resr_pickle_refuse(p, "a number ends after the pickle");
    return push_number(p, RESR_PICKLE_FLOAT, 0);
}

static int op_empty(Machine *p, int kind)
{
    return resr_pickle_push(p, resr_pickle_create(p, (ResrPickleKind)kind));
}

static int op_bool(Machine *p, int truth)
{
    return push_number(p, RESR_PICKLE_BOOL, truth);
}

static int op_mark(Machine *p, int unused)
{
    (void)unused;
    if (p->n_marks == RESR_PICKLE_MAX_STACK)
        return resr_pickle_refuse(p, "too many marks");
    p->marks[p->n_marks++] = p->depth;
    return 0;
}

/* Pushes a tuple of the top `count` values; -1: of the values above the last mark. */
static int op_tuple(Machine *p, int count)
{
    int floor = p->n_marks > 0 ? p->marks[p->n_marks - 1] : 0;
    if (count < 0 && p->n_marks-- == 0)
        return resr_pickle_refuse(p, "the stack has no mark");
    if (count < 0)
        count = p->depth - floor;
    if (p->depth - floor < count)
        return resr_pickle_refuse(p, "the stack is too short");
    Value *tuple = resr_pickle_create(p, RESR_PICKLE_TUPLE);
    int ret = tuple ? 0 : resr_pickle_refuse(p, "too many values");
    for (int i = p->depth - count; ret == 0 && i < p->depth; i++)
        ret = resr_pickle_append(p, tuple, p->stack[i]);
    p->depth -= count;
    return ret < 0 ? ret : resr_pickle_push(p, tuple);
}

static int fill(Machine *p, Value *target, int kind, Value *const *items, int n)
{
    int ret = 0;
    if (!target || (int)target->kind != kind)
        return resr_pickle_refuse(p, kind == RESR_PICKLE_DICT
                                         ? "sets an item of something that is not a dictionary"
                                         : "appends to something that is not a list");
    if (kind == RESR_PICKLE_DICT && n % 2)
        return resr_pickle_refuse(p, "a key without a value");
    for (int i = 0; ret == 0 && i < n; i++)
        ret = resr_pickle_append(p, target, items[i]);
    return ret;
}

/* SETITEMS and APPENDS: moves the values above the last mark into the value below it. */
static int op_fill(Machine *p, int kind)
{
    if (p->n_marks == 0)
        return resr_pickle_refuse(p, "the stack has no mark");
    int first = p->marks[--p->n_marks], n = p->depth - first;
    p->depth = first;
    return fill(p, resr_pickle_top(p), kind, p->stack + first, n);
}

/* SETITEM and APPEND. */
static int op_fill_one(Machine *p, int kind)
{
    int n = kind == RESR_PICKLE_DICT ? 2 : 1;
    for (int i = 0; i < n; i++)
        if (!resr_pickle_pop(p))
            return resr_pickle_refuse(p, "the stack is too short");
    return fill(p, resr_pickle_top(p), kind, p->stack + p->depth, n);
}

/* BUILD sets attributes; those of an OrderedDict (_metadata) are ignored. */
static int op_build(Machine *p, int unused)
{
    (void)unused;
    const Value *state = resr_pickle_pop(p), *target = resr_pickle_top(p);
    if (!state || !target || target->kind != RESR_PICKLE_DICT || target->number != 1)
        return resr_pickle_refuse(p, "attributes of something that is not an OrderedDict");
    return 0;
}

static int op_put(Machine *p, int bytes)
{
    uint64_t index;
    if (!take_number(p, bytes, &index) || index >= RESR_PICKLE_MAX_MEMO || !resr_pickle_top(p))
        return resr_pickle_refuse(p, "the memo's index is out of range, or the stack is empty");
    int ret = resr_grow_zeroed(&p->memo, &p->memo_capacity, index, sizeof(Value *));
    if (ret == 0)
        p->memo[index] = resr_pickle_top(p);
    return ret;
}

static int op_get(Machine *p, int bytes)
{
    uint64_t index;
    if (!take_number(p, bytes, &index) || index >= p->memo_capacity || !p->memo[index])
        return resr_pickle_refuse(p, "the memo has nothing there");
    return resr_pickle_push(p, p->memo[index]);
}

static const struct Opcode {
    uint8_t code;
    int (*handle)(Machine *p, int argument);
    int argument;
} opcodes[] = {
    {OP_PROTO, op_proto, 2},              /* PROTO */
    {'c', op_global, 0},                  /* GLOBAL */
    {')', op_empty, RESR_PICKLE_TUPLE},   /* EMPTY_TUPLE */
    {0x85, op_tuple, 1},                  /* TUPLE1 */
    {0x86, op_tuple, 2},                  /* TUPLE2 */
    {0x87, op_tuple, 3},                  /* TUPLE3 */
    {'t', op_tuple, -1},                  /* TUPLE */
    {']', op_empty, RESR_PICKLE_LIST},    /* EMPTY_LIST */
    {'}', op_empty, RESR_PICKLE_DICT},    /* EMPTY_DICT */
    {'(', op_mark, 0},                    /* MARK */
    {'X', op_text, 4},                    /* BINUNICODE */
    {'J', op_int, -4},                    /* BININT */
    {'K', op_int, 1},                     /* BININT1 */
    {'M', op_int, 2},                     /* BININT2 */
    {0x8a, op_long, 1},                   /* LONG1 */
    {'G', op_float, 8},                   /* BINFLOAT */
    {'N', op_empty, RESR_PICKLE_NONE},    /* NONE */
    {0x88, op_bool, 1},                   /* NEWTRUE */
    {0x89, op_bool, 0},                   /* NEWFALSE */
    {'q', op_put, 1},                     /* BINPUT */
    {'r', op_put, 4},                     /* LONG_BINPUT */
    {'h', op_get, 1},                     /* BINGET */
    {'j', op_get, 4},                     /* LONG_BINGET */
    {'Q', op_persistent_id, 0},           /* BINPERSID */
    {'R', op_reduce, 0},                  /* REDUCE */
    {'b', op_build, 0},                   /* BUILD */
    {'s', op_fill_one, RESR_PICKLE_DICT}, /* SETITEM */
    {'a', op_fill_one, RESR_PICKLE_LIST}, /* APPEND */
    {'u', op_fill, RESR_PICKLE_DICT},     /* SETITEMS */
    {'e', op_fill, RESR_PICKLE_LIST},     /* APPENDS */
};

static int step(Machine *p)
{
    for (size_t i = 0; i < sizeof opcodes / sizeof *opcodes; i++)
        if (opcodes[i].code == p->op)
            return opcodes[i].handle(p, opcodes[i].argument);
    return resr_pickle_refuse(p, "is not allowed: state dicts do not use it");
}

/* Runs to STOP. Each step consumes at least one byte, so the pickle's size bounds their number. */
static int run(Machine *p, ResrPickleKind result)
{
    while (p->at < p->bytes) {
        p->op_at = p->at;
        p->op = p->data[p->at++];
        if (p->op_at == p->begin && p->op != OP_PROTO)
            return resr_pickle_refuse(p, "a pickle begins with the number of its protocol");
        if (p->op == OP_STOP) {
            if (p->depth != 1 || p->n_marks > 0 || p->stack[0]->kind != result)
                return resr_pickle_refuse(p, result == RESR_PICKLE_DICT
                                                 ? "the result is not a dictionary"
                                                 : "the result is not a list");
            return 0;
        }
        int ret = step(p);
        if (ret < 0)
            return ret;
    }
    return resr_fail(RESR_ERR_DATA, "pickle: %zu bytes without STOP", p->bytes - p->begin);
}

int resr_pickle_parse(ResrPickle **out, size_t *at, const uint8_t *data, size_t bytes,
                      ResrPickleKind result)
{
    Machine *p = NULL;
    *out = NULL;
    int ret = resr_alloc(&p, 1, sizeof *p);
    if (ret < 0)
        return ret;
    p->data = data;
    p->begin = p->at = *at;
    p->bytes = bytes;
    ret = run(p, result);
    if (ret < 0) {
        resr_pickle_free(p);
        return ret;
    }
    *at = p->at;
    *out = p;
    return 0;
}

int resr_pickle_read(ResrTensor **tensors, size_t *n, const uint8_t *data, size_t bytes,
                     ResrRecordReader read_record, void *user)
{
    Machine *p;
    size_t at = 0;
    *tensors = NULL;
    *n = 0;
    if (bytes > RESR_PICKLE_MAX_BYTES)
        return resr_fail(RESR_ERR_DATA, "pickle: %zu bytes; at most %d are read", bytes,
                         RESR_PICKLE_MAX_BYTES);
    int ret = resr_pickle_parse(&p, &at, data, bytes, RESR_PICKLE_DICT);
    if (ret < 0)
        return ret;
    if (at == bytes)
        ret = resr_pickle_collect(tensors, n, p, read_record, user);
    else
        ret = resr_pickle_refuse(p, "something follows the end");
    resr_pickle_free(p);
    return ret;
}
