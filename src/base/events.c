#include "base/events.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"

#define CHUNK_EVENTS 1024 /* 48 KiB: step by which a thread's buffer grows */

/* Log and chunks have one writer, the thread of the log. Readers see an event once `length` counts
 * it, and a chunk once `next` points to it. */
typedef struct Chunk {
    _Atomic(struct Chunk *) next;
    atomic_size_t length;
    ResrEvent events[CHUNK_EVENTS];
} Chunk;

typedef struct Log {
    struct Log *next;
    _Atomic(Chunk *) first;
    Chunk *last;
} Log;

atomic_bool resr_events_recording;
static _Atomic(Log *) logs;
static atomic_llong chunks, dropped;
static atomic_uint generation; /* of the logs: threads may outlive them */
static _Thread_local Log *own_log;
static _Thread_local unsigned own_generation;

void resr_events_start(void)
{
    resr_events_clear();
    resr_events_recording = true;
}

void resr_events_clear(void)
{
    resr_events_recording = false;
    Log *log = atomic_exchange(&logs, NULL);
    while (log) {
        Log *next_log = log->next;
        Chunk *chunk = log->first;
        while (chunk) {
            Chunk *next = chunk->next;
            free(chunk);
            chunk = next;
        }
        free(log);
        log = next_log;
    }
    chunks = 0;
    dropped = 0;
    generation++;
}

/* The calling thread's log with room for one more event; NULL: no memory, or the limit. */
static Log *log_with_room(void)
{
    if (!own_log || own_generation != generation) {
        own_log = calloc(1, sizeof *own_log);
        if (!own_log)
            return NULL;
        own_generation = generation;
        own_log->next = logs;
        while (!atomic_compare_exchange_weak(&logs, &own_log->next, own_log)) {
            /* another thread was first; `next` is now that thread's log */
        }
    }
    Log *log = own_log;
    if (log->last && log->last->length < CHUNK_EVENTS)
        return log;
    if (chunks++ >= RESR_TRACE_MAX_EVENTS / CHUNK_EVENTS)
        return NULL;
    Chunk *chunk = calloc(1, sizeof *chunk);
    if (!chunk)
        return NULL;
    if (log->last)
        log->last->next = chunk;
    else
        log->first = chunk;
    log->last = chunk;
    return log;
}

void resr_events_store(const ResrEvent *event)
{
    Log *log = log_with_room();
    if (!log) {
        dropped++;
        return;
    }
    Chunk *chunk = log->last;
    size_t length = atomic_load_explicit(&chunk->length, memory_order_relaxed);
    chunk->events[length] = *event;
    atomic_store_explicit(&chunk->length, length + 1, memory_order_release);
}

static void enter_log(ResrEventCursor *cursor, const Log *log)
{
    cursor->log = log;
    cursor->chunk = log ? log->first : NULL;
}

size_t resr_events_read(ResrEventCursor *cursor, ResrEvent *out, size_t max)
{
    size_t n = 0;
    if (!cursor->started)
        enter_log(cursor, logs);
    cursor->started = true;
    while (n < max && cursor->log) {
        const Chunk *chunk = cursor->chunk;
        const Chunk *next = chunk ? chunk->next : NULL; /* first: a chunk with a next one is full */
        size_t length = chunk ? atomic_load_explicit(&chunk->length, memory_order_acquire) : 0;
        if (cursor->next < length) {
            size_t some = length - cursor->next < max - n ? length - cursor->next : max - n;
            memcpy(out + n, chunk->events + cursor->next, some * sizeof *out);
            cursor->next += some;
            n += some;
            continue;
        }
        cursor->next = 0;
        cursor->chunk = next;
        if (!next)
            enter_log(cursor, ((const Log *)cursor->log)->next);
    }
    return n;
}

int64_t resr_events_dropped(void)
{
    return dropped;
}
