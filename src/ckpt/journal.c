/* A write-ahead journal for finished work.
 *
 * Records (journal.h) are fixed 64-byte structs, in memory as on disk:
 *   FRAME x n, SEGMENT, [SOURCE]   one append when a segment's file is complete
 *   BATCH                          one append when a batch file is complete
 *   END                            the number of frames of the input is known
 *   OUTPUT                         the finished output is about to get its name
 *   BRIDGED                        damage in the input may be bridged after this record
 *
 * Order of writes. A record follows the data that it describes: the file of a segment or batch is
 * written, fsynced, renamed and its folder fsynced before its record is appended; the append is one
 * write() and fdatasync(). Only after that are frames released, and the batch files of the segment
 * removed. So a segment outlives its batches: from its record on it contains the same frames,
 * encoded. OUTPUT is appended before the rename of the output: on a restart the output's inode and
 * size tell whether the rename happened.
 *
 * Torn tail. A kill or power loss may leave part of an append. A record is good if magic, position
 * and check value agree; the check value is seeded with 64 bits of the manifest's hash, so that
 * records of an earlier job in the same file are not good either. Opening truncates the file at the
 * first record that is not good: the work of the lost records is computed again. Since the frames
 * of a segment precede its record, a torn append loses the segment as a whole. A failed append
 * truncates the file to its old length.
 *
 * Reading is done by replay.c, which compares each record with its file. */

#include "ckpt/journal.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/memory.h"
#include "base/publish.h"

#define MAGIC 0x4a534552u /* "RESJ" */

/* Ranges of numbers in records, so that sums and products of a few of them do not overflow. */
#define MAX_TIME (INT64_C(1) << 61)
#define MAX_DURATION (INT64_C(1) << 50)
#define MAX_FILE_BYTES (INT64_C(1) << 50)
#define MAX_REORDER 1024

_Static_assert(sizeof(ResrRecord) == 64, "the journal's format");

struct ResrJournal {
    pthread_mutex_t lock;
    const char *path;
    int fd;
    uint64_t job_id, count; /* records in the file */
};

static uint64_t check_of(const ResrRecord *record, uint64_t job_id)
{
    return XXH3_64bits_withSeed(record, offsetof(ResrRecord, check), job_id);
}

static bool is_good(const ResrRecord *record, uint64_t job_id, uint64_t place)
{
    return record->magic == MAGIC && record->place == place &&
           record->check == check_of(record, job_id);
}

static bool is_number(int64_t value)
{
    return value >= 0 && value < RESR_MAX_FRAMES;
}

static bool is_time(int64_t value)
{
    return value >= -MAX_TIME && value <= MAX_TIME;
}

/* A check value proves that a record is complete, not that this program wrote it. `frames`: number
 * of frames in the records before. Frames are finished nearly in order, which bounds the memory
 * that a number can make the reader allocate. */
static bool is_in_range(const ResrRecord *record, int64_t frames)
{
    int64_t last = record->type == RESR_RECORD_END ? record->a : record->number;
    if (record->type != RESR_RECORD_OUTPUT && record->type != RESR_RECORD_SEGMENT &&
        (!is_number(last) || last > frames + RESR_MAX_OPEN_FRAMES))
        return false;
    switch (record->type) {
    case RESR_RECORD_FRAME:
        return is_time(record->a) && record->b >= 0 && record->b <= MAX_DURATION;
    case RESR_RECORD_SEGMENT:
        return is_number(record->number) && record->a >= 1 && record->a <= frames &&
               record->b >= 0 && record->b <= MAX_FILE_BYTES && record->detail <= MAX_REORDER;
    case RESR_RECORD_BATCH:
        return record->a >= 1 && record->a <= RESR_MAX_BATCH_FRAMES && record->b >= 0 &&
               record->b <= MAX_FILE_BYTES;
    case RESR_RECORD_OUTPUT:
        return record->b >= 0;
    case RESR_RECORD_SOURCE:
        return is_time(record->a);
    default:
        return record->type == RESR_RECORD_END || record->type == RESR_RECORD_BRIDGED;
    }
}

/* Reads the good records. */
static int read_good(ResrJournal *journal, ResrRecord **records, size_t *count)
{
    size_t capacity = 0;
    int64_t frames = 0;
    *count = 0;
    for (;;) {
        int ret = resr_grow(records, &capacity, *count, sizeof **records);
        if (ret < 0)
            return ret;
        ResrRecord *record = &(*records)[*count];
        ssize_t n =
            resr_file_read(journal->fd, record, sizeof *record, (off_t)(*count * sizeof *record));
        if (n < 0)
            return resr_fail(RESR_ERR_IO, "%s: cannot be read: %s", journal->path, strerror(errno));
        if ((size_t)n < sizeof *record || !is_good(record, journal->job_id, *count) ||
            !is_in_range(record, frames))
            return 0;
        if (record->type == RESR_RECORD_FRAME)
            frames++;
        else if (record->type == RESR_RECORD_BATCH)
            frames += record->a;
        (*count)++;
    }
}

int resr_journal_open(ResrJournal **out, ResrRecord **records, size_t *count, const char *path,
                      uint64_t job_id)
{
    *records = NULL;
    *count = 0;
    int ret = resr_alloc(out, 1, sizeof **out);
    if (ret < 0)
        return ret;
    ResrJournal *journal = *out;
    pthread_mutex_init(&journal->lock, NULL);
    journal->path = path;
    journal->job_id = job_id;
    journal->fd = resr_file_open_own(path, 0600);
    if (journal->fd < 0)
        ret = resr_publish_write_failure(path, (int64_t)sizeof(ResrRecord));
    if (ret == 0)
        ret = read_good(journal, records, count);
    journal->count = *count;
    if (ret == 0 &&
        resr_file_truncate(journal->fd, (off_t)(journal->count * sizeof **records)) != 0)
        ret = resr_publish_write_failure(path, 1);
    if (ret < 0) {
        resr_journal_close(journal);
        free(*records);
        *out = NULL;
        *records = NULL;
    }
    return ret;
}

int resr_journal_append(ResrJournal *journal, ResrRecord *records, size_t count)
{
    int ret = 0;
    pthread_mutex_lock(&journal->lock);
    off_t offset = (off_t)(journal->count * sizeof *records);
    for (size_t i = 0; i < count; i++) {
        records[i].magic = MAGIC;
        records[i].place = journal->count + i;
        records[i].check = check_of(&records[i], journal->job_id);
    }
    if (resr_file_write(journal->fd, records, count * sizeof *records, offset) != 0 ||
        resr_file_sync(journal->fd, 1) != 0) {
        ret = resr_publish_write_failure(journal->path, (int64_t)(count * sizeof *records));
        if (resr_file_truncate(journal->fd, offset) != 0)
            resr_fail_prefix(ret, "cannot be truncated; ");
    } else {
        journal->count += count;
    }
    pthread_mutex_unlock(&journal->lock);
    return ret;
}

void resr_journal_close(ResrJournal *journal)
{
    if (!journal)
        return;
    if (journal->fd >= 0)
        close(journal->fd);
    pthread_mutex_destroy(&journal->lock);
    free(journal);
}
