/* The checkpoint of a job: job folder, manifest, journal and batch writer behind one interface.
 *
 * - open: lock the folder. Manifest equal: replay the journal. No manifest, a damaged one, or one
 * of a job without finished frames: a new job
 * - begin: a new job publishes its manifest before anything else, then the writer starts
 * - restore: finished segments go to the sink, with the times of their frames
 * - commit: a segment is journalled, then its frames are released and its batch files removed
 * - finish: after the output has its name, kept batch files move; then the folder is removed, the
 *   manifest last but one, so that an interrupted removal is recognised
 *
 * The job is safe against a kill at any point: see journal.c. */

#include "ckpt/checkpoint.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/publish.h"
#include "ckpt/batch_writer.h"
#include "ckpt/replay.h"

struct ResrCheckpoint {
    ResrJobDir dir;
    const char *output;
    ResrManifest *manifest; /* of the job as it was first started */
    bool resumed, fresh;    /* fresh: no job was found and nothing was written yet */
    char journal_path[PATH_MAX], status_path[PATH_MAX];
    ResrJournal *journal;
    ResrReplay found; /* not changed after the start */
    ResrCheckpointPlan plan;
    ResrBatchWriter *writer; /* frames and batch files that are not durable */
    pthread_mutex_t lock;    /* of the fields below */
    ResrStatus status;
    int64_t durable; /* frames in finished segments */
};

/* Has job `then` no finished frames, so that its folder may be removed? Keeps the error text. */
static bool is_empty(ResrCheckpoint *c, const ResrManifest *then)
{
    ResrJournal *journal;
    ResrRecord *records;
    size_t count;
    bool empty = true;
    char error[RESR_ERROR_TEXT_BYTES];
    resr_error_save(error);
    int ret =
        resr_journal_open(&journal, &records, &count, c->journal_path, resr_manifest_job_id(then));
    resr_error_restore(0, error);
    if (ret < 0)
        return false;
    for (size_t i = 0; i < count && empty; i++)
        empty = records[i].type != RESR_RECORD_SEGMENT && records[i].type != RESR_RECORD_BATCH &&
                records[i].type != RESR_RECORD_OUTPUT;
    free(records);
    resr_journal_close(journal);
    return empty;
}

/* Reads the manifest of an earlier attempt; RESR_ERR_NOINPUT if there is no usable one. */
static int read_manifest(ResrCheckpoint *c, const ResrManifest *now)
{
    char path[PATH_MAX];
    ResrManifest *then = NULL;
    resr_jobdir_path(&c->dir, path, "manifest.json");
    int ret = resr_manifest_read(&then, path);
    if (ret == RESR_ERR_DATA) {
        resr_log_warn("%s; the job starts over", resr_error_text());
        return RESR_ERR_NOINPUT;
    }
    if (ret == 0)
        ret = resr_manifest_compare(now, then, c->dir.path);
    if (ret == RESR_ERR_MISMATCH && is_empty(c, then)) {
        resr_log_info("%s: contained another job without finished frames; the folder was removed",
                      c->dir.path);
        ret = RESR_ERR_NOINPUT;
    }
    if (ret < 0) {
        resr_manifest_free(then);
        return ret;
    }
    resr_manifest_free(c->manifest);
    c->manifest = then;
    return 0;
}

static int open_journal(ResrCheckpoint *c, const char *frames_folder, ResrFrameTable *table)
{
    ResrRecord *records = NULL;
    size_t count = 0;
    int ret = resr_journal_open(&c->journal, &records, &count, c->journal_path,
                                resr_manifest_job_id(c->manifest));
    if (ret == 0)
        ret = resr_replay(&c->found, &c->dir, c->output, records, count,
                          resr_manifest_segment_frames(c->manifest), frames_folder, table);
    free(records);
    for (int i = 0; i < c->found.segment_count; i++)
        c->durable += c->found.segments[i].frames;
    return ret;
}

int resr_checkpoint_open(ResrCheckpoint **out, const char *folder, const char *output,
                         const char *frames_folder, ResrManifest *manifest, ResrFrameTable *table,
                         bool *resumed, bool *finished)
{
    int ret = resr_alloc(out, 1, sizeof **out);
    if (ret < 0) {
        resr_manifest_free(manifest);
        return ret;
    }
    ResrCheckpoint *c = *out;
    *resumed = *finished = false;
    c->output = output;
    c->manifest = manifest;
    c->found.total = -1;
    pthread_mutex_init(&c->lock, NULL);
    ret = resr_jobdir_open(&c->dir, folder);
    resr_jobdir_path(&c->dir, c->journal_path, "journal");
    resr_jobdir_path(&c->dir, c->status_path, "status.json");
    if (ret == 0)
        ret = read_manifest(c, manifest);
    if (ret == 0) {
        ret = open_journal(c, frames_folder, table);
        resr_status_read(&c->status, c->status_path);
        *resumed = c->resumed = ret == 0;
        *finished = ret == 0 && c->found.published;
    } else if (ret == RESR_ERR_NOINPUT) {
        c->fresh = true;
        ret = 0;
    }
    if (ret < 0) {
        resr_checkpoint_close(c);
        *out = NULL;
    }
    return ret;
}

/* Appends, unless another process has taken over the job. */
static int append(const ResrCheckpoint *c, ResrRecord *records, size_t count)
{
    int ret = resr_lock_check(c->dir.lock);
    return ret < 0 ? ret : resr_journal_append(c->journal, records, count);
}

const char *resr_checkpoint_class(const ResrCheckpoint *c)
{
    return resr_manifest_class(c->manifest);
}

ResrTileSize resr_checkpoint_tile(const ResrCheckpoint *c)
{
    return resr_manifest_tile(c->manifest);
}

/* Starts a new job: removes files of earlier jobs, then writes the manifest, which makes the folder
 * this job's. */
static int begin_job(ResrCheckpoint *c)
{
    char path[PATH_MAX];
    resr_jobdir_remove_work(&c->dir, NULL, NULL);
    if (unlink(c->journal_path) != 0 && errno != ENOENT)
        return resr_publish_write_failure(c->journal_path, 1);
    resr_jobdir_path(&c->dir, path, "manifest.json");
    resr_manifest_set_class(c->manifest, c->plan.plan->numerics_class);
    resr_manifest_set_tile(c->manifest, c->plan.plan->tile);
    int ret = resr_manifest_write(c->manifest, path);
    return ret < 0 ? ret : open_journal(c, "", NULL);
}

/* Checks the room for the batch files that exist at once. */
static int check_room(const ResrCheckpoint *c)
{
    const ResrPlan *plan = c->plan.plan;
    int64_t bytes = resr_plan_batch_file_bytes(plan, c->plan.frames_folder[0] != 0);
    for (size_t i = 0; i < c->found.batch_count; i++)
        bytes -= c->found.batches[i].b;
    int64_t free_bytes = resr_publish_free_bytes(c->journal_path);
    if (!c->plan.always || c->found.published || free_bytes >= bytes)
        return 0;
    return resr_fail(RESR_ERR_IO,
                     "%s: batch files may take %" PRId64 " bytes and %" PRId64 " are free: %" PRId64
                     " bytes are missing; free some space, name another "
                     "folder with --job-dir, or leave out --checkpoint always and --keep-frames",
                     c->dir.path, bytes, free_bytes, bytes - free_bytes);
}

/* Tests that kept batch files can be moved to their final folder. */
static int try_keeping(const ResrCheckpoint *c)
{
    char path[PATH_MAX], temporary[PATH_MAX];
    if (!c->plan.frames_folder[0])
        return 0;
    resr_jobdir_path(&c->dir, path, "frames.h5");
    int ret = resr_publish_temporary(temporary, sizeof temporary, path);
    if (ret == 0)
        ret = resr_publish_try(temporary, c->plan.frames_folder);
    return ret < 0 ? resr_fail(ret,
                               "--keep-frames: files cannot be moved from %s to %s (%s); name a "
                               "--job-dir on the output's file system",
                               c->dir.path, c->plan.frames_folder, resr_error_text())
                   : 0;
}

static void write_running_status(void *user)
{
    resr_checkpoint_set_status(user, "running", 0, "");
}

/* Records that damage may be bridged from here on, so that later attempts decode all of the input.
 */
static int begin_bridging(ResrCheckpoint *c)
{
    ResrRecord record = {.type = RESR_RECORD_BRIDGED};
    c->found.total = -1;
    c->found.source = (ResrRecord){0};
    return c->found.bridged ? 0 : resr_journal_append(c->journal, &record, 1);
}

int resr_checkpoint_begin(ResrCheckpoint *c, const ResrCheckpointPlan *plan)
{
    c->plan = *plan;
    int ret = check_room(c);
    if (ret == 0)
        ret = try_keeping(c);
    if (ret == 0 && !c->resumed)
        ret = begin_job(c);
    if (ret == 0 && plan->bridges && !c->found.published)
        ret = begin_bridging(c);
    if (ret < 0)
        return ret;
    c->fresh = false;
    c->status.attempt++;
    resr_checkpoint_set_status(c, "running", 0, "");
    return resr_batch_writer_create(&c->writer, &c->dir, c->journal, &c->found, &c->plan,
                                    write_running_status, c);
}

int resr_checkpoint_restore(const ResrCheckpoint *c, ResrSink *sink, const ResrFrameTable *table)
{
    const ResrSegmentInfo *segments = c->found.segments;
    int ret = 0;
    int64_t frames = 0;
    for (int i = 0; i < c->found.segment_count && ret == 0; i++) {
        const ResrFrameRecord *entries = &table->entries[segments[i].first];
        size_t n = (size_t)segments[i].frames;
        int64_t *pts = NULL, *durations = NULL;
        ret = resr_alloc(&pts, n, sizeof *pts);
        if (ret == 0)
            ret = resr_alloc(&durations, n, sizeof *durations);
        for (size_t k = 0; ret == 0 && k < n; k++) {
            pts[k] = entries[k].pts;
            durations[k] = entries[k].duration;
        }
        if (ret == 0)
            ret = resr_sink_restore(sink, &segments[i], pts, durations);
        free(pts);
        free(durations);
        frames += segments[i].frames;
    }
    if (ret == 0 && frames > 0)
        resr_log_info("resuming the job: %" PRId64 " frames are in finished segments", frames);
    return ret;
}

int64_t resr_checkpoint_frames_total(const ResrCheckpoint *c)
{
    return c->found.total;
}

int64_t resr_checkpoint_source(const ResrCheckpoint *c, int64_t *pts,
                               char hash[RESR_HASH_HEX_BYTES])
{
    const ResrRecord *source = &c->found.source;
    *pts = source->a;
    resr_hash_to_hex(hash, &source->hash);
    return source->type == RESR_RECORD_SOURCE ? source->number : -1;
}

ResrFrameState resr_checkpoint_frame_state(const ResrCheckpoint *c, int64_t index)
{
    return index < c->found.frames ? (ResrFrameState)c->found.states[index] : RESR_FRAME_DECODED;
}

int resr_checkpoint_load(ResrCheckpoint *c, ResrFrame **out, int64_t index)
{
    char path[PATH_MAX], name[32];
    for (size_t i = 0; i < c->found.batch_count; i++) {
        const ResrRecord *file = &c->found.batches[i];
        if (index < file->number || index >= file->number + file->a)
            continue;
        resr_batchfile_name(name, file->number);
        resr_jobdir_path(&c->dir, path, name);
        int ret = resr_batchfile_read(out, path, c->plan.info.format, (int)(index - file->number));
        if (ret == 0 && (*out)->index != index) {
            ret = resr_fail(RESR_ERR_DATA,
                            "%s: contains frame %" PRId64 " instead of frame %" PRId64
                            "; remove the file",
                            path, (*out)->index, index);
            resr_frame_free(*out);
            *out = NULL;
        }
        return ret;
    }
    return resr_fail(RESR_ERR_DATA, "%s: frame %" PRId64 " is in no batch file", c->dir.path,
                     index);
}

void resr_checkpoint_retain(ResrCheckpoint *c, ResrFrame *frame)
{
    resr_batch_writer_retain(c->writer, frame);
}

int resr_checkpoint_end_of_input(ResrCheckpoint *c, int64_t frames)
{
    ResrRecord record = {.type = RESR_RECORD_END, .a = frames};
    resr_batch_writer_end_of_input(c->writer, frames);
    return c->found.total == frames ? 0 : append(c, &record, 1);
}

int resr_checkpoint_commit(ResrCheckpoint *c, const ResrSegmentInfo *info,
                           const ResrFrameTable *table)
{
    ResrRecord *records = NULL;
    size_t n = (size_t)info->frames;
    int ret = resr_alloc(&records, n + 2, sizeof *records);
    if (ret < 0)
        return ret;
    for (size_t i = 0; i < n; i++) {
        const ResrFrameRecord *entry = &table->entries[info->first + (int64_t)i];
        records[i] = (ResrRecord){.type = RESR_RECORD_FRAME,
                                  .number = info->first + (int64_t)i,
                                  .a = entry->pts,
                                  .b = entry->duration,
                                  .hash = entry->hash};
    }
    records[n] = (ResrRecord){.type = RESR_RECORD_SEGMENT,
                              .detail = (uint16_t)info->reorder,
                              .number = info->number,
                              .a = info->frames,
                              .b = info->bytes,
                              .hash = info->hash};
    const ResrFrameRecord *last = &table->entries[info->first + info->frames - 1];
    records[n + 1] = (ResrRecord){.type = RESR_RECORD_SOURCE,
                                  .number = info->first + info->frames - 1,
                                  .a = last->pts,
                                  .hash = last->source};
    bool known = memcmp(&last->source, &(ResrHash){{0}}, sizeof last->source) != 0;
    ret = append(c, records, n + 1 + known);
    free(records);
    if (ret < 0)
        return ret;
    resr_batch_writer_release(c->writer, info->first, info->frames);
    pthread_mutex_lock(&c->lock);
    c->durable += info->frames;
    pthread_mutex_unlock(&c->lock);
    resr_checkpoint_set_status(c, "running", 0, "");
    return 0;
}

/* The rerun of a job that is killed from here on knows the output as its own. */
static int publishing(void *user, const char *temporary)
{
    ResrCheckpoint *c = user;
    struct stat status;
    if (stat(temporary, &status) != 0)
        return resr_fail(RESR_ERR_IO, "%s: %s", temporary, strerror(errno));
    ResrRecord record = {
        .type = RESR_RECORD_OUTPUT, .a = (int64_t)status.st_ino, .b = (int64_t)status.st_size};
    return append(c, &record, 1);
}

static void segment_path(void *user, char *out, int64_t number)
{
    resr_jobdir_segment_path(&((ResrCheckpoint *)user)->dir, out, number);
}

ResrSegmentStore resr_checkpoint_store(ResrCheckpoint *c)
{
    return (ResrSegmentStore){
        .user = c, .folder = c->dir.path, .path = segment_path, .publishing = publishing};
}

void resr_checkpoint_write_batches(ResrCheckpoint *c)
{
    resr_batch_writer_write_batches(c->writer);
}

bool resr_checkpoint_writes_batches(const ResrCheckpoint *c)
{
    return resr_batch_writer_writes_batches(c->writer);
}

void resr_checkpoint_decide_batch_files(ResrCheckpoint *checkpoint, const ResrPlan *plan,
                                        const ResrRankInfo *ranks, int live)
{
    int64_t frames = 0;
    double seconds = 0;
    for (int i = 0; i < plan->ranks; i++) {
        frames += ranks[i].frames;
        seconds += ranks[i].compute_seconds;
    }
    if (frames == 0 || live == 0 || plan->batching.segment_frames == 0 ||
        resr_checkpoint_writes_batches(checkpoint))
        return;
    if (seconds / (double)frames * (double)plan->pool_frames / live > RESR_REDO_SECONDS)
        resr_checkpoint_write_batches(checkpoint);
}

int resr_checkpoint_drain(ResrCheckpoint *c)
{
    return resr_batch_writer_drain(c->writer);
}

int resr_checkpoint_error(ResrCheckpoint *c)
{
    return resr_batch_writer_error(c->writer);
}

double resr_checkpoint_stall(const ResrCheckpoint *c)
{
    return c->writer ? resr_batch_writer_stall(c->writer) : 0;
}

int64_t resr_checkpoint_frames_safe(ResrCheckpoint *c)
{
    pthread_mutex_lock(&c->lock);
    int64_t frames = c->durable;
    pthread_mutex_unlock(&c->lock);
    return frames + (c->writer ? resr_batch_writer_frames(c->writer) : 0);
}

int resr_checkpoint_finish(ResrCheckpoint *c, bool leave_status)
{
    int ret = resr_lock_check(c->dir.lock);
    if (ret == 0 && c->plan.frames_folder[0])
        ret = resr_batch_writer_export(c->writer);
    if (ret < 0)
        return ret;
    resr_batch_writer_free(c->writer);
    c->writer = NULL;
    if (leave_status)
        resr_checkpoint_set_status(c, "done", 0, "");
    resr_jobdir_remove(&c->dir, leave_status);
    return 0;
}

void resr_checkpoint_abandon(ResrCheckpoint *c)
{
    resr_batch_writer_free(c->writer);
    c->writer = NULL;
    if (resr_lock_check(c->dir.lock) == 0)
        resr_jobdir_remove(&c->dir, false);
}

void resr_checkpoint_set_status(ResrCheckpoint *c, const char *state, int exit_code,
                                const char *message)
{
    char error[RESR_ERROR_TEXT_BYTES]; /* `message` may be the thread's error text, which is kept */
    resr_error_save(error);
    bool lost = resr_lock_check(c->dir.lock) < 0;
    resr_error_restore(0, error);
    if (lost)
        return;
    int64_t safe = resr_checkpoint_frames_safe(c);
    pthread_mutex_lock(&c->lock);
    ResrStatus *status = &c->status;
    status->state = state;
    status->exit_code = exit_code;
    status->frames_durable = safe;
    if (c->plan.plan)
        status->frames_total = c->found.total >= 0 ? c->found.total : c->plan.plan->frames_estimate;
    snprintf(status->message, sizeof status->message, "%s", message);
    int ret = resr_status_write(status, c->status_path);
    pthread_mutex_unlock(&c->lock);
    if (ret < 0)
        resr_log_warn("%s", resr_error_text());
    resr_error_restore(0, error);
}

void resr_checkpoint_record_exclusion(ResrCheckpoint *c, const char *host, int rank)
{
    pthread_mutex_lock(&c->lock);
    int ret = resr_status_record_exclusion(&c->status, host, rank);
    pthread_mutex_unlock(&c->lock);
    if (ret < 0)
        resr_log_warn("%s", resr_error_text());
    resr_checkpoint_set_status(c, "running", 0, "");
}

void resr_checkpoint_write_pids(ResrCheckpoint *c, const ResrRankInfo *ranks, int n)
{
    char path[PATH_MAX], *lines = NULL, *next;
    size_t line_bytes = sizeof ranks->host + 32;
    int ret = resr_alloc(&lines, (size_t)n + 1, line_bytes);
    next = lines;
    for (int i = 0; ret == 0 && i < n; i++)
        next +=
            snprintf(next, line_bytes, "%d %s %d\n", ranks[i].rank, ranks[i].host, ranks[i].pid);
    resr_jobdir_path(&c->dir, path, "pids");
    if (ret == 0)
        ret = resr_replace_file_nosync(path, lines, (size_t)(next - lines));
    free(lines);
    if (ret < 0)
        resr_log_warn("%s", resr_error_text());
}

void resr_checkpoint_close(ResrCheckpoint *c)
{
    if (!c)
        return;
    resr_batch_writer_free(c->writer);
    resr_journal_close(c->journal);
    if (c->fresh)
        resr_jobdir_remove(&c->dir, false);
    resr_replay_clear(&c->found);
    resr_manifest_free(c->manifest);
    resr_status_clear(&c->status);
    resr_jobdir_close(&c->dir);
    pthread_mutex_destroy(&c->lock);
    free(c);
}
