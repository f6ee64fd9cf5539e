#include "media/decode.h"

#include <errno.h>
#include <inttypes.h>
#include <libavcodec/avcodec.h>
#include <libavutil/display.h>
#include <libavutil/pixdesc.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "media/hwaccel.h"
#include "media/images.h"
#include "media/libav.h"
#include "media/picture.h"
#include "media/repack.h"
#include "media/timeline.h"
#include "media/turn.h"

struct ResrDecoder {
    const char *path; /* of the file that is open: inside `images` */
    ResrImages images;
    int64_t image; /* index of the open one */
    int threads;
    ResrHwaccel hw;
    ResrPictureKind picture; /* the file is one; then there is no input and no codec */
    bool picture_pending;
    enum AVPixelFormat ycbcr; /* of a JPEG picture; AV_PIX_FMT_NONE: of none */
    AVFormatContext *input;
    AVCodecContext *codec;
    int stream;
    AVPacket *packet;
    AVFrame *frame, *first; /* `first`: decoded when opening, handed out as frame 0 */
    bool first_pending, draining;
    bool decoded_any; /* errors before the first frame are a cut recording, later ones damage */
    ResrVideoInfo info;
    int64_t next_index, last_pts, packets, declared_packets;
    double declared_end_seconds; /* of the video stream, 0 if unknown */
    bool warned_pts;
    ResrTimeline line;
    ResrFormat decoded; /* of the pictures; `info` has that of upright frames */
    int orientation;    /* of the pictures, see turn.h */
    atomic_bool stop;   /* reading ends */
    bool grey_alpha;    /* the packet's two bytes a pixel are grey and alpha */
};

static int close_file(ResrDecoder *d, int ret)
{
    avcodec_free_context(&d->codec);
    resr_av_close_input(&d->input);
    return ret;
}

static bool is_image(const ResrDecoder *d)
{
    return d->images.is_list || d->picture != RESR_PICTURE_NONE ||
           strstr(d->input->iformat->name, "_pipe") ||
           strcmp(d->input->iformat->name, "image2pipe") == 0;
}

/* FFmpeg's own decoders of VP8 and VP9 drop the alpha channel; libvpx's keep it. */
static const AVCodec *find_decoder(const ResrDecoder *d, const AVStream *stream)
{
    enum AVCodecID id = stream->codecpar->codec_id;
    const AVDictionaryEntry *tag = av_dict_get(stream->metadata, "alpha_mode", NULL, 0);
    if (!tag || strcmp(tag->value, "1") != 0 || (id != AV_CODEC_ID_VP8 && id != AV_CODEC_ID_VP9))
        return avcodec_find_decoder(id);
    const char *name = id == AV_CODEC_ID_VP8 ? "libvpx" : "libvpx-vp9";
    const AVCodec *codec = avcodec_find_decoder_by_name(name);
    if (codec)
        return codec;
    if (d->next_index == 0)
        resr_log_warn("%s: the alpha channel is lost: this FFmpeg has no decoder %s", d->path,
                      name);
    return avcodec_find_decoder(id);
}

static int open_codec(ResrDecoder *d)
{
    const AVStream *stream = d->input->streams[d->stream];
    const AVCodec *codec = find_decoder(d, stream);
    if (!codec)
        return resr_fail(RESR_ERR_DATA, "%s: this FFmpeg has no decoder for %s", d->path,
                         avcodec_get_name(stream->codecpar->codec_id));
    d->codec = avcodec_alloc_context3(codec);
    if (!d->codec || avcodec_parameters_to_context(d->codec, stream->codecpar) < 0)
        return resr_fail(RESR_ERR_INTERNAL, "out of memory: decoder for %s", d->path);
    d->codec->pkt_timebase = stream->time_base;
    d->codec->thread_count = d->threads;
    d->codec->err_recognition = AV_EF_CRCCHECK;
    int ret = resr_hwaccel_attach(&d->hw, d->codec, codec, is_image(d), d->path);
    if (ret < 0)
        return ret;
    int averror = avcodec_open2(d->codec, codec, NULL);
    return averror < 0
               ? resr_av_fail(RESR_ERR_DATA, averror, d->path, "its decoder cannot be opened")
               : 0;
}

static int open_file(ResrDecoder *d, const char *path)
{
    d->path = path;
    d->draining = false;
    int ret = resr_picture_kind(&d->picture, path, &d->stop);
    if (ret < 0)
        return ret;
    bool moving = d->picture == RESR_PICTURE_MOVING;
    if (moving)
        d->picture = RESR_PICTURE_NONE;
    d->picture_pending = d->picture != RESR_PICTURE_NONE;
    if (d->picture_pending)
        return 0;
    ret = resr_av_open_input(&d->input, path, &d->stop);
    if (ret < 0)
        return ret;
    if (moving && is_image(d))
        return close_file(d,
                          resr_fail(RESR_ERR_DATA,
                                    "%s: holds more than one picture, all but the first would be "
                                    "lost; make it an input of its own, named .apng or .mjpeg",
                                    path));
    d->stream = resr_av_video_stream(d->input);
    if (d->stream < 0)
        return close_file(d, resr_fail(RESR_ERR_DATA, "%s: holds no video stream", path));
    resr_timeline_start(&d->line, d->input, d->stream);
    for (unsigned i = 0; i < d->input->nb_streams; i++) {
        AVStream *stream = d->input->streams[i];
        bool timed = d->line.jumps && stream->codecpar->codec_type == AVMEDIA_TYPE_AUDIO;
        stream->discard = (int)i == d->stream || timed ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
    }
    ret = open_codec(d);
    return ret < 0 ? close_file(d, ret) : 0;
}

static int damaged(const ResrDecoder *d, const char *what, int averror)
{
    char text[AV_ERROR_MAX_STRING_SIZE] = "", of[48] = "";
    if (averror < 0)
        av_strerror(averror, text, sizeof text);
    if (d->info.frames_estimate > 0)
        snprintf(of, sizeof of, " of about %" PRId64, d->info.frames_estimate);
    int code = averror == AVERROR(EIO) ? RESR_ERR_IO : RESR_ERR_DATA;
    return resr_fail(code, "%s: input ended at frame %" PRId64 "%s: %s%s%s", d->path, d->next_index,
                     of, what, averror < 0 ? ": " : "", text);
}

/* A file that ends sooner than it says itself was cut off. */
static int check_end(const ResrDecoder *d)
{
    if (d->declared_packets > 0 && d->packets < d->declared_packets)
        return damaged(d, "the file is cut off", 0);
    AVRational base = d->input->streams[d->stream]->time_base;
    double frame =
        d->info.frame_rate_num > 0 ? (double)d->info.frame_rate_den / d->info.frame_rate_num : 0.04;
    double end = (double)d->last_pts * av_q2d(base) + frame;
    if (d->declared_end_seconds > 0 && end < d->declared_end_seconds - 2.5 * frame)
        return damaged(d, "the file is cut off", 0);
    return 0;
}

/* FFmpeg takes TGA's 16 bits of grey and alpha (image types 3 and 11) for RGB of 5 bits each. */
static bool is_grey_alpha_targa(const AVCodecContext *codec, const AVPacket *packet)
{
    return codec->codec_id == AV_CODEC_ID_TARGA && packet->size > 18 && packet->data[16] == 16 &&
           (packet->data[2] == 3 || packet->data[2] == 11);
}

/* Feeds the decoder one packet, or tells it that there are no more. */
static int feed(ResrDecoder *d)
{
    int averror = av_read_frame(d->input, d->packet);
    if (averror < 0 && resr_av_was_cut_short(d->input))
        return resr_av_read_failure(d->input, averror, d->path, "");
    if (averror == AVERROR_EOF ||
        (averror < 0 && avio_feof(d->input->pb) && !d->input->pb->error)) {
        d->draining = true;
        avcodec_send_packet(d->codec, NULL);
        return averror == AVERROR_EOF ? 0 : damaged(d, "the file is cut off", averror);
    }
    if (averror < 0)
        return damaged(d, "reading failed", averror);
    resr_timeline_follow(&d->line, d->input, d->packet);
    if (d->packet->stream_index == d->stream) {
        resr_timeline_shift(d->packet, d->input->streams[d->stream]->time_base, d->line.offset);
        bool corrupt = d->packet->flags & AV_PKT_FLAG_CORRUPT;
        d->packets++;
        d->grey_alpha = is_grey_alpha_targa(d->codec, d->packet);
        averror = avcodec_send_packet(d->codec, d->packet);
        if ((averror < 0 || corrupt) && d->decoded_any) {
            av_packet_unref(d->packet);
            return damaged(d, "a packet is damaged", averror);
        }
    }
    av_packet_unref(d->packet);
    return 0;
}

static int read_picture(ResrDecoder *d)
{
    ResrPictureTags tags;
    d->picture_pending = false;
    int ret = resr_picture_read(d->frame, &tags, d->path, &d->stop);
    if (ret == 0 && d->next_index == 0 && tags.is_ycbcr)
        d->ycbcr = tags.chroma_shift_y
                       ? tags.chroma_shift_x ? AV_PIX_FMT_YUV420P : AV_PIX_FMT_YUV440P
                   : tags.chroma_shift_x ? AV_PIX_FMT_YUV422P
                                         : AV_PIX_FMT_YUV444P;
    resr_picture_tags_free(&tags);
    return ret;
}

/* The file has ended before the first picture: its size may be the reason. */
static int no_picture(const ResrDecoder *d)
{
    const AVCodecParameters *par = d->input->streams[d->stream]->codecpar;
    int ret = resr_av_size_failure(d->path, par->width, par->height);
    return ret < 0 ? ret
                   : resr_fail(RESR_ERR_DATA, "%s: holds no picture that can be decoded", d->path);
}

/* The next decoded picture in d->frame; *end when there is none. */
static int decode(ResrDecoder *d, bool *end)
{
    *end = d->picture != RESR_PICTURE_NONE && !d->picture_pending;
    if (d->picture != RESR_PICTURE_NONE)
        return *end ? 0 : read_picture(d);
    for (;;) {
        int averror = avcodec_receive_frame(d->codec, d->frame);
        if (averror == 0) {
            bool corrupt = d->frame->flags & AV_FRAME_FLAG_CORRUPT || d->frame->decode_error_flags;
            if (corrupt && d->decoded_any)
                return damaged(d, "a picture is damaged", 0);
            d->decoded_any = true;
            if (d->grey_alpha && d->frame->format == AV_PIX_FMT_RGB555LE)
                d->frame->format = AV_PIX_FMT_YA8;
            return resr_hwaccel_fetch(&d->hw, d->frame, d->path);
        }
        if (averror == AVERROR_EOF) {
            *end = true;
            return 0;
        }
        if (averror != AVERROR(EAGAIN) && d->decoded_any)
            return damaged(d, "decoding failed", averror);
        int ret = feed(d);
        if (ret < 0)
            return ret;
    }
}

/* What the container says of the end of the video stream, to tell a cut file from a whole one. */
static void read_declared_end(ResrDecoder *d)
{
    const AVStream *stream = d->input->streams[d->stream];
    const AVDictionaryEntry *tag = av_dict_get(stream->metadata, "DURATION", NULL, 0);
    int hours, minutes;
    double seconds;
    d->declared_packets = strstr(d->input->iformat->name, "mp4") ? stream->nb_frames : 0;
    if (tag && sscanf(tag->value, "%d:%d:%lf", &hours, &minutes, &seconds) == 3)
        d->declared_end_seconds = hours * 3600.0 + minutes * 60.0 + seconds;
}

static int64_t estimate_frames(const ResrDecoder *d)
{
    const AVStream *stream = d->input->streams[d->stream];
    double seconds =
        stream->duration != AV_NOPTS_VALUE ? (double)stream->duration * av_q2d(stream->time_base)
        : d->declared_end_seconds > 0      ? d->declared_end_seconds
        : d->input->duration != AV_NOPTS_VALUE ? (double)d->input->duration / AV_TIME_BASE
                                               : 0;
    if (stream->nb_frames > 0)
        return stream->nb_frames;
    return d->info.frame_rate_num > 0
               ? llround(seconds * d->info.frame_rate_num / d->info.frame_rate_den)
               : 0;
}

/* Numbered images play at 25 frames a second. */
static void fill_image_info(ResrDecoder *d)
{
    ResrVideoInfo *info = &d->info;
    AVRational sar = d->first->sample_aspect_ratio;
    info->is_image = true;
    info->time_base_num = info->frame_rate_den = 1;
    info->time_base_den = info->frame_rate_num = 25;
    info->frames_estimate = d->images.count;
    if (d->picture == RESR_PICTURE_NONE)
        return;
    info->sar_num = sar.num;
    info->sar_den = sar.num > 0 ? sar.den : 1;
    snprintf(info->hwaccel, sizeof info->hwaccel, "none");
    snprintf(info->codec, sizeof info->codec, "%s", resr_picture_name(d->picture));
    snprintf(info->container, sizeof info->container, "%s", resr_picture_name(d->picture));
}

static void fill_stored_format(ResrDecoder *d)
{
    ResrFormat *stored = &d->info.stored;
    *stored = d->info.format;
    if (d->ycbcr == AV_PIX_FMT_NONE)
        return;
    resr_format_set_pixels(stored, d->ycbcr);
    stored->matrix = AVCOL_SPC_BT470BG; /* JFIF */
    stored->chroma_location = AVCHROMA_LOC_CENTER;
}

static void fill_info(ResrDecoder *d)
{
    const AVStream *stream = d->input->streams[d->stream];
    AVRational rate =
        stream->avg_frame_rate.num > 0 ? stream->avg_frame_rate : stream->r_frame_rate;
    AVRational sar = av_guess_sample_aspect_ratio(d->input, d->input->streams[d->stream], d->first);
    ResrVideoInfo *info = &d->info;
    info->time_base_num = stream->time_base.num;
    info->time_base_den = stream->time_base.den;
    info->frame_rate_num = rate.den > 0 ? rate.num : 0;
    info->frame_rate_den = rate.den > 0 ? rate.den : 1;
    info->sar_num = sar.num;
    info->sar_den = sar.num > 0 ? sar.den : 1;
#ifdef AV_FRAME_FLAG_INTERLACED
    info->interlaced = (d->first->flags & AV_FRAME_FLAG_INTERLACED) != 0;
#else
    info->interlaced = d->first->interlaced_frame;
#endif
    snprintf(info->hwaccel, sizeof info->hwaccel, "%s", resr_hwaccel_name(&d->hw));
    snprintf(info->codec, sizeof info->codec, "%s", d->codec->codec->name);
    snprintf(info->container, sizeof info->container, "%s", d->input->iformat->name);
    read_declared_end(d);
    info->frames_estimate = estimate_frames(d);
}

static int prepare(ResrDecoder *d, const char *path)
{
    bool end;
    int ret = resr_images_find(&d->images, path);
    if (ret < 0)
        return ret;
    d->packet = av_packet_alloc();
    d->frame = av_frame_alloc();
    d->first = av_frame_alloc();
    if (!d->packet || !d->frame || !d->first)
        return resr_fail(RESR_ERR_INTERNAL, "out of memory: decoder for %s", path);
    ret = open_file(d, d->images.paths[0]);
    if (ret == 0)
        ret = decode(d, &end);
    if (ret == 0 && end)
        ret = no_picture(d);
    if (ret < 0)
        return ret;
    av_frame_move_ref(d->first, d->frame);
    d->first_pending = true;
    d->orientation = 1;
    ret = resr_format_of_frame(&d->decoded, d->first);
    d->info.format = d->decoded;
    if (ret < 0)
        return resr_fail_prefix(ret, "%s: ", d->path);
    if (d->picture == RESR_PICTURE_NONE)
        fill_info(d);
    if (is_image(d))
        fill_image_info(d);
    fill_stored_format(d);
    if (d->info.interlaced)
        resr_log_warn("%s: the video is interlaced and is upscaled as it is; deinterlace it first "
                      "for a better result",
                      d->path);
    return 0;
}

int resr_decoder_open(ResrDecoder **out, const char *path, const char *hwaccel, int threads)
{
    int ret = resr_alloc(out, 1, sizeof **out);
    if (ret < 0)
        return ret;
    (*out)->threads = threads;
    (*out)->hw.wanted = hwaccel;
    (*out)->last_pts = INT64_MIN;
    (*out)->ycbcr = AV_PIX_FMT_NONE;
    ret = prepare(*out, path);
    if (ret < 0) {
        resr_decoder_close(*out);
        *out = NULL;
    }
    return ret;
}

const ResrVideoInfo *resr_decoder_info(const ResrDecoder *decoder)
{
    return &decoder->info;
}

const AVFrame *resr_decoder_first_frame(const ResrDecoder *decoder)
{
    return decoder->first;
}

const char *resr_decoder_image_name(const ResrDecoder *decoder, int64_t index)
{
    return decoder->images.is_list && index < decoder->images.count ? decoder->images.names[index]
                                                                    : NULL;
}

const char *resr_decoder_image_path(const ResrDecoder *decoder, int64_t index)
{
    return decoder->info.is_image && index < decoder->images.count ? decoder->images.paths[index]
                                                                   : NULL;
}

/* Presentation time of a picture: the container's, mended where it is missing or runs backwards. */
static int64_t next_pts(ResrDecoder *d, const AVFrame *frame)
{
    int64_t pts = frame->best_effort_timestamp;
    if (d->info.is_image)
        return d->next_index;
    if (pts == AV_NOPTS_VALUE || (d->last_pts != INT64_MIN && pts <= d->last_pts)) {
        AVRational base = {d->info.time_base_num, d->info.time_base_den};
        AVRational rate = {d->info.frame_rate_num, d->info.frame_rate_den};
        int64_t step = rate.num > 0 ? av_rescale_q(1, av_inv_q(rate), base) : 1;
        if (!d->warned_pts && d->next_index > 0)
            resr_log_warn("%s: frame %" PRId64 " has %s timestamp; filled in from the frame rate",
                          d->path, d->next_index, pts == AV_NOPTS_VALUE ? "no" : "a backward");
        d->warned_pts = true;
        pts = d->last_pts == INT64_MIN ? 0 : d->last_pts + (step > 0 ? step : 1);
    }
    return pts;
}

static int check_same_format(const ResrDecoder *d, const AVFrame *frame)
{
    ResrFormat format;
    int ret = resr_format_of_frame(&format, frame);
    if (ret < 0)
        return resr_fail_prefix(ret, "%s: ", d->path);
    if (!resr_format_takes(&d->decoded, &format))
        return resr_fail(RESR_ERR_DATA,
                         "%s: frame %" PRId64 " is %d x %d %s%s, the ones before are %d x %d %s%s; "
                         "upscale them as separate inputs",
                         d->path, d->next_index, format.width_px, format.height_px, format.pix_fmt,
                         format.full_range ? " (full range)" : "", d->decoded.width_px,
                         d->decoded.height_px, d->decoded.pix_fmt,
                         d->decoded.full_range ? " (full range)" : "");
    return 0;
}

/* The frame that is handed out for a decoded picture. */
static int make_frame(const ResrDecoder *d, ResrFrame **out, const AVFrame *picture)
{
    ResrFrame *stored = NULL;
    bool turned = d->orientation != 1;
    *out = NULL;
    int ret = check_same_format(d, picture);
    if (ret == 0)
        ret = resr_frame_create(&stored, &d->decoded);
    if (ret == 0)
        ret = resr_repack(stored, &d->decoded, picture);
    if (ret == 0 && turned)
        ret = resr_frame_create(out, &d->info.format);
    if (ret == 0 && turned)
        ret = resr_turn_frame(*out, &d->info.format, stored, &d->decoded, d->orientation);
    if (ret == 0 && !turned) {
        *out = stored;
        return 0;
    }
    resr_frame_free(stored);
    if (ret < 0) {
        resr_frame_free(*out);
        *out = NULL;
    }
    return ret;
}

int resr_decoder_turn(ResrDecoder *d, bool output_holds_rotation)
{
    ResrVideoInfo *info = &d->info;
    if (info->is_image) /* upright when decoded */
        return 0;
    const AVFrameSideData *side = av_frame_get_side_data(d->first, AV_FRAME_DATA_DISPLAYMATRIX);
    const int32_t *matrix = resr_av_display_matrix(d->input->streams[d->stream]);
    if (matrix && output_holds_rotation)
        return 0;
    if (!matrix && side && side->size >= 9 * sizeof *matrix)
        matrix = (int32_t *)side->data;
    if (!matrix)
        return 0;
    int orientation = resr_turn_of_matrix(matrix);
    if (orientation == 0)
        resr_log_warn("%s: the picture is shown rotated by %.0f degrees; the output cannot hold "
                      "that and shows it as stored: use an output that ends in .mp4 or .mov",
                      d->path, -av_display_rotation_get(matrix));
    if (orientation <= 1)
        return 0;
    int ret = resr_turn_format(&info->format, &d->decoded, orientation);
    if (ret < 0)
        return resr_fail_prefix(ret, "%s: ", d->path);
    info->stored = info->format;
    if (resr_turn_transposes(orientation) && info->sar_num > 0) {
        int32_t width = info->sar_num;
        info->sar_num = info->sar_den;
        info->sar_den = width;
    }
    d->orientation = orientation;
    info->turned = true;
    return 0;
}

/* The next picture of a list of images: each file is an input of its own. */
static int next_image(ResrDecoder *d, bool *end)
{
    *end = d->image + 1 >= d->images.count;
    if (*end)
        return 0;
    close_file(d, 0);
    d->decoded_any = false;
    int ret = open_file(d, d->images.paths[++d->image]);
    if (ret == 0)
        ret = decode(d, end);
    if (ret == 0 && *end)
        ret = no_picture(d);
    return ret;
}

int resr_decoder_read(ResrDecoder *d, ResrFrame **out)
{
    const AVFrame *frame = d->frame;
    bool end = false;
    int ret = 0;
    *out = NULL;
    if (d->first_pending) {
        d->first_pending = false;
        frame = d->first;
    } else if (d->images.is_list) {
        ret = next_image(d, &end);
    } else {
        ret = decode(d, &end);
    }
    if (ret < 0)
        return ret;
    if (end)
        return d->info.is_image ? 0 : check_end(d);
    ret = make_frame(d, out, frame);
    if (ret < 0)
        return ret;
    (*out)->index = d->next_index;
    (*out)->pts = d->last_pts = next_pts(d, frame);
#if LIBAVUTIL_VERSION_INT >= AV_VERSION_INT(57, 30, 100)
    (*out)->duration = frame->duration;
#else
    (*out)->duration = frame->pkt_duration;
#endif
    if (d->info.is_image)
        (*out)->duration = 1;
    d->next_index++;
    if (frame == d->frame)
        av_frame_unref(d->frame);
    return 0;
}

/* False where the container's clock jumps before `pts`: a place in the file is then not found by
 * its time. */
static bool is_steady_until(ResrDecoder *d, int64_t pts)
{
    bool reached = !d->line.jumps;
    while (!reached && d->line.jumped == 0 && av_read_frame(d->input, d->packet) >= 0) {
        resr_timeline_follow(&d->line, d->input, d->packet);
        reached = d->packet->stream_index == d->stream && d->packet->dts != AV_NOPTS_VALUE &&
                  d->packet->dts >= pts;
        av_packet_unref(d->packet);
    }
    return d->line.jumped == 0;
}

/* Decodes from the keyframe before `pts` up to there; true if the picture there has that hash. */
static bool find_frame(ResrDecoder *d, int64_t pts, const char *hash)
{
    char here[RESR_FRAME_HASH_BYTES] = "";
    ResrFrame *frame = NULL;
    bool end = false;
    if (!is_steady_until(d, pts) ||
        av_seek_frame(d->input, d->stream, pts, AVSEEK_FLAG_BACKWARD) < 0)
        return false;
    avcodec_flush_buffers(d->codec);
    resr_timeline_start(&d->line, d->input, d->stream);
    d->draining = d->decoded_any = false;
    while (decode(d, &end) == 0 && !end && d->frame->best_effort_timestamp < pts)
        av_frame_unref(d->frame);
    if (!end && d->frame->data[0] && d->frame->best_effort_timestamp == pts &&
        make_frame(d, &frame, d->frame) == 0)
        resr_frame_hash(here, &d->info.format, frame);
    av_frame_unref(d->frame);
    resr_frame_free(frame);
    return strcmp(here, hash) == 0;
}

int resr_decoder_skip(ResrDecoder *d, bool *found, int64_t index, int64_t pts, const char *hash)
{
    bool end;
    *found = !d->info.is_image && find_frame(d, pts, hash);
    if (*found) {
        d->first_pending = false;
        d->next_index = index + 1;
        d->last_pts = pts;
        d->declared_packets = 0; /* not all of them are read */
        return 0;
    }
    if (d->info.is_image)
        return 0;
    /* From the beginning: the first picture is kept, the file stands behind it. */
    close_file(d, 0);
    d->packets = 0;
    d->decoded_any = false;
    int ret = open_file(d, d->images.paths[0]);
    if (ret == 0)
        ret = decode(d, &end);
    av_frame_unref(d->frame);
    return ret;
}

void resr_decoder_stop(ResrDecoder *decoder)
{
    decoder->stop = true;
}

void resr_decoder_close(ResrDecoder *decoder)
{
    if (!decoder)
        return;
    close_file(decoder, 0);
    av_packet_free(&decoder->packet);
    av_frame_free(&decoder->frame);
    av_frame_free(&decoder->first);
    resr_images_free(&decoder->images);
    resr_hwaccel_free(&decoder->hw);
    free(decoder);
}
