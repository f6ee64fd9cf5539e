/* YUV to RGB against the definitions: chroma positions by a ramp, which every interpolation that is
 * exact for straight lines keeps, and the matrix by saturated colours. */

#include <math.h>
#include <string.h>

#include "media/colour.h"
#include "small_job.h"
#include "test_main.h"

static ResrFormat make_format(int width_px, int height_px, int matrix, int chroma_location)
{
    ResrFormat format = TEST_YUV420P(width_px, height_px);
    format.matrix = matrix;
    format.full_range = 1;
    format.chroma_location = chroma_location;
    return format;
}

static void fill(ResrFrame *frame, const ResrFormat *format, int p, int base, int step_x,
                 int step_y)
{
    ResrPlane plane = resr_format_plane(format, p);
    for (int y = 0; y < plane.height_px; y++)
        for (int x = 0; x < plane.width_px; x++)
            frame->data[plane.offset_bytes + (size_t)y * plane.stride_bytes + (size_t)x] =
                (uint8_t)(base + step_x * x + step_y * y);
}

/* A frame in RGB whose planes are base + step_x * x + step_y * y, the first two without steps. */
static ResrRgb convert(const ResrFormat *format, const int base[3], int step_x, int step_y)
{
    ResrRgb rgb;
    ResrFrame *frame;
    ResrColour *colour;
    assert_int_equal(resr_frame_create(&frame, format), 0);
    for (int p = 0; p < 3; p++)
        fill(frame, format, p, base[p], p == 2 ? step_x : 0, p == 2 ? step_y : 0);
    assert_int_equal(
        resr_colour_create(&colour, format, format, format->width_px, format->height_px, false), 0);
    assert_int_equal(resr_rgb_create(&rgb, format->width_px, format->height_px, 3), 0);
    assert_int_equal(resr_colour_to_rgb(colour, &rgb, frame), 0);
    resr_colour_free(colour);
    resr_frame_free(frame);
    return rgb;
}

/* BT.709 in full range: R = Y + 1.5748 (V - 0.5). */
static void test_chroma_location(void **state)
{
    /* clang-format off */
    static const struct {
        int location; /* AVChromaLocation */
        double x, y;  /* of the first chroma sample, in luma samples */
    } cases[] = {
        {1, 0.0, 0.5}, /* left */
        {2, 0.5, 0.5}, /* center */
        {3, 0.0, 0.0}, /* top left */
        {4, 0.5, 0.0}, /* top */
        {5, 0.0, 1.0}, /* bottom left */
        {6, 0.5, 1.0}, /* bottom */
    };
    /* clang-format on */
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ResrFormat format = make_format(32, 32, 1, cases[i].location);
        ResrRgb rgb = convert(&format, (int[]){100, 128, 100}, 4, 2);
        for (int y = 8; y < 24; y++)
            for (int x = 8; x < 24; x++) {
                double v = 100 + 4 * (x - cases[i].x) / 2 + 2 * (y - cases[i].y) / 2;
                double red = (100 + 1.5748 * (v - 128)) / 255;
                double got = rgb.plane[0][(size_t)y * rgb.stride + (size_t)x];
                if (fabs(got - red) > 0.2 / 255)
                    fail_msg("location %d: red of %d, %d is %g, expected %g", cases[i].location, x,
                             y, 255 * got, 255 * red);
            }
        resr_rgb_free(&rgb);
    }
}

/* Kr and Kb of the matrix determine the result for a saturated colour. */
static void test_matrix(void **state)
{
    /* clang-format off */
    static const struct {
        int width_px, height_px, matrix; /* H.273; 2: unspecified */
        double kr, kb;
    } cases[] = {
        {64, 64, 1, 0.2126, 0.0722},     {64, 64, 6, 0.299, 0.114},  {64, 64, 9, 0.2627, 0.0593},
        {1280, 720, 2, 0.2126, 0.0722},  {1278, 718, 2, 0.299, 0.114},
        {64, 1080, 2, 0.2126, 0.0722},   {1920, 64, 2, 0.299, 0.114},
        {1280, 720, 6, 0.299, 0.114},    {64, 64, 0, 0.299, 0.114},
    };
    /* clang-format on */
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double kr = cases[i].kr, kb = cases[i].kb, u = (90 - 128.0) / 255, v = (170 - 128.0) / 255;
        double expected[3] = {120 / 255.0 + 2 * (1 - kr) * v, 0, 120 / 255.0 + 2 * (1 - kb) * u};
        expected[1] = 120 / 255.0 - (2 * kr * (1 - kr) * v + 2 * kb * (1 - kb) * u) / (1 - kr - kb);
        ResrFormat format = make_format(cases[i].width_px, cases[i].height_px, cases[i].matrix, 1);
        ResrRgb rgb = convert(&format, (int[]){120, 90, 170}, 0, 0);
        for (int c = 0; c < 3; c++)
            if (fabs((double)rgb.plane[c][9 * rgb.stride + 9] - expected[c]) > 0.01 / 255)
                fail_msg("matrix %d of %d x %d: %c is %g, expected %g", cases[i].matrix,
                         cases[i].width_px, cases[i].height_px, "RGB"[c],
                         255.0 * (double)rgb.plane[c][9 * rgb.stride + 9], 255 * expected[c]);
        resr_rgb_free(&rgb);
    }
}

TEST_MAIN(test_chroma_location, test_matrix)
