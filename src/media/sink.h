#ifndef RESR_MEDIA_SINK_H
#define RESR_MEDIA_SINK_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "media/decode.h"

/* How the output is encoded: what the options --codec, --crf, --preset and --pix-fmt say. */
typedef struct ResrEncodeOptions {
    char codec[64];   /* FFmpeg encoder name; empty: by the output's ending, libx264 for most */
    char preset[32];  /* empty: the encoder's default ("medium" for libx264) */
    char pix_fmt[32]; /* empty: the source's, or the nearest that the encoder takes */
    double crf;       /* negative: the encoder's default (libx264: 17, visually lossless) */
    int32_t threads; /* encoder threads, pinned because x264's output depends on them; 0: default */
    int32_t segment_frames; /* 0: one segment */
    int32_t encoders;       /* segments encoded at once; 0: default */
    bool simulated;         /* the output says in its metadata that no network made it */
} ResrEncodeOptions;

/* What an encoder is told of the video beside its frames' format. Plain data. */
typedef struct ResrEncodingTags {
    int32_t frame_rate_num, frame_rate_den, sar_num, sar_den;
    int32_t color_range;   /* AVCOL_RANGE_* */
    int32_t global_header; /* the container keeps the encoder's headers */
    int32_t chroma_location;
    char pix_fmt[32]; /* the encoder's format; empty: not yet chosen */
} ResrEncodingTags;

/* A finished segment: its frames are first .. first + frames - 1. */
typedef struct ResrSegmentInfo {
    int64_t number, first, frames, bytes;
    int32_t reorder; /* frames that decoding order runs ahead of presentation */
    ResrHash hash;   /* of the file */
} ResrSegmentInfo;

/* A segment that an encoder has finished, and where it is: in a file that waits for its name and is
 * removed with this, or in memory. */
typedef struct ResrSegment {
    ResrSegmentInfo info;
    ResrFrameRecord *frames;   /* info.frames of them */
    char path[PATH_MAX];       /* empty: it is in memory */
    uint8_t *data;             /* then the file's bytes, info.bytes of them; else NULL */
    struct ResrSegment *after; /* for whoever keeps several */
} ResrSegment;

void resr_segment_free(ResrSegment *segment); /* NULL is allowed */

/* Where finished segments are kept, each in a file, until all of them are joined to the output. */
typedef struct ResrSegmentStore {
    void *user;
    const char *folder;
    void (*path)(void *user, char *out, int64_t number); /* into PATH_MAX bytes */
    /* The file `temporary` is complete and gets the output's name next. */
    int (*publishing)(void *user, const char *temporary);
} ResrSegmentStore;

/* Where upscaled frames go: a video file (segments of closed GOPs, each with its own encoder,
 * joined by packet copy, with the source's other streams), one image, or numbered images. One
 * thread uses it at a time. */
typedef struct ResrSink ResrSink;

/* An output as settled before any work. */
typedef struct ResrSinkPlan {
    ResrFormat format; /* of the frames that the sink wants */
    bool video;        /* not an image or several */
    bool segmented; /* finished segments can be kept in files: a video, of a codec that NUT holds */
    char encoder[64], library[64]; /* FFmpeg's name, and the version of its library */
    ResrEncodingTags tags;         /* of a video */
} ResrSinkPlan;

/* Settles the output before any work: fills *out for frames of width_px x height_px (pixel format
 * the encoder takes; colour tags, range and chroma position as in the source), and refuses what
 * cannot work: an unknown encoder or pixel format (RESR_ERR_USAGE), a size the pixel format or
 * encoder cannot hold (odd size with 4:2:0: a 4:4:4 format is named as the way out, or chosen if
 * --pix-fmt was not given and the encoder takes it), a container that cannot hold one of the
 * source's streams (RESR_ERR_USAGE, naming the stream and a container that can), a video sent to a
 * single image or an audio-bearing video sent to images is allowed with a warning. */
RESR_MUST_CHECK int resr_sink_plan(ResrSinkPlan *out, const char *output, const char *input,
                                   const ResrDecoder *decoder, int width_px, int height_px,
                                   const ResrEncodeOptions *options);

/* Opens the output under a temporary name (see base/publish.h), as planned. `decoder` is asked for
 * its information and the names of images; it must outlive the sink. `store` (NULL: segments go
 * straight into the output) is copied. RESR_ERR_EXISTS, RESR_ERR_PERM, RESR_ERR_IO. */
RESR_MUST_CHECK int resr_sink_open(ResrSink **out, const char *output, const char *input,
                                   const ResrDecoder *decoder, const ResrFormat *format,
                                   const ResrEncodeOptions *options, bool overwrite,
                                   const ResrSegmentStore *store);

/* A segment that an earlier attempt finished, and the times of its frames, `pts` and `durations`
 * each of info->frames. Its frames are not written. RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_sink_restore(ResrSink *sink, const ResrSegmentInfo *info,
                                      const int64_t *pts, const int64_t *durations);

/* Are segments kept in a store? Then resr_sink_add() takes them, else resr_sink_write() frames. */
bool resr_sink_stored(const ResrSink *sink);

/* Is the segment in the store? */
bool resr_sink_has(const ResrSink *sink, int64_t number);

/* Adds a finished segment to the store, in any order: its file is on disk under its name when the
 * function returns, and segment->path is empty. The caller records the segment and keeps owning it.
 * RESR_ERR_IO, RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_sink_add(ResrSink *sink, ResrSegment *segment);

/* Encodes the next frame; frames come in order of index without gaps. The frame stays the caller's.
 * RESR_ERR_IO (disk full: the message says what is missing), RESR_ERR_INTERNAL. */
RESR_MUST_CHECK int resr_sink_write(ResrSink *sink, const ResrFrame *frame);

/* Ends the last segment, joins the segments, copies the rest of the other streams, checks the
 * ledger (packets written = frames given and restored) and publishes the file under its final name.
 * `whole`: the frames given are all of the input's; else the other streams end with the last frame.
 */
RESR_MUST_CHECK int resr_sink_finish(ResrSink *sink, bool whole);

/* Packets written to the output so far. From any thread. */
int64_t resr_sink_packets(const ResrSink *sink);

/* What is under way ends soon, with RESR_ERR_STOPPED. From any thread. */
void resr_sink_stop(ResrSink *sink);

/* Name of the encoder in use ("libx264"). */
const char *resr_sink_encoder(const ResrSink *sink);

/* Frees everything; what was not finished is removed. NULL is allowed. */
void resr_sink_close(ResrSink *sink);

#endif
