/* Mutated files of a job folder: journal, manifest and status.json, with check values that are
 * right again after the mutation, since a forger can compute them. fuzz_job SECONDS [SEED] plays
 * mutations of its own; built with -DRESR_LIBFUZZER (clang, -fsanitize=fuzzer) the same target is
 * libFuzzer's. A first byte chooses the file, the next says whether check values are repaired. */
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/log.h"
#include "ckpt/manifest.h"
#include "ckpt/replay.h"
#include "ckpt/status.h"

enum { RUN = 5, SEGMENT_FRAMES = 8, MAX_BYTES = 1 << 14, FILES = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static ResrJobDir dir;

/* Linked in place of the log (--wrap): there is a warning for nearly every input. */
void __wrap_resr_log_warn(const char *format, ...);
void __wrap_resr_log_warn(const char *format, ...)
{
    (void)format;
}

static void remove_folder(void)
{
    resr_jobdir_remove(&dir, false);
    *strrchr(dir.path, '/') = 0;
    rmdir(dir.path);
}

static void open_folder(void)
{
    char path[64], folder[80];
    snprintf(path, sizeof path, "%s/resr-fuzz-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(path))
        abort();
    snprintf(folder, sizeof folder, "%s/o.resr", path);
    if (resr_jobdir_open(&dir, folder) < 0)
        abort();
    atexit(remove_folder);
}

static const char *write_file(const char *name, const void *data, size_t bytes)
{
    static char path[PATH_MAX];
    resr_jobdir_path(&dir, path, name);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(data, 1, bytes, file) != bytes || fclose(file) != 0)
        abort();
    return path;
}

/* Segments and batch files that the records tell of exist and have the right hash, the first few.
 */
static void make_files(ResrRecord *records, size_t count)
{
    char name[64];
    ResrHash hash = resr_hash_bytes("junk", 4);
    int made = 0;
    for (size_t i = 0; i < count && made < FILES; i++) {
        ResrRecord *record = &records[i];
        if (record->number < 0)
            continue;
        if (record->type == RESR_RECORD_SEGMENT)
            snprintf(name, sizeof name, "segment-%06lld.nut", (long long)record->number);
        else if (record->type == RESR_RECORD_BATCH)
            resr_batchfile_name(name, record->number);
        else
            continue;
        write_file(name, "junk", 4);
        record->hash = hash;
        record->b = 4;
        made++;
    }
}

static void repair_journal(ResrRecord *records, size_t count, bool with_files)
{
    if (with_files)
        make_files(records, count);
    for (size_t i = 0; i < count; i++) {
        records[i].magic = 0x4a534552;
        records[i].place = i;
        records[i].check = XXH3_64bits_withSeed(&records[i], offsetof(ResrRecord, check), RUN);
    }
}

static void check(bool good, const char *what)
{
    if (!good) {
        fprintf(stderr, "fuzz_job: %s\n", what);
        abort();
    }
}

static void play_journal(const uint8_t *data, size_t bytes, unsigned repair)
{
    static ResrRecord copy[MAX_BYTES / sizeof(ResrRecord) + 1];
    ResrJournal *journal;
    ResrRecord *records;
    ResrReplay replay;
    ResrFrameTable table = {0};
    size_t count;
    memcpy(copy, data, bytes);
    if (repair & 1)
        repair_journal(copy, bytes / sizeof *copy, repair & 2);
    const char *path = write_file("journal", copy, bytes);
    if (resr_journal_open(&journal, &records, &count, path, RUN) < 0)
        return;
    int segment_frames = repair & 4 ? 0 : SEGMENT_FRAMES;
    if (resr_replay(&replay, &dir, "/nowhere", records, count, segment_frames, "", &table) == 0) {
        int64_t next = 0;
        for (int i = 0; i < replay.segment_count; i++) {
            const ResrSegmentInfo *segment = &replay.segments[i];
            check(segment->first >= next && segment->frames > 0, "segments overlap");
            next = segment->first + segment->frames;
            check(next <= table.length, "a segment's frames are not in the table");
        }
        for (size_t i = 0; i < replay.batch_count; i++)
            check(replay.batches[i].number >= 0 &&
                      replay.batches[i].number + replay.batches[i].a <=
                          (int64_t)count * RESR_MAX_BATCH_FRAMES + 2 * RESR_MAX_OPEN_FRAMES,
                  "a batch is out of range");
        resr_replay_clear(&replay);
    }
    resr_frame_table_clear(&table);
    free(records);
    resr_journal_close(journal);
}

/* The text with the seal that belongs to it; NULL: not a JSON object. */
static char *seal(const uint8_t *data, size_t bytes)
{
    char hex[RESR_HASH_HEX_BYTES], *text = NULL;
    json_t *object = json_loadb((const char *)data, bytes, JSON_REJECT_DUPLICATES, NULL);
    json_object_del(object, "seal");
    if (json_is_object(object))
        text = json_dumps(object, JSON_SORT_KEYS | JSON_COMPACT);
    if (text) {
        ResrHash hash = resr_hash_bytes(text, strlen(text));
        free(text);
        resr_hash_to_hex(hex, &hash);
        json_object_set_new(object, "seal", json_string(hex));
        text = json_dumps(object, JSON_INDENT(1));
    }
    json_decref(object);
    return text;
}

static void play_manifest(const uint8_t *data, size_t bytes, unsigned repair)
{
    ResrManifest *manifest = NULL;
    char *text = repair & 1 ? seal(data, bytes) : NULL;
    const char *path = text ? write_file("manifest.json", text, strlen(text))
                            : write_file("manifest.json", data, bytes);
    int ret = resr_manifest_read(&manifest, path);
    check(!text || ret == 0, "a manifest with a good seal is refused");
    free(text);
    if (ret < 0)
        return;
    check(resr_manifest_compare(manifest, manifest, "folder") == 0,
          "a manifest differs from itself");
    check(strlen(resr_manifest_class(manifest)) < MAX_BYTES, "a class without end");
    check(resr_manifest_segment_frames(manifest) >= 0, "segments of a negative length");
    (void)resr_manifest_job_id(manifest);
    resr_manifest_free(manifest);
}

static void play_status(const uint8_t *data, size_t bytes)
{
    ResrStatus status = {.state = "running"};
    const char *path = write_file("status.json", data, bytes);
    resr_status_read(&status, path);
    status.attempt++;
    memcpy(status.message, data, bytes < 200 ? bytes : 200);
    check(resr_status_record_exclusion(&status, status.message, 3) == 0, "a strike cannot be kept");
    check(resr_status_write(&status, path) == 0, "status.json cannot be written");
    json_t *object = json_load_file(path, 0, NULL);
    check(json_is_object(object), "status.json is no JSON");
    json_decref(object);
    resr_status_clear(&status);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    if (!dir.path[0])
        open_folder();
    if (bytes < 2 || bytes > MAX_BYTES)
        return 0;
    switch (data[0] % 3) {
    case 0:
        play_journal(data + 2, bytes - 2, data[1]);
        break;
    case 1:
        play_manifest(data + 2, bytes - 2, data[1]);
        break;
    default:
        play_status(data + 2, bytes - 2);
    }
    return 0;
}

#ifndef RESR_LIBFUZZER
#include "../support/fuzz_random.h"

/* A good journal of a few segments, a batch, the end. */
static size_t make_journal(uint8_t *out)
{
    static const int64_t hash_words[2] = {0x1234, 0x5678};
    ResrRecord records[64];
    size_t n = 0;
    for (int64_t segment = 0; segment < 4; segment++) {
        for (int64_t i = 0; i < SEGMENT_FRAMES; i++)
            records[n++] = (ResrRecord){.type = RESR_RECORD_FRAME,
                                        .number = segment * SEGMENT_FRAMES + i,
                                        .a = (segment * SEGMENT_FRAMES + i) * 40,
                                        .b = 40};
        records[n++] = (ResrRecord){.type = RESR_RECORD_SEGMENT,
                                    .detail = 2,
                                    .number = segment,
                                    .a = SEGMENT_FRAMES,
                                    .b = 4};
        records[n++] = (ResrRecord){.type = RESR_RECORD_SOURCE,
                                    .number = segment * SEGMENT_FRAMES + SEGMENT_FRAMES - 1};
    }
    records[n++] = (ResrRecord){.type = RESR_RECORD_BATCH, .number = 32, .a = 8, .b = 4};
    records[n++] = (ResrRecord){.type = RESR_RECORD_END, .a = 44};
    records[n++] = (ResrRecord){.type = RESR_RECORD_OUTPUT, .a = 77, .b = 1000};
    for (size_t i = 0; i < n; i++)
        memcpy(&records[i].hash, hash_words, sizeof records[i].hash);
    memcpy(out, records, n * sizeof *records);
    return n * sizeof *records;
}

static size_t make_text(uint8_t *out, unsigned kind)
{
    static const char manifest[] = "{\"program\": \"1.0\", \"started\": \"1.5\", "
                                   "\"numerics_class\": \"exact\", \"model\": \"a\\u0000b\","
                                   " \"segment_frames\": 48, \"outscale\": 1.5, \"keep_frames\": "
                                   "true, \"preset\": \"\xc3\xa9\"}";
    static const char status[] =
        "{\"state\": \"running\", \"exit_code\": 0, \"attempt\": 3, \"message\": \"\","
        " \"strikes\": [{\"host\": \"a\", \"rank\": 3}]}";
    const char *text = kind == 1 ? manifest : status;
    memcpy(out, text, strlen(text));
    return strlen(text);
}

/* Changes a number where one is likely to stand: in a record's 64 bits, or among digits. */
static void set_number(uint8_t *data, size_t bytes)
{
    static const int64_t values[] = {
        0,         1,         -1,        INT64_MAX,        INT64_MIN, 1LL << 31, 1LL << 32,
        1LL << 40, 1LL << 62, 1LL << 22, (1LL << 22) + 44, 64,        65,        -64};
    int64_t value = values[random_number() % (sizeof values / sizeof *values)];
    size_t at = random_number() % bytes / 8 * 8;
    if (random_number() % 4 == 0)
        value = (int64_t)((uint64_t)value + random_number() % 5 - 2);
    if (at + sizeof value <= bytes)
        memcpy(data + at, &value, sizeof value);
}

static size_t mutate(uint8_t *data, size_t bytes)
{
    for (unsigned i = (unsigned)(random_number() % 6); i > 0 && bytes > 80; i--) {
        size_t at = random_number() % bytes, length = 1 + random_number() % 130;
        switch (random_number() % 7) {
        case 0:
            data[at] ^= (uint8_t)(1 << random_number() % 8);
            break;
        case 1:
            data[at] = (uint8_t)random_number();
            break;
        case 2: /* a record, or any piece, again somewhere else */
            at = at / 64 * 64;
            length = 64;
            if (at + length <= bytes && bytes + length < MAX_BYTES - 2) {
                memmove(data + at + length, data + at, bytes - at);
                bytes += length;
            }
            break;
        case 3:
            if (at + length < bytes) {
                memmove(data + at, data + at + length, bytes - at - length);
                bytes -= length;
            }
            break;
        case 4:
            data[at] = "{}[]\",:0e-9\\"[random_number() % 12];
            break;
        case 5:
            bytes = 64 + random_number() % (bytes - 63);
            break;
        default:
            set_number(data, bytes);
        }
    }
    return bytes;
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 10;
    static uint8_t data[MAX_BYTES];
    long runs = 0;
    int64_t start_ns = resr_clock_ns();
    random_state = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    random_state = random_state * 0x9e3779b97f4a7c15U + 1;
    while (resr_clock_seconds_since(start_ns) < seconds) {
        unsigned kind = random_number() % 4 < 2 ? 0 : 1 + random_number() % 2;
        data[0] = (uint8_t)kind;
        data[1] = (uint8_t)(random_number() % 8 | (random_number() % 8 ? 1 : 0));
        size_t bytes = kind == 0 ? make_journal(data + 2) : make_text(data + 2, kind);
        LLVMFuzzerTestOneInput(data, 2 + mutate(data + 2, bytes));
        runs++;
    }
    printf("%ld mutated files in %.0f s\n", runs, seconds);
    return 0;
}
#endif
