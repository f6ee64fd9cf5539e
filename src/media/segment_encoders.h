#ifndef RESR_MEDIA_SEGMENT_ENCODERS_H
#define RESR_MEDIA_SEGMENT_ENCODERS_H

#include "media/sink.h"

/* Encodes the segments of a video, several at the same time, each with an encoder of its own. A
 * segment's bytes depend on its frames only, not on threads or order of arrival. Functions may be
 * called from any thread, except where they say otherwise. */
typedef struct ResrSegmentEncoders ResrSegmentEncoders;

typedef struct ResrSegmentEncodersConfig {
    ResrFormat input, format;         /* of the video's source; of the frames to encode */
    const ResrEncodeOptions *options; /* the same on all ranks; must outlive the encoders */
    ResrEncodingTags tags;
    int threads; /* segments encoded at the same time */
    void *user;
    /* Names a segment's file, which gets a temporary name beside that. NULL: segments stay in
     * memory. Must outlive the encoders. */
    const ResrSegmentStore *store;
    /* Takes ownership of a finished segment, also if it fails. Called by several threads at the
     * same time, with no lock held. */
    int (*finished)(void *user, ResrSegment *segment);
    /* Reports the first error, of `finished` too; its text is that of the calling thread. Threads
     * still end their current piece of work. Must not call this module: its lock is held. */
    void (*failed)(void *user, int status);
} ResrSegmentEncodersConfig;

/* Starts the threads. RESR_ERR_INTERNAL; RESR_ERR_USAGE if this FFmpeg has no such encoder. */
RESR_MUST_CHECK int resr_segment_encoders_start(ResrSegmentEncoders **out,
                                                const ResrSegmentEncodersConfig *config);

/* Takes ownership of a frame of any segment, and returns at once. The frame's hash is verified
 * before it is encoded. Frames of a segment may arrive in any order; duplicates are freed. */
void resr_segment_encoders_add_frame(ResrSegmentEncoders *encoders, ResrFrame *frame);

/* Takes ownership of a segment in memory that another rank encoded: a thread verifies its hash and
 * calls `finished` for it. */
void resr_segment_encoders_import_segment(ResrSegmentEncoders *encoders, ResrSegment *segment);

/* Sets the number of frames of the video: its last segment may be shorter than the others. */
void resr_segment_encoders_end(ResrSegmentEncoders *encoders, int64_t frames);

/* Frames encoded so far; and frames, and ends of segments, that wait. */
int64_t resr_segment_encoders_frames(const ResrSegmentEncoders *encoders);
int64_t resr_segment_encoders_backlog(const ResrSegmentEncoders *encoders);

/* Packets that the encoders returned so far: rises as long as they work. */
int64_t resr_segment_encoders_packets(const ResrSegmentEncoders *encoders);

/* Seconds of work of all threads together; and the part of them spent on hashes of frames. */
double resr_segment_encoders_seconds(const ResrSegmentEncoders *encoders);
double resr_segment_encoders_hashing(const ResrSegmentEncoders *encoders);

/* Raises *now to the seconds that a thread has spent on its current piece of work, and *longest to
 * the most that a thread ever spent on one piece. */
void resr_segment_encoders_stall(const ResrSegmentEncoders *encoders, double *now, double *longest);

/* Ends the threads, after their current piece of work, and removes unfinished segments. Call from
 * one thread only; NULL is allowed. */
void resr_segment_encoders_stop(ResrSegmentEncoders *encoders);

void resr_segment_encoders_free(ResrSegmentEncoders *encoders); /* stops; NULL is allowed */

#endif
