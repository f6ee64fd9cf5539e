#ifndef RESR_COMM_WIRE_H
#define RESR_COMM_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/events.h"
#include "base/frame.h"
#include "base/limits.h"
#include "job/batching.h"

/* Messages between ranks: a header of fixed size, then buffers in pieces (endpoint.c). Sender and
 * receiver are the same program on the same kind of machine, which the version checks. Hashes of
 * the header and of the frames detect changes on the network or in memory.
 *
 * A part, with the segments encoded by rank 0:
 *   0 -> n  WORK     frames in the input format; at most RESR_PARTS_IN_FLIGHT parts at a time
 *   n -> 0  RESULT   the frames in the output format; or FAILURE with an error text
 * Near the end, if n is slow:
 *   0 -> n  RECALL   asks for the unstarted frames of the part
 *   n -> 0  RETURN   the frames at the end of the part that n does not compute, possibly none; the
 *                    rest follows as a shorter RESULT, unless nothing was started
 * With segments encoded by ranks (m owns the part's segment):
 *   0 -> n  WORK, n -> m  RESULT and n -> 0  DONE for each part
 *   m -> 0  SEGMENT  the encoded file and the records of its frames
 *   0 -> m  END      the number of frames of the video is known
 * Always:
 *   ALIVE in both directions at least every few seconds: heartbeat with a progress counter
 *   0 -> n  STOP; n -> 0  TRACE (events, any number of messages, only with --trace), then BYE */

#define RESR_WIRE_MAGIC 0x52534552u /* "RESR" */
#define RESR_WIRE_VERSION 6

typedef enum ResrWireKind {
    RESR_WIRE_WORK = 1, /* rank 0 -> worker: frames of a part, in the input format */
    RESR_WIRE_RESULT,   /* worker -> rank 0 or segment owner: the part in the output format */
    RESR_WIRE_SEGMENT,  /* owner -> rank 0: a segment's file and its frames' records */
    RESR_WIRE_DONE,     /* worker -> rank 0: the part is computed and its owner has the frames */
    RESR_WIRE_END,      /* rank 0 -> owner: the number of frames is known */
    RESR_WIRE_FAILURE,  /* worker -> rank 0: the part failed; without a part: the encoder failed */
    RESR_WIRE_ALIVE,    /* heartbeat in both directions, with the sender's progress counter */
    RESR_WIRE_RECALL,   /* rank 0 -> worker: return the unstarted frames of the part (attempt 0: of
                           all parts) */
    RESR_WIRE_RETURN,   /* worker -> rank 0: these frames, the end of a part, are not computed; the
                           rest follows as a shorter RESULT, if there is any */
    RESR_WIRE_TRACE,    /* worker -> rank 0, at the end: events */
    RESR_WIRE_STOP,     /* rank 0 -> worker: the last message */
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
    int32_t owner;        /* WORK, RESULT, DONE: the rank that encodes the part's segment */
    int32_t code;         /* FAILURE: RESR_ERR_*; SEGMENT: reorder; TRACE: 1: these are the last */
    double seconds;       /* RESULT, DONE: compute time; SEGMENT: encoding so far, of all */
    double macs;          /* RESULT, DONE: multiply-accumulates computed for the part */
    int64_t progress;     /* ALIVE: frames computed and packets made so far; END: frames;
                             SEGMENT: its frames; TRACE: events dropped */
    uint64_t frame_bytes; /* WORK, RESULT, SEGMENT: of each buffer */
    union {
        ResrWireFrame frames[RESR_MAX_BATCH_FRAMES]; /* of each buffer, part.count of them */
        char text[RESR_ERROR_TEXT_BYTES];            /* FAILURE */
        ResrEvent events[RESR_WIRE_EVENTS];          /* TRACE: part.count of them */
    };
} ResrWireHeader;

/* A message in memory, which owns its frames. The compute thread turns the WORK message of a part
 * into its RESULT message in place. */
typedef struct ResrMessage {
    ResrWireHeader header;
    ResrFrame *frames[RESR_MAX_BATCH_FRAMES];
} ResrMessage;

RESR_MUST_CHECK int resr_message_create(ResrMessage **out, ResrWireKind kind);
void resr_message_free(ResrMessage *message); /* frames included; NULL is allowed */

/* Fills in the header from the frames, and its hash. */
void resr_message_seal(ResrMessage *message);

/* Checks a received header: magic, version, hash, kind, counts, and that the frames of WORK and
 * RESULT have the size of `format`. RESR_ERR_DATA. */
RESR_MUST_CHECK int resr_message_check(const ResrMessage *message, const ResrFormat *format);

#endif
