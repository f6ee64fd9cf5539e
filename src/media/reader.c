/* How it works. resr_reader_next() alternates avcodec_receive_frame() and feed(), which sends one
 * packet of the video stream after these steps: remove impossible times, count for declared.c, move
 * the line of a jumping clock (timeline.c).
 *
 * Damage has five signs: an error of the demuxer or its log; a packet marked as corrupt; an error
 * of the decoder; a picture flagged as concealed or, from decoders without that flag, an error in
 * the decoder's log; and an end before the declared length. All lead to report_damage(): an error
 * that names the frame, or with `bridge` a count and one warning. damage.c later determines which
 * frames are missing.
 *
 * Before the first picture nothing is reported: streams that may be cut anywhere begin with packets
 * that cannot be decoded. When that picture is returned, damage.c judges the packets before it.
 * While a seek is in progress (`seeking`) nothing is counted, because an earlier attempt has
 * reported it. */

#include "media/reader.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"

/* Successive reading errors after which a bridged file counts as ended. */
enum { MAX_READ_ERRORS = 64 };

bool resr_reader_is_image(const ResrReader *r, bool listed)
{
    return listed || strstr(r->input->iformat->name, "_pipe") ||
           strcmp(r->input->iformat->name, "image2pipe") == 0;
}

/* FFmpeg's own decoders of VP8 and VP9 drop the alpha channel; libvpx's keep it. */
static const AVCodec *find_decoder(const ResrReader *r, const AVStream *stream)
{
    enum AVCodecID id = stream->codecpar->codec_id;
    const AVDictionaryEntry *tag = av_dict_get(stream->metadata, "alpha_mode", NULL, 0);
    if (!tag || strcmp(tag->value, "1") != 0 || (id != AV_CODEC_ID_VP8 && id != AV_CODEC_ID_VP9))
        return avcodec_find_decoder(id);
    const char *name = id == AV_CODEC_ID_VP8 ? "libvpx" : "libvpx-vp9";
    const AVCodec *codec = avcodec_find_decoder_by_name(name);
    if (codec)
        return codec;
    if (r->next_index == 0)
        resr_log_warn("%s: the alpha channel is lost: this FFmpeg has no decoder %s", r->path,
                      name);
    return avcodec_find_decoder(id);
}

static int open_codec(ResrReader *r, bool listed)
{
    const AVStream *stream = r->input->streams[r->stream];
    const AVCodec *codec = find_decoder(r, stream);
    if (!codec)
        return resr_fail(RESR_ERR_DATA, "%s: this FFmpeg has no decoder for %s", r->path,
                         avcodec_get_name(stream->codecpar->codec_id));
    r->codec = avcodec_alloc_context3(codec);
    if (!r->codec || avcodec_parameters_to_context(r->codec, stream->codecpar) < 0)
        return resr_fail(RESR_ERR_INTERNAL, "out of memory: decoder for %s", r->path);
    r->codec->pkt_timebase = stream->time_base;
    r->codec->thread_count = r->options.bridge ? 1 : r->options.threads;
    r->codec->err_recognition = AV_EF_CRCCHECK;
    if (r->codec->codec_id == AV_CODEC_ID_MJPEG && !r->options.bridge)
        r->codec->err_recognition |= AV_EF_EXPLODE; /* its log reports errors that are not damage */
    r->codec->opaque = &r->owner;
    int ret =
        resr_hwaccel_attach(&r->hw, r->codec, codec, resr_reader_is_image(r, listed), r->path);
    if (ret < 0)
        return ret;
    int averror = avcodec_open2(r->codec, codec, NULL);
    return averror < 0
               ? resr_av_fail(RESR_ERR_DATA, averror, r->path, "its decoder cannot be opened")
               : 0;
}

/* Reports damage of the input: an error, or with `bridge` one warning. */
static int report_damage(ResrReader *r, const char *what, int averror)
{
    char text[AV_ERROR_MAX_STRING_SIZE] = "", of[48] = "";
    if (averror < 0)
        av_strerror(averror, text, sizeof text);
    if (r->frames_estimate > 0)
        snprintf(of, sizeof of, " of about %" PRId64, r->frames_estimate);
    const char *colon = averror < 0 ? ": " : "";
    if (!r->options.bridge)
        return resr_fail(RESR_ERR_DATA,
                         "%s: input ended at frame %" PRId64 "%s: %s%s%s; --on-error continue "
                         "bridges damaged places",
                         r->path, r->next_index, of, what, colon, text);
    r->count.places++;
    if (r->first_damaged < 0) {
        r->first_damaged = r->next_index;
        resr_log_warn("%s: damaged at frame %" PRId64 "%s: %s%s%s; bridged", r->path, r->next_index,
                      of, what, colon, text);
    }
    return 0;
}

/* Another stream that is cut off is reported before the work starts. */
static int check_other_streams(ResrReader *r)
{
    char what[96];
    int i = r->declared.cut_stream;
    if (i < 0)
        return 0;
    snprintf(what, sizeof what, "stream #%d (%s, %s) is cut off", i,
             av_get_media_type_string(r->input->streams[i]->codecpar->codec_type),
             avcodec_get_name(r->input->streams[i]->codecpar->codec_id));
    r->count.cut = true;
    return report_damage(r, what, 0);
}

int resr_reader_open(ResrReader *r, const char *path, bool listed)
{
    assert(!r->input && !r->codec);
    r->path = path;
    r->draining = r->seeking = r->keyed = false;
    r->splice = 0;
    r->owed = 0;
    r->leading = true;
    r->extent = (ResrExtent){.last_dts = AV_NOPTS_VALUE};
    r->damage.lead_count = 0;
    r->damage.lead_errors = 0;
    r->demuxer_errors = 0;
    int ret = resr_av_open_input(&r->input, path, &r->stop);
    if (ret < 0)
        return ret;
    r->stream = resr_av_video_stream(r->input);
    if (r->stream < 0)
        ret = resr_fail(RESR_ERR_DATA, "%s: holds no video stream", path);
    if (ret == 0)
        ret = resr_declared_read(&r->declared, r->input, r->stream, path, &r->stop);
    if (ret == 0)
        ret = check_other_streams(r);
    if (ret == 0) {
        resr_timeline_start(&r->line, r->input, r->stream);
        for (unsigned i = 0; i < r->input->nb_streams; i++) {
            AVStream *stream = r->input->streams[i];
            bool timed = r->line.jumps && stream->codecpar->codec_type == AVMEDIA_TYPE_AUDIO;
            stream->discard = (int)i == r->stream || timed || r->declared.every_stream
                                  ? AVDISCARD_DEFAULT
                                  : AVDISCARD_ALL;
        }
        ret = open_codec(r, listed);
    }
    if (ret < 0)
        resr_reader_close(r);
    return ret;
}

void resr_reader_close(ResrReader *r)
{
    avcodec_free_context(&r->codec);
    resr_av_close_input(&r->input);
}

double resr_reader_frame_seconds(const ResrReader *r)
{
    AVRational rate = av_guess_frame_rate(r->input, r->input->streams[r->stream], NULL);
    return rate.num > 0 && rate.den > 0 ? (double)rate.den / rate.num : 0;
}

/* Records that the packet of time `pts` gave no picture. Before the first picture this is not yet
 * damage. */
static int record_loss(ResrReader *r, int64_t pts, const char *what, int averror)
{
    r->damage.lead_errors += r->leading;
    int ret = r->leading ? 0 : report_damage(r, what, averror);
    return ret < 0 || r->seeking ? ret : resr_damage_add_loss(&r->damage, pts);
}

/* Errors that the demuxer has logged since the last call, or since opening, are damage. */
static int check_demuxer(ResrReader *r)
{
    int64_t errors = resr_av_demuxer_errors(r->input);
    bool more = errors > r->demuxer_errors;
    r->demuxer_errors = errors;
    if (!more || r->seeking)
        return 0;
    int ret = report_damage(r, "the container is damaged", 0);
    return ret < 0 ? ret : resr_damage_add_loss(&r->damage, AV_NOPTS_VALUE);
}

/* Packets of a transport stream are missing in the packet that libavformat marks or in the next
 * one. If a keyframe follows, recordings were joined there, which is not damage as long as all
 * packets decode. */
static int check_splice(ResrReader *r, bool key)
{
    bool joined = r->splice > 0 && key && r->keyed;
    r->keyed = r->keyed || key;
    if (r->splice == 0 || !r->keyed)
        return 0;
    r->splice = joined ? 0 : r->splice - 1;
    if (!joined && r->splice == 0)
        return record_loss(r, AV_NOPTS_VALUE, "packets of the transport stream are missing", 0);
    if (joined && !r->warned_splice)
        resr_log_warn("%s: the transport stream is joined from parts, first near frame %" PRId64,
                      r->path, r->next_index);
    r->warned_splice = r->warned_splice || joined;
    return 0;
}

/* FFmpeg reads TGA's 16 bits of grey and alpha (image types 3 and 11) as RGB of 5 bits each. */
static bool is_grey_alpha_targa(const AVCodecContext *codec, const AVPacket *packet)
{
    return codec->codec_id == AV_CODEC_ID_TARGA && packet->size > 18 && packet->data[16] == 16 &&
           (packet->data[2] == 3 || packet->data[2] == 11);
}

/* True if the decoder returns exactly one picture for each packet: some codecs without prediction
 * between pictures, and AV1, each of whose temporal units shows one picture (AV1 specification,
 * 7.5). Other codecs have hidden, repeated or uncoded pictures, or a packet for each field. */
static bool one_to_one(const ResrReader *r)
{
    static const enum AVCodecID codecs[] = {
        AV_CODEC_ID_AV1,     AV_CODEC_ID_FFV1,     AV_CODEC_ID_PRORES,  AV_CODEC_ID_DNXHD,
        AV_CODEC_ID_DVVIDEO, AV_CODEC_ID_HUFFYUV,  AV_CODEC_ID_FFVHUFF, AV_CODEC_ID_UTVIDEO,
        AV_CODEC_ID_PNG,     AV_CODEC_ID_JPEG2000,
    };
    for (size_t i = 0; i < sizeof codecs / sizeof *codecs; i++)
        if (r->codec->codec_id == codecs[i])
            return true;
    return false;
}

static int send_packet(ResrReader *r)
{
    AVPacket *packet = r->packet;
    bool torn = packet->flags & AV_PKT_FLAG_CORRUPT;
    if (packet->size ==
        0) /* a dropped frame, for which the previous one stays; the decoder would end here */
        return 0;
    int ret = check_splice(r, packet->flags & AV_PKT_FLAG_KEY);
    if (ret < 0)
        return ret;
    if (torn && strcmp(r->input->iformat->name, "mpegts") == 0) {
        packet->flags &= ~AV_PKT_FLAG_CORRUPT; /* the decoder checks the packet */
        r->splice = r->keyed ? 2 : 0;
        torn = false;
    }
    if (r->leading)
        ret = resr_damage_lead(&r->damage, packet);
    if (ret < 0)
        return ret;
    r->sent_pts = packet->flags & AV_PKT_FLAG_DISCARD ? AV_NOPTS_VALUE : packet->pts;
    r->grey_alpha = is_grey_alpha_targa(r->codec, packet);
    int averror = avcodec_send_packet(r->codec, packet);
    if (averror < 0 || torn)
        return record_loss(r, r->sent_pts, "a packet is damaged", averror);
    r->owed += one_to_one(r) && !(packet->flags & AV_PKT_FLAG_DISCARD);
    return 0;
}

static int end_input(ResrReader *r, int averror)
{
    r->draining = true;
    avcodec_send_packet(r->codec, NULL);
    int ret = check_demuxer(r);
    if (ret == 0 && r->splice > 0)
        ret = report_damage(r, "the last packet is damaged", 0);
    if (ret < 0 || averror == AVERROR_EOF)
        return ret;
    r->count.cut = true;
    return report_damage(r, "the file is cut off", averror);
}

/* Sends the decoder one packet, or the end of the input. */
static int feed(ResrReader *r)
{
    int jumped = r->line.jumped;
    int averror = av_read_frame(r->input, r->packet);
    if (resr_av_was_interrupted(r->input)) {
        av_packet_unref(r->packet); /* it may be incomplete */
        return resr_av_read_failure(r->input, averror, r->path, "");
    }
    if (averror == AVERROR_EOF ||
        (averror < 0 && avio_feof(r->input->pb) && !r->input->pb->error) ||
        (averror < 0 && r->read_errors >= MAX_READ_ERRORS))
        return end_input(r, averror);
    if (averror < 0) {
        r->read_errors++;
        return report_damage(r, "reading failed", averror);
    }
    r->read_errors = 0;
    int ret = check_demuxer(r);
    bool video = r->packet->stream_index == r->stream;
    resr_timeline_sanitize(r->packet, r->input->streams[r->packet->stream_index]->time_base);
    resr_extent_add(&r->extent, r->input->streams[r->packet->stream_index], r->packet, video);
    resr_timeline_follow(&r->line, r->input, r->packet);
    if (r->line.jumped > jumped && !r->warned_jump) {
        resr_log_warn("%s: the timestamps of the file jump near frame %" PRId64
                      "; the frames from there on are joined on without a gap",
                      r->path, r->next_index);
        r->warned_jump = true;
    }
    if (video)
        resr_timeline_shift(r->packet, r->input->streams[r->stream]->time_base, r->line.offset);
    if (ret == 0 && video)
        ret = send_packet(r);
    av_packet_unref(r->packet);
    return ret;
}

/* True for decoders that conceal damage without a flag on the picture, so that logged errors are
 * the only sign. Other decoders flag concealed pictures, and log errors that are not damage. */
static bool errors_count(const ResrReader *r)
{
    static const enum AVCodecID flagging[] = {
        AV_CODEC_ID_H264,       AV_CODEC_ID_HEVC,      AV_CODEC_ID_MPEG1VIDEO,
        AV_CODEC_ID_MPEG2VIDEO, AV_CODEC_ID_MPEG4,     AV_CODEC_ID_H263,
        AV_CODEC_ID_H263P,      AV_CODEC_ID_MSMPEG4V1, AV_CODEC_ID_MSMPEG4V2,
        AV_CODEC_ID_MSMPEG4V3,  AV_CODEC_ID_WMV1,      AV_CODEC_ID_WMV2,
        AV_CODEC_ID_WMV3,       AV_CODEC_ID_VC1,       AV_CODEC_ID_FLV1,
        AV_CODEC_ID_RV10,       AV_CODEC_ID_RV20,      AV_CODEC_ID_RV30,
        AV_CODEC_ID_RV40,       AV_CODEC_ID_VP8,       AV_CODEC_ID_VP9,
        AV_CODEC_ID_AV1,
    };
    for (size_t i = 0; i < sizeof flagging / sizeof *flagging; i++)
        if (r->codec->codec_id == flagging[i])
            return false;
    return r->codec->codec_id != AV_CODEC_ID_MJPEG || r->options.bridge;
}

/* Checks a decoded picture; *good is false if it shows nothing and must be dropped. */
static int check_picture(ResrReader *r, bool *good)
{
    int64_t errors = r->owner.errors, concealed = r->owner.concealed;
    bool logged = (errors_count(r) && errors > r->decoder_errors) ||
                  (!r->options.bridge && concealed > r->concealed);
    bool flagged = r->frame->flags & AV_FRAME_FLAG_CORRUPT || r->frame->decode_error_flags;
    bool corrupt = flagged || (logged && !(r->leading && r->declared.stream_of_bits));
    int ret = 0;
    r->decoder_errors = errors;
    r->concealed = concealed;
    *good = !(corrupt && r->leading && (r->declared.stream_of_bits || r->seeking));
    if (!*good) {
        r->damage.lead_errors++;
        av_frame_unref(r->frame);
        return 0;
    }
    if (corrupt)
        ret = report_damage(r, "a picture is damaged", 0);
    if (ret < 0)
        return ret;
    r->count.damaged += corrupt;
    if (r->leading && !r->seeking) {
        bool fatal, counted = r->declared.packets > 0;
        r->leading = false;
        r->count.skipped = resr_damage_count_lead(&r->damage, r->frame->best_effort_timestamp,
                                                  counted, r->declared.stream_of_bits, &fatal);
        if (fatal)
            ret = report_damage(r, "its first pictures are damaged", 0);
    }
    r->leading = false;
    if (r->grey_alpha && r->frame->format == AV_PIX_FMT_RGB555LE)
        r->frame->format = AV_PIX_FMT_YA8;
    return ret < 0 ? ret : resr_hwaccel_fetch(&r->hw, r->frame, r->path);
}

/* Packets without a picture, of which the decoder reports no error. A decoder with several threads
 * returns pictures late, so that its packets count at the end only. */
static int check_owed(ResrReader *r)
{
    if (r->owed <= 0 || !(r->draining || r->options.bridge))
        return 0;
    r->owed = 0;
    return record_loss(r, r->sent_pts, "a packet has no picture", 0);
}

int resr_reader_next(ResrReader *r, bool *end)
{
    *end = false;
    for (;;) {
        int ret = 0, averror = avcodec_receive_frame(r->codec, r->frame);
        if (averror == 0) {
            bool good;
            r->owed -= one_to_one(r);
            ret = check_picture(r, &good);
            if (ret < 0 || good)
                return ret;
            continue;
        }
        if (averror == AVERROR_EOF || averror == AVERROR(EAGAIN)) {
            ret = check_owed(r);
        } else {
            r->owed -= one_to_one(r);
            ret = record_loss(r, r->sent_pts, "decoding failed", averror);
        }
        if (ret == 0 && averror == AVERROR_EOF) {
            *end = true;
            return 0;
        }
        if (ret == 0 && !r->draining)
            ret = feed(r);
        if (ret < 0)
            return ret;
    }
}

int resr_reader_check_end(ResrReader *r)
{
    int64_t missing;
    const char *what =
        resr_declared_missing(&r->declared, &r->extent, resr_reader_frame_seconds(r), &missing);
    int ret = what ? report_damage(r, what, 0) : 0;
    r->count.cut = r->count.cut || what;
    r->count.missing = missing;
    if (ret == 0 && r->first_damaged >= 0)
        resr_log_warn(
            "%s: frames concealed or repeated: %" PRId64 "; frames missing at the end: %s%" PRId64,
            r->path, r->count.damaged, r->count.cut && missing == 0 ? "more than " : "", missing);
    return ret;
}

/* False if the container's clock jumps before `pts`: a time then does not identify a place in the
 * file. */
static bool is_steady_until(ResrReader *r, int64_t pts)
{
    bool reached = !r->line.jumps;
    while (!reached && r->line.jumped == 0 && av_read_frame(r->input, r->packet) >= 0) {
        resr_timeline_sanitize(r->packet, r->input->streams[r->packet->stream_index]->time_base);
        resr_timeline_follow(&r->line, r->input, r->packet);
        reached = r->packet->stream_index == r->stream && r->packet->dts != AV_NOPTS_VALUE &&
                  r->packet->dts >= pts;
        av_packet_unref(r->packet);
    }
    return r->line.jumped == 0;
}

bool resr_reader_seek(ResrReader *r, int64_t pts)
{
    if (r->declared.counts_all || /* frames lost before `pts` could no longer be detected */
        !is_steady_until(r, pts) ||
        av_seek_frame(r->input, r->stream, pts, AVSEEK_FLAG_BACKWARD) < 0)
        return false;
    avcodec_flush_buffers(r->codec);
    r->owed = 0;
    resr_timeline_start(&r->line, r->input, r->stream);
    r->draining = r->keyed = false;
    r->splice = 0;
    r->leading = r->seeking = true;
    r->extent.packets = -1;
    return true;
}

void resr_reader_found(ResrReader *r)
{
    r->seeking = false;
    r->demuxer_errors = resr_av_demuxer_errors(r->input);
}

int resr_reader_create(ResrReader *r, const ResrDecodeOptions *options)
{
    *r = (ResrReader){.options = *options, .first_damaged = -1};
    r->hw.requested = options->hwaccel;
    r->packet = av_packet_alloc();
    r->frame = av_frame_alloc();
    return r->packet && r->frame ? 0 : resr_fail(RESR_ERR_INTERNAL, "out of memory: a decoder");
}

void resr_reader_free(ResrReader *r)
{
    resr_reader_close(r);
    av_packet_free(&r->packet);
    av_frame_free(&r->frame);
    resr_damage_free(&r->damage);
    resr_hwaccel_free(&r->hw);
}
