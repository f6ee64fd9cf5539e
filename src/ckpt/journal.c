#include "ckpt/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/publish.h"

#define MAGIC 0x4a534552u /* "RESJ" */

_Static_assert(sizeof(ResrRecord) == 64, "the journal's format");

struct ResrJournal {
    pthread_mutex_t lock;
    const char *path;
    int fd;
    uint64_t run, count; /* records in the file */
};

static uint64_t check_of(const ResrRecord *record, uint64_t run)
{
    return XXH3_64bits_withSeed(record, offsetof(ResrRecord, check), run);
}

static bool is_good(const ResrRecord *record, uint64_t run, uint64_t place)
{
    return record->magic == MAGIC && record->place == place &&
           record->check == check_of(record, run);
}

/* Reads the whole file into *records; *count: those that are whole. */
static int read_all(ResrJournal *journal, ResrRecord **records, size_t *count)
{
    struct stat status;
    if (fstat(journal->fd, &status) != 0)
        return resr_fail(RESR_ERR_IO, "%s: cannot be read: %s", journal->path, strerror(errno));
    size_t bytes = (size_t)status.st_size, got = 0;
    int ret = resr_alloc(records, 1, bytes + 1);
    while (ret == 0 && got < bytes) {
        ssize_t n = pread(journal->fd, (char *)*records + got, bytes - got, (off_t)got);
        if (n == 0)
            break;
        if (n < 0 && errno != EINTR)
            ret = resr_fail(RESR_ERR_IO, "%s: cannot be read: %s", journal->path, strerror(errno));
        got += n > 0 ? (size_t)n : 0;
    }
    *count = got / sizeof **records;
    return ret;
}

int resr_journal_open(ResrJournal **out, ResrRecord **records, size_t *count, const char *path,
                      uint64_t run)
{
    size_t whole = 0;
    *records = NULL;
    int ret = resr_alloc(out, 1, sizeof **out);
    if (ret < 0)
        return ret;
    ResrJournal *journal = *out;
    pthread_mutex_init(&journal->lock, NULL);
    journal->path = path;
    journal->run = run;
    journal->fd = resr_file_open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
    if (journal->fd < 0)
        ret = resr_publish_write_failure(path, (int64_t)sizeof(ResrRecord));
    if (ret == 0)
        ret = read_all(journal, records, &whole);
    while (ret == 0 && journal->count < whole &&
           is_good(&(*records)[journal->count], run, journal->count))
        journal->count++;
    *count = journal->count;
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
        records[i].check = check_of(&records[i], journal->run);
    }
    if (resr_file_write(journal->fd, records, count * sizeof *records, offset) != 0 ||
        resr_file_sync(journal->fd, 1) != 0) {
        ret = resr_publish_write_failure(journal->path, (int64_t)(count * sizeof *records));
        if (resr_file_truncate(journal->fd, offset) != 0)
            resr_fail_prefix(ret, "cannot be cut back; ");
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
