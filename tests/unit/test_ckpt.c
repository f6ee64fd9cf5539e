/* The checkpoint's files, each alone: a journal that is cut or flipped anywhere loses its end and
 * nothing else; batch files hold frames bit for bit and refuse damage; a folder that others may
 * write into is not trusted. */

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/publish.h"
#include "ckpt/checkpoint.h"
#include "ckpt/jobdir.h"
#include "ckpt/replay.h"
#include "group_folder.h"
#include "test_main.h"

enum { RECORDS = 20 };

static int writes, lost_write; /* calls of pwrite(); the call that stores nothing, 0: none */
static int torn_write;         /* the call that stores half of its bytes and fails, 0: none */

/* HDF5's writes: one of them may report success without storing its bytes, as a full network disk
 * does. */
ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset)
{
    if (++writes == lost_write)
        return (ssize_t)bytes;
    if (writes != torn_write)
        return syscall(SYS_pwrite64, fd, data, bytes, offset);
    if (syscall(SYS_pwrite64, fd, data, bytes / 2, offset) >= 0)
        errno = ENOSPC;
    return -1;
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
    const char *path = test_in_folder("journal");
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
    uint8_t *whole = test_read_bytes(path, &bytes);
    assert_int_equal(bytes, RECORDS * 64);

    for (size_t cut = 0; cut <= bytes; cut += 7) { /* a kill in the middle of a write */
        test_write_bytes(path, whole, cut);
        assert_int_equal(good_records(path, 77), cut / 64);
        struct stat status;
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_size, cut / 64 * 64);
    }
    for (size_t bit = 0; bit < bytes * 8; bit += 13) {
        whole[bit / 8] ^= (uint8_t)(1 << bit % 8);
        test_write_bytes(path, whole, bytes);
        assert_int_equal(good_records(path, 77), bit / 8 / 64);
        whole[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    test_write_bytes(path, whole, bytes);
    assert_int_equal(good_records(path, 78), 0); /* another run's */
    memmove(whole, whole + 64, bytes - 64);      /* a record lost in the middle */
    test_write_bytes(path, whole, bytes - 64);
    assert_int_equal(good_records(path, 77), 0);
    free(whole);
}

/* Records that a full disk cuts leave the journal as it was before them. */
static void test_torn_append(void **state)
{
    ResrJournal *journal;
    ResrRecord *records, three[3] = {{0}};
    size_t count;
    struct stat status;
    const char *path = test_in_folder("torn");
    (void)state;
    for (int i = 0; i < 3; i++)
        three[i] = (ResrRecord){.type = RESR_RECORD_FRAME, .number = i * 3};
    assert_int_equal(resr_journal_open(&journal, &records, &count, path, 77), 0);
    free(records);
    assert_int_equal(resr_journal_append(journal, three, 1), 0);
    writes = 0;
    torn_write = 1;
    assert_int_equal(resr_journal_append(journal, three + 1, 2), RESR_ERR_IO);
    torn_write = 0;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, sizeof *three);
    assert_int_equal(resr_journal_append(journal, three + 1, 2), 0);
    resr_journal_close(journal);
    assert_int_equal(good_records(path, 77), 3);
    unlink(path);
}

static ResrFormat make_format(const char *pix_fmt, int depth, int alpha)
{
    ResrFormat format = {.width_px = 70, /* luma and chroma rows have different strides */
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
        const char *path = test_in_folder("batch-00000048.h5");
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

/* A write that is lost without an error: the batch file is refused, or holds its frames anyway. */
static void test_lost_write(void **state)
{
    ResrFormat format = make_format("yuv420p", 8, 0);
    ResrBatchInfo info = make_info(&format);
    ResrFrame *frame = make_frame(&format, 48), *back;
    ResrRecord record;
    const char *path = test_in_folder("batch-00000048.h5");
    int refused = 0;
    (void)state;
    writes = lost_write = 0;
    assert_int_equal(resr_batchfile_write(&record, path, &info, &frame, 1), 0);
    int all = writes;
    assert_true(all > 3);
    for (int i = 1; i <= all; i++) {
        unlink(path);
        writes = 0;
        lost_write = i;
        if (resr_batchfile_write(&record, path, &info, &frame, 1) < 0) {
            refused++;
            continue;
        }
        assert_int_equal(resr_batchfile_read(&back, path, &format, 0), 0);
        assert_string_equal(back->hash, frame->hash);
        resr_frame_free(back);
    }
    lost_write = 0;
    assert_true(refused >= format.planes);
    resr_frame_free(frame);
    unlink(path);
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
    test_write_bytes(path, packets, sizeof packets);
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

/* Finished segments and batch files that a resume finds in the job folder, and in the folder of
 * --keep-frames. */
static void believe_with(const ResrJobDir *dir, const char *kept, int *segments, int *batches)
{
    ResrJournal *journal;
    ResrRecord *records;
    ResrReplay replay;
    ResrFrameTable table = {0};
    size_t count;
    char path[PATH_MAX];
    resr_jobdir_path(dir, path, "journal");
    assert_int_equal(resr_journal_open(&journal, &records, &count, path, 5), 0);
    assert_int_equal(
        resr_replay(&replay, dir, "/nowhere", records, count, SEGMENT_FRAMES, kept, &table), 0);
    *segments = replay.segment_count;
    *batches = (int)replay.batch_count;
    if (replay.segment_count) {
        assert_int_equal(table.length, SEGMENT_FRAMES);
        assert_int_equal(replay.states[SEGMENT_FRAMES - 1], RESR_FRAME_DURABLE);
    }
    if (replay.batch_count)
        assert_int_equal(replay.states[SEGMENT_FRAMES + 2], RESR_FRAME_RESTORED);
    resr_frame_table_clear(&table);
    resr_replay_clear(&replay);
    free(records);
    resr_journal_close(journal);
}

static void believe(const ResrJobDir *dir, int *segments, int *batches)
{
    believe_with(dir, "", segments, batches);
}

/* Two records of one file: the later one holds, and the file counts once. */
static void test_written_twice(void **state)
{
    ResrFormat format = make_format("yuv420p", 8, 0);
    ResrJobDir dir;
    int segments, batches;
    (void)state;
    assert_int_equal(resr_jobdir_open(&dir, test_in_folder("d.resr")), 0);
    make_job(&dir, &format);
    make_job(&dir, &format);
    believe(&dir, &segments, &batches);
    assert_int_equal(segments, 1);
    assert_int_equal(batches, 1);
    resr_jobdir_remove(&dir, false);
}

/* A batch file that was moved to the folder of --keep-frames is found there, if it is intact. */
static void test_moved(void **state)
{
    ResrFormat format = make_format("yuv420p", 8, 0);
    ResrJobDir dir;
    int segments, batches;
    const char *kept = test_in_folder("kept"), *moved = test_in_folder("kept/batch-00000008.h5");
    size_t bytes;
    (void)state;
    assert_int_equal(resr_jobdir_open(&dir, test_in_folder("e.resr")), 0);
    make_job(&dir, &format);
    assert_int_equal(mkdir(kept, 0700), 0);
    assert_int_equal(rename(test_in_folder("e.resr/batch-00000008.h5"), moved), 0);
    believe_with(&dir, kept, &segments, &batches);
    assert_int_equal(batches, 1);
    uint8_t *whole = test_read_bytes(moved, &bytes);
    whole[bytes / 2] ^= 1;
    test_write_bytes(moved, whole, bytes);
    free(whole);
    believe_with(&dir, kept, &segments, &batches);
    assert_int_equal(batches, 0);
    assert_int_equal(segments, 1);
    resr_jobdir_remove(&dir, false);
}

/* Flips and cuts of every file: a damaged one is not believed, the others are. */
static void test_damage(void **state)
{
    static const char *const names[] = {"segment-000000.nut", "batch-00000008.h5"};
    ResrFormat format = make_format("yuv420p", 8, 0);
    ResrJobDir dir;
    int segments, batches;
    (void)state;
    assert_int_equal(resr_jobdir_open(&dir, test_in_folder("b.resr")), 0);
    for (int which = 0; which < 2; which++) {
        char path[PATH_MAX];
        size_t bytes;
        make_job(&dir, &format);
        believe(&dir, &segments, &batches);
        assert_int_equal(segments, 1);
        assert_int_equal(batches, 1);
        resr_jobdir_path(&dir, path, names[which]);
        uint8_t *whole = test_read_bytes(path, &bytes);
        for (size_t step = 0; step < bytes / 61 + bytes / 512; step++) {
            bool cut = step >= bytes / 61;
            size_t at = cut ? (step - bytes / 61) * 512 : step * 61;
            whole[at] ^= (uint8_t)(cut ? 0 : 1 << step % 8);
            test_write_bytes(path, whole, cut ? at : bytes);
            believe(&dir, &segments, &batches);
            assert_int_equal(segments, which != 0);
            assert_int_equal(batches, which != 1);
            assert_int_not_equal(access(path, F_OK),
                                 0); /* files without a valid record are removed */
            whole[at] ^= (uint8_t)(cut ? 0 : 1 << step % 8);
        }
        test_write_bytes(path, whole, bytes);
        free(whole);
        resr_jobdir_path(&dir, path, "journal");
        unlink(path);
        believe(&dir, &segments, &batches);
        assert_int_equal(segments + batches, 0);
    }
    resr_jobdir_remove(&dir, false);
    assert_int_not_equal(access(test_in_folder("b.resr"), F_OK), 0);
}

/* A sweep removes the temporary files of killed attempts and no other file; a job folder without a
 * manifest is removed, a folder that holds a job is not. */
static void test_rests(void **state)
{
    static const char *const names[] = {".out.mp4.123.7.tmp.mp4", ".out.mp4.9.tmp",
                                        ".out.mp4.x.tmp",         "out.mp4.123.tmp.mp4",
                                        ".out.mp41.tmp",          "out.mp4"};
    ResrJobDir dir;
    (void)state;
    for (int i = 0; i < 6; i++)
        test_write_bytes(test_in_folder(names[i]), (const uint8_t *)"", 0);
    resr_publish_remove_stale(test_in_folder("out.mp4"));
    for (int i = 0; i < 6; i++)
        assert_int_equal(access(test_in_folder(names[i]), F_OK) == 0, i >= 2);
    assert_int_equal(resr_jobdir_open(&dir, test_in_folder("c.resr")), 0);
    resr_jobdir_remove_remains(test_in_folder("c.resr")); /* it is held */
    assert_int_equal(access(test_in_folder("c.resr"), F_OK), 0);
    resr_jobdir_close(&dir);
    test_write_bytes(test_in_folder("c.resr/manifest.json"), (const uint8_t *)"{}", 2);
    resr_jobdir_remove_remains(test_in_folder("c.resr"));
    assert_int_equal(access(test_in_folder("c.resr/manifest.json"), F_OK), 0);
    unlink(test_in_folder("c.resr/manifest.json"));
    test_write_bytes(test_in_folder("c.resr/journal"), (const uint8_t *)"", 0);
    resr_jobdir_remove_remains(test_in_folder("c.resr"));
    assert_int_not_equal(access(test_in_folder("c.resr"), F_OK), 0);
}

static void test_jobdir(void **state)
{
    ResrJobDir dir, again;
    const char *path = test_in_folder("a.resr");
    (void)state;
    assert_int_equal(resr_jobdir_open(&dir, path), 0);
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
    resr_jobdir_remove(&dir, false);
    assert_int_not_equal(access(path, F_OK), 0);
    mkdir(path, 0700);
    test_write_bytes(test_in_folder("a.resr/batch-1.csv"), (const uint8_t *)"mine", 4);
    assert_int_equal(resr_jobdir_open(&again, path), RESR_ERR_EXISTS); /* a user's own folder */
    assert_int_equal(access(test_in_folder("a.resr/lock"), F_OK) == 0, false);
    unlink(test_in_folder("a.resr/batch-1.csv"));
    chmod(path, 0777);
    assert_int_equal(resr_jobdir_open(&again, path), RESR_ERR_PERM);
    resr_jobdir_close(&again);
}

TEST_MAIN_IN(test_create_group_folder, test_remove_group_folder, test_journal, test_batchfile,
             test_lost_write, test_torn_append, test_damage, test_written_twice, test_moved,
             test_rests, test_jobdir)
