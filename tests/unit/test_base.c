/* base/: errors keep their meaning, allocation refuses sizes that overflow, queues keep order and
 * end cleanly, and a file appears only when it is complete. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pthread.h>

#include "base/frame.h"
#include "base/memory.h"
#include "base/publish.h"
#include "base/queue.h"
#include "test_main.h"

static void test_errors(void **state)
{
    (void)state;
    assert_int_equal(resr_fail(RESR_ERR_IO, "disk %d", 7), RESR_ERR_IO);
    assert_string_equal(resr_error_text(), "disk 7");
    assert_int_equal(resr_fail_prefix(RESR_ERR_IO, "%s: ", "a.mp4"), RESR_ERR_IO);
    assert_string_equal(resr_error_text(), "a.mp4: disk 7");
    assert_int_equal(resr_error_exit_status(0), 0);
    assert_int_equal(resr_error_exit_status(RESR_ERR_USAGE), 64);
    assert_int_equal(resr_error_exit_status(5), 70); /* not one of ours: a bug */
}

static void test_memory(void **state)
{
    (void)state;
    char *bytes;
    assert_int_equal(resr_alloc(&bytes, 3, 5), 0);
    assert_int_equal((uintptr_t)bytes % RESR_ALIGN_BYTES, 0);
    for (int i = 0; i < 15; i++)
        assert_int_equal(bytes[i], 0);
    free(bytes);
    assert_int_equal(resr_alloc(&bytes, SIZE_MAX, 2), RESR_ERR_INTERNAL);
    assert_null(bytes);
    assert_int_equal(resr_alloc(&bytes, SIZE_MAX / 3, 2), RESR_ERR_INTERNAL);
}

static void *produce(void *argument)
{
    for (intptr_t i = 1; i <= 1000; i++)
        if (!resr_queue_push(argument, (void *)i))
            return NULL;
    resr_queue_close(argument);
    return NULL;
}

static void test_queue(void **state)
{
    (void)state;
    ResrQueue *queue;
    pthread_t thread;
    assert_int_equal(resr_queue_create(&queue, 3), 0);
    assert_null(resr_queue_try_pop(queue));
    assert_int_equal(pthread_create(&thread, NULL, produce, queue), 0);
    for (intptr_t i = 1; i <= 1000; i++)
        assert_ptr_equal(resr_queue_pop(queue), (void *)i);
    assert_null(resr_queue_pop(queue)); /* closed and empty */
    pthread_join(thread, NULL);
    assert_false(resr_queue_push(queue, queue));
    resr_queue_destroy(queue, NULL);

    assert_int_equal(resr_queue_create(&queue, 1), 0);
    assert_true(resr_queue_try_push(queue, malloc(1)));
    assert_false(resr_queue_try_push(queue, queue));
    resr_queue_destroy(queue, free);
}

static void test_publish(void **state)
{
    (void)state;
    char folder[] = "/tmp/resr-publish-XXXXXX", path[64], missing[64], text[8] = "";
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/out.mp4", folder);
    snprintf(missing, sizeof missing, "%s/none/out.mp4", folder);
    assert_int_equal(resr_publish_check(path, NULL, false), 0);
    assert_int_equal(resr_publish_check(missing, NULL, false), RESR_ERR_EXISTS);
    assert_int_equal(resr_publish_bytes(path, "first", 5, false), 0);
    assert_int_equal(resr_publish_check(path, NULL, false), RESR_ERR_EXISTS);
    assert_int_equal(resr_publish_check(path, NULL, true), 0);
    assert_int_equal(resr_publish_check(path, path, true), RESR_ERR_USAGE);

    char temporary[128];
    assert_int_equal(resr_publish_temporary(temporary, sizeof temporary, path), 0);
    assert_string_equal(strrchr(temporary, '.'), ".mp4");
    FILE *file = fopen(temporary, "w");
    assert_non_null(file);
    fputs("second", file);
    fclose(file);
    assert_int_equal(resr_publish(temporary, path, false), RESR_ERR_EXISTS);
    file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(text, sizeof text, file));
    fclose(file);
    assert_string_equal(text, "first"); /* untouched */
    assert_int_equal(resr_publish(temporary, path, true), 0);
    assert_int_not_equal(access(temporary, F_OK), 0);
    unlink(path);
    assert_int_equal(rmdir(folder), 0); /* nothing is left behind */
}

static ResrFormat make_format(int depth_bits)
{
    return (ResrFormat){.width_px = 70,
                        .height_px = 5,
                        .planes = 4,
                        .depth_bits = depth_bits,
                        .model = RESR_COLOUR_YUV,
                        .has_alpha = 1,
                        .chroma_shift_x = 1,
                        .chroma_shift_y = 1};
}

/* A frame's hash depends on the pixels of every plane, and on no byte between the rows. */
static void test_frame_hash(void **state)
{
    ResrFormat format = make_format(8);
    ResrFrame *frame;
    char before[RESR_FRAME_HASH_BYTES], after[RESR_FRAME_HASH_BYTES];
    (void)state;
    assert_int_equal(resr_frame_create(&frame, &format), 0);
    memset(frame->data, 7, frame->bytes);
    resr_frame_hash(before, &format, frame);
    for (int p = 0; p < format.planes; p++) {
        ResrPlane plane = resr_format_plane(&format, p);
        uint8_t *last_row =
            frame->data + plane.offset_bytes + (size_t)(plane.height_px - 1) * plane.stride_bytes;
        assert_true(plane.stride_bytes > plane.row_bytes);
        last_row[plane.row_bytes - 1] ^= 1;
        resr_frame_hash(after, &format, frame);
        assert_string_not_equal(after, before);
        last_row[plane.row_bytes - 1] ^= 1;
        last_row[plane.row_bytes] ^= 1;
        resr_frame_hash(after, &format, frame);
        assert_string_equal(after, before);
    }
    resr_frame_free(frame);
}

/* Opaque alpha is the largest value of the format's depth. */
static void test_opaque(void **state)
{
    static const int depths[] = {8, 10, 12, 16};
    (void)state;
    for (size_t i = 0; i < sizeof depths / sizeof *depths; i++) {
        ResrFormat format = make_format(depths[i]);
        ResrPlane plane = resr_format_plane(&format, 3);
        ResrFrame *frame;
        assert_int_equal(resr_frame_create(&frame, &format), 0);
        memset(frame->data, 7, plane.offset_bytes);
        resr_frame_set_opaque(frame, &format);
        for (size_t k = 0; k < plane.offset_bytes; k++)
            assert_int_equal(frame->data[k], 7);
        for (int y = 0; y < plane.height_px; y++)
            for (int x = 0; x < plane.width_px; x++) {
                const uint8_t *at =
                    frame->data + plane.offset_bytes + (size_t)y * plane.stride_bytes;
                uint16_t deep;
                memcpy(&deep, at + 2 * x * (depths[i] > 8), 2);
                assert_int_equal(depths[i] > 8 ? deep : at[x], (1 << depths[i]) - 1);
            }
        resr_frame_free(frame);
    }
}

/* Of the processes of a machine the first ones fit, as many as have room beside rank 0's pool. */
static void test_memory_of_a_machine(void **state)
{
    const int64_t most = (int64_t)1 << 62;
    int64_t low = 0, high = most; /* the limit lies between */
    (void)state;
    while (high - low > 1)
        if (resr_memory_fits(low + (high - low) / 2))
            low += (high - low) / 2;
        else
            high = low + (high - low) / 2;
    assert_true(low >= 1 << 20 && low < most - 1);
    for (int place = 1; place <= 6; place++) {
        resr_memory_share(place);
        resr_memory_expect(low / 16, low / 4);
        assert_int_equal(resr_memory_fits(low / 8), place <= 4);
        assert_int_equal(resr_memory_check("x.png", low / 8, "give -t 64"),
                         place <= 4 ? 0 : RESR_ERR_DEVICE);
    }
    assert_non_null(strstr(resr_error_text(), "x.png: "));
    assert_non_null(strstr(resr_error_text(), "(6 ranks of "));
    assert_non_null(strstr(resr_error_text(), "; give -t 64"));
    resr_memory_expect(0, low); /* the pool alone is too large */
    resr_memory_share(1);
    assert_int_equal(resr_memory_check("x.png", 1000, "give -t 64"), RESR_ERR_DEVICE);
    assert_non_null(strstr(resr_error_text(), "smaller --memory, or give -t 64"));
    resr_memory_expect(0, 0);
}

TEST_MAIN(test_errors, test_memory, test_memory_of_a_machine, test_queue, test_publish,
          test_frame_hash, test_opaque)
