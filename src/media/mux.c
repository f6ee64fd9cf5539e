#include "media/mux.h"

#include <errno.h>
#include <libavutil/avstring.h>
#include <libavutil/display.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/publish.h"
#include "media/libav.h"

struct ResrMuxer {
    const char *output;
    AVFormatContext *context;
    AVFormatContext *source; /* NULL: nothing is copied */
    int source_video;        /* its upscaled stream, not copied */
    int *targets;            /* per source stream known at opening: output stream, or -1 */
    unsigned sources;        /* entries of `targets`; the demuxer may find more streams later */
    AVStream *video;
    AVRational time_base; /* of the packets given to resr_muxer_write() */
    AVPacket *pending;    /* read from the source, not due yet */
    bool has_pending, source_ended, warned_late;
    bool probing; /* nothing will be written: what is left out is told now, and once */
};

static int write_failure(const ResrMuxer *m, int averror, const char *what)
{
    if (averror == AVERROR(ENOSPC) || averror == AVERROR(EDQUOT)) {
        errno = ENOSPC;
        return resr_publish_write_failure(m->output, 64 << 10);
    }
    return resr_av_fail(RESR_ERR_IO, averror, m->output, what);
}

/* Can the container hold this stream? Muxers that do not say are given a chance. */
static bool holds(const AVOutputFormat *format, const AVCodecParameters *par)
{
    if (par->codec_type == AVMEDIA_TYPE_ATTACHMENT)
        return strstr(format->name, "matroska") != NULL;
    return avformat_query_codec(format, par->codec_id, FF_COMPLIANCE_NORMAL) != 0;
}

static int copy_stream(ResrMuxer *m, const AVStream *in, int *target)
{
    AVStream *out = avformat_new_stream(m->context, NULL);
    if (!out || avcodec_parameters_copy(out->codecpar, in->codecpar) < 0 ||
        av_dict_copy(&out->metadata, in->metadata, 0) < 0)
        return resr_fail(RESR_ERR_INTERNAL, "out of memory: streams of %s", m->output);
    unsigned tag;
    const struct AVCodecTag *const *tags = m->context->oformat->codec_tag;
    if (tags && av_codec_get_id(tags, in->codecpar->codec_tag) != in->codecpar->codec_id &&
        av_codec_get_tag2(tags, in->codecpar->codec_id, &tag))
        out->codecpar->codec_tag = 0; /* the container has a tag of its own for this codec */
    out->time_base = in->time_base;
    out->disposition = in->disposition;
    out->sample_aspect_ratio = in->sample_aspect_ratio;
    out->avg_frame_rate = in->avg_frame_rate;
    out->duration = in->duration;
    *target = out->index;
    return 0;
}

/* Streams that do not fit the container are refused before any work, data streams (camera
 * telemetry, time codes) dropped with a warning. */
static int plan_streams(ResrMuxer *m)
{
    const AVOutputFormat *format = m->context->oformat;
    int ret = resr_alloc(&m->targets, m->source->nb_streams, sizeof *m->targets);
    m->sources = m->source->nb_streams;
    for (unsigned i = 0; i < m->sources && ret == 0; i++) {
        const AVStream *in = m->source->streams[i];
        const AVCodecParameters *par = in->codecpar;
        const char *kind = av_get_media_type_string(par->codec_type);
        m->targets[i] = -1;
        if ((int)i == m->source_video)
            continue;
        if (par->codec_type == AVMEDIA_TYPE_DATA || par->codec_type == AVMEDIA_TYPE_UNKNOWN) {
            if (m->probing)
                resr_log_warn("%s: stream #%u (%s) is not copied: data streams are left out",
                              m->output, i, avcodec_get_name(par->codec_id));
        } else if (!holds(format, par)) {
            ret =
                resr_fail(RESR_ERR_USAGE,
                          "%s: .%s cannot hold stream #%u of the input (%s, %s); choose an output "
                          "that ends in .mkv",
                          m->output, format->name, i, kind ? kind : "unknown",
                          avcodec_get_name(par->codec_id));
        } else {
            ret = copy_stream(m, in, &m->targets[i]);
        }
    }
    return ret;
}

static int copy_chapters(ResrMuxer *m)
{
    AVFormatContext *out = m->context;
    out->chapters = av_calloc(m->source->nb_chapters + 1, sizeof *out->chapters);
    if (!out->chapters)
        return resr_fail(RESR_ERR_INTERNAL, "out of memory: chapters of %s", m->output);
    for (unsigned i = 0; i < m->source->nb_chapters; i++) {
        const AVChapter *in = m->source->chapters[i];
        AVChapter *chapter = av_mallocz(sizeof *chapter);
        if (!chapter)
            return resr_fail(RESR_ERR_INTERNAL, "out of memory: chapters of %s", m->output);
        chapter->id = in->id;
        chapter->time_base = in->time_base;
        chapter->start = in->start;
        chapter->end = in->end;
        av_dict_copy(&chapter->metadata, in->metadata, 0);
        out->chapters[out->nb_chapters++] = chapter;
    }
    return 0;
}

/* The container's own words are not the new file's. */
static void copy_metadata(ResrMuxer *m)
{
    static const char *const own[] = {"encoder",           "major_brand", "minor_version",
                                      "compatible_brands", "duration",    "creation_time"};
    av_dict_copy(&m->context->metadata, m->source->metadata, 0);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        av_dict_set(&m->context->metadata, own[i], NULL, 0);
}

void resr_muxer_comment(ResrMuxer *m, const char *text)
{
    av_dict_set(&m->context->metadata, "comment", text, 0);
}

static int open_source(ResrMuxer *m, const char *input)
{
    int ret = resr_av_open_input(&m->source, input);
    if (ret < 0)
        return ret;
    m->source_video = resr_av_video_stream(m->source);
    if (m->source_video >= 0)
        m->source->streams[m->source_video]->discard = AVDISCARD_ALL;
    ret = plan_streams(m);
    if (ret == 0)
        ret = copy_chapters(m);
    copy_metadata(m);
    return ret;
}

int resr_muxer_open(ResrMuxer **out, const char *temporary, const char *output, const char *input,
                    bool copy, const AVCodec *codec, bool probe_only)
{
    int ret = resr_alloc(out, 1, sizeof **out);
    if (ret < 0)
        return ret;
    ResrMuxer *m = *out;
    m->output = output;
    m->probing = probe_only;
    m->source_video = -1;
    resr_av_quiet();
    const AVOutputFormat *format = av_guess_format(NULL, output, NULL);
    if (!format || format->flags & AVFMT_NOFILE)
        ret = resr_fail(RESR_ERR_USAGE,
                        "%s: the ending names no container; .mp4, .mkv and .mov are "
                        "common ones",
                        output);
    else if (avformat_query_codec(format, codec->id, FF_COMPLIANCE_EXPERIMENTAL) == 0)
        ret = resr_fail(RESR_ERR_USAGE,
                        "%s: .%s cannot hold video of encoder %s; choose another --codec or .mkv",
                        output, format->name, codec->name);
    else if (avformat_alloc_output_context2(&m->context, format, NULL, temporary) < 0)
        ret = resr_fail(RESR_ERR_INTERNAL, "out of memory: container %s", output);
    /* The video stream comes first, as players expect. */
    if (ret == 0 &&
        (!(m->video = avformat_new_stream(m->context, NULL)) || !(m->pending = av_packet_alloc())))
        ret = resr_fail(RESR_ERR_INTERNAL, "out of memory: container %s", output);
    if (ret == 0 && copy)
        ret = open_source(m, input);
    if (ret == 0 && !probe_only) {
        int averror = resr_av_create(&m->context->pb, temporary);
        if (averror == AVERROR(ENOSPC) || averror == AVERROR(EDQUOT) || averror == AVERROR(EIO))
            ret = write_failure(m, averror, "cannot be created");
        else if (averror < 0)
            ret = resr_av_fail(averror == AVERROR(EACCES) ? RESR_ERR_PERM : RESR_ERR_EXISTS,
                               averror, output, "cannot be created");
    }
    if (ret < 0) {
        resr_muxer_close(m);
        *out = NULL;
    }
    return ret;
}

bool resr_muxer_wants_global_header(const ResrMuxer *muxer)
{
    return muxer->context->oformat->flags & AVFMT_GLOBALHEADER;
}

/* What describes the picture as a whole (rotation, HDR mastering, stereo layout) stays with it. */
static int copy_side_data(AVStream *out, const AVStream *in, const AVFrame *first)
{
    static const struct {
        enum AVFrameSideDataType frame;
        enum AVPacketSideDataType packet;
    } of_frame[] = {
        {AV_FRAME_DATA_MASTERING_DISPLAY_METADATA, AV_PKT_DATA_MASTERING_DISPLAY_METADATA},
        {AV_FRAME_DATA_CONTENT_LIGHT_LEVEL, AV_PKT_DATA_CONTENT_LIGHT_LEVEL},
    };
    for (int i = 0; in && i < in->nb_side_data; i++) {
        const AVPacketSideData *side = &in->side_data[i];
        if (side->type == AV_PKT_DATA_DOVI_CONF || side->type == AV_PKT_DATA_CPB_PROPERTIES)
            continue; /* they describe the old bit stream */
        uint8_t *data = av_stream_new_side_data(out, side->type, side->size);
        if (!data)
            return resr_fail(RESR_ERR_INTERNAL, "out of memory: side data");
        memcpy(data, side->data, side->size);
    }
    for (size_t i = 0; i < sizeof of_frame / sizeof *of_frame; i++) {
        const AVFrameSideData *side = av_frame_get_side_data(first, of_frame[i].frame);
        if (!side || av_stream_get_side_data(out, of_frame[i].packet, NULL))
            continue;
        uint8_t *data = av_stream_new_side_data(out, of_frame[i].packet, side->size);
        if (!data)
            return resr_fail(RESR_ERR_INTERNAL, "out of memory: side data");
        memcpy(data, side->data, side->size);
    }
    return 0;
}

/* The video stream's tags without the statistics of the old one. */
static void copy_video_metadata(AVStream *out, const AVStream *in)
{
    const AVDictionaryEntry *tag = NULL;
    while ((tag = av_dict_get(in->metadata, "", tag, AV_DICT_IGNORE_SUFFIX)))
        if (!av_strstart(tag->key, "BPS", NULL) && !av_strstart(tag->key, "DURATION", NULL) &&
            !av_strstart(tag->key, "NUMBER_OF", NULL) &&
            !av_strstart(tag->key, "_STATISTICS", NULL) && strcmp(tag->key, "encoder") != 0)
            av_dict_set(&out->metadata, tag->key, tag->value, 0);
    out->disposition = in->disposition;
}

int resr_muxer_start(ResrMuxer *m, const AVCodecContext *encoder, const ResrVideoInfo *info,
                     const AVFrame *first)
{
    AVDictionary *options = NULL;
    const AVStream *in = m->source_video >= 0 ? m->source->streams[m->source_video] : NULL;
    if (avcodec_parameters_from_context(m->video->codecpar, encoder) < 0)
        return resr_fail(RESR_ERR_INTERNAL, "out of memory: container %s", m->output);
    m->time_base = (AVRational){info->time_base_num, info->time_base_den};
    m->video->time_base = m->time_base;
    m->video->avg_frame_rate = encoder->framerate;
    m->video->sample_aspect_ratio = encoder->sample_aspect_ratio;
    if (encoder->codec_id == AV_CODEC_ID_HEVC && strstr(m->context->oformat->name, "mp4"))
        m->video->codecpar->codec_tag = MKTAG('h', 'v', 'c', '1'); /* Apple's players want it */
    int ret = copy_side_data(m->video, in, first);
    if (ret < 0)
        return ret;
    if (in)
        copy_video_metadata(m->video, in);
    if (strstr(m->context->oformat->name, "mp4") || strstr(m->context->oformat->name, "mov"))
        av_dict_set(&options, "movflags", "+faststart", 0);
    int averror = avformat_write_header(m->context, &options);
    av_dict_free(&options);
    return averror < 0 ? write_failure(m, averror, "the container's header cannot be written") : 0;
}

/* The output stream of a packet, or -1. MPEG transport streams and other containers without a
 * header add streams while they are read; those have no place in a header that is written. */
static int target_of(ResrMuxer *m, const AVPacket *packet)
{
    unsigned index = (unsigned)packet->stream_index;
    if (index < m->sources)
        return m->targets[index];
    if (!m->warned_late)
        resr_log_warn(
            "%s: stream #%u of the input starts after the others and is not copied; "
            "ffmpeg -analyzeduration 1G -probesize 1G -map 0 -c copy joins it into a file "
            "that lists it from the start",
            m->output, index);
    m->warned_late = true;
    return -1;
}

/* Copies packets of the other streams that begin before `until`, in AV_TIME_BASE units. */
static int copy_until(ResrMuxer *m, int64_t until)
{
    while (m->source && !m->source_ended) {
        AVPacket *packet = m->pending;
        if (!m->has_pending) {
            int averror = av_read_frame(m->source, packet);
            if (averror < 0) {
                m->source_ended = true;
                return 0;
            }
            m->has_pending = true;
        }
        const AVStream *in = m->source->streams[packet->stream_index];
        int target = target_of(m, packet);
        int64_t time = packet->dts != AV_NOPTS_VALUE ? packet->dts : packet->pts;
        if (target >= 0 && time != AV_NOPTS_VALUE && until != INT64_MAX &&
            av_rescale_q(time, in->time_base, AV_TIME_BASE_Q) >= until)
            return 0;
        m->has_pending = false;
        if (target < 0) {
            av_packet_unref(packet);
            continue;
        }
        packet->stream_index = target;
        packet->pos = -1;
        av_packet_rescale_ts(packet, in->time_base, m->context->streams[target]->time_base);
        int averror = av_interleaved_write_frame(m->context, packet);
        if (averror < 0)
            return write_failure(m, averror, "copied packets cannot be written");
    }
    return 0;
}

int resr_muxer_write(ResrMuxer *m, AVPacket *packet)
{
    int ret = copy_until(m, av_rescale_q(packet->dts, m->time_base, AV_TIME_BASE_Q));
    if (ret < 0)
        return ret;
    packet->stream_index = m->video->index;
    av_packet_rescale_ts(packet, m->time_base, m->video->time_base);
    int averror = av_interleaved_write_frame(m->context, packet);
    return averror < 0 ? write_failure(m, averror, "video packets cannot be written") : 0;
}

int resr_muxer_finish(ResrMuxer *m, int64_t until)
{
    int64_t until_us =
        until == INT64_MAX ? INT64_MAX : av_rescale_q(until, m->time_base, AV_TIME_BASE_Q);
    int ret = copy_until(m, until_us);
    if (ret < 0)
        return ret;
    int averror = av_write_trailer(m->context);
    if (averror >= 0 && m->context->pb->error < 0)
        averror = m->context->pb->error;
    int closed = avio_closep(&m->context->pb);
    if (averror >= 0)
        averror = closed;
    return averror < 0 ? write_failure(m, averror, "the end of the file cannot be written") : 0;
}

void resr_muxer_close(ResrMuxer *m)
{
    if (!m)
        return;
    if (m->context && m->context->pb)
        avio_closep(&m->context->pb);
    avformat_free_context(m->context);
    avformat_close_input(&m->source);
    av_packet_free(&m->pending);
    free(m->targets);
    free(m);
}
