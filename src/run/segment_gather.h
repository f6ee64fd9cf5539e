#ifndef RESR_RUN_SEGMENT_GATHER_H
#define RESR_RUN_SEGMENT_GATHER_H

#include "comm/endpoint.h"
#include "job/plan.h"
#include "run/compute.h"

/* --encode ranks, on a worker: results of the segments that it owns come together here, from itself
 * and from others, are encoded, and go to rank 0 as finished files. Main thread only. */
typedef struct ResrSegmentGather ResrSegmentGather;

/* For this rank, `rank`. `plan` must outlive it. Errors of resr_segment_encoders_start(). */
RESR_MUST_CHECK int resr_segment_gather_start(ResrSegmentGather **out, const ResrPlan *plan,
                                              int rank);
void resr_segment_gather_free(ResrSegmentGather *gather); /* NULL is allowed */

/* A result that this rank has made: rank 0 hears of it, the frames go to their owner, which may be
 * this rank. Takes the message over. */
RESR_MUST_CHECK int resr_segment_gather_route(ResrSegmentGather *gather, ResrEndpoint *mail,
                                              ResrMessage *result);

/* A result that another rank has made; taken over. */
void resr_segment_gather_take(ResrSegmentGather *gather, ResrMessage *result);

/* The video has so many frames. */
void resr_segment_gather_end(ResrSegmentGather *gather, int64_t frames);

/* Sends what is finished, or what failed. */
RESR_MUST_CHECK int resr_segment_gather_send(ResrSegmentGather *gather, ResrEndpoint *mail);

/* Grows while it gets on: packets. */
int64_t resr_segment_gather_progress(const ResrSegmentGather *gather);

/* On rank 0: the segment that a message brought (the message stays the caller's, without its
 * payload). RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_segment_gather_unpack(ResrSegment **out, ResrMessage *message);

/* On every rank: tells rank 0 that a part is done whose frames go elsewhere. */
RESR_MUST_CHECK int resr_segment_gather_tell_done(ResrEndpoint *mail, const ResrMessage *result);

#endif
