#include "mpi/window.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

int resr_window_create(ResrWindow *window, int64_t size)
{
    int ret = resr_alloc(&window->input, (size_t)size, sizeof(ResrFrame *));
    if (ret == 0)
        ret = resr_alloc(&window->done, (size_t)size, sizeof(ResrFrame *));
    window->size = ret == 0 ? size : 0;
    return ret;
}

void resr_window_clear(ResrWindow *window)
{
    for (int64_t i = 0; i < window->size; i++) {
        resr_frame_free(window->input[i]);
        resr_frame_free(window->done[i]);
    }
    free(window->input);
    free(window->done);
    *window = (ResrWindow){0};
}

static ResrFrame **slot_of(ResrFrame **frames, const ResrWindow *window, int64_t index)
{
    return &frames[index % window->size];
}

void resr_window_take(ResrWindow *window, ResrFrame *frame)
{
    bool made = frame->stage != RESR_FRAME_DECODED;
    window->decoded = frame->index + 1;
    *slot_of(made ? window->done : window->input, window, frame->index) = frame;
}

ResrFrame *resr_window_input(const ResrWindow *window, int64_t index)
{
    ResrFrame *frame = *slot_of(window->input, window, index);
    return index >= window->delivered && frame && frame->index == index ? frame : NULL;
}

bool resr_window_needs(const ResrWindow *window, int64_t index)
{
    const ResrFrame *frame = resr_window_input(window, index);
    return frame && frame->stage == RESR_FRAME_DECODED;
}

void resr_window_accept(ResrWindow *window, ResrFrame *frame)
{
    ResrFrame **input = slot_of(window->input, window, frame->index);
    memcpy(frame->source, (*input)->hash, sizeof(*input)->hash);
    frame->credit = (*input)->credit;
    (*input)->credit = NULL;
    resr_frame_free(*input);
    *input = NULL;
    *slot_of(window->done, window, frame->index) = frame;
}

ResrFrame *resr_window_deliver(ResrWindow *window)
{
    ResrFrame **slot = slot_of(window->done, window, window->delivered), *frame = *slot;
    *slot = NULL;
    window->delivered += frame != NULL;
    return frame;
}

void resr_window_set_computed(ResrWindow *window, int64_t index, bool computed)
{
    ResrFrame *frame = resr_window_input(window, index);
    if (frame)
        frame->stage = computed ? RESR_FRAME_UPSCALED : RESR_FRAME_DECODED;
}

void resr_window_set_durable(ResrWindow *window, int64_t index)
{
    ResrFrame **input = slot_of(window->input, window, index);
    if (!resr_window_input(window, index))
        return;
    (*input)->stage = RESR_FRAME_DURABLE;
    *slot_of(window->done, window, index) = *input;
    *input = NULL;
}
