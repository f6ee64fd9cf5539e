/* Reads a journal against the files of its job folder.
 *
 * Records are sorted by file, segments before batches, and of several records for one file the last
 * one counts. Then
 *   segment  counts if the records of exactly its frames precede it and its file has the recorded
 *            size and hash; its frames become DURABLE
 *   batch    counts if its file agrees and it has a frame that is not DURABLE; its other frames
 *            become UPSCALED
 *   output   is published if the file of that name has the recorded inode and size
 * Files without a record that counts are removed. Decoding resumes behind the last SOURCE record
 * within the finished segments at the beginning of the video, unless damage may have been bridged:
 * then the whole input is decoded, so that the damage is seen again. */

#include "ckpt/replay.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/memory.h"

static bool is_whole(const char *path, const ResrHash *hash, int64_t bytes)
{
    ResrHash found;
    int64_t found_bytes;
    struct stat status;
    return stat(path, &status) == 0 && (int64_t)status.st_size == bytes &&
           resr_hash_file(&found, &found_bytes, path) == 0 && found_bytes == bytes &&
           memcmp(&found, hash, sizeof found) == 0;
}

static int set_state(ResrReplay *replay, int64_t index, ResrFrameState state)
{
    int ret = resr_grow_zeroed(&replay->states, &replay->capacity, (size_t)index, 1);
    if (ret < 0)
        return ret;
    if (index >= replay->frames)
        replay->frames = index + 1;
    replay->states[index] = (uint8_t)state;
    return 0;
}

/* Do the records of exactly the segment's frames precede its record? */
static bool has_frames(const ResrReplay *replay, const ResrRecord *segment, size_t place)
{
    int64_t length = replay->segment_frames, count = segment->a;
    int64_t first = 0;
    bool good = (length > 0 ? !__builtin_mul_overflow(segment->number, length, &first)
                            : segment->number == 0) &&
                first < RESR_MAX_FRAMES && (uint64_t)count <= place &&
                (count == length || first + count == replay->total);
    for (int64_t i = 0; i < count && good; i++) {
        const ResrRecord *frame = segment - count + i;
        good = frame->type == RESR_RECORD_FRAME && frame->number == first + i;
    }
    return good;
}

static int replay_segment(ResrReplay *replay, const ResrJobDir *dir, const ResrRecord *record,
                          size_t place, ResrFrameTable *table)
{
    char path[PATH_MAX];
    resr_jobdir_segment_path(dir, path, record->number);
    if (!has_frames(replay, record, place) || !is_whole(path, &record->hash, record->b)) {
        resr_log_warn("%s: missing or damaged; its frames are computed again", path);
        return 0;
    }
    const ResrRecord *frames = record - record->a;
    ResrSegmentInfo *info = &replay->segments[replay->segment_count++];
    *info = (ResrSegmentInfo){.number = record->number,
                              .first = frames[0].number,
                              .frames = record->a,
                              .bytes = record->b,
                              .reorder = record->detail,
                              .hash = record->hash};
    int ret = 0;
    for (int64_t i = 0; i < record->a && ret == 0; i++) {
        ResrFrameRecord entry = {
            .pts = frames[i].a, .duration = frames[i].b, .hash = frames[i].hash};
        ret = resr_frame_table_set(table, frames[i].number, &entry);
        if (ret == 0)
            ret = set_state(replay, frames[i].number, RESR_FRAME_DURABLE);
    }
    return ret;
}

static ResrFrameState state_of(const ResrReplay *replay, int64_t index)
{
    return index < replay->frames ? (ResrFrameState)replay->states[index] : RESR_FRAME_DECODED;
}

/* A kept batch file may have been moved already, if the end of the job was interrupted. */
static bool was_moved(const char *frames_folder, const char *name, const ResrRecord *record)
{
    char path[PATH_MAX];
    int used = snprintf(path, sizeof path, "%s/%s", frames_folder, name);
    return frames_folder[0] && used > 0 && (size_t)used < sizeof path &&
           is_whole(path, &record->hash, record->b);
}

static int replay_batch(ResrReplay *replay, const ResrJobDir *dir, const ResrRecord *record,
                        const char *frames_folder)
{
    char path[PATH_MAX], name[32];
    int64_t durable = 0;
    for (int64_t i = 0; i < record->a; i++)
        durable += state_of(replay, record->number + i) == RESR_FRAME_DURABLE;
    if (durable == record->a && !frames_folder[0])
        return 0;
    resr_batchfile_name(name, record->number);
    resr_jobdir_path(dir, path, name);
    if (!is_whole(path, &record->hash, record->b) && !was_moved(frames_folder, name, record)) {
        if (durable < record->a)
            resr_log_warn("%s: missing or damaged; its frames are computed again", path);
        return 0;
    }
    replay->batches[replay->batch_count++] = *record;
    int ret = 0;
    for (int64_t i = record->number; i < record->number + record->a && ret == 0; i++)
        if (state_of(replay, i) == RESR_FRAME_DECODED)
            ret = set_state(replay, i, RESR_FRAME_RESTORED);
    return ret;
}

static bool is_output(const char *output, const ResrRecord *record)
{
    struct stat status;
    return stat(output, &status) == 0 && (int64_t)status.st_ino == record->a &&
           (int64_t)status.st_size == record->b;
}

/* Finds where decoding can resume: the last SOURCE record within the finished segments at the
 * beginning of the video. */
static void find_source(ResrReplay *replay, const ResrRecord *records, size_t count)
{
    int64_t frames = 0;
    for (int i = 0; i < replay->segment_count && replay->segments[i].first == frames; i++)
        frames += replay->segments[i].frames;
    for (size_t i = 0; i < count; i++)
        if (records[i].type == RESR_RECORD_SOURCE && records[i].number < frames &&
            (replay->source.type == 0 || records[i].number >= replay->source.number))
            replay->source = records[i];
}

static int by_number(const void *a, const void *b)
{
    const ResrSegmentInfo *left = a, *right = b;
    return left->number < right->number ? -1 : left->number > right->number;
}

static int by_first(const void *a, const void *b)
{
    const ResrRecord *left = a, *right = b;
    return left->number < right->number ? -1 : left->number > right->number;
}

static bool is_wanted(void *user, const char *name)
{
    const ResrReplay *replay = user;
    ResrSegmentInfo segment = {0};
    ResrRecord batch = {0};
    int end = 0;
    if (sscanf(name, "segment-%" SCNd64 ".nut%n", &segment.number, &end) == 1 && end > 0)
        return bsearch(&segment, replay->segments, (size_t)replay->segment_count, sizeof segment,
                       by_number) != NULL;
    if (sscanf(name, "batch-%" SCNd64 ".h5%n", &batch.number, &end) == 1 && end > 0)
        return bsearch(&batch, replay->batches, replay->batch_count, sizeof batch, by_first) !=
               NULL;
    return false;
}

/* Sort order: segments before batches, then by number, then by position in the journal; of equal
 * numbers the last record counts. */
static int by_subject(const void *a, const void *b)
{
    const ResrRecord *left = *(const ResrRecord *const *)a, *right = *(const ResrRecord *const *)b;
    if (left->type != right->type)
        return left->type < right->type ? -1 : 1;
    if (left->number != right->number)
        return left->number < right->number ? -1 : 1;
    return left->place < right->place ? -1 : left->place > right->place;
}

static int replay_files(ResrReplay *out, const ResrJobDir *dir, const ResrRecord *records,
                        size_t count, const char *frames_folder, ResrFrameTable *table)
{
    const ResrRecord **files = NULL;
    size_t n = 0;
    int ret = resr_alloc(&files, count + 1, sizeof *files);
    for (size_t i = 0; i < count && ret == 0; i++)
        if (records[i].type == RESR_RECORD_SEGMENT || records[i].type == RESR_RECORD_BATCH)
            files[n++] = &records[i];
    if (ret == 0)
        qsort(files, n, sizeof *files, by_subject);
    for (size_t i = 0; i < n && ret == 0; i++) {
        const ResrRecord *file = files[i];
        bool superseded =
            i + 1 < n && files[i + 1]->type == file->type && files[i + 1]->number == file->number;
        if (superseded)
            continue;
        ret = file->type == RESR_RECORD_SEGMENT
                  ? replay_segment(out, dir, file, (size_t)(file - records), table)
                  : replay_batch(out, dir, file, frames_folder);
    }
    free(files);
    return ret;
}

int resr_replay(ResrReplay *out, const ResrJobDir *dir, const char *output,
                const ResrRecord *records, size_t count, int64_t segment_frames,
                const char *frames_folder, ResrFrameTable *table)
{
    *out = (ResrReplay){.total = -1, .segment_frames = segment_frames};
    int ret = resr_alloc(&out->segments, count + 1, sizeof *out->segments);
    if (ret == 0)
        ret = resr_alloc(&out->batches, count + 1, sizeof *out->batches);
    for (size_t i = 0; i < count; i++) {
        if (records[i].type == RESR_RECORD_END)
            out->total = records[i].a;
        if (records[i].type == RESR_RECORD_BRIDGED)
            out->bridged = true;
        if (records[i].type == RESR_RECORD_OUTPUT)
            out->published = is_output(output, &records[i]);
    }
    if (ret == 0)
        ret = replay_files(out, dir, records, count, frames_folder, table);
    if (ret < 0) {
        resr_replay_clear(out);
        return ret;
    }
    if (out->bridged)
        out->total = -1;
    else
        find_source(out, records, count);
    resr_jobdir_remove_work(dir, is_wanted, out);
    return 0;
}

void resr_replay_clear(ResrReplay *replay)
{
    free(replay->segments);
    free(replay->batches);
    free(replay->states);
    *replay = (ResrReplay){0};
}
