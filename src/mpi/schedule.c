#include "mpi/schedule.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/memory.h"

typedef struct RankState {
    int rank;
    int in_flight;
    int64_t batch; /* static: the batch it is at, and the next frame of it */
    int64_t frame;
} RankState;

struct ResrScheduler {
    ResrUnits units;
    int64_t part_frames;
    bool fixed;            /* --schedule static */
    int64_t decoded, next; /* pull: first frame not handed out */
    bool at_end;
    int n, turn;
    RankState ranks[];
};

static int64_t first_frame_of(const ResrUnits *units, int64_t batch)
{
    if (units->segment_frames == 0)
        return batch * units->batch_frames;
    int64_t per_segment = resr_units_batches_per_segment(units);
    return batch / per_segment * units->segment_frames + batch % per_segment * units->batch_frames;
}

int resr_scheduler_create(ResrScheduler **out, const ResrPlan *plan, int schedule, const int *ranks,
                          int n)
{
    int ret = resr_alloc(out, 1, sizeof(ResrScheduler) + (size_t)n * sizeof(RankState));
    if (ret < 0)
        return ret;
    ResrScheduler *scheduler = *out;
    scheduler->units = plan->units;
    scheduler->part_frames = plan->part_frames;
    scheduler->fixed = schedule == RESR_SCHEDULE_STATIC;
    scheduler->n = n;
    for (int i = 0; i < n; i++)
        scheduler->ranks[i] = (RankState){ranks[i], 0, i, first_frame_of(&plan->units, i)};
    return 0;
}

void resr_scheduler_free(ResrScheduler *scheduler)
{
    free(scheduler);
}

void resr_scheduler_update(ResrScheduler *scheduler, int64_t decoded, bool at_end)
{
    scheduler->decoded = decoded;
    scheduler->at_end = at_end;
}

/* Frames of a part near the end: what is left, shared among all slots, as a power of two. */
static int64_t tail_frames(const ResrScheduler *scheduler)
{
    int64_t left = scheduler->decoded - scheduler->next;
    int64_t slots = (int64_t)scheduler->n * RESR_PARTS_IN_FLIGHT;
    int64_t frames = scheduler->part_frames;
    while (frames > 1 && frames * slots > left)
        frames /= 2;
    return frames;
}

/* Cuts a part that begins at `first`; false if its frames are not all there yet. */
static bool cut_part(const ResrScheduler *scheduler, ResrPart *part, int64_t first, int64_t frames)
{
    int64_t end = resr_units_batch_end(&scheduler->units, first);
    if (end > first + frames)
        end = first + frames;
    if (end > scheduler->decoded) {
        if (!scheduler->at_end || first >= scheduler->decoded)
            return false;
        end = scheduler->decoded;
    }
    *part =
        (ResrPart){resr_units_batch_of(&scheduler->units, first), first, (int32_t)(end - first), 1};
    return true;
}

static bool next_static(ResrScheduler *scheduler, ResrPart *part, int *rank)
{
    for (int i = 0; i < scheduler->n; i++) {
        RankState *state = &scheduler->ranks[(scheduler->turn + i) % scheduler->n];
        if (state->in_flight >= RESR_PARTS_IN_FLIGHT ||
            !cut_part(scheduler, part, state->frame, scheduler->part_frames))
            continue;
        state->frame = part->first + part->count;
        if (state->frame == resr_units_batch_end(&scheduler->units, part->first)) {
            state->batch += scheduler->n;
            state->frame = first_frame_of(&scheduler->units, state->batch);
        }
        state->in_flight++;
        *rank = state->rank;
        scheduler->turn = (scheduler->turn + i + 1) % scheduler->n;
        return true;
    }
    return false;
}

bool resr_scheduler_next(ResrScheduler *scheduler, ResrPart *part, int *rank)
{
    if (scheduler->fixed)
        return next_static(scheduler, part, rank);
    RankState *best = NULL;
    for (int i = 0; i < scheduler->n; i++) {
        RankState *state = &scheduler->ranks[i];
        if (state->in_flight < RESR_PARTS_IN_FLIGHT &&
            (!best || state->in_flight < best->in_flight))
            best = state;
    }
    int64_t frames = scheduler->at_end ? tail_frames(scheduler) : scheduler->part_frames;
    if (!best || !cut_part(scheduler, part, scheduler->next, frames))
        return false;
    scheduler->next += part->count;
    best->in_flight++;
    *rank = best->rank;
    return true;
}

void resr_scheduler_done(ResrScheduler *scheduler, int rank)
{
    for (int i = 0; i < scheduler->n; i++)
        if (scheduler->ranks[i].rank == rank)
            scheduler->ranks[i].in_flight--;
}
