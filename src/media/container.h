#ifndef RESR_MEDIA_CONTAINER_H
#define RESR_MEDIA_CONTAINER_H

/* Output containers: their streams, and what each of them can hold, found by writing to memory. Not
 * for other folders. */

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

#include "media/copy.h"
#include "media/decode.h"

/* The upscaled video stream: an open encoder, what the decoder says, and the first decoded frame.
 */
typedef struct ResrContainerVideo {
    const AVCodecContext *encoder;
    const ResrVideoInfo *info;
    const AVFrame *first;
} ResrContainerVideo;

/* The container that a file name asks for. RESR_ERR_USAGE. */
RESR_MUST_CHECK int resr_container_of(const AVOutputFormat **out, const char *output);

/* True for containers that FFmpeg writes a display matrix into. */
bool resr_container_holds_rotation(const AVOutputFormat *format);

/* Gives a muxer's context the video as its first stream and, with `copy`, the copied streams,
 * chapters and metadata of the source. `map`, an entry for each stream of the source, gets the
 * stream that each became, or NULL. RESR_ERR_INTERNAL. */
RESR_MUST_CHECK int resr_container_fill(AVFormatContext *context, const ResrContainerVideo *video,
                                        const ResrCopy *copy, AVStream **map);

/* Tries out, in memory, the header that resr_container_fill() leads to and the first packets of
 * the copied streams. RESR_ERR_USAGE names the stream that `format` cannot hold, and what helps:
 * another ending, another encoder, or to leave the stream out. */
RESR_MUST_CHECK int resr_container_try(const AVOutputFormat *format, const char *input,
                                       const char *output, const ResrContainerVideo *video,
                                       ResrCopy *copy);

#endif
