#include "media/libav.h"

#include <errno.h>
#include <libavcodec/avcodec.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

int resr_av_fail(int code, int averror, const char *path, const char *what)
{
    char text[AV_ERROR_MAX_STRING_SIZE] = "";
    av_strerror(averror, text, sizeof text);
    return resr_fail(code, "%s: %s: %s", path, what, text);
}

static _Thread_local bool hushed;

void resr_av_hush(bool hush)
{
    hushed = hush;
}

static void log_libav(void *context, int level, const char *format, va_list args)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static char last[256];
    char text[256];
    if (level > AV_LOG_ERROR || hushed)
        return;
    vsnprintf(text, sizeof text, format, args);
    text[strcspn(text, "\n")] = 0;
    const AVClass *class = context ? *(AVClass **)context : NULL;
    pthread_mutex_lock(&lock);
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

int resr_av_open_input(AVFormatContext **out, const char *path)
{
    AVDictionary *options = NULL;
    resr_av_quiet();
    *out = NULL;
    if (access(path, F_OK) != 0)
        return resr_fail(RESR_ERR_NOINPUT, "%s: %s; check the name", path, strerror(errno));
    if (access(path, R_OK) != 0)
        return resr_fail(RESR_ERR_PERM, "%s: cannot be read: %s", path, strerror(errno));
    /* A playlist or concat file must not reach other files or the network. */
    av_dict_set(&options, "protocol_whitelist", "file", 0);
    av_dict_set(&options, "max_streams", "64", 0);
    int averror = avformat_open_input(out, path, NULL, &options);
    av_dict_free(&options);
    if (averror < 0)
        return resr_av_fail(RESR_ERR_DATA, averror, path,
                            "is no video or image that FFmpeg can open");
    averror = avformat_find_stream_info(*out, NULL);
    if (averror < 0) {
        avformat_close_input(out);
        return resr_av_fail(RESR_ERR_DATA, averror, path, "its streams cannot be read");
    }
    return 0;
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

int resr_av_create(AVIOContext **out, const char *path)
{
    int averror;
    do
        averror = avio_open(out, path, AVIO_FLAG_WRITE);
    while (averror == AVERROR(EINTR));
    return averror;
}
