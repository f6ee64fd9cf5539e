/* Delivery by segments. If a rank is excluded, its open segments get other owners and their frames
 * are computed again; if it is silent, so are the frames that it computed for other owners, which
 * may not have left it; no other frame is. */

#include <stdbool.h>
#include <string.h>

#include "fake_endpoint.h"
#include "fake_io_threads.h"
#include "run/deliver_segments.h"
#include "test_main.h"

/* The first segment is done and gone, and the last one is in its place of the pool. */
enum { FRAMES = 64, POOL = 48, SEGMENT = 16, BATCH = 4, RANKS = 4 };

typedef struct Job {
    ResrPlan plan;
    ResrReorderBuffer frames;
    ResrScheduler *scheduler;
    ResrDelivery *delivery;
    ResrEndpoint *endpoint;
    ResrIoThreads io;
    int made_by[FRAMES], times[FRAMES];
} Job;

static bool is_needed(void *user, int64_t index)
{
    return resr_reorder_buffer_needs(&((Job *)user)->frames, index);
}

static void take(Job *job, int first, int end)
{
    for (int i = first; i < end; i++) {
        ResrFrame *frame;
        assert_int_equal(resr_frame_create_placeholder(&frame), 0);
        frame->index = i;
        frame->state = RESR_FRAME_DECODED;
        resr_reorder_buffer_add(&job->frames, frame);
    }
}

static void start(Job *job)
{
    static const int computing[] = {1, 2, 3};
    *job = (Job){.plan = {.batching = {SEGMENT, BATCH},
                          .part_frames = BATCH,
                          .pool_frames = POOL,
                          .ranks = RANKS}};
    assert_int_equal(resr_reorder_buffer_create(&job->frames, POOL), 0);
    assert_int_equal(resr_scheduler_create(&job->scheduler, &job->plan, RESR_SCHEDULE_PULL,
                                           computing, 3, is_needed, job),
                     0);
    fake_endpoint_reset(NULL, NULL);
    assert_int_equal(resr_endpoint_create(&job->endpoint, 1, RANKS - 1, &job->plan), 0);
    ResrDeliveryConfig config = {.plan = &job->plan,
                                 .frames = &job->frames,
                                 .io = &job->io,
                                 .scheduler = job->scheduler,
                                 .endpoint = job->endpoint,
                                 .computing = computing,
                                 .computing_count = 3};
    assert_int_equal(resr_deliver_segments_create(&job->delivery, &config), 0);
    take(job, 0, POOL);
}

static void end(Job *job)
{
    job->delivery->ops->free(job->delivery);
    resr_endpoint_free(job->endpoint);
    fake_endpoint_reset(NULL, NULL);
    resr_scheduler_free(job->scheduler);
    resr_reorder_buffer_clear(&job->frames);
}

static int owner_of(Job *job, int frame)
{
    return job->delivery->ops->target_of(job->delivery, &(ResrPart){.first = frame});
}

/* `rank` reports a part whose frames it has sent to `owner`. */
static int record(Job *job, int rank, const ResrPart *part, int owner, bool in_flight)
{
    bool ends_part;
    ResrMessage message = {.header = {.kind = RESR_WIRE_DONE, .part = *part, .owner = owner}};
    const ResrDeliveryOps *ops = job->delivery->ops;
    assert_int_equal(ops->route_result(job->delivery, &message, rank, &ends_part), 0);
    assert_true(ends_part);
    return ops->record_result(job->delivery, &message, rank, in_flight);
}

/* All parts that are handed out are computed at once, and their frames sent to the owners. */
static void compute_all(Job *job, int lost, int least_attempt)
{
    ResrPart parts[FRAMES];
    double now = 0;
    int rank[FRAMES], n;
    do {
        int64_t decoded = job->frames.decoded;
        resr_scheduler_update(job->scheduler, decoded, decoded == FRAMES, now++);
        for (n = 0; resr_scheduler_next(job->scheduler, &parts[n], &rank[n]);)
            n++;
        for (int k = 0; k < n; k++) {
            const ResrPart *part = &parts[k];
            int owner = owner_of(job, (int)part->first);
            assert_true(rank[k] != lost && owner != lost);
            assert_true(part->attempt >= least_attempt);
            assert_true(resr_scheduler_done(job->scheduler, rank[k], part));
            resr_scheduler_measure(job->scheduler, rank[k], part->count, part->count);
            assert_int_equal(record(job, rank[k], part, owner, true), part->count);
            assert_int_equal(record(job, rank[k], part, owner, true), 0); /* twice */
            for (int i = 0; i < part->count; i++) {
                job->made_by[part->first + i] = rank[k];
                job->times[part->first + i]++;
            }
        }
    } while (n > 0);
    for (int i = 0; i < FRAMES; i++)
        assert_false(is_needed(job, i));
}

static void end_first_segment(Job *job)
{
    ResrFrame *frame;
    for (int i = 0; i < SEGMENT; i++) {
        resr_reorder_buffer_set_durable(&job->frames, i);
        frame = resr_reorder_buffer_deliver(&job->frames);
        assert_non_null(frame);
        resr_frame_free(frame);
    }
}

/* Some rank has computed a part. */
static void compute_part(Job *job, int first, int count)
{
    ResrPart part = {.batch = first / BATCH, .first = first, .count = count, .attempt = 1};
    assert_int_equal(record(job, 1, &part, owner_of(job, first), true), count);
}

static void lose(int lost, bool silent)
{
    Job job;
    int again = 0, owner[FRAMES];
    start(&job);
    compute_all(&job, -1, 1);
    end_first_segment(&job);
    take(&job, POOL, FRAMES);
    compute_all(&job, -1, 1);
    for (int i = 0; i < FRAMES; i++)
        owner[i] = owner_of(&job, i);
    resr_scheduler_exclude(job.scheduler, lost);
    job.delivery->ops->exclude(job.delivery, lost, silent);
    for (int i = 0; i < FRAMES; i++) {
        bool expected = i >= SEGMENT && (owner[i] == lost || (silent && job.made_by[i] == lost));
        assert_int_equal(is_needed(&job, i), expected);
        assert_true(owner[i] == lost ? owner_of(&job, i) != lost : owner_of(&job, i) == owner[i]);
        again += expected;
        job.times[i] += !expected;
    }
    assert_true(again < FRAMES - SEGMENT && (!silent || again > 0));
    compute_all(&job, lost, 2);
    for (int i = 0; i < FRAMES; i++)
        assert_int_equal(job.times[i], 2);
    end(&job);
}

static void test_lost(void **state)
{
    (void)state;
    for (int lost = 1; lost < RANKS; lost++) {
        lose(lost, true);
        lose(lost, false);
    }
}

/* The owner of a part in flight is excluded. */
static void test_other_owner(void **state)
{
    (void)state;
    Job job;
    ResrPart part;
    int rank;
    start(&job);
    resr_scheduler_update(job.scheduler, POOL, false, 0);
    assert_true(resr_scheduler_next(job.scheduler, &part, &rank));
    int lost = owner_of(&job, (int)part.first);
    job.delivery->ops->exclude(job.delivery, lost, true);
    assert_int_equal(record(&job, rank, &part, lost, false), 0);
    assert_true(is_needed(&job, part.first));
    int owner = owner_of(&job, (int)part.first);
    assert_int_not_equal(owner, lost);
    assert_int_equal(record(&job, rank, &part, owner, false), part.count);
    assert_false(is_needed(&job, part.first));
    end(&job);
}

/* An owner is waited for once all of its segment's frames are computed. The last segment may be
 * shorter: that is known when the input has ended, and then all ranks are told. */
static void test_last_segment(void **state)
{
    (void)state;
    Job job;
    ResrMessage *message;
    bool active = false;
    int rank, told = 0;
    start(&job);
    job.io.frames = FRAMES;
    compute_all(&job, -1, 1);
    end_first_segment(&job);
    take(&job, POOL, POOL + 5);
    int owner = owner_of(&job, POOL);
    compute_part(&job, POOL, 4);
    for (int i = SEGMENT; i < POOL; i++)
        resr_reorder_buffer_set_computed(&job.frames, i, false);
    assert_false(job.delivery->ops->waits_for(job.delivery, owner));
    compute_part(&job, POOL + 4, 1);
    assert_int_equal(job.delivery->ops->advance(job.delivery, &active), 0);
    assert_false(job.delivery->ops->waits_for(job.delivery, owner)); /* more frames may follow */
    assert_null(fake_endpoint_take(&rank));
    job.io.frames = job.io.decoded = POOL + 5;
    assert_int_equal(job.delivery->ops->advance(job.delivery, &active), 0);
    assert_true(job.delivery->ops->waits_for(job.delivery, owner));
    for (; (message = fake_endpoint_take(&rank)); told |= 1 << rank) {
        assert_int_equal(message->header.kind, RESR_WIRE_END);
        assert_int_equal(message->header.progress, POOL + 5);
        resr_message_free(message);
    }
    assert_int_equal(told, 1 << 1 | 1 << 2 | 1 << 3);
    assert_int_equal(job.io.end, POOL + 5);
    end(&job);
}

static ResrMessage *make_segment(int64_t number, int frames)
{
    ResrMessage *message;
    assert_int_equal(resr_message_create(&message, RESR_WIRE_SEGMENT), 0);
    message->header.part =
        (ResrPart){.batch = number, .first = number * SEGMENT, .count = 1, .attempt = 1};
    message->header.progress = frames;
    size_t bytes = 100 + (size_t)frames * sizeof(ResrFrameRecord);
    assert_int_equal(resr_frame_create_raw(&message->frames[0], bytes), 0);
    memset(message->frames[0]->data, 1, bytes);
    return message;
}

/* A segment's file is taken once; another one, of a segment that is finished, is dropped. A segment
 * of other frames is an error. */
static void test_segment_twice(void **state)
{
    (void)state;
    Job job;
    start(&job);
    compute_all(&job, -1, 1);
    for (int turn = 0; turn < 2; turn++) {
        ResrMessage *message = make_segment(1, SEGMENT);
        assert_int_equal(job.delivery->ops->accept_segment(job.delivery, message), 0);
        assert_int_equal(job.io.imported, 1);
        resr_message_free(message);
    }
    ResrMessage *message = make_segment(0, SEGMENT);
    message->header.part.first = 1;
    assert_int_equal(job.delivery->ops->accept_segment(job.delivery, message), RESR_ERR_INTERNAL);
    message->header.part.first = 0;
    message->header.progress = SEGMENT + 1;
    assert_int_equal(job.delivery->ops->accept_segment(job.delivery, message), RESR_ERR_INTERNAL);
    assert_int_equal(job.io.imported, 1);
    resr_message_free(message);
    end(&job);
}

TEST_MAIN(test_lost, test_other_owner, test_last_segment, test_segment_twice)
