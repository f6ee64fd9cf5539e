/* How it works. No table of the streams that FFmpeg's muxers can store is reliable, so a container
 * is tested by writing to memory: header, and the first packets of each copied stream. Where
 * avformat_query_codec() denies a codec, the trial is skipped; the lists for MPEG streams are here,
 * because these muxers accept anything.
 *
 * When the trial fails, the same trial finds the reason: the video alone; else the first stream
 * that fails with the video; else the combination. The remedy in the message comes from trials as
 * well: the first of the common endings whose container passes. */

#include "media/container.h"

#include <libavutil/avstring.h>
#include <libavutil/mem.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "media/libav.h"

enum { ALL_STREAMS = -1, NO_STREAM = -2 };

static int no_memory(const char *output)
{
    return resr_fail(RESR_ERR_INTERNAL, "out of memory: container %s", output);
}

int resr_container_of(const AVOutputFormat **out, const char *output)
{
    *out = av_guess_format(NULL, output, NULL);
    if (*out && !((*out)->flags & AVFMT_NOFILE))
        return 0;
    return resr_fail(RESR_ERR_USAGE,
                     "%s: the ending does not name a container; use .mp4, .mkv or .mov", output);
}

static bool is_mov(const AVOutputFormat *format)
{
    return av_match_name(format->name, "mov,mp4,ipod,3gp,3g2,psp,f4v,ismv");
}

bool resr_container_holds_rotation(const AVOutputFormat *format)
{
    return is_mov(format);
}

/* Copies properties of the picture as a whole: rotation, HDR mastering, stereo layout. */
static int copy_side_data(AVStream *out, const AVStream *in, const ResrContainerVideo *video)
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
            continue; /* describes the source's bit stream */
        if (side->type == AV_PKT_DATA_DISPLAYMATRIX && video->info->turned)
            continue; /* the pixels are upright */
        uint8_t *data = av_stream_new_side_data(out, side->type, side->size);
        if (!data)
            return resr_fail(RESR_ERR_INTERNAL, "out of memory: side data");
        memcpy(data, side->data, side->size);
    }
    for (size_t i = 0; i < sizeof of_frame / sizeof *of_frame; i++) {
        const AVFrameSideData *side = av_frame_get_side_data(video->first, of_frame[i].frame);
        if (!side || av_stream_get_side_data(out, of_frame[i].packet, NULL))
            continue;
        uint8_t *data = av_stream_new_side_data(out, of_frame[i].packet, side->size);
        if (!data)
            return resr_fail(RESR_ERR_INTERNAL, "out of memory: side data");
        memcpy(data, side->data, side->size);
    }
    return 0;
}

/* Copies the video stream's tags, without the statistics of the source's stream. */
static int copy_video_metadata(AVStream *out, const AVStream *in)
{
    const AVDictionaryEntry *tag = NULL;
    while ((tag = av_dict_get(in->metadata, "", tag, AV_DICT_IGNORE_SUFFIX)))
        if (!av_strstart(tag->key, "BPS", NULL) && !av_strstart(tag->key, "DURATION", NULL) &&
            !av_strstart(tag->key, "NUMBER_OF", NULL) &&
            !av_strstart(tag->key, "_STATISTICS", NULL) && strcmp(tag->key, "encoder") != 0 &&
            strcmp(tag->key, "alpha_mode") != 0 && /* the container writes its own */
            av_dict_set(&out->metadata, tag->key, tag->value, 0) < 0)
            return resr_fail(RESR_ERR_INTERNAL, "out of memory: metadata");
    out->disposition = in->disposition;
    return 0;
}

static int add_video(AVFormatContext *context, const ResrContainerVideo *video, const AVStream *in)
{
    const AVCodecContext *encoder = video->encoder;
    AVStream *out = avformat_new_stream(context, NULL);
    if (!out || avcodec_parameters_from_context(out->codecpar, encoder) < 0)
        return no_memory(context->url);
    out->time_base = (AVRational){video->info->time_base_num, video->info->time_base_den};
    out->avg_frame_rate = encoder->framerate;
    out->sample_aspect_ratio = encoder->sample_aspect_ratio;
    if (encoder->codec_id == AV_CODEC_ID_HEVC && is_mov(context->oformat))
        out->codecpar->codec_tag = MKTAG('h', 'v', 'c', '1'); /* required by Apple's players */
    int ret = copy_side_data(out, in, video);
    return ret == 0 && in ? copy_video_metadata(out, in) : ret;
}

/* Keeps the source's tag, unless the container defines a tag for the codec. */
static unsigned tag_for(const AVOutputFormat *format, const AVCodecParameters *par)
{
    unsigned own;
    bool known = format->codec_tag && av_codec_get_tag2(format->codec_tag, par->codec_id, &own);
    bool same =
        format->codec_tag && av_codec_get_id(format->codec_tag, par->codec_tag) == par->codec_id;
    return !format->codec_tag || same || !known ? par->codec_tag : 0;
}

/* Matroska stores a cover picture as an attached file, which FFmpeg's muxer expects in a stream's
 * extradata. */
static int attach_cover(AVStream *out, const AVPacket *picture)
{
    AVCodecParameters *par = out->codecpar;
    bool png = par->codec_id == AV_CODEC_ID_PNG;
    uint8_t *data = av_mallocz((size_t)picture->size + AV_INPUT_BUFFER_PADDING_SIZE);
    if (!data ||
        av_dict_set(&out->metadata, "filename", png ? "cover.png" : "cover.jpg",
                    AV_DICT_DONT_OVERWRITE) < 0 ||
        av_dict_set(&out->metadata, "mimetype", png ? "image/png" : "image/jpeg",
                    AV_DICT_DONT_OVERWRITE) < 0) {
        av_free(data);
        return resr_fail(RESR_ERR_INTERNAL, "out of memory: cover picture");
    }
    memcpy(data, picture->data, (size_t)picture->size);
    av_freep(&par->extradata);
    par->extradata = data;
    par->extradata_size = picture->size;
    par->codec_type = AVMEDIA_TYPE_ATTACHMENT;
    par->codec_tag = 0;
    return 0;
}

static int add_copied(AVFormatContext *context, const AVStream *in)
{
    enum AVCodecID id = in->codecpar->codec_id;
    AVStream *out = avformat_new_stream(context, NULL);
    if (!out || avcodec_parameters_copy(out->codecpar, in->codecpar) < 0 ||
        av_dict_copy(&out->metadata, in->metadata, 0) < 0)
        return no_memory(context->url);
    if (in->disposition & AV_DISPOSITION_ATTACHED_PIC && in->attached_pic.size > 0 &&
        strstr(context->oformat->name, "matroska") &&
        (id == AV_CODEC_ID_MJPEG || id == AV_CODEC_ID_PNG))
        return attach_cover(out, &in->attached_pic);
    out->codecpar->codec_tag = tag_for(context->oformat, in->codecpar);
    out->time_base = in->time_base;
    out->disposition = in->disposition;
    out->sample_aspect_ratio = in->sample_aspect_ratio;
    out->avg_frame_rate = in->avg_frame_rate;
    out->duration = in->duration;
    return 0;
}

static int copy_chapters(AVFormatContext *out, const AVFormatContext *source)
{
    out->chapters = av_calloc(source->nb_chapters + 1, sizeof *out->chapters);
    if (!out->chapters)
        return no_memory(out->url);
    for (unsigned i = 0; i < source->nb_chapters; i++) {
        const AVChapter *in = source->chapters[i];
        AVChapter *chapter = av_mallocz(sizeof *chapter);
        if (!chapter)
            return no_memory(out->url);
        out->chapters[out->nb_chapters++] = chapter;
        chapter->id = in->id;
        chapter->time_base = in->time_base;
        chapter->start = in->start;
        chapter->end = in->end;
        if (av_dict_copy(&chapter->metadata, in->metadata, 0) < 0)
            return no_memory(out->url);
    }
    return 0;
}

/* Copies the file's tags, without those that a container writes for itself. */
static int copy_metadata(AVFormatContext *out, const AVFormatContext *source)
{
    static const char *const own[] = {"encoder",           "major_brand", "minor_version",
                                      "compatible_brands", "duration",    "creation_time"};
    if (av_dict_copy(&out->metadata, source->metadata, 0) < 0)
        return no_memory(out->url);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (av_dict_set(&out->metadata, own[i], NULL, 0) < 0)
            return no_memory(out->url);
    return 0;
}

/* `only`: a stream of the source, ALL_STREAMS or NO_STREAM. */
static int fill(AVFormatContext *context, const ResrContainerVideo *video, const ResrCopy *copy,
                int only, AVStream **map)
{
    const AVFormatContext *source = copy ? resr_copy_source(copy) : NULL;
    /* FFmpeg 5.1 still marks the standards for FLAC, Opus and TrueHD in MP4 as experimental. */
    context->strict_std_compliance = FF_COMPLIANCE_EXPERIMENTAL;
    /* The video stream comes first, as players expect. */
    int ret = add_video(context, video, copy ? resr_copy_video(copy) : NULL);
    for (unsigned i = 0; source && i < source->nb_streams && ret == 0; i++) {
        bool wanted = resr_copy_includes(copy, i) && (only == ALL_STREAMS || only == (int)i);
        ret = wanted ? add_copied(context, source->streams[i]) : 0;
        if (ret == 0)
            map[i] = wanted ? context->streams[context->nb_streams - 1] : NULL;
    }
    if (ret == 0 && source)
        ret = copy_chapters(context, source);
    if (ret == 0 && source)
        ret = copy_metadata(context, source);
    return ret;
}

int resr_container_fill(AVFormatContext *context, const ResrContainerVideo *video,
                        const ResrCopy *copy, AVStream **map)
{
    return fill(context, video, copy, ALL_STREAMS, map);
}

/* FFmpeg's muxers for MPEG streams accept any codec; readers know these. */
static bool mpeg_holds(const AVOutputFormat *format, enum AVCodecID id)
{
    static const enum AVCodecID both[] = {
        AV_CODEC_ID_MPEG1VIDEO, AV_CODEC_ID_MPEG2VIDEO, AV_CODEC_ID_MPEG4, AV_CODEC_ID_H264,
        AV_CODEC_ID_MP2,        AV_CODEC_ID_MP3,        AV_CODEC_ID_AC3,   AV_CODEC_ID_DTS};
    static const enum AVCodecID transport[] = {
        AV_CODEC_ID_HEVC,  AV_CODEC_ID_AAC,          AV_CODEC_ID_AAC_LATM,     AV_CODEC_ID_EAC3,
        AV_CODEC_ID_OPUS,  AV_CODEC_ID_DVB_SUBTITLE, AV_CODEC_ID_DVB_TELETEXT, AV_CODEC_ID_S302M,
        AV_CODEC_ID_DIRAC, AV_CODEC_ID_CAVS};
    for (size_t i = 0; i < sizeof both / sizeof *both; i++)
        if (both[i] == id)
            return true;
    for (size_t i = 0; i < sizeof transport / sizeof *transport; i++)
        if (transport[i] == id)
            return strcmp(format->name, "mpegts") == 0;
    return false;
}

/* True unless the muxer excludes the codec: muxers without an answer are tried. */
static bool may_hold(const AVOutputFormat *format, const AVCodecParameters *par)
{
    int answer = avformat_query_codec(format, par->codec_id, FF_COMPLIANCE_EXPERIMENTAL);
    if (par->codec_type == AVMEDIA_TYPE_ATTACHMENT)
        return strstr(format->name, "matroska") != NULL;
    if (av_match_name(format->name, "mpegts,mpeg,vob,svcd,vcd,dvd"))
        return mpeg_holds(format, par->codec_id);
    if (answer < 0 && format->flags & AVFMT_NOTIMESTAMPS) /* a bare stream of one codec */
        return par->codec_id == format->video_codec;
    return answer != 0;
}

/* Writes the first packets of a copied stream with artificial times. Returns libav's error, or a
 * number >= 0. */
static int write_first(AVFormatContext *context, AVStream *out, const ResrCopy *copy,
                       unsigned index)
{
    AVPacket *const *packets;
    int count = resr_copy_first(copy, index, &packets), averror = 0;
    for (int i = 0; i < count && averror >= 0; i++) {
        AVPacket *packet = av_packet_clone(packets[i]);
        if (!packet)
            return AVERROR(ENOMEM);
        packet->stream_index = out->index;
        packet->pts = packet->dts = i;
        packet->duration = 1;
        averror = av_write_frame(context, packet);
        av_packet_free(&packet);
    }
    return averror;
}

/* Writes header and first packets of the video and the stream `only` to memory. Returns libav's
 * error. */
static int write_trial(const AVOutputFormat *format, const ResrContainerVideo *video,
                       const ResrCopy *copy, int only, AVStream **map)
{
    AVFormatContext *context = NULL;
    uint8_t *data = NULL;
    int averror = avformat_alloc_output_context2(&context, format, NULL, "trial");
    if (averror < 0)
        return averror;
    if (fill(context, video, copy, only, map) < 0)
        averror = AVERROR(ENOMEM);
    else if (!may_hold(format, context->streams[0]->codecpar))
        averror = AVERROR(EINVAL);
    if (averror >= 0)
        averror = avio_open_dyn_buf(&context->pb);
    if (averror >= 0)
        averror = avformat_write_header(context, NULL);
    for (unsigned i = 0; averror >= 0 && copy && i < resr_copy_source(copy)->nb_streams; i++)
        if (map[i] && map[i]->codecpar->codec_type != AVMEDIA_TYPE_ATTACHMENT)
            averror = write_first(context, map[i], copy, i);
    if (context->pb)
        avio_close_dyn_buf(context->pb, &data);
    context->pb = NULL;
    avformat_free_context(context);
    av_free(data);
    return averror;
}

static bool may_hold_all(const AVOutputFormat *format, const ResrCopy *copy, int only)
{
    for (unsigned i = 0; copy && i < resr_copy_source(copy)->nb_streams; i++)
        if (resr_copy_includes(copy, i) && (only == ALL_STREAMS || only == (int)i) &&
            !may_hold(format, resr_copy_source(copy)->streams[i]->codecpar))
            return false;
    return true;
}

/* True if `format` can store the video and the stream `only`. */
static bool fits(const AVOutputFormat *format, const ResrContainerVideo *video,
                 const ResrCopy *copy, int only)
{
    unsigned count = copy ? resr_copy_source(copy)->nb_streams : 0;
    AVStream **map = av_calloc(count + 1, sizeof *map);
    if (!map || !may_hold_all(format, copy, only)) {
        av_free(map);
        return false;
    }
    resr_av_silence(true);
    int averror = write_trial(format, video, copy, only, map);
    resr_av_silence(false);
    av_free(map);
    return averror >= 0;
}

/* An encoder that was opened for a container without headers puts its headers into the packets, so
 * that writing them proves nothing: only the muxer's list of codecs is consulted. */
static bool may_fit(const AVOutputFormat *format, const ResrContainerVideo *video,
                    const ResrCopy *copy, int only)
{
    if (video->encoder->flags & AV_CODEC_FLAG_GLOBAL_HEADER ||
        !(format->flags & AVFMT_GLOBALHEADER))
        return fits(format, video, copy, only);
    return avformat_query_codec(format, video->encoder->codec_id, 0) == 1 &&
           may_hold_all(format, copy, only);
}

/* A common ending whose container stores the video and the stream `only`; NULL if none does. */
static const char *other_ending(const AVOutputFormat *not_this, const ResrContainerVideo *video,
                                const ResrCopy *copy, int only)
{
    static const char *const endings[] = {".mkv", ".mp4", ".mov", ".webm", ".avi", ".ts"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        const AVOutputFormat *format = av_guess_format(NULL, endings[i], NULL);
        if (format && format != not_this && may_fit(format, video, copy, only))
            return endings[i];
    }
    return NULL;
}

static int refuse_video(const AVOutputFormat *format, const char *output,
                        const ResrContainerVideo *video)
{
    const char *ending = strrchr(output, '.');
    enum AVCodecID id = av_guess_codec(format, NULL, output, NULL, AVMEDIA_TYPE_VIDEO);
    /* Theora's encoder drops frames, see resr_encoding_plan() */
    const AVCodec *own = avcodec_find_encoder(id == AV_CODEC_ID_THEORA ? AV_CODEC_ID_VP8 : id);
    const char *other = other_ending(format, video, NULL, NO_STREAM);
    return resr_fail(RESR_ERR_USAGE,
                     "%s: video of encoder %s cannot be stored in %s; use %s%s%san output that "
                     "ends in %s",
                     output, video->encoder->codec->name, ending, own ? "--codec " : "",
                     own ? own->name : "", own ? " or " : "", other ? other : ".mkv");
}

static int refuse_stream(const AVOutputFormat *format, const char *input, const char *output,
                         const ResrContainerVideo *video, const ResrCopy *copy, unsigned index)
{
    const AVCodecParameters *par = resr_copy_source(copy)->streams[index]->codecpar;
    const char *kind = av_get_media_type_string(par->codec_type);
    const char *other = other_ending(format, video, copy, ALL_STREAMS);
    return resr_fail(RESR_ERR_USAGE,
                     "%s: stream #%u of the input (%s, %s) cannot be stored in %s; %s%s%s the "
                     "stream out: ffmpeg -i %s -map 0 -map -0:%u -c copy OTHER",
                     output, index, kind ? kind : "unknown", avcodec_get_name(par->codec_id),
                     strrchr(output, '.'), other ? "use an output that ends in " : "",
                     other ? other : "", other ? ", or leave" : "leave", input, index);
}

int resr_container_try(const AVOutputFormat *format, const char *input, const char *output,
                       const ResrContainerVideo *video, ResrCopy *copy)
{
    int ret = copy ? resr_copy_probe(copy) : 0;
    if (ret < 0 || fits(format, video, copy, ALL_STREAMS))
        return ret;
    if (!fits(format, video, NULL, NO_STREAM))
        return refuse_video(format, output, video);
    for (unsigned i = 0; copy && i < resr_copy_source(copy)->nb_streams; i++)
        if (resr_copy_includes(copy, i) && !fits(format, video, copy, (int)i))
            return refuse_stream(format, input, output, video, copy, i);
    const char *other = other_ending(format, video, copy, ALL_STREAMS);
    return resr_fail(RESR_ERR_USAGE,
                     "%s: the streams of the input cannot be stored in %s together; use an output "
                     "that ends in %s",
                     output, strrchr(output, '.'), other ? other : ".mkv");
}
