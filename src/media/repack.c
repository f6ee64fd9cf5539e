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

int resr_format_of_frame(ResrFormat *out, const AVFrame *frame)
{
    const AVPixFmtDescriptor *desc = av_pix_fmt_desc_get(frame->format);
    enum AVPixelFormat planar = desc ? planar_of(desc, frame->format) : AV_PIX_FMT_NONE;
    if (planar == AV_PIX_FMT_NONE)
        return resr_fail(RESR_ERR_DATA,
                         "pixel format %s is not supported; convert the input with ffmpeg -pix_fmt "
                         "yuv420p or similar",
                         desc ? desc->name : "unknown");
    const AVPixFmtDescriptor *to = av_pix_fmt_desc_get(planar);
    *out = (ResrFormat){
        .width_px = frame->width,
        .height_px = frame->height,
        .planes = to->nb_components,
        .depth_bits = to->comp[0].depth,
        .model = to->flags & AV_PIX_FMT_FLAG_RGB ? RESR_COLOUR_RGB
                 : to->nb_components >= 3        ? RESR_COLOUR_YUV
                                                 : RESR_COLOUR_GREY,
        .has_alpha = (to->flags & AV_PIX_FMT_FLAG_ALPHA) != 0,
        .chroma_shift_x = to->log2_chroma_w,
        .chroma_shift_y = to->log2_chroma_h,
        .matrix = (int32_t)frame->colorspace,
        .transfer = (int32_t)frame->color_trc,
        .primaries = (int32_t)frame->color_primaries,
        .full_range = is_full_range(frame, desc),
        .chroma_location = (int32_t)frame->chroma_location,
    };
    /* yuvj420p is yuv420p with the full range, which has its own field. */
    if (strncmp(to->name, "yuvj", 4) == 0)
        snprintf(out->pix_fmt, sizeof out->pix_fmt, "yuv%s", to->name + 4);
    else
        snprintf(out->pix_fmt, sizeof out->pix_fmt, "%s", to->name);
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

int resr_repack(ResrRepacker *repacker, ResrFrame *out, const ResrFormat *format, const AVFrame *in)
{
    uint8_t *data[4] = {NULL};
    int strides[4] = {0};
    const AVPixFmtDescriptor *desc = av_pix_fmt_desc_get(in->format);
    if (is_grey_alpha(in->format)) {
        unpack_grey_alpha(out, format, in);
        return 0;
    }
    for (int p = 0; p < format->planes; p++) {
        ResrPlane plane = resr_format_plane(format, p);
        data[p] = out->data + plane.offset_bytes;
        strides[p] = (int)plane.stride_bytes;
        if (is_plain_planar(desc, in->format))
            av_image_copy_plane(data[p], strides[p], in->data[p], in->linesize[p],
                                (int)plane.row_bytes, plane.height_px);
    }
    if (is_plain_planar(desc, in->format))
        return 0;
    repacker->sws = sws_getCachedContext(repacker->sws, in->width, in->height, in->format,
                                         in->width, in->height, av_get_pix_fmt(format->pix_fmt),
                                         SWS_POINT | SWS_ACCURATE_RND, NULL, NULL, NULL);
    if (!repacker->sws)
        return resr_fail(RESR_ERR_DATA, "pixel format %s cannot be unpacked to %s", desc->name,
                         format->pix_fmt);
    /* The same range on both sides: values are moved, not scaled. */
    const int *table = sws_getCoefficients(SWS_CS_DEFAULT);
    sws_setColorspaceDetails(repacker->sws, table, format->full_range, table, format->full_range, 0,
                             1 << 16, 1 << 16);
    int rows = sws_scale(repacker->sws, (const uint8_t *const *)in->data, in->linesize, 0,
                         in->height, data, strides);
    return rows == in->height
               ? 0
               : resr_fail(RESR_ERR_DATA, "pixel format %s cannot be unpacked", desc->name);
}

void resr_repacker_close(ResrRepacker *repacker)
{
    sws_freeContext(repacker->sws);
    repacker->sws = NULL;
}
