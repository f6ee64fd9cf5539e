#ifndef RESR_MEDIA_SEGMENT_ENCODER_H
#define RESR_MEDIA_SEGMENT_ENCODER_H

/* One segment's encoder, with the checks that let segments be joined: every frame becomes one
 * packet, and all segments of a video have the same headers. Not for other folders. */

#include "media/encode.h"

/* Zero-initialise before resr_segment_encoder_open(). */
typedef struct ResrSegmentEncoder {
    ResrEncoder encoder;
    const ResrEncoding *encoding;
    ResrPacketHandler handler; /* called with `user` for each packet, in decoding order */
    void *user;
    int64_t frames, packets; /* written to the encoder; returned by the encoder */
    /* Frames that decoding order runs ahead of presentation: as the encoder reports when opened,
     * or as the first packet's dts shows, before the handler gets that packet. */
    int reorder;
} ResrSegmentEncoder;

/* Opens an encoder for one segment. `encoding` must outlive the encoder. Errors of
 * resr_encoder_open(); resr_segment_encoder_close() releases the encoder in either case. */
RESR_MUST_CHECK int resr_segment_encoder_open(ResrSegmentEncoder *segment,
                                              const ResrEncoding *encoding,
                                              ResrPacketHandler handler, void *user);

/* Encodes the segment's next frame, which stays the caller's. Errors of resr_encoder_write(). */
RESR_MUST_CHECK int resr_segment_encoder_write(ResrSegmentEncoder *segment, const ResrFrame *frame);

/* Returns the encoder's last packets. RESR_ERR_INTERNAL if the segment's packets are not as many as
 * its frames; errors of resr_encoder_write(). */
RESR_MUST_CHECK int resr_segment_encoder_finish(ResrSegmentEncoder *segment);

void resr_segment_encoder_close(ResrSegmentEncoder *segment); /* safe on a closed or zeroed one */

/* Compares the codec and headers of an open encoder with `expected`. RESR_ERR_INTERNAL if they
 * differ. */
RESR_MUST_CHECK int resr_segment_encoder_check(const AVCodecContext *encoder,
                                               const AVCodecParameters *expected);

/* The same against the video's first encoder: with *first NULL, this encoder is the first, and
 * *first gets its parameters, which the caller frees with avcodec_parameters_free(). */
RESR_MUST_CHECK int resr_segment_encoder_match(AVCodecParameters **first,
                                               const AVCodecContext *encoder);

#endif
