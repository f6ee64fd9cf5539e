#include "fake_checkpoint.h"

#include <stdio.h>

#include "base/clock.h"

void resr_checkpoint_retain(ResrCheckpoint *checkpoint, ResrFrame *frame)
{
    (void)frame;
    checkpoint->retained++;
}

int resr_checkpoint_error(ResrCheckpoint *checkpoint)
{
    return checkpoint->error ? resr_fail(checkpoint->error, "b0.h5: no space left") : 0;
}

void resr_checkpoint_decide_batch_files(ResrCheckpoint *checkpoint, const ResrPlan *plan,
                                        const ResrRankInfo *ranks, int live)
{
    (void)checkpoint;
    (void)plan;
    (void)ranks;
    (void)live;
}

void resr_checkpoint_record_exclusion(ResrCheckpoint *checkpoint, const char *host, int rank)
{
    (void)host;
    checkpoint->excluded_at[checkpoint->exclusions % 8] = resr_clock_seconds_since(0);
    checkpoint->excluded[checkpoint->exclusions++ % 8] = rank;
}

ResrFrameState resr_checkpoint_frame_state(const ResrCheckpoint *checkpoint, int64_t index)
{
    return index < checkpoint->durable ? RESR_FRAME_DURABLE : RESR_FRAME_DECODED;
}

double resr_checkpoint_stall(const ResrCheckpoint *checkpoint)
{
    (void)checkpoint;
    return 0;
}

int64_t resr_checkpoint_frames_total(const ResrCheckpoint *checkpoint)
{
    (void)checkpoint;
    return -1;
}

int64_t resr_checkpoint_source(const ResrCheckpoint *checkpoint, int64_t *pts,
                               char hash[RESR_HASH_HEX_BYTES])
{
    (void)checkpoint;
    (void)pts;
    (void)hash;
    return -1;
}

int resr_checkpoint_load(ResrCheckpoint *checkpoint, ResrFrame **out, int64_t index)
{
    (void)checkpoint;
    (void)out;
    return resr_fail(RESR_ERR_DATA, "frame %d has no batch file", (int)index);
}

int resr_checkpoint_end_of_input(ResrCheckpoint *checkpoint, int64_t frames)
{
    checkpoint->end_of_input = frames;
    return 0;
}

int resr_checkpoint_commit(ResrCheckpoint *checkpoint, const ResrSegmentInfo *info,
                           const ResrFrameTable *table)
{
    (void)info;
    (void)table;
    checkpoint->commits++;
    return 0;
}

static void segment_path(void *user, char *out, int64_t number)
{
    snprintf(out, PATH_MAX, "%s/segment-%d.nut", ((ResrCheckpoint *)user)->folder, (int)number);
}

static int publishing(void *user, const char *temporary)
{
    (void)temporary;
    ((ResrCheckpoint *)user)->published++;
    return 0;
}

ResrSegmentStore resr_checkpoint_store(ResrCheckpoint *checkpoint)
{
    return (ResrSegmentStore){checkpoint, checkpoint->folder, segment_path, publishing};
}
