#ifndef RESR_MEDIA_LIBAV_H
#define RESR_MEDIA_LIBAV_H

/* What the files of media/ share on top of FFmpeg's libraries. Not for other folders. */

#include <libavformat/avformat.h>
#include <libavutil/frame.h>
#include <stdatomic.h>

#include "media/avio.h"
#include "media/decode.h"

/* Records libav's own error `averror` about `path` ("PATH: WHAT: libav's text") and returns `code`.
 */
int resr_av_fail(int code, int averror, const char *path, const char *what);

/* Opens a regular file for reading and finds its streams. Its content alone says what it is, with
 * the ending of its name; formats that open further files (playlists, image patterns, scripts) are
 * refused. A wait ends soon after *stop (may be NULL) or the process's stop signal is set, here and
 * in all later calls on the context, with AVERROR_EXIT. RESR_ERR_NOINPUT, RESR_ERR_PERM,
 * RESR_ERR_DATA, RESR_ERR_IO, RESR_ERR_STOPPED. The caller closes with resr_av_close_input(). */
RESR_MUST_CHECK int resr_av_open_input(AVFormatContext **out, const char *path,
                                       const atomic_bool *stop);

/* The same for a file that the program made: `format` is the demuxer, streams are those of the
 * header. */
RESR_MUST_CHECK int resr_av_open_own(AVFormatContext **out, const char *path, const char *format);

void resr_av_close_input(AVFormatContext **context); /* *context may be NULL */

/* True if what was read of the input may end too soon: a stop, or a failure of the file system,
 * after which demuxers report anything, the regular end included. */
bool resr_av_was_cut_short(AVFormatContext *context);

/* Records why reading `path` failed with `averror`, "PATH: WHAT: ...", and returns the code:
 * RESR_ERR_STOPPED after a stop, RESR_ERR_IO where the file system failed, else RESR_ERR_DATA. */
int resr_av_read_failure(AVFormatContext *context, int averror, const char *path, const char *what);

/* Creates `path` (resr_file_create()) as the file of a muxer, see resr_avio_attach(); end with
 * resr_avio_finish(). Returns libav's error. */
RESR_MUST_CHECK int resr_av_create(AVFormatContext *context, const char *path);

/* Index of the video stream to upscale: the default one that is no attached picture; negative if
 * there is none. */
int resr_av_video_stream(const AVFormatContext *context);

/* The stream's display matrix of 9 numbers, NULL if it has none. */
const int32_t *resr_av_display_matrix(const AVStream *stream);

/* libav's own messages go through our log: errors as warnings, each text once, the rest dropped. */
void resr_av_quiet(void);

/* Errors that demuxers have logged on this thread. */
int64_t resr_av_demuxer_errors(void);

/* AVCodecContext.opaque of a decoder: what it logs, of all its threads, is counted. */
typedef struct ResrAvOwner {
    atomic_llong errors, concealed; /* errors; pictures whose damage was concealed */
    void *user;
} ResrAvOwner;

/* RESR_ERR_DATA with the size in the message if the picture of `path` is larger than what is
 * handled: the last one that libav itself refused, forgotten by this, else of the size given. Else
 * 0. */
int resr_av_size_failure(const char *path, int width_px, int height_px);

/* From now on this thread's errors of libav are dropped, too; or not any more. */
void resr_av_hush(bool hush);

/* The first decoded frame, for its side data (HDR). Valid until the decoder is closed. */
const AVFrame *resr_decoder_first_frame(const ResrDecoder *decoder);

#endif
