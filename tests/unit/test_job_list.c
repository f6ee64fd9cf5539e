/* The list of --jobs and its journal: lines, their states after any truncation, and waiting. */

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/job_list_runner.h"
#include "base/limits.h"
#include "base/stop.h"
#include "group_folder.h"
#include "job/job_list.h"
#include "test_main.h"

static char list_path[PATH_MAX], journal_path[PATH_MAX];

static void write_file(const char *path, const char *text, size_t bytes)
{
    test_write_bytes(path, (const uint8_t *)text, bytes);
}

static int set_up(void **state)
{
    test_create_group_folder(state);
    snprintf(list_path, sizeof list_path, "%s", test_in_folder("list"));
    snprintf(journal_path, sizeof journal_path, "%s", test_in_folder("list.journal"));
    resr_stop_request(0);
    return 0;
}

static ResrJobList *open_list(void)
{
    ResrJobList *list;
    assert_int_equal(resr_job_list_open(&list, list_path), 0);
    return list;
}

static void expect_line(ResrJobList *list, int64_t number, const char *text)
{
    ResrJobLine line;
    assert_int_equal(resr_job_list_next(list, &line), 0);
    if (text) {
        assert_non_null(line.text);
        assert_string_equal(line.text, text);
        assert_int_equal(line.number, number);
    } else {
        assert_null(line.text);
    }
    free(line.text);
}

static void test_lines(void **state)
{
    (void)state;
    static const char text[] = "# comment\n\n-i a\n  \t\r\n   # another\n -i b\r\n-i c";
    write_file(list_path, text, sizeof text - 1);
    ResrJobList *list = open_list();
    assert_false(resr_job_list_is_open_ended(list));
    expect_line(list, 3, "-i a");
    expect_line(list, 6, " -i b\r");
    expect_line(list, 7, "-i c");
    expect_line(list, 0, NULL);
    expect_line(list, 0, NULL);
    resr_job_list_close(list);

    static char longer[RESR_JOB_LINE_BYTES + 4];
    memset(longer, 'x', sizeof longer);
    longer[RESR_JOB_LINE_BYTES - 1] = '\n'; /* the longest that is taken */
    write_file(list_path, longer, sizeof longer);
    list = open_list();
    longer[RESR_JOB_LINE_BYTES - 1] = 0;
    expect_line(list, 1, longer);
    expect_line(list, 2, "xxxx");
    resr_job_list_close(list);
    longer[RESR_JOB_LINE_BYTES - 1] = 'x';
    write_file(list_path, longer, sizeof longer);
    list = open_list();
    ResrJobLine line;
    assert_int_equal(resr_job_list_next(list, &line), RESR_ERR_DATA);
    resr_job_list_close(list);
}

static ResrJobLineState look(ResrJobList *list, const char *text, ResrJobResult *result)
{
    ResrJobLine line = {1, (char *)text};
    return resr_job_list_find(list, &line, result);
}

/* Two lines: the first is done, the second fails and is started a second time. */
static void write_journal(void)
{
    ResrJobLine first = {1, "-i a"}, second = {2, "-i \xff"};
    ResrJobResult good = {"a", "b", "", 0, 48, 1.5}, bad = {"\xff", "c", "why", 65, 0, 0};
    write_file(list_path, "", 0);
    ResrJobList *list = open_list();
    assert_int_equal(resr_job_list_begin(list, &first, 0), 0);
    assert_int_equal(look(list, "-i a", &good), RESR_JOB_LINE_STARTED);
    assert_int_equal(resr_job_list_end(list, &first, &good), 0);
    assert_int_equal(resr_job_list_begin(list, &second, 0), 0);
    assert_int_equal(resr_job_list_end(list, &second, &bad), 0);
    assert_int_equal(look(list, "-i \xff", &good), RESR_JOB_LINE_FAILED);
    assert_int_equal(resr_job_list_begin(list, &second, 7), 0);
    ResrJobResult stopped = {"\xff", "c", "a signal", 75, 9, 0};
    assert_int_equal(resr_job_list_end(list, &second, &stopped), 0);
    assert_int_equal(look(list, "-i \xff", &good), RESR_JOB_LINE_STARTED);
    resr_job_list_close(list);
}

/* Wherever the journal is truncated, its remaining lines count and lines can be appended. */
static void test_journal(void **state)
{
    (void)state;
    ResrJobResult result = {0};
    write_journal();
    struct stat status;
    assert_int_equal(stat(journal_path, &status), 0);
    off_t bytes = status.st_size;
    ResrJobList *list = open_list();
    assert_int_equal(look(list, "-i a", &result), RESR_JOB_LINE_DONE);
    assert_int_equal(result.frames, 48);
    assert_float_equal(result.seconds, 1.5, 0);
    assert_int_equal(look(list, "-i \xff", &result), RESR_JOB_LINE_STARTED);
    assert_int_equal(look(list, "-i b", &result), RESR_JOB_LINE_NEW);
    resr_job_list_close(list);
    int last = RESR_JOB_LINE_DONE;
    for (off_t cut = bytes; cut >= 0; cut--) {
        assert_int_equal(truncate(journal_path, cut), 0);
        list = open_list();
        int now = look(list, "-i a", &result);
        assert_true(now <= last); /* done, then started, then new */
        last = now;
        resr_job_list_close(list);
    }
    assert_int_equal(last, RESR_JOB_LINE_NEW);
    write_journal();
    list = open_list();
    assert_int_equal(look(list, "-i a", &result), RESR_JOB_LINE_DONE);
    resr_job_list_close(list);
    write_file(journal_path, "{\"line\":1}\n\xff\n", 13);
    list = open_list();
    assert_int_equal(look(list, "-i a", &result), RESR_JOB_LINE_NEW);
    resr_job_list_close(list);
}

static void test_ends(void **state)
{
    (void)state;
    ResrJobList *list;
    assert_int_equal(resr_job_list_open(&list, list_path), RESR_ERR_NOINPUT);
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
    assert_int_equal(resr_job_list_open(&list, "-"), 0);
    assert_true(resr_job_list_is_open_ended(list));
    assert_int_equal(write(ends[1], "-i a\n-i b", 9), 9);
    expect_line(list, 1, "-i a");
    resr_stop_request(15); /* an incomplete line is dropped */
    expect_line(list, 0, NULL);
    resr_stop_request(0);
    resr_job_list_stop(list);
    expect_line(list, 0, NULL);
    ResrJobLine line = {1, "-i a"};
    ResrJobResult result = {0};
    assert_int_equal(resr_job_list_begin(list, &line, 0), 0);
    assert_int_equal(resr_job_list_find(list, &line, &result), RESR_JOB_LINE_NEW);
    resr_job_list_close(list);
    close(ends[0]);
    close(ends[1]);
}

/* A job that reads or writes the output of the running one waits for its end, as does any job
 * beside images. */
static void test_must_wait(void **state)
{
    (void)state;
    char out[PATH_MAX];
    const char *other = test_in_folder("./out.mkv");
    snprintf(out, sizeof out, "%s", test_in_folder("out.mkv"));
    static ResrOptions reads, writes, neither;
    snprintf(reads.input, sizeof reads.input, "%s", other);
    snprintf(reads.output, sizeof reads.output, "%s", test_in_folder("2.mkv"));
    snprintf(writes.input, sizeof writes.input, "%s", test_in_folder("in.mkv"));
    snprintf(writes.output, sizeof writes.output, "%s", other);
    neither = reads;
    snprintf(neither.input, sizeof neither.input, "%s", test_in_folder("in.mkv"));
    assert_true(resr_job_list_runner_must_wait(&reads, out, "in.mkv"));
    assert_true(resr_job_list_runner_must_wait(&writes, out, "in.mkv"));
    assert_false(resr_job_list_runner_must_wait(&neither, out, "in.mkv"));
    assert_true(resr_job_list_runner_must_wait(&neither, "%05d.png", "in.mkv"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_lines, set_up, test_remove_group_folder),
        cmocka_unit_test_setup_teardown(test_journal, set_up, test_remove_group_folder),
        cmocka_unit_test_setup_teardown(test_must_wait, set_up, test_remove_group_folder),
        cmocka_unit_test(test_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
