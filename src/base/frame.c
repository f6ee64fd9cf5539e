#include "base/frame.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#define XXH_STATIC_LINKING_ONLY /* the state lives on the stack */
#include <xxhash.h>

#include "base/limits.h"
#include "base/memory.h"

int resr_format_check(const ResrFormat *format)
{
    int expected = (format->model == RESR_COLOUR_GREY ? 1 : 3) + (format->has_alpha ? 1 : 0);
    if (format->width_px < 1 || format->height_px < 1 || format->width_px > RESR_MAX_SIDE_PX ||
        format->height_px > RESR_MAX_SIDE_PX ||
        (int64_t)format->width_px * format->height_px > RESR_MAX_FRAME_PX)
        return resr_fail(
            RESR_ERR_DATA, "frames of %d x %d are outside 1 .. %d a side and %d Mpx in all",
            format->width_px, format->height_px, RESR_MAX_SIDE_PX, RESR_MAX_FRAME_PX >> 20);
    if (format->depth_bits < 8 || format->depth_bits > 16 || format->planes != expected ||
        format->chroma_shift_x < 0 || format->chroma_shift_x > 2 || format->chroma_shift_y < 0 ||
        format->chroma_shift_y > 2)
        return resr_fail(RESR_ERR_DATA,
                         "pixel format %.31s: %d planes of %d bits are not supported",
                         format->pix_fmt, format->planes, format->depth_bits);
    return 0;
}

int resr_format_sample_bytes(const ResrFormat *format)
{
    return format->depth_bits > 8 ? 2 : 1;
}

ResrPlane resr_format_plane(const ResrFormat *format, int plane)
{
    ResrPlane out = {0};
    for (int p = 0; p <= plane; p++) {
        bool chroma = format->model == RESR_COLOUR_YUV && (p == 1 || p == 2);
        int shift_x = chroma ? format->chroma_shift_x : 0;
        int shift_y = chroma ? format->chroma_shift_y : 0;
        out.offset_bytes += out.stride_bytes * (size_t)out.height_px;
        out.width_px = (format->width_px + (1 << shift_x) - 1) >> shift_x;
        out.height_px = (format->height_px + (1 << shift_y) - 1) >> shift_y;
        out.row_bytes = (size_t)out.width_px * (size_t)resr_format_sample_bytes(format);
        out.stride_bytes = resr_round_up(out.row_bytes, RESR_ALIGN_BYTES);
    }
    return out;
}

int resr_format_plane_index(const ResrFormat *format, int c)
{
    static const int gbr[] = {2, 0, 1};
    return format->model == RESR_COLOUR_RGB && c < 3 ? gbr[c] : c;
}

size_t resr_format_frame_bytes(const ResrFormat *format)
{
    ResrPlane last = resr_format_plane(format, format->planes - 1);
    return last.offset_bytes + last.stride_bytes * (size_t)last.height_px;
}

int resr_frame_create_mark(ResrFrame **out)
{
    int ret = resr_alloc(out, 1, sizeof **out);
    if (ret == 0) {
        (*out)->stage = RESR_FRAME_DURABLE;
        (*out)->holders = 1;
    }
    return ret;
}

int resr_frame_create_raw(ResrFrame **out, size_t bytes)
{
    int ret = resr_alloc(out, 1, sizeof **out);
    if (ret < 0)
        return ret;
    (*out)->holders = 1;
    (*out)->bytes = bytes;
    ret = resr_alloc_uninitialised(&(*out)->data, 1, bytes);
    if (ret < 0) {
        free(*out);
        *out = NULL;
    }
    return ret;
}

int resr_frame_create(ResrFrame **out, const ResrFormat *format)
{
    int ret = resr_frame_create_raw(out, resr_format_frame_bytes(format));
    for (int p = 0; ret == 0 && p < format->planes; p++) {
        ResrPlane plane = resr_format_plane(format, p);
        for (int y = 0; plane.stride_bytes > plane.row_bytes && y < plane.height_px; y++)
            memset((*out)->data + plane.offset_bytes + (size_t)y * plane.stride_bytes +
                       plane.row_bytes,
                   0, plane.stride_bytes - plane.row_bytes);
    }
    return ret;
}

ResrFrame *resr_frame_hold(ResrFrame *frame)
{
    frame->holders++;
    return frame;
}

void resr_frame_free(ResrFrame *frame)
{
    if (!frame || --frame->holders > 0)
        return;
    if (frame->credit)
        sem_post(frame->credit);
    free(frame->data);
    free(frame);
}

void resr_frame_set_opaque(ResrFrame *frame, const ResrFormat *format)
{
    ResrPlane plane = resr_format_plane(format, format->planes - 1);
    uint16_t opaque = (uint16_t)((1u << format->depth_bits) - 1);
    for (int y = 0; y < plane.height_px; y++) {
        uint8_t *row = frame->data + plane.offset_bytes + (size_t)y * plane.stride_bytes;
        if (format->depth_bits == 8)
            memset(row, 0xff, plane.row_bytes);
        for (int x = 0; format->depth_bits > 8 && x < plane.width_px; x++)
            memcpy(row + 2 * x, &opaque, 2);
    }
}

void resr_frame_hash(char out[RESR_FRAME_HASH_BYTES], const ResrFormat *format,
                     const ResrFrame *frame)
{
    XXH3_state_t state;
    XXH3_INITSTATE(&state);
    XXH3_128bits_reset(&state);
    for (int p = 0; p < format->planes; p++) {
        ResrPlane plane = resr_format_plane(format, p);
        for (int y = 0; y < plane.height_px; y++)
            XXH3_128bits_update(&state,
                                frame->data + plane.offset_bytes + (size_t)y * plane.stride_bytes,
                                plane.row_bytes);
    }
    XXH128_canonical_t canonical;
    ResrHash hash;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(&state));
    memcpy(hash.bytes, canonical.digest, sizeof hash.bytes);
    resr_hash_to_hex(out, &hash);
}

int resr_frame_verify(const ResrFrame *frame, const ResrFormat *format)
{
    char hash[RESR_FRAME_HASH_BYTES];
    resr_frame_hash(hash, format, frame);
    if (memcmp(hash, frame->hash, sizeof hash) != 0)
        return resr_fail(RESR_ERR_DATA,
                         "frame %" PRId64 " was damaged in transit: hash %s, expected %s",
                         frame->index, hash, frame->hash);
    return 0;
}

void resr_frame_describe(ResrFrameRecord *record, const ResrFrame *frame)
{
    *record = (ResrFrameRecord){.pts = frame->pts, .duration = frame->duration};
    resr_hash_from_hex(&record->hash, frame->hash);
    if (frame->source[0])
        resr_hash_from_hex(&record->source, frame->source);
}
