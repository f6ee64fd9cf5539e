/* Segments of one worker, with --encode ranks.
 *
 * Results of segments that this rank owns arrive from its own compute thread and, as RESULT
 * messages, from other workers; they go to the segment encoders (media/segment_encoders.h), which
 * order and verify them. A finished segment stays in memory. The encoder's thread packs it into a
 * SEGMENT message and queues it; the main thread, which alone calls MPI, sends it to rank 0. Rank 0
 * unpacks it and makes it durable. A failure of an encoder becomes a FAILURE message of no part.
 *
 * A SEGMENT message has one payload: the segment's file, then a ResrFrameRecord per frame. The
 * header holds the segment's number and first frame (part), its number of frames (progress), its
 * reordering (code) and the seconds of encoding so far (seconds). */

#include "run/segment_gather.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/queue.h"
#include "media/segment_encoders.h"

struct ResrSegmentGather {
    int rank;
    const ResrPlan *plan;
    ResrSegmentEncoders *encoders;
    ResrQueue *messages; /* for rank 0, from the encoders' threads to the main thread */
};

/* Fills a SEGMENT message. */
static int pack(ResrMessage *message, const ResrSegment *segment)
{
    const ResrSegmentInfo *info = &segment->info;
    size_t records = (size_t)info->frames * sizeof *segment->frames;
    int ret = resr_frame_create_raw(&message->frames[0], (size_t)info->bytes + records);
    if (ret < 0)
        return ret;
    memcpy(message->frames[0]->data, segment->data, (size_t)info->bytes);
    memcpy(message->frames[0]->data + info->bytes, segment->frames, records);
    resr_hash_to_hex(message->frames[0]->hash, &info->hash);
    message->frames[0]->index = info->first;
    message->header.part = (ResrPart){.batch = info->number, .first = info->first, .count = 1};
    message->header.progress = info->frames;
    message->header.code = info->reorder;
    return 0;
}

int resr_segment_gather_unpack(ResrSegment **out, ResrMessage *message)
{
    const ResrWireHeader *header = &message->header;
    size_t n = (size_t)header->progress, records = n * sizeof *(*out)->frames;
    ResrFrame *payload = message->frames[0];
    int ret = resr_alloc(out, 1, sizeof **out);
    if (ret == 0)
        ret = resr_alloc(&(*out)->frames, n, sizeof *(*out)->frames);
    if (ret < 0) {
        resr_segment_free(*out);
        return ret;
    }
    (*out)->info = (ResrSegmentInfo){.number = header->part.batch,
                                     .first = header->part.first,
                                     .frames = header->progress,
                                     .bytes = (int64_t)(payload->bytes - records),
                                     .reorder = header->code};
    resr_hash_from_hex(&(*out)->info.hash, payload->hash);
    memcpy((*out)->frames, payload->data + (*out)->info.bytes, records);
    (*out)->data = payload->data;
    payload->data = NULL;
    return 0;
}

/* Called by an encoder's thread. */
static void encoding_failed(void *user, int status)
{
    ResrSegmentGather *gather = user;
    ResrMessage *message;
    if (resr_message_create(&message, RESR_WIRE_FAILURE) < 0)
        return;
    message->header.code = status;
    snprintf(message->header.text, sizeof message->header.text, "%s", resr_error_text());
    if (!resr_queue_push(gather->messages, message))
        resr_message_free(message);
}

static int finished(void *user, ResrSegment *segment)
{
    ResrSegmentGather *gather = user;
    ResrMessage *message;
    int ret = resr_message_create(&message, RESR_WIRE_SEGMENT);
    if (ret == 0)
        ret = pack(message, segment);
    if (ret == 0)
        message->header.seconds = resr_segment_encoders_seconds(gather->encoders);
    resr_segment_free(segment);
    if (ret < 0 || !resr_queue_push(gather->messages, message))
        resr_message_free(message);
    return ret;
}

ResrSegmentEncodersConfig resr_segment_gather_encoders(const ResrPlan *plan)
{
    return (ResrSegmentEncodersConfig){.input = plan->stored,
                                       .format = plan->output,
                                       .options = &plan->encode,
                                       .tags = plan->tags,
                                       .threads = plan->encode.encoders};
}

int resr_segment_gather_start(ResrSegmentGather **out, const ResrPlan *plan, int rank)
{
    int ret = resr_alloc(out, 1, sizeof **out);
    if (ret < 0)
        return ret;
    ResrSegmentGather *gather = *out;
    *gather = (ResrSegmentGather){.plan = plan, .rank = rank};
    ResrSegmentEncodersConfig config = resr_segment_gather_encoders(plan);
    config.user = gather;
    config.finished = finished;
    config.failed = encoding_failed;
    ret = resr_queue_create(&gather->messages, (size_t)plan->pool_frames + 1);
    if (ret == 0)
        ret = resr_segment_encoders_start(&gather->encoders, &config);
    if (ret < 0) {
        resr_segment_gather_free(gather);
        *out = NULL;
    }
    return ret;
}

static void free_message(void *item)
{
    resr_message_free(item);
}

void resr_segment_gather_free(ResrSegmentGather *gather)
{
    if (!gather)
        return;
    if (gather->messages)
        resr_queue_close(gather->messages);
    resr_segment_encoders_free(gather->encoders);
    resr_queue_destroy(gather->messages, free_message);
    free(gather);
}

static int send_done(ResrEndpoint *endpoint, const ResrMessage *result)
{
    ResrMessage *done;
    int ret = resr_message_create(&done, RESR_WIRE_DONE);
    if (ret < 0)
        return ret;
    done->header.part = result->header.part;
    done->header.owner = result->header.owner;
    done->header.seconds = result->header.seconds;
    done->header.macs = result->header.macs;
    return resr_endpoint_send(endpoint, 0, done);
}

void resr_segment_gather_add(ResrSegmentGather *gather, ResrMessage *result)
{
    for (int i = 0; i < result->header.part.count; i++) {
        resr_segment_encoders_add_frame(gather->encoders, result->frames[i]);
        result->frames[i] = NULL;
    }
    resr_message_free(result);
}

int resr_segment_gather_route(ResrSegmentGather *gather, ResrEndpoint *endpoint,
                              ResrMessage *result)
{
    int ret = send_done(endpoint, result);
    if (ret < 0) {
        resr_message_free(result);
        return ret;
    }
    if (result->header.owner != gather->rank)
        return resr_endpoint_send(endpoint, result->header.owner, result);
    resr_segment_gather_add(gather, result);
    return 0;
}

void resr_segment_gather_end(ResrSegmentGather *gather, int64_t frames)
{
    resr_segment_encoders_end(gather->encoders, frames);
}

int resr_segment_gather_send(ResrSegmentGather *gather, ResrEndpoint *endpoint)
{
    ResrMessage *message;
    int ret = 0;
    while (ret == 0 && (message = resr_queue_try_pop(gather->messages)))
        ret = resr_endpoint_send(endpoint, 0, message);
    return ret;
}

int64_t resr_segment_gather_progress(const ResrSegmentGather *gather)
{
    return resr_segment_encoders_packets(gather->encoders);
}
