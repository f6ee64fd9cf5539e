#include "media/sink.h"

#include <assert.h>
#include <libavutil/pixdesc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "media/libav.h"
#include "media/pixfmt.h"
#include "media/segment.h"
#include "media/video_file.h"

/* The input's format whose content the output keeps: images are made from RGB. */
static const ResrFormat *content_format(ResrOutputKind kind, const ResrVideoInfo *info)
{
    return kind == RESR_OUTPUT_VIDEO ? &info->stored : &info->format;
}

static int plan(ResrEncoding *encoding, ResrOutputKind kind, const char *output,
                const ResrDecoder *decoder, int width_px, int height_px,
                const ResrEncodeOptions *options)
{
    const ResrVideoInfo *info = resr_decoder_info(decoder);
    if (kind == RESR_OUTPUT_IMAGE && !(info->is_image && info->frames_estimate == 1))
        return resr_fail(RESR_ERR_USAGE,
                         "%s: the input has more than one frame; write to a video, a folder or a "
                         "pattern such as %%05d.png",
                         output);
    int ret = resr_encoding_plan(encoding, output, kind != RESR_OUTPUT_VIDEO,
                                 content_format(kind, info), width_px, height_px, options);
    bool known = info->frame_rate_num > 0;
    ResrEncodingTags tags = {.frame_rate_num = known ? info->frame_rate_num : 25,
                             .frame_rate_den = known ? info->frame_rate_den : 1,
                             .sar_num = info->sar_num,
                             .sar_den = info->sar_den,
                             .color_range = encoding->color_range,
                             .chroma_location = encoding->format.chroma_location};
    if (info->turned && kind == RESR_OUTPUT_VIDEO) /* few players know the turned position */
        tags.chroma_location = (int32_t)resr_decoder_first_frame(decoder)->chroma_location;
    if (tags.color_range == AVCOL_RANGE_UNSPECIFIED && kind == RESR_OUTPUT_VIDEO)
        tags.color_range = resr_decoder_first_frame(decoder)->color_range;
    resr_encoding_tag(encoding, &tags);
    return ret;
}

static void warn_of_loss(const ResrEncoding *encoding, const char *output, const ResrFormat *in)
{
    const ResrFormat *out = &encoding->format;
    bool alpha = in->has_alpha && !out->has_alpha,
         depth = in->depth_bits > 8 && out->depth_bits == 8;
    bool colour = in->model != RESR_COLOUR_GREY && out->model == RESR_COLOUR_GREY;
    if (alpha || depth || colour)
        resr_log_warn("%s: %s images cannot store %s%s%s of the input; use a .png or .tif output",
                      output, resr_encoding_name(encoding), alpha ? "transparency" : "",
                      alpha && (depth || colour) ? " and " : "",
                      colour  ? "colour"
                      : depth ? "more than 8 bits a sample"
                              : "");
}

int resr_sink_plan(ResrSinkPlan *out, const char *output, const char *input,
                   const ResrDecoder *decoder, int width_px, int height_px,
                   const ResrEncodeOptions *options)
{
    ResrEncoding encoding;
    ResrMuxer *muxer = NULL;
    ResrEncoder encoder = {0};
    ResrOutputKind kind = resr_outputs_kind(output, input);
    int ret = plan(&encoding, kind, output, decoder, width_px, height_px, options);
    if (ret == 0 && kind == RESR_OUTPUT_VIDEO)
        ret = resr_muxer_open(&muxer, NULL, output, input, !resr_decoder_info(decoder)->is_image,
                              NULL);
    if (ret == 0) { /* refused options and streams are reported before the work starts */
        encoding.global_header = muxer && resr_muxer_wants_global_header(muxer);
        ret = resr_encoder_open(&encoder, &encoding);
        ResrContainerVideo video = resr_video_file_describe(decoder, &encoder);
        if (ret == 0 && muxer)
            ret = resr_muxer_try(muxer, &video);
        *out = (ResrSinkPlan){.format = encoding.format, .video = kind == RESR_OUTPUT_VIDEO};
        out->segmented =
            ret == 0 && kind == RESR_OUTPUT_VIDEO && resr_segment_holds(encoder.context);
        resr_encoder_close(&encoder);
    }
    resr_muxer_close(muxer);
    if (ret < 0)
        return ret;
    if (kind != RESR_OUTPUT_VIDEO && !options->codec[0])
        warn_of_loss(&encoding, output, &resr_decoder_info(decoder)->format);
    snprintf(out->encoder, sizeof out->encoder, "%s", resr_encoding_name(&encoding));
    resr_encoding_library(&encoding, out->library, sizeof out->library);
    if (kind == RESR_OUTPUT_VIDEO && resr_decoder_info(decoder)->has_profile)
        resr_log_warn("%s: a video cannot store the colour profile of the input's images, and the "
                      "colour values are not converted; convert the images to sRGB first",
                      output);
    if ((kind == RESR_OUTPUT_VIDEO || options->codec[0]) && !options->pix_fmt[0])
        resr_pixfmt_warn(encoding.pix_fmt, encoding.codec, output,
                         content_format(kind, resr_decoder_info(decoder)), width_px, height_px);
    out->tags = resr_encoding_tags(&encoding);
    return 0;
}

int resr_sink_open(ResrSink **out, const char *output, const char *input,
                   const ResrDecoder *decoder, const ResrFormat *format,
                   const ResrEncodeOptions *options, bool overwrite, const ResrSegmentStore *store)
{
    ResrOutputKind kind = resr_outputs_kind(output, input);
    const ResrSinkOps *ops = kind != RESR_OUTPUT_VIDEO ? &resr_sink_images
                             : store                   ? &resr_sink_segments
                                                       : &resr_sink_video;
    int ret = resr_alloc(out, 1, ops->bytes);
    if (ret < 0)
        return ret;
    ResrSink *sink = *out;
    *sink = (ResrSink){.ops = ops,
                       .output = output,
                       .input = input,
                       .decoder = decoder,
                       .kind = kind,
                       .overwrite = overwrite};
    ret =
        plan(&sink->encoding, kind, output, decoder, format->width_px, format->height_px, options);
    if (ret == 0)
        ret = ops->open(sink, store);
    if (ret < 0) {
        resr_sink_close(sink);
        *out = NULL;
    }
    return ret;
}

int resr_sink_write(ResrSink *sink, const ResrFrame *frame)
{
    assert(sink->ops->write && frame->index == sink->frames);
    return sink->ops->write(sink, frame);
}

int resr_sink_finish(ResrSink *sink, bool whole)
{
    return sink->ops->finish(sink, whole);
}

int64_t resr_sink_packets(const ResrSink *sink)
{
    return sink->packets;
}

void resr_sink_stop(ResrSink *sink)
{
    sink->stop = true;
}

const char *resr_sink_encoder(const ResrSink *sink)
{
    return resr_encoding_name(&sink->encoding);
}

void resr_sink_close(ResrSink *sink)
{
    if (!sink)
        return;
    sink->ops->close(sink);
    free(sink);
}
