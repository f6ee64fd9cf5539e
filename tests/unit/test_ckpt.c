/* The checkpoint's files, each alone: a journal that is cut or flipped anywhere loses its end and
 * nothing else; batch files hold frames bit for bit and refuse damage; a folder that others may
 * write into is not trusted. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/publish.h"
#include "ckpt/checkpoint.h"
#include "ckpt/jobdir.h"
#include "ckpt/replay.h"

enum { RECORDS = 20 };

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/resr-ckpt-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static const char *in_folder(const char *name)
{
    static char path[4][128];
    static int turn;
    char *out = path[turn++ % 4];
    snprintf(out, sizeof path[0], "%s/%s", folder, name);
    return out;
}

static uint8_t *read_bytes(const char *path, size_t *bytes)
{
    uint8_t *data = malloc(1 << 20);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    *bytes = fread(data, 1, 1 << 20, file);
    fclose(file);
    return data;
}

static void write_bytes(const char *path, const uint8_t *data, size_t bytes)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, bytes, file), bytes);
    fclose(file);
}

/* Records that are good in the journal as it is now. */
static size_t good_records(const char *path, uint64_t run)
{
    ResrJournal *journal;
    ResrRecord *records;
    size_t count;
    assert_int_equal(resr_journal_open(&journal, &records, &count, path, run), 0);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(records[i].number, (int64_t)i * 3);
    free(records);
    resr_journal_close(journal);
    return count;
}

static void test_journal(void **state)
{
    ResrJournal *journal;
    ResrRecord *records;
    size_t count, bytes;
    const char *path = in_folder("journal");
    (void)state;
    assert_int_equal(resr_journal_open(&journal, &records, &count, path, 77), 0);
    assert_int_equal(count, 0);
    free(records);
    for (int i = 0; i < RECORDS; i += 2) {
        ResrRecord two[2] = {{.type = RESR_RECORD_FRAME, .number = i * 3},
                             {.type = RESR_RECORD_SEGMENT, .number = i * 3 + 3, .a = 1}};
        assert_int_equal(resr_journal_append(journal, two, 2), 0);
    }
    resr_journal_close(journal);
    assert_int_equal(good_records(path, 77), RECORDS);
    uint8_t *whole = read_bytes(path, &bytes);
    assert_int_equal(bytes, RECORDS * 64);

    for (size_t cut = 0; cut <= bytes; cut += 7) { /* a kill in the middle of a write */
        write_bytes(path, whole, cut);
        assert_int_equal(good_records(path, 77), cut / 64);
        struct stat status;
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_size, cut / 64 * 64);
    }
    for (size_t bit = 0; bit < bytes * 8; bit += 13) {
        whole[bit / 8] ^= (uint8_t)(1 << bit % 8);
        write_bytes(path, whole, bytes);
        assert_int_equal(good_records(path, 77), bit / 8 / 64);
        whole[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    write_bytes(path, whole, bytes);
    assert_int_equal(good_records(path, 78), 0); /* another run's */
    memmove(whole, whole + 64, bytes - 64);      /* a record lost in the middle */
    write_bytes(path, whole, bytes - 64);
    assert_int_equal(good_records(path, 77), 0);
    free(whole);
}

static ResrFormat make_format(const char *pix_fmt, int depth, int alpha)
{
    ResrFormat format = {.width_px = 21,
                         .height_px = 13,
                         .planes = 3 + alpha,
                         .depth_bits = depth,
                         .model = RESR_COLOUR_YUV,
                         .has_alpha = alpha,
                         .chroma_shift_x = 1,
                         .chroma_shift_y = 1};
    snprintf(format.pix_fmt, sizeof format.pix_fmt, "%s", pix_fmt);
    return format;
}

static ResrFrame *make_frame(const ResrFormat *format, int64_t index)
{
    ResrFrame *frame;
    assert_int_equal(resr_frame_create(&frame, format), 0);
    srand((unsigned)index + 1);
    for (int p = 0; p < format->planes; p++) {
        ResrPlane plane = resr_format_plane(format, p);
        for (int y = 0; y < plane.height_px; y++)
            for (size_t x = 0; x < plane.row_bytes; x++)
                frame->data[plane.offset_bytes + (size_t)y * plane.stride_bytes + x] =
                    (uint8_t)rand();
    }
    frame->index = index;
    frame->pts = index * 1001;
    frame->duration = 1001;
    resr_frame_hash(frame->hash, format, frame);
    return frame;
}

static ResrBatchInfo make_info(const ResrFormat *format)
{
    return (ResrBatchInfo){format, 1, 30000, "model", "0123", "exact"};
}

static void test_batchfile(void **state)
{
    static const struct {
        const char *pix_fmt;
        int depth, alpha;
    } kinds[] = {{"yuv420p", 8, 0}, {"yuv420p10le", 10, 0}, {"yuva420p", 8, 1}};
    (void)state;
    for (size_t k = 0; k < 3; k++) {
        ResrFormat format = make_format(kinds[k].pix_fmt, kinds[k].depth, kinds[k].alpha);
        ResrBatchInfo info = make_info(&format);
        ResrFrame *frames[5], *back;
        ResrRecord record;
        const char *path = in_folder("batch-00000048.h5");
        for (int i = 0; i < 5; i++)
            frames[i] = make_frame(&format, 48 + i);
        assert_int_equal(resr_batchfile_write(&record, path, &info, frames, 5), 0);
        assert_int_equal(record.number, 48);
        assert_int_equal(record.a, 5);
        for (int i = 0; i < 5; i++) {
            assert_int_equal(resr_batchfile_read(&back, path, &format, i), 0);
            assert_int_equal(back->index, 48 + i);
            assert_int_equal(back->pts, (48 + i) * 1001);
            assert_int_equal(back->state, RESR_FRAME_RESTORED);
            assert_string_equal(back->hash, frames[i]->hash);
            resr_frame_free(back);
        }
        assert_int_equal(resr_batchfile_read(&back, path, &format, 5), RESR_ERR_DATA);
        for (int i = 0; i < 5; i++)
            resr_frame_free(frames[i]);
        unlink(path);
    }
}

enum { SEGMENT_FRAMES = 8 };

/* A job folder with one finished segment (made up) and one batch file after it. */
static void make_job(ResrJobDir *dir, const ResrFormat *format)
{
    ResrJournal *journal;
    ResrRecord *none, records[SEGMENT_FRAMES + 1] = {{0}}, batch;
    ResrFrame *frames[3];
    ResrBatchInfo info = make_info(format);
    size_t count;
    uint8_t packets[5000];
    char path[PATH_MAX];
    for (size_t i = 0; i < sizeof packets; i++)
        packets[i] = (uint8_t)(i * 7);
    resr_jobdir_segment_path(dir, path, 0);
    write_bytes(path, packets, sizeof packets);
    resr_jobdir_path(dir, path, "journal");
    assert_int_equal(resr_journal_open(&journal, &none, &count, path, 5), 0);
    free(none);
    for (int i = 0; i < SEGMENT_FRAMES; i++)
        records[i] = (ResrRecord){.type = RESR_RECORD_FRAME, .number = i, .a = i * 10};
    records[SEGMENT_FRAMES] = (ResrRecord){.type = RESR_RECORD_SEGMENT,
                                           .a = SEGMENT_FRAMES,
                                           .b = sizeof packets,
                                           .hash = resr_hash_bytes(packets, sizeof packets)};
    assert_int_equal(resr_journal_append(journal, records, SEGMENT_FRAMES + 1), 0);
    for (int i = 0; i < 3; i++)
        frames[i] = make_frame(format, SEGMENT_FRAMES + i);
    resr_jobdir_path(dir, path, "batch-00000008.h5");
    assert_int_equal(resr_batchfile_write(&batch, path, &info, frames, 3), 0);
    assert_int_equal(resr_journal_append(journal, &batch, 1), 0);
    for (int i = 0; i < 3; i++)
        resr_frame_free(frames[i]);
    resr_journal_close(journal);
}

/* What is believed of the folder as it is now. */
static void believe(const ResrJobDir *dir, int *segments, int *batches)
{
    ResrJournal *journal;
    ResrRecord *records;
    ResrReplay replay;
    ResrFrameTable ledger = {0};
    size_t count;
    char path[PATH_MAX];
    resr_jobdir_path(dir, path, "journal");
    assert_int_equal(resr_journal_open(&journal, &records, &count, path, 5), 0);
    assert_int_equal(
        resr_replay(&replay, dir, "/nowhere", records, count, SEGMENT_FRAMES, "", &ledger), 0);
    *segments = replay.segment_count;
    *batches = (int)replay.batch_count;
    if (replay.segment_count) {
        assert_int_equal(ledger.length, SEGMENT_FRAMES);
        assert_int_equal(replay.states[SEGMENT_FRAMES - 1], RESR_FRAME_DURABLE);
    }
    if (replay.batch_count)
        assert_int_equal(replay.states[SEGMENT_FRAMES + 2], RESR_FRAME_RESTORED);
    resr_frame_table_clear(&ledger);
    resr_replay_clear(&replay);
    free(records);
    resr_journal_close(journal);
}

/* Flips and cuts of every file: a damaged one is not believed, the others are. */
static void test_damage(void **state)
{
    static const char *const names[] = {"segment-000000.nut", "batch-00000008.h5"};
    ResrFormat format = make_format("yuv420p", 8, 0);
    ResrJobDir dir;
    int segments, batches;
    (void)state;
    assert_int_equal(resr_jobdir_open(&dir, in_folder("b.resr")), 0);
    for (int which = 0; which < 2; which++) {
        char path[PATH_MAX];
        size_t bytes;
        make_job(&dir, &format);
        believe(&dir, &segments, &batches);
        assert_int_equal(segments, 1);
        assert_int_equal(batches, 1);
        resr_jobdir_path(&dir, path, names[which]);
        uint8_t *whole = read_bytes(path, &bytes);
        for (size_t step = 0; step < bytes / 61 + bytes / 512; step++) {
            bool cut = step >= bytes / 61;
            size_t at = cut ? (step - bytes / 61) * 512 : step * 61;
            whole[at] ^= (uint8_t)(cut ? 0 : 1 << step % 8);
            write_bytes(path, whole, cut ? at : bytes);
            believe(&dir, &segments, &batches);
            assert_int_equal(segments, which != 0);
            assert_int_equal(batches, which != 1);
            assert_int_not_equal(access(path, F_OK), 0); /* what is not believed goes */
            whole[at] ^= (uint8_t)(cut ? 0 : 1 << step % 8);
        }
        write_bytes(path, whole, bytes);
        free(whole);
        resr_jobdir_path(&dir, path, "journal");
        unlink(path);
        believe(&dir, &segments, &batches);
        assert_int_equal(segments + batches, 0);
    }
    resr_jobdir_remove(&dir, false);
    assert_int_not_equal(access(in_folder("b.resr"), F_OK), 0);
}

/* A manifest with any bit flipped, or cut anywhere, is damaged; a whole one is what it was. */
static void test_manifest(void **state)
{
    ResrOptions *options = calloc(1, sizeof *options);
    ResrPlan *plan = calloc(1, sizeof *plan);
    ResrModel *model = calloc(1, sizeof *model);
    ResrManifest *written, *back;
    const char *path = in_folder("manifest.json");
    size_t bytes;
    (void)state;
    assert_true(options && plan && model);
    snprintf(options->input, sizeof options->input, "%s", in_folder("input"));
    write_bytes(options->input, (const uint8_t *)"frames", 6);
    assert_int_equal(resr_manifest_create(&written, options, plan, model, "libx264", "1.2.3"), 0);
    assert_int_equal(resr_manifest_write(written, path), 0);
    assert_int_equal(resr_manifest_read(&back, path), 0);
    assert_int_equal(resr_manifest_compare(written, back, folder), 0);
    assert_int_equal(resr_manifest_job_id(written), resr_manifest_job_id(back));
    resr_manifest_free(back);
    resr_manifest_free(written);
    uint8_t *whole = read_bytes(path, &bytes);
    for (size_t bit = 0; bit < bytes * 8; bit++) {
        whole[bit / 8] ^= (uint8_t)(1 << bit % 8);
        write_bytes(path, whole, bytes);
        assert_int_equal(resr_manifest_read(&back, path), RESR_ERR_DATA);
        whole[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t cut = 0; cut < bytes; cut++) {
        write_bytes(path, whole, cut);
        assert_int_equal(resr_manifest_read(&back, path), RESR_ERR_DATA);
    }
    unlink(path);
    assert_int_equal(resr_manifest_read(&back, path), RESR_ERR_NOINPUT);
    free(whole);
    free(model);
    free(plan);
    free(options);
}

/* What killed attempts left beside a file goes, and nothing else; a folder whose removal was cut
 * short goes, one that holds a job does not. */
static void test_rests(void **state)
{
    static const char *const names[] = {".out.mp4.123.7.tmp.mp4", ".out.mp4.9.tmp",
                                        ".out.mp4.x.tmp",         "out.mp4.123.tmp.mp4",
                                        ".out.mp41.tmp",          "out.mp4"};
    ResrJobDir dir;
    (void)state;
    for (int i = 0; i < 6; i++)
        write_bytes(in_folder(names[i]), (const uint8_t *)"", 0);
    resr_publish_remove_stale(in_folder("out.mp4"));
    for (int i = 0; i < 6; i++)
        assert_int_equal(access(in_folder(names[i]), F_OK) == 0, i >= 2);
    assert_int_equal(resr_jobdir_open(&dir, in_folder("c.resr")), 0);
    resr_jobdir_remove_remains(in_folder("c.resr")); /* it is held */
    assert_int_equal(access(in_folder("c.resr"), F_OK), 0);
    resr_jobdir_close(&dir);
    write_bytes(in_folder("c.resr/manifest.json"), (const uint8_t *)"{}", 2);
    resr_jobdir_remove_remains(in_folder("c.resr"));
    assert_int_equal(access(in_folder("c.resr/manifest.json"), F_OK), 0);
    unlink(in_folder("c.resr/manifest.json"));
    write_bytes(in_folder("c.resr/journal"), (const uint8_t *)"", 0);
    resr_jobdir_remove_remains(in_folder("c.resr"));
    assert_int_not_equal(access(in_folder("c.resr"), F_OK), 0);
}

static void test_jobdir(void **state)
{
    ResrJobDir dir, again;
    const char *path = in_folder("a.resr");
    (void)state;
    assert_int_equal(resr_jobdir_open(&dir, path), 0);
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
    resr_jobdir_remove(&dir, false);
    assert_int_not_equal(access(path, F_OK), 0);
    mkdir(path, 0700);
    write_bytes(in_folder("a.resr/batch-1.csv"), (const uint8_t *)"mine", 4);
    assert_int_equal(resr_jobdir_open(&again, path), RESR_ERR_EXISTS); /* somebody's own folder */
    assert_int_equal(access(in_folder("a.resr/lock"), F_OK) == 0, false);
    unlink(in_folder("a.resr/batch-1.csv"));
    chmod(path, 0777);
    assert_int_equal(resr_jobdir_open(&again, path), RESR_ERR_PERM);
    resr_jobdir_close(&again);
}

static ResrManifest *make_manifest(const ResrOptions *options, const char *class)
{
    static const ResrModel model = {.name = "model", .sha256 = "0123"};
    ResrPlan plan = {.units = {48, 8}, .tile_px = 256, .tile_pad_px = 36};
    ResrManifest *manifest;
    snprintf(plan.numerics_class, sizeof plan.numerics_class, "%s", class);
    assert_int_equal(
        resr_manifest_create(&manifest, options, &plan, &model, "libx264", "libavcodec 59"), 0);
    return manifest;
}

static void test_mismatch(void **state)
{
    static ResrOptions options;
    ResrManifest *back;
    const char *path = in_folder("manifest.json");
    (void)state;
    write_bytes(in_folder("input"), (const uint8_t *)"some video", 10);
    snprintf(options.input, sizeof options.input, "%s", in_folder("input"));
    ResrManifest *first = make_manifest(&options, "exact");
    assert_int_equal(resr_manifest_read(&back, path), RESR_ERR_NOINPUT);
    assert_int_equal(resr_manifest_write(first, path), 0);
    assert_int_equal(resr_manifest_read(&back, path), 0);
    assert_string_equal(resr_manifest_class(back), "exact");
    assert_int_equal(resr_manifest_job_id(back), resr_manifest_job_id(first));

    ResrManifest *same = make_manifest(&options, "");
    assert_int_equal(resr_manifest_compare(same, back, "x.resr"), 0);
    assert_int_not_equal(resr_manifest_job_id(same), resr_manifest_job_id(first));
    options.encode.crf = 20;
    options.max_frames = 7;
    ResrManifest *other = make_manifest(&options, "");
    assert_int_equal(resr_manifest_compare(other, back, "x.resr"), RESR_ERR_MISMATCH);
    assert_non_null(strstr(resr_error_text(), "crf was 0.0 and is now 20.0"));
    assert_non_null(strstr(resr_error_text(), "frames was 0 and is now 7"));
    write_bytes(in_folder("input"), (const uint8_t *)"some vjdeo", 10);
    ResrManifest *input = make_manifest(&options, "");
    assert_int_equal(resr_manifest_compare(input, back, "x.resr"), RESR_ERR_MISMATCH);
    assert_non_null(strstr(resr_error_text(), "input_xxh128"));
    resr_manifest_free(back);

    resr_manifest_free(first);
    resr_manifest_free(same);
    resr_manifest_free(other);
    resr_manifest_free(input);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_journal),  cmocka_unit_test(test_batchfile),
        cmocka_unit_test(test_damage),   cmocka_unit_test(test_manifest),
        cmocka_unit_test(test_mismatch), cmocka_unit_test(test_rests),
        cmocka_unit_test(test_jobdir),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
