/* Holds upscaled frames until they are durable, and writes them to batch files if that is asked
 * for.
 *
 * A frame is held from resr_batch_writer_retain() until its segment is journalled (release) or
 * until it is in a batch file. Frames are held only if the pool has room for whole segments
 * (`retain`) or files are written (`writing`). The thread writes a span of consecutive frames of
 * one batch when all of them exist, or any span while draining: file, fsync, rename (batchfile.h),
 * then the record in the journal. A batch file whose segment became durable meanwhile is removed at
 * once, unless batch files are kept.
 *
 * `lock` protects the fields below it; functions with the suffix _locked need it. Files are written
 * without the lock. */

#include "ckpt/batch_writer.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/events.h"
#include "base/flag.h"
#include "base/limits.h"
#include "base/memory.h"

struct ResrBatchWriter {
    const ResrJobDir *dir;
    ResrJournal *journal;
    const ResrReplay *found;
    const ResrCheckpointPlan *plan;
    void (*written)(void *user);
    void *user;
    int64_t group_frames; /* frames of a file: a batch, or less where the pool is small */
    bool retain;          /* the pool can hold frames until their segment is durable */
    pthread_t thread;
    bool started;
    atomic_llong busy_since_ns; /* start of the thread's current write; 0: none */
    pthread_mutex_t lock;       /* of the fields below */
    pthread_cond_t changed;
    atomic_bool writing;
    bool draining, ended;
    int64_t total; /* frames of the input; INT64_MAX: unknown */
    ResrFrame **held;
    size_t held_count, held_capacity; /* by index */
    uint8_t *seen;                    /* by index: was passed to resr_batch_writer_retain() */
    size_t seen_capacity;
    ResrRecord *files; /* existing batch files, by first frame */
    size_t file_count, file_capacity;
    int status;
    char error[RESR_ERROR_TEXT_BYTES];
};

static void set_error_locked(ResrBatchWriter *writer, int status)
{
    if (writer->status == 0) {
        writer->status = status;
        resr_error_save(writer->error);
    }
}

static bool was_seen_locked(const ResrBatchWriter *writer, int64_t index)
{
    bool found =
        index < writer->found->frames && writer->found->states[index] != RESR_FRAME_DECODED;
    return found || ((size_t)index < writer->seen_capacity && writer->seen[index]);
}

static int mark_seen_locked(ResrBatchWriter *writer, int64_t index)
{
    int ret = resr_grow_zeroed(&writer->seen, &writer->seen_capacity, (size_t)index, 1);
    if (ret < 0)
        return ret;
    writer->seen[index] = 1;
    return 0;
}

/* The frames that share a file with frame `index`. */
static void group_of(const ResrBatchWriter *writer, int64_t index, int64_t *first, int64_t *end)
{
    const ResrBatching *batching = &writer->plan->plan->batching;
    int64_t batch = resr_batching_batch_first(batching, index);
    int64_t batch_end = resr_batching_batch_end(batching, index);
    *first = batch + (index - batch) / writer->group_frames * writer->group_frames;
    *end = *first + writer->group_frames < batch_end ? *first + writer->group_frames : batch_end;
}

static bool is_complete_locked(const ResrBatchWriter *writer, int64_t first, int64_t end)
{
    bool complete = true;
    for (int64_t i = first; i < end && i < writer->total && complete; i++)
        complete = was_seen_locked(writer, i);
    return complete;
}

/* Gets the next frames for one file, each with its own reference; returns their number. */
static int next_span_locked(ResrBatchWriter *writer, ResrFrame *span[RESR_MAX_BATCH_FRAMES])
{
    for (size_t i = 0; i < writer->held_count && (writer->writing || writer->draining); i++) {
        int64_t first, end;
        int n = 0;
        group_of(writer, writer->held[i]->index, &first, &end);
        if (!writer->draining && !is_complete_locked(writer, first, end))
            continue;
        for (size_t k = i; k < writer->held_count && writer->held[k]->index < end &&
                           writer->held[k]->index == writer->held[i]->index + n;
             k++)
            span[n++] = resr_frame_hold(writer->held[k]);
        return n;
    }
    return 0;
}

static int find_held_locked(const ResrBatchWriter *writer, int64_t index)
{
    for (size_t i = 0; i < writer->held_count; i++)
        if (writer->held[i]->index == index)
            return (int)i;
    return -1;
}

/* Releases held frames first .. end - 1. */
static void drop_held_locked(ResrBatchWriter *writer, int64_t first, int64_t end)
{
    size_t kept = 0;
    for (size_t i = 0; i < writer->held_count; i++) {
        if (writer->held[i]->index >= first && writer->held[i]->index < end)
            resr_frame_free(writer->held[i]);
        else
            writer->held[kept++] = writer->held[i];
    }
    writer->held_count = kept;
}

static int write_span(ResrBatchWriter *writer, ResrRecord *record, char path[PATH_MAX],
                      ResrFrame *const span[], int n)
{
    char name[32];
    resr_batchfile_name(name, span[0]->index);
    resr_jobdir_path(writer->dir, path, name);
    int ret = resr_lock_check(writer->dir->lock);
    if (ret == 0)
        ret = resr_batchfile_write(record, path, &writer->plan->info, span, n);
    return ret < 0 ? ret : resr_journal_append(writer->journal, record, 1);
}

static void record_span(const ResrRecord *record, ResrFrame *const span[], int n, int64_t start_ns,
                        int status)
{
    resr_events_add(&(ResrEvent){.start_ns = start_ns,
                                 .end_ns = resr_events_now(),
                                 .first = span[0]->index,
                                 .bytes = status < 0 ? 0 : record->b,
                                 .frames = n,
                                 .peer = -1,
                                 .stage = RESR_STAGE_BATCH,
                                 .failed = status < 0});
}

static void *writer_main(void *argument)
{
    ResrBatchWriter *writer = argument;
    ResrFrame *span[RESR_MAX_BATCH_FRAMES];
    ResrRecord record;
    char path[PATH_MAX];
    pthread_mutex_lock(&writer->lock);
    while (writer->status == 0) {
        int n = next_span_locked(writer, span);
        if (n == 0 && (writer->draining || writer->ended))
            break;
        if (n == 0) {
            pthread_cond_wait(&writer->changed, &writer->lock);
            continue;
        }
        pthread_mutex_unlock(&writer->lock);
        writer->busy_since_ns = resr_clock_ns();
        int ret = write_span(writer, &record, path, span, n);
        record_span(&record, span, n, writer->busy_since_ns, ret);
        writer->busy_since_ns = 0;
        pthread_mutex_lock(&writer->lock);
        if (ret == 0)
            ret = resr_grow(&writer->files, &writer->file_capacity, writer->file_count,
                            sizeof *writer->files);
        /* The file is not needed if the segment became durable meanwhile. */
        bool needed =
            find_held_locked(writer, span[0]->index) >= 0 || writer->plan->frames_folder[0];
        if (ret == 0 && needed)
            writer->files[writer->file_count++] = record;
        else if (ret == 0)
            unlink(path);
        if (ret < 0)
            set_error_locked(writer, ret);
        drop_held_locked(writer, span[0]->index, span[0]->index + n);
        for (int i = 0; i < n; i++)
            resr_frame_free(span[i]);
        pthread_mutex_unlock(&writer->lock);
        if (ret == 0)
            writer->written(writer->user);
        pthread_mutex_lock(&writer->lock);
    }
    pthread_mutex_unlock(&writer->lock);
    return NULL;
}

int resr_batch_writer_create(ResrBatchWriter **out, const ResrJobDir *dir, ResrJournal *journal,
                             const ResrReplay *found, const ResrCheckpointPlan *plan,
                             void (*written)(void *user), void *user)
{
    int ret = resr_alloc(out, 1, sizeof **out);
    if (ret < 0)
        return ret;
    ResrBatchWriter *writer = *out;
    const ResrPlan *job = plan->plan;
    *writer = (ResrBatchWriter){.dir = dir,
                                .journal = journal,
                                .found = found,
                                .plan = plan,
                                .written = written,
                                .user = user};
    writer->total = found->published ? found->total : INT64_MAX;
    writer->group_frames = job->batching.batch_frames;
    if (writer->group_frames > job->pool_frames / 2)
        writer->group_frames = job->pool_frames > 1 ? job->pool_frames / 2 : 1;
    writer->retain =
        job->batching.segment_frames > 0 && job->pool_frames >= job->pool_frames_wanted;
    /* If memory cannot hold an open segment, files hold it. With one segment for the whole video
     * they would hold all of it: only with --checkpoint always. */
    writer->writing = plan->always || (job->batching.segment_frames > 0 && !writer->retain);
    pthread_mutex_init(&writer->lock, NULL);
    pthread_cond_init(&writer->changed, NULL);
    for (size_t i = 0; i < found->batch_count && ret == 0; i++) {
        ret = resr_grow(&writer->files, &writer->file_capacity, i, sizeof *writer->files);
        if (ret == 0)
            writer->files[writer->file_count++] = found->batches[i];
    }
    if (ret == 0 && pthread_create(&writer->thread, NULL, writer_main, writer) != 0)
        ret = resr_fail(RESR_ERR_INTERNAL, "the checkpoint's thread cannot be started");
    writer->started = ret == 0;
    if (ret < 0) {
        resr_batch_writer_free(writer);
        *out = NULL;
    }
    return ret;
}

void resr_batch_writer_retain(ResrBatchWriter *writer, ResrFrame *frame)
{
    pthread_mutex_lock(&writer->lock);
    int ret = mark_seen_locked(writer, frame->index);
    if (ret == 0 && (writer->writing || writer->retain))
        ret = resr_grow(&writer->held, &writer->held_capacity, writer->held_count,
                        sizeof *writer->held);
    if (ret < 0) {
        set_error_locked(writer, ret);
    } else if (writer->writing || writer->retain) {
        size_t i = writer->held_count++;
        for (; i > 0 && writer->held[i - 1]->index > frame->index; i--)
            writer->held[i] = writer->held[i - 1];
        writer->held[i] = resr_frame_hold(frame);
        pthread_cond_signal(&writer->changed);
    }
    pthread_mutex_unlock(&writer->lock);
}

void resr_batch_writer_end_of_input(ResrBatchWriter *writer, int64_t frames)
{
    pthread_mutex_lock(&writer->lock);
    writer->total = frames;
    pthread_cond_signal(&writer->changed);
    pthread_mutex_unlock(&writer->lock);
}

void resr_batch_writer_write_batches(ResrBatchWriter *writer)
{
    resr_flag_raise(&writer->writing, &writer->lock, &writer->changed);
}

bool resr_batch_writer_writes_batches(ResrBatchWriter *writer)
{
    return writer->writing;
}

static void end_thread(ResrBatchWriter *writer, bool drain)
{
    pthread_mutex_lock(&writer->lock);
    writer->draining = drain;
    writer->ended = true;
    pthread_cond_signal(&writer->changed);
    pthread_mutex_unlock(&writer->lock);
    if (writer->started)
        pthread_join(writer->thread, NULL);
    writer->started = false;
}

int resr_batch_writer_drain(ResrBatchWriter *writer)
{
    end_thread(writer, true);
    return resr_batch_writer_error(writer);
}

int resr_batch_writer_error(ResrBatchWriter *writer)
{
    pthread_mutex_lock(&writer->lock);
    int status = writer->status < 0 ? resr_error_restore(writer->status, writer->error) : 0;
    pthread_mutex_unlock(&writer->lock);
    return status;
}

double resr_batch_writer_stall(const ResrBatchWriter *writer)
{
    int64_t since_ns = writer->busy_since_ns;
    return since_ns ? resr_clock_seconds_since(since_ns) : 0;
}

void resr_batch_writer_release(ResrBatchWriter *writer, int64_t first, int64_t frames)
{
    char path[PATH_MAX], name[32];
    size_t kept = 0;
    pthread_mutex_lock(&writer->lock);
    if (!writer->plan->frames_folder[0]) /* else unwritten frames must still be written */
        drop_held_locked(writer, first, first + frames);
    for (size_t i = 0; i < writer->file_count; i++) {
        const ResrRecord *file = &writer->files[i];
        bool inside = file->number >= first && file->number < first + frames;
        if (!inside || writer->plan->frames_folder[0]) {
            writer->files[kept++] = *file;
            continue;
        }
        resr_batchfile_name(name, file->number);
        resr_jobdir_path(writer->dir, path, name);
        unlink(path);
    }
    writer->file_count = kept;
    pthread_mutex_unlock(&writer->lock);
}

int64_t resr_batch_writer_frames(ResrBatchWriter *writer)
{
    int64_t frames = 0;
    pthread_mutex_lock(&writer->lock);
    for (size_t i = 0; i < writer->file_count && !writer->plan->frames_folder[0]; i++)
        frames += writer->files[i].a;
    pthread_mutex_unlock(&writer->lock);
    return frames;
}

static int by_first(const void *a, const void *b)
{
    const ResrRecord *left = a, *right = b;
    return left->number < right->number ? -1 : left->number > right->number;
}

/* Removes batch files of an earlier output from the folder. */
static void clear_folder(const ResrBatchWriter *writer, const char *folder)
{
    char path[PATH_MAX + 300], name[32];
    DIR *entries = opendir(folder);
    struct dirent *entry;
    while (entries && (entry = readdir(entries))) {
        int64_t number;
        bool wanted = false;
        if (!resr_batchfile_is_name(entry->d_name, &number))
            continue;
        for (size_t i = 0; i < writer->file_count && !wanted; i++)
            wanted = writer->files[i].number == number;
        resr_batchfile_name(name, number);
        snprintf(path, sizeof path, "%s/%s", folder, name);
        if (!wanted)
            unlink(path);
    }
    if (entries)
        closedir(entries);
}

int resr_batch_writer_export(ResrBatchWriter *writer)
{
    const char *folder = writer->plan->frames_folder;
    char from[PATH_MAX], to[PATH_MAX + 64], name[32];
    int ret = 0;
    end_thread(writer, false);
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return resr_fail(RESR_ERR_EXISTS, "%s: the folder cannot be created: %s", folder,
                         strerror(errno));
    qsort(writer->files, writer->file_count, sizeof *writer->files, by_first);
    clear_folder(writer, folder);
    int64_t next = 0;
    for (size_t i = 0; i < writer->file_count && ret == 0; i++) {
        resr_batchfile_name(name, writer->files[i].number);
        resr_jobdir_path(writer->dir, from, name);
        snprintf(to, sizeof to, "%s/%s", folder, name);
        if (rename(from, to) != 0 && !(errno == ENOENT && access(to, F_OK) == 0))
            ret = resr_fail(RESR_ERR_IO, "%s: cannot be moved to %s: %s", from, folder,
                            strerror(errno));
        if (ret == 0 && writer->files[i].number != next)
            ret = resr_fail(RESR_ERR_INTERNAL, "%s: frame %" PRId64 " is in no batch file", folder,
                            next);
        next = writer->files[i].number + writer->files[i].a;
    }
    if (ret == 0 && writer->total != INT64_MAX && next != writer->total)
        ret =
            resr_fail(RESR_ERR_INTERNAL, "%s: frame %" PRId64 " is in no batch file", folder, next);
    snprintf(to, sizeof to, "%s/frames.h5", folder);
    return ret < 0 ? ret
                   : resr_batchfile_write_index(to, &writer->plan->info, writer->files,
                                                writer->file_count);
}

void resr_batch_writer_free(ResrBatchWriter *writer)
{
    if (!writer)
        return;
    end_thread(writer, false);
    drop_held_locked(writer, 0, INT64_MAX);
    free(writer->held);
    free(writer->seen);
    free(writer->files);
    pthread_cond_destroy(&writer->changed);
    pthread_mutex_destroy(&writer->lock);
    free(writer);
}
