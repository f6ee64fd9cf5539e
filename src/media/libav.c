#include "media/libav.h"

#include <ctype.h>
#include <errno.h>
#include <libavcodec/avcodec.h>
#include <libavutil/avstring.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/stop.h"

int resr_av_fail(int code, int averror, const char *path, const char *what)
{
    char text[AV_ERROR_MAX_STRING_SIZE] = "";
    av_strerror(averror, text, sizeof text);
    return resr_fail(code, "%s: %s: %s", path, what, text);
}

static _Thread_local bool hushed;

/* Limits of libavformat, so that a file with too many streams is refused by their number. */
#define MOST_STREAMS (10 * RESR_MAX_STREAMS)

/* AVFormatContext.opaque of an input. */
typedef struct Input {
    AVIOContext *io;
    const char *path;
    const atomic_bool *stop;
    const AVInputFormat *format;
    bool reached;   /* the format tried to open another file */
    int64_t errors; /* logged by the demuxer */
} Input;

int64_t resr_av_demuxer_errors(const AVFormatContext *context)
{
    return ((const Input *)context->opaque)->errors;
}

/* True for the messages of concealed pictures. The flag of such a picture can arrive after it was
 * returned by another thread of the decoder; the message cannot. */
static void count(void *context, int level, const char *format)
{
    const AVClass *class = *(AVClass **)context;
    const AVFormatContext *demuxer = class == avformat_get_class() ? context : NULL;
    if (demuxer && demuxer->iformat && demuxer->opaque && level <= AV_LOG_ERROR)
        ((Input *)demuxer->opaque)->errors++;
    ResrAvOwner *owner = class == avcodec_get_class() ? ((AVCodecContext *)context)->opaque : NULL;
    if (owner && level <= AV_LOG_ERROR)
        owner->errors++;
    if (owner && strncmp(format, "concealing ", 11) == 0)
        owner->concealed++;
}

void resr_av_silence(bool hush)
{
    hushed = hush;
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned
    refused_px[2]; /* size of the last picture that libav refused; protected by `lock` */

int resr_av_size_failure(const char *path, int width_px, int height_px)
{
    pthread_mutex_lock(&lock);
    unsigned width = refused_px[0] ? refused_px[0] : (unsigned)width_px;
    unsigned height = refused_px[0] ? refused_px[1] : (unsigned)height_px;
    refused_px[0] = 0;
    pthread_mutex_unlock(&lock);
    if (width <= RESR_MAX_SIDE_PX && height <= RESR_MAX_SIDE_PX &&
        (uint64_t)width * height <= RESR_MAX_FRAME_PX)
        return 0;
    return resr_fail(RESR_ERR_DATA,
                     "%s: the picture has %u x %u pixels; the limits are %d pixels a side and %d "
                     "pixels in all; scale the picture down or cut it into parts",
                     path, width, height, RESR_MAX_SIDE_PX, RESR_MAX_FRAME_PX);
}

static void log_libav(void *context, int level, const char *format, va_list args)
{
    static char last[256];
    char text[256];
    if (context)
        count(context, level, format);
    if (level > AV_LOG_ERROR || hushed)
        return;
    vsnprintf(text, sizeof text, format, args);
    text[strcspn(text, "\n")] = 0;
    const AVClass *class = context ? *(AVClass **)context : NULL;
    pthread_mutex_lock(&lock);
    (void)sscanf(text, "Picture size %ux%u", &refused_px[0], &refused_px[1]);
    if (text[0] && strcmp(text, last) != 0) {
        resr_log_warn("%s: %s", class ? class->item_name(context) : "libav", text);
        memcpy(last, text, sizeof last);
    }
    pthread_mutex_unlock(&lock);
}

static void install_log(void)
{
    av_log_set_callback(log_libav);
}

void resr_av_quiet(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install_log);
}

static int is_interrupted(void *opaque)
{
    const Input *input = opaque;
    return resr_stop_signal() || (input->stop && *input->stop);
}

/* The name that libavformat gets: only the ending, by which formats without a signature are
 * detected; the rest might be parsed as a pattern or a protocol. */
#define NEUTRAL_STEM "input"

static const char *ending_of(const char *path)
{
    const char *name = strrchr(path, '/'), *ending = strrchr(name ? name : path, '.');
    bool plain = ending && strlen(ending) <= 16;
    for (const char *c = plain ? ending + 1 : ""; *c; c++)
        plain = plain && isalnum((unsigned char)*c);
    return plain ? ending : path + strlen(path);
}

/* Some formats read further parts under the input's name (x.mlv, x.m00). False if such a file does
 * not exist. */
static bool exists(const Input *input, const char *url)
{
    char path[PATH_MAX];
    if (strncmp(url, NEUTRAL_STEM ".", sizeof NEUTRAL_STEM) != 0)
        return true;
    int stem = (int)(ending_of(input->path) - input->path);
    snprintf(path, sizeof path, "%.*s%s", stem, input->path, url + sizeof NEUTRAL_STEM - 1);
    return access(path, F_OK) == 0;
}

static int open_nothing(AVFormatContext *context, AVIOContext **out, const char *url, int flags,
                        AVDictionary **options)
{
    Input *input = context->opaque;
    (void)flags;
    (void)options;
    *out = NULL;
    input->reached = input->reached || exists(input, url);
    return input->reached ? AVERROR(EPERM) : AVERROR(ENOENT);
}

/* Formats that consist of names of other files, or open files by themselves. */
static bool is_reaching(const AVInputFormat *format)
{
    static const char names[] = "hls,dash,webm_dash_manifest,concat,imf,sdp,rtsp,rtp,sap,vobsub,"
                                "avisynth,vapoursynth";
    return format->flags & AVFMT_NOFILE || av_match_name(format->name, names);
}

static int read_failure(const Input *input, int averror, const char *path, const char *what)
{
    int error = resr_avio_error(input->io);
    if (averror == AVERROR_EXIT || is_interrupted((void *)input))
        return resr_avio_stopped(path);
    if (error)
        return resr_fail(RESR_ERR_IO, "%s: cannot be read: %s", path, strerror(error));
    if (input->reached)
        return resr_fail(RESR_ERR_DATA,
                         "%s: a file of format %s names other files, which are not opened; make "
                         "one file of these files first: ffmpeg -i INPUT -c copy WHOLE.mkv",
                         path, input->format->name);
    if (averror == AVERROR(ENOMEM))
        return resr_fail(RESR_ERR_DATA,
                         "%s: contains more than %d streams, or needs more memory than is "
                         "available; copy fewer streams into a file first",
                         path, RESR_MAX_STREAMS);
    int ret = resr_av_size_failure(path, 0, 0);
    return ret < 0 ? ret : resr_av_fail(RESR_ERR_DATA, averror, path, what);
}

bool resr_av_was_interrupted(AVFormatContext *context)
{
    const Input *input = context->opaque;
    return is_interrupted(context->opaque) || resr_avio_error(input->io);
}

int resr_av_read_failure(AVFormatContext *context, int averror, const char *path, const char *what)
{
    return read_failure(context->opaque, averror, path, what);
}

/* Finds the format by content and ending. A picture that only its ending identifies becomes one
 * packet of image2pipe, which reads the open file; image2 would open the name. */
static int find_format(Input *input, AVFormatContext *context, const char *name)
{
    int averror = av_probe_input_buffer2(input->io, &input->format, name, NULL, 0, 0);
    if (averror < 0)
        return averror;
    if (strcmp(input->format->name, "image2") == 0) {
        input->format = av_find_input_format("image2pipe");
        context->flags |= AVFMT_FLAG_NOPARSE;
    }
    input->reached = is_reaching(input->format);
    return input->reached ? AVERROR(EPERM) : 0;
}

static int open_format(Input *input, AVFormatContext **context, const char *path)
{
    char name[32];
    AVDictionary *options = NULL;
    snprintf(name, sizeof name, NEUTRAL_STEM "%s", ending_of(path));
    (*context)->opaque = input;
    (*context)->pb = input->io;
    (*context)->io_open = open_nothing;
    (*context)->interrupt_callback = (AVIOInterruptCB){is_interrupted, input};
    int averror = input->format ? 0 : find_format(input, *context, name);
    if (averror < 0)
        return averror;
    av_dict_set(&options, "protocol_whitelist", "none", 0);
    av_dict_set(&options, "enable_drefs", "1",
                0); /* of MOV: must reach open_nothing(), which refuses them */
    av_dict_set(&options, "use_absolute_path", "1", 0);
    av_dict_set_int(&options, "max_streams", MOST_STREAMS, 0);
    averror = avformat_open_input(context, name, input->format, &options);
    av_dict_free(&options);
    return averror;
}

static int open_input(AVFormatContext **out, const char *path, const AVInputFormat *format,
                      const atomic_bool *stop)
{
    Input *input = NULL;
    *out = NULL;
    resr_av_quiet();
    int ret = resr_alloc(&input, 1, sizeof *input);
    if (ret == 0)
        ret = resr_avio_open(&input->io, path, stop);
    if (ret < 0) {
        free(input);
        return ret;
    }
    input->path = path;
    input->stop = stop;
    input->format = format;
    *out = avformat_alloc_context();
    int averror = *out ? open_format(input, out, path) : AVERROR(ENOMEM);
    if (averror >= 0 && !input->reached)
        return 0;
    ret = read_failure(input, averror, path, "not a video or image that FFmpeg can open");
    avformat_free_context(*out);
    *out = NULL;
    resr_avio_close(&input->io);
    free(input);
    return ret;
}

int resr_av_open_own(AVFormatContext **out, const char *path, const char *format)
{
    return open_input(out, path, av_find_input_format(format), NULL);
}

int resr_av_open_input(AVFormatContext **out, const char *path, const atomic_bool *stop)
{
    resr_av_size_failure(path, 0, 0); /* forgets the size from an earlier file */
    int ret = open_input(out, path, NULL, stop);
    if (ret < 0)
        return ret;
    unsigned streams = (*out)->nb_streams;
    if (streams > RESR_MAX_STREAMS) {
        resr_av_close_input(out);
        return resr_fail(RESR_ERR_DATA,
                         "%s: contains %u streams, more than %d; leave some streams out first: "
                         "ffmpeg -i INPUT -map 0:v -map 0:a -c copy FEWER.mkv",
                         path, streams, RESR_MAX_STREAMS);
    }
    int averror = avformat_find_stream_info(*out, NULL);
    const Input *input = (*out)->opaque;
    if (averror >= 0 && !input->reached && !resr_av_was_interrupted(*out))
        return 0;
    ret = resr_av_read_failure(*out, averror, path, "its streams cannot be read");
    resr_av_close_input(out);
    return ret;
}

void resr_av_close_input(AVFormatContext **context)
{
    Input *input = *context ? (*context)->opaque : NULL;
    avformat_close_input(context);
    if (input)
        resr_avio_close(&input->io);
    free(input);
}

int resr_av_video_stream(const AVFormatContext *context)
{
    int best = -1, best_default = -1;
    for (unsigned i = 0; i < context->nb_streams; i++) {
        const AVStream *stream = context->streams[i];
        if (stream->codecpar->codec_type != AVMEDIA_TYPE_VIDEO ||
            stream->disposition & AV_DISPOSITION_ATTACHED_PIC)
            continue;
        int is_default = (stream->disposition & AV_DISPOSITION_DEFAULT) != 0;
        if (is_default > best_default) {
            best = (int)i;
            best_default = is_default;
        }
    }
    return best;
}

const int32_t *resr_av_display_matrix(const AVStream *stream)
{
#if LIBAVCODEC_VERSION_INT >= AV_VERSION_INT(60, 31, 102)
    const AVPacketSideData *side =
        av_packet_side_data_get(stream->codecpar->coded_side_data,
                                stream->codecpar->nb_coded_side_data, AV_PKT_DATA_DISPLAYMATRIX);
    return side && side->size >= 9 * sizeof(int32_t) ? (const int32_t *)side->data : NULL;
#else
    size_t bytes = 0;
    const uint8_t *data = av_stream_get_side_data(stream, AV_PKT_DATA_DISPLAYMATRIX, &bytes);
    return data && bytes >= 9 * sizeof(int32_t) ? (const int32_t *)data : NULL;
#endif
}

int resr_av_create(AVFormatContext *context, const char *path)
{
    int fd = resr_file_create(path, 0666);
    return fd < 0 ? AVERROR(errno) : resr_avio_attach(context, fd);
}
