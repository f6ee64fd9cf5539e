#include "sched/reorder_buffer.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

int resr_reorder_buffer_create(ResrReorderBuffer *window, int64_t size)
{
    int ret = resr_alloc(&window->input, (size_t)size, sizeof(ResrFrame *));
    if (ret == 0)
        ret = resr_alloc(&window->done, (size_t)size, sizeof(ResrFrame *));
    window->size = ret == 0 ? size : 0;
    return ret;
}

void resr_reorder_buffer_clear(ResrReorderBuffer *window)
{
    for (int64_t i = 0; i < window->size; i++) {
        resr_frame_free(window->input[i]);
        resr_frame_free(window->done[i]);
    }
    free(window->input);
    free(window->done);
    *window = (ResrReorderBuffer){0};
}

static ResrFrame **slot_of(ResrFrame **frames, const ResrReorderBuffer *window, int64_t index)
{
    return &frames[index % window->size];
}

void resr_reorder_buffer_take(ResrReorderBuffer *window, ResrFrame *frame)
{
    bool made = frame->stage != RESR_FRAME_DECODED;
    window->decoded = frame->index + 1;
    *slot_of(made ? window->done : window->input, window, frame->index) = frame;
}

ResrFrame *resr_reorder_buffer_input(const ResrReorderBuffer *window, int64_t index)
{
    ResrFrame *frame = *slot_of(window->input, window, index);
    return index >= window->delivered && frame && frame->index == index ? frame : NULL;
}

bool resr_reorder_buffer_needs(const ResrReorderBuffer *window, int64_t index)
{
    const ResrFrame *frame = resr_reorder_buffer_input(window, index);
    return frame && frame->stage == RESR_FRAME_DECODED;
}

void resr_reorder_buffer_accept(ResrReorderBuffer *window, ResrFrame *frame)
{
    ResrFrame **input = slot_of(window->input, window, frame->index);
    memcpy(frame->source, (*input)->hash, sizeof(*input)->hash);
    frame->credit = (*input)->credit;
    (*input)->credit = NULL;
    resr_frame_free(*input);
    *input = NULL;
    *slot_of(window->done, window, frame->index) = frame;
}

ResrFrame *resr_reorder_buffer_deliver(ResrReorderBuffer *window)
{
    ResrFrame **slot = slot_of(window->done, window, window->delivered), *frame = *slot;
    *slot = NULL;
    window->delivered += frame != NULL;
    return frame;
}

void resr_reorder_buffer_set_computed(ResrReorderBuffer *window, int64_t index, bool computed)
{
    ResrFrame *frame = resr_reorder_buffer_input(window, index);
    if (frame)
        frame->stage = computed ? RESR_FRAME_COMPUTED_ELSEWHERE : RESR_FRAME_DECODED;
}

void resr_reorder_buffer_set_durable(ResrReorderBuffer *window, int64_t index)
{
    ResrFrame **input = slot_of(window->input, window, index);
    if (!resr_reorder_buffer_input(window, index))
        return;
    (*input)->stage = RESR_FRAME_DURABLE;
    *slot_of(window->done, window, index) = *input;
    *input = NULL;
}
