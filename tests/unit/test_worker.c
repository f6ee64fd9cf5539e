/* A worker over a fake endpoint: the test plays rank 0 and the other workers. */

#include <signal.h>
#include <string.h>

#include "base/clock.h"
#include "fake_endpoint.h"
#include "net/simulate.h"
#include "run/segment_gather.h"
#include "run/worker.h"
#include "small_job.h"
#include "test_main.h"

enum { SELF = 1, OTHER = 2, FRAMES = 4, SEGMENT = 4, TURNS_MAX = 100000 };

#define DEADLINE 60.0

static const ResrFormat format = TEST_YUV420P(64, 36);

typedef struct Job {
    ResrPlan plan;
    ResrCompute *compute;
    volatile sig_atomic_t stop_signal;
    bool stopped;     /* STOP was sent */
    bool fake_clock;  /* rank 0 is silent */
    int wanted;       /* messages before STOP; ALIVE and BYE do not count */
    int turns, count; /* received from the worker so far */
    int kind[16], to[16];
    ResrWireHeader header[16];
    int byes[3], alive;
} Job;

static ResrMessage *make_message(ResrWireKind kind)
{
    ResrMessage *message;
    assert_int_equal(resr_message_create(&message, kind), 0);
    return message;
}

static ResrFrame *make_frame(int64_t index)
{
    ResrFrame *frame;
    assert_int_equal(resr_frame_create(&frame, &format), 0);
    memset(frame->data, (int)(index * 16 + 7), frame->bytes);
    frame->index = frame->pts = index;
    frame->duration = 1;
    resr_frame_hash(frame->hash, &format, frame);
    return frame;
}

/* Frames 4 * number .. + 3 arrive from `rank`. */
static ResrMessage *make_part(ResrWireKind kind, int64_t number, int owner)
{
    ResrMessage *message = make_message(kind);
    message->header.part =
        (ResrPart){.batch = number, .first = number * FRAMES, .count = FRAMES, .attempt = 1};
    message->header.owner = owner;
    for (int i = 0; i < FRAMES; i++)
        message->frames[i] = make_frame(number * FRAMES + i);
    return message;
}

static void turn(void *user)
{
    Job *job = user;
    ResrMessage *message;
    int rank;
    while ((message = fake_endpoint_take(&rank))) {
        const ResrWireHeader *header = &message->header;
        if (header->kind == RESR_WIRE_ALIVE) {
            job->alive++;
        } else if (header->kind == RESR_WIRE_BYE) {
            job->byes[rank]++;
        } else {
            assert_true(job->count < 16);
            job->kind[job->count] = header->kind;
            job->to[job->count] = rank;
            job->header[job->count++] = *header;
        }
        resr_message_free(message);
    }
    assert_true(++job->turns < TURNS_MAX);
    if (job->count >= job->wanted && !job->stopped && !job->fake_clock) {
        job->stopped = true;
        fake_endpoint_deliver(0, make_message(RESR_WIRE_STOP));
        fake_endpoint_deliver(OTHER, make_message(RESR_WIRE_BYE));
    }
}

static double frame_seconds = 0.001; /* that the simulated device takes */

static void start(Job *job, int wanted, bool encode_ranks, bool computes)
{
    ResrSimulation simulation = {.frame_seconds = frame_seconds, .speedup = 1};
    *job = (Job){
        .plan = {.input = format,
                 .stored = format,
                 .output = format,
                 .encode = {.codec = "ffv1", .crf = -1, .segment_frames = SEGMENT, .encoders = 1},
                 .tags = {.frame_rate_num = 25, .frame_rate_den = 1},
                 .encode_ranks = encode_ranks,
                 .batching = {SEGMENT, FRAMES},
                 .tile = {64, 64, 4},
                 .ranks = 3,
                 .pool_frames = 16,
                 .deadline_seconds = DEADLINE},
        .wanted = wanted};
    resr_simulation_set(&simulation, SELF, 64 * 36, 1);
    if (computes)
        assert_int_equal(
            resr_compute_start(&job->compute, &resr_ops_simulate, test_model, &job->plan, 1), 0);
    fake_endpoint_reset(turn, job);
}

static int run(Job *job)
{
    int ret = resr_worker_run(job->compute, &job->plan, SELF, &job->stop_signal);
    turn(job);
    resr_compute_stop(job->compute);
    fake_endpoint_reset(NULL, NULL);
    return ret;
}

/* Parts are computed and their frames go to rank 0; goodbye is said to rank 0 only. */
static void test_results(void **state)
{
    (void)state;
    Job job;
    start(&job, 2, false, true);
    fake_endpoint_deliver(0, make_part(RESR_WIRE_WORK, 0, 0));
    fake_endpoint_deliver(0, make_part(RESR_WIRE_WORK, 3, 0));
    assert_int_equal(run(&job), 0);
    assert_int_equal(job.count, 2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(job.kind[i], RESR_WIRE_RESULT);
        assert_int_equal(job.to[i], 0);
        assert_int_equal(job.header[i].part.count, FRAMES);
        for (int k = 0; k < FRAMES; k++)
            assert_int_equal(job.header[i].frames[k].index, 12 * i + k);
    }
    assert_int_equal(job.byes[0], 1);
    assert_int_equal(job.byes[OTHER], 0);
    assert_true(job.alive > 0);
}

/* A frame that was damaged in transit is not computed, and the failure names it. */
static void test_damaged_frame(void **state)
{
    (void)state;
    Job job;
    start(&job, 1, false, true);
    ResrMessage *work = make_part(RESR_WIRE_WORK, 1, 0);
    work->frames[2]->data[5] ^= 1;
    fake_endpoint_deliver(0, work);
    assert_int_equal(run(&job), 0);
    assert_int_equal(job.count, 1);
    assert_int_equal(job.kind[0], RESR_WIRE_FAILURE);
    assert_int_equal(job.header[0].code, RESR_ERR_DATA);
    assert_int_equal(job.header[0].part.first, FRAMES);
    assert_int_equal(job.header[0].part.count, FRAMES);
    assert_non_null(strstr(job.header[0].text, "frame 6 was damaged"));
}

/* Frames of another rank's segment go to that rank, and rank 0 is told; those of its own segment
 * stay, and the segment goes to rank 0 once it is encoded. Goodbye is said to all. */
static void test_segments(void **state)
{
    (void)state;
    Job job;
    start(&job, 4, true, true);
    fake_endpoint_deliver(0, make_part(RESR_WIRE_WORK, 0, OTHER));
    fake_endpoint_deliver(OTHER, make_part(RESR_WIRE_RESULT, 1, SELF));
    fake_endpoint_deliver(0, make_part(RESR_WIRE_WORK, 2, SELF));
    job.wanted = 5;
    assert_int_equal(run(&job), 0);
    int done = 0, results = 0, segments = 0;
    for (int i = 0; i < job.count; i++) {
        const ResrWireHeader *header = &job.header[i];
        if (job.kind[i] == RESR_WIRE_DONE) {
            assert_int_equal(job.to[i], 0);
            assert_int_equal(header->owner, header->part.first == 0 ? OTHER : SELF);
            done++;
        } else if (job.kind[i] == RESR_WIRE_RESULT) {
            assert_int_equal(job.to[i], OTHER);
            assert_int_equal(header->part.first, 0);
            results++;
        } else {
            assert_int_equal(job.kind[i], RESR_WIRE_SEGMENT);
            assert_int_equal(job.to[i], 0);
            assert_int_equal(header->progress, SEGMENT);
            segments += header->part.batch == 1 || header->part.batch == 2;
        }
    }
    assert_int_equal(done, 2);
    assert_int_equal(results, 1);
    assert_int_equal(segments, 2);
    assert_int_equal(job.byes[0], 1);
    assert_int_equal(job.byes[OTHER], 1);
}

/* The last segment may be shorter: it is finished once the number of frames is known. */
static void test_last_segment(void **state)
{
    (void)state;
    Job job;
    start(&job, 1, true, true);
    ResrMessage *result = make_part(RESR_WIRE_RESULT, 1, SELF);
    resr_frame_free(result->frames[FRAMES - 1]);
    result->frames[FRAMES - 1] = NULL;
    result->header.part.count--;
    fake_endpoint_deliver(OTHER, result);
    ResrMessage *end = make_message(RESR_WIRE_END);
    end->header.progress = 2 * FRAMES - 1;
    fake_endpoint_deliver(0, end);
    assert_int_equal(run(&job), 0);
    assert_int_equal(job.kind[0], RESR_WIRE_SEGMENT);
    assert_int_equal(job.header[0].progress, FRAMES - 1);
}

/* The encoder refuses a damaged frame: a failure of no part. */
static void test_damaged_result(void **state)
{
    (void)state;
    Job job;
    start(&job, 1, true, true);
    ResrMessage *result = make_part(RESR_WIRE_RESULT, 1, SELF);
    result->frames[0]->data[5] ^= 1;
    fake_endpoint_deliver(OTHER, result);
    assert_int_equal(run(&job), 0);
    assert_int_equal(job.kind[0], RESR_WIRE_FAILURE);
    assert_int_equal(job.header[0].part.count, 0);
    assert_int_equal(job.header[0].code, RESR_ERR_STOPPED);
    assert_non_null(strstr(job.header[0].text, "frame 4 was damaged"));
}

/* A recall of everything returns all parts but the one that is being computed. */
static void test_recall(void **state)
{
    enum { PARTS = 4 };
    (void)state;
    Job job;
    frame_seconds = 0.1;
    start(&job, 0, false, true);
    frame_seconds = 0.001;
    job.wanted = PARTS;
    for (int i = 0; i < PARTS; i++)
        fake_endpoint_deliver(0, make_part(RESR_WIRE_WORK, i, 0));
    fake_endpoint_deliver(0, make_message(RESR_WIRE_RECALL));
    assert_int_equal(run(&job), 0);
    int frames = 0, returned = 0;
    for (int i = 0; i < job.count; i++) {
        assert_true(job.kind[i] == RESR_WIRE_RETURN || job.kind[i] == RESR_WIRE_RESULT);
        frames += job.header[i].part.count;
        returned += job.kind[i] == RESR_WIRE_RETURN;
    }
    assert_true(returned >= PARTS - 1);
    assert_true(frames <= PARTS * FRAMES);
}

/* A segment's message is unpacked with all that rank 0 needs to know. */
static void test_unpack(void **state)
{
    (void)state;
    ResrFrameRecord records[SEGMENT] = {{.pts = 5}, {.pts = 6}};
    uint8_t file[50] = {1, 2, 3};
    ResrHash hash = resr_hash_bytes(file, sizeof file);
    ResrMessage *message = make_message(RESR_WIRE_SEGMENT);
    ResrSegment *segment;
    message->header.part = (ResrPart){.batch = 2, .first = 2 * SEGMENT, .count = 1};
    message->header.progress = SEGMENT;
    message->header.code = 3;
    assert_int_equal(resr_frame_create_raw(&message->frames[0], sizeof file + sizeof records), 0);
    memcpy(message->frames[0]->data, file, sizeof file);
    memcpy(message->frames[0]->data + sizeof file, records, sizeof records);
    resr_hash_to_hex(message->frames[0]->hash, &hash);
    assert_int_equal(resr_segment_gather_unpack(&segment, message), 0);
    assert_int_equal(segment->info.number, 2);
    assert_int_equal(segment->info.first, 2 * SEGMENT);
    assert_int_equal(segment->info.frames, SEGMENT);
    assert_int_equal(segment->info.bytes, sizeof file);
    assert_int_equal(segment->info.reorder, 3);
    assert_memory_equal(&segment->info.hash, &hash, sizeof hash);
    assert_memory_equal(segment->data, file, sizeof file);
    assert_memory_equal(segment->frames, records, sizeof records);
    resr_segment_free(segment);
    resr_message_free(message);
}

/* Rank 0 is silent for two deadlines. */
static void test_silent_root(void **state)
{
    (void)state;
    Job job;
    fake_clock_advance(1);
    start(&job, 1, false, false);
    job.fake_clock = true;
    int64_t start_ns = resr_clock_ns();
    assert_int_equal(run(&job), RESR_ERR_STOPPED);
    assert_in_range((int)resr_clock_seconds_since(start_ns), 2 * DEADLINE, 2 * DEADLINE + 2);
    assert_non_null(strstr(resr_error_text(), "rank 0 has not been heard of"));
    assert_true(job.alive > DEADLINE);
    fake_clock_stop();
}

TEST_MAIN_IN(test_create_group_model, test_free_group_model, test_results, test_damaged_frame,
             test_segments, test_last_segment, test_damaged_result, test_recall, test_silent_root,
             test_unpack)
