#ifndef RESR_COMM_WIRE_H
#define RESR_COMM_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/events.h"
#include "base/frame.h"
#include "base/limits.h"
#include "job/batching.h"

/* What travels between ranks: a header of fixed size, then the frames' buffers in pieces. Sender
 * and receiver are the same program on the same kind of machine (checked at start-up by the
 * version); the header's and the frames' hashes catch what the network or a memory fault changed.
 */

#define RESR_WIRE_MAGIC 0x52534552u /* "RESR" */
#define RESR_WIRE_VERSION 5

typedef enum ResrWireKind {
    RESR_WIRE_WORK = 1, /* rank 0 -> worker: frames of a part, in the input format */
    RESR_WIRE_RESULT,   /* the same part in the output format: worker -> rank 0, or the owner */
    RESR_WIRE_SEGMENT,  /* owner -> rank 0: a segment's file and its frames' records */
    RESR_WIRE_DONE,     /* worker -> rank 0: the part is done, its frames are the owner's */
    RESR_WIRE_END,      /* rank 0 -> owner: the number of frames is known */
    RESR_WIRE_FAILURE,  /* worker -> rank 0: the part, or with none the encoder, failed */
    RESR_WIRE_ALIVE,    /* both ways, now and then: the sender runs; progress */
    RESR_WIRE_RECALL,   /* rank 0 -> worker: give back what is not begun of the part (attempt 0: of
                           all) */
    RESR_WIRE_RETURN,   /* worker -> rank 0: these frames, the end of a part, will not be computed;
                           the rest of it comes as a shorter RESULT, if there is any */
    RESR_WIRE_TRACE,    /* worker -> rank 0, at the end: events */
    RESR_WIRE_STOP,     /* rank 0 -> worker: nothing more will come */
    RESR_WIRE_BYE,      /* worker -> rank 0: the last message */
} ResrWireKind;

/* Do buffers follow the header? */
static inline bool resr_wire_has_payload(int kind)
{
    return kind <= RESR_WIRE_SEGMENT;
}

typedef struct ResrWireFrame {
    int64_t index, pts, duration;
    char hash[RESR_FRAME_HASH_BYTES];
} ResrWireFrame;

/* Events that one message holds. */
#define RESR_WIRE_EVENTS 64

typedef struct ResrWireHeader {
    uint32_t magic;
    uint16_t version, kind;
    uint64_t hash; /* XXH3-64 of the header with this field zero */
    ResrPart part;
    int32_t owner;        /* WORK, RESULT, DONE: the rank that gathers the part's segment */
    int32_t code;         /* FAILURE: RESR_ERR_*; SEGMENT: reorder; TRACE: 1: these are the last */
    double seconds;       /* RESULT, DONE: compute time; SEGMENT: encoding so far, of all */
    int64_t progress;     /* ALIVE: frames computed and packets made so far; END: frames;
                             SEGMENT: its frames; TRACE: events dropped */
    uint64_t frame_bytes; /* WORK, RESULT, SEGMENT: of each buffer */
    union {
        ResrWireFrame frames[RESR_MAX_BATCH_FRAMES]; /* of each buffer, part.count of them */
        char text[RESR_ERROR_TEXT_BYTES];            /* FAILURE */
        ResrEvent events[RESR_WIRE_EVENTS];          /* TRACE: part.count of them */
    };
} ResrWireHeader;

/* A message in memory. It owns its frames. A WORK message becomes the RESULT message of the same
 * part in the hands of the compute thread. */
typedef struct ResrMessage {
    ResrWireHeader header;
    ResrFrame *frames[RESR_MAX_BATCH_FRAMES];
} ResrMessage;

RESR_MUST_CHECK int resr_message_create(ResrMessage **out, ResrWireKind kind);
void resr_message_free(ResrMessage *message); /* frames included; NULL is allowed */

/* Fills the header from the frames and seals it with its hash. */
void resr_message_seal(ResrMessage *message);

/* Checks a header that arrived: magic, version, hash, kind, counts, and that WORK's and RESULT's
 * frames are of `format`. RESR_ERR_DATA. */
RESR_MUST_CHECK int resr_message_check(const ResrMessage *message, const ResrFormat *format);

#endif
