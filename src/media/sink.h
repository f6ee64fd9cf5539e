#ifndef RESR_MEDIA_SINK_H
#define RESR_MEDIA_SINK_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "media/decode.h"

/* How the output is encoded: the options --codec, --crf, --preset, --pix-fmt and related ones. */
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

/* Properties of the video that an encoder needs in addition to the frames' format. Plain data. */
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

/* A finished segment: in a file under a temporary name, which resr_segment_free() removes, or in
 * memory. */
typedef struct ResrSegment {
    ResrSegmentInfo info;
    ResrFrameRecord *frames;  /* info.frames of them */
    char path[PATH_MAX];      /* the temporary file; empty: the segment is in memory, or stored */
    uint8_t *data;            /* in memory: the file's info.bytes bytes; else NULL */
    struct ResrSegment *next; /* in a list of its owner */
} ResrSegment;

void resr_segment_free(ResrSegment *segment); /* NULL is allowed */

/* Where finished segments are stored, each in a file, until they are joined to the output. */
typedef struct ResrSegmentStore {
    void *user;
    const char *folder; /* of the job */
    /* Writes the path of a segment's file to `out`, PATH_MAX bytes. */
    void (*path)(void *user, char *out, int64_t number);
    /* Called when the output is complete in the file `temporary`, before it gets the output's name.
     */
    int (*publishing)(void *user, const char *temporary);
} ResrSegmentStore;

/* The output of upscaled frames: a video file (segments of closed GOPs, each with its own encoder,
 * joined by packet copy, with the source's other streams), one image, or numbered images. Call from
 * one thread at a time, except where a function says otherwise. */
typedef struct ResrSink ResrSink;

/* An output as planned before the work starts. */
typedef struct ResrSinkPlan {
    ResrFormat format; /* of the frames that the sink takes */
    bool video;        /* else one or more images */
    bool segmented;    /* finished segments can be stored: a video, of a codec that NUT holds */
    char encoder[64], library[64]; /* FFmpeg's name, and the version of its library */
    ResrEncodingTags tags;         /* of a video */
} ResrSinkPlan;

/* Plans the output for frames of width_px x height_px: the pixel format that the encoder takes;
 * colour tags, range and chroma position of the source. Opens the encoder and tries the container,
 * so that an output that cannot work is refused before the work starts. RESR_ERR_USAGE: an unknown
 * encoder or pixel format; a size that encoder or pixel format cannot hold (odd sizes with 4:2:0:
 * without --pix-fmt, a 4:4:4 format of the encoder is chosen instead); a stream of the source that
 * the container cannot hold (the message names the stream and a container that can); several frames
 * for one image. Warns of content that the output cannot store. */
RESR_MUST_CHECK int resr_sink_plan(ResrSinkPlan *out, const char *output, const char *input,
                                   const ResrDecoder *decoder, int width_px, int height_px,
                                   const ResrEncodeOptions *options);

/* Opens the output under a temporary name (see base/publish.h), as planned. The strings and
 * `decoder`, which is asked for its information and the names of images, must outlive the sink.
 * `store` is copied; with NULL, frames are encoded straight into the output. RESR_ERR_EXISTS,
 * RESR_ERR_PERM, RESR_ERR_IO, and the errors of resr_sink_plan(). */
RESR_MUST_CHECK int resr_sink_open(ResrSink **out, const char *output, const char *input,
                                   const ResrDecoder *decoder, const ResrFormat *format,
                                   const ResrEncodeOptions *options, bool overwrite,
                                   const ResrSegmentStore *store);

/* True if the sink stores segments, from resr_sink_add(); else it takes frames, from
 * resr_sink_write(). */
bool resr_sink_stored(const ResrSink *sink);

/* Adds a segment that an earlier attempt stored, with the times of its frames: `pts` and
 * `durations`, each of info->frames. RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_sink_restore(ResrSink *sink, const ResrSegmentInfo *info,
                                      const int64_t *pts, const int64_t *durations);

/* True if a segment is stored. */
bool resr_sink_has(const ResrSink *sink, int64_t number);

/* Adds a finished segment to the store, in any order: its file is on disk under its name when the
 * function returns, and segment->path is empty. The caller records the segment and keeps owning it.
 * RESR_ERR_IO, RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_sink_add(ResrSink *sink, ResrSegment *segment);

/* Encodes the next frame, of index 0, 1, 2 ...; the frame stays the caller's. RESR_ERR_IO (disk
 * full: the message names the bytes that are missing), RESR_ERR_INTERNAL. */
RESR_MUST_CHECK int resr_sink_write(ResrSink *sink, const ResrFrame *frame);

/* Finishes the last segment or joins the stored segments, copies the rest of the other streams,
 * checks that every frame became a packet, and publishes the file under its final name. `whole`:
 * the sink has all of the input's frames; else the other streams end with the last frame. */
RESR_MUST_CHECK int resr_sink_finish(ResrSink *sink, bool whole);

/* Packets, or images, written to the output so far. From any thread. */
int64_t resr_sink_packets(const ResrSink *sink);

/* Ends a call in progress soon, with RESR_ERR_STOPPED. From any thread. */
void resr_sink_stop(ResrSink *sink);

/* Name of the encoder in use ("libx264"). */
const char *resr_sink_encoder(const ResrSink *sink);

/* Frees the sink and removes an unfinished output. NULL is allowed. */
void resr_sink_close(ResrSink *sink);

#endif
