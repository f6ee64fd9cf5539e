#ifndef RESR_CKPT_REPLAY_H
#define RESR_CKPT_REPLAY_H

#include "ckpt/checkpoint.h"
#include "ckpt/jobdir.h"

/* The finished work of a job, by its journal and its files. */
typedef struct ResrReplay {
    ResrSegmentInfo *segments; /* complete ones, by number */
    int segment_count;
    ResrRecord *batches; /* RESR_RECORD_BATCH of complete files, by first frame */
    size_t batch_count;
    uint8_t *states; /* ResrFrameState of frames 0 .. frames - 1 */
    int64_t frames;
    size_t capacity;   /* of states */
    ResrRecord source; /* RESR_RECORD_SOURCE of the last frame before the first missing frame; type
                          0: unknown */
    int64_t segment_frames; /* 0: one segment holds the video */
    int64_t total;          /* frames of the input, -1: unknown */
    bool bridged;   /* finished frames may bridge damage in the input: `source` and `total` stay
                       unset, so that all of the input is decoded again */
    bool published; /* the output is the file of the last record of a published output */
} ResrReplay;

/* A record counts only if its file exists and matches the record's hash; a segment must also
 * contain the frames of its number (`segment_frames` a segment; 0: one segment holds all). Files
 * without a record are removed, as are batch files of finished segments, unless they are kept:
 * `frames_folder` is then their final folder (else empty). Entries of finished segments go into
 * `table`. RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_replay(ResrReplay *out, const ResrJobDir *dir, const char *output,
                                const ResrRecord *records, size_t count, int64_t segment_frames,
                                const char *frames_folder, ResrFrameTable *table);
void resr_replay_clear(ResrReplay *replay);

#endif
