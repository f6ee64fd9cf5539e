/* test_colour_cuda: the device's colour conversion against zimg's: frames of noise through a
 * network that only enlarges (all weights zero), no code value more than 1 off, for every
 * subsampling, depth, range, matrix and chroma position, odd sizes, one tile and many; and that
 * frames that are computed together are those that each gives alone. Exit 77 without a device. */

#include <stdio.h>
#include <stdlib.h>

#include "check_net.h"
#include "cpu/dispatch.h"
#include "net/cuda.h"
#include "net/upscale.h"

static const ResrOps *tested;

static ResrFormat format_of(int width_px, int height_px, int depth_bits, int shift_x, int shift_y)
{
    return (ResrFormat){.width_px = width_px,
                        .height_px = height_px,
                        .planes = 3,
                        .depth_bits = depth_bits,
                        .model = RESR_COLOUR_YUV,
                        .chroma_shift_x = shift_x,
                        .chroma_shift_y = shift_y,
                        .matrix = 1,
                        .transfer = 1,
                        .primaries = 1,
                        .pix_fmt = "yuv"};
}

static uint16_t get_sample(const ResrFormat *format, const ResrFrame *frame, int p, int x, int y)
{
    ResrPlane plane = resr_format_plane(format, p);
    const uint8_t *row = frame->data + plane.offset_bytes + (size_t)y * plane.stride_bytes;
    uint16_t value;
    if (format->depth_bits == 8)
        return row[x];
    memcpy(&value, row + 2 * x, 2);
    return value;
}

/* Noise over most of the range, with stretches of one value and steps between them. */
static ResrFrame *noise(const ResrFormat *format, uint64_t seed)
{
    ResrFrame *frame;
    assert_int_equal(resr_frame_create(&frame, format), 0);
    int most = 1 << format->depth_bits;
    for (int p = 0; p < 3; p++) {
        ResrPlane plane = resr_format_plane(format, p);
        for (int y = 0; y < plane.height_px; y++)
            for (int x = 0; x < plane.width_px; x++) {
                float unit = resr_random_unit(&seed);
                int flat = x / 9 % 2 && y / 7 % 2;
                uint16_t value =
                    (uint16_t)(flat ? most / 3 : most / 16 + (int)(unit * (float)most) / 8 * 7);
                uint8_t *at = frame->data + plane.offset_bytes + (size_t)y * plane.stride_bytes;
                if (format->depth_bits == 8)
                    at[x] = (uint8_t)value;
                else
                    memcpy(at + 2 * x, &value, 2);
            }
    }
    frame->index = (int64_t)seed;
    return frame;
}

/* Both frames in flight at once, by the launches that were recorded with others, and in other
 * places: the same results. */
static void repeat(ResrUpscaler *upscaler, ResrFrame *const out[2], const ResrFormat *to,
                   ResrFrame *const in[2])
{
    for (int i = 0; i < 2; i++)
        assert_int_equal(resr_upscaler_submit(upscaler, &in[1 - i], 1, NULL), 0);
    for (int i = 0; i < 2; i++) {
        ResrFrame *again;
        char hash[2][RESR_FRAME_HASH_BYTES];
        assert_int_equal(resr_upscaler_collect(upscaler, &again), 0);
        resr_frame_hash(hash[0], to, again);
        resr_frame_hash(hash[1], to, out[1 - i]);
        assert_string_equal(hash[0], hash[1]);
        resr_frame_free(again);
    }
}

/* Two frames, both submitted before the first is collected. */
static void upscale(ResrFrame *out[2], const ResrOps *ops, const ResrModel *model,
                    const ResrFormat *from, const ResrFormat *to, int tile_px,
                    ResrFrame *const in[2])
{
    ResrUpscaler *upscaler;
    assert_int_equal(
        resr_upscaler_create(&upscaler, ops, model, from, to, resr_tile_square(tile_px, 4), 1), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(resr_upscaler_submit(upscaler, &in[i], 1, NULL), 0);
    assert_int_equal(resr_upscaler_submit(upscaler, in, 1, NULL), RESR_ERR_INTERNAL);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(resr_upscaler_collect(upscaler, &out[i]), 0);
        assert_true(out[i]->index == in[i]->index);
    }
    repeat(upscaler, out, to, in);
    resr_upscaler_free(upscaler);
}

static void compare(const ResrFormat *from, const ResrFormat *to, int scale, int tile_px)
{
    ResrNetSpec spec = check_srvgg(scale, 0, 16);
    ResrModel *model;
    ResrFrame *in[2], *expected[2], *got[2];
    size_t samples = 0, different = 0;
    int worst = 0;
    assert_int_equal(resr_model_create(&model, &spec), 0);
    for (int i = 0; i < 2; i++)
        in[i] = noise(from, (uint64_t)(5 + i));
    upscale(expected, resr_cpu_ops(0), model, from, to, tile_px, in);
    upscale(got, tested, model, from, to, tile_px, in);
    for (int i = 0; i < 2; i++)
        for (int p = 0; p < 3; p++) {
            ResrPlane plane = resr_format_plane(to, p);
            for (int y = 0; y < plane.height_px; y++)
                for (int x = 0; x < plane.width_px; x++, samples++) {
                    int error =
                        abs(get_sample(to, got[i], p, x, y) - get_sample(to, expected[i], p, x, y));
                    different += error > 0;
                    worst = error > worst ? error : worst;
                }
        }
    printf("%d x %d, %d bits %d%d to %d bits %d%d, matrix %d, range %d, chroma %d to %d, x%d, tile "
           "%d: "
           "%.3f %% differ, by %d at most\n",
           from->width_px, from->height_px, from->depth_bits, from->chroma_shift_x,
           from->chroma_shift_y, to->depth_bits, to->chroma_shift_x, to->chroma_shift_y,
           from->matrix, from->full_range, from->chroma_location, to->chroma_location, scale,
           tile_px, 100.0 * (double)different / (double)samples, worst);
    assert_true(worst <= 1);
    assert_true(different <= samples / 100);
    for (int i = 0; i < 2; i++) {
        resr_frame_free(in[i]);
        resr_frame_free(expected[i]);
        resr_frame_free(got[i]);
    }
    resr_model_free(model);
}

static void subsamplings_and_depths(void **state)
{
    static const int shifts[][2] = {{1, 1}, {1, 0}, {0, 0}, {0, 1}}, depths[] = {8, 10, 16};
    (void)state;
    for (int s = 0; s < 4; s++)
        for (int d = 0; d < 3; d++) {
            ResrFormat from = format_of(38, 22, depths[d], shifts[s][0], shifts[s][1]);
            ResrFormat to = format_of(76, 44, depths[d], shifts[s][0], shifts[s][1]);
            compare(&from, &to, 2, 0);
        }
    ResrFormat from = format_of(38, 22, 8, 0, 0), to = format_of(76, 44, 10, 1, 1);
    compare(&from, &to, 2, 0);
}

static void positions(void **state)
{
    (void)state;
    for (int location = 0; location <= 6; location++) {
        ResrFormat from = format_of(30, 26, 8, 1, 1), to = format_of(30, 26, 8, 1, 1);
        from.chroma_location = location;
        to.chroma_location = 6 - location;
        compare(&from, &to, 1, 0);
    }
}

static void matrices_and_ranges(void **state)
{
    static const int matrices[] = {1, 2, 4, 5, 6, 7, 9};
    (void)state;
    for (int i = 0; i < 7; i++)
        for (int full = 0; full < 2; full++) {
            ResrFormat from = format_of(20, 18, 8, 1, 1), to = format_of(40, 36, 8, 1, 1);
            from.matrix = to.matrix = matrices[i];
            from.full_range = full;
            to.full_range = i % 2 ? full : !full;
            compare(&from, &to, 2, 0);
        }
}

static void odd_sizes_and_tiles(void **state)
{
    (void)state;
    ResrFormat from = format_of(37, 23, 8, 1, 1), to = format_of(37, 23, 8, 1, 1);
    compare(&from, &to, 1, 0);
    compare(&from, &to, 1, 12);
    to.width_px *= 3;
    to.height_px *= 3;
    compare(&from, &to, 3, 8);
}

enum { FRAMES = 5 };

/* Submits frames first.. of a circle of FRAMES and collects them: the same result as alone. */
static void check_group(ResrUpscaler *upscaler, const ResrFormat *to, ResrFrame *const in[FRAMES],
                        char hashes[FRAMES][RESR_FRAME_HASH_BYTES], int first, int count)
{
    ResrFrame *group[RESR_MAX_GROUP_FRAMES];
    for (int i = 0; i < count; i++)
        group[i] = in[(first + i) % FRAMES];
    assert_int_equal(resr_upscaler_submit(upscaler, group, count, NULL), 0);
    for (int i = 0; i < count; i++) {
        ResrFrame *out;
        char hash[RESR_FRAME_HASH_BYTES];
        assert_int_equal(resr_upscaler_collect(upscaler, &out), 0);
        assert_non_null(out);
        assert_true(out->index == group[i]->index);
        resr_frame_hash(hash, to, out);
        assert_string_equal(hash, hashes[(first + i) % FRAMES]);
        resr_frame_free(out);
    }
}

/* Groups of every number of frames, some of them by recorded launches: the frames that each gives
 * alone. With two whole groups in flight, a third one and one that is too large are refused. */
static void groups(void **state)
{
    static const int counts[] = {4, 4, 4, 1, 3, 2, 4, 3, 3, 2, 1, 2, 4, 1};
    (void)state;
    ResrNetSpec spec = check_srvgg(2, 0, 16);
    ResrFormat from = format_of(37, 23, 8, 1, 1), to = format_of(74, 46, 8, 1, 1);
    ResrModel *model = check_model(spec, 7);
    ResrFrame *in[FRAMES], *out;
    char hashes[FRAMES][RESR_FRAME_HASH_BYTES];
    ResrUpscaler *upscaler;
    assert_int_equal(
        resr_upscaler_create(&upscaler, tested, model, &from, &to, resr_tile_square(12, 4), 1), 0);
    assert_int_equal(resr_upscaler_group(upscaler), RESR_MAX_GROUP_FRAMES);
    for (int i = 0; i < FRAMES; i++) {
        in[i] = noise(&from, (uint64_t)(5 + i));
        assert_int_equal(resr_upscaler_submit(upscaler, &in[i], 1, NULL), 0);
        assert_int_equal(resr_upscaler_collect(upscaler, &out), 0);
        resr_frame_hash(hashes[i], &to, out);
        assert_true(i == 0 || strcmp(hashes[i], hashes[i - 1]) != 0);
        resr_frame_free(out);
    }
    for (int i = 0; i < (int)(sizeof counts / sizeof *counts); i++)
        check_group(upscaler, &to, in, hashes, i, counts[i]);
    assert_int_equal(resr_upscaler_submit(upscaler, in, 5, NULL), RESR_ERR_INTERNAL);
    for (int i = 0; i < RESR_GROUPS_IN_FLIGHT; i++)
        assert_int_equal(resr_upscaler_submit(upscaler, in, 3 + i, NULL), 0);
    assert_int_equal(resr_upscaler_submit(upscaler, in, 1, NULL), RESR_ERR_INTERNAL);
    for (int i = 0; i < 6; i++) { /* the seventh is the upscaler's to free */
        char hash[RESR_FRAME_HASH_BYTES];
        assert_int_equal(resr_upscaler_collect(upscaler, &out), 0);
        resr_frame_hash(hash, &to, out);
        assert_string_equal(hash, hashes[i % 3]);
        resr_frame_free(out);
    }
    resr_upscaler_free(upscaler);
    for (int i = 0; i < FRAMES; i++)
        resr_frame_free(in[i]);
    resr_model_free(model);
}

int main(void)
{
    TEST_GROUP(tests, subsamplings_and_depths, positions, matrices_and_ranges, odd_sizes_and_tiles,
               groups);
    tested = resr_cuda_backend_ops(0);
    if (!tested) {
        printf("skipped: %s\n", resr_cuda_backend_missing());
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
