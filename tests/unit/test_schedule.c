/* The unit ladder and the scheduler: every frame once, batches that never cross a segment, the
 * original's grouping with one segment and a static schedule, and a short tail. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "mpi/schedule.h"

enum { FRAMES = 300, RANKS = 12 };

static ResrPlan make_plan(int64_t segment, int64_t batch)
{
    return (ResrPlan){.units = {segment, batch}, .part_frames = batch, .ranks = RANKS};
}

static void test_units(void **state)
{
    (void)state;
    ResrUnits units = {48, 8};
    assert_int_equal(resr_units_batch_of(&units, 0), 0);
    assert_int_equal(resr_units_batch_of(&units, 47), 5);
    assert_int_equal(resr_units_batch_of(&units, 48), 6);
    units.batch_frames = 5; /* nine batches of 5 and one of 3 a segment */
    assert_int_equal(resr_units_batch_of(&units, 47), 9);
    assert_int_equal(resr_units_batch_end(&units, 46), 48);
    assert_int_equal(resr_units_batch_of(&units, 48), 10);
    assert_int_equal(resr_units_batch_end(&units, 48), 53);
    units = (ResrUnits){0, 8};
    assert_int_equal(resr_units_batch_of(&units, 299), 37);
    assert_int_equal(resr_units_batch_end(&units, 299), 304);
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

/* Plays the schedule with workers that need `seconds` a frame, everything decoded from the start;
 * checks that every frame is handed out exactly once and in batches. */
static Outcome play(const ResrPlan *plan, int schedule, double seconds)
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
    int ranks[RANKS], rank, n = 0, seen[FRAMES] = {0};
    double now = 0;
    for (int i = 0; i < RANKS; i++)
        ranks[i] = i;
    assert_int_equal(
        resr_scheduler_create(&scheduler, plan, schedule, ranks, RANKS, every_frame, NULL), 0);
    resr_scheduler_update(scheduler, FRAMES, true);
    for (;;) {
        while (resr_scheduler_next(scheduler, &part, &rank)) {
            double start = workers[rank].free_at > now ? workers[rank].free_at : now;
            workers[rank].free_at = start + seconds * part.count;
            running[n].done = workers[rank].free_at;
            running[n].part = part;
            running[n++].rank = rank;
            assert_true(++workers[rank].parts <= RESR_PARTS_IN_FLIGHT);
            assert_true(part.first + part.count <= FRAMES && part.count >= 1);
            assert_true(resr_units_batch_end(&plan->units, part.first) >= part.first + part.count);
            assert_int_equal(part.batch, resr_units_batch_of(&plan->units, part.first));
            if (schedule == RESR_SCHEDULE_STATIC)
                assert_int_equal(rank, part.batch % RANKS);
            for (int i = 0; i < part.count; i++)
                seen[part.first + i]++;
            outcome.frames_of_rank[rank] += part.count;
            outcome.parts++;
        }
        if (n == 0)
            break;
        int first = 0;
        for (int i = 1; i < n; i++)
            if (running[i].done < running[first].done)
                first = i;
        now = running[first].done;
        workers[running[first].rank].parts--;
        assert_true(resr_scheduler_done(scheduler, running[first].rank, &running[first].part));
        running[first] = running[--n];
    }
    for (int i = 0; i < FRAMES; i++)
        assert_int_equal(seen[i], 1);
    resr_scheduler_free(scheduler);
    outcome.makespan = now;
    return outcome;
}

static void test_static_is_the_originals(void **state)
{
    (void)state;
    ResrPlan plan = make_plan(0, 8);
    Outcome outcome = play(&plan, RESR_SCHEDULE_STATIC, 0.4);
    assert_int_equal(outcome.parts, 38);
    assert_float_equal(outcome.makespan, 12.8, 1e-6);       /* four rounds */
    assert_int_equal(outcome.frames_of_rank[0], 8 * 4);     /* batches 0, 12, 24, 36 */
    assert_int_equal(outcome.frames_of_rank[1], 8 * 3 + 4); /* 1, 13, 25 and the last, of 4 */
    assert_int_equal(outcome.frames_of_rank[2], 8 * 3);
}

static void test_pull_has_a_short_tail(void **state)
{
    (void)state;
    ResrPlan plan = make_plan(48, 8);
    Outcome outcome = play(&plan, RESR_SCHEDULE_PULL, 0.4);
    assert_true(outcome.makespan >= 10.0 - 1e-6);
    assert_true(outcome.makespan <= 10.0 * 1.09); /* at most two frames behind the ideal */
}

static void test_all_sizes(void **state)
{
    (void)state;
    static const int segments[] = {0, 48, 7, 1}, batches[] = {1, 5, 8, 64};
    for (size_t s = 0; s < sizeof segments / sizeof *segments; s++)
        for (size_t b = 0; b < sizeof batches / sizeof *batches; b++) {
            ResrPlan plan = make_plan(segments[s], batches[b]);
            play(&plan, RESR_SCHEDULE_PULL, 1);
            play(&plan, RESR_SCHEDULE_STATIC, 1);
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
    resr_scheduler_update(scheduler, 7, false);
    assert_false(resr_scheduler_next(scheduler, &part, &rank));
    resr_scheduler_update(scheduler, 8, false);
    assert_true(resr_scheduler_next(scheduler, &part, &rank));
    assert_int_equal(part.count, 8);
    resr_scheduler_update(scheduler, 9, true);
    assert_true(resr_scheduler_next(scheduler, &part, &rank));
    assert_int_equal(part.count, 1);
    assert_false(resr_scheduler_next(scheduler, &part, &rank));
    resr_scheduler_free(scheduler);
}

/* Frames as the coordinator knows them: needed until their result is there. */
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
    resr_scheduler_update(scheduler, FRAMES, true);
    while (left > 0) {
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
            resr_scheduler_lose(scheduler, rank);
            for (int i = n - 1; i >= 0; i--)
                if (running[i].rank == rank)
                    running[i] = running[--n];
            assert_int_equal(resr_scheduler_in_flight(scheduler, rank), 0);
            if (chance < 5)
                resr_scheduler_revive(scheduler, rank);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_units),
        cmocka_unit_test(test_static_is_the_originals),
        cmocka_unit_test(test_pull_has_a_short_tail),
        cmocka_unit_test(test_all_sizes),
        cmocka_unit_test(test_waits_for_whole_batches),
        cmocka_unit_test(test_losses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
