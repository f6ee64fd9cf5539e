/* The unit ladder and the scheduler: every frame once, batches that never cross a segment, the
 * original's grouping with one segment and a static schedule, and a short tail. */

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "sched/schedule.h"
#include "test_main.h"

enum { FRAMES = 300, MANY_FRAMES = 3000, RANKS = 12 };

static ResrPlan make_plan(int64_t segment, int64_t batch)
{
    return (ResrPlan){.batching = {segment, batch},
                      .part_frames = batch,
                      .pool_frames = MANY_FRAMES,
                      .ranks = RANKS};
}

static void test_units(void **state)
{
    (void)state;
    ResrBatching batching = {48, 8};
    assert_int_equal(resr_batching_batch_of(&batching, 0), 0);
    assert_int_equal(resr_batching_batch_of(&batching, 47), 5);
    assert_int_equal(resr_batching_batch_of(&batching, 48), 6);
    batching.batch_frames = 5; /* nine batches of 5 and one of 3 a segment */
    assert_int_equal(resr_batching_batch_of(&batching, 47), 9);
    assert_int_equal(resr_batching_batch_end(&batching, 46), 48);
    assert_int_equal(resr_batching_batch_of(&batching, 48), 10);
    assert_int_equal(resr_batching_batch_end(&batching, 48), 53);
    batching = (ResrBatching){0, 8};
    assert_int_equal(resr_batching_batch_of(&batching, 299), 37);
    assert_int_equal(resr_batching_batch_end(&batching, 299), 304);
}

typedef struct Worker {
    double free_at;
    int parts;
} Worker;

typedef struct Outcome {
    double makespan;
    int parts;
    int frames_of_rank[RANKS];
} Outcome;

static bool every_frame(void *user, int64_t index)
{
    (void)user;
    (void)index;
    return true;
}

/* A job: `ranks` workers that need `seconds[rank]` a frame, `frames` frames of which `per_second`
 * are decoded (0: all at once), at most `pool` (0: any number) ahead of the first that is
 * not done. */
typedef struct Play {
    int ranks, frames;
    double seconds[RANKS], per_second;
    int pool;
} Play;

/* Plays the schedule; checks that every frame is handed out exactly once and in batches. */
static Outcome play(const ResrPlan *plan, int schedule, const Play *p)
{
    struct {
        double done;
        int rank;
        ResrPart part;
    } running[RANKS * RESR_PARTS_IN_FLIGHT];
    ResrScheduler *scheduler;
    ResrPart part;
    Outcome outcome = {0};
    Worker workers[RANKS] = {{0}};
    int ranks[RANKS], rank, n = 0, seen[MANY_FRAMES] = {0}, delivered = 0;
    bool done[MANY_FRAMES + 1] = {false};
    double now = 0;
    for (int i = 0; i < p->ranks; i++)
        ranks[i] = i;
    assert_int_equal(
        resr_scheduler_create(&scheduler, plan, schedule, ranks, p->ranks, every_frame, NULL), 0);
    for (;;) {
        int decoded = p->per_second > 0 ? (int)(now * p->per_second + 1e-6) : p->frames;
        if (p->pool > 0 && decoded > delivered + p->pool)
            decoded = delivered + p->pool;
        bool at_end = decoded >= p->frames;
        resr_scheduler_update(scheduler, at_end ? p->frames : decoded, at_end, now);
        while (resr_scheduler_next(scheduler, &part, &rank)) {
            double start = workers[rank].free_at > now ? workers[rank].free_at : now;
            workers[rank].free_at = start + p->seconds[rank] * part.count;
            running[n].done = workers[rank].free_at;
            running[n].part = part;
            running[n++].rank = rank;
            assert_true(++workers[rank].parts <= RESR_PARTS_IN_FLIGHT);
            assert_true(part.first + part.count <= p->frames && part.count >= 1);
            assert_true(resr_batching_batch_end(&plan->batching, part.first) >=
                        part.first + part.count);
            assert_int_equal(part.batch, resr_batching_batch_of(&plan->batching, part.first));
            if (schedule == RESR_SCHEDULE_STATIC)
                assert_int_equal(rank, part.batch % p->ranks);
            for (int i = 0; i < part.count; i++)
                seen[part.first + i]++;
            outcome.frames_of_rank[rank] += part.count;
            outcome.parts++;
        }
        if (n == 0 && at_end)
            break;
        int first = 0;
        for (int i = 1; i < n; i++)
            if (running[i].done < running[first].done)
                first = i;
        double next_frame = at_end || p->pool > 0 ? INFINITY : (decoded + 1) / p->per_second;
        if (n == 0 || next_frame < running[first].done) {
            now = next_frame;
            continue;
        }
        now = running[first].done;
        resr_scheduler_update(scheduler, at_end ? p->frames : decoded, at_end, now);
        rank = running[first].rank;
        part = running[first].part;
        workers[rank].parts--;
        running[first] = running[--n];
        assert_true(resr_scheduler_done(scheduler, rank, &part));
        resr_scheduler_measure(scheduler, rank, part.count, p->seconds[rank] * part.count);
        for (int i = 0; i < part.count; i++)
            done[part.first + i] = true;
        while (done[delivered])
            delivered++;
    }
    for (int i = 0; i < p->frames; i++)
        assert_int_equal(seen[i], 1);
    resr_scheduler_free(scheduler);
    outcome.makespan = now;
    return outcome;
}

static Play equal_ranks(int ranks, double seconds)
{
    Play p = {.ranks = ranks, .frames = FRAMES};
    for (int i = 0; i < ranks; i++)
        p.seconds[i] = seconds;
    return p;
}

static void test_static_is_the_originals(void **state)
{
    (void)state;
    ResrPlan plan = make_plan(0, 8);
    Play twelve = equal_ranks(12, 0.4), six = equal_ranks(6, 1.09);
    Outcome outcome = play(&plan, RESR_SCHEDULE_STATIC, &twelve);
    assert_int_equal(outcome.parts, 38);
    assert_float_equal(outcome.makespan, 12.8, 1e-6);       /* four rounds */
    assert_int_equal(outcome.frames_of_rank[0], 8 * 4);     /* batches 0, 12, 24, 36 */
    assert_int_equal(outcome.frames_of_rank[1], 8 * 3 + 4); /* 1, 13, 25 and the last, of 4 */
    assert_int_equal(outcome.frames_of_rank[2], 8 * 3);
    outcome = play(&plan, RESR_SCHEDULE_STATIC, &six);
    assert_float_equal(outcome.makespan, 7 * 8.72, 1e-6); /* seven rounds */
}

/* Makespans in terms of the ideal one, frames over the sum of speeds. */
static void test_pull_has_a_short_tail(void **state)
{
    (void)state;
    ResrPlan plan = make_plan(48, 8);
    Play twelve = equal_ranks(12, 0.4), six = equal_ranks(6, 1.09), one_slow = twelve;
    one_slow.seconds[4] = 1.6;
    Play two_kinds = equal_ranks(12, 0.05);
    for (int i = 0; i < 5; i++)
        two_kinds.seconds[2 * i] = 0.8;
    Play decoding = twelve;
    decoding.per_second = 60;
    for (int known = 0; known < 2; known++) {
        plan.frames_estimate = known ? FRAMES : 0;
        assert_float_equal(play(&plan, RESR_SCHEDULE_PULL, &twelve).makespan, 10.0, 0.3);
        assert_float_equal(play(&plan, RESR_SCHEDULE_PULL, &six).makespan, 54.5, 0.03 * 54.5);
        assert_float_equal(play(&plan, RESR_SCHEDULE_PULL, &one_slow).makespan, 10.67,
                           0.05 * 10.67);
        /* 300 / (7 / 0.05 + 5 / 0.8) = 2.05; a slow frame more is 0.8 s. */
        assert_float_equal(play(&plan, RESR_SCHEDULE_PULL, &two_kinds).makespan, 2.05, 0.5);
        /* The first batch is decoded after 0.13 s. Before the end is known, ranks may have one part
         * too many in advance. */
        assert_float_equal(play(&plan, RESR_SCHEDULE_PULL, &decoding).makespan, 10.2,
                           known ? 0.5 : 1.6);
    }
    plan.frames_estimate = 10 * FRAMES; /* the container lied */
    assert_float_equal(play(&plan, RESR_SCHEDULE_PULL, &decoding).makespan, 10.2, 1.6);
    Play few = equal_ranks(12, 1);
    few.frames = 5;
    assert_float_equal(play(&plan, RESR_SCHEDULE_PULL, &few).makespan, 1, 1e-6);
    Play one = equal_ranks(1, 1);
    Outcome outcome = play(&plan, RESR_SCHEDULE_PULL, &one);
    assert_float_equal(outcome.makespan, FRAMES, 1e-6);
    assert_int_equal(outcome.parts, 38);
}

/* A slow rank does not hold the others up by the frames that it keeps in the pool, 240 here. */
static void test_slow_ranks_and_the_pool(void **state)
{
    (void)state;
    ResrPlan plan = make_plan(48, 8);
    plan.frames_estimate = MANY_FRAMES;
    for (int factor = 1; factor <= 8; factor *= 2) {
        Play play_long = equal_ranks(12, 0.4);
        play_long.frames = MANY_FRAMES;
        play_long.pool = 240;
        play_long.seconds[5] = 0.4 * factor;
        double ideal = MANY_FRAMES * 0.4 / (11 + 1.0 / factor);
        assert_float_equal(play(&plan, RESR_SCHEDULE_PULL, &play_long).makespan, ideal,
                           0.02 * ideal);
    }
}

static void test_all_sizes(void **state)
{
    (void)state;
    static const int segments[] = {0, 48, 7, 1}, batches[] = {1, 5, 8, 64};
    for (size_t s = 0; s < sizeof segments / sizeof *segments; s++)
        for (size_t b = 0; b < sizeof batches / sizeof *batches; b++) {
            ResrPlan plan = make_plan(segments[s], batches[b]);
            Play same = equal_ranks(RANKS, 1);
            play(&plan, RESR_SCHEDULE_PULL, &same);
            play(&plan, RESR_SCHEDULE_STATIC, &same);
        }
}

static void test_waits_for_whole_batches(void **state)
{
    (void)state;
    ResrPlan plan = make_plan(48, 8);
    ResrScheduler *scheduler;
    ResrPart part;
    int ranks[] = {0}, rank;
    assert_int_equal(
        resr_scheduler_create(&scheduler, &plan, RESR_SCHEDULE_PULL, ranks, 1, every_frame, NULL),
        0);
    resr_scheduler_update(scheduler, 7, false, 0);
    assert_false(resr_scheduler_next(scheduler, &part, &rank));
    resr_scheduler_update(scheduler, 8, false, 0);
    assert_true(resr_scheduler_next(scheduler, &part, &rank));
    assert_int_equal(part.count, 8);
    resr_scheduler_update(scheduler, 9, true, 0);
    assert_true(resr_scheduler_next(scheduler, &part, &rank));
    assert_int_equal(part.count, 1);
    assert_false(resr_scheduler_next(scheduler, &part, &rank));
    resr_scheduler_free(scheduler);
}

/* Frames as the coordinator knows them: needed until their result arrives. */
typedef struct Frames {
    bool made[FRAMES];
} Frames;

static bool not_made(void *user, int64_t index)
{
    return !((Frames *)user)->made[index];
}

/* Some frames are made already; ranks hang and come back at random, and parts fail: in the end
 * every frame is made, and none that was made before is handed out. */
static void play_with_losses(int schedule, unsigned seed)
{
    enum { N = 5 };
    struct {
        ResrPart part;
        int rank;
    } running[N * RESR_PARTS_IN_FLIGHT];
    ResrPlan plan = make_plan(48, 8);
    ResrScheduler *scheduler;
    Frames frames = {{false}};
    int ranks[N] = {0, 1, 2, 3, 4}, n = 0, left = FRAMES;
    srand(seed);
    for (int i = 0; i < FRAMES; i++) {
        frames.made[i] = rand() % 100 < 20 || (i >= 96 && i < 150);
        left -= frames.made[i];
    }
    assert_int_equal(
        resr_scheduler_create(&scheduler, &plan, schedule, ranks, N, not_made, &frames), 0);
    for (double now = 0; left > 0; now += 0.1) {
        resr_scheduler_update(scheduler, FRAMES, true, now);
        ResrPart part;
        int rank;
        while (resr_scheduler_next(scheduler, &part, &rank)) {
            assert_true(n < N * RESR_PARTS_IN_FLIGHT);
            for (int i = 0; i < part.count; i++)
                assert_false(frames.made[part.first + i]);
            running[n].part = part;
            running[n++].rank = rank;
        }
        assert_true(n > 0);
        int pick = rand() % n, chance = rand() % 100;
        rank = running[pick].rank;
        if (chance < 10 && resr_scheduler_live(scheduler) > 1) {
            resr_scheduler_exclude(scheduler, rank);
            for (int i = n - 1; i >= 0; i--)
                if (running[i].rank == rank)
                    running[i] = running[--n];
            assert_int_equal(resr_scheduler_in_flight(scheduler, rank), 0);
            if (chance < 5)
                resr_scheduler_readmit(scheduler, rank);
            continue;
        }
        part = running[pick].part;
        running[pick] = running[--n];
        assert_true(resr_scheduler_done(scheduler, rank, &part));
        assert_false(resr_scheduler_done(scheduler, rank, &part));
        if (chance < 20) {
            resr_scheduler_requeue(scheduler, &part);
            continue;
        }
        for (int i = 0; i < part.count; i++)
            frames.made[part.first + i] = true;
        left -= part.count;
        resr_scheduler_measure(scheduler, rank, part.count, 0.01 * (1 + rand() % 100));
    }
    resr_scheduler_free(scheduler);
}

static void test_losses(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 300; seed++) {
        play_with_losses(RESR_SCHEDULE_PULL, seed);
        play_with_losses(RESR_SCHEDULE_STATIC, seed);
    }
}

TEST_MAIN(test_units, test_static_is_the_originals, test_pull_has_a_short_tail,
          test_slow_ranks_and_the_pool, test_all_sizes, test_waits_for_whole_batches, test_losses)
