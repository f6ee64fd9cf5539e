#include "sched/retry_set.h"

#include <stdlib.h>

#include "base/memory.h"

typedef struct ResrRetrySetFrame {
    int64_t index; /* -1: none */
    int16_t attempt, failures;
} ResrRetrySetFrame;

int resr_retry_set_create(ResrRetrySet *again, int64_t size)
{
    *again = (ResrRetrySet){.size = size};
    int ret = resr_alloc(&again->frames, (size_t)size, sizeof *again->frames);
    for (int64_t i = 0; ret == 0 && i < size; i++)
        again->frames[i].index = -1;
    return ret;
}

void resr_retry_set_free(ResrRetrySet *again)
{
    free(again->frames);
}

static ResrRetrySetFrame *slot_of(const ResrRetrySet *again, int64_t index)
{
    return &again->frames[index % again->size];
}

static void drop(ResrRetrySet *again, int64_t index)
{
    slot_of(again, index)->index = -1;
    again->count--;
}

void resr_retry_set_add(ResrRetrySet *again, const ResrPart *part)
{
    if (again->count == 0 || again->low > part->first)
        again->low = part->first;
    for (int64_t i = part->first; i < part->first + part->count; i++) {
        ResrRetrySetFrame *frame = slot_of(again, i);
        if (frame->index > i)
            continue;                     /* a pool further: this one came after all */
        again->count += frame->index < 0; /* an earlier one: it came after all */
        *frame = (ResrRetrySetFrame){i, (int16_t)(part->attempt + 1), part->failures};
    }
}

bool resr_retry_set_find(ResrRetrySet *again, ResrPart *part, ResrFrameNeeded needed, void *user)
{
    for (; again->count > 0; again->low++) {
        if (slot_of(again, again->low)->index != again->low)
            continue;
        part->first = again->low;
        if (needed(user, again->low))
            return true;
        drop(again, again->low);
    }
    return false;
}

void resr_retry_set_take(ResrRetrySet *again, ResrPart *part, int64_t end, ResrFrameNeeded needed,
                         void *user)
{
    part->count = part->attempt = part->failures = 0;
    for (int64_t i = part->first; i < end; i++) {
        const ResrRetrySetFrame *frame = slot_of(again, i);
        if (frame->index != i || !needed(user, i))
            break;
        part->count++;
        if (part->attempt < frame->attempt)
            part->attempt = frame->attempt;
        if (part->failures < frame->failures)
            part->failures = frame->failures;
        drop(again, i);
    }
}
