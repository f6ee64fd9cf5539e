/* The compute thread's parts: what is recalled and what comes as a result is together what was
 * pushed, each frame once, whenever the recall comes. Devices are simulated. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/clock.h"
#include "mpi/compute.h"
#include "net/simulate.h"

enum { FRAMES = 8, ROUNDS = 200 };

static const ResrFormat format = {.width_px = 16,
                                  .height_px = 16,
                                  .planes = 3,
                                  .depth_bits = 8,
                                  .model = RESR_COLOUR_YUV,
                                  .chroma_shift_x = 1,
                                  .chroma_shift_y = 1,
                                  .pix_fmt = "yuv420p"};

static ResrPlan plan;
static ResrModel *model;

static ResrCompute *start(double frame_seconds)
{
    ResrCompute *compute;
    ResrSimulation simulation = {.frame_seconds = frame_seconds, .speedup = 1};
    resr_simulation_set(&simulation, 0, 16 * 16, 1);
    assert_int_equal(resr_compute_start(&compute, &resr_ops_simulate, model, &plan, 1), 0);
    return compute;
}

static ResrPart push(ResrCompute *compute, int64_t first, int attempt)
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
    ResrPart part = message->header.part;
    resr_compute_push(compute, message);
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

/* Two parts are there; each is recalled at some time, or all at once. */
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

/* One frame is begun, the others come back at once; and a long wait is stopped. */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_frame_once),
        cmocka_unit_test(test_trim_and_stop),
    };
    ResrNetSpec spec = {.arch = RESR_ARCH_SRVGG,
                        .scale = 1,
                        .unshuffle = 1,
                        .num_blocks = 1,
                        .nf = 16,
                        .resize = 1};
    plan = (ResrPlan){.input = format, .output = format, .tile_px = 16, .tile_pad_px = 4};
    if (resr_model_create(&model, &spec) < 0)
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    resr_model_free(model);
    return failed;
}
