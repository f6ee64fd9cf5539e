/* How it works. find_device() opens the first device that FFmpeg's decoder supports and this
 * machine has. The decoder then asks get_format() for each stream: surfaces of the device if the
 * video is 4:2:0 of 8 or 10 bits, else the software format. resr_hwaccel_fetch() copies a surface
 * to memory as nv12 or p010, applies the codec's cropping, and keeps the frame's properties;
 * repack.c makes the planar format of it without loss. A named device that cannot decode the video
 * is an error; with "auto" one line reports the reason, and software decodes. */

#include "media/hwaccel.h"

#include <libavutil/hwcontext.h>
#include <libavutil/pixdesc.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "media/libav.h"

static const char *type_name(const ResrHwaccel *hw)
{
    const AVHWDeviceContext *context = (const AVHWDeviceContext *)hw->device->data;
    return av_hwdevice_get_type_name(context->type);
}

const char *resr_hwaccel_name(const ResrHwaccel *hw)
{
    return hw->used ? type_name(hw) : "none";
}

static bool is_surface(enum AVPixelFormat format)
{
    const AVPixFmtDescriptor *desc = av_pix_fmt_desc_get(format);
    return desc && desc->flags & AV_PIX_FMT_FLAG_HWACCEL;
}

/* 4:2:0 of 8 or 10 bits: devices return nv12 or p010, with the same samples as the planar format.
 * Deeper formats come in 16 bits from some devices, which do not report the number of significant
 * bits. */
static bool is_known(enum AVPixelFormat format)
{
    const AVPixFmtDescriptor *desc = av_pix_fmt_desc_get(format);
    return desc && desc->nb_components == 3 && desc->log2_chroma_w == 1 &&
           desc->log2_chroma_h == 1 && !(desc->flags & AV_PIX_FMT_FLAG_RGB) &&
           (desc->comp[0].depth == 8 || desc->comp[0].depth == 10);
}

/* AVCodecContext.get_format: chooses among the formats that a stream can be decoded to. FFmpeg
 * calls it again, without the surface, if the device refused the stream. */
static enum AVPixelFormat choose_format(AVCodecContext *codec, const enum AVPixelFormat *offered)
{
    const ResrHwaccel *hw = ((const ResrAvOwner *)codec->opaque)->user;
    const enum AVPixelFormat *format = offered;
    for (; *format != AV_PIX_FMT_NONE && is_known(codec->sw_pix_fmt); format++)
        if (*format == hw->surface)
            return *format;
    for (format = offered; *format != AV_PIX_FMT_NONE && is_surface(*format);)
        format++;
    return *format;
}

/* The i-th kind of device that FFmpeg's decoder supports, or NULL after the last. */
static const AVCodecHWConfig *next_config(const AVCodec *decoder, int *i)
{
    const AVCodecHWConfig *config;
    while ((config = avcodec_get_hw_config(decoder, (*i)++)) != NULL)
        if (config->methods & AV_CODEC_HW_CONFIG_METHOD_HW_DEVICE_CTX)
            return config;
    return NULL;
}

static void list_types(char list[256], const AVCodec *decoder)
{
    const AVCodecHWConfig *config;
    *list = 0;
    for (int i = 0; (config = next_config(decoder, &i)) != NULL;)
        snprintf(list + strlen(list), 256 - strlen(list), "%s%s", *list ? ", " : "",
                 av_hwdevice_get_type_name(config->device_type));
    if (!*list)
        snprintf(list, 256, "nothing");
}

/* Finds the first available kind of device, of all kinds or of the one named. */
static int find_device(ResrHwaccel *hw, const AVCodec *decoder, const char *path)
{
    const bool any = strcmp(hw->requested, "auto") == 0;
    const AVCodecHWConfig *config;
    char list[256], text[AV_ERROR_MAX_STRING_SIZE] = "FFmpeg cannot decode this codec with it";
    list_types(list, decoder);
    if (!any && av_hwdevice_find_type_by_name(hw->requested) == AV_HWDEVICE_TYPE_NONE)
        snprintf(text, sizeof text, "not a device of FFmpeg");
    resr_av_silence(any);
    for (int i = 0; !hw->device && (config = next_config(decoder, &i)) != NULL;) {
        const char *name = av_hwdevice_get_type_name(config->device_type);
        if (!any && strcmp(name, hw->requested) != 0)
            continue;
        int averror = av_hwdevice_ctx_create(&hw->device, config->device_type, NULL, NULL, 0);
        if (averror < 0)
            snprintf(text, sizeof text,
                     "the device does not exist on this machine, or does not work");
        hw->surface = config->pix_fmt;
    }
    resr_av_silence(false);
    hw->decided = true;
    if (hw->device)
        return 0;
    if (!any)
        return resr_fail(RESR_ERR_DEVICE,
                         "%s: --hwaccel %s: %s. For %s FFmpeg offers: %s; --hwaccel none decodes "
                         "in software",
                         path, hw->requested, text, decoder->name, list);
    resr_log_warn("%s: --hwaccel auto: no device of this machine decodes %s (FFmpeg offers: %s); "
                  "decoding in software",
                  path, decoder->name, list);
    hw->warned = true;
    return 0;
}

int resr_hwaccel_attach(ResrHwaccel *hw, AVCodecContext *codec, const AVCodec *decoder, bool images,
                        const char *path)
{
    if (images || strcmp(hw->requested, "none") == 0)
        return 0;
    int ret = hw->decided ? 0 : find_device(hw, decoder, path);
    if (ret < 0 || !hw->device)
        return ret;
    ((ResrAvOwner *)codec->opaque)->user = hw;
    codec->get_format = choose_format;
    codec->hw_device_ctx = av_buffer_ref(hw->device);
    return codec->hw_device_ctx
               ? 0
               : resr_fail(RESR_ERR_INTERNAL, "out of memory: decoder for %s", path);
}

int resr_hwaccel_fetch(ResrHwaccel *hw, AVFrame *frame, const char *path)
{
    if (!hw->device)
        return 0;
    if (!is_surface(frame->format)) {
        if (strcmp(hw->requested, "auto") != 0)
            return resr_fail(RESR_ERR_DEVICE,
                             "%s: --hwaccel %s: the device does not decode this video (%s); "
                             "--hwaccel none decodes in software",
                             path, hw->requested, av_get_pix_fmt_name(frame->format));
        if (!hw->warned)
            resr_log_warn("%s: --hwaccel auto: %s does not decode this video (%s); decoding in "
                          "software",
                          path, type_name(hw), av_get_pix_fmt_name(frame->format));
        hw->warned = true;
        return 0;
    }
    AVFrame *fetched = av_frame_alloc();
    int averror = fetched ? av_hwframe_transfer_data(fetched, frame, 0) : AVERROR(ENOMEM);
    if (averror >= 0)
        averror = av_frame_copy_props(fetched, frame);
    if (averror >=
        0) /* the codec's cropping on the left and above, which a surface still contains */
        averror = av_frame_apply_cropping(fetched, AV_FRAME_CROP_UNALIGNED);
    if (averror >= 0) {
        hw->used = true;
        av_frame_unref(frame);
        av_frame_move_ref(frame, fetched);
    }
    av_frame_free(&fetched);
    return averror < 0 ? resr_av_fail(RESR_ERR_DEVICE, averror, path,
                                      "a decoded frame cannot be copied from the device")
                       : 0;
}

void resr_hwaccel_free(ResrHwaccel *hw)
{
    av_buffer_unref(&hw->device);
}
