/* Segments encoded several at the same time: their bytes do not depend on the order of the frames,
 * on duplicates or on the number of threads; segments of other ranks are verified; the first error
 * ends the work. */

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "media/segment_encoders.h"
#include "small_job.h"
#include "test_main.h"

enum { SEGMENT = 4, SEGMENTS = 3, FRAMES = SEGMENT * SEGMENTS - 1, TIMEOUT_SECONDS = 60 };

static const ResrFormat format = TEST_YUV420P(64, 36);

/* The calls of the encoders' threads. */
typedef struct Outcome {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int finished, failed, status; /* numbers of calls; the status of the failure */
    bool refuse;                  /* `finished` returns an error */
    ResrSegment *segments[SEGMENTS];
} Outcome;

static int on_finished(void *user, ResrSegment *segment)
{
    Outcome *outcome = user;
    pthread_mutex_lock(&outcome->lock);
    ResrSegment **place = &outcome->segments[segment->info.number];
    resr_segment_free(*place); /* a second one: then the count of calls is too large */
    *place = segment;
    outcome->finished++;
    pthread_cond_signal(&outcome->changed);
    pthread_mutex_unlock(&outcome->lock);
    return outcome->refuse ? RESR_ERR_IO : 0;
}

static void on_failed(void *user, int status)
{
    Outcome *outcome = user;
    pthread_mutex_lock(&outcome->lock);
    outcome->failed++;
    outcome->status = status;
    pthread_cond_signal(&outcome->changed);
    pthread_mutex_unlock(&outcome->lock);
}

/* Waits for `calls` calls of on_finished(), or for a failure. */
static void wait_for(Outcome *outcome, int calls)
{
    struct timespec until;
    int error = 0;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += TIMEOUT_SECONDS;
    pthread_mutex_lock(&outcome->lock);
    while (outcome->finished < calls && outcome->failed == 0 && error == 0)
        error = pthread_cond_timedwait(&outcome->changed, &outcome->lock, &until);
    pthread_mutex_unlock(&outcome->lock);
    assert_int_equal(error, 0);
}

static ResrFrame *make_frame(int64_t index)
{
    ResrFrame *frame;
    assert_int_equal(resr_frame_create(&frame, &format), 0);
    for (size_t i = 0; i < frame->bytes; i++)
        frame->data[i] = (uint8_t)(i * 7 + (size_t)index * 31);
    frame->index = frame->pts = index;
    frame->duration = 1;
    resr_frame_hash(frame->hash, &format, frame);
    return frame;
}

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
                                        .finished = on_finished,
                                        .failed = on_failed};
    ResrSegmentEncoders *encoders;
    *outcome = (Outcome){.finished = 0};
    pthread_mutex_init(&outcome->lock, NULL);
    pthread_cond_init(&outcome->changed, NULL);
    assert_int_equal(resr_segment_encoders_start(&encoders, &config), 0);
    return encoders;
}

static void free_outcome(Outcome *outcome)
{
    for (int i = 0; i < SEGMENTS; i++)
        resr_segment_free(outcome->segments[i]);
    pthread_cond_destroy(&outcome->changed);
    pthread_mutex_destroy(&outcome->lock);
}

/* Encodes all frames, each of them twice, in steps of `step`. */
static void encode(Outcome *outcome, int threads, int64_t step)
{
    ResrSegmentEncoders *encoders = start(outcome, threads);
    for (int64_t i = 0; i < FRAMES; i++) {
        resr_segment_encoders_add_frame(encoders, make_frame(i * step % FRAMES));
        resr_segment_encoders_add_frame(encoders, make_frame(i * step % FRAMES));
    }
    resr_segment_encoders_end(encoders, FRAMES);
    wait_for(outcome, SEGMENTS);
    for (int64_t i = 0; i < FRAMES; i++) /* late duplicates are freed */
        resr_segment_encoders_add_frame(encoders, make_frame(i));
    assert_int_equal(resr_segment_encoders_backlog(encoders), 0);
    assert_int_equal(resr_segment_encoders_frames(encoders), FRAMES);
    assert_int_equal(resr_segment_encoders_packets(encoders), FRAMES);
    resr_segment_encoders_free(encoders);
    assert_int_equal(outcome->finished, SEGMENTS);
    assert_int_equal(outcome->failed, 0);
}

static void test_any_order(void **state)
{
    (void)state;
    Outcome first, other;
    encode(&first, 1, 1);
    for (int i = 0; i < SEGMENTS; i++) {
        const ResrSegmentInfo *info = &first.segments[i]->info;
        assert_int_equal(info->first, i * SEGMENT);
        assert_int_equal(info->frames, i < SEGMENTS - 1 ? SEGMENT : SEGMENT - 1);
    }
    for (int threads = 1; threads <= 3; threads++)
        for (int64_t step = 2; step < FRAMES; step += 3) {
            encode(&other, threads, step);
            for (int i = 0; i < SEGMENTS; i++)
                assert_memory_equal(&other.segments[i]->info.hash, &first.segments[i]->info.hash,
                                    sizeof(ResrHash));
            free_outcome(&other);
        }
    free_outcome(&first);
}

static void test_import(void **state)
{
    (void)state;
    Outcome source, outcome;
    encode(&source, 2, 1);
    ResrSegmentEncoders *encoders = start(&outcome, 2);
    resr_segment_encoders_import_segment(encoders, source.segments[1]);
    source.segments[1] = NULL;
    wait_for(&outcome, 1);
    assert_non_null(outcome.segments[1]);
    source.segments[0]->data[source.segments[0]->info.bytes / 2] ^= 1;
    resr_segment_encoders_import_segment(encoders, source.segments[0]);
    source.segments[0] = NULL;
    wait_for(&outcome, 2);
    assert_int_equal(outcome.failed, 1);
    assert_int_equal(outcome.status, RESR_ERR_STOPPED);
    resr_segment_encoders_free(encoders);
    free_outcome(&source);
    free_outcome(&outcome);
}

/* A frame whose pixels are not those of its hash, and an error of the segment's new owner. */
static void test_failure(void **state)
{
    (void)state;
    Outcome outcome;
    ResrSegmentEncoders *encoders = start(&outcome, 1);
    ResrFrame *damaged = make_frame(0);
    damaged->data[0] ^= 1;
    resr_segment_encoders_add_frame(encoders, damaged);
    wait_for(&outcome, 1);
    assert_int_equal(outcome.failed, 1);
    assert_int_equal(outcome.status, RESR_ERR_STOPPED);
    resr_segment_encoders_free(encoders);
    free_outcome(&outcome);

    encoders = start(&outcome, 1);
    outcome.refuse = true;
    for (int64_t i = 0; i < FRAMES; i++)
        resr_segment_encoders_add_frame(encoders, make_frame(i));
    resr_segment_encoders_end(encoders, FRAMES);
    wait_for(&outcome, SEGMENTS);
    resr_segment_encoders_free(encoders);
    assert_int_equal(outcome.finished, 1);
    assert_int_equal(outcome.failed, 1);
    assert_int_equal(outcome.status, RESR_ERR_IO);
    free_outcome(&outcome);
}

TEST_MAIN(test_any_order, test_import, test_failure)
