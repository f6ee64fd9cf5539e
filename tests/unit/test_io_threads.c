/* The threads at both ends of rank 0, with a decoder and an encoder of FFmpeg: frames arrive with a
 * hash and a credit each and are encoded in order, as single frames or by segments; the threads end
 * on request, also while they wait. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "fake_checkpoint.h"
#include "media/segment_encoders.h"
#include "run/io_threads.h"
#include "test_main.h"

enum { WIDTH = 64, HEIGHT = 36, FRAMES = 21, POOL = 6, SEGMENT = 4, WAIT_SECONDS = 60 };

typedef struct Job {
    char folder[64], input[128], output[128], framehash[128];
    ResrDecoder *decoder;
    ResrSink *sink;
    ResrSinkPlan output_plan;
    ResrFrameTable frame_table;
    ResrPlan plan;
    ResrIoThreads *io;
    ResrCheckpoint checkpoint;
} Job;

/* FRAMES frames of YUV4MPEG2, each of one value. */
static void write_input(const char *path)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fprintf(file, "YUV4MPEG2 W%d H%d F25:1 Ip A1:1 C420mpeg2\n", WIDTH, HEIGHT);
    for (int i = 0; i < FRAMES; i++) {
        fprintf(file, "FRAME\n");
        for (int k = 0; k < WIDTH * HEIGHT * 3 / 2; k++)
            fputc(i * 8 + k % 5, file);
    }
    assert_int_equal(fclose(file), 0);
}

/* `durable`: frames from 0 that an earlier attempt finished. */
static void start_resumed(Job *job, bool stored, bool encode_ranks, int64_t durable)
{
    ResrDecodeOptions decode = {.hwaccel = "none"};
    *job = (Job){.folder = "/tmp/test_io_threads.XXXXXX"};
    assert_non_null(mkdtemp(job->folder));
    job->checkpoint.folder = job->folder;
    job->checkpoint.durable = durable;
    snprintf(job->input, sizeof job->input, "%s/in.y4m", job->folder);
    snprintf(job->output, sizeof job->output, "%s/out.mkv", job->folder);
    snprintf(job->framehash, sizeof job->framehash, "%s/out.hash", job->folder);
    write_input(job->input);
    assert_int_equal(resr_decoder_open(&job->decoder, job->input, &decode), 0);
    job->plan.encode =
        (ResrEncodeOptions){.codec = "ffv1", .crf = -1, .segment_frames = SEGMENT, .encoders = 2};
    assert_int_equal(resr_sink_plan(&job->output_plan, job->output, job->input, job->decoder, WIDTH,
                                    HEIGHT, &job->plan.encode),
                     0);
    job->plan.input = resr_decoder_info(job->decoder)->format;
    job->plan.stored = resr_decoder_info(job->decoder)->stored;
    job->plan.output = job->output_plan.format;
    job->plan.tags = job->output_plan.tags;
    job->plan.batching = (ResrBatching){SEGMENT, SEGMENT};
    job->plan.pool_frames = POOL;
    job->plan.encode_ranks = encode_ranks;
    ResrSegmentStore store = resr_checkpoint_store(&job->checkpoint);
    assert_int_equal(resr_sink_open(&job->sink, job->output, job->input, job->decoder,
                                    &job->plan.output, &job->plan.encode, false,
                                    stored ? &store : NULL),
                     0);
    ResrIoThreadsConfig config = {.decoder = job->decoder,
                                  .sink = job->sink,
                                  .frame_table = &job->frame_table,
                                  .plan = &job->plan,
                                  .framehash = job->framehash};
    if (stored)
        config.checkpoint = &job->checkpoint;
    assert_int_equal(resr_io_threads_start(&job->io, &config), 0);
}

static void start(Job *job, bool stored, bool encode_ranks)
{
    start_resumed(job, stored, encode_ranks, 0);
}

static void end(Job *job)
{
    resr_io_threads_stop(job->io);
    resr_sink_close(job->sink);
    resr_io_threads_free(job->io);
    resr_decoder_close(job->decoder);
    resr_frame_table_clear(&job->frame_table);
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", job->folder);
    assert_int_equal(system(command), 0);
}

static void pause_a_moment(void)
{
    nanosleep(&(struct timespec){0, 1000000}, NULL);
}

/* The next frame; NULL at the end of the input. */
static ResrFrame *next(Job *job)
{
    ResrFrame *frame;
    int64_t start_ns = resr_clock_ns();
    while (!(frame = resr_io_threads_next(job->io)) && !resr_io_threads_at_end(job->io)) {
        assert_true(resr_clock_seconds_since(start_ns) < WAIT_SECONDS);
        if (resr_io_threads_status(job->io) < 0)
            fail_msg("%s", resr_error_text());
        pause_a_moment();
    }
    return frame;
}

/* Waits for the output, or for an error, and returns the status. */
static int wait_until_finished(Job *job)
{
    int64_t start_ns = resr_clock_ns();
    while (!resr_io_threads_finished(job->io) && resr_io_threads_status(job->io) == 0) {
        assert_true(resr_clock_seconds_since(start_ns) < WAIT_SECONDS);
        pause_a_moment();
    }
    return resr_io_threads_status(job->io);
}

static void expect_hash(Job *job, const ResrFrame *frame)
{
    char hash[RESR_FRAME_HASH_BYTES];
    resr_frame_hash(hash, &job->plan.input, frame);
    assert_string_equal(frame->hash, hash);
}

static int count_frames(const char *path)
{
    ResrDecoder *decoder;
    ResrFrame *frame;
    ResrDecodeOptions decode = {.hwaccel = "none"};
    int count = 0;
    assert_int_equal(resr_decoder_open(&decoder, path, &decode), 0);
    while (resr_decoder_read(decoder, &frame) == 0 && frame) {
        assert_int_equal(frame->data[0], count * 8);
        count++;
        resr_frame_free(frame);
    }
    resr_decoder_close(decoder);
    return count;
}

/* Every frame comes once, in order, with its hash, and leaves for the encoder; the output holds
 * them all, whether the sink takes frames or segments. */
static void test_all_frames(void **state)
{
    (void)state;
    Job job;
    for (int stored = 0; stored < 2; stored++) {
        ResrFrame *frame;
        int64_t n = 0;
        start(&job, stored, false);
        for (; (frame = next(&job)); n++) {
            assert_int_equal(frame->index, n);
            assert_int_equal(frame->state, RESR_FRAME_DECODED);
            assert_non_null(frame->credit);
            expect_hash(&job, frame);
            resr_io_threads_encode(job.io, frame);
        }
        assert_int_equal(n, FRAMES);
        resr_io_threads_finish(job.io);
        assert_int_equal(wait_until_finished(&job), 0);
        assert_int_equal(resr_io_threads_encoded(job.io), FRAMES);
        assert_int_equal(job.checkpoint.commits, stored ? (FRAMES + SEGMENT - 1) / SEGMENT : 0);
        assert_int_equal(count_frames(job.output), FRAMES);
        assert_int_equal(access(job.framehash, F_OK), 0);
        end(&job);
    }
}

/* No more frames than the pool has credits are decoded; each one that is freed makes room for one
 * more, and the state shows that the decoder waits. */
static void test_credits(void **state)
{
    (void)state;
    Job job;
    ResrFrame *held[POOL];
    start(&job, false, false);
    for (int i = 0; i < POOL; i++)
        held[i] = next(&job);
    for (int n = POOL; n < FRAMES; n++) {
        int64_t start_ns = resr_clock_ns();
        while (!resr_io_threads_state(job.io).decoder_waiting) {
            assert_true(resr_clock_seconds_since(start_ns) < WAIT_SECONDS);
            pause_a_moment();
        }
        assert_null(resr_io_threads_next(job.io));
        assert_false(resr_io_threads_at_end(job.io));
        resr_frame_free(held[n % POOL]);
        held[n % POOL] = next(&job);
        assert_non_null(held[n % POOL]);
        assert_int_equal(held[n % POOL]->index, n);
    }
    for (int i = 0; i < POOL; i++)
        resr_frame_free(held[i]);
    assert_null(next(&job));
    end(&job);
}

static ResrFrame *start_and_decode(Job *job, bool stored)
{
    start(job, stored, false);
    return next(job);
}

/* A frame that was changed after its hash was taken is not encoded. */
static void test_damaged_frame(void **state)
{
    (void)state;
    Job job;
    for (int stored = 0; stored < 2; stored++) {
        ResrFrame *frame = start_and_decode(&job, stored);
        frame->data[9] ^= 1;
        resr_io_threads_encode(job.io, frame);
        assert_int_equal(wait_until_finished(&job), RESR_ERR_STOPPED);
        assert_non_null(strstr(resr_error_text(), "frame 0 was damaged"));
        assert_int_not_equal(access(job.output, F_OK), 0);
        end(&job);
    }
}

/* Where ranks encode, frames and segments come in any order; a segment is named once when it is on
 * disk, and its frames' marks then go to the encoder, which returns their credits. */
static void test_segments(void **state)
{
    (void)state;
    Job job;
    ResrFrame *frame, *marks[FRAMES];
    start(&job, true, true);
    int64_t first, frames, n = 0, committed = 0, passed = 0, start_ns = resr_clock_ns();
    bool named[FRAMES] = {false};
    while (committed < FRAMES) {
        assert_true(resr_clock_seconds_since(start_ns) < WAIT_SECONDS);
        assert_int_equal(resr_io_threads_status(job.io), 0);
        if ((frame = resr_io_threads_next(job.io))) {
            assert_int_equal(resr_frame_create_placeholder(&marks[n]), 0);
            marks[n]->index = n;
            marks[n++]->credit = frame->credit;
            frame->credit = NULL;
            resr_segment_encoders_add_frame(resr_io_threads_encoders(job.io), frame);
        }
        if (resr_io_threads_at_end(job.io))
            resr_segment_encoders_end(resr_io_threads_encoders(job.io), n);
        while (resr_io_threads_committed(job.io, &first, &frames)) {
            for (int64_t i = first; i < first + frames; i++) {
                assert_false(named[i]);
                named[i] = true;
            }
            committed += frames;
        }
        for (; passed < n && named[passed]; passed++)
            resr_io_threads_encode(job.io, marks[passed]);
        pause_a_moment();
    }
    assert_int_equal(job.checkpoint.commits, (FRAMES + SEGMENT - 1) / SEGMENT);
    resr_io_threads_finish(job.io);
    assert_int_equal(wait_until_finished(&job), 0);
    assert_int_equal(resr_io_threads_encoded(job.io), FRAMES);
    assert_int_equal(count_frames(job.output), FRAMES);
    end(&job);
}

/* A decoder that waits for a credit, and an encoder that waits for a frame, end at once. */
static void test_stop(void **state)
{
    (void)state;
    Job job;
    for (int stored = 0; stored < 2; stored++) {
        ResrFrame *frame = start_and_decode(&job, stored);
        resr_io_threads_stop_decoding(job.io);
        assert_int_equal(resr_io_threads_status(job.io), 0);
        resr_frame_free(frame);
        end(&job);
        assert_int_not_equal(access(job.output, F_OK), 0);
    }
}

/* Frames that an earlier attempt finished arrive as placeholders, more of them than the pool has
 * credits: each one returns its credit. The other frames are decoded. */
static void test_resume(void **state)
{
    (void)state;
    Job job;
    ResrFrame *frame;
    int64_t n = 0;
    enum { DURABLE = 2 * SEGMENT };
    start_resumed(&job, true, false, DURABLE);
    for (; (frame = next(&job)); n++) {
        assert_int_equal(frame->index, n);
        assert_int_equal(frame->state, n < DURABLE ? RESR_FRAME_DURABLE : RESR_FRAME_DECODED);
        if (n < DURABLE)
            assert_null(frame->data);
        else
            expect_hash(&job, frame);
        resr_io_threads_encode(job.io, frame);
    }
    assert_int_equal(n, FRAMES);
    assert_int_equal(job.checkpoint.end_of_input, FRAMES);
    end(&job);
}

/* Without a frame the job fails, and no output is written. */
static void test_no_frame(void **state)
{
    (void)state;
    Job job;
    start(&job, false, false);
    resr_io_threads_finish(job.io);
    assert_int_equal(wait_until_finished(&job), RESR_ERR_DATA);
    assert_int_not_equal(access(job.output, F_OK), 0);
    end(&job);
}

TEST_MAIN(test_all_frames, test_credits, test_damaged_frame, test_segments, test_stop,
          test_no_frame, test_resume)
