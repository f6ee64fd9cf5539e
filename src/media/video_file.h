#ifndef RESR_MEDIA_VIDEO_FILE_H
#define RESR_MEDIA_VIDEO_FILE_H

/* The output of a sink that makes a video: a container under a temporary name, into which the
 * segments' packets go with the times of the source's frames. For sink*.c only. */

#include <limits.h>

#include "media/mux.h"
#include "media/sink_ops.h"

/* Zero-initialise, and set `sink`. */
typedef struct ResrVideoFile {
    ResrSink *sink;
    ResrMuxer *muxer;
    char temporary[PATH_MAX];
    bool created;             /* the file `temporary` exists */
    int64_t *pts, *durations; /* of the sink's frames, in the decoder's time base */
    size_t pts_capacity, durations_capacity;
    int reorder; /* frames that decoding order runs ahead of presentation, over the whole video */
} ResrVideoFile;

/* Creates the container, in `folder` if the output can be renamed from there (NULL: beside the
 * output), and sets the encoding's global_header as the container requires. Errors of
 * resr_muxer_open(). */
RESR_MUST_CHECK int resr_video_file_open(ResrVideoFile *file, const char *folder);

/* The video stream of the output: as an open encoder writes it, with the properties of the source.
 * Valid as long as `decoder` and `encoder`. */
ResrContainerVideo resr_video_file_describe(const ResrDecoder *decoder, const ResrEncoder *encoder);

/* Writes the container's header, as an open encoder describes the video. Errors of
 * resr_muxer_start(). */
RESR_MUST_CHECK int resr_video_file_start(ResrVideoFile *file, const ResrEncoder *encoder);

/* Sets the time of frame `index`; the sink's frames then include it. RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_video_file_set_time(ResrVideoFile *file, int64_t index, int64_t pts,
                                             int64_t duration);

/* Writes a packet of the segment whose first frame is `first`; packet->pts counts from that frame.
 * Packets come in decoding order over the whole video. RESR_ERR_STOPPED, RESR_ERR_INTERNAL (the
 * packet is outside the reorder depth), errors of resr_muxer_write(). */
RESR_MUST_CHECK int resr_video_file_write(ResrVideoFile *file, int64_t first, AVPacket *packet);

/* Completes the container: rest of the copied streams (`whole`: all; else up to the end of the last
 * frame) and trailer. RESR_ERR_INTERNAL if not every frame became a packet; errors of
 * resr_muxer_finish(). */
RESR_MUST_CHECK int resr_video_file_finish(ResrVideoFile *file, bool whole);

/* Gives the complete file the output's name. Errors of resr_publish(). */
RESR_MUST_CHECK int resr_video_file_publish(ResrVideoFile *file);

/* Closes the container and removes the file; resr_video_file_open() may follow. */
void resr_video_file_discard(ResrVideoFile *file);

void resr_video_file_close(ResrVideoFile *file); /* discards; frees the frames' times */

#endif
