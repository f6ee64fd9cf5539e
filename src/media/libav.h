#ifndef RESR_MEDIA_LIBAV_H
#define RESR_MEDIA_LIBAV_H

/* What the files of media/ share on top of FFmpeg's libraries. Not for other folders. */

#include <libavformat/avformat.h>
#include <libavutil/frame.h>

#include "media/decode.h"

/* Records libav's own error `averror` about `path` ("PATH: WHAT: libav's text") and returns `code`.
 */
int resr_av_fail(int code, int averror, const char *path, const char *what);

/* Opens a local file for reading (no other protocol, probing bounded) and finds its streams.
 * RESR_ERR_NOINPUT, RESR_ERR_PERM, RESR_ERR_DATA. The caller closes with avformat_close_input(). */
RESR_MUST_CHECK int resr_av_open_input(AVFormatContext **out, const char *path);

/* Creates a file to be written; goes on after a signal. Returns libav's error. */
RESR_MUST_CHECK int resr_av_create(AVIOContext **out, const char *path);

/* Index of the video stream to upscale: the default one that is no attached picture; negative if
 * there is none. */
int resr_av_video_stream(const AVFormatContext *context);

/* The stream's display matrix of 9 numbers, NULL if it has none. */
const int32_t *resr_av_display_matrix(const AVStream *stream);

/* libav's own messages go through our log: errors as warnings, each text once, the rest dropped. */
void resr_av_quiet(void);

/* From now on this thread's errors of libav are dropped, too; or not any more. */
void resr_av_hush(bool hush);

/* The first decoded frame, for its side data (HDR). Valid until the decoder is closed. */
const AVFrame *resr_decoder_first_frame(const ResrDecoder *decoder);

#endif
