#include "model/pickle_machine.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

int resr_pickle_refuse(const ResrPickle *p, const char *what)
{
    return resr_fail(RESR_ERR_DATA, "pickle: opcode 0x%02x at offset %zu: %s", p->op, p->op_at,
                     what);
}

ResrPickleValue *resr_pickle_create(ResrPickle *p, ResrPickleKind kind)
{
    ResrPickleValue *value = NULL;
    if (p->n_values >= RESR_PICKLE_MAX_VALUES || resr_alloc(&value, 1, sizeof *value) < 0)
        return NULL;
    value->kind = kind;
    value->next = p->all;
    p->all = value;
    p->n_values++;
    return value;
}

int resr_pickle_push(ResrPickle *p, ResrPickleValue *value)
{
    if (!value)
        return resr_pickle_refuse(p, "too many values");
    if (p->depth == RESR_PICKLE_MAX_STACK)
        return resr_pickle_refuse(p, "the stack is full");
    p->stack[p->depth++] = value;
    return 0;
}

static int floor_of(const ResrPickle *p)
{
    return p->n_marks > 0 ? p->marks[p->n_marks - 1] : 0;
}

ResrPickleValue *resr_pickle_pop(ResrPickle *p)
{
    return p->depth > floor_of(p) ? p->stack[--p->depth] : NULL;
}

ResrPickleValue *resr_pickle_top(const ResrPickle *p)
{
    return p->depth > floor_of(p) ? p->stack[p->depth - 1] : NULL;
}

int resr_pickle_append(ResrPickle *p, ResrPickleValue *to, ResrPickleValue *item)
{
    if (p->n_items++ >= RESR_PICKLE_MAX_ITEMS)
        return resr_pickle_refuse(p, "too many items");
    int ret = 0;
    if (to->capacity == 0) { /* most tuples are short, and a hostile pickle has many */
        to->capacity = 8;
        ret = resr_alloc_uninitialised(&to->items, to->capacity, sizeof(ResrPickleValue *));
    }
    if (ret == 0)
        ret = resr_grow(&to->items, &to->capacity, to->count, sizeof(ResrPickleValue *));
    if (ret < 0)
        return ret;
    to->items[to->count++] = item;
    return 0;
}

bool resr_pickle_is_text(const ResrPickleValue *value, const char *text)
{
    return value && value->kind == RESR_PICKLE_TEXT && value->count == strlen(text) &&
           memcmp(value->text, text, value->count) == 0;
}

void resr_pickle_free(ResrPickle *p)
{
    if (!p)
        return;
    for (ResrPickleValue *value = p->all; value;) {
        ResrPickleValue *next = value->next;
        free(value->items);
        free(value);
        value = next;
    }
    free(p->memo);
    free(p);
}
