/* Segments that are encoded several at once: frames in any order, once each, whatever comes twice
 * or late. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "media/segment_encoders.h"

enum { SEGMENT = 4, SEGMENTS = 3, FRAMES = SEGMENT * SEGMENTS - 1 };

typedef struct Outcome {
    ResrHash hash[SEGMENTS];
    int64_t frames[SEGMENTS];
    atomic_int finished, failed, status;
} Outcome;

static int finished(void *user, ResrSegment *segment)
{
    Outcome *outcome = user;
    outcome->hash[segment->info.number] = segment->info.hash;
    outcome->frames[segment->info.number] = segment->info.frames;
    resr_segment_free(segment);
    outcome->finished++;
    return 0;
}

static void failed(void *user, int status)
{
    ((Outcome *)user)->status = status;
    ((Outcome *)user)->failed++;
}

static ResrFrame *make_frame(const ResrFormat *format, int64_t index)
{
    ResrFrame *frame;
    assert_int_equal(resr_frame_create(&frame, format), 0);
    for (size_t i = 0; i < frame->bytes; i++)
        frame->data[i] = (uint8_t)(i * 7 + (size_t)index * 31);
    frame->index = frame->pts = index;
    frame->duration = 1;
    resr_frame_hash(frame->hash, format, frame);
    return frame;
}

static void wait_for(const ResrSegmentEncoders *encoders, const Outcome *outcome)
{
    for (int i = 0; i < 2000 && (outcome->finished + outcome->failed < SEGMENTS ||
                                 resr_segment_encoders_backlog(encoders) > 0);
         i++)
        nanosleep(&(struct timespec){0, 5000000}, NULL);
}

static const ResrFormat format = {.width_px = 64,
                                  .height_px = 36,
                                  .planes = 3,
                                  .depth_bits = 8,
                                  .model = RESR_COLOUR_YUV,
                                  .chroma_shift_x = 1,
                                  .chroma_shift_y = 1,
                                  .matrix = 2,
                                  .transfer = 2,
                                  .primaries = 2,
                                  .pix_fmt = "yuv420p"};

static ResrSegmentEncoders *start(Outcome *outcome, int threads)
{
    static ResrEncodeOptions options;
    options = (ResrEncodeOptions){
        .codec = "ffv1", .crf = -1, .segment_frames = SEGMENT, .encoders = threads};
    ResrSegmentEncodersConfig config = {.input = format,
                                        .format = format,
                                        .options = &options,
                                        .tags = {.frame_rate_num = 25, .frame_rate_den = 1},
                                        .threads = threads,
                                        .user = outcome,
                                        .finished = finished,
                                        .failed = failed};
    ResrSegmentEncoders *encoders;
    *outcome = (Outcome){.finished = 0};
    assert_int_equal(resr_segment_encoders_start(&encoders, &config), 0);
    return encoders;
}

static void encode(Outcome *outcome, int threads, int64_t step)
{
    ResrSegmentEncoders *encoders = start(outcome, threads);
    for (int64_t i = 0; i < FRAMES; i++) {
        resr_segment_encoders_add_frame(encoders, make_frame(&format, i * step % FRAMES));
        resr_segment_encoders_add_frame(encoders, make_frame(&format, i * step % FRAMES));
    }
    resr_segment_encoders_end(encoders, FRAMES);
    wait_for(encoders, outcome);
    assert_int_equal(outcome->finished, SEGMENTS);
    for (int64_t i = 0; i < FRAMES; i++)
        resr_segment_encoders_add_frame(encoders, make_frame(&format, i));
    assert_int_equal(resr_segment_encoders_backlog(encoders), 0); /* dropped, not kept */
    assert_int_equal(resr_segment_encoders_frames(encoders), FRAMES);
    resr_segment_encoders_free(encoders);
    assert_int_equal(outcome->finished, SEGMENTS);
    assert_int_equal(outcome->failed, 0);
}

static void test_any_order(void **state)
{
    (void)state;
    static Outcome first, other;
    encode(&first, 1, 1);
    for (int i = 0; i < SEGMENTS; i++)
        assert_int_equal(first.frames[i], i < SEGMENTS - 1 ? SEGMENT : SEGMENT - 1);
    for (int threads = 1; threads <= 3; threads++)
        for (int64_t step = 2; step < FRAMES; step += 3) {
            encode(&other, threads, step);
            assert_memory_equal(other.hash, first.hash, sizeof first.hash);
        }
}

/* A frame that changed after it was hashed stops the encoders before it is encoded. */
static void test_damaged_frame(void **state)
{
    static Outcome outcome;
    ResrSegmentEncoders *encoders = start(&outcome, 2);
    (void)state;
    for (int64_t i = 0; i < SEGMENT; i++) {
        ResrFrame *frame = make_frame(&format, i);
        frame->data[40] ^= i == 2;
        resr_segment_encoders_add_frame(encoders, frame);
    }
    resr_segment_encoders_end(encoders, SEGMENT);
    for (int i = 0; i < 2000 && outcome.finished + outcome.failed == 0; i++)
        nanosleep(&(struct timespec){0, 5000000}, NULL);
    resr_segment_encoders_free(encoders);
    assert_int_equal(outcome.failed, 1);
    assert_int_equal(outcome.status, RESR_ERR_STOPPED);
    assert_int_equal(outcome.finished, 0);
}

static ResrSegment *make_segment(int64_t number)
{
    ResrSegment *segment = calloc(1, sizeof *segment);
    assert_non_null(segment);
    segment->info = (ResrSegmentInfo){
        .number = number, .first = number * SEGMENT, .frames = SEGMENT, .bytes = 100};
    segment->data = calloc(1, 100);
    assert_non_null(segment->data);
    segment->info.hash = resr_hash_bytes(segment->data, 100);
    return segment;
}

/* A segment of another rank passes through unless its bytes changed on the way. */
static void test_import(void **state)
{
    static Outcome outcome;
    ResrSegmentEncoders *encoders = start(&outcome, 1);
    ResrSegment *intact = make_segment(0), *damaged = make_segment(1);
    ResrHash hash = intact->info.hash;
    (void)state;
    resr_segment_encoders_import_segment(encoders, intact);
    for (int i = 0; i < 2000 && outcome.finished == 0; i++)
        nanosleep(&(struct timespec){0, 5000000}, NULL);
    assert_int_equal(outcome.finished, 1);
    assert_memory_equal(&outcome.hash[0], &hash, sizeof hash);
    damaged->data[99] ^= 0x10;
    resr_segment_encoders_import_segment(encoders, damaged);
    for (int i = 0; i < 2000 && outcome.finished == 1 && outcome.failed == 0; i++)
        nanosleep(&(struct timespec){0, 5000000}, NULL);
    resr_segment_encoders_free(encoders);
    assert_int_equal(outcome.failed, 1);
    assert_int_equal(outcome.status, RESR_ERR_STOPPED);
    assert_int_equal(outcome.finished, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_order),
        cmocka_unit_test(test_damaged_frame),
        cmocka_unit_test(test_import),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
