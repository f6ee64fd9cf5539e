/* Turning of frames: every sample of every orientation, chroma grids, display matrices. */
#include <libavutil/display.h>
#include <libavutil/pixdesc.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "media/repack.h"
#include "media/turn.h"
#include "test_main.h"

static ResrFormat format_of(const char *name, int width_px, int height_px)
{
    ResrFormat format = {.width_px = width_px, .height_px = height_px};
    resr_format_set_pixels(&format, av_get_pix_fmt(name));
    return format;
}

static int sample(const ResrFrame *frame, const ResrFormat *format, int plane, int x, int y)
{
    ResrPlane p = resr_format_plane(format, plane);
    const uint8_t *row = frame->data + p.offset_bytes + (size_t)y * p.stride_bytes;
    uint16_t value = row[x];
    if (format->depth_bits > 8)
        memcpy(&value, row + 2 * x, 2);
    return value;
}

/* Samples whose values identify their places. */
static ResrFrame *numbered(const ResrFormat *format)
{
    ResrFrame *frame;
    assert_int_equal(resr_frame_create(&frame, format), 0);
    for (int p = 0; p < format->planes; p++) {
        ResrPlane plane = resr_format_plane(format, p);
        for (int y = 0; y < plane.height_px; y++)
            for (int x = 0; x < plane.width_px; x++) {
                uint8_t *row = frame->data + plane.offset_bytes + (size_t)y * plane.stride_bytes;
                uint16_t value = (uint16_t)(p * 60 + y * 7 + x);
                if (format->depth_bits > 8)
                    memcpy(row + 2 * x, &value, 2);
                else
                    row[x] = (uint8_t)value;
            }
    }
    return frame;
}

static ResrFrame *turned(ResrFormat *to, const ResrFormat *from, const ResrFrame *frame,
                         int orientation)
{
    ResrFrame *out;
    assert_int_equal(resr_turn_format(to, from, orientation), 0);
    assert_int_equal(resr_frame_create(&out, to), 0);
    assert_int_equal(resr_turn_frame(out, to, frame, from, orientation), 0);
    return out;
}

/* EXIF's definition: the sides of the displayed picture at which the stored picture's first row and
 * first column are. */
static void test_every_sample(void **state)
{
    static const char *const formats[] = {"gray",        "gbrp",     "gbrap16le",
                                          "yuv444p10le", "yuva444p", "gray16le"};
    (void)state;
    for (size_t f = 0; f < sizeof formats / sizeof *formats; f++)
        for (int orientation = 1; orientation <= 8; orientation++) {
            ResrFormat from = format_of(formats[f], 5, 3), to;
            ResrFrame *in = numbered(&from), *out = turned(&to, &from, in, orientation);
            bool transposed = orientation >= 5;
            assert_int_equal(to.width_px, transposed ? 3 : 5);
            assert_int_equal(to.height_px, transposed ? 5 : 3);
            for (int y = 0; y < 3; y++)
                for (int x = 0; x < 5; x++) {
                    static const struct { /* row 0 is at the ..., column 0 is at the ... */
                        bool bottom, right;
                    } seen[] = {{0, 0}, {0, 1}, {1, 1}, {1, 0}, {0, 0}, {0, 1}, {1, 1}, {1, 0}};
                    int u = transposed ? y : x, v = transposed ? x : y;
                    if (seen[orientation - 1].right)
                        u = to.width_px - 1 - u;
                    if (seen[orientation - 1].bottom)
                        v = to.height_px - 1 - v;
                    for (int p = 0; p < from.planes; p++)
                        assert_int_equal(sample(out, &to, p, u, v), sample(in, &from, p, x, y));
                }
            resr_frame_free(in);
            resr_frame_free(out);
        }
}

/* Turning forth and back is the identity if the chroma grid has a name in each orientation. */
static void test_there_and_back(void **state)
{
    static const struct {
        const char *name;
        int location, there, back;
    } table[] = {{"yuv420p", 1, 6, 8}, {"yuv420p", 1, 8, 6}, {"yuv420p", 2, 3, 3},
                 {"yuv420p", 2, 5, 5}, {"yuv420p", 0, 4, 4}, {"yuv422p10le", 1, 4, 4},
                 {"yuv420p", 3, 5, 5}, {"yuv440p", 1, 2, 2}, {"yuva420p", 2, 6, 8}};
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        ResrFormat from = format_of(table[i].name, 12, 8), to, again;
        from.chroma_location = table[i].location;
        ResrFrame *in = numbered(&from), *out = turned(&to, &from, in, table[i].there);
        ResrFrame *end = turned(&again, &to, out, table[i].back);
        assert_int_equal(again.chroma_location, table[i].location ? table[i].location : 1);
        assert_int_equal(in->bytes, end->bytes);
        char hashes[2][RESR_FRAME_HASH_BYTES];
        resr_frame_hash(hashes[0], &from, in);
        resr_frame_hash(hashes[1], &again, end);
        assert_string_equal(hashes[0], hashes[1]);
        resr_frame_free(in);
        resr_frame_free(out);
        resr_frame_free(end);
    }
}

/* Positions of chroma samples in half pixels, by AVChromaLocation. */
static const int sites[][2] = {{0, 1}, {0, 1}, {1, 1}, {0, 0}, {1, 0}, {0, 2}, {1, 2}};

/* Where chroma sample `i` of an axis lies, in pixels. */
static double chroma_px(int i, int shift, int site)
{
    return (i << shift) + (shift ? site * ((1 << shift) - 1) / 2.0 : 0);
}

static void check_ramp(const char *name, int location, int orientation, int odd)
{
    ResrFormat from = format_of(name, 32 - odd, 24 - odd), to, back;
    from.chroma_location = location;
    ResrFrame *in = numbered(&from);
    ResrPlane plane = resr_format_plane(&from, 1);
    for (int y = 0; y < plane.height_px; y++)
        for (int x = 0; x < plane.width_px; x++)
            in->data[plane.offset_bytes + (size_t)y * plane.stride_bytes + (size_t)x] =
                (uint8_t)lround(20 + 4 * chroma_px(x, from.chroma_shift_x, sites[location][0]) +
                                4 * chroma_px(y, from.chroma_shift_y, sites[location][1]));
    ResrFrame *out = turned(&to, &from, in, orientation);
    int opposite = orientation == 6 ? 8 : orientation == 8 ? 6 : orientation;
    assert_int_equal(resr_turn_format(&back, &to, opposite), 0);
    assert_int_equal(back.width_px, from.width_px);
    /* The centre of the picture keeps its colour: chroma there is the ramp's. */
    ResrPlane now = resr_format_plane(&to, 1);
    int x = now.width_px / 2, y = now.height_px / 2;
    double px = chroma_px(x, to.chroma_shift_x, sites[to.chroma_location][0]);
    double py = chroma_px(y, to.chroma_shift_y, sites[to.chroma_location][1]);
    double u = orientation >= 5 ? py : px, v = orientation >= 5 ? px : py;
    if (orientation == 2 || orientation == 3 || orientation >= 7)
        u = from.width_px - 1 - u;
    if (orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7)
        v = from.height_px - 1 - v;
    double expected = 20 + 4 * u + 4 * v, got = sample(out, &to, 1, x, y);
    if (fabs(got - expected) > 1.01)
        fail_msg("%s, chroma location %d, orientation %d: %g, expected %g", name, location,
                 orientation, got, expected);
    resr_frame_free(in);
    resr_frame_free(out);
}

/* A ramp stays a ramp of the same colours, independent of the places of the chroma samples. */
static void test_chroma_stays_with_luma(void **state)
{
    static const char *const formats[] = {"yuv420p", "yuv422p", "yuv411p", "yuv410p", "yuv440p"};
    (void)state;
    for (size_t f = 0; f < sizeof formats / sizeof *formats; f++)
        for (int location = 1; location <= 6; location++)
            for (int orientation = 1; orientation <= 8; orientation++)
                for (int odd = 0; odd < 2; odd++)
                    check_ramp(formats[f], location, orientation, odd);
}

static void test_matrices(void **state)
{
    static const struct {
        double angle; /* counterclockwise, as av_display_rotation_get() gives it */
        int hflip, vflip, orientation;
    } table[] = {{0, 0, 0, 1}, {-90, 0, 0, 8}, {90, 0, 0, 6}, {180, 0, 0, 3},
                 {0, 1, 0, 2}, {0, 0, 1, 4},   {45, 0, 0, 0}};
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        int32_t matrix[9];
        av_display_rotation_set(matrix, table[i].angle);
        av_display_matrix_flip(matrix, table[i].hflip, table[i].vflip);
        assert_int_equal(resr_turn_of_matrix(matrix), table[i].orientation);
    }
    int32_t zero[9] = {0};
    assert_int_equal(resr_turn_of_matrix(zero), 0);
}

TEST_MAIN(test_every_sample, test_there_and_back, test_chroma_stays_with_luma, test_matrices)
