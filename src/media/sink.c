#include "media/sink.h"

#include <errno.h>
#include <inttypes.h>
#include <libavutil/pixdesc.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/publish.h"
#include "media/encode.h"
#include "media/libav.h"
#include "media/mux.h"
#include "media/outputs.h"
#include "media/pixfmt.h"
#include "media/segment.h"

struct ResrSink {
    ResrOutputKind kind;
    const char *output, *input;
    const ResrDecoder *decoder;
    bool overwrite;
    atomic_bool stop;
    ResrEncoding encoding;
    ResrEncoder encoder;
    bool encoder_open;
    bool said_lost;       /* that an image's file cannot hold all tags of its source */
    int64_t frames;       /* given, restored ones included */
    atomic_llong packets; /* written to the output */
    /* videos */
    ResrMuxer *muxer;
    char temporary[PATH_MAX];
    bool created;
    int64_t *pts, *durations; /* of every frame so far, by index */
    size_t pts_capacity, durations_capacity;
    int64_t segment_first, segment_frames, segment_packets; /* of the open segment */
    int reorder;        /* frames that decoding order runs ahead of presentation */
    uint8_t *extradata; /* of the first segment's encoder */
    int extradata_bytes;
    /* segments in files */
    bool stored;
    ResrSegmentStore store;
    ResrSegmentInfo *segments; /* finished ones */
    int64_t segment_count;
    size_t segment_capacity;
};

/* What the output is to keep: an image is made of RGB. */
static const ResrFormat *kept_format(ResrOutputKind kind, const ResrVideoInfo *info)
{
    return kind == RESR_OUTPUT_VIDEO ? &info->stored : &info->format;
}

static int plan(ResrEncoding *encoding, ResrOutputKind *kind, const char *output, const char *input,
                const ResrDecoder *decoder, int width_px, int height_px,
                const ResrEncodeOptions *options)
{
    const ResrVideoInfo *info = resr_decoder_info(decoder);
    *kind = resr_outputs_kind(output, input);
    if (*kind == RESR_OUTPUT_IMAGE && !(info->is_image && info->frames_estimate == 1))
        return resr_fail(RESR_ERR_USAGE,
                         "%s: the input has more than one frame; write to a video, a folder or a "
                         "pattern such as %%05d.png",
                         output);
    int ret = resr_encoding_plan(encoding, output, *kind != RESR_OUTPUT_VIDEO,
                                 kept_format(*kind, info), width_px, height_px, options);
    bool known = info->frame_rate_num > 0;
    ResrEncodingTags tags = {.frame_rate_num = known ? info->frame_rate_num : 25,
                             .frame_rate_den = known ? info->frame_rate_den : 1,
                             .sar_num = info->sar_num,
                             .sar_den = info->sar_den,
                             .color_range = encoding->color_range,
                             .chroma_location = encoding->format.chroma_location};
    if (info->turned && *kind == RESR_OUTPUT_VIDEO) /* few players know the turned position */
        tags.chroma_location = (int32_t)resr_decoder_first_frame(decoder)->chroma_location;
    if (tags.color_range == AVCOL_RANGE_UNSPECIFIED && *kind == RESR_OUTPUT_VIDEO)
        tags.color_range = resr_decoder_first_frame(decoder)->color_range;
    resr_encoding_tag(encoding, &tags);
    return ret;
}

static ResrContainerVideo video_of(const ResrDecoder *decoder, const ResrEncoder *encoder)
{
    return (ResrContainerVideo){encoder->context, resr_decoder_info(decoder),
                                resr_decoder_first_frame(decoder)};
}

/* Once, of a job's images. */
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
    ResrOutputKind kind;
    int ret = plan(&encoding, &kind, output, input, decoder, width_px, height_px, options);
    if (ret == 0 && kind == RESR_OUTPUT_VIDEO)
        ret = resr_muxer_open(&muxer, NULL, output, input, !resr_decoder_info(decoder)->is_image,
                              NULL);
    if (ret == 0) { /* an encoder that refuses its options says so now, not after an hour */
        encoding.global_header = muxer && resr_muxer_wants_global_header(muxer);
        ret = resr_encoder_open(&encoder, &encoding);
        ResrContainerVideo video = video_of(decoder, &encoder);
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
                         kept_format(kind, resr_decoder_info(decoder)), width_px, height_px);
    out->tags = resr_encoding_tags(&encoding);
    return 0;
}

/* The unfinished output lies in the store's folder where it can be renamed from there, so that the
 * folder's removal removes all of the job. */
static int name_temporary(ResrSink *sink)
{
    char inside[PATH_MAX];
    const char *name = strrchr(sink->output, '/');
    int used = sink->stored ? snprintf(inside, sizeof inside, "%s/%s", sink->store.folder,
                                       name ? name + 1 : sink->output)
                            : -1;
    if (used > 0 && (size_t)used < sizeof inside &&
        resr_publish_temporary(sink->temporary, sizeof sink->temporary, inside) == 0 &&
        resr_publish_try(sink->temporary, sink->output) == 0)
        return 0;
    int ret = resr_publish_temporary(sink->temporary, sizeof sink->temporary, sink->output);
    return ret < 0 ? ret : resr_publish_try(sink->temporary, sink->output);
}

static int open_muxer(ResrSink *sink)
{
    int ret = name_temporary(sink);
    if (ret == 0)
        ret = resr_muxer_open(&sink->muxer, sink->temporary, sink->output, sink->input,
                              !resr_decoder_info(sink->decoder)->is_image, &sink->stop);
    if (ret == 0 && !resr_decoder_bridges(sink->decoder))
        resr_muxer_be_strict(sink->muxer);
    if (ret == 0 && sink->encoding.options.simulated)
        resr_muxer_comment(sink->muxer, "realesrgan-mpi: simulated, no network made these frames");
    sink->created = ret == 0;
    return ret;
}

/* The output's container with its header, as the encoder describes the video. */
static int start_output(ResrSink *sink)
{
    int ret = open_muxer(sink);
    if (ret == 0)
        ret = resr_encoder_open(&sink->encoder, &sink->encoding);
    ResrContainerVideo video = video_of(sink->decoder, &sink->encoder);
    return ret < 0 ? ret : resr_muxer_start(sink->muxer, &video);
}

static void discard_output(ResrSink *sink)
{
    resr_encoder_close(&sink->encoder);
    resr_muxer_close(sink->muxer);
    sink->muxer = NULL;
    if (sink->created)
        unlink(sink->temporary);
    sink->created = false;
}

/* With segments in files the output's container is opened for the join only; what it does not take
 * is found out now all the same, not after the work. */
static int open_video(ResrSink *sink)
{
    int ret = open_muxer(sink);
    if (ret < 0)
        return ret;
    sink->encoding.global_header = resr_muxer_wants_global_header(sink->muxer);
    if (!sink->stored)
        return 0;
    discard_output(sink);
    ret = start_output(sink);
    discard_output(sink);
    return ret;
}

int resr_sink_open(ResrSink **out, const char *output, const char *input,
                   const ResrDecoder *decoder, const ResrFormat *format,
                   const ResrEncodeOptions *options, bool overwrite, const ResrSegmentStore *store)
{
    int ret = resr_alloc(out, 1, sizeof **out);
    if (ret < 0)
        return ret;
    ResrSink *sink = *out;
    sink->output = output;
    sink->input = input;
    sink->decoder = decoder;
    sink->overwrite = overwrite;
    ret = plan(&sink->encoding, &sink->kind, output, input, decoder, format->width_px,
               format->height_px, options);
    if (ret == 0 && store && sink->kind == RESR_OUTPUT_VIDEO) {
        sink->stored = true;
        sink->store = *store;
    }
    if (ret == 0 && sink->kind == RESR_OUTPUT_VIDEO)
        ret = open_video(sink);
    if (ret == 0 && sink->kind == RESR_OUTPUT_FOLDER && mkdir(output, 0777) != 0 && errno != EEXIST)
        ret = resr_fail(errno == EACCES ? RESR_ERR_PERM : RESR_ERR_EXISTS,
                        "%s: the folder cannot be created: %s", output, strerror(errno));
    if (ret < 0) {
        resr_sink_close(sink);
        *out = NULL;
    }
    return ret;
}

/* `pts` plus `count` times `step`; at the limits of an int64_t where it passes them. */
static int64_t time_after(int64_t pts, int64_t count, int64_t step)
{
    int64_t span, sum;
    if (__builtin_mul_overflow(count, step, &span) || __builtin_add_overflow(pts, span, &sum))
        return (count < 0) == (step < 0) ? INT64_MAX : -INT64_MAX;
    return sum;
}

/* The container gets true timestamps: pts by the frame's number; dts are the sorted pts, delayed by
 * the encoder's reorder depth, over the whole video, so that segments join without a seam. */
static int write_packet(void *user, AVPacket *packet)
{
    ResrSink *sink = user;
    if (sink->stop)
        return resr_fail(RESR_ERR_STOPPED, "%s: stopped", sink->output);
    /* Not every encoder says how far it reorders; the first packet's dts does. */
    if (!sink->stored && sink->packets == 0 && packet->dts != AV_NOPTS_VALUE &&
        -packet->dts > sink->reorder)
        sink->reorder = (int)-packet->dts;
    sink->segment_packets++;
    int64_t index = sink->segment_first + packet->pts;
    int64_t packet_number = sink->packets, behind = packet_number - sink->reorder;
    int64_t step = sink->durations[0] > 0 ? sink->durations[0] : 1;
    if (index < sink->segment_first || index >= sink->frames || index < behind)
        return resr_fail(RESR_ERR_INTERNAL,
                         "encoder %s returned frame %" PRId64 " as packet %" PRId64
                         ", outside its reorder depth of %d",
                         sink->encoding.codec->name, index, packet_number, sink->reorder);
    packet->pts = sink->pts[index];
    packet->dts = behind >= 0 ? sink->pts[behind] : time_after(sink->pts[0], behind, step);
    packet->duration = sink->durations[index];
    sink->packets++;
    return resr_muxer_write(sink->muxer, packet);
}

static int remember_time(ResrSink *sink, int64_t index, int64_t pts, int64_t duration)
{
    int ret = resr_grow_zeroed(&sink->pts, &sink->pts_capacity, (size_t)index, sizeof *sink->pts);
    if (ret == 0)
        ret = resr_grow_zeroed(&sink->durations, &sink->durations_capacity, (size_t)index,
                               sizeof *sink->durations);
    if (ret < 0)
        return ret;
    sink->pts[index] = pts;
    sink->durations[index] = duration;
    if (index >= sink->frames)
        sink->frames = index + 1;
    return 0;
}

/* The first encoder's headers hold for all. */
static int remember_headers(ResrSink *sink, const AVCodecContext *context)
{
    if (context->has_b_frames > sink->reorder)
        sink->reorder = context->has_b_frames;
    sink->extradata_bytes = context->extradata_size;
    int ret = resr_alloc(&sink->extradata, (size_t)context->extradata_size + 1, 1);
    if (ret == 0 && context->extradata_size > 0)
        memcpy(sink->extradata, context->extradata, (size_t)context->extradata_size);
    return ret;
}

/* A new segment: a fresh encoder, whose headers must be those of the first one. */
static int begin_segment(ResrSink *sink, int64_t first)
{
    int ret = resr_encoder_open(&sink->encoder, &sink->encoding);
    sink->encoder_open = true;
    if (ret < 0)
        return ret;
    const AVCodecContext *context = sink->encoder.context;
    sink->segment_first = first;
    sink->segment_frames = sink->segment_packets = 0;
    if (!sink->extradata)
        ret = remember_headers(sink, context);
    else if (context->extradata_size != sink->extradata_bytes ||
             (sink->extradata_bytes > 0 &&
              memcmp(context->extradata, sink->extradata, (size_t)sink->extradata_bytes) != 0))
        ret = resr_fail(RESR_ERR_INTERNAL,
                        "encoder %s gives each segment other headers; use --segment 0 with it",
                        sink->encoding.codec->name);
    ResrContainerVideo video = video_of(sink->decoder, &sink->encoder);
    if (ret == 0 && first == 0)
        ret = resr_muxer_start(sink->muxer, &video);
    return ret;
}

static int add_segment(ResrSink *sink, const ResrSegmentInfo *info)
{
    int ret = resr_grow(&sink->segments, &sink->segment_capacity, (size_t)sink->segment_count,
                        sizeof *sink->segments);
    if (ret < 0)
        return ret;
    sink->segments[sink->segment_count++] = *info;
    return 0;
}

bool resr_sink_stored(const ResrSink *sink)
{
    return sink->stored;
}

bool resr_sink_has(const ResrSink *sink, int64_t number)
{
    for (int64_t i = 0; i < sink->segment_count; i++)
        if (sink->segments[i].number == number)
            return true;
    return false;
}

/* The segment's file is synced and named; then it counts. */
int resr_sink_add(ResrSink *sink, ResrSegment *segment)
{
    const ResrSegmentInfo *info = &segment->info;
    char path[PATH_MAX];
    int ret = 0;
    for (int64_t i = 0; i < info->frames && ret == 0; i++)
        ret = remember_time(sink, info->first + i, segment->frames[i].pts,
                            segment->frames[i].duration);
    if (info->reorder > sink->reorder)
        sink->reorder = info->reorder;
    sink->store.path(sink->store.user, path, info->number);
    if (ret == 0 && segment->path[0])
        ret = resr_publish(segment->path, path, true);
    else if (ret == 0)
        ret = resr_publish_bytes(path, segment->data, (size_t)info->bytes, true);
    if (ret == 0)
        segment->path[0] = 0;
    return ret < 0 ? ret : add_segment(sink, info);
}

static int end_segment(ResrSink *sink)
{
    if (!sink->encoder_open)
        return 0;
    int ret = resr_encoder_write(&sink->encoder, &sink->encoding, NULL, write_packet, sink);
    resr_encoder_close(&sink->encoder);
    sink->encoder_open = false;
    int64_t frames = sink->segment_frames;
    if (ret == 0 && sink->segment_packets != frames)
        ret = resr_fail(RESR_ERR_INTERNAL,
                        "encoder %s was given %" PRId64 " frames and returned %" PRId64 " packets",
                        sink->encoding.codec->name, frames, sink->segment_packets);
    return ret;
}

int resr_sink_restore(ResrSink *sink, const ResrSegmentInfo *info, const int64_t *pts,
                      const int64_t *durations)
{
    int ret = 0;
    for (int64_t i = 0; i < info->frames && ret == 0; i++)
        ret = remember_time(sink, info->first + i, pts[i], durations[i]);
    if (info->reorder > sink->reorder)
        sink->reorder = info->reorder;
    return ret < 0 ? ret : add_segment(sink, info);
}

static int write_video_frame(ResrSink *sink, const ResrFrame *frame)
{
    int64_t length = sink->encoding.options.segment_frames;
    int ret = 0;
    if (!sink->encoder_open)
        ret = begin_segment(sink, frame->index);
    if (ret == 0)
        ret = remember_time(sink, frame->index, frame->pts, frame->duration);
    sink->segment_frames++;
    if (ret == 0)
        ret = resr_encoder_write(&sink->encoder, &sink->encoding, frame, write_packet, sink);
    if (ret == 0 && length > 0 && (frame->index + 1) % length == 0)
        ret = end_segment(sink);
    return ret;
}

static int by_number(const void *a, const void *b)
{
    const ResrSegmentInfo *left = a, *right = b;
    return left->number < right->number ? -1 : left->number > right->number;
}

/* All segments' packets into the output's container. An encoder is opened once more, for the
 * headers that it would write. */
static int join_segments(ResrSink *sink)
{
    char path[PATH_MAX];
    int64_t bytes = 0, frames = 0;
    for (int64_t i = 0; i < sink->segment_count; i++)
        bytes += sink->segments[i].bytes;
    qsort(sink->segments, (size_t)sink->segment_count, sizeof *sink->segments, by_number);
    if (resr_publish_free_bytes(sink->output) < bytes) {
        errno = ENOSPC;
        return resr_publish_write_failure(sink->output, bytes);
    }
    int ret = start_output(sink);
    for (int64_t i = 0; i < sink->segment_count && ret == 0; i++) {
        const ResrSegmentInfo *segment = &sink->segments[i];
        if (segment->first != frames)
            return resr_fail(RESR_ERR_INTERNAL,
                             "segment %" PRId64 " begins at frame %" PRId64 ", expected %" PRId64,
                             segment->number, segment->first, frames);
        frames += segment->frames;
        sink->segment_first = segment->first;
        sink->store.path(sink->store.user, path, segment->number);
        ret = resr_segment_read(path, sink->encoder.context, write_packet, sink);
    }
    resr_encoder_close(&sink->encoder);
    return ret;
}

static int write_image(void *user, AVPacket *packet)
{
    ResrSink *sink = user;
    char path[4096];
    int ret = resr_outputs_image(path, sizeof path, sink->kind, sink->output, sink->decoder,
                                 sink->frames);
    if (ret == 0)
        ret = resr_publish_check(path, NULL, sink->overwrite);
    sink->packets++;
    return ret < 0 ? ret
                   : resr_publish_bytes(path, packet->data, (size_t)packet->size, sink->overwrite);
}

/* Profile, EXIF and texts are read again from the image that the frame came from: not every resumed
 * job has decoded it. False where the image holds none. */
static bool read_tags(const ResrSink *sink, ResrPictureTags *tags)
{
    const char *path = resr_decoder_image_path(sink->decoder, sink->frames);
    ResrPictureKind kind = RESR_PICTURE_NONE;
    int ret = path ? resr_picture_kind(&kind, path, &sink->stop) : 0;
    if (ret == 0 && (kind == RESR_PICTURE_NONE || kind == RESR_PICTURE_MOVING))
        return false;
    if (ret == 0 && resr_picture_read_tags(tags, path, &sink->stop) == 0)
        return true;
    resr_log_warn("%s; the picture's profile, EXIF and texts are not kept", resr_error_text());
    return false;
}

/* Each image is a file and an encoder of its own. */
static int write_image_frame(ResrSink *sink, const ResrFrame *frame)
{
    ResrPictureTags tags = {0};
    sink->encoding.tags = read_tags(sink, &tags) ? &tags : NULL;
    if (sink->encoding.tags && sink->encoding.codec)
        resr_picture_name_tags(&tags);
    int ret = resr_encoder_open(&sink->encoder, &sink->encoding);
    if (ret == 0)
        ret = resr_encoder_write(&sink->encoder, &sink->encoding, frame, write_image, sink);
    if (ret == 0)
        ret = resr_encoder_write(&sink->encoder, &sink->encoding, NULL, write_image, sink);
    resr_encoder_close(&sink->encoder);
    if (ret == 0 && tags.lost[0] && !sink->said_lost)
        resr_log_warn(
            "%s: %s images cannot hold all data of the input besides the pixels; lost: %s%s",
            sink->output, resr_encoding_name(&sink->encoding), tags.lost,
            sink->encoding.picture == RESR_PICTURE_PNG ? ""
                                                       : "; a .png output keeps most of the data");
    sink->said_lost = sink->said_lost || tags.lost[0];
    resr_picture_tags_free(&tags);
    sink->encoding.tags = NULL;
    sink->frames++;
    return ret;
}

int resr_sink_write(ResrSink *sink, const ResrFrame *frame)
{
    return sink->kind == RESR_OUTPUT_VIDEO ? write_video_frame(sink, frame)
                                           : write_image_frame(sink, frame);
}

int resr_sink_finish(ResrSink *sink, bool whole)
{
    if (sink->kind != RESR_OUTPUT_VIDEO)
        return sink->packets == sink->frames
                   ? 0
                   : resr_fail(RESR_ERR_INTERNAL, "%" PRId64 " frames became %lld images",
                               sink->frames, (long long)sink->packets);
    int ret = end_segment(sink);
    if (ret == 0 && sink->stored)
        ret = join_segments(sink);
    if (ret == 0 && sink->packets != sink->frames)
        ret = resr_fail(RESR_ERR_INTERNAL, "%" PRId64 " frames became %lld packets in the output",
                        sink->frames, (long long)sink->packets);
    if (ret < 0)
        return ret;
    int64_t last = sink->frames - 1;
    ret = resr_muxer_finish(
        sink->muxer, whole ? INT64_MAX : time_after(sink->pts[last], 1, sink->durations[last]));
    if (ret == 0 && sink->stored)
        ret = sink->store.publishing(sink->store.user, sink->temporary);
    if (ret == 0)
        ret = resr_publish(sink->temporary, sink->output, sink->overwrite);
    if (ret == 0)
        sink->created = false;
    return ret;
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
    resr_encoder_close(&sink->encoder);
    resr_muxer_close(sink->muxer);
    if (sink->created)
        unlink(sink->temporary);
    free(sink->segments);
    free(sink->pts);
    free(sink->durations);
    free(sink->extradata);
    free(sink);
}
