#include "job/job_list.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/stop.h"
#include "job/json.h"

#define STOP_POLL_MS 100 /* a signal that came just before a wait is seen after it */
#define LOCK_POLL_NS 50000000

/* The last word on a line. */
typedef struct Record {
    ResrHash line;
    ResrJobLineState state;
    int64_t frames;
    double seconds;
} Record;

struct ResrJobList {
    const char *path;
    int fd;
    bool at_end;
    atomic_bool stopped;
    int64_t number;
    size_t begin, length; /* of the text that was read and not returned */
    char *buffer;
    char journal_path[PATH_MAX];
    ResrLock *journal_lock; /* NULL: there is no journal */
    int journal_fd;         /* the lock's; -1: none */
    pthread_mutex_t lock;   /* of the fields below */
    size_t count, capacity;
    Record *records;
};

/* In the journal: names that stay. */
static const char *const states[] = {"new", "begun", "done", "failed"};

static json_t *text_json(const char *text)
{
    return text && *text ? resr_json_text(text) : json_null();
}

static Record *find(ResrJobList *list, const ResrHash *line)
{
    for (size_t i = 0; i < list->count; i++)
        if (memcmp(&list->records[i].line, line, sizeof *line) == 0)
            return &list->records[i];
    return NULL;
}

static int set_record(ResrJobList *list, const Record *record)
{
    Record *known = find(list, &record->line);
    if (known) {
        *known = *record;
        return 0;
    }
    int ret = resr_grow(&list->records, &list->capacity, list->count, sizeof *list->records);
    if (ret == 0)
        list->records[list->count++] = *record;
    return ret;
}

static bool parse_record(Record *record, const char *text, size_t bytes)
{
    json_t *object = json_loadb(text, bytes, 0, NULL);
    const char *id = json_string_value(json_object_get(object, "id"));
    const char *state = json_string_value(json_object_get(object, "state"));
    bool good = id && state && resr_hash_from_hex(&record->line, id);
    record->state = RESR_JOB_LINE_NEW;
    for (int i = RESR_JOB_LINE_STARTED; good && i <= RESR_JOB_LINE_FAILED; i++)
        if (strcmp(state, states[i]) == 0)
            record->state = (ResrJobLineState)i;
    record->frames = json_integer_value(json_object_get(object, "frames"));
    record->seconds = json_number_value(json_object_get(object, "seconds"));
    json_decref(object);
    return good && record->state != RESR_JOB_LINE_NEW;
}

/* A last line without its end was never written whole: it is cut off. */
static int read_journal(ResrJobList *list, FILE *file)
{
    char *text = NULL;
    size_t room = 0;
    ssize_t bytes;
    off_t good = 0;
    int ret = 0;
    while (ret == 0 && (bytes = getline(&text, &room, file)) > 0 && text[bytes - 1] == '\n') {
        Record record;
        good += bytes;
        if (parse_record(&record, text, (size_t)bytes))
            ret = set_record(list, &record);
        else
            resr_log_warn("%s: a line of it is damaged and not counted", list->journal_path);
    }
    free(text);
    if (ret == 0 && resr_file_truncate(list->journal_fd, good) != 0)
        ret = resr_fail(RESR_ERR_IO, "%s: %s", list->journal_path, strerror(errno));
    return ret;
}

static int open_journal(ResrJobList *list)
{
    int64_t start_ns = resr_clock_ns();
    bool taken = false;
    struct stat status;
    if ((size_t)snprintf(list->journal_path, sizeof list->journal_path, "%s.journal", list->path) >=
        sizeof list->journal_path)
        return resr_fail(RESR_ERR_USAGE, "--jobs: %.64s...: the path is too long", list->path);
    for (;;) {
        int ret = resr_lock_try(&list->journal_lock, list->journal_path, 0666, &taken);
        if (ret < 0)
            return resr_fail(ret, "%s; use --jobs - (standard input), which has no journal",
                             resr_error_text());
        if (taken)
            break;
        if (resr_clock_seconds_since(start_ns) > resr_lock_wait_seconds(list->journal_lock) ||
            resr_stop_signal())
            return resr_fail(RESR_ERR_STOPPED,
                             "%s: another process works on this list; wait for it or stop it",
                             list->journal_path);
        nanosleep(&(struct timespec){0, LOCK_POLL_NS}, NULL);
    }
    list->journal_fd = resr_lock_fd(list->journal_lock);
    if (fstat(list->journal_fd, &status) != 0 || status.st_nlink > 1)
        return resr_fail(RESR_ERR_PERM,
                         "%s: has a second name (a hard link), so writing it would also change the "
                         "file of that name; remove this file, or replace it by a copy",
                         list->journal_path);
    int copy = dup(list->journal_fd);
    FILE *file = copy < 0 ? NULL : fdopen(copy, "r");
    if (!file && copy >= 0)
        close(copy);
    if (!file)
        return resr_fail(RESR_ERR_IO, "%s: %s", list->journal_path, strerror(errno));
    int ret = read_journal(list, file);
    fclose(file);
    return ret;
}

int resr_job_list_open(ResrJobList **out, const char *path)
{
    struct stat status;
    int ret = resr_alloc(out, 1, sizeof **out);
    if (ret < 0)
        return ret;
    ResrJobList *list = *out;
    *list = (ResrJobList){.path = path, .fd = STDIN_FILENO, .journal_fd = -1};
    pthread_mutex_init(&list->lock, NULL);
    if (strcmp(path, "-") != 0)
        list->fd = resr_file_open(path, O_RDONLY | O_NONBLOCK, 0); /* a pipe without a writer */
    if (list->fd < 0 || fstat(list->fd, &status) != 0)
        ret = resr_fail(errno == EACCES ? RESR_ERR_PERM : RESR_ERR_NOINPUT, "--jobs %s: %s", path,
                        strerror(errno));
    if (ret == 0)
        ret = resr_alloc(&list->buffer, 1, RESR_JOB_LINE_BYTES);
    if (ret == 0 && list->fd != STDIN_FILENO && S_ISREG(status.st_mode))
        ret = open_journal(list);
    if (ret < 0) {
        resr_job_list_close(list);
        *out = NULL;
    }
    return ret;
}

bool resr_job_list_is_open_ended(const ResrJobList *list)
{
    return list->journal_fd < 0;
}

void resr_job_list_stop(ResrJobList *list)
{
    list->stopped = true;
}

static bool is_stopped(const ResrJobList *list)
{
    return list->stopped || resr_stop_signal();
}

/* More of the list into the buffer; at_end after the last of it, or after a signal. */
static int read_more(ResrJobList *list)
{
    struct pollfd wait = {.fd = list->fd, .events = POLLIN};
    memmove(list->buffer, list->buffer + list->begin, list->length);
    list->begin = 0;
    if (list->length == RESR_JOB_LINE_BYTES)
        return resr_fail(RESR_ERR_DATA, "--jobs %s: line %lld is longer than %d bytes", list->path,
                         (long long)list->number + 1, RESR_JOB_LINE_BYTES);
    while (!is_stopped(list) && poll(&wait, 1, STOP_POLL_MS) <= 0) {
        /* nothing yet, or a signal */
    }
    if (is_stopped(list)) {
        list->at_end = true;
        list->length = 0;
        return 0;
    }
    ssize_t n = read(list->fd, list->buffer + list->length, RESR_JOB_LINE_BYTES - list->length);
    if (n < 0 && errno != EINTR && errno != EAGAIN)
        return resr_fail(RESR_ERR_IO, "--jobs %s: %s", list->path, strerror(errno));
    list->length += n > 0 ? (size_t)n : 0;
    list->at_end = n == 0;
    return 0;
}

/* Does the line ask for anything? */
static bool is_job(const char *text)
{
    text += strspn(text, " \t\r");
    return *text && *text != '#';
}

int resr_job_list_next(ResrJobList *list, ResrJobLine *line)
{
    *line = (ResrJobLine){0};
    while (!is_stopped(list)) {
        char *text = list->buffer + list->begin;
        char *end = memchr(text, '\n', list->length);
        if (!end && !list->at_end) {
            int ret = read_more(list);
            if (ret < 0)
                return ret;
            continue;
        }
        if (!end && list->length == 0)
            break;
        size_t bytes = end ? (size_t)(end - text) : list->length;
        size_t used = end ? bytes + 1 : bytes;
        list->begin += used;
        list->length -= used;
        line->number = ++list->number;
        line->text = strndup(text, bytes);
        if (!line->text)
            return resr_fail(RESR_ERR_INTERNAL, "out of memory: a line of --jobs");
        if (is_job(line->text))
            return 0;
        free(line->text);
        line->text = NULL;
    }
    return 0;
}

ResrJobLineState resr_job_list_find(ResrJobList *list, const ResrJobLine *line,
                                    ResrJobResult *result)
{
    ResrHash hash = resr_hash_bytes(line->text, strlen(line->text));
    pthread_mutex_lock(&list->lock);
    const Record *record = find(list, &hash);
    ResrJobLineState state = record ? record->state : RESR_JOB_LINE_NEW;
    if (state == RESR_JOB_LINE_DONE) {
        result->frames = record->frames;
        result->seconds = record->seconds;
    }
    pthread_mutex_unlock(&list->lock);
    return state;
}

/* Takes over the members of `object`. */
static int append(ResrJobList *list, const ResrJobLine *line, const Record *record, json_t *object)
{
    char hex[RESR_HASH_HEX_BYTES];
    resr_hash_to_hex(hex, &record->line);
    json_object_set_new(object, "line", json_integer(line->number));
    json_object_set_new(object, "state", json_string(states[record->state]));
    json_object_set_new(object, "id", json_string(hex));
    char *text = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(6));
    size_t bytes = text ? strlen(text) : 0;
    if (!text)
        return resr_fail(RESR_ERR_INTERNAL, "out of memory: a line of the journal");
    text[bytes] = '\n'; /* its end is the zero */
    off_t end = lseek(list->journal_fd, 0, SEEK_END);
    int ret = end < 0 || resr_file_write(list->journal_fd, text, bytes + 1, end) != 0 ||
                      resr_file_sync(list->journal_fd, 1) != 0
                  ? resr_fail(RESR_ERR_IO, "%s: %s", list->journal_path, strerror(errno))
                  : 0;
    free(text);
    return ret;
}

static int keep(ResrJobList *list, const ResrJobLine *line, const Record *record, json_t *object)
{
    if (list->journal_fd < 0)
        return 0;
    pthread_mutex_lock(&list->lock);
    int ret = resr_lock_check(list->journal_lock);
    if (ret == 0)
        ret = append(list, line, record, object);
    if (ret == 0)
        ret = set_record(list, record);
    pthread_mutex_unlock(&list->lock);
    return ret;
}

int resr_job_list_begin(ResrJobList *list, const ResrJobLine *line, int64_t frames)
{
    Record record = {.line = resr_hash_bytes(line->text, strlen(line->text)),
                     .state = RESR_JOB_LINE_STARTED,
                     .frames = frames};
    json_t *object =
        json_pack("{s:o, s:I}", "text", text_json(line->text), "frames", (json_int_t)frames);
    int ret = keep(list, line, &record, object);
    json_decref(object);
    return ret;
}

int resr_job_list_end(ResrJobList *list, const ResrJobLine *line, const ResrJobResult *result)
{
    Record record = {.line = resr_hash_bytes(line->text, strlen(line->text)),
                     .state = result->status ? RESR_JOB_LINE_FAILED : RESR_JOB_LINE_DONE,
                     .frames = result->frames,
                     .seconds = result->seconds};
    ResrJobResult known;
    bool told = resr_job_list_find(list, line, &known) == RESR_JOB_LINE_DONE;
    json_t *object =
        json_pack("{s:I, s:o, s:o, s:i, s:o, s:I, s:f}", "line", (json_int_t)line->number, "input",
                  text_json(result->input), "output", text_json(result->output), "status",
                  result->status, "error", text_json(result->error), "frames",
                  (json_int_t)result->frames, "seconds", result->seconds);
    /* ASCII: a terminal obeys some characters beyond it. */
    char *text = object ? json_dumps(object, JSON_ENSURE_ASCII | JSON_REAL_PRECISION(6)) : NULL;
    int ret = text ? 0 : resr_fail(RESR_ERR_INTERNAL, "out of memory: a job's result");
    if (text && (printf("%s\n", text) < 0 || fflush(stdout) != 0))
        ret = resr_fail(RESR_ERR_IO, "standard output cannot be written: %s", strerror(errno));
    free(text);
    if (object && !told && result->status != -RESR_ERR_STOPPED) {
        int status = keep(list, line, &record, object);
        ret = ret < 0 ? ret : status;
    }
    json_decref(object);
    return ret;
}

void resr_job_list_close(ResrJobList *list)
{
    if (!list)
        return;
    if (list->fd > STDIN_FILENO)
        close(list->fd);
    resr_lock_release(list->journal_lock);
    pthread_mutex_destroy(&list->lock);
    free(list->buffer);
    free(list->records);
    free(list);
}
