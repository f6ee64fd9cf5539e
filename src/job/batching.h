#ifndef RESR_JOB_BATCHING_H
#define RESR_JOB_BATCHING_H

#include <stdint.h>

/* The hierarchy of a job: video > segment > batch > part > frame. A segment is `segment_frames`
 * frames (0: the whole video) with its own encoder. A batch is `batch_frames` frames and never
 * crosses a segment. A part is the piece of a batch in one message. */
typedef struct ResrBatching {
    int64_t segment_frames;
    int64_t batch_frames;
} ResrBatching;

/* Frames first .. first + count - 1 of one batch, for one rank. `attempt` (from 1) distinguishes
 * late results from current ones; `failures` counts the attempts that ranks reported as failed:
 * after RESR_MAX_FAILURES the part is not retried. */
typedef struct ResrPart {
    int64_t batch;
    int64_t first;
    int32_t count;
    int16_t attempt;
    int16_t failures;
} ResrPart;

static inline int64_t resr_batching_batches_per_segment(const ResrBatching *batching)
{
    return (batching->segment_frames + batching->batch_frames - 1) / batching->batch_frames;
}

/* Number of the batch that frame `frame` belongs to, counted over the whole video. */
static inline int64_t resr_batching_batch_of(const ResrBatching *batching, int64_t frame)
{
    if (batching->segment_frames == 0)
        return frame / batching->batch_frames;
    return frame / batching->segment_frames * resr_batching_batches_per_segment(batching) +
           frame % batching->segment_frames / batching->batch_frames;
}

/* First frame of the batch of `frame`. */
static inline int64_t resr_batching_batch_first(const ResrBatching *batching, int64_t frame)
{
    int64_t segment =
        batching->segment_frames ? frame / batching->segment_frames * batching->segment_frames : 0;
    return segment + (frame - segment) / batching->batch_frames * batching->batch_frames;
}

/* First frame after the batch of `frame`, if the video does not end before. */
static inline int64_t resr_batching_batch_end(const ResrBatching *batching, int64_t frame)
{
    if (batching->segment_frames == 0)
        return (frame / batching->batch_frames + 1) * batching->batch_frames;
    int64_t segment = frame / batching->segment_frames * batching->segment_frames;
    int64_t end =
        segment + ((frame - segment) / batching->batch_frames + 1) * batching->batch_frames;
    int64_t segment_end = segment + batching->segment_frames;
    return end < segment_end ? end : segment_end;
}

#endif
