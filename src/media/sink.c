#include "media/sink.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/publish.h"
#include "media/encode.h"
#include "media/images.h"
#include "media/libav.h"
#include "media/mux.h"

typedef enum OutputKind { OUTPUT_VIDEO, OUTPUT_IMAGE, OUTPUT_PATTERN, OUTPUT_FOLDER } OutputKind;

struct ResrSink {
    OutputKind kind;
    const char *output;
    const ResrDecoder *decoder;
    bool overwrite;
    ResrEncoding encoding;
    ResrEncoder encoder;
    bool encoder_open;
    int64_t frames, packets;
    /* videos */
    ResrMuxer *muxer;
    char temporary[4096];
    bool created;
    int64_t *pts, *durations; /* of every frame so far, by index */
    size_t capacity;
    int64_t segment_first; /* index of the open segment's first frame */
    int reorder;           /* frames that decoding order runs ahead of presentation */
    uint8_t *extradata;    /* of the first segment's encoder */
    int extradata_bytes;
};

static OutputKind kind_of(const char *output, const char *input)
{
    struct stat status;
    size_t length = strlen(output);
    const char *name = strrchr(output, '/');
    bool folder = (stat(output, &status) == 0 && S_ISDIR(status.st_mode)) ||
                  (length > 0 && output[length - 1] == '/') ||
                  (stat(input, &status) == 0 && S_ISDIR(status.st_mode) &&
                   !strchr(name ? name : output, '.'));
    if (folder)
        return OUTPUT_FOLDER;
    if (!resr_images_is_image_name(output))
        return OUTPUT_VIDEO;
    return resr_images_is_pattern(output) ? OUTPUT_PATTERN : OUTPUT_IMAGE;
}

static int plan(ResrEncoding *encoding, OutputKind *kind, const char *output, const char *input,
                const ResrVideoInfo *info, int width_px, int height_px,
                const ResrEncodeOptions *options)
{
    *kind = kind_of(output, input);
    if (*kind == OUTPUT_IMAGE && !(info->is_image && info->frames_estimate == 1))
        return resr_fail(RESR_ERR_USAGE,
                         "%s: the input has more than one frame; write to a video, a folder or a "
                         "pattern such as %%05d.png",
                         output);
    int ret = resr_encoding_plan(encoding, output, *kind != OUTPUT_VIDEO, &info->format, width_px,
                                 height_px, options);
    encoding->frame_rate = info->frame_rate_num > 0
                               ? (AVRational){info->frame_rate_num, info->frame_rate_den}
                               : (AVRational){25, 1};
    encoding->sar = (AVRational){info->sar_num, info->sar_den};
    return ret;
}

int resr_sink_plan(ResrFormat *format, const char *output, const char *input,
                   const ResrVideoInfo *info, int width_px, int height_px,
                   const ResrEncodeOptions *options)
{
    ResrEncoding encoding;
    ResrMuxer *muxer = NULL;
    ResrEncoder encoder = {0};
    OutputKind kind;
    int ret = plan(&encoding, &kind, output, input, info, width_px, height_px, options);
    if (ret == 0 && kind == OUTPUT_VIDEO)
        ret = resr_muxer_open(&muxer, output, output, input, !info->is_image, encoding.codec, true);
    if (ret == 0) { /* an encoder that refuses its options says so now, not after an hour */
        ret = resr_encoder_open(&encoder, &encoding);
        resr_encoder_close(&encoder);
    }
    resr_muxer_close(muxer);
    *format = encoding.format;
    return ret;
}

static int open_video(ResrSink *sink, const char *input)
{
    const ResrVideoInfo *info = resr_decoder_info(sink->decoder);
    int ret = resr_publish_temporary(sink->temporary, sizeof sink->temporary, sink->output);
    if (ret == 0)
        ret = resr_muxer_open(&sink->muxer, sink->temporary, sink->output, input, !info->is_image,
                              sink->encoding.codec, false);
    if (ret < 0)
        return ret;
    sink->created = true;
    sink->encoding.global_header = resr_muxer_wants_global_header(sink->muxer);
    if (sink->encoding.color_range == AVCOL_RANGE_UNSPECIFIED)
        sink->encoding.color_range = resr_decoder_first_frame(sink->decoder)->color_range;
    return 0;
}

int resr_sink_open(ResrSink **out, const char *output, const char *input,
                   const ResrDecoder *decoder, const ResrFormat *format,
                   const ResrEncodeOptions *options, bool overwrite)
{
    int ret = resr_alloc(out, 1, sizeof **out);
    if (ret < 0)
        return ret;
    ResrSink *sink = *out;
    sink->output = output;
    sink->decoder = decoder;
    sink->overwrite = overwrite;
    ret = plan(&sink->encoding, &sink->kind, output, input, resr_decoder_info(decoder),
               format->width_px, format->height_px, options);
    if (ret == 0 && sink->kind == OUTPUT_VIDEO)
        ret = open_video(sink, input);
    if (ret == 0 && sink->kind == OUTPUT_FOLDER && mkdir(output, 0777) != 0 && errno != EEXIST)
        ret = resr_fail(errno == EACCES ? RESR_ERR_PERM : RESR_ERR_EXISTS,
                        "%s: the folder cannot be created: %s", output, strerror(errno));
    if (ret < 0) {
        resr_sink_close(sink);
        *out = NULL;
    }
    return ret;
}

/* The container gets true timestamps: pts by the frame's number; dts are the sorted pts, delayed by
 * the encoder's reorder depth, over the whole video, so that segments join without a seam. */
static int write_packet(void *user, AVPacket *packet)
{
    ResrSink *sink = user;
    /* Not every encoder says how far it reorders; the first packet's dts does. */
    if (sink->packets == 0 && packet->dts != AV_NOPTS_VALUE && -packet->dts > sink->reorder)
        sink->reorder = (int)-packet->dts;
    int64_t index = sink->segment_first + packet->pts;
    int64_t behind = sink->packets - sink->reorder;
    int64_t step = sink->durations[0] > 0 ? sink->durations[0] : 1;
    if (index < sink->segment_first || index >= sink->frames || index < behind)
        return resr_fail(RESR_ERR_INTERNAL,
                         "encoder %s returned frame %" PRId64 " as packet %" PRId64
                         ", outside its reorder depth of %d",
                         sink->encoding.codec->name, index, sink->packets, sink->reorder);
    packet->pts = sink->pts[index];
    packet->dts = behind >= 0 ? sink->pts[behind] : sink->pts[0] + behind * step;
    packet->duration = sink->durations[index];
    sink->packets++;
    return resr_muxer_write(sink->muxer, packet);
}

static int remember_time(ResrSink *sink, const ResrFrame *frame)
{
    if ((size_t)sink->frames == sink->capacity) {
        size_t capacity = sink->capacity ? 2 * sink->capacity : 1024;
        int64_t *pts = realloc(sink->pts, capacity * sizeof *pts);
        if (pts)
            sink->pts = pts;
        int64_t *durations = realloc(sink->durations, capacity * sizeof *durations);
        if (durations)
            sink->durations = durations;
        if (!pts || !durations)
            return resr_fail(RESR_ERR_INTERNAL, "out of memory: timestamps of %zu frames",
                             capacity);
        sink->capacity = capacity;
    }
    sink->pts[sink->frames] = frame->pts;
    sink->durations[sink->frames++] = frame->duration;
    return 0;
}

/* A new segment: a fresh encoder, whose headers must be those of the first one. */
static int begin_segment(ResrSink *sink)
{
    int ret = resr_encoder_open(&sink->encoder, &sink->encoding);
    sink->encoder_open = true;
    if (ret < 0)
        return ret;
    const AVCodecContext *context = sink->encoder.context;
    sink->segment_first = sink->frames;
    if (sink->frames == 0) {
        sink->reorder = context->has_b_frames;
        sink->extradata_bytes = context->extradata_size;
        ret = resr_alloc(&sink->extradata, (size_t)context->extradata_size + 1, 1);
        if (ret < 0)
            return ret;
        if (context->extradata_size > 0)
            memcpy(sink->extradata, context->extradata, (size_t)context->extradata_size);
        return resr_muxer_start(sink->muxer, context, resr_decoder_info(sink->decoder),
                                resr_decoder_first_frame(sink->decoder));
    }
    if (context->extradata_size != sink->extradata_bytes ||
        (sink->extradata_bytes > 0 &&
         memcmp(context->extradata, sink->extradata, (size_t)sink->extradata_bytes) != 0))
        return resr_fail(RESR_ERR_INTERNAL,
                         "encoder %s gives each segment other headers; use "
                         "--segment 0 with it",
                         sink->encoding.codec->name);
    return 0;
}

static int end_segment(ResrSink *sink)
{
    if (!sink->encoder_open)
        return 0;
    int ret = resr_encoder_write(&sink->encoder, &sink->encoding, NULL, write_packet, sink);
    resr_encoder_close(&sink->encoder);
    sink->encoder_open = false;
    if (ret == 0 && sink->packets != sink->frames)
        ret = resr_fail(RESR_ERR_INTERNAL,
                        "encoder %s was given %" PRId64 " frames and returned %" PRId64 " packets",
                        sink->encoding.codec->name, sink->frames, sink->packets);
    return ret;
}

static int write_video_frame(ResrSink *sink, const ResrFrame *frame)
{
    int64_t length = sink->encoding.options.segment_frames;
    int ret = 0;
    if (length > 0 && sink->frames - sink->segment_first == length)
        ret = end_segment(sink);
    if (ret == 0 && !sink->encoder_open)
        ret = begin_segment(sink);
    if (ret == 0)
        ret = remember_time(sink, frame);
    return ret < 0 ? ret
                   : resr_encoder_write(&sink->encoder, &sink->encoding, frame, write_packet, sink);
}

/* Name of the image file for a frame. */
static int image_path(const ResrSink *sink, char *out, size_t out_bytes, int64_t index)
{
    const char *name = resr_decoder_image_name(sink->decoder, index);
    int used;
    if (sink->kind == OUTPUT_PATTERN)
        return resr_images_number(out, out_bytes, sink->output, index + 1);
    if (sink->kind == OUTPUT_IMAGE)
        used = snprintf(out, out_bytes, "%s", sink->output);
    else if (name)
        used = snprintf(out, out_bytes, "%s/%s.png", sink->output, name);
    else
        used = snprintf(out, out_bytes, "%s/frame%08" PRId64 ".png", sink->output, index + 1);
    if (used < 0 || (size_t)used >= out_bytes)
        return resr_fail(RESR_ERR_USAGE, "%s: the path is too long", sink->output);
    return 0;
}

static int write_image(void *user, AVPacket *packet)
{
    ResrSink *sink = user;
    char path[4096];
    int ret = image_path(sink, path, sizeof path, sink->frames);
    if (ret == 0)
        ret = resr_publish_check(path, NULL, sink->overwrite);
    sink->packets++;
    return ret < 0 ? ret : resr_publish_bytes(path, packet->data, (size_t)packet->size);
}

/* Each image is a file and an encoder of its own. */
static int write_image_frame(ResrSink *sink, const ResrFrame *frame)
{
    int ret = resr_encoder_open(&sink->encoder, &sink->encoding);
    if (ret == 0)
        ret = resr_encoder_write(&sink->encoder, &sink->encoding, frame, write_image, sink);
    if (ret == 0)
        ret = resr_encoder_write(&sink->encoder, &sink->encoding, NULL, write_image, sink);
    resr_encoder_close(&sink->encoder);
    sink->frames++;
    return ret;
}

int resr_sink_write(ResrSink *sink, const ResrFrame *frame)
{
    return sink->kind == OUTPUT_VIDEO ? write_video_frame(sink, frame)
                                      : write_image_frame(sink, frame);
}

int resr_sink_finish(ResrSink *sink, bool whole)
{
    if (sink->kind != OUTPUT_VIDEO)
        return sink->packets == sink->frames
                   ? 0
                   : resr_fail(RESR_ERR_INTERNAL, "%" PRId64 " frames became %" PRId64 " images",
                               sink->frames, sink->packets);
    int ret = end_segment(sink);
    if (ret < 0)
        return ret;
    int64_t last = sink->frames - 1;
    ret =
        resr_muxer_finish(sink->muxer, whole ? INT64_MAX : sink->pts[last] + sink->durations[last]);
    if (ret == 0)
        ret = resr_publish(sink->temporary, sink->output, sink->overwrite);
    if (ret == 0)
        sink->created = false;
    return ret;
}

const char *resr_sink_encoder(const ResrSink *sink)
{
    return sink->encoding.codec->name;
}

void resr_sink_close(ResrSink *sink)
{
    if (!sink)
        return;
    resr_encoder_close(&sink->encoder);
    resr_muxer_close(sink->muxer);
    if (sink->created)
        unlink(sink->temporary);
    free(sink->pts);
    free(sink->durations);
    free(sink->extradata);
    free(sink);
}
