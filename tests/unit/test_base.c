/* base/: errors keep their meaning, allocation refuses sizes that overflow, queues keep order and
 * end cleanly, and a file appears only when it is complete. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <pthread.h>

#include "base/memory.h"
#include "base/publish.h"
#include "base/queue.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_queue),
        cmocka_unit_test(test_publish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
