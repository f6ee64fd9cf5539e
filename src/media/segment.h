#ifndef RESR_MEDIA_SEGMENT_H
#define RESR_MEDIA_SEGMENT_H

/* A segment's packets in a file of its own, or in memory as they would lie there, in NUT (FFmpeg's
 * container that keeps any time base): complete, it can be played, and it survives whatever happens
 * afterwards. Not for other folders.
 */

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

#include "media/encode.h"

/* Can NUT hold what this open encoder makes? Not if it gives its headers with the first packet only
 * though the output's container needs them first (libaom-av1). */
bool resr_segment_holds(const AVCodecContext *encoder);

typedef struct ResrSegmentWriter {
    const char *path; /* NULL: in memory */
    AVFormatContext *context;
    AVRational time_base; /* of the packets: a frame */
    int64_t bytes;        /* of packets so far */
} ResrSegmentWriter;

/* Creates `path` for the packets of `encoder`; NULL: they stay in memory. RESR_ERR_IO. */
RESR_MUST_CHECK int resr_segment_create(ResrSegmentWriter *writer, const char *path,
                                        const AVCodecContext *encoder);

/* Adds a packet whose pts is the frame's number in the segment; it stays the caller's. RESR_ERR_IO:
 * on a full disk the message says so. */
RESR_MUST_CHECK int resr_segment_write(ResrSegmentWriter *writer, const AVPacket *packet);

/* Writes the file's end and closes it: every byte was accepted by the file system. RESR_ERR_IO. */
RESR_MUST_CHECK int resr_segment_end(ResrSegmentWriter *writer);

/* The same where it is in memory: *data, of *bytes, is the caller's. */
RESR_MUST_CHECK int resr_segment_take(ResrSegmentWriter *writer, uint8_t **data, int64_t *bytes);
void resr_segment_abandon(ResrSegmentWriter *writer); /* safe on a zeroed one */

/* Hands out a file's packets in decoding order, pts as given to resr_segment_write(). `expect`: the
 * encoder's own headers must be those in the file (RESR_ERR_INTERNAL). RESR_ERR_DATA. */
RESR_MUST_CHECK int resr_segment_read(const char *path, const AVCodecContext *expect,
                                      ResrPacketHandler handler, void *user);

#endif
