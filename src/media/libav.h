#ifndef RESR_MEDIA_LIBAV_H
#define RESR_MEDIA_LIBAV_H

/* Functions on top of FFmpeg's libraries for the files of media/. Not for other folders. */

#include <libavformat/avformat.h>
#include <libavutil/frame.h>
#include <stdatomic.h>

#include "media/avio.h"
#include "media/decode.h"

/* Records libav's own error `averror` about `path` ("PATH: WHAT: libav's text") and returns `code`.
 */
int resr_av_fail(int code, int averror, const char *path, const char *what);

/* Opens a regular file for reading and finds its streams. The file's content and the ending of its
 * name determine the format; formats that open other files (playlists, image patterns, scripts) are
 * refused. After *stop (may be NULL) is set or the process's stop signal arrives, a wait in this
 * call and in all later calls on the context ends soon with AVERROR_EXIT. RESR_ERR_NOINPUT,
 * RESR_ERR_PERM, RESR_ERR_DATA, RESR_ERR_IO, RESR_ERR_STOPPED. The caller closes with
 * resr_av_close_input(). */
RESR_MUST_CHECK int resr_av_open_input(AVFormatContext **out, const char *path,
                                       const atomic_bool *stop);

/* The same for a file that the program wrote: `format` is the demuxer; only streams of the header
 * are found. */
RESR_MUST_CHECK int resr_av_open_own(AVFormatContext **out, const char *path, const char *format);

void resr_av_close_input(AVFormatContext **context); /* *context may be NULL */

/* True after a stop or a failure of the file system: demuxers then report arbitrary results, also a
 * regular end. */
bool resr_av_was_interrupted(AVFormatContext *context);

/* Records that reading `path` failed with `averror`, as "PATH: WHAT: ...", and returns the error:
 * RESR_ERR_STOPPED after a stop, RESR_ERR_IO after a failure of the file system, else
 * RESR_ERR_DATA. */
int resr_av_read_failure(AVFormatContext *context, int averror, const char *path, const char *what);

/* Creates `path` (resr_file_create()) as the file of a muxer, see resr_avio_attach(); end with
 * resr_avio_finish(). Returns libav's error. */
RESR_MUST_CHECK int resr_av_create(AVFormatContext *context, const char *path);

/* Index of the video stream to upscale: the default stream that is not an attached picture;
 * negative if none exists. */
int resr_av_video_stream(const AVFormatContext *context);

/* The stream's display matrix of 9 numbers, or NULL if the stream has none. */
const int32_t *resr_av_display_matrix(const AVStream *stream);

/* Redirects libav's messages to the program's log: errors as warnings, each text once; other
 * messages are dropped. */
void resr_av_quiet(void);

/* Number of errors that the demuxer of an open input has logged. */
int64_t resr_av_demuxer_errors(const AVFormatContext *context);

/* AVCodecContext.opaque of a decoder: counts the messages of all its threads. */
typedef struct ResrAvOwner {
    atomic_llong errors, concealed; /* errors; pictures whose damage was concealed */
    void *user;
} ResrAvOwner;

/* RESR_ERR_DATA, with the size in the message, if the picture of `path` is larger than the limits,
 * else 0. The size is that of the last picture that libav refused, which this call clears, or else
 * the given size. */
int resr_av_size_failure(const char *path, int width_px, int height_px);

/* Drops libav's errors on this thread from now on; or no longer. */
void resr_av_silence(bool hush);

/* The first decoded frame, for its side data (HDR). Valid until the decoder is closed. */
const AVFrame *resr_decoder_first_frame(const ResrDecoder *decoder);

#endif
