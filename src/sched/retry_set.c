#include "sched/retry_set.h"

#include <stdlib.h>

#include "base/memory.h"

typedef struct ResrRetrySetFrame {
    int64_t index; /* -1: none */
    int16_t attempt, failures;
} ResrRetrySetFrame;

int resr_retry_set_create(ResrRetrySet *set, int64_t size)
{
    *set = (ResrRetrySet){.size = size};
    int ret = resr_alloc(&set->frames, (size_t)size, sizeof *set->frames);
    for (int64_t i = 0; ret == 0 && i < size; i++)
        set->frames[i].index = -1;
    return ret;
}

void resr_retry_set_free(ResrRetrySet *set)
{
    free(set->frames);
}

static ResrRetrySetFrame *slot_of(const ResrRetrySet *set, int64_t index)
{
    return &set->frames[index % set->size];
}

static void drop(ResrRetrySet *set, int64_t index)
{
    slot_of(set, index)->index = -1;
    set->count--;
}

void resr_retry_set_add(ResrRetrySet *set, const ResrPart *part)
{
    if (set->count == 0 || set->low > part->first)
        set->low = part->first;
    for (int64_t i = part->first; i < part->first + part->count; i++) {
        ResrRetrySetFrame *frame = slot_of(set, i);
        if (frame->index > i)
            continue; /* slot reused by a later frame: frame i has already arrived */
        set->count += frame->index < 0; /* overwrites an older entry whose frame has arrived */
        *frame = (ResrRetrySetFrame){i, (int16_t)(part->attempt + 1), part->failures};
    }
}

bool resr_retry_set_find(ResrRetrySet *set, ResrPart *part, ResrFrameNeeded needed, void *user)
{
    for (; set->count > 0; set->low++) {
        if (slot_of(set, set->low)->index != set->low)
            continue;
        part->first = set->low;
        if (needed(user, set->low))
            return true;
        drop(set, set->low);
    }
    return false;
}

void resr_retry_set_pop(ResrRetrySet *set, ResrPart *part, int64_t end, ResrFrameNeeded needed,
                        void *user)
{
    part->count = part->attempt = part->failures = 0;
    for (int64_t i = part->first; i < end; i++) {
        const ResrRetrySetFrame *frame = slot_of(set, i);
        if (frame->index != i || !needed(user, i))
            break;
        part->count++;
        if (part->attempt < frame->attempt)
            part->attempt = frame->attempt;
        if (part->failures < frame->failures)
            part->failures = frame->failures;
        drop(set, i);
    }
}
