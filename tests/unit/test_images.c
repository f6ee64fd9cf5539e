/* Names of images: their order, patterns and the outputs that an output path stands for. */
#include <stdlib.h>
#include <string.h>

#include "media/images.h"
#include "media/outputs.h"
#include "test_main.h"

static int by_name(const void *a, const void *b)
{
    return resr_images_compare(*(const char *const *)a, *(const char *const *)b);
}

static void test_order(void **state)
{
    static const char *const expected[] = {"",
                                           "-1.png",
                                           "01.png",
                                           "1.png",
                                           "2.png",
                                           "9.png",
                                           "10.png",
                                           "11.png",
                                           "A.png",
                                           "B1.png",
                                           "a.png",
                                           "a1.png",
                                           "a1b.png",
                                           "a1b2",
                                           "a1b10",
                                           "a2",
                                           "a99999999999999999998",
                                           "a99999999999999999999",
                                           "a100000000000000000000",
                                           "b"};
    enum { COUNT = sizeof expected / sizeof *expected };
    const char *names[COUNT];
    (void)state;
    for (int i = 0; i < COUNT; i++)
        names[i] = expected[(i * 7 + 3) % COUNT];
    qsort(names, COUNT, sizeof *names, by_name);
    for (int i = 0; i < COUNT; i++)
        assert_string_equal(names[i], expected[i]);
    for (int i = 0; i < COUNT; i++)
        for (int j = 0; j < COUNT; j++) {
            int order = resr_images_compare(expected[i], expected[j]);
            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
        }
}

static void test_patterns(void **state)
{
    static const struct {
        const char *path;
        bool pattern;
    } cases[] = {{"%d.png", true},           {"f%05d.png", true},   {"50%/f%03d.png", true},
                 {"100%d/f%d.png", true},    {"f%d_%d.png", false}, {"f%s.png", false},
                 {"100%.png", false},        {"f%%d.png", false},   {"f%1234d.png", false},
                 {"out%d/frame.png", false}, {"f%-5d.png", false},  {"plain.png", false}};
    char path[64];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(resr_images_is_pattern(cases[i].path), cases[i].pattern);
        assert_int_equal(resr_images_number(path, sizeof path, cases[i].path, 7) == 0,
                         cases[i].pattern);
    }
    assert_int_equal(resr_images_number(path, sizeof path, "50%/f%03d.png", 7), 0);
    assert_string_equal(path, "50%/f007.png");
    assert_int_equal(resr_images_number(path, 10, "50%/f%03d.png", 7), RESR_ERR_USAGE);
}

static void test_match(void **state)
{
    static const struct {
        const char *pattern, *name;
        int64_t number; /* -1: none */
    } cases[] = {{"f%d.png", "f7.png", 7},
                 {"f%d.png", "f07.png", -1},
                 {"f%d.png", "f0.png", 0},
                 {"f%d.png", "f.png", -1},
                 {"f%d.png", "f-7.png", -1},
                 {"f%d.png", "f7.pngx", -1},
                 {"f%d.png", "g7.png", -1},
                 {"d/50%/f%03d.png", "f007.png", 7},
                 {"d/f%03d.png", "f7.png", -1},
                 {"d/f%03d.png", "f1007.png", 1007},
                 {"d/f%03d.png", "f0007.png", -1},
                 {"%d", "12", 12},
                 {"%d", "999999999999999999", 999999999999999999},
                 {"%d", "9999999999999999999", -1},
                 {"plain.png", "plain.png", -1}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t number = -1;
        bool found = resr_images_match(cases[i].pattern, cases[i].name, &number);
        assert_int_equal(found ? number : -1, cases[i].number);
    }
}

static void test_kinds(void **state)
{
    (void)state;
    assert_int_equal(resr_outputs_kind("o.mkv", "i.mkv"), RESR_OUTPUT_VIDEO);
    assert_int_equal(resr_outputs_kind("50%d.mp4", "i.mkv"), RESR_OUTPUT_VIDEO);
    assert_int_equal(resr_outputs_kind("o.PNG", "i.mkv"), RESR_OUTPUT_IMAGE);
    assert_int_equal(resr_outputs_kind("100%.png", "i.mkv"), RESR_OUTPUT_IMAGE);
    assert_int_equal(resr_outputs_kind("o%d/x.png", "i.mkv"), RESR_OUTPUT_IMAGE);
    assert_int_equal(resr_outputs_kind("o%03d.png", "i.mkv"), RESR_OUTPUT_PATTERN);
    assert_int_equal(resr_outputs_kind("missing/", "i.mkv"), RESR_OUTPUT_FOLDER);
    assert_int_equal(resr_outputs_kind("/tmp", "i.mkv"), RESR_OUTPUT_FOLDER);
}

TEST_MAIN(test_order, test_patterns, test_match, test_kinds)
