/* Predictions of --plan: the case this program comes from, each stage as the limit, the list of
 * ranks. */

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/limits.h"
#include "job/plan.h"
#include "job/plan_request.h"
#include "predict/model.h"
#include "test_main.h"

/* 300 frames of 64 x 36, 2x, at `seconds` for 8 of them, and nothing else that takes time. */
static ResrPredictInput seed(double seconds)
{
    return (ResrPredictInput){.frames = 300,
                              .in_bytes = 3456,
                              .out_bytes = 13824,
                              .part_frames = 8,
                              .frame_seconds = seconds / 8};
}

static ResrPrediction predict(const ResrPredictInput *input, int ranks)
{
    ResrPrediction out;
    resr_predict(&out, input, ranks);
    assert_true(isfinite(out.wall_seconds) && isfinite(out.efficiency));
    assert_true(out.efficiency >= 0 && out.efficiency <= 1);
    return out;
}

static void assert_near(double value, double wanted, double part)
{
    if (!(fabs(value - wanted) <= part * wanted))
        fail_msg("%g, expected %g", value, wanted);
}

static void test_seed(void **state)
{
    (void)state;
    ResrPredictInput twelve = seed(3.2), six = seed(8.72);
    ResrPrediction p = predict(&twelve, 13);
    assert_near(p.wall_seconds, 10.0, 0.001);
    assert_near(predict(&six, 7).wall_seconds, 54.5, 0.001);
    assert_int_equal(p.limit, RESR_PREDICT_COMPUTE);
    assert_near(p.frames_per_second, 30, 0.001);
    /* 12 s of video at 25 frames/s: 13 ranks for 10 s are 130 device-seconds, 650 a minute. */
    assert_near(p.device_seconds_per_minute, 650, 0.001);
    twelve.root_computes = true;
    assert_near(predict(&twelve, 12).wall_seconds, 10.0, 0.001);
    assert_near(predict(&twelve, 1).wall_seconds, 120, 0.001);
    /* 301 frames are one more than 12 ranks have in 25 rounds. */
    twelve.frames = 301;
    p = predict(&twelve, 12);
    assert_near(p.wall_seconds, 10.4, 0.001);
    assert_near(p.tail_seconds, 10.4 - 301 * 0.4 / 12, 0.01);
}

/* Everything that is not the limit is fast. */
static ResrPredictInput quick(void)
{
    ResrPredictInput input = seed(0.8);
    input.root_computes = true;
    input.host_cpus = 64;
    input.network_bytes = 1e9;
    input.device_bytes = 1e10;
    input.disk_bytes = 1e9;
    input.decode_fps = 1e4;
    input.encode_fps = 1e4;
    input.encode_cpu_seconds = input.decode_cpu_seconds = 1e-5;
    return input;
}

static void assert_limit(const ResrPredictInput *input, int ranks, ResrPredictStage stage,
                         double seconds)
{
    ResrPrediction p = predict(input, ranks);
    assert_string_equal(resr_predict_stage_name(p.limit), resr_predict_stage_name(stage));
    assert_near(p.wall_seconds, seconds, 0.1);
    if (stage < RESR_PREDICT_STAGES)
        assert_near(p.stage_seconds[stage], seconds, 0.1);
}

static void test_limits(void **state)
{
    (void)state;
    ResrPredictInput in = quick();
    assert_limit(&in, 4, RESR_PREDICT_COMPUTE, 7.5);
    in.decode_fps = 20;
    assert_limit(&in, 4, RESR_PREDICT_DECODE, 15);
    in = quick();
    in.encode_fps = 20;
    assert_limit(&in, 4, RESR_PREDICT_ENCODE, 15);
    in = quick();
    in.encode_cpu_seconds = 2; /* more processors than rank 0 has */
    assert_limit(&in, 4, RESR_PREDICT_ENCODE, 300 * 2 / 64.0);
    in = quick();
    in.disk_bytes = 2 * 13824 * 20;
    assert_limit(&in, 4, RESR_PREDICT_DISK, 15);
    in = quick();
    in.device_bytes = 13824 * 5;
    assert_limit(&in, 4, RESR_PREDICT_PCIE, 15);
    in = quick();
    in.pool_frames = 3; /* one is in the encoder, so two ranks work */
    assert_limit(&in, 4, RESR_PREDICT_MEMORY, 15);
    in = quick();
    in.root_computes = false; /* 20 frames/s by the link */
    in.network_bytes = 13824 * 20;
    assert_limit(&in, 17, RESR_PREDICT_NETWORK, 15);
    in.root_computes = true; /* and 10 more that rank 0 makes */
    assert_limit(&in, 17, RESR_PREDICT_NETWORK, 10);
    in = quick();
    in.latency_seconds = 4; /* two parts of 8 in flight in 8.8 s */
    in.root_computes = false;
    assert_limit(&in, 5, RESR_PREDICT_NETWORK, 300 / (4 * 16 / 8.8));
    in = quick();
    assert_limit(&in, 400, RESR_PREDICT_TAIL, 0.13); /* a frame each */
    in.start_seconds = 20;
    assert_limit(&in, 4, RESR_PREDICT_START, 27.5);
}

/* More ranks are never slower, up to the limit and, start-up aside, after it; but for the time that
 * their first frames take. */
static void test_monotone(void **state)
{
    (void)state;
    ResrPredictInput in = quick();
    in.encode_fps = 200;
    in.start_rank_seconds = 1e-3;
    in.frame_cpu_seconds = 0.05;
    in.host_ranks = 4;
    double before = INFINITY;
    for (int ranks = 1; ranks <= 2048; ranks++) {
        ResrPrediction p = predict(&in, ranks);
        double now = p.wall_seconds - p.start_seconds;
        if (now > before * 1.001)
            fail_msg("%d ranks: %g s, after %g", ranks, now, before);
        before = now;
    }
    assert_near(before, 1.5, 0.1);
}

/* Rank 0's machine has two processors for two ranks and the encoder. */
static void test_shared_processors(void **state)
{
    (void)state;
    ResrPredictInput in = seed(0.8);
    in.root_computes = true;
    in.frame_cpu_seconds = 0.1;
    in.host_cpus = in.host_ranks = 2;
    in.encode_cpu_seconds = 0.02;
    /* 0.12 s of a processor a frame */
    assert_near(predict(&in, 2).wall_seconds, 300 * 0.12 / 2, 0.01);
    /* Other machines' ranks are not slowed down: 20 + 2 / 0.1 - 40 * 0.02 / 0.1 frames/s. */
    assert_near(predict(&in, 4).wall_seconds, 300 / (20 + (2 - 0.02 * 33.3) / 0.1), 0.01);
    in.host_ranks = 4; /* four ranks where there are processors for two */
    assert_near(predict(&in, 4).wall_seconds, 300 * 0.12 / 2, 0.01);
    in.start_cpu_seconds = 1;
    assert_near(predict(&in, 4).start_seconds, 2, 0.01);

    /* A rank of two threads, which wait for each other: n a second keep each of them for a share of
     * 0.01 n, and n = 10 (1 - 0.01 n)^2. */
    in.start_cpu_seconds = 0;
    in.host_ranks = 1;
    in.frame_cpu_seconds = 0.2;
    assert_near(predict(&in, 1).wall_seconds, 300 / 8.39, 0.03);
}

/* The encoder holds frames until its segment ends, and the last ones come after everything else. */
static void test_encoder_lag(void **state)
{
    (void)state;
    ResrPredictInput in = seed(0.8);
    in.root_computes = true;
    in.encode_fps = 50;
    in.encode_lag_frames = 40;
    in.segment_frames = 48; /* the last segment has 12 */
    assert_near(predict(&in, 1).wall_seconds, 30 + 12 / 50.0, 0.001);
    in.segment_frames = 60; /* the last segment is as long as the others */
    assert_near(predict(&in, 1).wall_seconds, 30 + 40 / 50.0, 0.001);
    in.segment_frames = 0;
    assert_near(predict(&in, 1).wall_seconds, 30 + 40 / 50.0, 0.001);
    assert_near(predict(&in, 100).wall_seconds, 40 / 1000.0 + 300 / 50.0, 0.02);
}

/* Several segments at once, or by all ranks, whose frames then do not come to rank 0. */
static void test_encoders(void **state)
{
    (void)state;
    ResrPredictInput in = quick();
    in.root_computes = false;
    in.frame_seconds = 0.01;
    in.encode_fps = 20;
    in.network_bytes = 13824 * 40;
    assert_limit(&in, 9, RESR_PREDICT_ENCODE, 15);
    in.encoders = 4; /* 80 frames/s, and the link has 40 */
    assert_limit(&in, 9, RESR_PREDICT_NETWORK, 7.5);
    in.ranks_encode = true; /* inputs only: 160 frames/s */
    assert_limit(&in, 9, RESR_PREDICT_NETWORK, 300 / 160.0);
    in.encoders = 1; /* of 5 ranks that compute: 4 */
    assert_limit(&in, 5, RESR_PREDICT_ENCODE, 300 / 80.0);
    in.encode_cpu_seconds = 6.4; /* 10 frames/s of a machine, 20 of two */
    in.host_ranks = 3;
    assert_limit(&in, 5, RESR_PREDICT_ENCODE, 15);
}

/* With any input all numbers are finite and the limit has a name. */
static void test_odd_inputs(void **state)
{
    (void)state;
    ResrPredictInput in = {.frames = 0};
    ResrPrediction p = predict(&in, 1);
    assert_string_equal(resr_predict_stage_name(p.limit), "start-up");
    in = (ResrPredictInput){.frames = 1, .frame_seconds = INFINITY, .latency_seconds = NAN};
    assert_non_null(resr_predict_stage_name(predict(&in, 0).limit));
    in = (ResrPredictInput){.frames = INT64_MAX, .frame_seconds = 1e-300, .encode_fps = 1e-300};
    assert_non_null(resr_predict_stage_name(predict(&in, RESR_MAX_RANKS).limit));
}

static void check_list(const char *text, int count, const int32_t *ranks)
{
    ResrPlanRequest request;
    if (resr_plan_request_parse(&request, text) < 0)
        fail_msg("%s: %s", text, resr_error_text());
    assert_int_equal(request.count, count);
    assert_memory_equal(request.ranks, ranks, (size_t)count * sizeof *ranks);
}

static void test_list(void **state)
{
    (void)state;
    ResrPlanRequest request;
    check_list("ranks=7", 1, (int32_t[]){7});
    check_list("ranks=1,2,4,...,64", 7, (int32_t[]){1, 2, 4, 8, 16, 32, 64});
    check_list("ranks=1,2,4,...,20", 6, (int32_t[]){1, 2, 4, 8, 16, 20});
    check_list("ranks=2,4,6,...,11", 6, (int32_t[]){2, 4, 6, 8, 10, 11});
    check_list("ranks=3,...,12,100", 4, (int32_t[]){3, 6, 12, 100});
    check_list("ranks=1,2,4,...,1024", 11,
               (int32_t[]){1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024});
    assert_int_equal(resr_plan_request_parse(&request, "ranks=1,8,host=8,network=25"), 0);
    assert_int_equal(request.host_ranks, 8);
    assert_true(request.network_gbit == 25);
    assert_int_equal(resr_plan_request_parse(&request, "ranks=1"), 0);
    assert_int_equal(request.host_ranks, 0);
}

static void test_refusals(void **state)
{
    (void)state;
    ResrPlanRequest request;
    static const char *const lists[] = {"",
                                        "1,2",
                                        "ranks=",
                                        "ranks=0",
                                        "ranks=2,1",
                                        "ranks=1,1",
                                        "ranks=-1",
                                        "ranks=1,",
                                        "ranks=...,8",
                                        "ranks=1,...",
                                        "ranks=1,2,...,2",
                                        "ranks=1 2",
                                        "ranks=1,99999",
                                        "ranks=1,2,3,...,1000",
                                        "ranks=1e2",
                                        "ranks=1,network=0",
                                        "ranks=1,network=",
                                        "ranks=1,network=nan",
                                        "ranks=1,host=0",
                                        "ranks=1,host=",
                                        "ranks=1,speed=2",
                                        "ranks=99999999999999999999",
                                        "ranks=1,...,...,8"};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        if (resr_plan_request_parse(&request, lists[i]) != RESR_ERR_USAGE)
            fail_msg("'%s' was accepted", lists[i]);
        assert_non_null(strstr(resr_error_text(), "ranks=1,2,4,...,1024"));
    }
    static const char *const names[] = {"", "h10", "H100", "0", "-1", "nan", "inf", "1e9", "5TF"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (resr_plan_request_parse_device(&request, names[i]) != RESR_ERR_USAGE)
            fail_msg("'%s' was accepted", names[i]);
        assert_non_null(strstr(resr_error_text(), "rtx4090"));
    }
    assert_int_equal(resr_plan_request_parse_device(&request, "h200"), 0);
    assert_non_null(resr_plan_request_device("h200"));
    assert_true(request.tflops == 0);
    assert_int_equal(resr_plan_request_parse_device(&request, "12.5"), 0);
    assert_true(request.tflops == 12.5);
    assert_int_equal(resr_plan_request_parse_device(&request, "cpu"), 0);
}

/* 100 px times 1.15 is 114.99999999999999 in binary. */
static void test_output_size(void **state)
{
    (void)state;
    int width_px, height_px;
    static ResrOptions options = {.outscale = 1.15};
    ResrVideoInfo info = {.format = {.width_px = 100, .height_px = 19}};
    ResrNetSpec spec = {.scale = 2, .channels = 3, .resize = 1};
    assert_int_equal(resr_plan_output_size(&width_px, &height_px, &options, &info, &spec), 0);
    assert_int_equal(width_px, 115);
    assert_int_equal(height_px, 21);
}

/* Batch files of an open segment and the pool, or of all frames with --keep-frames. */
static void test_batch_file_bytes(void **state)
{
    (void)state;
    ResrFormat format = {
        .width_px = 64, .height_px = 2, .planes = 1, .depth_bits = 8, .model = RESR_COLOUR_GREY};
    ResrPlan plan = {
        .output = format, .batching = {48, 8}, .pool_frames = 100, .frames_estimate = 1000};
    assert_int_equal(resr_plan_batch_file_bytes(&plan, false), 148 * 128);
    assert_int_equal(resr_plan_batch_file_bytes(&plan, true), 1000 * 128);
}

TEST_MAIN(test_seed, test_limits, test_monotone, test_shared_processors, test_encoder_lag,
          test_odd_inputs, test_encoders, test_list, test_refusals, test_output_size,
          test_batch_file_bytes)
