/* How it works. Three kinds of inputs have one interface: a video and an image that FFmpeg reads
 * (reader.c), and a picture of the formats of picture.h. A list of images opens one file after the
 * other. The first picture is decoded when the input is opened, because its format determines the
 * output's plan, and is returned as frame 0.
 *
 * resr_decoder_read() returns the pictures in presentation order:
 *
 *   next_picture()  chooses the next decoded picture or, in a gap, the previous picture
 *   next_pts()      makes the timestamps strictly increasing
 *   make_frame()    repacks to the planar holder format (repack.c) and turns upright (turn.c)
 *
 * Gaps are bridged with `bridge` only: damage.c finds them, and the decoded picture waits while the
 * previous one is returned once for each missing frame.
 *
 * resr_decoder_skip() resumes a job: it seeks to the keyframe before the last finished frame,
 * decodes up to it, and compares the hash. If the hash differs, the caller decodes from the start.
 */

#include "media/decode.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <libavcodec/avcodec.h>
#include <libavutil/display.h>
#include <libavutil/pixdesc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "media/images.h"
#include "media/libav.h"
#include "media/picture.h"
#include "media/reader.h"
#include "media/repack.h"
#include "media/turn.h"

/* Limit of repeated frames in one gap, for files that do not declare their length. */
enum { MAX_BRIDGED_FRAMES = 1000 };

struct ResrDecoder {
    ResrReader reader; /* of the open file, one of `images` */
    ResrImages images;
    ResrPictureKind picture; /* the open file is a picture, and the reader has no file */
    bool picture_pending;
    enum AVPixelFormat ycbcr; /* of a JPEG picture; else AV_PIX_FMT_NONE */
    int64_t image;            /* index of the open file */
    AVFrame *first;           /* decoded at opening, returned as frame 0 */
    AVFrame *previous;        /* with bridge: the picture returned last */
    bool first_pending;
    bool waiting, ended; /* reader.frame follows the pictures that bridge the gap before it; the
                            input has ended */
    ResrVideoInfo info;
    ResrFormat decoded; /* format of the decoded pictures; `info` describes upright frames */
    int orientation;    /* of the pictures, see turn.h */
    int64_t last_pts;
    bool warned_pts;
};

static bool is_image(const ResrDecoder *d)
{
    return d->picture != RESR_PICTURE_NONE || resr_reader_is_image(&d->reader, d->images.is_list);
}

static int open_file(ResrDecoder *d, const char *path)
{
    d->reader.path = path;
    int ret = resr_picture_kind(&d->picture, path, &d->reader.stop);
    if (ret < 0)
        return ret;
    bool moving = d->picture == RESR_PICTURE_MOVING;
    if (moving)
        d->picture = RESR_PICTURE_NONE;
    d->picture_pending = d->picture != RESR_PICTURE_NONE;
    if (d->picture_pending)
        return 0;
    ret = resr_reader_open(&d->reader, path, d->images.is_list);
    if (ret == 0 && moving && is_image(d)) {
        resr_reader_close(&d->reader);
        ret = resr_fail(RESR_ERR_DATA,
                        "%s: contains more than one picture, and all but the first would be lost; "
                        "upscale the file as a separate input, renamed to .apng or .mjpeg",
                        path);
    }
    return ret;
}

static int read_picture(ResrDecoder *d)
{
    ResrPictureTags tags;
    bool first = d->reader.next_index == 0;
    d->picture_pending = false;
    int ret = resr_picture_read(d->reader.frame, &tags, d->reader.path, &d->reader.stop);
    if (ret == 0 && first && tags.is_ycbcr)
        d->ycbcr = tags.chroma_shift_y
                       ? tags.chroma_shift_x ? AV_PIX_FMT_YUV420P : AV_PIX_FMT_YUV440P
                   : tags.chroma_shift_x ? AV_PIX_FMT_YUV422P
                                         : AV_PIX_FMT_YUV444P;
    if (first)
        d->info.has_profile = tags.icc.bytes > 0;
    resr_picture_tags_free(&tags);
    return ret;
}

/* Refuses a file of a list that contains a second picture, which would be lost. reader.frame keeps
 * the first. */
static int refuse_more(ResrDecoder *d)
{
    AVFrame *picture = d->reader.frame;
    bool end = true;
    int ret = (d->reader.frame = av_frame_alloc())
                  ? resr_reader_next(&d->reader, &end)
                  : resr_fail(RESR_ERR_INTERNAL, "out of memory: %s", d->reader.path);
    av_frame_free(&d->reader.frame);
    d->reader.frame = picture;
    return ret < 0 || end ? ret
                          : resr_fail(RESR_ERR_DATA,
                                      "%s: contains more than one picture, and all but the first "
                                      "would be lost; upscale the file as a separate input",
                                      d->reader.path);
}

/* Decodes the file's next picture into reader.frame; *end: the file has no more. */
static int decode(ResrDecoder *d, bool *end)
{
    *end = d->picture != RESR_PICTURE_NONE && !d->picture_pending;
    if (d->picture != RESR_PICTURE_NONE)
        return *end ? 0 : read_picture(d);
    int ret = resr_reader_next(&d->reader, end);
    return ret == 0 && !*end && d->images.is_list ? refuse_more(d) : ret;
}

/* Reports a file that ended before its first picture; a picture size beyond the limits may be the
 * reason. */
static int no_picture(const ResrDecoder *d)
{
    const AVCodecParameters *par = d->reader.input->streams[d->reader.stream]->codecpar;
    int ret = resr_av_size_failure(d->reader.path, par->width, par->height);
    return ret < 0 ? ret
                   : resr_fail(RESR_ERR_DATA,
                               "%s: contains no decodable picture; use an undamaged copy",
                               d->reader.path);
}

static int64_t estimate_frames(const ResrDecoder *d)
{
    const AVStream *stream = d->reader.input->streams[d->reader.stream];
    double seconds = stream->duration != AV_NOPTS_VALUE
                         ? (double)stream->duration * av_q2d(stream->time_base)
                     : d->reader.declared.end_seconds > 0 ? d->reader.declared.end_seconds
                     : d->reader.input->duration != AV_NOPTS_VALUE
                         ? (double)d->reader.input->duration / AV_TIME_BASE
                         : 0;
    if (stream->nb_frames > 0)
        return stream->nb_frames;
    return d->info.frame_rate_num > 0
               ? llround(seconds * d->info.frame_rate_num / d->info.frame_rate_den)
               : 0;
}

/* Images of a list play at 25 frames a second. */
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
    const AVStream *stream = d->reader.input->streams[d->reader.stream];
    AVRational rate =
        stream->avg_frame_rate.num > 0 ? stream->avg_frame_rate : stream->r_frame_rate;
    AVRational sar = av_guess_sample_aspect_ratio(
        d->reader.input, d->reader.input->streams[d->reader.stream], d->first);
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
    snprintf(info->hwaccel, sizeof info->hwaccel, "%s", resr_hwaccel_name(&d->reader.hw));
    snprintf(info->codec, sizeof info->codec, "%s", d->reader.codec->codec->name);
    snprintf(info->container, sizeof info->container, "%s", d->reader.input->iformat->name);
    info->end_unknown = d->reader.declared.unknown;
    info->frames_estimate = d->reader.frames_estimate = estimate_frames(d);
}

/* Warns of pictures in a folder of images that are not read. */
static void warn_of_unread(const ResrDecoder *d, const char *path)
{
    char name[256];
    int unread = d->images.is_list ? resr_images_unread(path, name, sizeof name) : 0;
    if (unread > 0)
        resr_log_warn(
            "%s: pictures that are not read: %d, such as %s; convert such pictures to .png first",
            path, unread, name);
}

static int prepare(ResrDecoder *d, const char *path)
{
    bool end;
    int ret = resr_images_find(&d->images, path);
    if (ret < 0)
        return ret;
    d->first = av_frame_alloc();
    d->previous = av_frame_alloc();
    if (!d->first || !d->previous)
        return resr_fail(RESR_ERR_INTERNAL, "out of memory: decoder for %s", path);
    ret = open_file(d, d->images.paths[0]);
    if (ret == 0)
        ret = decode(d, &end);
    if (ret == 0 && end)
        ret = no_picture(d);
    if (ret < 0)
        return ret;
    av_frame_move_ref(d->first, d->reader.frame);
    d->first_pending = true;
    d->orientation = 1;
    ret = resr_format_of_frame(&d->decoded, d->first);
    d->info.format = d->decoded;
    if (ret < 0)
        return resr_fail_prefix(ret, "%s: ", d->reader.path);
    if (d->picture == RESR_PICTURE_NONE)
        fill_info(d);
    if (is_image(d))
        fill_image_info(d);
    fill_stored_format(d);
    warn_of_unread(d, path);
    if (d->reader.count.skipped > 0)
        resr_log_warn("%s: frames skipped before the first decodable picture: %" PRId64,
                      d->reader.path, d->reader.count.skipped);
    if (d->info.interlaced)
        resr_log_warn(
            "%s: the video is interlaced and stays interlaced; deinterlace it first for a "
            "better result",
            d->reader.path);
    return 0;
}

int resr_decoder_open(ResrDecoder **out, const char *path, const ResrDecodeOptions *options)
{
    int ret = resr_alloc(out, 1, sizeof **out);
    if (ret < 0)
        return ret;
    (*out)->last_pts = INT64_MIN;
    (*out)->ycbcr = AV_PIX_FMT_NONE;
    ret = resr_reader_create(&(*out)->reader, options);
    if (ret == 0)
        ret = prepare(*out, path);
    if (ret < 0) {
        resr_decoder_close(*out);
        *out = NULL;
    }
    return ret;
}

bool resr_decoder_bridges(const ResrDecoder *decoder)
{
    return decoder->reader.options.bridge;
}

ResrDamageCount resr_decoder_damage(const ResrDecoder *decoder)
{
    return decoder->reader.count;
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

/* Presentation time of a picture: the container's; filled in where the time is missing or runs
 * backwards. */
static int64_t next_pts(ResrDecoder *d, const AVFrame *frame)
{
    int64_t pts = frame->best_effort_timestamp;
    if (d->info.is_image)
        return d->reader.next_index;
    if (pts == AV_NOPTS_VALUE || (d->last_pts != INT64_MIN && pts <= d->last_pts)) {
        AVRational base = {d->info.time_base_num, d->info.time_base_den};
        AVRational rate = {d->info.frame_rate_num, d->info.frame_rate_den};
        int64_t step = rate.num > 0 ? av_rescale_q(1, av_inv_q(rate), base) : 1;
        if (!d->warned_pts && d->reader.next_index > 0)
            resr_log_warn("%s: frame %" PRId64 " has %s timestamp; filled in from the frame rate",
                          d->reader.path, d->reader.next_index,
                          pts == AV_NOPTS_VALUE ? "no" : "a backward");
        d->warned_pts = true;
        if (step < 1)
            step = 1;
        pts = d->last_pts == INT64_MIN         ? 0
              : d->last_pts > INT64_MAX - step ? INT64_MAX
                                               : d->last_pts + step;
    }
    return pts;
}

static int check_same_format(const ResrDecoder *d, const AVFrame *frame)
{
    ResrFormat format;
    int ret = resr_format_of_frame(&format, frame);
    if (ret < 0)
        return resr_fail_prefix(ret, "%s: ", d->reader.path);
    if (!resr_format_accepts(&d->decoded, &format))
        return resr_fail(RESR_ERR_DATA,
                         "%s: frame %" PRId64 " is %d x %d %s%s, the frames before it are %d x %d "
                         "%s%s; upscale both parts as separate inputs",
                         d->reader.path, d->reader.next_index, format.width_px, format.height_px,
                         format.pix_fmt, format.full_range ? " (full range)" : "",
                         d->decoded.width_px, d->decoded.height_px, d->decoded.pix_fmt,
                         d->decoded.full_range ? " (full range)" : "");
    return 0;
}

/* Makes the frame to return from a decoded picture. */
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
    assert(d->first_pending);
    if (info->is_image) /* pictures are upright when decoded */
        return 0;
    const AVFrameSideData *side = av_frame_get_side_data(d->first, AV_FRAME_DATA_DISPLAYMATRIX);
    const int32_t *matrix = resr_av_display_matrix(d->reader.input->streams[d->reader.stream]);
    if (matrix && output_holds_rotation)
        return 0;
    if (!matrix && side && side->size >= 9 * sizeof *matrix)
        matrix = (int32_t *)side->data;
    if (!matrix)
        return 0;
    int orientation = resr_turn_of_matrix(matrix);
    if (orientation == 0)
        resr_log_warn(
            "%s: players show the video rotated by %.0f degrees, which the output cannot store, so "
            "that they show it without rotation; use an output that ends in .mp4 or .mov",
            d->reader.path, -av_display_rotation_get(matrix));
    if (orientation <= 1)
        return 0;
    int ret = resr_turn_format(&info->format, &d->decoded, orientation);
    if (ret < 0)
        return resr_fail_prefix(ret, "%s: ", d->reader.path);
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

/* Decodes the next image of a list: each file is an input of its own. */
static int next_image(ResrDecoder *d, bool *end)
{
    *end = d->image + 1 >= d->images.count;
    if (*end)
        return 0;
    resr_reader_close(&d->reader);
    int ret = open_file(d, d->images.paths[++d->image]);
    if (ret == 0)
        ret = decode(d, end);
    if (ret == 0 && *end)
        ret = no_picture(d);
    if (ret != RESR_ERR_DATA || !d->reader.options.bridge)
        return ret;
    resr_log_warn("%s; the previous picture replaces it", resr_error_text());
    d->reader.count.places++;
    d->reader.count.damaged++;
    *end = false;
    av_frame_unref(d->reader.frame); /* holds the part that was read */
    return av_frame_ref(d->reader.frame, d->previous) < 0
               ? resr_fail(RESR_ERR_INTERNAL, "out of memory: decoder for %s", d->reader.path)
               : 0;
}

/* Decodes ahead and finds the picture to return: a decoded one or, with bridge, the previous one
 * again, whose time is then *pts. NULL at the end. */
static int next_picture(ResrDecoder *d, const AVFrame **out, int64_t *pts)
{
    int ret = 0;
    *out = NULL;
    if (d->first_pending) {
        d->first_pending = false;
        *out = d->first;
    } else if (d->images.is_list) {
        ret = next_image(d, &d->ended);
        *out = d->ended ? NULL : d->reader.frame;
    } else if (!d->waiting && !d->ended) {
        ret = decode(d, &d->ended);
        d->waiting = ret == 0 && !d->ended;
    }
    if (ret < 0)
        return ret;
    *pts = *out || d->waiting ? next_pts(d, *out ? *out : d->reader.frame) : INT64_MAX;
    if (*out || d->info.is_image) {
        *out = d->waiting ? d->reader.frame : *out;
        d->waiting = false;
        return 0;
    }
    int64_t left = d->info.frames_estimate > 0 ? d->info.frames_estimate - d->reader.next_index
                                               : MAX_BRIDGED_FRAMES;
    double step =
        resr_reader_frame_seconds(&d->reader) * d->info.time_base_den / d->info.time_base_num;
    int64_t hole;
    if (d->reader.options.bridge && d->previous->data[0] && !d->info.is_image &&
        resr_damage_find_gap(&d->reader.damage, &hole, d->last_pts, *pts, step, left)) {
        *pts = hole;
        *out = d->previous;
        d->reader.count.damaged++;
        return 0;
    }
    d->reader.damage.suspicion -= d->reader.damage.suspicion > 0;
    *out = d->waiting ? d->reader.frame : NULL;
    d->waiting = false;
    return 0;
}

static int64_t duration_of(const ResrDecoder *d, const AVFrame *frame)
{
    if (d->info.is_image)
        return 1;
#if LIBAVUTIL_VERSION_INT >= AV_VERSION_INT(57, 30, 100)
    return frame->duration;
#else
    return frame->pkt_duration;
#endif
}

int resr_decoder_read(ResrDecoder *d, ResrFrame **out)
{
    const AVFrame *frame;
    int64_t pts = 0;
    *out = NULL;
    int ret = next_picture(d, &frame, &pts);
    if (ret < 0)
        return ret;
    if (!frame)
        return d->info.is_image ? 0 : resr_reader_check_end(&d->reader);
    ret = pts == INT64_MAX
              ? resr_fail(RESR_ERR_DATA, "%s: frame %" PRId64 ": the timestamp is out of range",
                          d->reader.path, d->reader.next_index)
              : make_frame(d, out, frame);
    if (ret < 0)
        return ret;
    (*out)->index = d->reader.next_index;
    (*out)->pts = d->last_pts = pts;
    (*out)->duration = duration_of(d, frame);
    resr_damage_advance(&d->reader.damage, pts);
    d->reader.next_index++;
    if (d->reader.options.bridge && frame != d->previous) {
        av_frame_unref(d->previous);
        if (av_frame_ref(d->previous, frame) < 0)
            ret = resr_fail(RESR_ERR_INTERNAL, "out of memory: decoder for %s", d->reader.path);
    }
    if (frame == d->reader.frame)
        av_frame_unref(d->reader.frame);
    return ret;
}

/* Decodes from the keyframe before `pts` to the picture of that time; true if it has that hash. */
static bool find_frame(ResrDecoder *d, int64_t pts, const char *hash)
{
    char here[RESR_FRAME_HASH_BYTES] = "";
    ResrFrame *frame = NULL;
    bool end = false;
    if (!resr_reader_seek(&d->reader, pts))
        return false;
    while (decode(d, &end) == 0 && !end && d->reader.frame->best_effort_timestamp < pts)
        av_frame_unref(d->reader.frame);
    if (!end && d->reader.frame->data[0] && d->reader.frame->best_effort_timestamp == pts &&
        make_frame(d, &frame, d->reader.frame) == 0)
        resr_frame_hash(here, &d->info.format, frame);
    av_frame_unref(d->reader.frame);
    resr_frame_free(frame);
    return strcmp(here, hash) == 0;
}

int resr_decoder_skip(ResrDecoder *d, bool *found, int64_t index, int64_t pts, const char *hash)
{
    bool end;
    assert(d->first_pending);
    *found = !d->info.is_image && find_frame(d, pts, hash);
    if (*found) {
        d->first_pending = false;
        d->reader.next_index = index + 1;
        d->last_pts = pts;
        resr_reader_found(&d->reader);
        return 0;
    }
    if (d->info.is_image)
        return 0;
    /* Restart: the first picture is already decoded, so the file's is skipped. */
    resr_reader_close(&d->reader);
    int ret = open_file(d, d->images.paths[0]);
    if (ret == 0)
        ret = decode(d, &end);
    av_frame_unref(d->reader.frame);
    return ret;
}

void resr_decoder_stop(ResrDecoder *decoder)
{
    decoder->reader.stop = true;
}

void resr_decoder_close(ResrDecoder *decoder)
{
    if (!decoder)
        return;
    resr_reader_free(&decoder->reader);
    av_frame_free(&decoder->first);
    av_frame_free(&decoder->previous);
    resr_images_free(&decoder->images);
    free(decoder);
}
