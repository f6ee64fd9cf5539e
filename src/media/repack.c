/* How it works. Each of FFmpeg's pixel formats has a holder format: the planar format with the same
 * components, depth (at least 8 bits) and subsampling, in native byte order, which a ResrFrame
 * uses. resr_holder_of() finds it by searching FFmpeg's descriptors, so that new formats need no
 * table.
 *
 * Reading, for each component: a plane that already has the holder's layout is copied; otherwise
 * av_read_image_line2() unpacks a row by the descriptor, and the values are stretched to the
 * holder's depth (palettes: looked up). Writing is the reverse, with av_write_image_line2() on
 * cleared memory. Values of 8 bits and more do not change in either direction. */

#include "media/repack.h"

#include <libavutil/imgutils.h>
#include <libavutil/pixdesc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* True if each component is an integer of at most 16 bits whose place the descriptor defines. Not
 * so: surfaces, sensor mosaics, floats, CIE XYZ (described like YUV), and uyyvyy411, whose luma
 * samples are not evenly spaced. */
static bool is_readable(const AVPixFmtDescriptor *desc)
{
    const AVComponentDescriptor *comp = desc->comp;
    if (desc->flags & (AV_PIX_FMT_FLAG_HWACCEL | AV_PIX_FMT_FLAG_BAYER | AV_PIX_FMT_FLAG_FLOAT) ||
        strncmp(desc->name, "xyz", 3) == 0 || desc->nb_components == 0)
        return false;
    for (int c = 0; c < desc->nb_components; c++)
        if (comp[c].depth > 16)
            return false;
    return desc->nb_components < 3 || comp[1].plane != comp[0].plane ||
           comp[1].step == comp[0].step << desc->log2_chroma_w;
}

bool resr_is_yuvj(const AVPixFmtDescriptor *desc)
{
    return strncmp(desc->name, "yuvj", 4) == 0;
}

/* True if component `c` fills whole native samples, as in a plane of a frame; `stride`: number of
 * samples between neighbouring pixels. */
static bool is_native(const AVPixFmtDescriptor *desc, int c, int stride)
{
    const AVComponentDescriptor *comp = &desc->comp[c];
    return !(desc->flags &
             (AV_PIX_FMT_FLAG_BE | AV_PIX_FMT_FLAG_PAL | AV_PIX_FMT_FLAG_BITSTREAM)) &&
           comp->depth >= 8 && comp->shift == 0 && comp->step == stride * (comp->depth > 8 ? 2 : 1);
}

/* True for formats with the layout of a ResrFrame: planar ones; grey with alpha, which has no
 * planar format, is interleaved. */
static bool is_holder(const AVPixFmtDescriptor *desc)
{
    if (!is_readable(desc) || resr_is_yuvj(desc))
        return false;
    for (int c = 0; c < desc->nb_components; c++)
        if (!is_native(desc, c, desc->nb_components == 2 ? 2 : 1) ||
            desc->comp[c].depth != desc->comp[0].depth)
            return false;
    return true;
}

/* Depth of samples that hold all components: 8 for fewer bits, which are stretched; else the
 * components' depth. 0 if the components differ. */
static int holder_depth(const AVPixFmtDescriptor *desc)
{
    int most = 0;
    bool equal = true;
    for (int c = 0; c < desc->nb_components; c++) {
        equal = equal && desc->comp[c].depth == desc->comp[0].depth;
        most = desc->comp[c].depth > most ? desc->comp[c].depth : most;
    }
    return most <= 8 ? 8 : equal ? most : 0;
}

/* True if the formats agree in subsampling, and in number and meaning of the components, and
 * `holder` has that depth. */
static bool is_like(const AVPixFmtDescriptor *holder, const AVPixFmtDescriptor *desc, int depth)
{
    const uint64_t meaning = AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_ALPHA;
    return holder->nb_components == desc->nb_components && holder->comp[0].depth == depth &&
           (holder->flags & meaning) == (desc->flags & meaning) &&
           holder->log2_chroma_w == desc->log2_chroma_w &&
           holder->log2_chroma_h == desc->log2_chroma_h;
}

enum AVPixelFormat resr_holder_of(enum AVPixelFormat format)
{
    const AVPixFmtDescriptor *desc = av_pix_fmt_desc_get(format), *next = NULL;
    if (!desc || !is_readable(desc) || desc->flags & AV_PIX_FMT_FLAG_PAL)
        return AV_PIX_FMT_NONE;
    if (is_holder(desc))
        return format;
    while ((next = av_pix_fmt_desc_next(next)))
        if (is_holder(next) && is_like(next, desc, holder_depth(desc)))
            return av_pix_fmt_desc_get_id(next);
    return AV_PIX_FMT_NONE;
}

/* Entries of 32 bits: A in the highest byte, then R, G and B. */
static void read_palette(uint32_t palette[256], const AVFrame *frame)
{
    memcpy(palette, frame->data[1], 256 * sizeof *palette);
}

static bool has_transparent_pixel(const AVFrame *frame)
{
    uint32_t palette[256];
    read_palette(palette, frame);
    for (int y = 0; y < frame->height; y++) {
        const uint8_t *row = frame->data[0] + (ptrdiff_t)y * frame->linesize[0];
        for (int x = 0; x < frame->width; x++)
            if (palette[row[x]] >> 24 != 255)
                return true;
    }
    return false;
}

static enum AVPixelFormat holder_of_frame(const AVFrame *frame, const AVPixFmtDescriptor *desc)
{
    if (!(desc->flags & AV_PIX_FMT_FLAG_PAL))
        return resr_holder_of(frame->format);
    return !frame->data[1]                ? AV_PIX_FMT_NONE
           : has_transparent_pixel(frame) ? AV_PIX_FMT_GBRAP
                                          : AV_PIX_FMT_GBRP;
}

static bool is_full_range(const AVFrame *frame, const AVPixFmtDescriptor *desc)
{
    if (desc->flags & (AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_PAL) || resr_is_yuvj(desc))
        return true;
    if (frame->color_range != AVCOL_RANGE_UNSPECIFIED)
        return frame->color_range == AVCOL_RANGE_JPEG;
    return desc->nb_components <= 2; /* untagged: grey is full range, YUV limited */
}

void resr_format_set_pixels(ResrFormat *out, enum AVPixelFormat holder)
{
    const AVPixFmtDescriptor *to = av_pix_fmt_desc_get(holder);
    out->planes = to->nb_components;
    out->depth_bits = to->comp[0].depth;
    out->model = to->flags & AV_PIX_FMT_FLAG_RGB ? RESR_COLOUR_RGB
                 : to->nb_components >= 3        ? RESR_COLOUR_YUV
                                                 : RESR_COLOUR_GREY;
    out->has_alpha = (to->flags & AV_PIX_FMT_FLAG_ALPHA) != 0;
    out->chroma_shift_x = to->log2_chroma_w;
    out->chroma_shift_y = to->log2_chroma_h;
    snprintf(out->pix_fmt, sizeof out->pix_fmt, "%s", to->name);
}

int resr_format_of_frame(ResrFormat *out, const AVFrame *frame)
{
    const AVPixFmtDescriptor *desc = av_pix_fmt_desc_get(frame->format);
    enum AVPixelFormat holder = desc ? holder_of_frame(frame, desc) : AV_PIX_FMT_NONE;
    if (holder == AV_PIX_FMT_NONE)
        return resr_fail(RESR_ERR_DATA,
                         "pixel format %s is not supported; convert the input first, for example "
                         "with ffmpeg -pix_fmt gbrp16le and the encoder ffv1",
                         desc ? desc->name : "unknown");
    *out = (ResrFormat){
        .width_px = frame->width,
        .height_px = frame->height,
        .matrix = (int32_t)frame->colorspace,
        .transfer = (int32_t)frame->color_trc,
        .primaries = (int32_t)frame->color_primaries,
        .full_range = is_full_range(frame, desc),
        .chroma_location = (int32_t)frame->chroma_location,
    };
    resr_format_set_pixels(out, holder);
    return resr_format_check(out);
}

bool resr_format_accepts(const ResrFormat *video, const ResrFormat *frame)
{
    return video->width_px == frame->width_px && video->height_px == frame->height_px &&
           video->model == frame->model && video->full_range == frame->full_range &&
           video->depth_bits == frame->depth_bits && video->has_alpha >= frame->has_alpha &&
           video->chroma_shift_x == frame->chroma_shift_x &&
           video->chroma_shift_y == frame->chroma_shift_y;
}

/* Scales values of `from` bits to `to` bits: full scale to full scale, rounded. */
static void rescale(uint16_t *values, int n, int from, int to)
{
    uint32_t most_in = (1u << from) - 1, most_out = (1u << to) - 1;
    for (int x = 0; x < n && from != to; x++)
        values[x] = (uint16_t)((values[x] * most_out + most_in / 2) / most_in);
}

/* 1 is black in monow, which its descriptor does not express. */
static void invert_monowhite(uint16_t *values, int n, int format)
{
    for (int x = 0; x < n && format == AV_PIX_FMT_MONOWHITE; x++)
        values[x] ^= 1;
}

/* The format's descriptor, corrected: libavutil 57 gives rgb8 fields of 2, 3 and 3 bits, but codecs
 * and swscale use 3, 3 and 2. */
static AVPixFmtDescriptor describe(enum AVPixelFormat format)
{
    AVPixFmtDescriptor desc = *av_pix_fmt_desc_get(format);
    static const struct {
        int shift, depth;
    } rgb8[] = {{5, 3}, {2, 3}, {0, 2}};
    for (int c = 0; format == AV_PIX_FMT_RGB8 && c < 3; c++) {
        desc.comp[c].shift = rgb8[c].shift;
        desc.comp[c].depth = rgb8[c].depth;
    }
    return desc;
}

static void read_row(uint16_t *values, const AVFrame *in, int c, int y, int n, int depth)
{
    static const int shift[] = {16, 8, 0, 24};
    const AVPixFmtDescriptor from = describe(in->format);
    bool palette = from.flags & AV_PIX_FMT_FLAG_PAL;
    uint32_t entries[256];
    av_read_image_line2(values, (const uint8_t **)in->data, in->linesize, &from, 0, y,
                        palette ? 0 : c, n, 0, sizeof *values);
    if (!palette) {
        invert_monowhite(values, n, in->format);
        rescale(values, n, from.comp[c].depth, depth);
        return;
    }
    read_palette(entries, in);
    for (int x = 0; x < n; x++)
        values[x] = entries[values[x] & 255] >> shift[c] & 255;
}

static void read_plane(ResrFrame *out, const ResrFormat *format, const AVFrame *in, int c,
                       uint16_t *values)
{
    const AVPixFmtDescriptor *from = av_pix_fmt_desc_get(in->format);
    ResrPlane plane = resr_format_plane(format, resr_format_plane_index(format, c));
    uint8_t *data = out->data + plane.offset_bytes;
    int source = from->comp[c].plane, depth = format->depth_bits;
    if (is_native(from, c, 1)) {
        av_image_copy_plane(data, (int)plane.stride_bytes, in->data[source], in->linesize[source],
                            (int)plane.row_bytes, plane.height_px);
        return;
    }
    for (int y = 0; y < plane.height_px; y++, data += plane.stride_bytes) {
        read_row(values, in, c, y, plane.width_px, depth);
        if (depth > 8)
            memcpy(data, values, plane.row_bytes);
        for (int x = 0; x < plane.width_px && depth == 8; x++)
            data[x] = (uint8_t)values[x];
    }
}

int resr_repack(ResrFrame *out, const ResrFormat *format, const AVFrame *in)
{
    const AVPixFmtDescriptor *from = av_pix_fmt_desc_get(in->format);
    bool alpha = from->flags & AV_PIX_FMT_FLAG_ALPHA;
    uint16_t *values = NULL;
    int ret = resr_alloc(&values, (size_t)format->width_px, sizeof *values);
    for (int c = 0; ret == 0 && c < format->planes - (format->has_alpha && !alpha); c++)
        read_plane(out, format, in, c, values);
    if (ret == 0 && format->has_alpha && !alpha)
        resr_frame_set_opaque(out, format);
    free(values);
    return ret;
}

/* Needed because av_write_image_line2() sets bits and clears none. */
static void clear(AVFrame *frame)
{
    for (int p = 0; p < AV_NUM_DATA_POINTERS && frame->data[p]; p++) {
        const AVPixFmtDescriptor *desc = av_pix_fmt_desc_get(frame->format);
        int shift = p == 1 || p == 2 ? desc->log2_chroma_h : 0;
        for (int y = 0; y < AV_CEIL_RSHIFT(frame->height, shift); y++)
            memset(frame->data[p] + (ptrdiff_t)y * frame->linesize[p], 0,
                   (size_t)av_image_get_linesize(frame->format, frame->width, p));
    }
}

/* True if component `c` is copied to a plane of its own, sample by sample. */
static bool is_copied(const AVPixFmtDescriptor *to, const ResrFormat *format, int c)
{
    return c < format->planes && is_native(to, c, 1) && to->comp[c].depth == format->depth_bits;
}

static void write_plane(AVFrame *out, const ResrFormat *format, const ResrFrame *in, int c,
                        uint16_t *values)
{
    const AVPixFmtDescriptor to = describe(out->format);
    /* an opaque picture in a format with alpha: full scale */
    bool opaque = c >= format->planes;
    ResrPlane plane = resr_format_plane(format, opaque ? 0 : resr_format_plane_index(format, c));
    const uint8_t *data = in->data + plane.offset_bytes;
    int target = to.comp[c].plane, depth = format->depth_bits;
    if (is_copied(&to, format, c)) {
        av_image_copy_plane(out->data[target], out->linesize[target], data, (int)plane.stride_bytes,
                            (int)plane.row_bytes, plane.height_px);
        return;
    }
    for (int y = 0; y < plane.height_px; y++, data += plane.stride_bytes) {
        if (depth > 8)
            memcpy(values, data, plane.row_bytes);
        for (int x = 0; x < plane.width_px && (opaque || depth == 8); x++)
            values[x] = opaque ? (uint16_t)((1u << depth) - 1) : data[x];
        rescale(values, plane.width_px, depth, to.comp[c].depth);
        invert_monowhite(values, plane.width_px, out->format);
        av_write_image_line2(values, out->data, out->linesize, &to, 0, y, c, plane.width_px,
                             sizeof *values);
    }
}

int resr_repack_for_encoder(AVFrame *out, const ResrFormat *format, const ResrFrame *in)
{
    const AVPixFmtDescriptor *to = av_pix_fmt_desc_get(out->format);
    bool copied = true;
    uint16_t *values = NULL;
    int ret = resr_alloc(&values, (size_t)format->width_px, sizeof *values);
    for (int c = 0; c < to->nb_components; c++)
        copied = copied && is_copied(to, format, c);
    if (ret == 0 && !copied)
        clear(out);
    for (int c = 0; ret == 0 && c < to->nb_components; c++)
        write_plane(out, format, in, c, values);
    free(values);
    return ret;
}
