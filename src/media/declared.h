#ifndef RESR_MEDIA_DECLARED_H
#define RESR_MEDIA_DECLARED_H

/* The length that a file declares for its video stream, compared with the data that was read, to
 * detect cut files. Not for other folders. */

#include <libavformat/avformat.h>
#include <stdatomic.h>

#include "media/decode.h"

typedef struct ResrDeclared {
    int64_t packets;      /* of the video stream in the file's index or header; 0: not declared */
    int64_t last_dts;     /* of the video's last packet in the index, or AV_NOPTS_VALUE */
    double end_seconds;   /* when the video ends; 0: not declared */
    double slack_seconds; /* of it */
    bool counts_all;      /* lost packets in the middle change the count only */
    bool either;       /* `packets` may be a duration instead: the file is cut if both are short */
    bool every_stream; /* end_seconds is the end of the longest stream: all streams are read */
    bool stream_of_bits; /* recordings may start anywhere, with undecodable pictures (MPEG-TS,
                            MPEG-PS, raw streams) */
    int cut_stream;      /* another stream whose packets lie behind the end of the file; or -1 */
    bool unknown;        /* in this format a missing end cannot be detected */
    const char *defect;  /* the file's size or last bytes show that its end is missing; or NULL */
} ResrDeclared;

/* The data that was read from the file. */
typedef struct ResrExtent {
    int64_t packets;  /* of the video stream; negative: reading started in the middle */
    int64_t last_dts; /* the largest, or AV_NOPTS_VALUE */
    double end_seconds, every_end_seconds; /* of the video, of the longest stream */
} ResrExtent;

/* `path` is the file that `input` reads; the function opens the file once more. `stop` and errors
 * as in resr_avio_open(). */
RESR_MUST_CHECK int resr_declared_read(ResrDeclared *out, const AVFormatContext *input, int stream,
                                       const char *path, const atomic_bool *stop);

/* Counts a packet that was read, of any stream. */
void resr_extent_add(ResrExtent *extent, const AVStream *of, const AVPacket *packet, bool video);

/* NULL if the declared length was read, else a description of the missing part. `frame_seconds`:
 * duration of a frame. *missing: number of missing frames, or 0 if unknown. */
const char *resr_declared_missing(const ResrDeclared *declared, const ResrExtent *extent,
                                  double frame_seconds, int64_t *missing);

#endif
