#ifndef RESR_MEDIA_SEGMENT_H
#define RESR_MEDIA_SEGMENT_H

/* A segment's packets as a NUT file (FFmpeg's container that keeps any time base), on disk or in
 * memory. A complete file can be played. Not for other folders. */

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

#include "media/encode.h"

/* True if NUT can store the packets of this open encoder. False for encoders that return their
 * headers with the first packet although the output's container needs them before (libaom-av1), and
 * for alpha that is stored beside the packets. */
bool resr_segment_holds(const AVCodecContext *encoder);

typedef struct ResrSegmentWriter {
    const char *path; /* NULL: in memory */
    AVFormatContext *context;
    AVRational time_base; /* of the packets: a frame */
    int64_t bytes;        /* of packets so far */
} ResrSegmentWriter;

/* Creates the file `path`, which must outlive the writer, for the packets of `encoder`; NULL: in
 * memory. RESR_ERR_IO; resr_segment_abandon() releases the writer after a failure. */
RESR_MUST_CHECK int resr_segment_create(ResrSegmentWriter *writer, const char *path,
                                        const AVCodecContext *encoder);

/* Adds a packet, which stays the caller's; its pts is the frame's number in the segment.
 * RESR_ERR_IO: the message says so if the disk is full. */
RESR_MUST_CHECK int resr_segment_write(ResrSegmentWriter *writer, const AVPacket *packet);

/* Writes the file's end and closes it: every byte was accepted by the file system. RESR_ERR_IO. */
RESR_MUST_CHECK int resr_segment_end(ResrSegmentWriter *writer);

/* The same in memory: *data, of *bytes bytes, is the caller's to free. RESR_ERR_INTERNAL. */
RESR_MUST_CHECK int resr_segment_end_in_memory(ResrSegmentWriter *writer, uint8_t **data,
                                               int64_t *bytes);

/* Closes an incomplete file, which is not removed. Safe on a closed or zeroed writer. */
void resr_segment_abandon(ResrSegmentWriter *writer);

/* Calls `handler` for each packet of a file, in decoding order, pts as given to
 * resr_segment_write(). RESR_ERR_INTERNAL if the file's codec and headers are not those of
 * `expect`; RESR_ERR_DATA (the file is damaged); or the handler's error. */
RESR_MUST_CHECK int resr_segment_read(const char *path, const AVCodecContext *expect,
                                      ResrPacketHandler handler, void *user);

#endif
