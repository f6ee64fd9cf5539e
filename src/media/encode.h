#ifndef RESR_MEDIA_ENCODE_H
#define RESR_MEDIA_ENCODE_H

/* Encoding of frames: choice of encoder and pixel format, and one encoder for each segment. Not for
 * other folders. */

#include <libavcodec/avcodec.h>

#include "media/picture.h"
#include "media/repack.h"
#include "media/sink.h"

/* How a job's frames are encoded, the same for all of its segments. */
typedef struct ResrEncoding {
    const AVCodec *codec;       /* NULL for formats of media/picture.h */
    ResrPictureKind picture;    /* RESR_PICTURE_NONE: FFmpeg encodes */
    ResrPictureTags *tags;      /* of the next picture, adapted to the output frame; NULL: none */
    enum AVPixelFormat pix_fmt; /* the encoder's; frames have its holder (media/repack.h) */
    ResrFormat format;          /* of the frames */
    ResrEncodeOptions options;
    AVRational frame_rate, sar;
    int color_range;    /* AVCOL_RANGE_*: the source's tag */
    bool global_header; /* the container keeps the encoder's headers */
} ResrEncoding;

/* Chooses encoder and pixel format for frames of width_px x height_px made from `input`. `image`:
 * the output is images with the ending of `output`. RESR_ERR_USAGE. */
RESR_MUST_CHECK int resr_encoding_plan(ResrEncoding *out, const char *output, bool image,
                                       const ResrFormat *input, int width_px, int height_px,
                                       const ResrEncodeOptions *options);

/* Name of the encoder ("libx264", "png"), and its library with the version. */
const char *resr_encoding_name(const ResrEncoding *encoding);
void resr_encoding_library(const ResrEncoding *encoding, char *out, size_t out_bytes);

void resr_encoding_tag(ResrEncoding *encoding, const ResrEncodingTags *tags);

/* Tags for resr_encoding_tag() on another rank, to encode in the same way. */
ResrEncodingTags resr_encoding_tags(const ResrEncoding *encoding);

/* One segment's encoder. Frames are numbered from 0 within the segment; packets come back with that
 * number as pts. */
typedef struct ResrEncoder {
    AVCodecContext *context;
    AVFrame *frame;
    AVPacket *packet;
    int64_t frames;
    bool ended; /* told that there are no more frames */
} ResrEncoder;

/* Called for each packet, in decoding order; the packet stays the encoder's. */
typedef int (*ResrPacketHandler)(void *user, AVPacket *packet);

/* RESR_ERR_USAGE with the encoder's own complaint when it refuses its options. */
RESR_MUST_CHECK int resr_encoder_open(ResrEncoder *encoder, const ResrEncoding *encoding);

/* Encodes a frame; NULL: returns the packets that the encoder still holds. RESR_ERR_INTERNAL, or
 * the handler's error. */
RESR_MUST_CHECK int resr_encoder_write(ResrEncoder *encoder, const ResrEncoding *encoding,
                                       const ResrFrame *frame, ResrPacketHandler handler,
                                       void *user);
void resr_encoder_close(ResrEncoder *encoder);

#endif
