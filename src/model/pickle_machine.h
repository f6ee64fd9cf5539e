#ifndef RESR_MODEL_PICKLE_MACHINE_H
#define RESR_MODEL_PICKLE_MACHINE_H

/* Values and the stack machine that holds them, for pickle.c (the opcodes) and pickle_tensors.c
 * (the objects of a state dict). */

#include "model/pickle.h"

/* A checkpoint of 702 tensors has a pickle of 80 KB, 15,000 values, a stack of tens and a memo of
 * thousands. */
enum {
    RESR_PICKLE_MAX_BYTES = 4 << 20,
    RESR_PICKLE_MAX_STACK = 4096,
    RESR_PICKLE_MAX_MEMO = 100000,
    RESR_PICKLE_MAX_VALUES = 200000,
    RESR_PICKLE_MAX_ITEMS = 1 << 20, /* of all sequences and dictionaries together */
};

typedef enum ResrPickleKind {
    RESR_PICKLE_NONE,
    RESR_PICKLE_BOOL,
    RESR_PICKLE_INT,
    RESR_PICKLE_FLOAT,
    RESR_PICKLE_TEXT,
    RESR_PICKLE_TUPLE,
    RESR_PICKLE_LIST,
    RESR_PICKLE_DICT,
    RESR_PICKLE_GLOBAL,
    RESR_PICKLE_STORAGE,
    RESR_PICKLE_TENSOR,
} ResrPickleKind;

/* The known globals. */
typedef enum ResrPickleGlobal {
    RESR_PICKLE_ORDERED_DICT,
    RESR_PICKLE_REBUILD_TENSOR,
    RESR_PICKLE_REBUILD_PARAMETER,
    RESR_PICKLE_FIRST_STORAGE, /* the type of storages, as the globals behind it */
} ResrPickleGlobal;

typedef struct ResrPickleValue ResrPickleValue;
typedef struct ResrPickle ResrPickle;

struct ResrPickleValue {
    ResrPickleKind kind;
    int64_t
        number; /* BOOL, INT; GLOBAL: ResrPickleGlobal; STORAGE: ResrDtype; DICT: 1 if ordered */
    const char *text; /* TEXT, STORAGE (its key): `count` bytes inside the pickle */
    size_t count;     /* bytes of TEXT; items of TUPLE, LIST and DICT (key, value, key, ...) */
    ResrPickleValue **items;
    size_t capacity;
    int64_t numel;                  /* STORAGE */
    const ResrPickleValue *storage; /* TENSOR, as the next three */
    int64_t offset;
    int rank;
    int64_t shape[RESR_TENSOR_MAX_RANK];
    int64_t stride[RESR_TENSOR_MAX_RANK]; /* as in ResrTensor */
    ResrPickleValue *next;                /* list of all values, for resr_pickle_free() */
};

struct ResrPickle {
    const uint8_t *data;
    size_t begin, bytes, at; /* `bytes`: where the pickle must have ended, from `data` */
    size_t op_at;            /* offset of the current opcode */
    uint8_t op;
    ResrPickleValue *stack[RESR_PICKLE_MAX_STACK];
    int depth;
    int marks[RESR_PICKLE_MAX_STACK];
    int n_marks;
    ResrPickleValue **memo;
    size_t memo_capacity;
    ResrPickleValue *all;
    int n_values;
    size_t n_items;
};

/* Returns RESR_ERR_DATA; the message has the current opcode and its offset. */
int resr_pickle_refuse(const ResrPickle *p, const char *what);

/* A new value, owned by the machine; NULL beyond the limit, which resr_pickle_push() reports. */
ResrPickleValue *resr_pickle_create(ResrPickle *p, ResrPickleKind kind);

RESR_MUST_CHECK int resr_pickle_push(ResrPickle *p, ResrPickleValue *value);

/* The value on top, removed or kept; NULL if the stack has none above the last mark. */
ResrPickleValue *resr_pickle_pop(ResrPickle *p);
ResrPickleValue *resr_pickle_top(const ResrPickle *p);

/* Adds an item to a tuple, list or dictionary. */
RESR_MUST_CHECK int resr_pickle_append(ResrPickle *p, ResrPickleValue *to, ResrPickleValue *item);

bool resr_pickle_is_text(const ResrPickleValue *value, const char *text);

/* Runs the pickle at offset *at of `data` and moves *at behind it; it ends before `bytes`, and its
 * result is of kind `result`. The caller frees *out. RESR_ERR_DATA, with opcode and offset. */
RESR_MUST_CHECK int resr_pickle_parse(ResrPickle **out, size_t *at, const uint8_t *data,
                                      size_t bytes, ResrPickleKind result);
void resr_pickle_free(ResrPickle *p); /* NULL is allowed */

/* The value of a dictionary's key; NULL if it is missing. */
const ResrPickleValue *resr_pickle_lookup(const ResrPickleValue *dict, const char *key);

/* GLOBAL: reads two lines, module and name, which must be one of the known pairs. */
RESR_MUST_CHECK int resr_pickle_global(ResrPickle *p);

/* BINPERSID: replaces ('storage', type, key, device, number of elements) by a storage; a sixth
 * item, which the old format has for views, is None. */
RESR_MUST_CHECK int resr_pickle_persistent_id(ResrPickle *p);

/* REDUCE: would call a function; accepts the three calls of a state dict only. */
RESR_MUST_CHECK int resr_pickle_reduce(ResrPickle *p);

/* Lists the tensors of the state dict that a finished machine holds; see resr_pickle_read(). */
RESR_MUST_CHECK int resr_pickle_collect(ResrTensor **tensors, size_t *n, const ResrPickle *p,
                                        ResrRecordReader read_record, void *user);

#endif
