#include "media/repack.h"

#include <libavutil/imgutils.h>
#include <libavutil/pixdesc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* True for formats that a ResrFrame holds as they are. */
static bool is_plain_planar(const AVPixFmtDescriptor *desc, enum AVPixelFormat format)
{
    const uint64_t odd = AV_PIX_FMT_FLAG_PAL | AV_PIX_FMT_FLAG_BITSTREAM | AV_PIX_FMT_FLAG_HWACCEL |
                         AV_PIX_FMT_FLAG_BAYER | AV_PIX_FMT_FLAG_FLOAT | AV_PIX_FMT_FLAG_BE;
    if (desc->flags & odd || desc->comp[0].depth < 8 || desc->comp[0].depth > 16)
        return false;
    for (int i = 0; i < desc->nb_components; i++)
        if (desc->comp[i].shift != 0 || desc->comp[i].step != (desc->comp[0].depth > 8 ? 2 : 1) ||
            desc->comp[i].depth != desc->comp[0].depth)
            return false;
    return av_pix_fmt_count_planes(format) == desc->nb_components;
}

static bool is_grey_alpha(enum AVPixelFormat format)
{
    return format == AV_PIX_FMT_YA8 || format == AV_PIX_FMT_YA16LE || format == AV_PIX_FMT_YA16BE;
}

/* The planar format with the components, depth and subsampling of a packed one. */
static enum AVPixelFormat planar_of(const AVPixFmtDescriptor *desc, enum AVPixelFormat format)
{
    int depth = desc->comp[0].depth;
    bool alpha = desc->flags & AV_PIX_FMT_FLAG_ALPHA;
    if (is_plain_planar(desc, format))
        return format;
    if (desc->flags & (AV_PIX_FMT_FLAG_HWACCEL | AV_PIX_FMT_FLAG_BAYER | AV_PIX_FMT_FLAG_FLOAT))
        return AV_PIX_FMT_NONE;
    if (desc->flags & AV_PIX_FMT_FLAG_PAL)
        return AV_PIX_FMT_GBRAP;
    if (is_grey_alpha(format))
        return depth > 8 ? AV_PIX_FMT_GBRAP16 : AV_PIX_FMT_GBRAP;
    if (desc->nb_components <= 2 && !(desc->flags & AV_PIX_FMT_FLAG_RGB))
        return depth > 8 ? AV_PIX_FMT_GRAY16 : AV_PIX_FMT_GRAY8;
    if (desc->flags & AV_PIX_FMT_FLAG_RGB) {
        if (depth <= 8)
            return alpha ? AV_PIX_FMT_GBRAP : AV_PIX_FMT_GBRP;
        if (depth == 10 && !alpha)
            return AV_PIX_FMT_GBRP10;
        return alpha ? AV_PIX_FMT_GBRAP16 : AV_PIX_FMT_GBRP16;
    }
    /* YUV in another order, interleaved or big-endian: the planar one of the same shape. */
    for (const AVPixFmtDescriptor *next = av_pix_fmt_desc_next(NULL); next;
         next = av_pix_fmt_desc_next(next)) {
        enum AVPixelFormat id = av_pix_fmt_desc_get_id(next);
        if (is_plain_planar(next, id) && next->nb_components == desc->nb_components &&
            next->comp[0].depth == depth && next->log2_chroma_w == desc->log2_chroma_w &&
            next->log2_chroma_h == desc->log2_chroma_h &&
            (next->flags & AV_PIX_FMT_FLAG_ALPHA) == (desc->flags & AV_PIX_FMT_FLAG_ALPHA) &&
            !(next->flags & AV_PIX_FMT_FLAG_RGB) && strncmp(next->name, "yuvj", 4) != 0)
            return id;
    }
    return AV_PIX_FMT_NONE;
}

static bool is_full_range(const AVFrame *frame, const AVPixFmtDescriptor *desc)
{
    if (desc->flags & (AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_PAL) ||
        strncmp(desc->name, "yuvj", 4) == 0 || is_grey_alpha(frame->format))
        return true;
    if (frame->color_range != AVCOL_RANGE_UNSPECIFIED)
        return frame->color_range == AVCOL_RANGE_JPEG;
    return desc->nb_components <= 2; /* untagged: grey is full, YUV limited */
}

void resr_format_set_pixels(ResrFormat *out, enum AVPixelFormat planar)
{
    const AVPixFmtDescriptor *to = av_pix_fmt_desc_get(planar);
    out->planes = to->nb_components;
    out->depth_bits = to->comp[0].depth;
    out->model = to->flags & AV_PIX_FMT_FLAG_RGB ? RESR_COLOUR_RGB
                 : to->nb_components >= 3        ? RESR_COLOUR_YUV
                                                 : RESR_COLOUR_GREY;
    out->has_alpha = (to->flags & AV_PIX_FMT_FLAG_ALPHA) != 0;
    out->chroma_shift_x = to->log2_chroma_w;
    out->chroma_shift_y = to->log2_chroma_h;
    /* yuvj420p is yuv420p with the full range, which has its own field. */
    if (strncmp(to->name, "yuvj", 4) == 0)
        snprintf(out->pix_fmt, sizeof out->pix_fmt, "yuv%s", to->name + 4);
    else
        snprintf(out->pix_fmt, sizeof out->pix_fmt, "%s", to->name);
}

bool resr_is_plain_planar(enum AVPixelFormat format)
{
    const AVPixFmtDescriptor *desc = av_pix_fmt_desc_get(format);
    return desc && is_plain_planar(desc, format);
}

int resr_format_of_frame(ResrFormat *out, const AVFrame *frame)
{
    const AVPixFmtDescriptor *desc = av_pix_fmt_desc_get(frame->format);
    enum AVPixelFormat planar = desc ? planar_of(desc, frame->format) : AV_PIX_FMT_NONE;
    if (planar == AV_PIX_FMT_NONE)
        return resr_fail(RESR_ERR_DATA,
                         "pixel format %s is not supported; convert the input with ffmpeg -pix_fmt "
                         "yuv420p or similar",
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
    resr_format_set_pixels(out, planar);
    return resr_format_check(out);
}

/* Which component of a packed format, and of its palette entries (RGB32, a native-endian word),
 * becomes component `c` (R, G, B, A or Y, U, V, A) of the planar one. */
static int source_component(const AVPixFmtDescriptor *from, enum AVPixelFormat format, int c)
{
    static const int of_palette[] = {2, 1, 0, 3};
    if (from->flags & AV_PIX_FMT_FLAG_PAL)
        return of_palette[c];
    if (is_grey_alpha(format))
        return c == 3;
    return c;
}

/* yuvj420p, named as such by old codecs, holds the same samples as yuv420p. */
static bool same_layout(enum AVPixelFormat format, const char *name)
{
    const char *own = av_get_pix_fmt_name(format);
    return strcmp(own, name) == 0 ||
           (strncmp(own, "yuvj", 4) == 0 && strcmp(own + 4, name + 3) == 0);
}

static void store_row(uint8_t *out, const uint16_t *values, int n, bool deep)
{
    for (int x = 0; x < n && deep; x++)
        memcpy(out + 2 * x, &values[x], 2);
    for (int x = 0; x < n && !deep; x++)
        out[x] = (uint8_t)values[x];
}

int resr_repack(ResrFrame *out, const ResrFormat *format, const AVFrame *in)
{
    const AVPixFmtDescriptor *from = av_pix_fmt_desc_get(in->format);
    const AVPixFmtDescriptor *to = av_pix_fmt_desc_get(av_get_pix_fmt(format->pix_fmt));
    bool plain = same_layout(in->format, format->pix_fmt);
    bool palette = from->flags & AV_PIX_FMT_FLAG_PAL;
    uint16_t *values = NULL;
    int ret = resr_alloc(&values, (size_t)format->width_px, sizeof *values);
    for (int c = 0; ret == 0 && c < format->planes; c++) {
        int p = to->comp[c].plane, component = source_component(from, in->format, c);
        int depth = palette ? 8 : from->comp[component].depth;
        ResrPlane plane = resr_format_plane(format, p);
        uint8_t *data = out->data + plane.offset_bytes;
        if (plain) {
            av_image_copy_plane(data, (int)plane.stride_bytes, in->data[p], in->linesize[p],
                                (int)plane.row_bytes, plane.height_px);
            continue;
        }
        for (int y = 0; y < plane.height_px; y++) {
            av_read_image_line2(values, (const uint8_t **)in->data, in->linesize, from, 0, y,
                                component, plane.width_px, palette, 2);
            if (in->format == AV_PIX_FMT_MONOWHITE)
                for (int x = 0; x < plane.width_px; x++)
                    values[x] = !values[x];
            if (depth < 8) /* a few bits: stretched to all of them */
                for (int x = 0; x < plane.width_px; x++)
                    values[x] = (uint16_t)(values[x] * 255 / ((1 << depth) - 1));
            store_row(data + (size_t)y * plane.stride_bytes, values, plane.width_px,
                      format->depth_bits > 8);
        }
    }
    free(values);
    return ret;
}

int resr_repack_for_encoder(AVFrame *out, const ResrFormat *format, const ResrFrame *in)
{
    const AVPixFmtDescriptor *from = av_pix_fmt_desc_get(av_get_pix_fmt(format->pix_fmt));
    const AVPixFmtDescriptor *to = av_pix_fmt_desc_get(out->format);
    bool plain = same_layout(out->format, format->pix_fmt), deep = format->depth_bits > 8;
    uint16_t *values = NULL;
    int ret = resr_alloc(&values, (size_t)format->width_px, sizeof *values);
    if (ret == 0 && !plain && !(to->flags & AV_PIX_FMT_FLAG_BITSTREAM))
        for (int y = 0; y < out->height; y++) /* components are or-ed in */
            memset(out->data[0] + (ptrdiff_t)y * out->linesize[0], 0,
                   (size_t)av_image_get_linesize(out->format, out->width, 0));
    for (int c = 0; ret == 0 && c < to->nb_components; c++) {
        /* An opaque picture in a format with alpha gets its last component in full. */
        bool opaque = c >= format->planes;
        int p = opaque ? 0 : from->comp[c].plane;
        ResrPlane plane = resr_format_plane(format, p);
        const uint8_t *data = in->data + plane.offset_bytes;
        if (plain) {
            av_image_copy_plane(out->data[p], out->linesize[p], data, (int)plane.stride_bytes,
                                (int)plane.row_bytes, plane.height_px);
            continue;
        }
        for (int y = 0; y < plane.height_px; y++) {
            const uint8_t *row = data + (size_t)y * plane.stride_bytes;
            for (int x = 0; x < plane.width_px; x++)
                if (opaque)
                    values[x] = (uint16_t)((1u << to->comp[c].depth) - 1);
                else if (deep)
                    memcpy(&values[x], row + 2 * x, 2);
                else
                    values[x] = row[x];
            av_write_image_line2(values, out->data, out->linesize, to, 0, y, c, plane.width_px, 2);
        }
    }
    free(values);
    return ret;
}
