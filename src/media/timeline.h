#ifndef RESR_MEDIA_TIMELINE_H
#define RESR_MEDIA_TIMELINE_H

/* One rising time line for containers whose clock may jump: joined recordings, and MPEG transport
 * and program streams after a restart of their encoder. The packets of the video stream define it,
 * so that the decoder and the copied streams, which read the file independently, find the same
 * corrections. Not for other folders. */

#include <libavformat/avformat.h>
#include <stdbool.h>
#include <stdint.h>

/* Microseconds. */
enum { RESR_JUMP_BACK_US = 100000, RESR_JUMP_AHEAD_US = 10000000 };

typedef struct ResrTimeline {
    bool jumps;       /* the container's clock may jump; else nothing is corrected */
    int video;        /* the stream that defines the line */
    int64_t offset;   /* added to the file's current times, in microseconds */
    int64_t next;     /* expected time of the next video packet, on the line */
    int64_t sound;    /* end, on the line, of the sound that continues without a jump */
    int64_t position; /* of the packet where the last jump was found, in bytes; -1: unknown */
    int jumped;       /* number of jumps so far */
} ResrTimeline;

/* Replaces times that are too large to compute with by unknown times, and such a duration by an
 * endless duration. Call for every packet that is read, before the functions below. `base`: time
 * base of the packet. */
void resr_timeline_sanitize(AVPacket *packet, AVRational base);

/* Starts the line of `input` at its first packet. If this call sets `jumps`, the caller must not
 * discard packets of the video stream or of sound. */
void resr_timeline_start(ResrTimeline *line, const AVFormatContext *input, int video);

/* Advances the line by one packet of the demuxer. Call for every packet, in the order of the file.
 * A jump is a video packet earlier than expected by RESR_JUMP_BACK_US or later by
 * RESR_JUMP_AHEAD_US, unless the sound fills that gap. */
void resr_timeline_follow(ResrTimeline *line, const AVFormatContext *input, const AVPacket *packet);

/* Adds `offset` microseconds to a packet's times, which are in `base`; times out of range become
 * unknown. */
void resr_timeline_shift(AVPacket *packet, AVRational base, int64_t offset);

#endif
