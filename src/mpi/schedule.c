#include "mpi/schedule.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/memory.h"

/* Of a rank's frames before the last part: how much they count for its speed. */
#define FORGET 0.75

/* A part more for a rank that is not the first to be free, if its share is so many frames. */
#define WORTH_FRAMES 0.75

/* What a slow rank's part may take, in batches of the fastest. */
#define LONGEST_PART 1.5

typedef struct RankState {
    int rank;
    bool lost;
    double frames, seconds; /* computed so far, and the time that took: its speed */
    double since;           /* it works on the first of its parts since then */
    int in_flight;
    ResrPart parts[RESR_PARTS_IN_FLIGHT]; /* the first in_flight of them */
    int64_t batch;                        /* static: the batch it is at, and the next frame of it */
    int64_t frame;
} RankState;

struct ResrScheduler {
    ResrUnits units;
    int64_t part_frames;
    bool fixed;            /* --schedule static */
    int64_t expected;      /* frames of the video, 0: unknown */
    double now;            /* seconds */
    int64_t decoded, next; /* pull: first frame not handed out */
    bool at_end;
    ResrFrameNeeded needed;
    void *user;
    int again_count; /* parts to be sent again; at most all frames there are */
    ResrPart *again;
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
                          int n, ResrFrameNeeded needed, void *user)
{
    int ret = resr_alloc(out, 1, sizeof(ResrScheduler) + (size_t)n * sizeof(RankState));
    if (ret < 0)
        return ret;
    ResrScheduler *scheduler = *out;
    scheduler->units = plan->units;
    scheduler->part_frames = plan->part_frames;
    scheduler->expected = plan->frames_estimate;
    scheduler->fixed = schedule == RESR_SCHEDULE_STATIC;
    scheduler->needed = needed;
    scheduler->user = user;
    scheduler->n = n;
    for (int i = 0; i < n; i++)
        scheduler->ranks[i] =
            (RankState){.rank = ranks[i], .batch = i, .frame = first_frame_of(&plan->units, i)};
    return resr_alloc(&scheduler->again,
                      (size_t)n * RESR_PARTS_IN_FLIGHT + (size_t)plan->pool_frames + 1,
                      sizeof *scheduler->again);
}

void resr_scheduler_free(ResrScheduler *scheduler)
{
    if (!scheduler)
        return;
    free(scheduler->again);
    free(scheduler);
}

void resr_scheduler_update(ResrScheduler *scheduler, int64_t decoded, bool at_end, double now)
{
    scheduler->decoded = decoded;
    scheduler->at_end = at_end;
    scheduler->now = now;
}

static RankState *find_rank(const ResrScheduler *scheduler, int rank)
{
    for (int i = 0; i < scheduler->n; i++)
        if (scheduler->ranks[i].rank == rank)
            return (RankState *)&scheduler->ranks[i];
    return NULL;
}

static bool has_room(const RankState *state)
{
    return !state->lost && state->in_flight < RESR_PARTS_IN_FLIGHT;
}

/* The live rank with the fewest parts in flight that has room for one more. */
static RankState *idlest(ResrScheduler *scheduler)
{
    RankState *best = NULL;
    for (int i = 0; i < scheduler->n; i++) {
        RankState *state = &scheduler->ranks[i];
        if (has_room(state) && (!best || state->in_flight < best->in_flight))
            best = state;
    }
    return best;
}

static bool give(const ResrScheduler *scheduler, RankState *state, const ResrPart *part, int *rank)
{
    if (state->in_flight == 0)
        state->since = scheduler->now;
    state->parts[state->in_flight++] = *part;
    *rank = state->rank;
    return true;
}

/* Seconds a frame of ranks that have not shown theirs: the mean of the others, or anything. */
static double common_pace(const ResrScheduler *scheduler)
{
    double frames = 0, seconds = 0;
    for (int i = 0; i < scheduler->n; i++) {
        frames += scheduler->ranks[i].frames;
        seconds += scheduler->ranks[i].seconds;
    }
    return seconds > 0 ? seconds / frames : 1;
}

static double pace_of(const RankState *state, double common)
{
    return state->seconds > 0 ? state->seconds / state->frames : common;
}

/* Seconds a frame of the fastest rank that has shown its speed; infinite if none has. */
static double fastest_pace(const ResrScheduler *scheduler)
{
    double fastest = INFINITY;
    for (int i = 0; i < scheduler->n; i++)
        if (!scheduler->ranks[i].lost && scheduler->ranks[i].seconds > 0)
            fastest = fmin(fastest, pace_of(&scheduler->ranks[i], 0));
    return fastest;
}

/* When a rank will have done what it has, in seconds from now. One that is late is believed to need
 * as much more as it is late. */
static double busy_for(const ResrScheduler *scheduler, const RankState *state, double pace)
{
    int64_t frames = 0;
    for (int i = 0; i < state->in_flight; i++)
        frames += state->parts[i].count;
    double left = state->since + (double)frames * pace - scheduler->now;
    return state->in_flight > 0 ? fabs(left) : 0;
}

/* Frames that no rank has yet: those that are there, or as many as the container promises. Without
 * an end in sight enough for everybody. */
static double frames_left(const ResrScheduler *scheduler)
{
    int64_t left = scheduler->decoded - scheduler->next;
    int64_t plenty = (int64_t)scheduler->n * RESR_PARTS_IN_FLIGHT * 2 * scheduler->part_frames;
    if (!scheduler->at_end && scheduler->expected - scheduler->next > left)
        left = scheduler->expected - scheduler->next;
    else if (!scheduler->at_end && left < plenty)
        left = plenty;
    return (double)left;
}

/* When all ranks would end, in seconds from now, if frames could be shared out exactly: the time
 * T at which the ranks that are free before T have done what is left. */
static double common_end(const ResrScheduler *scheduler, double common)
{
    double end = INFINITY, before;
    do {
        double frames = frames_left(scheduler), speed = 0;
        before = end;
        for (int i = 0; i < scheduler->n; i++) {
            const RankState *state = &scheduler->ranks[i];
            double pace = pace_of(state, common), busy = busy_for(scheduler, state, pace);
            if (state->lost || busy >= before)
                continue;
            frames += busy / pace;
            speed += 1 / pace;
        }
        end = frames / speed;
    } while (end < before);
    return end;
}

/* A part takes half of what its rank will do until the end, so that errors in its projected speed
 * even out, as a power of two, and a rank whose speed is not known begins with one frame. A slow
 * rank's takes no longer than one and a half batches of the fastest: all others would wait for it
 * once the pool is full. */
static int64_t part_of_share(const ResrScheduler *scheduler, const RankState *state, double share)
{
    int64_t frames = scheduler->part_frames;
    if (resr_scheduler_live(scheduler) == 1)
        return frames;
    if (state->seconds <= 0)
        return 1;
    double most = LONGEST_PART * (double)frames * fastest_pace(scheduler) / pace_of(state, 0);
    while (frames > 1 && (2 * (double)frames > share || (double)frames > most))
        frames /= 2;
    return frames;
}

/* Who could end a frame more first. A rank that has no room, or that would end after all the others
 * if it took one, is passed over, and another one gets a part only if it would end in time: a slow
 * rank never holds the job. One that needs half a batch's time for a frame gets none in advance. */
static RankState *choose_rank(ResrScheduler *scheduler, int64_t *frames)
{
    double common = common_pace(scheduler), end = common_end(scheduler, common);
    RankState *first = NULL, *free = NULL;
    double first_at = INFINITY, free_at = INFINITY;
    double slow = fastest_pace(scheduler) * (double)scheduler->part_frames / 2;
    for (int i = 0; i < scheduler->n; i++) {
        RankState *state = &scheduler->ranks[i];
        double pace = pace_of(state, common), at = busy_for(scheduler, state, pace) + pace;
        if (!state->lost && at < first_at) {
            first = state;
            first_at = at;
        }
        if (has_room(state) && at < free_at && (state->in_flight == 0 || pace <= slow)) {
            free = state;
            free_at = at;
        }
    }
    if (!free)
        return NULL;
    double pace = pace_of(free, common), share = (end - (free_at - pace)) / pace;
    if (free != first && share < WORTH_FRAMES)
        return NULL;
    *frames = part_of_share(scheduler, free, share);
    return free;
}

/* Cuts a part that begins at `first`; false if its frames are not all there yet. It ends before the
 * first frame that an earlier attempt has made. */
static bool cut_part(const ResrScheduler *scheduler, ResrPart *part, int64_t first, int64_t frames)
{
    int64_t end = resr_units_batch_end(&scheduler->units, first);
    if (end > first + frames)
        end = first + frames;
    for (int64_t i = first + 1; i < end && i < scheduler->decoded; i++)
        if (!scheduler->needed(scheduler->user, i))
            end = i;
    if (end > scheduler->decoded) {
        if (!scheduler->at_end || first >= scheduler->decoded)
            return false;
        end = scheduler->decoded;
    }
    *part = (ResrPart){resr_units_batch_of(&scheduler->units, first), first, (int32_t)(end - first),
                       1, 0};
    return true;
}

/* The first frame from `frame` on that is needed, or the first that is not there yet. */
static int64_t skip_made(const ResrScheduler *scheduler, int64_t frame, int64_t end)
{
    while (frame < end && frame < scheduler->decoded && !scheduler->needed(scheduler->user, frame))
        frame++;
    return frame;
}

/* Static: the next frame of a rank, past those that are made. */
static void advance_static(const ResrScheduler *scheduler, RankState *state)
{
    for (;;) {
        int64_t first = first_frame_of(&scheduler->units, state->batch);
        int64_t end = resr_units_batch_end(&scheduler->units, first);
        state->frame = skip_made(scheduler, state->frame, end);
        if (state->frame < end)
            return;
        state->batch += scheduler->n;
        state->frame = first_frame_of(&scheduler->units, state->batch);
    }
}

static bool next_static(ResrScheduler *scheduler, ResrPart *part, int *rank)
{
    for (int i = 0; i < scheduler->n; i++) {
        RankState *state = &scheduler->ranks[(scheduler->turn + i) % scheduler->n];
        RankState *taker = state->lost ? idlest(scheduler) : state;
        advance_static(scheduler, state);
        if (!taker || taker->in_flight >= RESR_PARTS_IN_FLIGHT ||
            !cut_part(scheduler, part, state->frame, scheduler->part_frames))
            continue;
        state->frame = part->first + part->count;
        scheduler->turn = (scheduler->turn + i + 1) % scheduler->n;
        return give(scheduler, taker, part, rank);
    }
    return false;
}

bool resr_scheduler_next(ResrScheduler *scheduler, ResrPart *part, int *rank)
{
    RankState *best = idlest(scheduler);
    int64_t frames = scheduler->part_frames;
    if (best && scheduler->again_count > 0) {
        *part = scheduler->again[0];
        memmove(scheduler->again, scheduler->again + 1,
                (size_t)--scheduler->again_count * sizeof *scheduler->again);
        return give(scheduler, best, part, rank);
    }
    if (scheduler->fixed)
        return next_static(scheduler, part, rank);
    scheduler->next = skip_made(scheduler, scheduler->next, scheduler->decoded);
    if (!best || scheduler->next >= scheduler->decoded)
        return false;
    best = choose_rank(scheduler, &frames);
    if (!best || !cut_part(scheduler, part, scheduler->next, frames))
        return false;
    scheduler->next += part->count;
    return give(scheduler, best, part, rank);
}

bool resr_scheduler_done(ResrScheduler *scheduler, int rank, const ResrPart *part)
{
    RankState *state = find_rank(scheduler, rank);
    for (int i = 0; state && i < state->in_flight; i++) {
        if (state->parts[i].first != part->first || state->parts[i].attempt != part->attempt)
            continue;
        memmove(&state->parts[i], &state->parts[i + 1],
                (size_t)(--state->in_flight - i) * sizeof state->parts[0]);
        if (i == 0)
            state->since = scheduler->now;
        return true;
    }
    return false;
}

void resr_scheduler_measure(ResrScheduler *scheduler, int rank, int frames, double seconds)
{
    RankState *state = find_rank(scheduler, rank);
    if (!state)
        return;
    state->frames = state->frames * FORGET + frames;
    state->seconds = state->seconds * FORGET + seconds;
}

void resr_scheduler_requeue(ResrScheduler *scheduler, const ResrPart *part)
{
    ResrPart *again = &scheduler->again[scheduler->again_count++];
    *again = *part;
    again->attempt++;
}

void resr_scheduler_lose(ResrScheduler *scheduler, int rank)
{
    RankState *state = find_rank(scheduler, rank);
    if (!state || state->lost)
        return;
    state->lost = true;
    for (int i = 0; i < state->in_flight; i++)
        resr_scheduler_requeue(scheduler, &state->parts[i]);
    state->in_flight = 0;
}

void resr_scheduler_revive(ResrScheduler *scheduler, int rank)
{
    RankState *state = find_rank(scheduler, rank);
    if (state)
        state->lost = false;
}

int resr_scheduler_in_flight(const ResrScheduler *scheduler, int rank)
{
    int parts = 0;
    for (int i = 0; i < scheduler->n; i++)
        if (!scheduler->ranks[i].lost && (rank < 0 || scheduler->ranks[i].rank == rank))
            parts += scheduler->ranks[i].in_flight;
    return parts;
}

int resr_scheduler_live(const ResrScheduler *scheduler)
{
    int live = 0;
    for (int i = 0; i < scheduler->n; i++)
        live += !scheduler->ranks[i].lost;
    return live;
}
