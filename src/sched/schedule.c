#include "sched/schedule.h"

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

/* A rank gets no frame that takes it longer than the others need for so much of the pool, which
 * would then wait for it. */
#define MOST_OF_POOL 0.75

/* So many parts that are done but wait for an older one hold ranks up that have nothing to do. */
#define WAITING_PARTS 2

/* A part that takes so many times longer, or shorter, than its rank's others: the rank has changed.
 */
#define CHANGED 2

typedef struct Flight {
    ResrPart part;
    enum { FLYING, RECALLED, TRIMMED } state; /* recalled: no answer yet; trimmed: all is begun */
    bool duplicated;                          /* handed out a second time */
} Flight;

typedef struct RankState {
    int rank;
    bool excluded;
    double frames, seconds; /* computed so far, and the time that took: its speed */
    double since;           /* it works on the first of its parts since then */
    int in_flight;
    Flight flights[RESR_PARTS_IN_FLIGHT]; /* the first in_flight of them */
    int64_t batch;                        /* static: the batch it is at, and the next frame of it */
    int64_t frame;
} RankState;

struct ResrScheduler {
    ResrBatching units;
    int64_t part_frames, pool_frames;
    bool is_static;        /* --schedule static */
    bool may_duplicate;    /* a second result of a frame does no harm */
    int64_t expected;      /* frames of the video, 0: unknown */
    double now;            /* seconds */
    int64_t decoded, next; /* pull: first frame not handed out */
    bool at_end;
    ResrFrameNeeded needed;
    void *user;
    ResrRetrySet retries;
    int n, turn;
    RankState ranks[];
};

static int64_t first_frame_of(const ResrBatching *units, int64_t batch)
{
    if (units->segment_frames == 0)
        return batch * units->batch_frames;
    int64_t per_segment = resr_batching_batches_per_segment(units);
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
    scheduler->pool_frames = plan->pool_frames;
    scheduler->may_duplicate =
        !plan->encode_ranks; /* it would come to a segment that is finished */
    scheduler->expected = plan->frames_estimate;
    scheduler->is_static = schedule == RESR_SCHEDULE_STATIC;
    scheduler->needed = needed;
    scheduler->user = user;
    scheduler->n = n;
    for (int i = 0; i < n; i++)
        scheduler->ranks[i] =
            (RankState){.rank = ranks[i], .batch = i, .frame = first_frame_of(&plan->units, i)};
    return resr_retry_set_create(&scheduler->retries, plan->pool_frames);
}

void resr_scheduler_free(ResrScheduler *scheduler)
{
    if (!scheduler)
        return;
    resr_retry_set_free(&scheduler->retries);
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
    return !state->excluded && state->in_flight < RESR_PARTS_IN_FLIGHT;
}

/* The live rank with the fewest parts in flight that has room for one more. */
static RankState *least_busy(ResrScheduler *scheduler)
{
    RankState *best = NULL;
    for (int i = 0; i < scheduler->n; i++) {
        RankState *state = &scheduler->ranks[i];
        if (has_room(state) && (!best || state->in_flight < best->in_flight))
            best = state;
    }
    return best;
}

static bool assign(const ResrScheduler *scheduler, RankState *state, const ResrPart *part,
                   int *rank)
{
    if (state->in_flight == 0)
        state->since = scheduler->now;
    state->flights[state->in_flight++] = (Flight){.part = *part};
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

static double shown_pace(const RankState *state, double common)
{
    return state->seconds > 0 ? state->seconds / state->frames : common;
}

/* Seconds a frame. A rank that is late with its part is believed to need as much more for it as it
 * is late. */
static double pace_of(const ResrScheduler *scheduler, const RankState *state, double common)
{
    double pace = shown_pace(state, common);
    if (state->in_flight == 0)
        return pace;
    double frames = state->flights[0].part.count;
    return pace + 2 * fmax(scheduler->now - state->since - frames * pace, 0) / frames;
}

/* Seconds a frame of the fastest rank that has shown its speed; infinite if none has. */
static double fastest_pace(const ResrScheduler *scheduler)
{
    double fastest = INFINITY;
    for (int i = 0; i < scheduler->n; i++)
        if (!scheduler->ranks[i].excluded && scheduler->ranks[i].seconds > 0)
            fastest = fmin(fastest, shown_pace(&scheduler->ranks[i], 0));
    return fastest;
}

/* When a rank will have done its first `parts` parts, in seconds from now. */
static double busy_for(const ResrScheduler *scheduler, const RankState *state, int parts,
                       double pace)
{
    int64_t frames = 0;
    for (int i = 0; i < parts; i++)
        frames += state->flights[i].part.count;
    return parts > 0 ? fmax(state->since + (double)frames * pace - scheduler->now, 0) : 0;
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
    return (double)(left + scheduler->retries.count);
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
            double pace = pace_of(scheduler, state, common);
            double busy = busy_for(scheduler, state, state->in_flight, pace);
            if (state->excluded || busy >= before)
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
    double most = LONGEST_PART * (double)frames * fastest_pace(scheduler) / shown_pace(state, 0);
    while (frames > 1 && (2 * (double)frames > share || (double)frames > most))
        frames /= 2;
    return frames;
}

/* The longest that a frame may take its rank: see MOST_OF_POOL. The fastest is never excluded. */
static double longest_frame(const ResrScheduler *scheduler, double common)
{
    double speed = 0;
    for (int i = 0; i < scheduler->n; i++)
        if (!scheduler->ranks[i].excluded)
            speed += 1 / shown_pace(&scheduler->ranks[i], common);
    return fmax(MOST_OF_POOL * (double)(scheduler->pool_frames - scheduler->units.segment_frames) /
                    speed,
                CHANGED * fastest_pace(scheduler));
}

/* Who could end a frame more first. A rank that has no room, or that would end after all the others
 * if it took one, is passed over, and another one gets a part only if it would end in time: a slow
 * rank never holds the job. One that needs half a batch's time for a frame gets none in advance. */
static RankState *choose_rank(ResrScheduler *scheduler, int64_t *frames)
{
    double common = common_pace(scheduler), end = common_end(scheduler, common);
    double fastest = fastest_pace(scheduler), longest = longest_frame(scheduler, common);
    RankState *first = NULL, *free = NULL;
    double first_at = INFINITY, free_at = INFINITY;
    double slow = fastest * (double)scheduler->part_frames / 2;
    for (int i = 0; i < scheduler->n; i++) {
        RankState *state = &scheduler->ranks[i];
        double pace = pace_of(scheduler, state, common);
        double at = busy_for(scheduler, state, state->in_flight, pace) + pace;
        if (!state->excluded && at < first_at) {
            first = state;
            first_at = at;
        }
        if (has_room(state) && at < free_at && (state->in_flight == 0 || pace <= slow) &&
            (state->seconds <= 0 || pace <= longest)) {
            free = state;
            free_at = at;
        }
    }
    if (!free)
        return NULL;
    double pace = pace_of(scheduler, free, common);
    if (free != first && free_at - end > (1 - WORTH_FRAMES) * fmin(pace, fastest))
        return NULL;
    *frames = part_of_share(scheduler, free, (end - (free_at - pace)) / pace);
    return free;
}

/* Cuts a part that begins at `first`; false if its frames are not all there yet. It ends before the
 * first frame that an earlier attempt has made. */
static bool cut_part(const ResrScheduler *scheduler, ResrPart *part, int64_t first, int64_t frames)
{
    int64_t end = resr_batching_batch_end(&scheduler->units, first);
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
    *part = (ResrPart){resr_batching_batch_of(&scheduler->units, first), first,
                       (int32_t)(end - first), 1, 0};
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
        int64_t end = resr_batching_batch_end(&scheduler->units, first);
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
        RankState *taker = state->excluded ? least_busy(scheduler) : state;
        advance_static(scheduler, state);
        if (!taker || taker->in_flight >= RESR_PARTS_IN_FLIGHT ||
            !cut_part(scheduler, part, state->frame, scheduler->part_frames))
            continue;
        state->frame = part->first + part->count;
        scheduler->turn = (scheduler->turn + i + 1) % scheduler->n;
        return assign(scheduler, taker, part, rank);
    }
    return false;
}

static bool next_retry(ResrScheduler *scheduler, ResrPart *part, int *rank)
{
    int64_t frames = scheduler->part_frames;
    if (!resr_retry_set_find(&scheduler->retries, part, scheduler->needed, scheduler->user))
        return false;
    RankState *taker =
        scheduler->is_static ? least_busy(scheduler) : choose_rank(scheduler, &frames);
    if (!taker)
        return false;
    int64_t end = resr_batching_batch_end(&scheduler->units, part->first);
    if (end > part->first + frames)
        end = part->first + frames;
    part->batch = resr_batching_batch_of(&scheduler->units, part->first);
    resr_retry_set_take(&scheduler->retries, part, end, scheduler->needed, scheduler->user);
    return assign(scheduler, taker, part, rank);
}

static bool next_new(ResrScheduler *scheduler, ResrPart *part, int *rank)
{
    int64_t frames;
    scheduler->next = skip_made(scheduler, scheduler->next, scheduler->decoded);
    if (!least_busy(scheduler) || scheduler->next >= scheduler->decoded)
        return false;
    RankState *taker = choose_rank(scheduler, &frames);
    if (!taker || !cut_part(scheduler, part, scheduler->next, frames))
        return false;
    scheduler->next += part->count;
    return assign(scheduler, taker, part, rank);
}

/* What all wait for, while at least one rank has nothing to do. */
typedef struct Straggler {
    RankState *owner;
    Flight *flight;
    double seconds;   /* until it is there */
    double idle_pace; /* of the fastest that has nothing to do */
    double expected;  /* seconds until it should be there */
} Straggler;

/* At the end of the video that is the part that will be there last, before it the one with the
 * oldest frame, if others are done and wait for it, or if it would take too long. */
static bool find_straggler(ResrScheduler *scheduler, Straggler *out)
{
    double common = common_pace(scheduler), frames = 0, speed = 0, flying = 0, idle = 0;
    int64_t oldest = INT64_MAX;
    bool at_end = scheduler->at_end && scheduler->next >= scheduler->decoded;
    *out = (Straggler){.idle_pace = fastest_pace(scheduler)};
    if (scheduler->is_static || scheduler->retries.count > 0)
        return false;
    for (int i = 0; i < scheduler->n; i++) {
        RankState *state = &scheduler->ranks[i];
        double pace = pace_of(scheduler, state, common);
        if (state->excluded)
            continue;
        frames += busy_for(scheduler, state, state->in_flight, pace) / pace;
        speed += 1 / pace;
        if (state->in_flight == 0)
            out->idle_pace = idle++ > 0 ? fmin(out->idle_pace, pace) : pace;
        for (int k = 0; k < state->in_flight; k++) {
            Flight *flight = &state->flights[k];
            double seconds = busy_for(scheduler, state, k + 1, pace);
            flying += flight->part.count;
            if (oldest > flight->part.first)
                oldest = flight->part.first;
            if (flight->duplicated || flight->state == RECALLED ||
                (out->flight &&
                 (at_end ? seconds <= out->seconds : flight->part.first > out->flight->part.first)))
                continue;
            *out = (Straggler){state, flight, seconds, out->idle_pace, pace};
        }
    }
    if (!out->flight)
        return false;
    if (at_end)
        out->expected = frames / speed;
    else
        out->expected =
            fmax(out->expected, ceil(out->flight->part.count / fmax(idle, 1)) * out->idle_pace);
    bool waiting = (double)(scheduler->decoded - oldest) - flying >=
                   (double)(WAITING_PARTS * scheduler->part_frames);
    return idle > 0 ? at_end || waiting
                    : !at_end && out->seconds > longest_frame(scheduler, common);
}

/* Would ranks that have nothing to do have the whole part done before its owner? */
static bool is_overtaken(const Straggler *straggler)
{
    return straggler->seconds > (straggler->flight->part.count + 1) * straggler->idle_pace;
}

static bool has_begun_all(const Straggler *straggler)
{
    return straggler->flight->state == TRIMMED ||
           (straggler->flight->part.count == 1 && straggler->flight == straggler->owner->flights);
}

/* All of a part is begun: it is done a second time, and what comes first counts. */
static bool duplicate_straggler(ResrScheduler *scheduler)
{
    Straggler straggler;
    if (!scheduler->may_duplicate || !find_straggler(scheduler, &straggler) ||
        !has_begun_all(&straggler) || !is_overtaken(&straggler))
        return false;
    straggler.flight->duplicated = true;
    resr_scheduler_requeue(scheduler, &straggler.flight->part);
    return true;
}

bool resr_scheduler_recall(ResrScheduler *scheduler, ResrPart *part, int *rank)
{
    Straggler straggler;
    if (!find_straggler(scheduler, &straggler) || has_begun_all(&straggler) ||
        (straggler.seconds - straggler.expected <= straggler.idle_pace &&
         !is_overtaken(&straggler)))
        return false;
    straggler.flight->state = RECALLED;
    *part = straggler.flight->part;
    *rank = straggler.owner->rank;
    return true;
}

bool resr_scheduler_next(ResrScheduler *scheduler, ResrPart *part, int *rank)
{
    if (next_retry(scheduler, part, rank))
        return true;
    if (scheduler->is_static)
        return next_static(scheduler, part, rank);
    return next_new(scheduler, part, rank) ||
           (duplicate_straggler(scheduler) && next_retry(scheduler, part, rank));
}

/* It is no longer in flight. */
static void remove_flight(const ResrScheduler *scheduler, RankState *state, int i)
{
    memmove(&state->flights[i], &state->flights[i + 1],
            (size_t)(--state->in_flight - i) * sizeof state->flights[0]);
    if (i == 0)
        state->since = scheduler->now;
}

bool resr_scheduler_done(ResrScheduler *scheduler, int rank, const ResrPart *part)
{
    RankState *state = find_rank(scheduler, rank);
    for (int i = 0; state && i < state->in_flight; i++) {
        const ResrPart *flying = &state->flights[i].part;
        if (flying->first != part->first || flying->attempt != part->attempt)
            continue;
        remove_flight(scheduler, state, i);
        return true;
    }
    return false;
}

void resr_scheduler_return(ResrScheduler *scheduler, int rank, const ResrPart *rest)
{
    RankState *state = find_rank(scheduler, rank);
    for (int i = 0; state && i < state->in_flight; i++) {
        Flight *flight = &state->flights[i];
        ResrPart *part = &flight->part;
        if (part->attempt != rest->attempt || part->first > rest->first ||
            part->first + part->count != rest->first + rest->count)
            continue;
        part->count -= rest->count;
        flight->state = TRIMMED;
        if (!flight->duplicated)
            resr_scheduler_requeue(scheduler, rest);
        if (part->count == 0)
            remove_flight(scheduler, state, i);
        return;
    }
}

void resr_scheduler_measure(ResrScheduler *scheduler, int rank, int frames, double seconds)
{
    RankState *state = find_rank(scheduler, rank);
    if (!state)
        return;
    double change = seconds / frames / shown_pace(state, seconds / frames);
    double keep = change > CHANGED || change < 1.0 / CHANGED ? 0 : FORGET;
    state->frames = state->frames * keep + frames;
    state->seconds = state->seconds * keep + seconds;
}

void resr_scheduler_requeue(ResrScheduler *scheduler, const ResrPart *part)
{
    resr_retry_set_add(&scheduler->retries, part);
}

void resr_scheduler_exclude(ResrScheduler *scheduler, int rank)
{
    RankState *state = find_rank(scheduler, rank);
    if (!state || state->excluded)
        return;
    state->excluded = true;
    for (int i = 0; i < state->in_flight; i++)
        if (!state->flights[i].duplicated)
            resr_scheduler_requeue(scheduler, &state->flights[i].part);
    state->in_flight = 0;
}

void resr_scheduler_readmit(ResrScheduler *scheduler, int rank)
{
    RankState *state = find_rank(scheduler, rank);
    if (state)
        state->excluded = false;
}

int resr_scheduler_in_flight(const ResrScheduler *scheduler, int rank)
{
    int parts = 0;
    for (int i = 0; i < scheduler->n; i++)
        if (!scheduler->ranks[i].excluded && (rank < 0 || scheduler->ranks[i].rank == rank))
            parts += scheduler->ranks[i].in_flight;
    return parts;
}

int resr_scheduler_live(const ResrScheduler *scheduler)
{
    int live = 0;
    for (int i = 0; i < scheduler->n; i++)
        live += !scheduler->ranks[i].excluded;
    return live;
}
