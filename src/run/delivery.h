#ifndef RESR_RUN_DELIVERY_H
#define RESR_RUN_DELIVERY_H

#include "comm/endpoint.h"
#include "run/io_threads.h"
#include "sched/reorder_buffer.h"
#include "sched/schedule.h"

/* The way of computed frames on rank 0, chosen once per job: encoded in order by rank 0
 * (deliver_in_order.h), or gathered and encoded by the rank that owns their segment
 * (deliver_segments.h). Call from the main thread only. */
typedef struct ResrDelivery ResrDelivery;

/* All pointers must outlive the delivery. */
typedef struct ResrDeliveryConfig {
    const ResrPlan *plan;
    ResrReorderBuffer *frames;
    ResrIoThreads *io;
    ResrCheckpoint *checkpoint; /* NULL: none */
    ResrScheduler *scheduler;
    ResrEndpoint *endpoint; /* NULL: rank 0 is alone */
    const int *computing;   /* the ranks that compute; read by the creation only */
    int computing_count;
} ResrDeliveryConfig;

typedef struct ResrDeliveryOps {
    /* Takes ownership of a frame from the decoder's thread and puts it into the reorder buffer. */
    int (*accept_input)(ResrDelivery *delivery, ResrFrame *frame);
    /* The rank that receives the frames of a part. */
    int (*target_of)(ResrDelivery *delivery, const ResrPart *part);
    /* Sends the frames of a RESULT message to their target, if it is not rank 0's main thread; the
     * message keeps its header. *ends_part: the message also reports the end of a part. */
    int (*route_result)(ResrDelivery *delivery, ResrMessage *message, int rank, bool *ends_part);
    /* Records that `rank` has computed a part, and returns the number of its frames that were still
     * needed. `in_flight`: the part was expected from that rank. */
    int (*record_result)(ResrDelivery *delivery, ResrMessage *message, int rank, bool in_flight);
    /* Takes the payload of a SEGMENT message. */
    int (*accept_segment)(ResrDelivery *delivery, ResrMessage *message);
    /* Retires durable segments and announces the end of the input, in each turn of the main loop.
     * Sets *active if it did. */
    int (*advance)(ResrDelivery *delivery, bool *active);
    /* True if `rank` has all input that it needs to finish a segment. */
    bool (*waits_for)(const ResrDelivery *delivery, int rank);
    /* Assigns the work of `rank` to others. `silent`: frames that the rank has sent to others may
     * be lost, too. */
    void (*exclude)(ResrDelivery *delivery, int rank, bool silent);
    /* Uses the rank again. */
    int (*readmit)(ResrDelivery *delivery, int rank);
    /* Decides whether computed frames are saved, with `live` ranks of `ranks` at work. */
    void (*plan_saving)(ResrDelivery *delivery, const ResrRankInfo *ranks, int live);
    void (*free)(ResrDelivery *delivery);
} ResrDeliveryOps;

/* Initialises the table with an implementation's functions, which have the names of the members. */
#define RESR_DELIVERY_OPS                                                                          \
    {                                                                                              \
        accept_input, target_of, route_result, record_result, accept_segment, advance, waits_for,  \
            exclude, readmit, plan_saving, free_delivery                                           \
    }

/* The head of both implementations. Functions that return int return 0 or RESR_ERR_*. */
struct ResrDelivery {
    const ResrDeliveryOps *ops;
};

#endif
