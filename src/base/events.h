#ifndef RESR_BASE_EVENTS_H
#define RESR_BASE_EVENTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"

/* Events of the threads of this process with their times, for --trace (job/trace.h). Each thread
 * writes to its own buffer, so that recording takes no lock. Nothing is recorded, and no clock is
 * read, before resr_events_start(). */

typedef enum ResrStage {
    RESR_STAGE_DECODE,  /* a frame: decoded, or read from a batch file; hashed */
    RESR_STAGE_SEND,    /* a part's frames are sent to `peer`: until MPI has taken all of them */
    RESR_STAGE_RECEIVE, /* a part's frames arrive from `peer`: from the header to the last frame */
    RESR_STAGE_COMPUTE, /* a part */
    RESR_STAGE_IDLE,    /* the compute thread has no part */
    RESR_STAGE_ACCEPT,  /* a frame of a result of `peer` is accepted: an instant */
    RESR_STAGE_ENCODE,  /* a frame; the last frame of a segment includes the segment's end */
    RESR_STAGE_FINISH,  /* the last segment ends, segments are joined, the output is published */
    RESR_STAGE_COMMIT,  /* a segment's file is made durable, within an ENCODE or FINISH */
    RESR_STAGE_BATCH,   /* a batch file is written and made durable */
    RESR_STAGES
} ResrStage;

/* Plain data; sent between ranks as it is. */
typedef struct ResrEvent {
    int64_t start_ns, end_ns; /* on the rank's own clock */
    int64_t first;            /* frame */
    int64_t bytes;            /* SEND, RECEIVE, COMMIT, BATCH; else 0 */
    int32_t frames;
    int32_t peer;    /* the rank at the other end; -1: none */
    int16_t attempt; /* of a part; 0: no part */
    uint8_t stage;   /* ResrStage */
    uint8_t failed;
    int32_t reserved; /* 0 */
} ResrEvent;

/* Internal: use the functions below. */
extern atomic_bool resr_events_recording;
void resr_events_store(const ResrEvent *event);

/* Starts to record. Call while no other thread records. */
void resr_events_start(void);

/* Stops recording and frees all events. Call while no other thread records. */
void resr_events_clear(void);

static inline bool resr_events_on(void)
{
    return atomic_load_explicit(&resr_events_recording, memory_order_relaxed);
}

/* The current time for an event's start; 0 if nothing is recorded. */
static inline int64_t resr_events_now(void)
{
    return resr_events_on() ? resr_clock_ns() : 0;
}

/* Records an event of the calling thread. If memory is exhausted or RESR_TRACE_MAX_EVENTS events
 * exist, the event is counted and dropped. */
static inline void resr_events_add(const ResrEvent *event)
{
    if (resr_events_on())
        resr_events_store(event);
}

/* A position among the events of this process; zeroed: the beginning. */
typedef struct ResrEventCursor {
    const void *log, *chunk;
    size_t next;
    bool started;
} ResrEventCursor;

/* Copies up to `max` events and advances the cursor; returns 0 after the last event. The events of
 * each thread are in the order of their ends. Other threads may continue to record; events that
 * they add to logs before the cursor are not returned. */
size_t resr_events_read(ResrEventCursor *cursor, ResrEvent *out, size_t max);

/* Number of dropped events. */
int64_t resr_events_dropped(void);

#endif
