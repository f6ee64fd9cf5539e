#include "job/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/memory.h"
#include "base/publish.h"
#include "version.h"

typedef struct RankEvents {
    ResrEvent *events;
    size_t length, capacity;
    int64_t offset_ns, accuracy_ns;
    int64_t dropped;
    bool complete;
} RankEvents;

struct ResrTrace {
    int64_t origin_ns;
    size_t total;
    int n;
    RankEvents ranks[];
};

/* A row of a rank in the viewer: the stages of one thread, or one kind of transfer. */
typedef enum Row {
    ROW_DECODE,
    ROW_SEND,
    ROW_RECEIVE,
    ROW_COMPUTE,
    ROW_ACCEPT,
    ROW_ENCODE,
    ROW_COMMIT,
    ROW_BATCH,
} Row;

static const char *const row_names[] = {"decode", "send",   "receive",        "compute",
                                        "accept", "encode", "commit segment", "batch file"};

static const struct {
    const char *name;
    Row row;
} stages[RESR_STAGES] = {
    [RESR_STAGE_DECODE] = {"decode", ROW_DECODE},
    [RESR_STAGE_SEND] = {"send", ROW_SEND},
    [RESR_STAGE_RECEIVE] = {"receive", ROW_RECEIVE},
    [RESR_STAGE_COMPUTE] = {"compute", ROW_COMPUTE},
    [RESR_STAGE_IDLE] = {"idle", ROW_COMPUTE},
    [RESR_STAGE_ACCEPT] = {"accept", ROW_ACCEPT},
    [RESR_STAGE_ENCODE] = {"encode", ROW_ENCODE},
    [RESR_STAGE_FINISH] = {"finish", ROW_ENCODE},
    [RESR_STAGE_COMMIT] = {"commit", ROW_COMMIT},
    [RESR_STAGE_BATCH] = {"batch", ROW_BATCH},
};

int resr_trace_create(ResrTrace **out, int ranks, int64_t origin_ns)
{
    int ret = resr_alloc(out, 1, sizeof(ResrTrace) + (size_t)ranks * sizeof(RankEvents));
    if (ret < 0)
        return ret;
    (*out)->n = ranks;
    (*out)->origin_ns = origin_ns;
    return 0;
}

void resr_trace_free(ResrTrace *trace)
{
    for (int i = 0; trace && i < trace->n; i++)
        free(trace->ranks[i].events);
    free(trace);
}

void resr_trace_align(ResrTrace *trace, int rank, int64_t offset_ns, int64_t accuracy_ns)
{
    trace->ranks[rank].offset_ns = offset_ns;
    trace->ranks[rank].accuracy_ns = accuracy_ns;
}

static bool make_room(ResrTrace *trace, RankEvents *own, size_t n)
{
    return trace->total + n <= RESR_TRACE_MAX_EVENTS &&
           resr_grow_by(&own->events, &own->capacity, own->length, n, sizeof *own->events) == 0;
}

void resr_trace_add(ResrTrace *trace, int rank, const ResrEvent *events, size_t n)
{
    RankEvents *own = &trace->ranks[rank];
    if (!make_room(trace, own, n)) {
        own->dropped += (int64_t)n;
        return;
    }
    for (size_t i = 0; i < n; i++) {
        ResrEvent *event = &own->events[own->length];
        *event = events[i];
        own->length += event->stage < RESR_STAGES;
        event->start_ns -= own->offset_ns;
        event->end_ns -= own->offset_ns;
    }
    trace->total += n;
}

void resr_trace_complete(ResrTrace *trace, int rank, int64_t dropped)
{
    trace->ranks[rank].complete = true;
    trace->ranks[rank].dropped += dropped;
}

/* By row, then start, then end. */
static int in_order(const void *a, const void *b)
{
    const ResrEvent *left = a, *right = b;
    Row left_row = stages[left->stage].row, right_row = stages[right->stage].row;
    if (left_row != right_row)
        return left_row < right_row ? -1 : 1;
    if (left->start_ns != right->start_ns)
        return left->start_ns < right->start_ns ? -1 : 1;
    return left->end_ns < right->end_ns ? -1 : left->end_ns > right->end_ns;
}

/* Bytes beyond ASCII, which host names do not contain, become Latin-1, so that the file is valid.
 */
static void write_string(FILE *file, const char *text)
{
    fputc('"', file);
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            fprintf(file, "\\%c", c);
        else if (c < 0x20 || c >= 0x7f)
            fprintf(file, "\\u%04x", c);
        else
            fputc(c, file);
    }
    fputc('"', file);
}

/* Nanoseconds as microseconds, exactly. */
static void write_us(FILE *file, int64_t ns)
{
    int64_t size = ns < 0 ? -ns : ns;
    fprintf(file, "%s%" PRId64 ".%03d", ns < 0 ? "-" : "", size / 1000, (int)(size % 1000));
}

static void write_arguments(FILE *file, const ResrEvent *event)
{
    const char *comma = "";
    fputs("{", file);
    if (event->frames > 0)
        fprintf(file, "\"first\":%" PRId64 ",\"frames\":%d", event->first, event->frames);
    comma = event->frames > 0 ? "," : comma;
    if (event->peer >= 0)
        fprintf(file, "%s\"peer\":%d", comma, event->peer);
    comma = event->peer >= 0 ? "," : comma;
    if (event->attempt > 0)
        fprintf(file, "%s\"attempt\":%d", comma, event->attempt);
    comma = event->attempt > 0 ? "," : comma;
    if (event->bytes > 0)
        fprintf(file, "%s\"bytes\":%" PRId64, comma, event->bytes);
    comma = event->bytes > 0 ? "," : comma;
    if (event->failed)
        fprintf(file, "%s\"failed\":true", comma);
    fputs("}", file);
}

static void write_event(FILE *file, const ResrEvent *event, int rank, int thread, int64_t origin_ns)
{
    const char *name = stages[event->stage].name;
    fprintf(file, ",\n{\"name\":\"%s", name);
    if (event->frames == 1)
        fprintf(file, " %" PRId64, event->first);
    else if (event->frames > 1)
        fprintf(file, " %" PRId64 "-%" PRId64, event->first, event->first + event->frames - 1);
    fprintf(file, "\",\"cat\":\"%s\",\"ph\":\"X\",\"pid\":%d,\"tid\":%d,\"ts\":", name, rank,
            thread);
    write_us(file, event->start_ns - origin_ns);
    fputs(",\"dur\":", file);
    write_us(file, event->end_ns - event->start_ns);
    fputs(",\"args\":", file);
    write_arguments(file, event);
    fputs("}", file);
}

static void write_thread_name(FILE *file, int rank, int thread, Row row, int lane)
{
    fprintf(file,
            ",\n{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":%d,\"tid\":%d,"
            "\"args\":{\"name\":\"%s",
            rank, thread, row_names[row]);
    if (lane > 0)
        fprintf(file, " %d", lane + 1);
    fprintf(file,
            "\"}},\n{\"name\":\"thread_sort_index\",\"ph\":\"M\",\"pid\":%d,\"tid\":%d,"
            "\"args\":{\"sort_index\":%d}}",
            rank, thread, thread);
}

/* Events of one row, in order: each goes to the first thread whose last event has ended. Threads
 * are numbered from first_thread on; returns the last one. `ends` has room for all events. */
static int write_row(FILE *file, const ResrEvent *events, size_t n, int rank, int first_thread,
                     int64_t *ends, int64_t origin_ns)
{
    Row row = stages[events[0].stage].row;
    int lanes = 0;
    for (size_t i = 0; i < n; i++) {
        int lane = 0;
        while (lane < lanes && ends[lane] > events[i].start_ns)
            lane++;
        if (lane == lanes)
            write_thread_name(file, rank, first_thread + lanes++, row, lane);
        ends[lane] = events[i].end_ns;
        write_event(file, &events[i], rank, first_thread + lane, origin_ns);
    }
    return first_thread + lanes - 1;
}

static int write_rank(FILE *file, const ResrTrace *trace, const ResrRankInfo *info, int rank)
{
    const RankEvents *own = &trace->ranks[rank];
    char name[128];
    int64_t *ends;
    int thread = 0, ret = resr_alloc(&ends, own->length + 1, sizeof *ends);
    if (ret < 0)
        return ret;
    snprintf(name, sizeof name, "rank %d on %s", rank, info->host);
    fprintf(file, "%s\n{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":%d,\"args\":{\"name\":",
            rank > 0 ? "," : "", rank);
    write_string(file, name);
    fprintf(file,
            "}},\n{\"name\":\"process_sort_index\",\"ph\":\"M\",\"pid\":%d,"
            "\"args\":{\"sort_index\":%d}}",
            rank, rank);
    if (own->length > 0)
        qsort(own->events, own->length, sizeof *own->events, in_order);
    for (size_t first = 0, end; first < own->length; first = end) {
        Row row = stages[own->events[first].stage].row;
        for (end = first; end < own->length && stages[own->events[end].stage].row == row;)
            end++;
        thread = write_row(file, own->events + first, end - first, rank, thread + 1, ends,
                           trace->origin_ns);
    }
    free(ends);
    return 0;
}

static void write_other(FILE *file, const ResrTrace *trace, const ResrRankInfo *ranks,
                        const char *numerics_class)
{
    fputs("{\"displayTimeUnit\":\"ms\",\n\"otherData\":{\"program\":\"realesrgan-mpi\","
          "\"version\":\"" RESR_VERSION "\",\"numerics_class\":",
          file);
    write_string(file, numerics_class);
    fputs(",\"ranks\":[", file);
    for (int i = 0; i < trace->n; i++) {
        const RankEvents *own = &trace->ranks[i];
        fprintf(file, "%s\n{\"rank\":%d,\"host\":", i > 0 ? "," : "", i);
        write_string(file, ranks[i].host);
        fputs(",\"backend\":", file);
        write_string(file, ranks[i].backend);
        fprintf(file,
                ",\"threads\":%d,\"events\":%zu,\"complete\":%s,\"dropped\":%" PRId64
                ",\"clock_offset_us\":",
                ranks[i].threads, own->length, own->complete ? "true" : "false", own->dropped);
        write_us(file, own->offset_ns);
        fputs(",\"clock_accuracy_us\":", file);
        write_us(file, own->accuracy_ns);
        fputc('}', file);
    }
    fputs("]},\n\"traceEvents\":[", file);
}

static int write_file(FILE *file, const ResrTrace *trace, const ResrRankInfo *ranks,
                      const char *numerics_class)
{
    int ret = 0;
    write_other(file, trace, ranks, numerics_class);
    for (int i = 0; i < trace->n && ret == 0; i++)
        ret = write_rank(file, trace, &ranks[i], i);
    fputs("\n]}\n", file);
    return ret;
}

int resr_trace_write(ResrTrace *trace, const char *path, const ResrRankInfo *ranks,
                     const char *numerics_class)
{
    char temporary[PATH_MAX];
    int ret = resr_publish_temporary(temporary, sizeof temporary, path);
    if (ret < 0)
        return ret;
    int fd = resr_file_create(temporary, 0666);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    if (!file) {
        ret = resr_publish_create_failure(path, 1);
        if (fd >= 0)
            close(fd);
        goto cleanup;
    }
    ret = write_file(file, trace, ranks, numerics_class);
    if ((fflush(file) != 0 || ferror(file)) && ret == 0)
        ret = resr_publish_write_failure(path, 1);
    if (fclose(file) != 0 && ret == 0)
        ret = resr_publish_write_failure(path, 1);
    if (ret == 0)
        ret = resr_publish(temporary, path, true);
cleanup:
    if (ret < 0)
        unlink(temporary);
    return ret;
}
