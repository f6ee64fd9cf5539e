/* Sizes and bytes that the plan derives from options and input. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "job/plan.h"
#include "small_job.h"
#include "test_main.h"

static const ResrNetSpec spec = {RESR_ARCH_SRVGG, 4, 1, 1, 8, 0, 3, 0, 1};

/* Factors are decimal: 100 px times 2.3 is 230 px, although 2.3 in binary is less. */
static void test_output_size(void **state)
{
    static const struct {
        int width_px, height_px;
        double outscale;
        int out_width_px, out_height_px;
    } cases[] = {
        {100, 60, 2.3, 230, 138}, {100, 60, 0, 400, 240},    {1000, 10, 1.001, 1001, 10},
        {99, 61, 1.5, 148, 91},   {100, 100, 1.1, 110, 110}, {300, 700, 4.35, 1305, 3045},
    };
    static ResrOptions options;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ResrVideoInfo info = {
            .format = {.width_px = cases[i].width_px, .height_px = cases[i].height_px}};
        int width_px, height_px;
        options.outscale = cases[i].outscale;
        assert_int_equal(resr_plan_output_size(&width_px, &height_px, &options, &info, &spec), 0);
        assert_int_equal(width_px, cases[i].out_width_px);
        assert_int_equal(height_px, cases[i].out_height_px);
    }
    ResrVideoInfo point = {.format = {.width_px = 1, .height_px = 9}};
    int width_px, height_px;
    options.outscale = 0.5;
    assert_int_equal(resr_plan_output_size(&width_px, &height_px, &options, &point, &spec),
                     RESR_ERR_USAGE);
}

/* Frames in batch files at the same time: the open segment's and the pool's, unless the video is
 * shorter or the files stay. */
static void test_batch_file_bytes(void **state)
{
    static const struct {
        int64_t segment_frames, pool_frames, video_frames;
        bool keep_frames;
        int64_t frames;
    } cases[] = {
        {48, 16, 1000, false, 64}, {48, 16, 1000, true, 1000}, {48, 16, 50, false, 50},
        {48, 16, 64, false, 64},   {48, 16, 0, false, 64},     {0, 16, 1000, false, 1000},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ResrPlan plan = {.output = {.width_px = 64,
                                    .height_px = 36,
                                    .planes = 3,
                                    .depth_bits = 8,
                                    .model = RESR_COLOUR_RGB}};
        plan.batching.segment_frames = cases[i].segment_frames;
        plan.pool_frames = cases[i].pool_frames;
        plan.frames_estimate = cases[i].video_frames;
        int64_t frame_bytes = (int64_t)resr_format_frame_bytes(&plan.output);
        assert_true(frame_bytes >= 64 * 36 * 3);
        assert_int_equal(resr_plan_batch_file_bytes(&plan, cases[i].keep_frames),
                         cases[i].frames * frame_bytes);
    }
}

/* -t auto: one plan for each size of frames, of the network's extended frame; a resumed job's
 * stays. */
static void test_choose_tile(void **state)
{
    static ResrOptions options = {.tile_px = RESR_TILE_AUTO, .tile_pad_px = 36};
    ResrPlan plan = {.input = {.width_px = 1921, .height_px = 1081},
                     .spec = {RESR_ARCH_RRDB, 2, 2, 23, 64, 32, 3, 0, 1},
                     .numerics_class = "fp32"};
    double computed, useful;
    (void)state;
    resr_plan_choose_tile(&plan, &options);
    assert_memory_equal(&plan.tile, (&(ResrTileSize){1922, 1082, 36}), sizeof plan.tile);
    resr_plan_frame_macs(&plan, &computed, &useful);
    assert_float_equal(computed, useful, 0);

    plan.tile = (ResrTileSize){.pad_px = 36};
    plan.input = (ResrFormat){.width_px = 7680, .height_px = 4320};
    resr_plan_choose_tile(&plan, &options);
    assert_memory_equal(&plan.tile, (&(ResrTileSize){7680, 1080, 36}), sizeof plan.tile);
    resr_plan_frame_macs(&plan, &computed, &useful);
    assert_float_equal(computed / useful, 1 + 6 * 36.0 / 4320, 1e-12);

    plan.tile = (ResrTileSize){512, 256, 36};
    resr_plan_choose_tile(&plan, &options);
    assert_int_equal(plan.tile.width_px, 512);
    options.tile_px = 0;
    plan.tile = (ResrTileSize){.pad_px = 36};
    resr_plan_choose_tile(&plan, &options);
    assert_int_equal(plan.tile.width_px, 0);
}

/* x264 and x265 hold a pool of frames, and copies of a segment's. */
static void test_encoder_bytes(void **state)
{
    static const struct {
        const char *codec;
        int encoders;
        int64_t segment_frames, video_frames, frames;
    } cases[] = {
        {"libx264", 1, 48, 0, 132},  {"libx264", 3, 48, 1000, 396}, {"libx265", 1, 8, 1000, 52},
        {"libx264", 1, 0, 100, 132}, {"libx264", 1, 48, 1, 38},     {"ffv1", 1, 48, 0, 0},
        {"", 1, 48, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ResrPlan plan = {.output = TEST_YUV420P(64, 36), .frames_estimate = cases[i].video_frames};
        snprintf(plan.encode.codec, sizeof plan.encode.codec, "%s", cases[i].codec);
        plan.encode.encoders = cases[i].encoders;
        plan.batching.segment_frames = cases[i].segment_frames;
        assert_int_equal(resr_plan_encoder_bytes(&plan),
                         cases[i].frames * (int64_t)resr_format_frame_bytes(&plan.output));
    }
}

TEST_MAIN(test_encoder_bytes, test_output_size, test_batch_file_bytes, test_choose_tile)
