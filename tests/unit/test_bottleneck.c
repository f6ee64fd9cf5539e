/* The bottleneck of a job, from its activity. */

#include <stdbool.h>

#include "fake_endpoint.h"
#include "fake_io_threads.h"
#include "run/bottleneck.h"
#include "test_main.h"

static void expect(const char *word, ResrActivity activity)
{
    assert_string_equal(resr_bottleneck_name(&activity), word);
}

static void test_limits(void **state)
{
    (void)state;
    expect("decode", (ResrActivity){.computing = 0}); /* the start: no frame is decoded */
    expect("decode", (ResrActivity){.computing = 0.5});
    expect("compute", (ResrActivity){.computing = 1});
    expect("network", (ResrActivity){.computing = 0.5, .in_transit = 0.5});
    expect("encode", (ResrActivity){.computing = 0.5, .decoder_waiting = 1, .backlog = 1});
    expect("disk", (ResrActivity){.decoder_waiting = 1, .backlog = 1, .committing = 1});
    expect("disk", (ResrActivity){.decoder_waiting = 1, .writing = 1});
    expect("compute",
           (ResrActivity){.computing = 0.1, .decoder_waiting = 1}); /* one slow rank holds all */
}

/* Computing ranks are the bottleneck even if all other threads are busy; otherwise the most active
 * stage counts. */
static void test_ranks_come_first(void **state)
{
    (void)state;
    expect("compute", (ResrActivity){0.95, 0.05, 1, 1, 1, 1});
    expect("network", (ResrActivity){0.2, 0.7, 1, 1, 0, 0});
    expect("encode", (ResrActivity){0.2, 0.2, 0.9, 0.9, 0.1, 0.9});
    expect("decode", (ResrActivity){0.2, 0.2, 0.1, 0.4, 0, 0.9});
}

static bool every_frame(void *user, int64_t index)
{
    (void)user;
    (void)index;
    return true;
}

/* Two ranks, of which the first has all the work. The second counts as idle only while it could
 * compute: not if it has no device, is silent, or never computes. */
static void test_ranks_that_cannot_compute_do_not_count(void **state)
{
    (void)state;
    const struct {
        unsigned faults;
        int threads;
        const char *word;
    } seconds[] = {{0, 1, "decode"},
                   {0, 0, "compute"},
                   {RESR_RANK_NO_DEVICE, 1, "compute"},
                   {RESR_RANK_SILENT, 1, "compute"},
                   {RESR_RANK_STUCK, 1, "compute"}};
    const ResrPlan plan = {.batching = {0, 8}, .part_frames = 8, .pool_frames = 64, .ranks = 2};
    const int computing[] = {0};
    ResrScheduler *scheduler;
    ResrIoThreads io;
    ResrPart part;
    int rank;
    fake_io_threads_init(&io, 8, 64);
    assert_int_equal(resr_scheduler_create(&scheduler, &plan, RESR_SCHEDULE_PULL, computing, 1,
                                           every_frame, NULL),
                     0);
    resr_scheduler_update(scheduler, 8, true, 0);
    assert_true(resr_scheduler_next(scheduler, &part, &rank));
    for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++) {
        ResrBottleneck bottleneck = {0};
        const ResrRankInfo ranks[] = {{.threads = 1}, {.threads = seconds[i].threads}};
        const unsigned faults[] = {0, seconds[i].faults};
        const ResrBottleneckConfig config = {
            .scheduler = scheduler, .io = &io, .ranks = ranks, .faults = faults, .n = 2};
        const char *name = NULL;
        for (int step = 0; step < 110; step++) {
            fake_clock_advance(0.01);
            name = resr_bottleneck_sample(&bottleneck, &config);
            assert_true(step < 99 ? name == NULL : step < 102 || name != NULL);
        }
        assert_string_equal(name, seconds[i].word);
    }
    fake_clock_stop();
    resr_scheduler_free(scheduler);
}

TEST_MAIN(test_limits, test_ranks_come_first, test_ranks_that_cannot_compute_do_not_count)
