/* The manifest of a job folder: damage is found, and every setting that changes the output, and an
 * input that changed, are refused. */

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "ckpt/manifest.h"
#include "group_folder.h"
#include "test_main.h"

/* A manifest with any bit flipped, or cut anywhere, is damaged; an unchanged one is read back
 * equal. */
static void test_manifest(void **state)
{
    ResrOptions *options = calloc(1, sizeof *options);
    ResrPlan *plan = calloc(1, sizeof *plan);
    ResrModel *model = calloc(1, sizeof *model);
    ResrManifest *written, *back;
    const char *path = test_in_folder("manifest.json");
    size_t bytes;
    (void)state;
    assert_true(options && plan && model);
    snprintf(options->input, sizeof options->input, "%s", test_in_folder("input"));
    test_write_bytes(options->input, (const uint8_t *)"frames", 6);
    assert_int_equal(resr_manifest_create(&written, options, plan, model, "libx264", "1.2.3"), 0);
    assert_int_equal(resr_manifest_write(written, path), 0);
    assert_int_equal(resr_manifest_read(&back, path), 0);
    assert_int_equal(resr_manifest_compare(written, back, "x.resr"), 0);
    assert_int_equal(resr_manifest_job_id(written), resr_manifest_job_id(back));
    resr_manifest_free(back);
    resr_manifest_free(written);
    uint8_t *whole = test_read_bytes(path, &bytes);
    for (size_t bit = 0; bit < bytes * 8; bit++) {
        whole[bit / 8] ^= (uint8_t)(1 << bit % 8);
        test_write_bytes(path, whole, bytes);
        assert_int_equal(resr_manifest_read(&back, path), RESR_ERR_DATA);
        whole[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t cut = 0; cut < bytes; cut++) {
        test_write_bytes(path, whole, cut);
        assert_int_equal(resr_manifest_read(&back, path), RESR_ERR_DATA);
    }
    unlink(path);
    assert_int_equal(resr_manifest_read(&back, path), RESR_ERR_NOINPUT);
    free(whole);
    free(model);
    free(plan);
    free(options);
}

/* All that determines the output of a job. */
typedef struct Settings {
    ResrOptions options;
    ResrPlan plan;
    ResrModel model;
    char encoder[16], library[16];
} Settings;

#define SETTING(key, field, type, ...)                                                             \
    {                                                                                              \
        key, offsetof(Settings, field), sizeof(type), &(const type)                                \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }

/* A changed value of each, with the key that the refusal names. */
/* clang-format off */
static const struct {
    const char *key;
    size_t offset, bytes;
    const void *value;
} settings[] = {
    SETTING("model_sha256", model.sha256, char[4], "abc"),
    SETTING("model", model.name, char[4], "abc"),
    SETTING("outscale", options.outscale, double, 3),
    SETTING("denoise", options.denoise, double, 0.5),
    SETTING("tile_px", options.tile_px, int, 64),
    SETTING("tile_px", options.tile_px, int, RESR_TILE_AUTO),
    SETTING("tile_pad_px", options.tile_pad_px, int, 8),
    SETTING("frames", options.max_frames, int64_t, 7),
    SETTING("segment_frames", plan.batching.segment_frames, int64_t, 24),
    SETTING("encoder", encoder, char[5], "ffv1"),
    SETTING("encoder_library", library, char[4], "5.1"),
    SETTING("crf", options.encode.crf, double, 20),
    SETTING("preset", options.encode.preset, char[5], "fast"),
    SETTING("encoder_threads", options.encode.threads, int, 4),
    SETTING("keep_frames", options.keep_frames, bool, true),
    SETTING("hwaccel", plan.hwaccel, char[6], "vaapi"),
    SETTING("input_format", plan.input.pix_fmt, char[8], "yuv444p"),
    SETTING("input_format", plan.input.height_px, int32_t, 38),
    SETTING("output_format", plan.output.width_px, int32_t, 64),
    SETTING("output_format", plan.output.matrix, int32_t, 1),
    SETTING("output_format", plan.output.transfer, int32_t, 16),
    SETTING("output_format", plan.output.primaries, int32_t, 9),
    SETTING("output_format", plan.output.full_range, int32_t, 1),
    SETTING("output_format", plan.output.chroma_location, int32_t, 3),
};
/* clang-format on */

static ResrManifest *manifest_of(const Settings *s)
{
    ResrManifest *manifest;
    assert_int_equal(
        resr_manifest_create(&manifest, &s->options, &s->plan, &s->model, s->encoder, s->library),
        0);
    return manifest;
}

/* A job folder is refused for every setting that changes the output. */
static void test_settings(void **state)
{
    Settings *changed = calloc(1, sizeof *changed);
    (void)state;
    assert_non_null(changed);
    snprintf(changed->options.input, sizeof changed->options.input, "%s", test_in_folder("input"));
    test_write_bytes(test_in_folder("input"), (const uint8_t *)"some video", 10);
    ResrManifest *before = manifest_of(changed);
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        char *place = (char *)changed + settings[i].offset, kept[64], said[64];
        memcpy(kept, place, settings[i].bytes);
        memcpy(place, settings[i].value, settings[i].bytes);
        ResrManifest *now = manifest_of(changed);
        assert_int_equal(resr_manifest_compare(now, before, "x.resr"), RESR_ERR_MISMATCH);
        snprintf(said, sizeof said, ": %s was ", settings[i].key);
        assert_non_null(strstr(resr_error_text(), said));
        resr_manifest_free(now);
        memcpy(place, kept, settings[i].bytes);
    }
    resr_manifest_free(before);
    free(changed);
}

/* Inputs of equal size that differ in one byte of their ends are different inputs. */
static void test_identity(void **state)
{
    static const off_t places[] = {0, (9 << 20) - 1};
    Settings *s = calloc(1, sizeof *s);
    const char *path = test_in_folder("input");
    (void)state;
    assert_non_null(s);
    snprintf(s->options.input, sizeof s->options.input, "%s", path);
    test_write_bytes(path, (const uint8_t *)"", 0);
    assert_int_equal(truncate(path, 9 << 20), 0);
    ResrManifest *before = manifest_of(s);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        FILE *file = fopen(path, "r+b");
        assert_non_null(file);
        assert_int_equal(fseeko(file, places[i], SEEK_SET), 0);
        assert_int_equal(fputc(1, file), 1);
        fclose(file);
        ResrManifest *now = manifest_of(s);
        assert_int_equal(resr_manifest_compare(now, before, "x.resr"), RESR_ERR_MISMATCH);
        assert_non_null(strstr(resr_error_text(), "input_xxh128"));
        resr_manifest_free(before);
        before = now;
    }
    resr_manifest_free(before);
    unlink(path);
    free(s);
}

static ResrManifest *make_manifest(const ResrOptions *options, const char *class)
{
    static const ResrModel model = {.name = "model", .sha256 = "0123"};
    ResrPlan plan = {.batching = {48, 8}, .tile = {256, 256, 36}};
    ResrManifest *manifest;
    snprintf(plan.numerics_class, sizeof plan.numerics_class, "%s", class);
    assert_int_equal(
        resr_manifest_create(&manifest, options, &plan, &model, "libx264", "libavcodec 59"), 0);
    return manifest;
}

/* Tiles that -t auto has chosen are kept, but not compared: a resumed job takes them over. */
static void test_tile(void **state)
{
    static ResrOptions options = {.tile_px = RESR_TILE_AUTO, .tile_pad_px = 36};
    static const ResrTileSize sizes[] = {{1920, 1080, 36}, {7680, 312, 36}, {1, 1, 36}};
    ResrManifest *back;
    const char *path = test_in_folder("manifest.json");
    (void)state;
    test_write_bytes(test_in_folder("input"), (const uint8_t *)"some video", 10);
    snprintf(options.input, sizeof options.input, "%s", test_in_folder("input"));
    ResrManifest *manifest = make_manifest(&options, "exact");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        resr_manifest_set_tile(manifest, sizes[i]);
        assert_int_equal(resr_manifest_write(manifest, path), 0);
        assert_int_equal(resr_manifest_read(&back, path), 0);
        ResrTileSize tile = resr_manifest_tile(back);
        assert_memory_equal(&tile, &sizes[i], sizeof tile);
        ResrManifest *now = make_manifest(&options, "");
        assert_int_equal(resr_manifest_compare(now, back, "x.resr"), 0);
        assert_int_not_equal(resr_manifest_job_id(now), resr_manifest_job_id(back));
        resr_manifest_free(now);
        resr_manifest_free(back);
    }
    /* Sizes that no tile has count as none. */
    resr_manifest_set_tile(manifest, (ResrTileSize){-4, 100, 36});
    ResrTileSize tile = resr_manifest_tile(manifest);
    assert_true(tile.width_px == 0 && tile.height_px == 0);
    resr_manifest_free(manifest);
    unlink(path);
}

static void test_mismatch(void **state)
{
    static ResrOptions options = {.tile_px = 256, .tile_pad_px = 36};
    ResrManifest *back;
    const char *path = test_in_folder("manifest.json");
    (void)state;
    test_write_bytes(test_in_folder("input"), (const uint8_t *)"some video", 10);
    snprintf(options.input, sizeof options.input, "%s", test_in_folder("input"));
    ResrManifest *first = make_manifest(&options, "exact");
    assert_int_equal(resr_manifest_read(&back, path), RESR_ERR_NOINPUT);
    assert_int_equal(resr_manifest_write(first, path), 0);
    assert_int_equal(resr_manifest_read(&back, path), 0);
    assert_string_equal(resr_manifest_class(back), "exact");
    assert_int_equal(resr_manifest_job_id(back), resr_manifest_job_id(first));

    ResrTileSize tile = resr_manifest_tile(back);
    assert_memory_equal(&tile, (&(ResrTileSize){256, 256, 36}), sizeof tile);

    ResrManifest *same = make_manifest(&options, "");
    assert_int_equal(resr_manifest_compare(same, back, "x.resr"), 0);
    assert_int_not_equal(resr_manifest_job_id(same), resr_manifest_job_id(first));
    options.encode.crf = 20;
    options.max_frames = 7;
    ResrManifest *other = make_manifest(&options, "");
    assert_int_equal(resr_manifest_compare(other, back, "x.resr"), RESR_ERR_MISMATCH);
    assert_non_null(strstr(resr_error_text(), "crf was 0.0 and is now 20.0"));
    assert_non_null(strstr(resr_error_text(), "frames was 0 and is now 7"));
    test_write_bytes(test_in_folder("input"), (const uint8_t *)"some vjdeo", 10);
    ResrManifest *input = make_manifest(&options, "");
    assert_int_equal(resr_manifest_compare(input, back, "x.resr"), RESR_ERR_MISMATCH);
    assert_non_null(strstr(resr_error_text(), "input_xxh128"));
    resr_manifest_free(back);

    resr_manifest_free(first);
    resr_manifest_free(same);
    resr_manifest_free(other);
    resr_manifest_free(input);
}

TEST_MAIN_IN(test_create_group_folder, test_remove_group_folder, test_manifest, test_settings,
             test_identity, test_tile, test_mismatch)
