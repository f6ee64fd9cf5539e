#ifndef RESR_MEDIA_DECLARED_H
#define RESR_MEDIA_DECLARED_H

/* What a file declares about the length of its video stream, compared with what was read of it: how
 * a cut file is told from a whole one. Not for other folders. */

#include <libavformat/avformat.h>

#include "media/decode.h"

typedef struct ResrDeclared {
    int64_t packets;      /* of the video stream by the file's index or header; 0: not declared */
    int64_t last_dts;     /* of its last packet by the index, or AV_NOPTS_VALUE */
    double end_seconds;   /* when the video ends; 0: not declared */
    double slack_seconds; /* of it */
    bool counts_all;      /* packets that are lost in the middle show in the count only */
    bool either;          /* `packets` may be a duration as well: both must be short */
    bool every_stream;    /* end_seconds is when the longest stream ends: all streams are read */
    bool stream_of_bits;  /* may be recorded from any moment: starts with pictures that cannot be
                             decoded (MPEG-TS, MPEG-PS, raw streams) */
    int cut_stream;       /* another stream whose packets lie behind the end of the file; or -1 */
    bool unknown;         /* one of the formats in which a missing end cannot be seen */
    const char *defect;   /* the file's size or last bytes show that its end is missing; or NULL */
} ResrDeclared;

/* What was read of the file. */
typedef struct ResrExtent {
    int64_t packets;  /* of the video stream; negative: reading started in the middle */
    int64_t last_dts; /* the largest, or AV_NOPTS_VALUE */
    double end_seconds, every_end_seconds; /* of the video, of the longest stream */
} ResrExtent;

/* `path` is the file that `input` is reading. */
void resr_declared_read(ResrDeclared *out, const AVFormatContext *input, int stream,
                        const char *path);

/* A packet that was read of any stream. */
void resr_extent_add(ResrExtent *extent, const AVStream *of, const AVPacket *packet, bool video);

/* NULL if nothing that the file declares is missing, else the reason. `frame_seconds`: how long a
 * frame lasts. *missing: number of frames that are known to be missing, or 0. */
const char *resr_declared_missing(const ResrDeclared *declared, const ResrExtent *extent,
                                  double frame_seconds, int64_t *missing);

#endif
