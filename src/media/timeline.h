#ifndef RESR_MEDIA_TIMELINE_H
#define RESR_MEDIA_TIMELINE_H

/* One rising time line for containers whose clock may jump: recordings that were joined, MPEG
 * transport and program streams after a restart of their encoder. The packets of the video stream
 * define it, so that the decoder and the copied streams, which read the file independently, find
 * the same corrections. Not for other folders. */

#include <libavformat/avformat.h>
#include <stdbool.h>
#include <stdint.h>

/* Microseconds. */
enum { RESR_JUMP_BACK_US = 100000, RESR_JUMP_AHEAD_US = 10000000 };

typedef struct ResrTimeline {
    bool jumps;       /* the container's clock may jump; else nothing is corrected */
    int video;        /* the stream that defines the line */
    int64_t offset;   /* added to the file's times now, in microseconds */
    int64_t next;     /* expected time of the next video packet, on the line */
    int64_t sound;    /* end of the sound that joins on without a jump, on the line */
    int64_t position; /* of the packet where the last jump was found, in bytes; -1: unknown */
    int jumped;       /* number of jumps so far */
} ResrTimeline;

/* Starts the line of `input` at its first packet. Where `jumps` is set afterwards, the video stream
 * and all sound must not be discarded. */
void resr_timeline_start(ResrTimeline *line, const AVFormatContext *input, int video);

/* Follows the line by one packet as the demuxer gave it. Call for every packet, in their order. A
 * jump is a video packet earlier than expected by RESR_JUMP_BACK_US or later by RESR_JUMP_AHEAD_US,
 * unless the sound fills that gap. */
void resr_timeline_follow(ResrTimeline *line, const AVFormatContext *input, const AVPacket *packet);

/* Adds `offset` microseconds to a packet's times, which are in `base`. */
void resr_timeline_shift(AVPacket *packet, AVRational base, int64_t offset);

#endif
