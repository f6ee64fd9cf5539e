#include "media/encode.h"

#include <assert.h>
#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/limits.h"
#include "media/images.h"
#include "media/libav.h"
#include "media/pixfmt.h"

#define DEFAULT_X265_CRF 18
#define DEFAULT_VP9_CRF 18

/* For encoders with nothing but a fixed quantiser (mpeg4, mjpeg), on FFmpeg's scale from 1 to 31.
 */
#define DEFAULT_QSCALE 2

/* The default number of encoder threads is fixed (RESR_ENCODER_THREADS), not the machine's: x264's
 * and x265's output depends on it. */

/* Images in formats outside picture.h. */
static const AVCodec *find_image_encoder(const char *output)
{
    const char *ending = strrchr(output, '.');
    return avcodec_find_encoder(ending && strcasecmp(ending, ".bmp") == 0   ? AV_CODEC_ID_BMP
                                : ending && strcasecmp(ending, ".pgm") == 0 ? AV_CODEC_ID_PGM
                                                                            : AV_CODEC_ID_PPM);
}

/* Encoder of a video without --codec: libx264, except for containers that store one kind of video.
 */
static const char *video_encoder(const char *output)
{
    static const struct {
        const char *ending, *name;
    } table[] = {{"webm", "libvpx-vp9"}, {"gif", "gif"}, {"apng", "apng"}};
    const char *ending = strrchr(output, '.');
    for (size_t i = 0; ending && i < sizeof table / sizeof *table; i++)
        if (strcasecmp(ending + 1, table[i].ending) == 0)
            return table[i].name;
    return "libx264";
}

/* Images in a folder are PNG. */
static ResrPictureKind picture_of(const char *output)
{
    return resr_images_is_image_name(output) ? resr_picture_kind_of_name(output) : RESR_PICTURE_PNG;
}

/* The planar RGB or grey format with the same content as an image. */
static enum AVPixelFormat image_format(const ResrFormat *input)
{
    bool deep = input->depth_bits > 8;
    if (input->model == RESR_COLOUR_GREY && !input->has_alpha)
        return deep ? AV_PIX_FMT_GRAY16 : AV_PIX_FMT_GRAY8;
    if (input->has_alpha)
        return deep ? AV_PIX_FMT_GBRAP16 : AV_PIX_FMT_GBRAP;
    return deep ? AV_PIX_FMT_GBRP16 : AV_PIX_FMT_GBRP;
}

static void set_full_range(ResrEncoding *e)
{
    e->format.full_range = 1;
    e->color_range = AVCOL_RANGE_JPEG;
}

/* JFIF: BT.601, full range, chroma in the centre. */
static void set_jfif(ResrEncoding *e)
{
    e->format.matrix = AVCOL_SPC_SMPTE170M;
    e->format.chroma_location = AVCHROMA_LOC_CENTER;
    set_full_range(e);
}

static int plan_image(ResrEncoding *e, const char *output, const ResrFormat *input)
{
    enum AVPixelFormat planar = image_format(input);
    int ret = 0;
    if (e->picture != RESR_PICTURE_NONE) {
        e->pix_fmt = resr_picture_format(e->picture, input->model == RESR_COLOUR_GREY,
                                         input->has_alpha, input->depth_bits > 8);
        ret = resr_picture_check_size(e->picture, output, e->format.width_px, e->format.height_px);
        if (ret == 0)
            ret = resr_picture_check_quality(e->picture, e->options.crf);
    } else if (e->codec->id == AV_CODEC_ID_PGM) {
        e->pix_fmt = AV_PIX_FMT_GRAY8;
    } else {
        const AVPixFmtDescriptor *desc = av_pix_fmt_desc_get(planar);
        e->pix_fmt = avcodec_find_best_pix_fmt_of_list(
            e->codec->pix_fmts, planar, (desc->flags & AV_PIX_FMT_FLAG_ALPHA) != 0, NULL);
    }
    resr_format_set_pixels(&e->format, resr_holder_of(e->pix_fmt));
    e->format.matrix = e->format.model == RESR_COLOUR_GREY ? AVCOL_SPC_UNSPECIFIED : AVCOL_SPC_RGB;
    e->format.full_range = 1;
    e->color_range = AVCOL_RANGE_JPEG;
    return ret;
}

/* Tags a converted video as the format it was converted to. Grey made from YUV keeps the YUV's
 * luma. */
static void tag_converted(ResrEncoding *e, const ResrFormat *input)
{
    ResrFormat *format = &e->format;
    bool from_yuv = input->model == RESR_COLOUR_YUV;
    if (format->model == RESR_COLOUR_RGB)
        format->matrix = AVCOL_SPC_RGB;
    else if (format->model == RESR_COLOUR_YUV || !from_yuv)
        format->matrix = format->height_px >= 720 ? AVCOL_SPC_BT709 : AVCOL_SPC_SMPTE170M;
    format->full_range = format->model != RESR_COLOUR_YUV;
    e->color_range = format->full_range ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG;
}

static int plan_video(ResrEncoding *e, const char *output, const ResrFormat *input)
{
    int ret = resr_pixfmt_plan(&e->pix_fmt, e->codec, output, input, e->format.width_px,
                               e->format.height_px, e->options.pix_fmt);
    if (ret < 0)
        return ret;
    resr_format_set_pixels(&e->format, resr_holder_of(e->pix_fmt));
    if (e->format.model != input->model)
        tag_converted(e, input);
    if (e->codec->id == AV_CODEC_ID_MJPEG)
        set_jfif(e);
    if (resr_is_yuvj(av_pix_fmt_desc_get(e->pix_fmt)))
        set_full_range(e);
    return 0;
}

int resr_encoding_plan(ResrEncoding *out, const char *output, bool image, const ResrFormat *input,
                       int width_px, int height_px, const ResrEncodeOptions *options)
{
    *out = (ResrEncoding){.options = *options, .format = *input};
    out->format.width_px = width_px;
    out->format.height_px = height_px;
    out->color_range = input->full_range ? AVCOL_RANGE_JPEG : AVCOL_RANGE_UNSPECIFIED;
    const char *name = options->codec[0] ? options->codec : video_encoder(output);
    if (image && !options->codec[0])
        out->picture = picture_of(output);
    if (image && !options->codec[0])
        out->codec = out->picture == RESR_PICTURE_NONE ? find_image_encoder(output) : NULL;
    else
        out->codec = avcodec_find_encoder_by_name(name);
    if (!out->codec && out->picture == RESR_PICTURE_NONE)
        return resr_fail(RESR_ERR_USAGE,
                         "--codec: this FFmpeg does not have the encoder '%s'; ffmpeg -encoders "
                         "lists the available ones",
                         image && !options->codec[0] ? output : name);
    if (out->codec && out->codec->id == AV_CODEC_ID_THEORA)
        return resr_fail(RESR_ERR_USAGE,
                         "--codec: encoder %s drops frames that resemble the previous one; choose "
                         "another encoder, such as libvpx",
                         out->codec->name);
    if (out->codec && out->codec->type != AVMEDIA_TYPE_VIDEO)
        return resr_fail(RESR_ERR_USAGE,
                         "--codec: '%s' is not a video encoder; choose another encoder",
                         options->codec);
    return image && !options->codec[0] ? plan_image(out, output, input)
                                       : plan_video(out, output, input);
}

const char *resr_encoding_name(const ResrEncoding *e)
{
    return e->codec ? e->codec->name : resr_picture_name(e->picture);
}

void resr_encoding_library(const ResrEncoding *e, char *out, size_t out_bytes)
{
    unsigned version = avcodec_version();
    if (e->codec)
        snprintf(out, out_bytes, "libavcodec %u.%u.%u", version >> 16, version >> 8 & 255,
                 version & 255);
    else
        resr_picture_library(e->picture, out, out_bytes);
}

void resr_encoding_tag(ResrEncoding *e, const ResrEncodingTags *tags)
{
    e->frame_rate = (AVRational){tags->frame_rate_num, tags->frame_rate_den};
    e->sar = (AVRational){tags->sar_num, tags->sar_den};
    e->color_range = tags->color_range;
    e->global_header = tags->global_header;
    e->format.chroma_location = tags->chroma_location;
}

ResrEncodingTags resr_encoding_tags(const ResrEncoding *e)
{
    ResrEncodingTags tags = {.frame_rate_num = e->frame_rate.num,
                             .frame_rate_den = e->frame_rate.den,
                             .sar_num = e->sar.num,
                             .sar_den = e->sar.den,
                             .color_range = e->color_range,
                             .global_header = e->global_header,
                             .chroma_location = e->format.chroma_location};
    snprintf(tags.pix_fmt, sizeof tags.pix_fmt, "%s", av_get_pix_fmt_name(e->pix_fmt));
    return tags;
}

static bool has_option(const AVCodec *codec, const char *name)
{
    return codec->priv_class &&
           av_opt_find((void *)&codec->priv_class, name, NULL, 0, AV_OPT_SEARCH_FAKE_OBJ) != NULL;
}

/* Sets the quality through the encoder's own crf, cq or qp, else by a fixed quantiser. */
static int set_quality(AVCodecContext *context, AVDictionary **dictionary, const ResrEncoding *e)
{
    static const char *const names[] = {"crf", "cq", "qp", NULL};
    const AVCodecDescriptor *desc = avcodec_descriptor_get(e->codec->id);
    bool lossless =
        desc && (desc->props & AV_CODEC_PROP_LOSSLESS) && !(desc->props & AV_CODEC_PROP_LOSSY);
    double crf = e->options.crf;
    char value[32];
    if (crf < 0 && strcmp(e->codec->name, "libx264") == 0)
        crf = RESR_X264_CRF;
    if (crf < 0 && strcmp(e->codec->name, "libx265") == 0)
        crf = DEFAULT_X265_CRF;
    if (crf < 0 && strcmp(e->codec->name, "libvpx-vp9") == 0)
        crf = DEFAULT_VP9_CRF;
    for (int i = 0; names[i]; i++)
        if (has_option(e->codec, names[i])) {
            snprintf(value, sizeof value, "%g", crf);
            if (crf >= 0)
                av_dict_set(dictionary, names[i], value, 0);
            return 0;
        }
    if (lossless) {
        if (e->options.crf >= 0)
            return resr_fail(RESR_ERR_USAGE,
                             "--crf: encoder %s is lossless and has no quality; remove --crf",
                             e->codec->name);
        return 0;
    }
    context->flags |= AV_CODEC_FLAG_QSCALE;
    context->global_quality = (int)((crf >= 0 ? crf : DEFAULT_QSCALE) * FF_QP2LAMBDA);
    return 0;
}

/* Sets the options that make an encoder's segments independent, joinable and the same on every
 * machine. */
static void set_determinism(AVDictionary **dictionary, const ResrEncoding *e, int threads)
{
    char params[160];
    if (strcmp(e->codec->name, "libx264") == 0) {
        av_dict_set(dictionary, "x264-params", "stitchable=1:cpu-independent=1", 0);
    } else if (strcmp(e->codec->name, "libx265") == 0) {
        snprintf(params, sizeof params,
                 "open-gop=0:frame-threads=1:pools=%d:info=0:log-level=error", threads);
        av_dict_set(dictionary, "x265-params", params, 0);
    }
}

static int configure(AVCodecContext *context, AVDictionary **dictionary, const ResrEncoding *e)
{
    int threads = e->options.threads > 0 ? e->options.threads : RESR_ENCODER_THREADS;
    context->width = e->format.width_px;
    context->height = e->format.height_px;
    context->pix_fmt = e->pix_fmt;
    /* The encoder gets frame numbers; resr_video_file_write() sets the times. */
    context->framerate = e->frame_rate;
    context->time_base = av_inv_q(e->frame_rate);
    context->sample_aspect_ratio = e->sar;
    context->color_range = (enum AVColorRange)e->color_range;
    context->colorspace = (enum AVColorSpace)e->format.matrix;
    context->color_primaries = (enum AVColorPrimaries)e->format.primaries;
    context->color_trc = (enum AVColorTransferCharacteristic)e->format.transfer;
    context->chroma_sample_location = (enum AVChromaLocation)e->format.chroma_location;
    context->thread_count = threads;
    if (e->options.segment_frames > 0)
        context->gop_size = e->options.segment_frames;
    context->flags |= AV_CODEC_FLAG_CLOSED_GOP;
    if (has_option(e->codec, "sc_threshold")) /* mpeg4 and others: no scene cuts in a closed GOP */
        av_dict_set(dictionary, "sc_threshold", "1000000000", 0);
    if (av_pix_fmt_desc_get(e->pix_fmt)->flags & AV_PIX_FMT_FLAG_ALPHA &&
        has_option(e->codec, "auto-alt-ref")) /* libvpx supports only one of both */
        av_dict_set(dictionary, "auto-alt-ref", "0", 0);
    if (e->global_header)
        context->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    if (e->options.preset[0])
        av_dict_set(dictionary, "preset", e->options.preset, 0);
    set_determinism(dictionary, e, threads);
    return set_quality(context, dictionary, e);
}

int resr_encoder_open(ResrEncoder *encoder, const ResrEncoding *e)
{
    AVDictionary *dictionary = NULL;
    *encoder = (ResrEncoder){.context = e->codec ? avcodec_alloc_context3(e->codec) : NULL,
                             .frame = av_frame_alloc(),
                             .packet = av_packet_alloc()};
    if ((e->codec && !encoder->context) || !encoder->frame || !encoder->packet)
        return resr_fail(RESR_ERR_INTERNAL, "out of memory: encoder %s", resr_encoding_name(e));
    if (!e->codec)
        return 0;
    int ret = configure(encoder->context, &dictionary, e);
    int averror = ret == 0 ? avcodec_open2(encoder->context, e->codec, &dictionary) : 0;
    const AVDictionaryEntry *unknown = av_dict_get(dictionary, "", NULL, AV_DICT_IGNORE_SUFFIX);
    if (averror < 0)
        ret = resr_av_fail(RESR_ERR_USAGE, averror, e->codec->name,
                           "the encoder refuses its options or the size (see --codec, --preset, "
                           "--crf, --pix-fmt)");
    else if (ret == 0 && unknown && strcmp(unknown->key, "preset") == 0)
        ret = resr_fail(RESR_ERR_USAGE, "--preset: encoder %s has no presets; remove --preset",
                        e->codec->name);
    av_dict_free(&dictionary);
    return ret;
}

static int make_frame(ResrEncoder *encoder, const ResrEncoding *e, const ResrFrame *in)
{
    AVFrame *frame = encoder->frame;
    av_frame_unref(frame);
    frame->format = e->pix_fmt;
    frame->width = e->format.width_px;
    frame->height = e->format.height_px;
    if (av_frame_get_buffer(frame, 0) < 0)
        return resr_fail(RESR_ERR_INTERNAL, "out of memory: a frame for encoder %s",
                         resr_encoding_name(e));
    frame->pts = encoder->frames++;
    int ret = resr_repack_for_encoder(frame, &e->format, in);
    if (ret < 0 || !encoder->context)
        return ret;
    frame->color_range = encoder->context->color_range;
    frame->colorspace = encoder->context->colorspace;
    frame->color_primaries = encoder->context->color_primaries;
    frame->color_trc = encoder->context->color_trc;
    frame->chroma_location = encoder->context->chroma_sample_location;
    frame->sample_aspect_ratio = e->sar;
    frame->quality = encoder->context->global_quality;
    return 0;
}

/* Encodes a picture: one packet. */
static int write_picture(ResrEncoder *encoder, const ResrEncoding *e, ResrPacketHandler handler,
                         void *user)
{
    ResrPictureBlob file = {0};
    ResrPictureTags shape = {.density_x = e->sar.num, .density_y = e->sar.den, .ratio = true};
    bool square = e->sar.num <= 0 || e->sar.num == e->sar.den;
    int ret = resr_picture_write(&file, e->picture, encoder->frame,
                                 e->tags  ? e->tags
                                 : square ? NULL
                                          : &shape,
                                 e->options.crf);
    if (ret == 0) {
        encoder->packet->data = file.data;
        encoder->packet->size = (int)file.bytes;
        ret = handler(user, encoder->packet);
        av_packet_unref(encoder->packet);
    }
    free(file.data);
    return ret;
}

int resr_encoder_write(ResrEncoder *encoder, const ResrEncoding *e, const ResrFrame *frame,
                       ResrPacketHandler handler, void *user)
{
    assert(!encoder->ended);
    int ret = frame ? make_frame(encoder, e, frame) : 0;
    if (ret < 0)
        return ret;
    if (!e->codec)
        return frame ? write_picture(encoder, e, handler, user) : 0;
    int averror = avcodec_send_frame(encoder->context, frame ? encoder->frame : NULL);
    encoder->ended = !frame;
    while (averror >= 0 && ret == 0) {
        averror = avcodec_receive_packet(encoder->context, encoder->packet);
        if (averror == AVERROR(EAGAIN) || averror == AVERROR_EOF)
            return 0;
        if (averror >= 0 && encoder->packet->size == 0)
            ret = resr_fail(RESR_ERR_USAGE,
                            "--codec: encoder %s returned an empty packet for a frame, which "
                            "containers drop; choose another encoder",
                            e->codec->name);
        else if (averror >= 0)
            ret = handler(user, encoder->packet);
        av_packet_unref(encoder->packet);
    }
    return ret < 0 ? ret
                   : resr_av_fail(RESR_ERR_INTERNAL, averror, e->codec->name, "encoding failed");
}

/* libsvtav1 (seen with 1.4) blocks for ever if it is closed without a frame and an end of stream.
 * Its packets are discarded. */
static void end_svtav1(ResrEncoder *encoder)
{
    AVCodecContext *context = encoder->context;
    if (encoder->ended || !avcodec_is_open(context))
        return;
    if (encoder->frames == 0) {
        AVFrame *frame = encoder->frame;
        frame->format = context->pix_fmt;
        frame->width = context->width;
        frame->height = context->height;
        frame->pts = 0;
        if (av_frame_get_buffer(frame, 0) < 0)
            return;
        for (int p = 0; p < AV_NUM_DATA_POINTERS && frame->buf[p]; p++)
            memset(frame->buf[p]->data, 0, (size_t)frame->buf[p]->size);
        avcodec_send_frame(context, frame);
    }
    avcodec_send_frame(context, NULL);
    while (avcodec_receive_packet(context, encoder->packet) >= 0)
        av_packet_unref(encoder->packet);
}

void resr_encoder_close(ResrEncoder *encoder)
{
    if (encoder->context && encoder->context->codec &&
        strcmp(encoder->context->codec->name, "libsvtav1") == 0)
        end_svtav1(encoder);
    avcodec_free_context(&encoder->context);
    av_frame_free(&encoder->frame);
    av_packet_free(&encoder->packet);
}
