/* Rank 0's main loop over a fake endpoint, in virtual time: the test plays the other ranks. Every
 * frame is delivered once and in order; ranks that are silent, stuck or broken are excluded, and
 * readmitted when they answer; errors of ranks, of the disk and of the exchange end the job. */

#include <signal.h>
#include <string.h>

#include "base/clock.h"
#include "fake_checkpoint.h"
#include "fake_endpoint.h"
#include "fake_io_threads.h"
#include "run/coordinator.h"
#include "test_main.h"

enum { RANKS = 4, POOL = 24, BATCH = 8, SEGMENT = 48, HELD = 64 };

#define DEADLINE 2.0

typedef struct Peer {
    double frame_seconds;
    bool silent;         /* sends nothing */
    bool stuck;          /* sends heartbeats only */
    int fail_code;       /* of the next part; RESR_ERR_DEVICE: of all parts */
    double silent_until; /* 0: no end */
    ResrMessage *held[HELD];
    int count;
    double since, beat, heard;
    int64_t progress;
    /* Counts of received messages and frames. */
    int parts, frames, parts_after_recall, recalls, stops;
} Peer;

typedef struct Job {
    ResrPlan plan;
    ResrOptions options;
    ResrRankInfo ranks[RANKS];
    ResrReport *report;
    ResrIoThreads io;
    ResrCheckpoint checkpoint;
    atomic_llong turn_ns;
    ResrCoordinator *coordinator;
    Peer peers[RANKS];
    volatile sig_atomic_t stop_signal;
    double started, turned;
    void (*script)(struct Job *job, double now); /* called at every turn */
    bool done;                                   /* of the script */
    int delivered_at_stop;
} Job;

static double now_seconds(void)
{
    return resr_clock_seconds_since(0);
}

static ResrMessage *make_message(ResrWireKind kind)
{
    ResrMessage *message;
    assert_int_equal(resr_message_create(&message, kind), 0);
    return message;
}

static void send_failure(int rank, const ResrPart *part, int code)
{
    ResrMessage *message = make_message(RESR_WIRE_FAILURE);
    if (part)
        message->header.part = *part;
    message->header.code = code;
    strcpy(message->header.text, "it failed");
    fake_endpoint_deliver(rank, message);
}

static void send_result(Job *job, int rank)
{
    Peer *peer = &job->peers[rank];
    ResrMessage *work = peer->held[0];
    memmove(peer->held, peer->held + 1, (size_t)--peer->count * sizeof *peer->held);
    peer->since = now_seconds();
    if (peer->fail_code) {
        send_failure(rank, &work->header.part, peer->fail_code);
        if (peer->fail_code != RESR_ERR_DEVICE)
            peer->fail_code = 0;
        resr_message_free(work);
        return;
    }
    ResrMessage *result = make_message(RESR_WIRE_RESULT);
    result->header.part = work->header.part;
    result->header.seconds = peer->frame_seconds * work->header.part.count;
    for (int i = 0; i < work->header.part.count; i++) {
        assert_int_equal(work->frames[i]->index, work->header.part.first + i);
        assert_int_equal(resr_frame_create_placeholder(&result->frames[i]), 0);
        result->frames[i]->state = RESR_FRAME_DECODED;
        result->frames[i]->index = work->frames[i]->index;
    }
    peer->progress += work->header.part.count;
    fake_endpoint_deliver(rank, result);
    resr_message_free(work);
}

static void receive(Job *job, int rank, ResrMessage *message)
{
    Peer *peer = &job->peers[rank];
    peer->heard = now_seconds();
    if (message->header.kind == RESR_WIRE_WORK) {
        assert_in_range(message->header.part.count, 1, BATCH);
        assert_true(peer->count < HELD);
        if (peer->count == 0)
            peer->since = now_seconds();
        peer->held[peer->count++] = message;
        peer->parts++;
        peer->parts_after_recall += peer->recalls > 0;
        peer->frames += message->header.part.count;
        return;
    }
    if (message->header.kind == RESR_WIRE_RECALL && message->header.part.attempt == 0)
        peer->recalls++;
    if (message->header.kind == RESR_WIRE_STOP) {
        peer->stops++;
        if (!peer->silent)
            fake_endpoint_deliver(rank, make_message(RESR_WIRE_BYE));
    }
    resr_message_free(message);
}

/* A worker that waits for rank 0 for two deadlines ends the job. Like a worker, a peer waits anew
 * after rank 0's process, which is the test's, was suspended. */
static void check_root(const Job *job, Peer *peer, double now)
{
    if (now - job->turned > DEADLINE / 2)
        peer->heard = now;
    if (peer->stops == 0)
        assert_true(now - peer->heard < 2 * DEADLINE);
}

/* Frames that a peer has computed, those of its unfinished part included. */
static int64_t progress_of(const Peer *peer, double now)
{
    double frames = peer->stuck || peer->count == 0 ? 0 : (now - peer->since) / peer->frame_seconds;
    return peer->progress + (int64_t)frames;
}

/* A turn of all other ranks. */
static void turn(void *user)
{
    Job *job = user;
    ResrMessage *message;
    int rank;
    while ((message = fake_endpoint_take(&rank)))
        receive(job, rank, message);
    double now = now_seconds();
    if (job->script)
        job->script(job, now);
    for (rank = 1; rank < RANKS; rank++) {
        Peer *peer = &job->peers[rank];
        if (peer->silent && peer->silent_until > 0 && now > peer->silent_until)
            peer->silent = false;
        if (peer->silent) {
            peer->heard = now;
            continue;
        }
        check_root(job, peer, now);
        if (now - peer->beat > DEADLINE / 8) {
            peer->beat = now;
            ResrMessage *alive = make_message(RESR_WIRE_ALIVE);
            alive->header.progress = progress_of(peer, now);
            fake_endpoint_deliver(rank, alive);
        }
        if (!peer->stuck && peer->count > 0 &&
            now - peer->since >= peer->frame_seconds * peer->held[0]->header.part.count)
            send_result(job, rank);
    }
    job->turned = now;
}

static void start_scheduled(Job *job, int64_t frames, bool checkpoint, ResrSchedule schedule)
{
    *job = (Job){.plan = {.input = {.width_px = 16, .height_px = 16},
                          .spec = {.arch = RESR_ARCH_SRVGG,
                                   .scale = 1,
                                   .unshuffle = 1,
                                   .num_blocks = 1,
                                   .nf = 16,
                                   .channels = 3,
                                   .resize = 1},
                          .batching = {SEGMENT, BATCH},
                          .part_frames = BATCH,
                          .pool_frames = POOL,
                          .ranks = RANKS,
                          .deadline_seconds = DEADLINE},
                 .options = {.progress = RESR_PROGRESS_NONE, .schedule = schedule}};
    fake_clock_advance(1);
    job->started = job->turned = now_seconds();
    for (int i = 1; i < RANKS; i++) {
        job->ranks[i].threads = 1;
        job->peers[i].frame_seconds = 0.1 * i;
        job->peers[i].heard = job->started;
    }
    fake_io_threads_init(&job->io, frames, POOL);
    fake_endpoint_reset(turn, job);
    assert_int_equal(resr_report_create(&job->report), 0);
    ResrCoordinatorConfig config = {.plan = &job->plan,
                                    .options = &job->options,
                                    .ranks = job->ranks,
                                    .report = job->report,
                                    .io = &job->io,
                                    .checkpoint = checkpoint ? &job->checkpoint : NULL,
                                    .turn_ns = &job->turn_ns};
    assert_int_equal(resr_coordinator_create(&job->coordinator, &config), 0);
}

static void start(Job *job, int64_t frames, bool checkpoint)
{
    start_scheduled(job, frames, checkpoint, RESR_SCHEDULE_PULL);
}

static int run(Job *job)
{
    return resr_coordinator_run(job->coordinator, &job->stop_signal);
}

/* Returns the status of the shutdown. All credits must be back, but for those of frames that were
 * not delivered. */
static int end(Job *job)
{
    int credits;
    int ret = resr_coordinator_shutdown(job->coordinator, false);
    for (int i = 1; i < RANKS; i++)
        while (job->peers[i].count > 0)
            resr_message_free(job->peers[i].held[--job->peers[i].count]);
    fake_endpoint_reset(NULL, NULL);
    resr_report_free(job->report);
    sem_getvalue(&job->io.credits, &credits);
    assert_int_equal(credits, POOL);
    fake_clock_stop();
    return ret;
}

static void expect_all(const Job *job)
{
    ResrTimes times;
    int64_t in, out, sum = 0;
    resr_coordinator_counters(job->coordinator, &in, &out, &times);
    assert_int_equal(in, job->io.frames);
    assert_int_equal(out, job->io.frames);
    assert_int_equal(job->io.encoded, job->io.frames);
    assert_true(job->io.in_order);
    for (int i = 1; i < RANKS; i++)
        sum += job->ranks[i].frames;
    assert_int_equal(sum, job->io.frames);
}

/* Frames of fast and slow ranks reach the encoder in order, each once and with the hash of its
 * source, and each is kept for the checkpoint. */
static void test_in_order(void **state)
{
    (void)state;
    Job job;
    start(&job, 203, true);
    assert_int_equal(run(&job), 0);
    expect_all(&job);
    assert_int_equal(job.checkpoint.retained, 203);
    assert_int_equal(job.checkpoint.exclusions, 0);
    for (int i = 1; i < RANKS; i++)
        assert_true(job.ranks[i].frames > 0);
    assert_true(job.ranks[1].frames > job.ranks[3].frames);
    assert_int_equal(end(&job), 0);
    for (int i = 1; i < RANKS; i++)
        assert_int_equal(job.peers[i].stops, 1);
}

/* A silent rank is excluded after the deadline, and its frames go to others. A failure of its
 * encoder that arrives later is of no consequence. */
static void fail_late(Job *job, double now)
{
    (void)now;
    if (job->checkpoint.exclusions == 1 && !job->done) {
        send_failure(2, NULL, RESR_ERR_IO);
        job->done = true;
    }
}

static void test_silent_rank(void **state)
{
    (void)state;
    Job job;
    start(&job, 203, true);
    job.peers[2].silent = true;
    job.script = fail_late;
    assert_int_equal(run(&job), 0);
    expect_all(&job);
    assert_true(job.done);
    assert_true(job.peers[2].parts > 0);
    assert_int_equal(job.ranks[2].frames, 0);
    assert_int_equal(job.checkpoint.exclusions, 1);
    assert_int_equal(job.checkpoint.excluded[0], 2);
    assert_in_range((int)(job.checkpoint.excluded_at[0] - job.started), (int)DEADLINE,
                    2 * (int)DEADLINE);
    assert_int_equal(end(&job), RESR_ERR_STOPPED);
}

/* The same failure of a rank in use ends the job. */
static void fail_now(Job *job, double now)
{
    (void)now;
    if (job->io.encoded > 20 && !job->done)
        send_failure(3, NULL, RESR_ERR_IO);
    job->done = job->io.encoded > 20;
}

static void test_encoder_fails(void **state)
{
    (void)state;
    Job job;
    start(&job, 203, false);
    job.script = fail_now;
    assert_int_equal(run(&job), RESR_ERR_IO);
    assert_non_null(strstr(resr_error_text(), "rank 3"));
    assert_non_null(strstr(resr_error_text(), "it failed"));
    assert_int_equal(end(&job), 0);
}

/* A rank that sends heartbeats but no frame is excluded after RESR_DEADLINE_FRAMES times the
 * longest time of a FRAME, not of a part. */
static void test_stuck_rank(void **state)
{
    (void)state;
    Job job;
    start(&job, 800, true);
    for (int i = 1; i < RANKS; i++)
        job.peers[i].frame_seconds = 0.5;
    job.peers[3].stuck = true;
    assert_int_equal(run(&job), 0);
    expect_all(&job);
    assert_int_equal(job.checkpoint.exclusions, 1);
    assert_int_equal(job.checkpoint.excluded[0], 3);
    assert_in_range((int)(job.checkpoint.excluded_at[0] - job.started),
                    (int)(0.5 * RESR_DEADLINE_FRAMES), (int)(0.5 * RESR_DEADLINE_FRAMES) + 10);
    assert_int_equal(end(&job), RESR_ERR_STOPPED);
}

/* A rank that answers again is readmitted: it is told to drop its frames, and gets new ones. */
static void test_readmit(void **state)
{
    (void)state;
    Job job;
    start(&job, 400, true);
    job.peers[2].silent = true;
    job.peers[2].silent_until = now_seconds() + 3 * DEADLINE;
    assert_int_equal(run(&job), 0);
    expect_all(&job);
    assert_int_equal(job.checkpoint.exclusions, 1);
    assert_int_equal(job.peers[2].recalls, 1);
    assert_true(job.peers[2].parts_after_recall > 0);
    assert_true(job.ranks[2].frames > 0);
    assert_int_equal(end(&job), 0);
}

/* A rank without work has no progress to report: its first message is enough. */
static void test_readmit_idle(void **state)
{
    (void)state;
    Job job;
    start_scheduled(&job, 2 * BATCH, true, RESR_SCHEDULE_STATIC);
    for (int i = 1; i < RANKS; i++)
        job.peers[i].frame_seconds = 0.75 * DEADLINE;
    job.peers[3].silent = true;
    job.peers[3].silent_until = now_seconds() + 2 * DEADLINE;
    assert_int_equal(run(&job), 0);
    expect_all(&job);
    assert_int_equal(job.checkpoint.exclusions, 1);
    assert_int_equal(job.peers[3].parts, 0);
    assert_int_equal(job.peers[3].recalls, 1);
    assert_true(now_seconds() > job.peers[3].silent_until + 2 * DEADLINE);
    assert_int_equal(end(&job), 0);
}

/* Rank 0 itself was suspended: no rank is to blame. */
static void suspend(Job *job, double now)
{
    (void)now;
    if (job->io.encoded > 20 && !job->done) {
        job->done = true;
        fake_clock_advance(3 * DEADLINE);
    }
}

static void test_suspended(void **state)
{
    (void)state;
    Job job;
    start(&job, 203, true);
    job.script = suspend;
    assert_int_equal(run(&job), 0);
    expect_all(&job);
    assert_true(job.done);
    assert_int_equal(job.checkpoint.exclusions, 0);
    assert_int_equal(end(&job), 0);
}

/* No rank is left: the job can be resumed. */
static void test_all_silent(void **state)
{
    (void)state;
    Job job;
    start(&job, 203, true);
    for (int i = 1; i < RANKS; i++)
        job.peers[i].silent = true;
    assert_int_equal(run(&job), RESR_ERR_STOPPED);
    assert_int_equal(job.checkpoint.exclusions, RANKS - 1);
    assert_int_equal(end(&job), RESR_ERR_STOPPED);
}

/* A device that fails excludes its rank, which is still spoken to; other failures are retried. */
static void test_part_fails(void **state)
{
    (void)state;
    Job job;
    start(&job, 203, true);
    job.peers[2].fail_code = RESR_ERR_DEVICE;
    job.peers[3].fail_code = RESR_ERR_DATA;
    assert_int_equal(run(&job), 0);
    expect_all(&job);
    assert_int_equal(job.checkpoint.exclusions, 1);
    assert_int_equal(job.checkpoint.excluded[0], 2);
    assert_int_equal(job.ranks[2].frames, 0);
    assert_true(job.peers[2].parts <= RESR_PARTS_IN_FLIGHT);
    assert_true(job.ranks[3].frames > 0);
    assert_int_equal(end(&job), 0);
    assert_int_equal(job.peers[2].stops, 1);
}

/* A rank without a device that is suspended for a while, and answers again, still has none; its
 * encoder's failure is of no consequence. */
static void suspend_failed(Job *job, double now)
{
    Peer *peer = &job->peers[2];
    if (job->checkpoint.exclusions == 0 || job->done)
        return;
    job->done = true;
    send_failure(2, NULL, RESR_ERR_IO);
    peer->silent = true;
    peer->silent_until = now + 2 * DEADLINE;
}

static void test_suspended_without_device(void **state)
{
    (void)state;
    Job job;
    start(&job, 400, true);
    job.peers[2].fail_code = RESR_ERR_DEVICE;
    job.script = suspend_failed;
    assert_int_equal(run(&job), 0);
    expect_all(&job);
    assert_true(now_seconds() > job.peers[2].silent_until + DEADLINE);
    assert_int_equal(job.checkpoint.exclusions, 1);
    assert_true(job.peers[2].parts <= RESR_PARTS_IN_FLIGHT);
    assert_int_equal(end(&job), 0);
    assert_int_equal(job.peers[2].stops, 1);
}

/* A rank whose encoder has failed while it was left out gets no work when it answers again. */
static void wake_with_failure(Job *job, double now)
{
    if (job->checkpoint.exclusions == 0 || job->done)
        return;
    job->done = true;
    send_failure(2, NULL, RESR_ERR_IO);
    job->peers[2].silent_until = now;
}

static void test_encoder_fails_excluded(void **state)
{
    (void)state;
    Job job;
    start(&job, 400, true);
    job.peers[2].silent = true;
    job.script = wake_with_failure;
    assert_int_equal(run(&job), 0);
    expect_all(&job);
    assert_int_equal(job.checkpoint.exclusions, 1);
    assert_true(job.peers[2].parts <= RESR_PARTS_IN_FLIGHT);
    assert_int_equal(end(&job), 0);
}

/* Frames that fail everywhere end the job with their error. */
static void fail_always(Job *job, double now)
{
    (void)now;
    for (int i = 1; i < RANKS; i++)
        job->peers[i].fail_code = RESR_ERR_DATA;
}

static void test_part_fails_always(void **state)
{
    (void)state;
    Job job;
    start(&job, 203, false);
    job.script = fail_always;
    assert_int_equal(run(&job), RESR_ERR_DATA);
    assert_non_null(strstr(resr_error_text(), "it failed"));
    assert_int_equal(job.io.encoded, 0);
    assert_int_equal(end(&job), 0);
}

/* The checkpoint's error ends the job. */
static void fail_disk(Job *job, double now)
{
    (void)now;
    if (job->io.encoded > 20)
        job->checkpoint.error = RESR_ERR_IO;
}

static void test_disk_full(void **state)
{
    (void)state;
    Job job;
    start(&job, 203, true);
    job.script = fail_disk;
    assert_int_equal(run(&job), RESR_ERR_IO);
    assert_non_null(strstr(resr_error_text(), "no space left"));
    assert_true(job.io.encoded < 203);
    assert_int_equal(end(&job), 0);
}

/* A signal: unstarted frames are recalled, nothing more is handed out, and frames that are being
 * computed are waited for only where a checkpoint can keep them. */
static void stop_soon(Job *job, double now)
{
    (void)now;
    if (job->io.encoded > 20 && !job->stop_signal) {
        job->stop_signal = SIGTERM;
        job->delivered_at_stop = (int)job->io.encoded;
    }
}

static void test_stop(void **state)
{
    (void)state;
    Job job;
    for (int checkpoint = 0; checkpoint < 2; checkpoint++) {
        start(&job, 203, checkpoint);
        job.script = stop_soon;
        assert_int_equal(run(&job), RESR_ERR_STOPPED);
        assert_non_null(strstr(resr_error_text(), "signal 15"));
        assert_true(job.io.stopped);
        assert_true(job.io.encoded < 203);
        assert_int_equal(job.checkpoint.retained > job.delivered_at_stop, checkpoint);
        turn(&job); /* receives the last messages */
        for (int i = 1; i < RANKS; i++) {
            assert_int_equal(job.peers[i].recalls, 1);
            assert_int_equal(job.peers[i].parts_after_recall, 0);
        }
        assert_int_equal(end(&job), 0);
    }
}

/* A damaged message ends the job, and the exchange cannot be closed in order. */
static void damage(Job *job, double now)
{
    (void)now;
    if (job->io.encoded > 20)
        fake_endpoint_damage();
}

static void test_damaged_message(void **state)
{
    (void)state;
    Job job;
    start(&job, 203, false);
    job.script = damage;
    assert_int_equal(run(&job), RESR_ERR_STOPPED);
    assert_non_null(strstr(resr_error_text(), "header was damaged"));
    assert_int_equal(end(&job), RESR_ERR_STOPPED);
}

TEST_MAIN(test_in_order, test_silent_rank, test_encoder_fails, test_stuck_rank, test_readmit,
          test_readmit_idle, test_suspended, test_all_silent, test_part_fails,
          test_suspended_without_device, test_encoder_fails_excluded, test_disk_full,
          test_part_fails_always, test_stop, test_damaged_message)
