#include "run/owners.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "run/segment_gather.h"
#include "run/trace_collect.h"

typedef struct OpenSegment {
    int64_t number;
    int owner; /* index of a rank; -1: rank 0, whether it computes or not */
    bool open;
} OpenSegment;

/* Who made a frame that is with its owner, or on its way there. */
typedef struct Made {
    int rank; /* -1: an earlier attempt of the job */
    int16_t attempt;
} Made;

struct ResrOwners {
    ResrOwnersParts parts;
    Made *made; /* by frame, modulo the pool */
    int n;
    struct Rank {
        int rank;
        bool lost;
    } * ranks;
    bool told_end;
    int64_t size; /* of the ring: all segments of the pool, and two that are cut */
    OpenSegment *segments;
};

int resr_owners_create(ResrOwners **out, const ResrOwnersParts *parts, const int *ranks, int n)
{
    int ret = resr_alloc(out, 1, sizeof **out);
    if (ret < 0)
        return ret;
    ResrOwners *owners = *out;
    owners->parts = *parts;
    owners->n = n;
    owners->size = parts->plan->pool_frames / parts->plan->units.segment_frames + 2;
    ret = resr_alloc(&owners->ranks, (size_t)n, sizeof *owners->ranks);
    if (ret == 0)
        ret = resr_alloc(&owners->segments, (size_t)owners->size, sizeof *owners->segments);
    if (ret == 0)
        ret = resr_alloc(&owners->made, (size_t)parts->plan->pool_frames, sizeof *owners->made);
    for (int i = 0; ret == 0 && i < n; i++)
        owners->ranks[i].rank = ranks[i];
    for (int64_t i = 0; ret == 0 && i < owners->size; i++)
        owners->segments[i].number = -1;
    return ret;
}

void resr_owners_free(ResrOwners *owners)
{
    if (!owners)
        return;
    free(owners->ranks);
    free(owners->segments);
    free(owners->made);
    free(owners);
}

static int64_t number_of(const ResrOwners *owners, int64_t index)
{
    return index / owners->parts.plan->units.segment_frames;
}

static Made *made_of(const ResrOwners *owners, int64_t index)
{
    return &owners->made[index % owners->parts.plan->pool_frames];
}

/* Of the ranks that are there the one with the fewest open segments; of several, the next in
 * turn. */
static int choose(const ResrOwners *owners, int64_t number)
{
    int best = -1, fewest = 0;
    for (int i = 0; i < owners->n; i++) {
        int candidate = (int)((number + i) % owners->n), count = 0;
        for (int64_t k = 0; k < owners->size; k++)
            count += owners->segments[k].open && owners->segments[k].owner == candidate;
        if (!owners->ranks[candidate].lost && (best < 0 || count < fewest)) {
            best = candidate;
            fewest = count;
        }
    }
    return best;
}

/* The place of the segment in the ring; its owner is chosen if it is new. */
static OpenSegment *find(ResrOwners *owners, int64_t number)
{
    OpenSegment *segment = &owners->segments[number % owners->size];
    if (segment->number != number)
        *segment = (OpenSegment){number, choose(owners, number), true};
    return segment;
}

static int rank_of(const ResrOwners *owners, const OpenSegment *segment)
{
    return segment->owner < 0 ? 0 : owners->ranks[segment->owner].rank;
}

int resr_owners_of(ResrOwners *owners, const ResrPart *part)
{
    return rank_of(owners, find(owners, number_of(owners, part->first)));
}

/* All of the segment's frames were computed. */
static bool is_complete(const ResrOwners *owners, int64_t number)
{
    const ResrReorderBuffer *window = owners->parts.window;
    int64_t frames = owners->parts.plan->units.segment_frames, end = (number + 1) * frames;
    if (owners->told_end && end > window->decoded)
        end = window->decoded;
    for (int64_t i = number * frames; i < end; i++) {
        const ResrFrame *input = resr_reorder_buffer_input(window, i);
        if (!input || input->stage != RESR_FRAME_UPSCALED)
            return false;
    }
    return true;
}

bool resr_owners_wait_for(const ResrOwners *owners, int rank)
{
    for (int64_t k = 0; k < owners->size; k++) {
        const OpenSegment *segment = &owners->segments[k];
        if (segment->open && rank_of(owners, segment) == rank &&
            is_complete(owners, segment->number))
            return true;
    }
    return false;
}

/* Rank 0 owns the segments of which it finds frames in batch files. */
static void claim(ResrOwners *owners, int64_t first)
{
    int64_t end = first + owners->parts.plan->units.segment_frames;
    for (int64_t i = first; i < end; i++)
        if (resr_checkpoint_stage(owners->parts.checkpoint, i) == RESR_FRAME_UPSCALED)
            find(owners, number_of(owners, first))->owner = -1;
}

int resr_owners_take(ResrOwners *owners, ResrFrame *frame)
{
    ResrFrame *mark = NULL;
    int64_t index = frame->index;
    if (index % owners->parts.plan->units.segment_frames == 0 && frame->stage != RESR_FRAME_DURABLE)
        claim(owners, index);
    if (frame->stage != RESR_FRAME_UPSCALED) {
        resr_reorder_buffer_take(owners->parts.window, frame);
        return 0;
    }
    int ret = resr_frame_create_mark(&mark); /* keeps its place and its credit */
    if (ret < 0) {
        resr_frame_free(frame);
        return ret;
    }
    mark->index = index;
    mark->stage = RESR_FRAME_DECODED;
    mark->credit = frame->credit;
    memcpy(mark->hash, frame->source, sizeof mark->hash);
    frame->credit = NULL;
    resr_reorder_buffer_take(owners->parts.window, mark);
    resr_reorder_buffer_set_computed(owners->parts.window, index, true);
    *made_of(owners, index) = (Made){.rank = -1};
    resr_io_threads_gather(owners->parts.pipeline, frame);
    return 0;
}

int resr_owners_route(ResrOwners *owners, ResrMessage *result)
{
    ResrMessage *own;
    int ret = resr_message_create(&own, RESR_WIRE_RESULT);
    if (ret < 0)
        return ret;
    *own = *result;
    memset(result->frames, 0, sizeof result->frames);
    if (own->header.owner > 0)
        return resr_endpoint_send(owners->parts.mail, own->header.owner, own);
    for (int i = 0; i < own->header.part.count; i++) {
        const ResrFrame *input =
            resr_reorder_buffer_input(owners->parts.window, own->frames[i]->index);
        if (!input)
            continue;
        memcpy(own->frames[i]->source, input->hash, sizeof input->hash);
        resr_io_threads_gather(owners->parts.pipeline, own->frames[i]);
        own->frames[i] = NULL;
    }
    resr_message_free(own);
    return 0;
}

int resr_owners_note(ResrOwners *owners, int rank, const ResrWireHeader *header, bool again)
{
    const ResrPart *part = &header->part;
    ResrReorderBuffer *window = owners->parts.window;
    int needed = 0;
    for (int i = 0; i < part->count; i++)
        needed += resr_reorder_buffer_needs(window, part->first + i);
    if (needed == 0)
        return 0;
    if (resr_owners_of(owners, part) != header->owner) {
        if (again)
            resr_scheduler_requeue(owners->parts.scheduler, part);
        return 0;
    }
    for (int i = 0; i < part->count; i++) {
        if (!resr_reorder_buffer_needs(window, part->first + i))
            continue;
        resr_trace_collect_accept(part->first + i, rank, part);
        resr_reorder_buffer_set_computed(window, part->first + i, true);
        *made_of(owners, part->first + i) = (Made){rank, part->attempt};
    }
    return needed;
}

/* What the owner did not know of the frames. */
static void complete_records(const ResrOwners *owners, ResrSegment *segment)
{
    for (int64_t i = 0; i < segment->info.frames; i++) {
        const ResrFrame *input =
            resr_reorder_buffer_input(owners->parts.window, segment->info.first + i);
        if (input)
            resr_hash_from_hex(&segment->frames[i].source, input->hash);
    }
}

int resr_owners_take_segment(ResrOwners *owners, ResrMessage *message)
{
    const ResrPart *part = &message->header.part;
    int64_t length = owners->parts.plan->units.segment_frames;
    if (part->batch < 0 || part->first != part->batch * length || message->header.progress > length)
        return resr_fail(RESR_ERR_INTERNAL, "a segment of other frames came");
    OpenSegment *place = &owners->segments[part->batch % owners->size];
    ResrSegment *segment;
    if (place->number != part->batch || !place->open)
        return 0;
    int ret = resr_segment_gather_unpack(&segment, message);
    if (ret < 0)
        return ret;
    place->open = false;
    complete_records(owners, segment);
    resr_io_threads_adopt(owners->parts.pipeline, segment);
    return 0;
}

bool resr_owners_settle(ResrOwners *owners)
{
    int64_t first, frames;
    bool any = false;
    while (resr_io_threads_committed(owners->parts.pipeline, &first, &frames)) {
        any = true;
        find(owners, number_of(owners, first))->open = false;
        for (int64_t i = first; i < first + frames; i++)
            resr_reorder_buffer_set_durable(owners->parts.window, i);
    }
    return any;
}

static int tell_end(ResrOwners *owners, int rank)
{
    ResrMessage *message;
    int ret = resr_message_create(&message, RESR_WIRE_END);
    if (ret < 0)
        return ret;
    message->header.progress = owners->parts.window->decoded;
    return resr_endpoint_send(owners->parts.mail, rank, message);
}

int resr_owners_tell_end(ResrOwners *owners, const bool *gone)
{
    const ResrPlan *plan = owners->parts.plan;
    int ret = 0;
    if (owners->told_end || !resr_io_threads_at_end(owners->parts.pipeline))
        return 0;
    owners->told_end = true;
    resr_io_threads_end(owners->parts.pipeline, owners->parts.window->decoded);
    for (int i = 1; i < plan->ranks && ret == 0; i++)
        ret = gone[i] ? 0 : tell_end(owners, i);
    return ret;
}

static void set_lost(ResrOwners *owners, int rank, bool lost)
{
    for (int i = 0; i < owners->n; i++)
        if (owners->ranks[i].rank == rank)
            owners->ranks[i].lost = lost;
}

/* The frames of a segment that were computed are made again: all of them, lost with their owner, or
 * (maker >= 0) those of one rank, which may not have come out of it. Parts in flight come back by
 * themselves, see resr_owners_note(). */
static void make_again(ResrOwners *owners, int64_t number, int maker)
{
    const ResrBatching *units = &owners->parts.plan->units;
    ResrReorderBuffer *window = owners->parts.window;
    int64_t end = (number + 1) * units->segment_frames;
    ResrPart part = {.count = 0};
    if (end > window->decoded)
        end = window->decoded;
    for (int64_t i = number * units->segment_frames; i < end; i++) {
        const ResrFrame *input = resr_reorder_buffer_input(window, i);
        const Made *made = made_of(owners, i);
        bool lost =
            input && input->stage == RESR_FRAME_UPSCALED && (maker < 0 || made->rank == maker);
        if (part.count > 0 && (!lost || resr_batching_batch_of(units, i) != part.batch)) {
            resr_scheduler_requeue(owners->parts.scheduler, &part);
            part.count = 0;
        }
        if (!lost)
            continue;
        resr_reorder_buffer_set_computed(window, i, false);
        if (part.count == 0)
            part = (ResrPart){.batch = resr_batching_batch_of(units, i), .first = i};
        if (part.attempt < made->attempt)
            part.attempt = made->attempt;
        part.count++;
    }
    if (part.count > 0)
        resr_scheduler_requeue(owners->parts.scheduler, &part);
}

void resr_owners_lose(ResrOwners *owners, int rank, bool silent)
{
    set_lost(owners, rank, true);
    for (int64_t k = 0; k < owners->size; k++) {
        OpenSegment *segment = &owners->segments[k];
        if (!segment->open)
            continue;
        bool lost = segment->owner >= 0 && owners->ranks[segment->owner].lost;
        if (lost)
            segment->owner = choose(owners, segment->number);
        if (lost || silent)
            make_again(owners, segment->number, lost ? -1 : rank);
    }
}

int resr_owners_revive(ResrOwners *owners, int rank)
{
    set_lost(owners, rank, false);
    return owners->told_end && rank > 0 ? tell_end(owners, rank) : 0;
}
