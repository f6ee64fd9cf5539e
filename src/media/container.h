#ifndef RESR_MEDIA_CONTAINER_H
#define RESR_MEDIA_CONTAINER_H

/* Output containers: their streams, and the streams that each container can store, found by writing
 * to memory. Not for other folders. */

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

#include "media/copy.h"
#include "media/decode.h"

/* The upscaled video stream: an open encoder, the decoder's information, and the first decoded
 * frame. */
typedef struct ResrContainerVideo {
    const AVCodecContext *encoder;
    const ResrVideoInfo *info;
    const AVFrame *first;
} ResrContainerVideo;

/* The container that a file name asks for. RESR_ERR_USAGE. */
RESR_MUST_CHECK int resr_container_of(const AVOutputFormat **out, const char *output);

/* True for containers in which FFmpeg stores a display matrix. */
bool resr_container_holds_rotation(const AVOutputFormat *format);

/* Gives a muxer's context the video as its first stream and, with `copy`, the copied streams,
 * chapters and metadata of the source. `map`, an entry for each stream of the source, gets the
 * output stream of each, or NULL. RESR_ERR_INTERNAL. */
RESR_MUST_CHECK int resr_container_fill(AVFormatContext *context, const ResrContainerVideo *video,
                                        const ResrCopy *copy, AVStream **map);

/* Writes the header of resr_container_fill() and the first packets of the copied streams to memory,
 * as a test. RESR_ERR_USAGE: `format` cannot store a stream; the message names the stream and the
 * remedy: another ending, another encoder, or a command that removes the stream. */
RESR_MUST_CHECK int resr_container_try(const AVOutputFormat *format, const char *input,
                                       const char *output, const ResrContainerVideo *video,
                                       ResrCopy *copy);

#endif
