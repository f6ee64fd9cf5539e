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
    bool retain;          /* the pool has room to hold frames until their segment is durable */
    pthread_t thread;
    bool started;
    atomic_llong busy_since_ns; /* of the thread's write under way; 0: none */
    pthread_mutex_t lock;       /* of what follows */
    pthread_cond_t changed;
    bool writing, draining, ended;
    int64_t total; /* frames of the input; INT64_MAX as long as its end is not known */
    ResrFrame **held;
    size_t held_count, held_capacity; /* by index */
    uint8_t *seen;                    /* by index: was handed to resr_batch_writer_keep() */
    size_t seen_capacity;
    ResrRecord *files; /* batch files that are there, by first frame */
    size_t file_count, file_capacity;
    int status;
    char error[RESR_ERROR_TEXT_BYTES];
};

static void set_error(ResrBatchWriter *store, int status)
{
    if (store->status == 0) {
        store->status = status;
        snprintf(store->error, sizeof store->error, "%s", resr_error_text());
    }
}

static bool was_seen(const ResrBatchWriter *store, int64_t index)
{
    bool found = index < store->found->frames && store->found->stages[index] != RESR_FRAME_DECODED;
    return found || ((size_t)index < store->seen_capacity && store->seen[index]);
}

static int mark_seen(ResrBatchWriter *store, int64_t index)
{
    int ret = resr_grow_zeroed(&store->seen, &store->seen_capacity, (size_t)index, 1);
    if (ret < 0)
        return ret;
    store->seen[index] = 1;
    return 0;
}

/* The frames that share a file with frame `index`. */
static void group_of(const ResrBatchWriter *store, int64_t index, int64_t *first, int64_t *end)
{
    const ResrBatching *units = &store->plan->plan->units;
    int64_t batch = resr_batching_batch_first(units, index);
    int64_t batch_end = resr_batching_batch_end(units, index);
    *first = batch + (index - batch) / store->group_frames * store->group_frames;
    *end = *first + store->group_frames < batch_end ? *first + store->group_frames : batch_end;
}

static bool is_complete(const ResrBatchWriter *store, int64_t first, int64_t end)
{
    bool complete = true;
    for (int64_t i = first; i < end && i < store->total && complete; i++)
        complete = was_seen(store, i);
    return complete;
}

/* The next frames that can go into one file, each with a hold of its own; 0 if there are none. */
static int next_run(ResrBatchWriter *store, ResrFrame *run[RESR_MAX_BATCH_FRAMES])
{
    for (size_t i = 0; i < store->held_count && (store->writing || store->draining); i++) {
        int64_t first, end;
        int n = 0;
        group_of(store, store->held[i]->index, &first, &end);
        if (!store->draining && !is_complete(store, first, end))
            continue;
        for (size_t k = i; k < store->held_count && store->held[k]->index < end &&
                           store->held[k]->index == store->held[i]->index + n;
             k++)
            run[n++] = resr_frame_hold(store->held[k]);
        return n;
    }
    return 0;
}

static int find_held(const ResrBatchWriter *store, int64_t index)
{
    for (size_t i = 0; i < store->held_count; i++)
        if (store->held[i]->index == index)
            return (int)i;
    return -1;
}

/* Lets go of held frames first .. end - 1. */
static void drop_held(ResrBatchWriter *store, int64_t first, int64_t end)
{
    size_t kept = 0;
    for (size_t i = 0; i < store->held_count; i++) {
        if (store->held[i]->index >= first && store->held[i]->index < end)
            resr_frame_free(store->held[i]);
        else
            store->held[kept++] = store->held[i];
    }
    store->held_count = kept;
}

static int write_run(ResrBatchWriter *store, ResrRecord *record, char path[PATH_MAX],
                     ResrFrame *const run[], int n)
{
    char name[32];
    resr_batchfile_name(name, run[0]->index);
    resr_jobdir_path(store->dir, path, name);
    int ret = resr_lock_check(store->dir->lock);
    if (ret == 0)
        ret = resr_batchfile_write(record, path, &store->plan->info, run, n);
    return ret < 0 ? ret : resr_journal_append(store->journal, record, 1);
}

static void record_run(const ResrRecord *record, ResrFrame *const run[], int n, int64_t start_ns,
                       int status)
{
    resr_events_add(&(ResrEvent){.start_ns = start_ns,
                                 .end_ns = resr_events_now(),
                                 .first = run[0]->index,
                                 .bytes = status < 0 ? 0 : record->b,
                                 .frames = n,
                                 .peer = -1,
                                 .stage = RESR_STAGE_BATCH,
                                 .failed = status < 0});
}

static void *store_main(void *argument)
{
    ResrBatchWriter *store = argument;
    ResrFrame *run[RESR_MAX_BATCH_FRAMES];
    ResrRecord record;
    char path[PATH_MAX];
    pthread_mutex_lock(&store->lock);
    while (store->status == 0) {
        int n = next_run(store, run);
        if (n == 0 && (store->draining || store->ended))
            break;
        if (n == 0) {
            pthread_cond_wait(&store->changed, &store->lock);
            continue;
        }
        pthread_mutex_unlock(&store->lock);
        store->busy_since_ns = resr_clock_ns();
        int ret = write_run(store, &record, path, run, n);
        record_run(&record, run, n, store->busy_since_ns, ret);
        store->busy_since_ns = 0;
        pthread_mutex_lock(&store->lock);
        if (ret == 0)
            ret = resr_grow(&store->files, &store->file_capacity, store->file_count,
                            sizeof *store->files);
        /* The segment may have become durable in the meantime: then nobody needs the file. */
        bool needed = find_held(store, run[0]->index) >= 0 || store->plan->frames_folder[0];
        if (ret == 0 && needed)
            store->files[store->file_count++] = record;
        else if (ret == 0)
            unlink(path);
        if (ret < 0)
            set_error(store, ret);
        drop_held(store, run[0]->index, run[0]->index + n);
        for (int i = 0; i < n; i++)
            resr_frame_free(run[i]);
        pthread_mutex_unlock(&store->lock);
        if (ret == 0)
            store->written(store->user);
        pthread_mutex_lock(&store->lock);
    }
    pthread_mutex_unlock(&store->lock);
    return NULL;
}

int resr_batch_writer_create(ResrBatchWriter **out, const ResrJobDir *dir, ResrJournal *journal,
                             const ResrReplay *found, const ResrCheckpointPlan *plan,
                             void (*written)(void *user), void *user)
{
    int ret = resr_alloc(out, 1, sizeof **out);
    if (ret < 0)
        return ret;
    ResrBatchWriter *store = *out;
    const ResrPlan *job = plan->plan;
    store->dir = dir;
    store->journal = journal;
    store->found = found;
    store->plan = plan;
    store->written = written;
    store->user = user;
    store->total = found->published ? found->total : INT64_MAX;
    store->group_frames = job->units.batch_frames;
    if (store->group_frames > job->pool_frames / 2)
        store->group_frames = job->pool_frames > 1 ? job->pool_frames / 2 : 1;
    store->retain = job->units.segment_frames > 0 && job->pool_frames >= job->pool_frames_wanted;
    /* Where memory does not hold an open segment, files do. With one segment for the whole video
     * they would hold all of it: only if that was asked for. */
    store->writing = plan->always || (job->units.segment_frames > 0 && !store->retain);
    pthread_mutex_init(&store->lock, NULL);
    pthread_cond_init(&store->changed, NULL);
    for (size_t i = 0; i < found->batch_count && ret == 0; i++) {
        ret = resr_grow(&store->files, &store->file_capacity, i, sizeof *store->files);
        if (ret == 0)
            store->files[store->file_count++] = found->batches[i];
    }
    if (ret == 0 && pthread_create(&store->thread, NULL, store_main, store) != 0)
        ret = resr_fail(RESR_ERR_INTERNAL, "the checkpoint's thread cannot be started");
    store->started = ret == 0;
    if (ret < 0) {
        resr_batch_writer_free(store);
        *out = NULL;
    }
    return ret;
}

void resr_batch_writer_keep(ResrBatchWriter *store, ResrFrame *frame)
{
    pthread_mutex_lock(&store->lock);
    int ret = mark_seen(store, frame->index);
    if (ret == 0 && (store->writing || store->retain))
        ret =
            resr_grow(&store->held, &store->held_capacity, store->held_count, sizeof *store->held);
    if (ret < 0) {
        set_error(store, ret);
    } else if (store->writing || store->retain) {
        size_t i = store->held_count++;
        for (; i > 0 && store->held[i - 1]->index > frame->index; i--)
            store->held[i] = store->held[i - 1];
        store->held[i] = resr_frame_hold(frame);
        pthread_cond_signal(&store->changed);
    }
    pthread_mutex_unlock(&store->lock);
}

void resr_batch_writer_end_of_input(ResrBatchWriter *store, int64_t frames)
{
    pthread_mutex_lock(&store->lock);
    store->total = frames;
    pthread_cond_signal(&store->changed);
    pthread_mutex_unlock(&store->lock);
}

void resr_batch_writer_write_batches(ResrBatchWriter *store)
{
    pthread_mutex_lock(&store->lock);
    store->writing = true;
    pthread_cond_signal(&store->changed);
    pthread_mutex_unlock(&store->lock);
}

bool resr_batch_writer_writes_batches(ResrBatchWriter *store)
{
    pthread_mutex_lock(&store->lock);
    bool writing = store->writing;
    pthread_mutex_unlock(&store->lock);
    return writing;
}

static void end_thread(ResrBatchWriter *store, bool drain)
{
    pthread_mutex_lock(&store->lock);
    store->draining = drain;
    store->ended = true;
    pthread_cond_signal(&store->changed);
    pthread_mutex_unlock(&store->lock);
    if (store->started)
        pthread_join(store->thread, NULL);
    store->started = false;
}

int resr_batch_writer_drain(ResrBatchWriter *store)
{
    end_thread(store, true);
    return resr_batch_writer_error(store);
}

int resr_batch_writer_error(ResrBatchWriter *store)
{
    pthread_mutex_lock(&store->lock);
    int status = store->status;
    if (status < 0)
        resr_fail(status, "%s", store->error);
    pthread_mutex_unlock(&store->lock);
    return status;
}

double resr_batch_writer_stall(const ResrBatchWriter *store)
{
    int64_t since_ns = store->busy_since_ns;
    return since_ns ? resr_clock_seconds_since(since_ns) : 0;
}

void resr_batch_writer_release(ResrBatchWriter *store, int64_t first, int64_t frames)
{
    char path[PATH_MAX], name[32];
    size_t kept = 0;
    pthread_mutex_lock(&store->lock);
    if (!store->plan->frames_folder[0]) /* else what is not written yet still has to be */
        drop_held(store, first, first + frames);
    for (size_t i = 0; i < store->file_count; i++) {
        const ResrRecord *file = &store->files[i];
        bool inside = file->number >= first && file->number < first + frames;
        if (!inside || store->plan->frames_folder[0]) {
            store->files[kept++] = *file;
            continue;
        }
        resr_batchfile_name(name, file->number);
        resr_jobdir_path(store->dir, path, name);
        unlink(path);
    }
    store->file_count = kept;
    pthread_mutex_unlock(&store->lock);
}

int64_t resr_batch_writer_frames(ResrBatchWriter *store)
{
    int64_t frames = 0;
    pthread_mutex_lock(&store->lock);
    for (size_t i = 0; i < store->file_count && !store->plan->frames_folder[0]; i++)
        frames += store->files[i].a;
    pthread_mutex_unlock(&store->lock);
    return frames;
}

static int by_first(const void *a, const void *b)
{
    const ResrRecord *left = a, *right = b;
    return left->number < right->number ? -1 : left->number > right->number;
}

/* Removes batch files of an earlier output from the folder. */
static void clear_folder(const ResrBatchWriter *store, const char *folder)
{
    char path[PATH_MAX + 300], name[32];
    DIR *entries = opendir(folder);
    struct dirent *entry;
    while (entries && (entry = readdir(entries))) {
        int64_t number;
        bool wanted = false;
        if (!resr_batchfile_is_name(entry->d_name, &number))
            continue;
        for (size_t i = 0; i < store->file_count && !wanted; i++)
            wanted = store->files[i].number == number;
        resr_batchfile_name(name, number);
        snprintf(path, sizeof path, "%s/%s", folder, name);
        if (!wanted)
            unlink(path);
    }
    if (entries)
        closedir(entries);
}

int resr_batch_writer_export(ResrBatchWriter *store)
{
    const char *folder = store->plan->frames_folder;
    char from[PATH_MAX], to[PATH_MAX + 64], name[32];
    int ret = 0;
    end_thread(store, false);
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return resr_fail(RESR_ERR_EXISTS, "%s: the folder cannot be created: %s", folder,
                         strerror(errno));
    qsort(store->files, store->file_count, sizeof *store->files, by_first);
    clear_folder(store, folder);
    int64_t next = 0;
    for (size_t i = 0; i < store->file_count && ret == 0; i++) {
        resr_batchfile_name(name, store->files[i].number);
        resr_jobdir_path(store->dir, from, name);
        snprintf(to, sizeof to, "%s/%s", folder, name);
        if (rename(from, to) != 0 && !(errno == ENOENT && access(to, F_OK) == 0))
            ret = resr_fail(RESR_ERR_IO, "%s: cannot be moved to %s: %s", from, folder,
                            strerror(errno));
        if (ret == 0 && store->files[i].number != next)
            ret = resr_fail(RESR_ERR_INTERNAL, "%s: frame %" PRId64 " is in no batch file", folder,
                            next);
        next = store->files[i].number + store->files[i].a;
    }
    if (ret == 0 && store->total != INT64_MAX && next != store->total)
        ret =
            resr_fail(RESR_ERR_INTERNAL, "%s: frame %" PRId64 " is in no batch file", folder, next);
    snprintf(to, sizeof to, "%s/frames.h5", folder);
    return ret < 0 ? ret
                   : resr_batchfile_write_index(to, &store->plan->info, store->files,
                                                store->file_count);
}

void resr_batch_writer_free(ResrBatchWriter *store)
{
    if (!store)
        return;
    end_thread(store, false);
    drop_held(store, 0, INT64_MAX);
    free(store->held);
    free(store->seen);
    free(store->files);
    pthread_cond_destroy(&store->changed);
    pthread_mutex_destroy(&store->lock);
    free(store);
}
