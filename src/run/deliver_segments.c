/* Delivery by segments: --encode ranks.
 *
 * Every segment has an owner: the computing rank with the fewest open segments when its first part
 * is sent. A WORK message names the owner; the rank that computes the part sends the frames to the
 * owner (RESULT) and a notice to rank 0 (DONE). The owner encodes the segment and sends its file to
 * rank 0 (SEGMENT), where one of the encoders' threads makes it durable. Rank 0's own results take
 * the same way, and rank 0 owns the segments of which a batch file holds frames.
 *
 * A segment is open from its first part until its file arrives. Until the file is durable, its
 * decoded frames stay in the reorder buffer, with state COMPUTED_ELSEWHERE once their DONE has
 * arrived; then they leave it as placeholders, in order, and give their credits back.
 *
 * When a rank is excluded, its open segments get other owners, and all frames that it has gathered
 * are computed again. If the rank is silent, so are the frames that it has computed for other
 * owners, since they may not have left it. A part in flight to a former owner is requeued when its
 * DONE arrives (record_result). A second file of a segment that is no longer open is dropped. */

#include "run/deliver_segments.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "media/segment_encoders.h"
#include "run/segment_gather.h"
#include "run/trace_collect.h"

typedef struct OpenSegment {
    int64_t number;
    int owner; /* index of a computing rank; ROOT: rank 0, whether it computes or not */
    bool open;
} OpenSegment;

enum { ROOT = -1, ANY_RANK = -2, EARLIER_ATTEMPT = -1 };

/* The rank that computed a frame which its segment's owner has, and the attempt. */
typedef struct Origin {
    int rank; /* or EARLIER_ATTEMPT of the job */
    int16_t attempt;
} Origin;

typedef struct Segments {
    ResrDelivery head;
    ResrDeliveryConfig config;
    Origin *origins; /* by frame, modulo the pool */
    int n;
    struct Rank {
        int rank;
        bool excluded;
    } * ranks; /* the n ranks that compute */
    bool end_announced;
    int64_t size; /* of the ring: all segments of the pool, and two that are cut by its ends */
    OpenSegment *segments;
} Segments;

static int64_t number_of(const Segments *self, int64_t index)
{
    return index / self->config.plan->batching.segment_frames;
}

static Origin *origin_of(const Segments *self, int64_t index)
{
    return &self->origins[index % self->config.plan->pool_frames];
}

/* Of the ranks that are not excluded the one with the fewest open segments; of several, the next
 * one in turn. ROOT if all are excluded. */
static int choose_owner(const Segments *self, int64_t number)
{
    int best = ROOT, fewest = 0;
    for (int i = 0; i < self->n; i++) {
        int candidate = (int)((number + i) % self->n), count = 0;
        for (int64_t k = 0; k < self->size; k++)
            count += self->segments[k].open && self->segments[k].owner == candidate;
        if (!self->ranks[candidate].excluded && (best == ROOT || count < fewest)) {
            best = candidate;
            fewest = count;
        }
    }
    return best;
}

/* The segment's slot of the ring; the owner of a new segment is chosen. */
static OpenSegment *find_segment(Segments *self, int64_t number)
{
    OpenSegment *segment = &self->segments[number % self->size];
    if (segment->number != number)
        *segment = (OpenSegment){number, choose_owner(self, number), true};
    return segment;
}

static int rank_of(const Segments *self, const OpenSegment *segment)
{
    return segment->owner == ROOT ? 0 : self->ranks[segment->owner].rank;
}

static int target_of(ResrDelivery *delivery, const ResrPart *part)
{
    Segments *self = (Segments *)delivery;
    return rank_of(self, find_segment(self, number_of(self, part->first)));
}

/* True if all frames of the segment are computed. */
static bool is_complete(const Segments *self, int64_t number)
{
    const ResrReorderBuffer *frames = self->config.frames;
    int64_t length = self->config.plan->batching.segment_frames, end = (number + 1) * length;
    if (self->end_announced && end > frames->decoded)
        end = frames->decoded;
    for (int64_t i = number * length; i < end; i++) {
        const ResrFrame *input = resr_reorder_buffer_input(frames, i);
        if (!input || input->state != RESR_FRAME_COMPUTED_ELSEWHERE)
            return false;
    }
    return true;
}

static bool waits_for(const ResrDelivery *delivery, int rank)
{
    const Segments *self = (const Segments *)delivery;
    for (int64_t k = 0; k < self->size; k++) {
        const OpenSegment *segment = &self->segments[k];
        if (segment->open && rank_of(self, segment) == rank && is_complete(self, segment->number))
            return true;
    }
    return false;
}

/* Makes rank 0 the owner of the segment at frame `first` if a batch file holds frames of it. */
static void let_root_own_restored(Segments *self, int64_t first)
{
    int64_t end = first + self->config.plan->batching.segment_frames;
    for (int64_t i = first; i < end; i++)
        if (resr_checkpoint_frame_state(self->config.checkpoint, i) == RESR_FRAME_RESTORED)
            find_segment(self, number_of(self, first))->owner = ROOT;
}

/* A restored frame goes to rank 0's encoders; a placeholder with its credit and its source's hash
 * takes its place in the reorder buffer. */
static int accept_restored(Segments *self, ResrFrame *frame)
{
    ResrFrame *placeholder = NULL;
    int64_t index = frame->index;
    int ret = resr_frame_create_placeholder(&placeholder);
    if (ret < 0) {
        resr_frame_free(frame);
        return ret;
    }
    placeholder->index = index;
    placeholder->state = RESR_FRAME_DECODED;
    placeholder->credit = frame->credit;
    memcpy(placeholder->hash, frame->source, sizeof placeholder->hash);
    frame->credit = NULL;
    resr_reorder_buffer_add(self->config.frames, placeholder);
    resr_reorder_buffer_set_computed(self->config.frames, index, true);
    *origin_of(self, index) = (Origin){.rank = EARLIER_ATTEMPT};
    resr_segment_encoders_add_frame(resr_io_threads_encoders(self->config.io), frame);
    return 0;
}

static int accept_input(ResrDelivery *delivery, ResrFrame *frame)
{
    Segments *self = (Segments *)delivery;
    if (frame->index % self->config.plan->batching.segment_frames == 0 &&
        frame->state != RESR_FRAME_DURABLE)
        let_root_own_restored(self, frame->index);
    if (frame->state == RESR_FRAME_RESTORED)
        return accept_restored(self, frame);
    resr_reorder_buffer_add(self->config.frames, frame);
    return 0;
}

/* Moves a result's frames to rank 0's encoders; frames of segments that are durable stay. */
static void encode_here(Segments *self, ResrMessage *result)
{
    for (int i = 0; i < result->header.part.count; i++) {
        ResrFrame *frame = result->frames[i];
        const ResrFrame *input = resr_reorder_buffer_input(self->config.frames, frame->index);
        if (!input)
            continue;
        memcpy(frame->source, input->hash, sizeof input->hash);
        result->frames[i] = NULL;
        resr_segment_encoders_add_frame(resr_io_threads_encoders(self->config.io), frame);
    }
}

/* Workers report the end of their parts with DONE, rank 0's compute thread with the RESULT. */
static int route_result(ResrDelivery *delivery, ResrMessage *message, int rank, bool *ends_part)
{
    Segments *self = (Segments *)delivery;
    ResrMessage *copy;
    *ends_part = message->header.kind == RESR_WIRE_DONE || rank == 0;
    if (message->header.kind == RESR_WIRE_DONE)
        return 0;
    if (message->header.owner == 0) {
        encode_here(self, message);
        return 0;
    }
    int ret = resr_message_create(&copy, RESR_WIRE_RESULT);
    if (ret < 0)
        return ret;
    *copy = *message;
    memset(message->frames, 0, sizeof message->frames);
    return resr_endpoint_send(self->config.endpoint, copy->header.owner, copy);
}

static int record_result(ResrDelivery *delivery, ResrMessage *message, int rank, bool in_flight)
{
    Segments *self = (Segments *)delivery;
    const ResrPart *part = &message->header.part;
    ResrReorderBuffer *frames = self->config.frames;
    int needed = 0;
    for (int i = 0; i < part->count; i++)
        needed += resr_reorder_buffer_needs(frames, part->first + i);
    if (needed == 0)
        return 0;
    if (target_of(delivery, part) != message->header.owner) {
        if (in_flight)
            resr_scheduler_requeue(self->config.scheduler, part);
        return 0;
    }
    for (int i = 0; i < part->count; i++) {
        if (!resr_reorder_buffer_needs(frames, part->first + i))
            continue;
        resr_trace_collect_accept(part->first + i, rank, part);
        resr_reorder_buffer_set_computed(frames, part->first + i, true);
        *origin_of(self, part->first + i) = (Origin){rank, part->attempt};
    }
    return needed;
}

/* Adds the hashes of the decoded frames, which the owner does not have, to the records. */
static void complete_records(const Segments *self, ResrSegment *segment)
{
    for (int64_t i = 0; i < segment->info.frames; i++) {
        const ResrFrame *input =
            resr_reorder_buffer_input(self->config.frames, segment->info.first + i);
        if (input)
            resr_hash_from_hex(&segment->frames[i].source, input->hash);
    }
}

static int accept_segment(ResrDelivery *delivery, ResrMessage *message)
{
    Segments *self = (Segments *)delivery;
    const ResrPart *part = &message->header.part;
    int64_t length = self->config.plan->batching.segment_frames;
    if (part->batch < 0 || part->first != part->batch * length || message->header.progress > length)
        return resr_fail(RESR_ERR_INTERNAL,
                         "segment %" PRId64 " arrived with %" PRId64 " frames from frame %" PRId64
                         " on, expected at most %" PRId64 " from %" PRId64 " on",
                         part->batch, message->header.progress, part->first, length,
                         part->batch * length);
    OpenSegment *slot = &self->segments[part->batch % self->size];
    ResrSegment *segment;
    if (slot->number != part->batch || !slot->open)
        return 0;
    int ret = resr_segment_gather_unpack(&segment, message);
    if (ret < 0)
        return ret;
    slot->open = false;
    complete_records(self, segment);
    resr_segment_encoders_import_segment(resr_io_threads_encoders(self->config.io), segment);
    return 0;
}

/* The frames of durable segments become placeholders, whose turn it is in order. */
static bool retire_committed(Segments *self)
{
    int64_t first, frames;
    bool any = false;
    while (resr_io_threads_committed(self->config.io, &first, &frames)) {
        any = true;
        find_segment(self, number_of(self, first))->open = false;
        for (int64_t i = first; i < first + frames; i++)
            resr_reorder_buffer_set_durable(self->config.frames, i);
    }
    return any;
}

static int announce_end_to(Segments *self, int rank)
{
    ResrMessage *message;
    int ret = resr_message_create(&message, RESR_WIRE_END);
    if (ret < 0)
        return ret;
    message->header.progress = self->config.frames->decoded;
    return resr_endpoint_send(self->config.endpoint, rank, message);
}

/* Tells all encoders the number of frames, once it is known: the last segment may be short. */
static int announce_end(Segments *self)
{
    int ret = 0;
    self->end_announced = true;
    resr_segment_encoders_end(resr_io_threads_encoders(self->config.io),
                              self->config.frames->decoded);
    for (int i = 0; i < self->n && ret == 0; i++)
        if (self->ranks[i].rank > 0 && !self->ranks[i].excluded)
            ret = announce_end_to(self, self->ranks[i].rank);
    return ret;
}

static int advance(ResrDelivery *delivery, bool *active)
{
    Segments *self = (Segments *)delivery;
    if (retire_committed(self))
        *active = true;
    return !self->end_announced && resr_io_threads_at_end(self->config.io) ? announce_end(self) : 0;
}

/* Requeues the computed frames of a segment: those of one rank, or all of them (ANY_RANK). */
static void requeue_computed(Segments *self, int64_t number, int rank)
{
    const ResrBatching *batching = &self->config.plan->batching;
    ResrReorderBuffer *frames = self->config.frames;
    int64_t end = (number + 1) * batching->segment_frames;
    ResrPart part = {.count = 0};
    if (end > frames->decoded)
        end = frames->decoded;
    for (int64_t i = number * batching->segment_frames; i < end; i++) {
        const ResrFrame *input = resr_reorder_buffer_input(frames, i);
        const Origin *origin = origin_of(self, i);
        bool lost = input && input->state == RESR_FRAME_COMPUTED_ELSEWHERE &&
                    (rank == ANY_RANK || origin->rank == rank);
        if (part.count > 0 && (!lost || resr_batching_batch_of(batching, i) != part.batch)) {
            resr_scheduler_requeue(self->config.scheduler, &part);
            part.count = 0;
        }
        if (!lost)
            continue;
        resr_reorder_buffer_set_computed(frames, i, false);
        if (part.count == 0)
            part = (ResrPart){.batch = resr_batching_batch_of(batching, i), .first = i};
        if (part.attempt < origin->attempt)
            part.attempt = origin->attempt;
        part.count++;
        assert(part.count <= batching->batch_frames);
    }
    if (part.count > 0)
        resr_scheduler_requeue(self->config.scheduler, &part);
}

static void set_excluded(Segments *self, int rank, bool excluded)
{
    for (int i = 0; i < self->n; i++)
        if (self->ranks[i].rank == rank)
            self->ranks[i].excluded = excluded;
}

static void exclude(ResrDelivery *delivery, int rank, bool silent)
{
    Segments *self = (Segments *)delivery;
    set_excluded(self, rank, true);
    for (int64_t k = 0; k < self->size; k++) {
        OpenSegment *segment = &self->segments[k];
        if (!segment->open)
            continue;
        bool orphaned = segment->owner != ROOT && self->ranks[segment->owner].excluded;
        if (orphaned)
            segment->owner = choose_owner(self, segment->number);
        if (orphaned || silent)
            requeue_computed(self, segment->number, orphaned ? ANY_RANK : rank);
    }
}

static int readmit(ResrDelivery *delivery, int rank)
{
    Segments *self = (Segments *)delivery;
    set_excluded(self, rank, false);
    return self->end_announced && rank > 0 ? announce_end_to(self, rank) : 0;
}

/* No computed frame exists on rank 0: only segments are saved. */
static void plan_saving(ResrDelivery *delivery, const ResrRankInfo *ranks, int live)
{
    (void)delivery;
    (void)ranks;
    (void)live;
}

static void free_delivery(ResrDelivery *delivery)
{
    Segments *self = (Segments *)delivery;
    free(self->ranks);
    free(self->segments);
    free(self->origins);
    free(self);
}

static const ResrDeliveryOps ops = RESR_DELIVERY_OPS;

int resr_deliver_segments_create(ResrDelivery **out, const ResrDeliveryConfig *config)
{
    Segments *self;
    size_t ranks = (size_t)config->computing_count, pool = (size_t)config->plan->pool_frames;
    *out = NULL;
    int ret = resr_alloc(&self, 1, sizeof *self);
    if (ret < 0)
        return ret;
    self->head.ops = &ops;
    self->config = *config;
    self->config.computing = NULL;
    self->n = config->computing_count;
    self->size = config->plan->pool_frames / config->plan->batching.segment_frames + 2;
    ret = resr_alloc(&self->ranks, ranks, sizeof *self->ranks);
    if (ret == 0)
        ret = resr_alloc(&self->segments, (size_t)self->size, sizeof *self->segments);
    if (ret == 0)
        ret = resr_alloc(&self->origins, pool, sizeof *self->origins);
    if (ret < 0) {
        free_delivery(&self->head);
        return ret;
    }
    for (int i = 0; i < self->n; i++)
        self->ranks[i].rank = config->computing[i];
    for (int64_t i = 0; i < self->size; i++)
        self->segments[i].number = -1;
    *out = &self->head;
    return 0;
}
