#ifndef RESR_TESTS_SMALL_JOB_H
#define RESR_TESTS_SMALL_JOB_H

/* Frames and a network for tests to which any will do. */

#include "base/frame.h"
#include "model/model.h"

/* Initialises a ResrFormat: 8-bit 4:2:0 of this size, its colours unspecified. */
#define TEST_YUV420P(width, height)                                                                \
    {                                                                                              \
        .width_px = (width), .height_px = (height), .planes = 3, .depth_bits = 8,                  \
        .model = RESR_COLOUR_YUV, .chroma_shift_x = 1, .chroma_shift_y = 1, .matrix = 2,           \
        .transfer = 2, .primaries = 2, .pix_fmt = "yuv420p"                                        \
    }

/* SRVGGNetCompact of scale 1 with one block of 16 features, all weights zero. It exists between
 * the calls of these set-up and tear-down functions for cmocka's groups. */
extern ResrModel *test_model;
int test_create_group_model(void **state);
int test_free_group_model(void **state);

#endif
