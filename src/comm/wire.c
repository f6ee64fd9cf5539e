#include "comm/wire.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/memory.h"

int resr_message_create(ResrMessage **out, ResrWireKind kind)
{
    int ret = resr_alloc(out, 1, sizeof **out);
    if (ret == 0) {
        (*out)->header.magic = RESR_WIRE_MAGIC;
        (*out)->header.version = RESR_WIRE_VERSION;
        (*out)->header.kind = (uint16_t)kind;
    }
    return ret;
}

void resr_message_free(ResrMessage *message)
{
    if (!message)
        return;
    for (int i = 0; i < RESR_MAX_BATCH_FRAMES; i++)
        resr_frame_free(message->frames[i]);
    free(message);
}

static uint64_t header_hash(const ResrWireHeader *header)
{
    ResrWireHeader copy = *header;
    copy.hash = 0;
    return XXH3_64bits(&copy, sizeof copy);
}

void resr_message_seal(ResrMessage *message)
{
    ResrWireHeader *header = &message->header;
    for (int i = 0; resr_wire_has_payload(header->kind) && i < header->part.count; i++) {
        const ResrFrame *frame = message->frames[i];
        header->frames[i].index = frame->index;
        header->frames[i].pts = frame->pts;
        header->frames[i].duration = frame->duration;
        memcpy(header->frames[i].hash, frame->hash, sizeof frame->hash);
        header->frame_bytes = frame->bytes;
    }
    header->hash = header_hash(header);
}

int resr_message_check(const ResrMessage *message, const ResrFormat *format)
{
    const ResrWireHeader *header = &message->header;
    if (header->magic != RESR_WIRE_MAGIC || header->version != RESR_WIRE_VERSION)
        return resr_fail(RESR_ERR_DATA,
                         "a message begins with %08" PRIx32
                         " version %u, expected %08x version %d; do "
                         "all ranks run the same program?",
                         header->magic, header->version, RESR_WIRE_MAGIC, RESR_WIRE_VERSION);
    if (header->hash != header_hash(header))
        return resr_fail(RESR_ERR_DATA, "a message's header was damaged in transit");
    if (header->kind < RESR_WIRE_WORK || header->kind > RESR_WIRE_BYE)
        return resr_fail(RESR_ERR_DATA, "a message is of unknown kind %u", header->kind);
    if (header->kind == RESR_WIRE_TRACE &&
        (header->part.count < 0 || header->part.count > RESR_WIRE_EVENTS))
        return resr_fail(RESR_ERR_DATA, "a message holds %d events, at most %d fit",
                         header->part.count, RESR_WIRE_EVENTS);
    if (!resr_wire_has_payload(header->kind))
        return 0;
    if (header->kind == RESR_WIRE_SEGMENT) {
        bool whole = header->part.count == 1 && header->part.first >= 0 && header->progress > 0 &&
                     header->frame_bytes <= INT64_MAX &&
                     (uint64_t)header->progress < header->frame_bytes / sizeof(ResrFrameRecord);
        return whole ? 0
                     : resr_fail(RESR_ERR_DATA,
                                 "a message holds a segment of %" PRId64 " frames in %" PRIu64
                                 " bytes",
                                 header->progress, header->frame_bytes);
    }
    if (header->part.count < 1 || header->part.count > RESR_MAX_BATCH_FRAMES ||
        header->frame_bytes != resr_format_frame_bytes(format))
        return resr_fail(RESR_ERR_DATA,
                         "a message holds %d frames of %" PRIu64 " bytes, expected %zu",
                         header->part.count, header->frame_bytes, resr_format_frame_bytes(format));
    return 0;
}
