/* The compute thread: recalled frames and results together are the pushed frames, each once, at any
 * time of the recall. A device that takes groups of frames always has one while parts are held.
 * Devices are simulated. */

#include <semaphore.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "net/simulate.h"
#include "run/compute.h"
#include "small_job.h"
#include "test_main.h"

enum { FRAMES = 8, ROUNDS = 200 };

static const ResrFormat format = TEST_YUV420P(16, 16);

static const ResrPlan plan = {
    .input = TEST_YUV420P(16, 16), .output = TEST_YUV420P(16, 16), .tile = {16, 16, 4}};

static ResrCompute *start_with(const ResrOps *ops, double frame_seconds)
{
    ResrCompute *compute;
    ResrSimulation simulation = {.frame_seconds = frame_seconds, .speedup = 1};
    resr_simulation_set(&simulation, 0, 16 * 16, 1);
    assert_int_equal(resr_compute_start(&compute, ops, test_model, &plan, 1), 0);
    return compute;
}

static ResrCompute *start(double frame_seconds)
{
    return start_with(&resr_ops_simulate, frame_seconds);
}

static int try_push(ResrPart *part, ResrCompute *compute, int64_t first, int attempt)
{
    ResrMessage *message;
    assert_int_equal(resr_message_create(&message, RESR_WIRE_WORK), 0);
    message->header.part = (ResrPart){.first = first, .count = FRAMES, .attempt = (int16_t)attempt};
    for (int i = 0; i < FRAMES; i++) {
        assert_int_equal(resr_frame_create(&message->frames[i], &format), 0);
        memset(message->frames[i]->data, 0, message->frames[i]->bytes);
        message->frames[i]->index = first + i;
        resr_frame_hash(message->frames[i]->hash, &format, message->frames[i]);
    }
    resr_message_seal(message);
    *part = message->header.part;
    return resr_compute_push(compute, message);
}

static ResrPart push(ResrCompute *compute, int64_t first, int attempt)
{
    ResrPart part;
    assert_int_equal(try_push(&part, compute, first, attempt), 0);
    return part;
}

static void wait_us(long us)
{
    nanosleep(&(struct timespec){0, us * 1000}, NULL);
}

/* The result's frames, from *first on; 0 if none comes within `us`. */
static int take(ResrCompute *compute, int64_t *first, long us)
{
    ResrMessage *message = NULL;
    for (; us > 0 && !(message = resr_compute_poll(compute)); us -= 100)
        wait_us(100);
    if (!message)
        return 0;
    int count = message->header.part.count;
    assert_int_equal(message->header.kind, RESR_WIRE_RESULT);
    *first = message->header.part.first;
    for (int i = 0; i < count; i++)
        assert_int_equal(message->frames[i]->index, *first + i);
    resr_message_free(message);
    return count;
}

/* Two parts were pushed; each is recalled at some time, or all at once. */
static void test_every_frame_once(void **state)
{
    (void)state;
    ResrCompute *compute = start(50e-6);
    for (int round = 0; round < ROUNDS; round++) {
        int came[2 * FRAMES] = {0};
        int64_t first, base = round * 100;
        ResrPart rest, parts[2] = {push(compute, base, 1), push(compute, base + FRAMES, 2)};
        wait_us(round * 17 % 1200);
        for (int i = 0; i < 2; i++) {
            const ResrPart all = {.attempt = 0},
                           *which = round % 3 ? &parts[(round + i) % 2] : &all;
            if (!resr_compute_recall(compute, which, &rest))
                continue;
            for (int k = 0; k < rest.count; k++)
                came[rest.first - base + k]++;
            assert_int_equal((rest.first + rest.count - base) % FRAMES, 0);
        }
        int missing = 2 * FRAMES;
        for (int i = 0; i < 2 * FRAMES; i++)
            missing -= came[i];
        while (missing > 0) {
            int count = take(compute, &first, 5000000);
            assert_true(count > 0);
            for (int k = 0; k < count; k++)
                came[first - base + k]++;
            missing -= count;
        }
        for (int i = 0; i < 2 * FRAMES; i++)
            assert_int_equal(came[i], 1);
        assert_false(resr_compute_recall(compute, &parts[0], &rest) && rest.count > 0);
    }
    assert_int_equal(take(compute, &(int64_t){0}, 2000), 0);
    resr_compute_stop(compute);
}

/* One frame is started, the others return at once; a long wait is stopped. */
static void test_trim_and_stop(void **state)
{
    (void)state;
    ResrPart rest;
    int64_t first;
    ResrCompute *compute = start(0.2);
    ResrPart part = push(compute, 40, 3), next = push(compute, 48, 1);
    wait_us(50000);
    assert_true(resr_compute_recall(compute, &next, &rest));
    assert_int_equal(rest.first, 48);
    assert_int_equal(rest.count, FRAMES);
    assert_false(resr_compute_recall(compute, &next, &rest));
    part.attempt = 2;
    assert_false(resr_compute_recall(compute, &part, &rest));
    part.attempt = 3;
    assert_true(resr_compute_recall(compute, &part, &rest));
    assert_int_equal(rest.first, 41);
    assert_int_equal(rest.count, FRAMES - 1);
    assert_true(resr_compute_recall(compute, &part, &rest));
    assert_int_equal(rest.count, 0);
    assert_int_equal(take(compute, &first, 5000000), 1);
    assert_int_equal(first, 40);
    resr_compute_stop(compute);

    compute = start(1000);
    push(compute, 0, 1);
    push(compute, 8, 1);
    wait_us(50000);
    int64_t start_ns = resr_clock_ns();
    resr_compute_stop(compute);
    assert_true(resr_clock_seconds_since(start_ns) < 1);
}

/* A device that takes groups of up to 4 frames and keeps a log: "s8 " for frames from 8 on that are
 * submitted, "c8 " for those that are waited for. It waits for the test at the gate, before the
 * first group and before the one of frame 8. */
enum { GROUP = 4 };
static struct {
    char log[256];
    int64_t under_way[8];
    int count[8], submitted, collected;
    int64_t fail_submit, fail_collect; /* the frame that it fails at; -1: none */
    sem_t at_gate, gate;
} device;

static void note(char kind, int64_t frame)
{
    size_t length = strlen(device.log);
    snprintf(device.log + length, sizeof device.log - length, "%c%d ", kind, (int)frame);
}

static int frames_begin(void *run, const ResrFrameSetup *setup)
{
    (void)run;
    (void)setup;
    return GROUP;
}

static int frames_submit(void *run, ResrFrame *const *in, int count)
{
    (void)run;
    note(count > GROUP ? 'S' : 's', in[0]->index);
    if (in[0]->index == device.fail_submit)
        return resr_fail(RESR_ERR_DEVICE, "refused");
    device.count[device.submitted % 8] = count;
    device.under_way[device.submitted++ % 8] = in[0]->index;
    return 1;
}

static int frames_finish(void *run)
{
    (void)run;
    return 0;
}

static int frames_collect(void *run, ResrFrame *const *out)
{
    (void)run;
    int count = device.count[device.collected % 8];
    int64_t frame = device.under_way[device.collected++ % 8];
    if (frame == 0 || frame == 8) {
        sem_post(&device.at_gate);
        sem_wait(&device.gate);
    }
    note('c', frame);
    for (int i = 0; i < count; i++)
        memset(out[i]->data, 0, out[i]->bytes);
    return frame == device.fail_collect ? resr_fail(RESR_ERR_DEVICE, "lost") : 0;
}

/* Waits until the device is waited for first, with all that it got until then in its log. */
static ResrCompute *start_device(int64_t fail_submit, int64_t fail_collect)
{
    static ResrOps ops;
    ops = resr_ops_simulate;
    ops.frames_begin = frames_begin;
    ops.frames_submit = frames_submit;
    ops.frames_finish = frames_finish;
    ops.frames_collect = frames_collect;
    memset(&device, 0, sizeof device);
    device.fail_submit = fail_submit;
    device.fail_collect = fail_collect;
    sem_init(&device.at_gate, 0, 0);
    sem_init(&device.gate, 0, 0);
    return start_with(&ops, 0);
}

static void expect(ResrCompute *compute, ResrWireKind kind, int64_t first)
{
    ResrMessage *message = NULL;
    for (int i = 0; i < 50000 && !(message = resr_compute_poll(compute)); i++)
        wait_us(100);
    assert_non_null(message);
    assert_int_equal(message->header.kind, kind);
    assert_int_equal(message->header.part.first, first);
    for (int i = 0; kind == RESR_WIRE_RESULT && i < message->header.part.count; i++)
        assert_int_equal(message->frames[i]->index, first + i);
    if (kind == RESR_WIRE_FAILURE) {
        assert_int_equal(message->header.code, RESR_ERR_DEVICE);
        assert_non_null(strstr(message->header.text, device.fail_submit < 0 ? "lost" : "refused"));
    }
    resr_message_free(message);
}

/* Across parts, too, a group is submitted before the one before it is waited for; a part that is
 * sent when the first one's results have come is in time. */
static void test_always_busy(void **state)
{
    (void)state;
    ResrPart rest;
    ResrCompute *compute = start_device(-1, -1);
    push(compute, 0, 1);
    sem_wait(&device.at_gate);
    assert_string_equal(device.log, "s0 s4 ");
    push(compute, 8, 1);
    ResrPart third = push(compute, 16, 1);
    assert_true(resr_compute_recall(compute, &third, &rest)); /* no frame of it is started */
    assert_int_equal(rest.count, FRAMES);
    sem_post(&device.gate);
    expect(compute, RESR_WIRE_RESULT, 0);
    sem_wait(&device.at_gate);
    push(compute, 16, 2);
    sem_post(&device.gate);
    expect(compute, RESR_WIRE_RESULT, 8);
    expect(compute, RESR_WIRE_RESULT, 16);
    assert_string_equal(device.log, "s0 s4 c0 s8 c4 s12 c8 s16 c12 s20 c16 c20 ");
    assert_false(resr_compute_busy(compute));
    resr_compute_stop(compute);
}

/* Parts submitted before a failing part still return; the parts of a lost device do not. */
static void test_failures(void **state)
{
    (void)state;
    static const struct {
        int64_t submit, collect;
        const char *log;
        ResrWireKind first, second;
    } cases[] = {
        {8, -1, "s0 s4 c0 s8 c4 ", RESR_WIRE_RESULT, RESR_WIRE_FAILURE},
        {12, -1, "s0 s4 c0 s8 c4 s12 c8 ", RESR_WIRE_RESULT, RESR_WIRE_FAILURE},
        {-1, 4, "s0 s4 c0 s8 c4 c8 ", RESR_WIRE_FAILURE, RESR_WIRE_FAILURE},
        {-1, 8, "s0 s4 c0 s8 c4 s12 c8 c12 ", RESR_WIRE_RESULT, RESR_WIRE_FAILURE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ResrCompute *compute = start_device(cases[i].submit, cases[i].collect);
        push(compute, 0, 1);
        sem_wait(&device.at_gate);
        push(compute, 8, 1);
        sem_post(&device.gate);
        sem_post(&device.gate);
        expect(compute, cases[i].first, 0);
        expect(compute, cases[i].second, 8);
        assert_string_equal(device.log, cases[i].log);
        device.fail_submit = device.fail_collect = -1; /* the device continues with the next part */
        push(compute, 24, 1);
        expect(compute, RESR_WIRE_RESULT, 24);
        resr_compute_stop(compute);
    }
}

/* A started part returns no frames, and the returned frames of the next part are not computed. */
static void test_recall_from_device(void **state)
{
    (void)state;
    ResrPart rest;
    ResrCompute *compute = start_device(-1, -1);
    ResrPart part = push(compute, 0, 1), next = push(compute, 8, 1);
    sem_wait(&device.at_gate);
    assert_true(resr_compute_recall(compute, &part, &rest));
    assert_int_equal(rest.count, 0);
    sem_post(&device.gate);
    sem_post(&device.gate);
    expect(compute, RESR_WIRE_RESULT, 0);
    bool there = resr_compute_recall(compute, &next, &rest);
    int came = 0;
    int64_t first;
    while (came < (there ? FRAMES - rest.count : FRAMES)) {
        int count = take(compute, &first, 5000000);
        assert_int_equal(first, 8);
        assert_true(count > 0);
        came += count;
    }
    resr_compute_stop(compute);
}

/* A peer that sends more than it may is refused, not written behind the parts that are held. */
static void test_too_many_parts(void **state)
{
    (void)state;
    ResrCompute *compute = start(0.2);
    ResrPart part;
    int pushed = 0, ret = 0;
    while (pushed < 100 && (ret = try_push(&part, compute, pushed * FRAMES, 1)) == 0)
        pushed++;
    assert_int_equal(ret, RESR_ERR_DATA);
    assert_in_range(pushed, RESR_PARTS_IN_FLIGHT, 4 * RESR_PARTS_IN_FLIGHT);
    resr_compute_stop(compute);
}

TEST_MAIN_IN(test_create_group_model, test_free_group_model, test_every_frame_once,
             test_trim_and_stop, test_always_busy, test_failures, test_too_many_parts,
             test_recall_from_device)
