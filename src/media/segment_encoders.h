#ifndef RESR_MEDIA_SEGMENT_ENCODERS_H
#define RESR_MEDIA_SEGMENT_ENCODERS_H

#include "media/sink.h"

/* Encodes the segments of a video, several at once: each has an encoder of its own, and threads
 * take whichever segment's next frame is there. A segment's bytes depend on its frames only. */
typedef struct ResrSegmentEncoders ResrSegmentEncoders;

typedef struct ResrSegmentEncodersConfig {
    ResrFormat input, format;         /* of the video's source, and of the frames that are given */
    const ResrEncodeOptions *options; /* the same for all ranks; must outlive the encoders */
    ResrEncodingTags tags;
    int threads; /* segments encoded at once */
    void *user;
    /* Where a segment's file goes, into PATH_MAX bytes; NULL: segments stay in memory. */
    void (*path)(void *user, char *out, int64_t number);
    /* Takes over a finished segment. Called by the encoders' threads, as the next one is. */
    int (*finished)(void *user, ResrSegment *segment);
    /* Something failed, `finished` included, with the thread's error text; nothing more comes. */
    void (*failed)(void *user, int status);
} ResrSegmentEncodersConfig;

/* RESR_ERR_INTERNAL; RESR_ERR_USAGE where the encoder cannot be had. */
RESR_MUST_CHECK int resr_segment_encoders_start(ResrSegmentEncoders **out,
                                                const ResrSegmentEncodersConfig *parts);

/* Takes over a frame of any segment, with its hash, which is compared before it is encoded; never
 * waits. Frames of a segment may come in any order; one that was there before is dropped. */
void resr_segment_encoders_add_frame(ResrSegmentEncoders *encoders, ResrFrame *frame);

/* Takes over a segment that was encoded elsewhere: a thread calls `finished` for it. */
void resr_segment_encoders_import_segment(ResrSegmentEncoders *encoders, ResrSegment *segment);

/* The video has `frames` frames: the last segment may be shorter. */
void resr_segment_encoders_end(ResrSegmentEncoders *encoders, int64_t frames);

/* Frames that were encoded; frames, and ends of segments, that are not. From any thread. */
int64_t resr_segment_encoders_frames(const ResrSegmentEncoders *encoders);
int64_t resr_segment_encoders_backlog(const ResrSegmentEncoders *encoders);

/* Packets that were made: grows while the encoders get on. From any thread. */
int64_t resr_segment_encoders_packets(const ResrSegmentEncoders *encoders);

/* Seconds that they spent on hashes, of those below. */
double resr_segment_encoders_hashing(const ResrSegmentEncoders *encoders);

/* Seconds that the threads spent at work, together; and what one has spent on what it does now, and
 * the most that was ever spent on one thing. */
double resr_segment_encoders_seconds(const ResrSegmentEncoders *encoders);
void resr_segment_encoders_stall(const ResrSegmentEncoders *encoders, double *now, double *longest);

/* Ends the threads at once; what is not finished is removed. NULL is allowed. */
void resr_segment_encoders_stop(ResrSegmentEncoders *encoders);

void resr_segment_encoders_free(ResrSegmentEncoders *encoders); /* stops them; NULL is allowed */

#endif
