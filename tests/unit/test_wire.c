/* Messages: every change in transit is detected. tests/mpi tests payloads between ranks, also of
 * more than 2 GiB. */

#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "comm/wire.h"
#include "small_job.h"
#include "test_main.h"

static const ResrFormat format = TEST_YUV420P(37, 21);

static ResrMessage *make_message(int frames)
{
    ResrMessage *message;
    assert_int_equal(resr_message_create(&message, RESR_WIRE_WORK), 0);
    message->header.part = (ResrPart){3, 24, frames, 1, 0};
    for (int i = 0; i < frames; i++) {
        assert_int_equal(resr_frame_create(&message->frames[i], &format), 0);
        memset(message->frames[i]->data, 40 + i, message->frames[i]->bytes);
        message->frames[i]->index = 24 + i;
        resr_frame_hash(message->frames[i]->hash, &format, message->frames[i]);
    }
    resr_message_seal(message);
    return message;
}

static void test_every_header_byte_counts(void **state)
{
    (void)state;
    ResrMessage *message = make_message(2);
    assert_int_equal(resr_message_check(message, &format), 0);
    unsigned char *bytes = (unsigned char *)&message->header;
    for (size_t i = 0; i < sizeof message->header; i++) {
        bytes[i] ^= 1;
        assert_int_equal(resr_message_check(message, &format), RESR_ERR_DATA);
        bytes[i] ^= 1;
    }
    assert_int_equal(resr_message_check(message, &format), 0);
    resr_message_free(message);
}

static void test_wrong_sizes(void **state)
{
    (void)state;
    ResrFormat other = format;
    other.width_px = 640;
    ResrMessage *message = make_message(1);
    assert_int_equal(resr_message_check(message, &other), RESR_ERR_DATA);
    static const int counts[] = {-1, 0, RESR_MAX_BATCH_FRAMES + 1, INT32_MAX};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        message->header.part.count = counts[i];
        message->header.hash = 0; /* a header that is intact */
        message->header.hash = XXH3_64bits(&message->header, sizeof message->header);
        assert_int_equal(resr_message_check(message, &format), RESR_ERR_DATA);
        assert_non_null(strstr(resr_error_text(), "frames of"));
    }
    message->header.part.count = 1;
    resr_message_free(message);
}

static void test_every_pixel_counts(void **state)
{
    (void)state;
    ResrMessage *message = make_message(1);
    ResrFrame *frame = message->frames[0];
    assert_int_equal(resr_frame_verify(frame, &format), 0);
    for (int p = 0; p < format.planes; p++) {
        ResrPlane plane = resr_format_plane(&format, p);
        for (int y = 0; y < plane.height_px; y++)
            for (size_t x = 0; x < plane.stride_bytes; x++) {
                uint8_t *sample =
                    frame->data + plane.offset_bytes + (size_t)y * plane.stride_bytes + x;
                *sample ^= 4;
                /* padding is not part of a frame's identity */
                assert_int_equal(resr_frame_verify(frame, &format),
                                 x < plane.row_bytes ? RESR_ERR_DATA : 0);
                *sample ^= 4;
            }
    }
    resr_message_free(message);
}

TEST_MAIN(test_every_header_byte_counts, test_wrong_sizes, test_every_pixel_counts)
