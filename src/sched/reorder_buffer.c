#include "sched/reorder_buffer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

int resr_reorder_buffer_create(ResrReorderBuffer *buffer, int64_t size)
{
    int ret = resr_alloc(&buffer->input, (size_t)size, sizeof(ResrFrame *));
    if (ret == 0)
        ret = resr_alloc(&buffer->done, (size_t)size, sizeof(ResrFrame *));
    buffer->size = ret == 0 ? size : 0;
    return ret;
}

void resr_reorder_buffer_clear(ResrReorderBuffer *buffer)
{
    for (int64_t i = 0; i < buffer->size; i++) {
        resr_frame_free(buffer->input[i]);
        resr_frame_free(buffer->done[i]);
    }
    free(buffer->input);
    free(buffer->done);
    *buffer = (ResrReorderBuffer){0};
}

static ResrFrame **slot_of(ResrFrame **frames, const ResrReorderBuffer *buffer, int64_t index)
{
    return &frames[index % buffer->size];
}

void resr_reorder_buffer_add(ResrReorderBuffer *buffer, ResrFrame *frame)
{
    bool computed = frame->state != RESR_FRAME_DECODED;
    assert(frame->index == buffer->decoded && frame->index < buffer->delivered + buffer->size);
    buffer->decoded = frame->index + 1;
    *slot_of(computed ? buffer->done : buffer->input, buffer, frame->index) = frame;
}

ResrFrame *resr_reorder_buffer_input(const ResrReorderBuffer *buffer, int64_t index)
{
    ResrFrame *frame = *slot_of(buffer->input, buffer, index);
    return index >= buffer->delivered && frame && frame->index == index ? frame : NULL;
}

bool resr_reorder_buffer_needs(const ResrReorderBuffer *buffer, int64_t index)
{
    const ResrFrame *frame = resr_reorder_buffer_input(buffer, index);
    return frame && frame->state == RESR_FRAME_DECODED;
}

void resr_reorder_buffer_accept(ResrReorderBuffer *buffer, ResrFrame *frame)
{
    ResrFrame **input = slot_of(buffer->input, buffer, frame->index);
    assert(*input && (*input)->index == frame->index);
    memcpy(frame->source, (*input)->hash, sizeof(*input)->hash);
    frame->credit = (*input)->credit;
    (*input)->credit = NULL;
    resr_frame_free(*input);
    *input = NULL;
    *slot_of(buffer->done, buffer, frame->index) = frame;
}

ResrFrame *resr_reorder_buffer_deliver(ResrReorderBuffer *buffer)
{
    ResrFrame **slot = slot_of(buffer->done, buffer, buffer->delivered), *frame = *slot;
    *slot = NULL;
    buffer->delivered += frame != NULL;
    assert(buffer->delivered <= buffer->decoded);
    return frame;
}

void resr_reorder_buffer_set_computed(ResrReorderBuffer *buffer, int64_t index, bool computed)
{
    ResrFrame *frame = resr_reorder_buffer_input(buffer, index);
    if (frame)
        frame->state = computed ? RESR_FRAME_COMPUTED_ELSEWHERE : RESR_FRAME_DECODED;
}

void resr_reorder_buffer_set_durable(ResrReorderBuffer *buffer, int64_t index)
{
    ResrFrame **input = slot_of(buffer->input, buffer, index);
    if (!resr_reorder_buffer_input(buffer, index))
        return;
    (*input)->state = RESR_FRAME_DURABLE;
    *slot_of(buffer->done, buffer, index) = *input;
    *input = NULL;
}
