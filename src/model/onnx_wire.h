#ifndef RESR_MODEL_ONNX_WIRE_H
#define RESR_MODEL_ONNX_WIRE_H

/* Protobuf's wire format (protobuf.dev, "Encoding"), read in place: a message is a range of the
 * file's bytes and its fields are visited one by one, so nothing is allocated and nothing recurses.
 * Libraries (protobuf-c, nanopb) build a tree of the whole file, with a recursion and a copy of all
 * weights, for the same twenty fields. */

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ResrPbRange {
    const uint8_t *next, *end;
} ResrPbRange;

typedef enum ResrPbType {
    RESR_PB_VARINT,
    RESR_PB_FIXED64,
    RESR_PB_BYTES,
    RESR_PB_FIXED32 = 5
} ResrPbType;

typedef struct ResrPbField {
    int number;
    ResrPbType type;
    uint64_t value;    /* VARINT, FIXED32, FIXED64 */
    ResrPbRange bytes; /* BYTES */
} ResrPbField;

/* Reads the next field of a message and advances. Returns 1, 0 at the message's end, or
 * RESR_ERR_DATA. */
RESR_MUST_CHECK int resr_pb_next(ResrPbField *field, ResrPbRange *message);

/* Reads the next number of a packed field and advances. RESR_ERR_DATA. */
RESR_MUST_CHECK int resr_pb_varint(uint64_t *out, ResrPbRange *range);

static inline size_t resr_pb_bytes(ResrPbRange range)
{
    return (size_t)(range.end - range.next);
}

bool resr_pb_is(ResrPbRange text, const char *word);
bool resr_pb_same(ResrPbRange a, ResrPbRange b);

/* The text for a message: at most 63 characters, others than printable ones as '?'. */
typedef struct ResrPbText {
    char text[64];
} ResrPbText;
ResrPbText resr_pb_text(ResrPbRange text);

#endif
