/* The command line: defaults, presets, and refusals that name the option and the finding. */

#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "cli.h"
#include "option_table.h"
#include "test_main.h"

#define PARSE(options, ...)                                                                        \
    resr_cli_parse(options, (int)(sizeof((const char *[]){"r", __VA_ARGS__}) / sizeof(char *)),    \
                   (const char *[]){"r", __VA_ARGS__, NULL})

static ResrOptions options;

static void test_defaults(void **state)
{
    (void)state;
    assert_int_equal(PARSE(&options, "-i", "in.mp4", "-o", "out.mp4", "-s", "2"), 0);
    assert_string_equal(options.input, "in.mp4");
    assert_string_equal(options.output, "out.mp4");
    assert_int_equal(options.scale, 2);
    assert_int_equal(options.batch_frames, 8);
    assert_int_equal(options.segment_frames, 48);
    assert_int_equal(options.tile_px, RESR_TILE_AUTO);
    assert_true(options.denoise < 0);
    assert_string_equal(options.hwaccel, "none");
    assert_int_equal(options.request, RESR_REQUEST_UPSCALE);
}

static void test_tasks(void **state)
{
    (void)state;
    assert_int_equal(PARSE(&options, "-i", "a", "-o", "b", "--task", "4K28K"), 0);
    assert_string_equal(options.model_name, "RealESRGAN_x4plus");
    assert_float_equal(options.outscale, 2, 0);
    assert_int_equal(PARSE(&options, "-i", "a", "-o", "b", "--task=SD2HD", "-n", "mine"), 0);
    assert_string_equal(options.model_name, "mine"); /* explicit options stay */
    assert_int_equal(options.scale, 2);
}

static void test_sizes(void **state)
{
    (void)state;
    assert_int_equal(PARSE(&options, "-i", "a", "-o", "b", "--memory", "1.5G"), 0);
    assert_true(options.memory_bytes == 1610612736);
    assert_int_equal(PARSE(&options, "-i", "a", "-o", "b", "--memory", "12Q"), RESR_ERR_USAGE);
}

static void expect_refusal(int code, const char *words)
{
    assert_int_equal(code, RESR_ERR_USAGE);
    if (!strstr(resr_error_text(), words))
        fail_msg("'%s' does not say '%s'", resr_error_text(), words);
}

static void test_tile(void **state)
{
    (void)state;
    assert_int_equal(PARSE(&options, "-i", "a", "-o", "b", "-t", "128"), 0);
    assert_int_equal(options.tile_px, 128);
    assert_int_equal(options.tile_pad_px, 36);
    assert_int_equal(PARSE(&options, "-i", "a", "-o", "b", "--tile=0"), 0);
    assert_int_equal(options.tile_px, 0);
    assert_int_equal(PARSE(&options, "-i", "a", "-o", "b", "-t", "auto"), 0);
    assert_int_equal(options.tile_px, RESR_TILE_AUTO);
    expect_refusal(PARSE(&options, "-i", "a", "-o", "b", "-t", "-1"),
                   "-t: '-1' was given, expected auto or a whole number from 0 to 32768");
    expect_refusal(PARSE(&options, "-i", "a", "-o", "b", "-t", "auto1"), "'auto1'");
}

static void test_conv(void **state)
{
    (void)state;
    assert_int_equal(PARSE(&options, "-i", "a", "-o", "b", "--conv", "mma"), 0);
    assert_string_equal(options.backend, "cuda-mma");
    assert_int_equal(PARSE(&options, "-i", "a", "-o", "b", "--conv", "auto"), 0);
    assert_string_equal(options.backend, "auto");
    assert_int_equal(PARSE(&options, "-i", "a", "-o", "b", "--backend", "cuda", "--conv", "cublas"),
                     0);
    assert_string_equal(options.backend, "cuda-cublas");
    expect_refusal(PARSE(&options, "-i", "a", "-o", "b", "--backend", "avx2", "--conv", "mma"),
                   "--backend avx2");
    expect_refusal(PARSE(&options, "-i", "a", "-o", "b", "--conv", "fast"), "wgmma");
    assert_int_equal(PARSE(&options, "-i", "a", "-o", "b", "--transport", "nccl"), 0);
    assert_int_equal(options.transport, RESR_TRANSPORT_NCCL);
}

static void test_refusals(void **state)
{
    (void)state;
    expect_refusal(PARSE(&options, "-i", "a"), "-o");
    expect_refusal(PARSE(&options, "-o", "a"), "-i");
    expect_refusal(PARSE(&options, "-i", "a", "-o", "b", "--no-such"), "--no-such");
    expect_refusal(PARSE(&options, "-i", "a", "-o", "b", "stray"), "stray");
    expect_refusal(PARSE(&options, "-i", "a", "-o", "b", "-s", "two"), "'two'");
    expect_refusal(PARSE(&options, "-i", "a", "-o", "b", "-s", "9"), "from 1 to 8");
    expect_refusal(PARSE(&options, "-i", "a", "-o", "b", "--batch", "0"), "--batch");
    expect_refusal(PARSE(&options, "-i", "a", "-o", "b", "-t", "-1"), "-t");
    expect_refusal(PARSE(&options, "-i", "a", "-o", "b", "--denoise", "nan"), "--denoise");
    expect_refusal(PARSE(&options, "-i", "a", "-o", "b", "--schedule", "magic"), "pull, static");
    expect_refusal(PARSE(&options, "-i", "a", "-o", "b", "--task", "HD"), "4K28K");
    expect_refusal(PARSE(&options, "-i", "a", "-o", "b", "--cpumask", "mmx"), "--cpumask");
    expect_refusal(PARSE(&options, "-i", "", "-o", "b"), "-i");
}

static void test_jobs(void **state)
{
    (void)state;
    assert_int_equal(PARSE(&options, "--jobs", "list", "-s", "2"), 0);
    assert_string_equal(options.jobs, "list");
    expect_refusal(PARSE(&options, "--jobs", "list", "-o", "b"), "--jobs");
    expect_refusal(PARSE(&options, "--jobs", "list", "--report", "b"), "--report");
    expect_refusal(PARSE(&options, "--jobs", "list", "--dry-run"), "--dry-run");
}

static int parse_line(ResrOptions *out, const char *line)
{
    static const char *const words[] = {"r",         "--jobs", "list",   "-s",   "2",
                                        "--threads", "3",      "--task", "SD24K"};
    const int n = sizeof words / sizeof *words;
    static ResrOptions launch;
    assert_int_equal(resr_cli_parse(&launch, n, words), 0);
    return resr_cli_parse_line(out, &launch, n, words, line);
}

static void test_lines(void **state)
{
    (void)state;
    assert_int_equal(parse_line(&options, "-i 'a \\b.mp4' -o \"c d\".mp4 --crf=20 -n mine\r"), 0);
    assert_string_equal(options.input, "a \\b.mp4");
    assert_string_equal(options.output, "c d.mp4");
    assert_string_equal(options.model_name, "mine");
    assert_float_equal(options.encode.crf, 20, 0);
    assert_int_equal(options.scale, 2);
    assert_int_equal(options.threads, 3);
    assert_int_equal(parse_line(&options, "-i $HOME/*.mp4 -o b -s 4"), 0); /* nothing is expanded */
    assert_string_equal(options.input, "$HOME/*.mp4");
    assert_int_equal(options.scale, 4);
    assert_string_equal(options.model_name, "RealESRGAN_x4plus"); /* nothing of the line before */
    assert_true(options.encode.crf < 0);
    expect_refusal(parse_line(&options, "-i a"), "-o");
    expect_refusal(parse_line(&options, "-o a"), "-i");
    expect_refusal(parse_line(&options, "-i a -o b c"), "'c'");
    expect_refusal(parse_line(&options, "-i a -o b --crf"), "--crf");
    expect_refusal(parse_line(&options, "-i a -o b --precision exact"), "--precision");
    expect_refusal(parse_line(&options, "-i a -o b --root dedicated"), "--root");
    expect_refusal(parse_line(&options, "-i a -o b --threads 2"), "--threads");
    expect_refusal(parse_line(&options, "-i a -o b --jobs other"), "--jobs");
    expect_refusal(parse_line(&options, "-i a -o b --version"), "--jobs");
}

/* Parses `--NAME=TEXT`, with the options that it depends on. */
static int parse_one(const ResrOption *option, const char *text)
{
    char word[128];
    snprintf(word, sizeof word, text ? "--%s=%s" : "--%s", option->name, text);
    return PARSE(&options, "-i", "a", "-o", "b", "--dry-run", "--plan", "ranks=2", word);
}

/* Every row of the table is known to the parser, and its suggestions and bounds hold. */
static void test_table(void **state)
{
    char number[32];
    (void)state;
    for (int i = 0; i < RESR_OPTION_COUNT; i++) {
        const ResrOption *option = &resr_option_table[i];
        const char *text = option->argument ? "\n" : NULL;
        assert_true(i == 0 || option->heading >= option[-1].heading);
        if (parse_one(option, text) < 0 && strstr(resr_error_text(), "unknown option"))
            fail_msg("%s", resr_error_text());
        for (int k = 0; (text = resr_option_suggestion(option, k)); k++)
            if (parse_one(option, text) < 0)
                fail_msg("--%s=%s: %s", option->name, text, resr_error_text());
        if (option->type != RESR_OPTION_INT32 && option->type != RESR_OPTION_INT64)
            continue;
        for (int k = -1; k <= 1; k++) {
            if ((k < 0 && option->low == INT64_MIN) || (k > 0 && option->high == INT64_MAX))
                continue;
            int64_t bound = k < 0 ? option->low : option->high;
            snprintf(number, sizeof number, "%lld", (long long)bound + k);
            assert_int_equal(parse_one(option, number), k == 0 ? 0 : RESR_ERR_USAGE);
        }
    }
}

/* A field's default is the default that the help shows. */
static void test_shown_defaults(void **state)
{
    char line[200];
    (void)state;
    for (int i = 0; i < RESR_OPTION_COUNT; i++) {
        const ResrOption *option = &resr_option_table[i];
        static ResrOptions given, omitted;
        if (!option->standard)
            continue;
        snprintf(line, sizeof line, "--%s=%s", option->name, option->standard);
        assert_int_equal(PARSE(&omitted, "-i", "a", "-o", "b", "--dry-run", "--plan", "ranks=2"),
                         0);
        assert_int_equal(
            PARSE(&given, "-i", "a", "-o", "b", "--dry-run", "--plan", "ranks=2", line), 0);
        assert_memory_equal(&given, &omitted, sizeof given);
        assert_non_null(strstr(resr_option_describe(line, sizeof line, option), "["));
    }
}

static void test_last_one_counts(void **state)
{
    (void)state;
    assert_int_equal(PARSE(&options, "-i", "a", "-s", "two", "-o", "b", "-s", "3"), 0);
    assert_int_equal(options.scale, 3);
    assert_int_equal(PARSE(&options, "--list-devices", "--dry-run", "--list-models"), 0);
    assert_int_equal(options.request, RESR_REQUEST_LIST_MODELS);
    assert_int_equal(PARSE(&options, "--help", "--version"), 0);
    assert_int_equal(options.request, RESR_REQUEST_HELP);
}

static void test_requests_with_arguments(void **state)
{
    (void)state;
    assert_int_equal(PARSE(&options, "--list-models"), 0);
    assert_string_equal(options.list_folder, "");
    assert_int_equal(PARSE(&options, "--list-models", "-m", "weights"), 0);
    assert_string_equal(options.list_folder, "");
    assert_int_equal(PARSE(&options, "--list-models", "weights"), 0);
    assert_string_equal(options.list_folder, "weights");
    assert_int_equal(PARSE(&options, "--convert", "in.pth", "out", "--overwrite"), 0);
    assert_int_equal(options.request, RESR_REQUEST_CONVERT);
    assert_string_equal(options.input, "in.pth");
    assert_string_equal(options.output, "out");
    assert_true(options.overwrite);
    assert_int_equal(PARSE(&options, "--convert", "in.pth"), RESR_ERR_USAGE);
    assert_int_equal(PARSE(&options, "--convert", "in.pth", "out", "third"), RESR_ERR_USAGE);
    assert_int_equal(PARSE(&options, "-i", "in.mp4", "-o", "out.mp4", "stray"), RESR_ERR_USAGE);
}

TEST_MAIN(test_defaults, test_tasks, test_sizes, test_tile, test_conv, test_refusals, test_jobs,
          test_lines, test_table, test_shown_defaults, test_last_one_counts,
          test_requests_with_arguments)
