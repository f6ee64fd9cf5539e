/* Delivery in order: --encode root.
 *
 * Workers send their frames to rank 0. A result replaces its decoded frame in the reorder buffer;
 * from there the main loop passes the frames on to the encoder's thread as soon as all earlier ones
 * have arrived. Of several results for one frame the first one counts: frames that are no longer
 * needed stay in their message and are freed with it.
 *
 * Computed frames exist in rank 0's memory only until their segment is durable. Each one is offered
 * to the checkpoint, which holds it and writes it into a batch file once the work at risk is worth
 * it (plan_saving), or when the job is stopped. */

#include "run/deliver_in_order.h"

#include <stdlib.h>

#include "base/memory.h"
#include "run/trace_collect.h"

typedef struct InOrder {
    ResrDelivery head;
    ResrDeliveryConfig config;
} InOrder;

static int accept_input(ResrDelivery *delivery, ResrFrame *frame)
{
    resr_reorder_buffer_add(((InOrder *)delivery)->config.frames, frame);
    return 0;
}

static int target_of(ResrDelivery *delivery, const ResrPart *part)
{
    (void)delivery;
    (void)part;
    return 0;
}

static int route_result(ResrDelivery *delivery, ResrMessage *message, int rank, bool *ends_part)
{
    (void)delivery;
    (void)message;
    (void)rank;
    *ends_part = true;
    return 0;
}

static int record_result(ResrDelivery *delivery, ResrMessage *message, int rank, bool in_flight)
{
    const ResrDeliveryConfig *config = &((InOrder *)delivery)->config;
    const ResrPart *part = &message->header.part;
    int accepted = 0;
    (void)in_flight;
    for (int i = 0; i < part->count && message->frames[i]; i++) {
        ResrFrame *frame = message->frames[i];
        if (frame->index < 0 || !resr_reorder_buffer_needs(config->frames, frame->index))
            continue;
        resr_trace_collect_accept(frame->index, rank, part);
        resr_reorder_buffer_accept(config->frames, frame);
        if (config->checkpoint)
            resr_checkpoint_retain(config->checkpoint, frame);
        message->frames[i] = NULL;
        accepted++;
    }
    return accepted;
}

static int accept_segment(ResrDelivery *delivery, ResrMessage *message)
{
    (void)delivery;
    return resr_fail(RESR_ERR_DATA, "segment %d arrived, but no rank encodes",
                     (int)message->header.part.batch);
}

static int advance(ResrDelivery *delivery, bool *active)
{
    (void)delivery;
    (void)active;
    return 0;
}

static bool waits_for(const ResrDelivery *delivery, int rank)
{
    (void)delivery;
    (void)rank;
    return false;
}

static void exclude(ResrDelivery *delivery, int rank, bool silent)
{
    (void)delivery;
    (void)rank;
    (void)silent;
}

static int readmit(ResrDelivery *delivery, int rank)
{
    (void)delivery;
    (void)rank;
    return 0;
}

static void plan_saving(ResrDelivery *delivery, const ResrRankInfo *ranks, int live)
{
    const ResrDeliveryConfig *config = &((InOrder *)delivery)->config;
    if (config->checkpoint)
        resr_checkpoint_decide_batch_files(config->checkpoint, config->plan, ranks, live);
}

static void free_delivery(ResrDelivery *delivery)
{
    free(delivery);
}

static const ResrDeliveryOps ops = RESR_DELIVERY_OPS;

int resr_deliver_in_order_create(ResrDelivery **out, const ResrDeliveryConfig *config)
{
    InOrder *self = NULL;
    int ret = resr_alloc(&self, 1, sizeof *self);
    if (ret == 0)
        *self = (InOrder){.head.ops = &ops, .config = *config};
    if (ret == 0)
        self->config.computing = NULL;
    *out = ret == 0 ? &self->head : NULL;
    return ret;
}
