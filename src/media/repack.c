#include "media/repack.h"

#include <libavutil/imgutils.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

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

/* Grey with alpha has no planar format in FFmpeg: it becomes R = G = B with alpha. */
static void unpack_grey_alpha(ResrFrame *out, const ResrFormat *format, const AVFrame *in)
{
    bool deep = format->depth_bits > 8, swap = in->format == AV_PIX_FMT_YA16BE;
    for (int p = 0; p < format->planes; p++) {
        ResrPlane plane = resr_format_plane(format, p);
        int component = p == format->planes - 1;
        for (int y = 0; y < plane.height_px; y++) {
            const uint8_t *from = in->data[0] + (ptrdiff_t)y * in->linesize[0];
            uint8_t *to = out->data + plane.offset_bytes + (size_t)y * plane.stride_bytes;
            for (int x = 0; x < plane.width_px; x++) {
                if (!deep) {
                    to[x] = from[2 * x + component];
                } else {
                    const uint8_t *sample = from + 4 * x + 2 * component;
                    to[2 * x] = sample[swap];
                    to[2 * x + 1] = sample[!swap];
                }
            }
        }
    }
}

/* Moves samples between two pixel formats of the same depth and range with libswscale. */
static int move_samples(ResrRepacker *repacker, uint8_t *const data[4], const int strides[4],
                        enum AVPixelFormat to, const uint8_t *const from_data[4],
                        const int from_strides[4], enum AVPixelFormat from,
                        const ResrFormat *format)
{
    int width = format->width_px, height = format->height_px;
    repacker->sws = sws_getCachedContext(repacker->sws, width, height, from, width, height, to,
                                         SWS_POINT | SWS_ACCURATE_RND, NULL, NULL, NULL);
    if (!repacker->sws)
        return resr_fail(RESR_ERR_DATA, "pixel format %s cannot be repacked as %s",
                         av_get_pix_fmt_name(from), av_get_pix_fmt_name(to));
    /* The same range on both sides: values are moved, not scaled. */
    const int *table = sws_getCoefficients(SWS_CS_DEFAULT);
    sws_setColorspaceDetails(repacker->sws, table, format->full_range, table, format->full_range, 0,
                             1 << 16, 1 << 16);
    int rows = sws_scale(repacker->sws, from_data, from_strides, 0, height, data, strides);
    return rows == height ? 0
                          : resr_fail(RESR_ERR_DATA, "pixel format %s cannot be repacked as %s",
                                      av_get_pix_fmt_name(from), av_get_pix_fmt_name(to));
}

static void plane_pointers(uint8_t *data[4], int strides[4], const ResrFormat *format,
                           const ResrFrame *frame)
{
    for (int p = 0; p < 4; p++) {
        ResrPlane plane = resr_format_plane(format, p < format->planes ? p : 0);
        data[p] = p < format->planes ? frame->data + plane.offset_bytes : NULL;
        strides[p] = p < format->planes ? (int)plane.stride_bytes : 0;
    }
}

/* yuvj420p, named as such by old encoders, holds the same samples as yuv420p. */
static bool same_layout(enum AVPixelFormat format, const char *name)
{
    const char *own = av_get_pix_fmt_name(format);
    return strcmp(own, name) == 0 ||
           (strncmp(own, "yuvj", 4) == 0 && strcmp(own + 4, name + 3) == 0);
}

int resr_repack(ResrRepacker *repacker, ResrFrame *out, const ResrFormat *format, const AVFrame *in)
{
    uint8_t *data[4];
    int strides[4];
    if (is_grey_alpha(in->format)) {
        unpack_grey_alpha(out, format, in);
        return 0;
    }
    plane_pointers(data, strides, format, out);
    if (!same_layout(in->format, format->pix_fmt))
        return move_samples(repacker, data, strides, av_get_pix_fmt(format->pix_fmt),
                            (const uint8_t *const *)in->data, in->linesize, in->format, format);
    for (int p = 0; p < format->planes; p++) {
        ResrPlane plane = resr_format_plane(format, p);
        av_image_copy_plane(data[p], strides[p], in->data[p], in->linesize[p], (int)plane.row_bytes,
                            plane.height_px);
    }
    return 0;
}

int resr_repack_for_encoder(ResrRepacker *repacker, AVFrame *out, const ResrFormat *format,
                            const ResrFrame *in)
{
    uint8_t *data[4];
    int strides[4];
    plane_pointers(data, strides, format, in);
    if (!same_layout(out->format, format->pix_fmt))
        return move_samples(repacker, out->data, out->linesize, out->format,
                            (const uint8_t *const *)data, strides, av_get_pix_fmt(format->pix_fmt),
                            format);
    for (int p = 0; p < format->planes; p++) {
        ResrPlane plane = resr_format_plane(format, p);
        av_image_copy_plane(out->data[p], out->linesize[p], data[p], strides[p],
                            (int)plane.row_bytes, plane.height_px);
    }
    return 0;
}

void resr_repacker_close(ResrRepacker *repacker)
{
    sws_freeContext(repacker->sws);
    repacker->sws = NULL;
}
