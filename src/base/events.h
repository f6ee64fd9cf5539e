#ifndef RESR_BASE_EVENTS_H
#define RESR_BASE_EVENTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"

/* What the threads of this process did and when, for --trace (job/trace.h). Each thread writes to a
 * buffer of its own, so that recording takes no lock. Nothing is recorded, and no clock is read,
 * before resr_events_start(). */

typedef enum ResrStage {
    RESR_STAGE_DECODE,  /* a frame: decoded, or read from a batch file; hashed */
    RESR_STAGE_SEND,    /* a part's frames on their way to `peer`, as this rank sees it */
    RESR_STAGE_RECEIVE, /* a part's frames from `peer`, from their header on */
    RESR_STAGE_COMPUTE, /* a part */
    RESR_STAGE_IDLE,    /* the compute thread has no part */
    RESR_STAGE_ACCEPT,  /* a frame of a result of `peer` is taken: an instant */
    RESR_STAGE_ENCODE,  /* a frame, the segment's end included where it is the last one */
    RESR_STAGE_FINISH,  /* the last segment ends, segments are joined, the output is published */
    RESR_STAGE_COMMIT,  /* a segment's file is made durable; lies within an ENCODE or FINISH */
    RESR_STAGE_BATCH,   /* a batch file is written and made durable */
    RESR_STAGES
} ResrStage;

/* Plain data; sent between ranks as it is. */
typedef struct ResrEvent {
    int64_t start_ns, end_ns; /* of the rank's own clock */
    int64_t first;            /* frame */
    int64_t bytes;            /* SEND, RECEIVE, COMMIT, BATCH; else 0 */
    int32_t frames;
    int32_t peer;    /* the rank at the other end; -1: none */
    int16_t attempt; /* of a part; 0: no part */
    uint8_t stage;   /* ResrStage */
    uint8_t failed;
    int32_t reserved; /* 0 */
} ResrEvent;

/* Use the functions below. */
extern atomic_bool resr_events_recording;
void resr_events_store(const ResrEvent *event);

/* From now on events are recorded. Not while other threads record. */
void resr_events_start(void);

/* Nothing is recorded any more, and what was is freed. Not while other threads record. */
void resr_events_clear(void);

static inline bool resr_events_on(void)
{
    return atomic_load_explicit(&resr_events_recording, memory_order_relaxed);
}

/* The time now for an event's start; 0 where nothing is recorded. */
static inline int64_t resr_events_now(void)
{
    return resr_events_on() ? resr_clock_ns() : 0;
}

/* Records an event of the calling thread. Where memory is exhausted, or RESR_TRACE_MAX_EVENTS are
 * there, it is counted and dropped. */
static inline void resr_events_add(const ResrEvent *event)
{
    if (resr_events_on())
        resr_events_store(event);
}

/* A place among the events of this process; zero is the beginning. */
typedef struct ResrEventCursor {
    const void *log, *chunk;
    size_t next;
    bool begun;
} ResrEventCursor;

/* Copies up to `max` events from the cursor on, of each thread in the order of their ends, and
 * moves the cursor; 0 when none are left. Other threads may go on recording: what they add to logs
 * that were read already is not seen. */
size_t resr_events_read(ResrEventCursor *cursor, ResrEvent *out, size_t max);

/* Events that were dropped. */
int64_t resr_events_dropped(void);

#endif
