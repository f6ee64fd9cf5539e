/* Groups of frames in their own format.
 *
 * A group is uploaded on one stream, computed on a second and downloaded on a third, so that the
 * next group's upload and the last group's download are hidden behind computing. The launches are
 * the same for every group of N frames in a slot: they are recorded once as a graph, which replaces
 * hundreds of launches from then on. The first group of N frames is not recorded, since it loads
 * kernels and libraries, which is not allowed during a recording. */

#include <stdlib.h>
#include <string.h>

#include "forward_memory.h"

/* Red's and blue's share of luma, by H.273's number of the matrix; false for other matrices. */
static int set_matrix(ColourFrame *frame, int matrix)
{
    static const struct {
        int matrix;
        float kr, kb;
    } known[] = {{1, 0.2126f, 0.0722f}, {4, 0.30f, 0.11f},   {5, 0.299f, 0.114f},
                 {6, 0.299f, 0.114f},   {7, 0.212f, 0.087f}, {9, 0.2627f, 0.0593f}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].matrix == matrix) {
            frame->kr = known[i].kr;
            frame->kb = known[i].kb;
            return 1;
        }
    return 0;
}

static void set_range(ColourFrame *frame, const ResrFormat *format)
{
    float unit = (float)(1 << (format->depth_bits - 8));
    frame->most = (1 << format->depth_bits) - 1;
    frame->chroma_offset = 128 * unit;
    if (format->full_range) {
        frame->luma_offset = 0;
        frame->luma_scale = frame->chroma_scale = (float)frame->most;
    } else {
        frame->luma_offset = 16 * unit;
        frame->luma_scale = 219 * unit;
        frame->chroma_scale = 224 * unit;
    }
}

/* Planes as media/frame.c lays them out; 0 if the format is not for the device. */
static int set_frame(ColourFrame *frame, size_t *bytes, const ResrFormat *format, int matrix)
{
    /* AVChromaLocation: none (left), left, centre, top left, top, bottom left, bottom. */
    static const int position_x[] = {0, 0, 1, 0, 1, 0, 1}, position_y[] = {1, 1, 1, 0, 0, 2, 2};
    enum { LOCATIONS = 7, ROW_ALIGN_BYTES = 64 };
    int location = format->chroma_location;
    *frame = (ColourFrame){.width = format->width_px, .height = format->height_px};
    if (format->model != RESR_COLOUR_YUV || format->has_alpha || format->chroma_shift_x > 1 ||
        format->chroma_shift_y > 1 || location < 0 || location >= LOCATIONS ||
        !set_matrix(frame, matrix))
        return 0;
    frame->sample_bytes = format->depth_bits > 8 ? 2 : 1;
    set_range(frame, format);
    resr_cuda_colour_axis(&frame->x, format->chroma_shift_x, position_x[location]);
    resr_cuda_colour_axis(&frame->y, format->chroma_shift_y, position_y[location]);
    *bytes = 0;
    for (int p = 0; p < 3; p++) {
        int shift_x = p > 0 ? format->chroma_shift_x : 0;
        int shift_y = p > 0 ? format->chroma_shift_y : 0;
        size_t width = ((size_t)format->width_px + (size_t)shift_x) >> shift_x;
        size_t height = ((size_t)format->height_px + (size_t)shift_y) >> shift_y;
        frame->offset[p] = *bytes;
        frame->stride[p] = (width * (size_t)frame->sample_bytes + ROW_ALIGN_BYTES - 1) /
                           ROW_ALIGN_BYTES * ROW_ALIGN_BYTES;
        *bytes += frame->stride[p] * height;
    }
    return 1;
}

static size_t rgb_bytes(const ColourFrame *frame)
{
    return 3 * (size_t)frame->width * (size_t)frame->height * sizeof(float);
}

static int alloc_rgb(ColourRgb *rgb, const ColourFrame *frame, int frames)
{
    rgb->stride = (size_t)frame->width;
    rgb->plane = rgb->stride * (size_t)frame->height;
    return resr_cuda_check(cudaMalloc((void **)&rgb->planar, (size_t)frames * rgb_bytes(frame)),
                           "memory for frames");
}

static int alloc_slot(FrameSlot *slot, const Frames *frames)
{
    size_t n = (size_t)frames->max_frames, in = n * frames->in_bytes, out = n * frames->out_bytes;
    size_t flags = n * (size_t)frames->max_tiles * sizeof(PixelFlags);
    cudaEvent_t *events[] = {&slot->uploaded, &slot->computed, &slot->downloaded};
    int ret = resr_cuda_check(cudaMalloc((void **)&slot->device_in, in), "frames");
    if (ret == 0)
        ret = resr_cuda_check(cudaMalloc((void **)&slot->device_out, out), "frames");
    if (ret == 0) /* the padding between rows stays zero */
        ret = resr_cuda_check(cudaMemset(slot->device_out, 0, out), "frames");
    if (ret == 0)
        ret = resr_cuda_check(cudaMalloc((void **)&slot->device_flags, flags), "flags");
    if (ret == 0)
        ret = resr_cuda_check(cudaMallocHost((void **)&slot->host_in, in), "pinned memory");
    if (ret == 0)
        ret = resr_cuda_check(cudaMallocHost((void **)&slot->host_out, out), "pinned memory");
    if (ret == 0)
        ret = resr_cuda_check(cudaMallocHost((void **)&slot->host_flags, flags), "pinned memory");
    for (int i = 0; ret == 0 && i < 3; i++)
        ret = resr_cuda_check(cudaEventCreateWithFlags(events[i], cudaEventDisableTiming),
                              "an event");
    return ret;
}

static int alloc_frames(Frames *frames)
{
    int ret = alloc_rgb(&frames->rgb_in, &frames->in, frames->max_frames);
    if (ret == 0)
        ret = alloc_rgb(&frames->rgb_out, &frames->out, frames->max_frames);
    if (ret == 0)
        ret = resr_cuda_check(cudaStreamCreateWithFlags(&frames->up, cudaStreamNonBlocking),
                              "a stream");
    if (ret == 0)
        ret = resr_cuda_check(cudaStreamCreateWithFlags(&frames->down, cudaStreamNonBlocking),
                              "a stream");
    for (int i = 0; ret == 0 && i < FRAME_SLOTS; i++)
        ret = alloc_slot(&frames->slots[i], frames);
    return ret;
}

static void free_slot(FrameSlot *slot)
{
    cudaEvent_t events[] = {slot->uploaded, slot->computed, slot->downloaded};
    for (int i = 0; i < RESR_MAX_GROUP_FRAMES; i++)
        if (slot->recorded[i])
            cudaGraphExecDestroy(slot->recorded[i]);
    cudaFree(slot->device_in);
    cudaFree(slot->device_out);
    cudaFree(slot->device_flags);
    cudaFreeHost(slot->host_in);
    cudaFreeHost(slot->host_out);
    cudaFreeHost(slot->host_flags);
    for (int i = 0; i < 3; i++)
        if (events[i])
            cudaEventDestroy(events[i]);
}

void resr_cuda_free_frames(Frames *frames)
{
    cudaStream_t streams[] = {frames->up, frames->down};
    for (int i = 0; i < 2; i++)
        if (streams[i]) {
            cudaStreamSynchronize(streams[i]);
            cudaStreamDestroy(streams[i]);
        }
    for (int i = 0; i < FRAME_SLOTS; i++)
        free_slot(&frames->slots[i]);
    cudaFree(frames->rgb_in.planar);
    cudaFree(frames->rgb_out.planar);
    *frames = (Frames){0};
}

/* Frames of a group: as many as fill the device, in at most a quarter of the free memory; tiles
 * take the rest. */
static int choose_group(const Run *run, const Frames *frames)
{
    size_t free_bytes = 0, total_bytes;
    int filling = resr_cuda_filling_tiles(run), group = 1;
    size_t bytes = rgb_bytes(&frames->in) + rgb_bytes(&frames->out) +
                   FRAME_SLOTS * (frames->in_bytes + frames->out_bytes);
    cudaMemGetInfo(&free_bytes, &total_bytes);
    while (filling > 1 && group < RESR_MAX_GROUP_FRAMES &&
           (size_t)(2 * group) * bytes <= free_bytes / 4)
        group *= 2;
    return group;
}

int resr_cuda_frames_begin(void *pointer, const ResrFrameSetup *setup)
{
    Run *run = pointer;
    Frames wanted = {.max_tiles = setup->tiles};
    if (run->net->spec.channels != 3 ||
        !set_frame(&wanted.in, &wanted.in_bytes, setup->in, setup->in_matrix) ||
        !set_frame(&wanted.out, &wanted.out_bytes, setup->out, setup->out_matrix))
        return 0;
    int ret = resr_cuda_check(cudaSetDevice(run->net->device), "choosing it");
    if (ret < 0)
        return ret;
    for (int group = choose_group(run, &wanted); group > 0; group /= 2) {
        run->frames = wanted;
        run->frames.max_frames = group;
        ret = alloc_frames(&run->frames);
        if (ret == 0)
            return group;
        resr_cuda_free_frames(&run->frames);
        if (ret != RESR_CUDA_NO_MEMORY)
            return ret;
    }
    return resr_cuda_fail(RESR_ERR_DEVICE,
                          "CUDA device %d: no memory for two frames of %d x %d pixels; let fewer "
                          "ranks share it, or choose another backend",
                          run->net->device, wanted.out.width, wanted.out.height);
}

static int upload(Run *run, const FrameSlot *slot)
{
    const Frames *frames = &run->frames;
    size_t bytes = (size_t)slot->count * frames->in_bytes;
    int ret = resr_cuda_check(
        cudaMemcpyAsync(slot->device_in, slot->host_in, bytes, cudaMemcpyHostToDevice, frames->up),
        "copying frames to it");
    if (ret == 0)
        ret = resr_cuda_check(cudaEventRecord(slot->uploaded, frames->up), "an event");
    if (ret == 0)
        ret = resr_cuda_check(cudaStreamWaitEvent(run->stream, slot->uploaded, 0), "an event");
    return ret;
}

/* A failure between the two leaves no recording behind. */
static void drop_recording(Run *run)
{
    cudaGraph_t graph = NULL;
    if (!run->frames.recording)
        return;
    run->frames.recording = 0;
    cudaStreamEndCapture(run->stream, &graph);
    if (graph)
        cudaGraphDestroy(graph);
    cudaGetLastError();
}

/* The samples of the slot's frame `i` to RGB, or back. */
static int convert(Run *run, const FrameSlot *slot, int i, int back)
{
    Frames *frames = &run->frames;
    ColourFrame frame = back ? frames->out : frames->in;
    ColourRgb rgb = back ? frames->rgb_out : frames->rgb_in;
    size_t at = (size_t)i * (back ? frames->out_bytes : frames->in_bytes);
    frame.data = (uint8_t *)(back ? slot->device_out : slot->device_in) + at;
    rgb.planar += (size_t)i * 3 * rgb.plane;
    return back ? resr_cuda_from_rgb(&frame, &rgb, run->stream)
                : resr_cuda_to_rgb(&rgb, &frame, run->stream);
}

/* The work before the passes; recorded from the second group of this many frames on. */
static int begin_passes(Run *run, const FrameSlot *slot)
{
    Frames *frames = &run->frames;
    size_t tiles = (size_t)slot->count * (size_t)frames->max_tiles;
    int ret = 0;
    if (frames->seen & 1u << slot->count) {
        ret = resr_cuda_check(cudaStreamBeginCapture(run->stream, cudaStreamCaptureModeThreadLocal),
                              "recording");
        frames->recording = ret == 0;
    }
    if (ret == 0)
        ret = resr_cuda_check(
            cudaMemsetAsync(slot->device_flags, 0, tiles * sizeof(PixelFlags), run->stream),
            "clearing flags");
    for (int i = 0; ret == 0 && i < slot->count; i++)
        ret = convert(run, slot, i, 0);
    return ret;
}

int resr_cuda_frames_submit(void *pointer, ResrFrame *const *in, int count)
{
    Run *run = pointer;
    Frames *frames = &run->frames;
    FrameSlot *slot = &frames->slots[frames->submitted % FRAME_SLOTS];
    for (int i = 0; i < count; i++)
        if (count > frames->max_frames || in[i]->bytes != frames->in_bytes)
            return resr_cuda_fail(RESR_ERR_INTERNAL, "%d frames of %zu bytes, not %d of %zu", count,
                                  in[i]->bytes, frames->max_frames, frames->in_bytes);
    drop_recording(run);
    slot->count = count;
    for (int i = 0; i < count; i++)
        memcpy(slot->host_in + (size_t)i * frames->in_bytes, in[i]->data, frames->in_bytes);
    frames->next_tile = 0;
    int ret = resr_cuda_check(cudaSetDevice(run->net->device), "choosing it");
    if (ret == 0)
        ret = upload(run, slot);
    if (ret == 0 && !slot->recorded[count - 1])
        ret = begin_passes(run, slot);
    else if (ret == 0)
        ret = 1;
    return resr_cuda_device_error(ret);
}

/* Ends the recording of a slot's passes. */
static int end_recording(Run *run, FrameSlot *slot)
{
    cudaGraph_t graph = NULL;
    run->frames.recording = 0;
    int ret = resr_cuda_check(cudaStreamEndCapture(run->stream, &graph), "recording");
    if (ret == 0)
        ret = resr_cuda_check(cudaGraphInstantiate(&slot->recorded[slot->count - 1], graph, 0),
                              "a graph");
    if (graph)
        cudaGraphDestroy(graph);
    return ret;
}

static int download(Run *run, const FrameSlot *slot)
{
    const Frames *frames = &run->frames;
    size_t tiles = (size_t)slot->count * (size_t)frames->max_tiles;
    int ret = resr_cuda_check(cudaEventRecord(slot->computed, run->stream), "an event");
    if (ret == 0)
        ret = resr_cuda_check(cudaStreamWaitEvent(frames->down, slot->computed, 0), "an event");
    if (ret == 0)
        ret = resr_cuda_check(cudaMemcpyAsync(slot->host_out, slot->device_out,
                                              (size_t)slot->count * frames->out_bytes,
                                              cudaMemcpyDeviceToHost, frames->down),
                              "copying frames from it");
    if (ret == 0)
        ret = resr_cuda_check(cudaMemcpyAsync(slot->host_flags, slot->device_flags,
                                              tiles * sizeof(PixelFlags), cudaMemcpyDeviceToHost,
                                              frames->down),
                              "copying flags from it");
    return ret < 0 ? ret
                   : resr_cuda_check(cudaEventRecord(slot->downloaded, frames->down), "an event");
}

int resr_cuda_frames_finish(void *pointer)
{
    Run *run = pointer;
    Frames *frames = &run->frames;
    FrameSlot *slot = &frames->slots[frames->submitted % FRAME_SLOTS];
    cudaGraphExec_t *recorded = &slot->recorded[slot->count - 1];
    int ret = 0;
    if (!*recorded) {
        for (int i = 0; ret == 0 && i < slot->count; i++)
            ret = convert(run, slot, i, 1);
        if (ret == 0 && frames->recording)
            ret = end_recording(run, slot);
    }
    if (ret == 0 && *recorded)
        ret = resr_cuda_check(cudaGraphLaunch(*recorded, run->stream), "a group's graph");
    if (ret == 0)
        ret = download(run, slot);
    if (ret < 0)
        return resr_cuda_device_error(ret);
    frames->seen |= 1u << slot->count;
    frames->submitted++;
    return 0;
}

int resr_cuda_frames_collect(void *pointer, ResrFrame *const *out)
{
    Run *run = pointer;
    Frames *frames = &run->frames;
    FrameSlot *slot = &frames->slots[frames->collected % FRAME_SLOTS];
    if (frames->collected == frames->submitted)
        return resr_cuda_fail(RESR_ERR_INTERNAL, "no frame is in flight");
    frames->collected++;
    int ret = resr_cuda_check(cudaSetDevice(run->net->device), "choosing it");
    if (ret == 0)
        ret = resr_cuda_check(cudaEventSynchronize(slot->downloaded), "computing frames");
    if (ret == 0)
        ret = resr_cuda_check_flags(slot->host_flags, slot->count * frames->max_tiles,
                                    run->net->device);
    for (int i = 0; ret == 0 && i < slot->count; i++)
        memcpy(out[i]->data, slot->host_out + (size_t)i * frames->out_bytes, frames->out_bytes);
    return resr_cuda_device_error(ret);
}
