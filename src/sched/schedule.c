/* Which rank computes which frames.
 *
 * State: for each rank its parts in flight (at most RESR_PARTS_IN_FLIGHT, the first one is being
 * computed) and its measured pace, in seconds per frame; the number of decoded frames; the first
 * frame that was not assigned; the frames to retry (retry_set.h).
 *
 * pull, resr_scheduler_next():
 *   1. Frames to retry come first, then new ones.
 *   2. Each rank's completion time for one more frame is estimated from its pace and its parts in
 *      flight; a rank that is late with its part is assumed to be twice as late in the end.
 *   3. The earliest rank with room gets a part, unless it would finish after the time at which all
 *      ranks would finish if the rest could be divided exactly (common_end()).
 *   4. The part is half of the rank's share of the rest, rounded down to a power of two, and at
 *      most a batch: parts become smaller, so that ranks finish within about one frame.
 *
 * Stragglers, when a rank is idle and others wait for one part (find_straggler()):
 *   recall     resr_scheduler_recall(): the rank gives back its unstarted frames, which are retried
 *              elsewhere
 *   duplicate  speculative execution: if all frames of the part are started, the part is also
 *              assigned to an idle rank, and the first result counts
 *
 * static: batch b belongs to computing rank b mod N; an excluded rank's batches go to the rank with
 * the fewest parts. */

#include "sched/schedule.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/memory.h"

/* clang-format off */
/* Tunables. */
#define MEASURE_WEIGHT 0.75 /* weight of a rank's earlier frames when its next part is measured */
#define WORTH_FRAMES   0.75 /* a rank that is not the earliest gets a part only if its share of the
                               rest is at least this many frames */
#define LONGEST_PART   1.5  /* longest part of a slow rank, in batches of the fastest rank */
#define MOST_OF_POOL   0.75 /* longest frame of a rank, as the share of the pool that the other ranks
                               compute in that time: the pool fills up behind it */
#define WAITING_PARTS  2    /* completed parts behind an older one that count as others waiting */
#define CHANGED        2    /* a part that is this many times slower or faster than the earlier
                               parts of its rank replaces the measurement */
/* clang-format on */

typedef enum FlightState {
    ASSIGNED,
    RECALLED, /* no answer yet */
    TRIMMED,  /* the answer has arrived: all frames of the part are started */
} FlightState;

typedef struct Flight {
    ResrPart part;
    FlightState state;
    bool duplicated; /* also assigned to another rank */
} Flight;

typedef struct RankState {
    int rank;
    bool excluded;
    double frames, seconds; /* weighted measurement: frames, and the seconds that they took */
    double since;           /* start of the first part in flight */
    int in_flight;
    Flight flights[RESR_PARTS_IN_FLIGHT]; /* the first in_flight of them */
    int64_t batch;                        /* static: current batch and its next frame */
    int64_t frame;
} RankState;

struct ResrScheduler {
    ResrBatching batching;
    int64_t part_frames, pool_frames;
    bool is_static;        /* --schedule static */
    bool may_duplicate;    /* a second result of a frame is dropped */
    int64_t expected;      /* frames of the video, 0: unknown */
    double now;            /* seconds */
    int64_t decoded, next; /* pull: first frame not assigned */
    bool at_end;
    ResrFrameNeeded needed;
    void *user;
    ResrRetrySet retries;
    int n, turn;
    RankState ranks[];
};

static int64_t first_frame_of(const ResrBatching *batching, int64_t batch)
{
    if (batching->segment_frames == 0)
        return batch * batching->batch_frames;
    int64_t per_segment = resr_batching_batches_per_segment(batching);
    return batch / per_segment * batching->segment_frames +
           batch % per_segment * batching->batch_frames;
}

int resr_scheduler_create(ResrScheduler **out, const ResrPlan *plan, int schedule, const int *ranks,
                          int n, ResrFrameNeeded needed, void *user)
{
    int ret = resr_alloc(out, 1, sizeof(ResrScheduler) + (size_t)n * sizeof(RankState));
    if (ret < 0)
        return ret;
    ResrScheduler *scheduler = *out;
    scheduler->batching = plan->batching;
    scheduler->part_frames = plan->part_frames;
    scheduler->pool_frames = plan->pool_frames;
    scheduler->may_duplicate = !plan->encode_ranks; /* its segment might be finished */
    scheduler->expected = plan->frames_estimate;
    scheduler->is_static = schedule == RESR_SCHEDULE_STATIC;
    scheduler->needed = needed;
    scheduler->user = user;
    scheduler->n = n;
    for (int i = 0; i < n; i++)
        scheduler->ranks[i] =
            (RankState){.rank = ranks[i], .batch = i, .frame = first_frame_of(&plan->batching, i)};
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
    assert(decoded >= scheduler->decoded);
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

/* The rank with the fewest parts in flight that has room for one more; NULL: none. */
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
    assert(state->in_flight < RESR_PARTS_IN_FLIGHT);
    assert(part->count > 0 && part->count <= RESR_MAX_BATCH_FRAMES);
    state->flights[state->in_flight++] = (Flight){.part = *part};
    *rank = state->rank;
    return true;
}

/* Assumed pace of ranks without a measurement: the mean of the measured ranks, or an arbitrary
 * constant if there are none. */
static double common_pace(const ResrScheduler *scheduler)
{
    double frames = 0, seconds = 0;
    for (int i = 0; i < scheduler->n; i++) {
        frames += scheduler->ranks[i].frames;
        seconds += scheduler->ranks[i].seconds;
    }
    return seconds > 0 ? seconds / frames : 1;
}

static double measured_pace(const RankState *state, double common)
{
    return state->seconds > 0 ? state->seconds / state->frames : common;
}

/* Pace of a rank, in seconds per frame. A part that is late by t is assumed to be 2 t late in the
 * end. */
static double pace_of(const ResrScheduler *scheduler, const RankState *state, double common)
{
    double pace = measured_pace(state, common);
    if (state->in_flight == 0)
        return pace;
    double frames = state->flights[0].part.count;
    return pace + 2 * fmax(scheduler->now - state->since - frames * pace, 0) / frames;
}

/* Pace of the fastest measured rank; infinite if no rank was measured. */
static double fastest_pace(const ResrScheduler *scheduler)
{
    double fastest = INFINITY;
    for (int i = 0; i < scheduler->n; i++)
        if (!scheduler->ranks[i].excluded && scheduler->ranks[i].seconds > 0)
            fastest = fmin(fastest, measured_pace(&scheduler->ranks[i], 0));
    return fastest;
}

/* Seconds from now until a rank has completed its first `parts` parts. */
static double busy_for(const ResrScheduler *scheduler, const RankState *state, int parts,
                       double pace)
{
    int64_t frames = 0;
    for (int i = 0; i < parts; i++)
        frames += state->flights[i].part.count;
    return parts > 0 ? fmax(state->since + (double)frames * pace - scheduler->now, 0) : 0;
}

/* Frames that are not assigned: decoded ones, or as many as the container announces. Without a
 * known end, enough for all ranks. */
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

/* Seconds from now until all ranks would finish if the rest could be divided exactly: the time T at
 * which the ranks that are free before T have computed the rest. */
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

/* Frames of the next part of a rank whose share of the rest is `share` frames: half of it, so that
 * later parts correct errors of the estimate, as a power of two. A rank without a measurement gets
 * one frame. A part takes at most LONGEST_PART batches of the fastest rank. */
static int64_t part_of_share(const ResrScheduler *scheduler, const RankState *state, double share)
{
    int64_t frames = scheduler->part_frames;
    if (resr_scheduler_live(scheduler) == 1)
        return frames;
    if (state->seconds <= 0)
        return 1;
    double most = LONGEST_PART * (double)frames * fastest_pace(scheduler) / measured_pace(state, 0);
    while (frames > 1 && (2 * (double)frames > share || (double)frames > most))
        frames /= 2;
    return frames;
}

/* Longest acceptable seconds per frame, see MOST_OF_POOL; at least twice those of the fastest rank.
 */
static double longest_frame(const ResrScheduler *scheduler, double common)
{
    double speed = 0;
    for (int i = 0; i < scheduler->n; i++)
        if (!scheduler->ranks[i].excluded)
            speed += 1 / measured_pace(&scheduler->ranks[i], common);
    return fmax(MOST_OF_POOL *
                    (double)(scheduler->pool_frames - scheduler->batching.segment_frames) / speed,
                CHANGED * fastest_pace(scheduler));
}

/* Chooses the rank with the earliest estimated completion of one more frame, and the frames of its
 * part. Skips ranks without room, and ranks that would finish after all others, so that a slow rank
 * never delays the job. A rank whose frame takes half as long as a batch of the fastest rank gets
 * no second part in advance. NULL: no rank should get a part now. */
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

/* Makes a part from `first` on; false if not all of its frames are decoded yet. The part ends
 * before the first frame that an earlier attempt has computed. */
static bool cut_part(const ResrScheduler *scheduler, ResrPart *part, int64_t first, int64_t frames)
{
    int64_t end = resr_batching_batch_end(&scheduler->batching, first);
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
    *part = (ResrPart){resr_batching_batch_of(&scheduler->batching, first), first,
                       (int32_t)(end - first), 1, 0};
    return true;
}

/* The first frame from `frame` on that is needed, or else the first that is not decoded yet. */
static int64_t skip_computed(const ResrScheduler *scheduler, int64_t frame, int64_t end)
{
    while (frame < end && frame < scheduler->decoded && !scheduler->needed(scheduler->user, frame))
        frame++;
    return frame;
}

/* static: moves a rank to its next frame that is needed. */
static void advance_static(const ResrScheduler *scheduler, RankState *state)
{
    for (;;) {
        int64_t first = first_frame_of(&scheduler->batching, state->batch);
        int64_t end = resr_batching_batch_end(&scheduler->batching, first);
        state->frame = skip_computed(scheduler, state->frame, end);
        if (state->frame < end)
            return;
        state->batch += scheduler->n;
        state->frame = first_frame_of(&scheduler->batching, state->batch);
    }
}

static bool next_static(ResrScheduler *scheduler, ResrPart *part, int *rank)
{
    for (int i = 0; i < scheduler->n; i++) {
        RankState *state = &scheduler->ranks[(scheduler->turn + i) % scheduler->n];
        RankState *chosen = state->excluded ? least_busy(scheduler) : state;
        advance_static(scheduler, state);
        if (!chosen || chosen->in_flight >= RESR_PARTS_IN_FLIGHT ||
            !cut_part(scheduler, part, state->frame, scheduler->part_frames))
            continue;
        state->frame = part->first + part->count;
        scheduler->turn = (scheduler->turn + i + 1) % scheduler->n;
        return assign(scheduler, chosen, part, rank);
    }
    return false;
}

static bool next_retry(ResrScheduler *scheduler, ResrPart *part, int *rank)
{
    int64_t frames = scheduler->part_frames;
    if (!resr_retry_set_find(&scheduler->retries, part, scheduler->needed, scheduler->user))
        return false;
    RankState *chosen =
        scheduler->is_static ? least_busy(scheduler) : choose_rank(scheduler, &frames);
    if (!chosen)
        return false;
    int64_t end = resr_batching_batch_end(&scheduler->batching, part->first);
    if (end > part->first + frames)
        end = part->first + frames;
    part->batch = resr_batching_batch_of(&scheduler->batching, part->first);
    resr_retry_set_pop(&scheduler->retries, part, end, scheduler->needed, scheduler->user);
    return assign(scheduler, chosen, part, rank);
}

static bool next_new(ResrScheduler *scheduler, ResrPart *part, int *rank)
{
    int64_t frames;
    scheduler->next = skip_computed(scheduler, scheduler->next, scheduler->decoded);
    if (!least_busy(scheduler) || scheduler->next >= scheduler->decoded)
        return false;
    RankState *chosen = choose_rank(scheduler, &frames);
    if (!chosen || !cut_part(scheduler, part, scheduler->next, frames))
        return false;
    scheduler->next += part->count;
    return assign(scheduler, chosen, part, rank);
}

/* The part that idle ranks wait for. */
typedef struct Straggler {
    RankState *owner;
    Flight *flight;
    double seconds;   /* estimate until its result arrives */
    double idle_pace; /* pace of the fastest idle rank */
    double expected;  /* seconds until its result would arrive if the work was balanced */
} Straggler;

/* At the end of the video the straggler is the part that will arrive last; before the end it is the
 * part with the oldest frame, if completed parts wait behind it or if it takes too long. */
static bool find_straggler(ResrScheduler *scheduler, Straggler *out)
{
    double common = common_pace(scheduler), frames = 0, speed = 0, assigned = 0, idle = 0;
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
            assigned += flight->part.count;
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
    bool waiting = (double)(scheduler->decoded - oldest) - assigned >=
                   (double)(WAITING_PARTS * scheduler->part_frames);
    return idle > 0 ? at_end || waiting
                    : !at_end && out->seconds > longest_frame(scheduler, common);
}

/* Would an idle rank finish the whole part before its current rank? */
static bool is_overtaken(const Straggler *straggler)
{
    return straggler->seconds > (straggler->flight->part.count + 1) * straggler->idle_pace;
}

static bool has_started_all(const Straggler *straggler)
{
    return straggler->flight->state == TRIMMED ||
           (straggler->flight->part.count == 1 && straggler->flight == straggler->owner->flights);
}

/* Queues a started part for another rank, too; the first result counts. */
static bool duplicate_straggler(ResrScheduler *scheduler)
{
    Straggler straggler;
    if (!scheduler->may_duplicate || !find_straggler(scheduler, &straggler) ||
        !has_started_all(&straggler) || !is_overtaken(&straggler))
        return false;
    straggler.flight->duplicated = true;
    resr_scheduler_requeue(scheduler, &straggler.flight->part);
    return true;
}

bool resr_scheduler_recall(ResrScheduler *scheduler, ResrPart *part, int *rank)
{
    Straggler straggler;
    if (!find_straggler(scheduler, &straggler) || has_started_all(&straggler) ||
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

/* Removes flight `i` of a rank. */
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
        const ResrPart *assigned = &state->flights[i].part;
        if (assigned->first != part->first || assigned->attempt != part->attempt)
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
    double change = seconds / frames / measured_pace(state, seconds / frames);
    double keep = change > CHANGED || change < 1.0 / CHANGED ? 0 : MEASURE_WEIGHT;
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
