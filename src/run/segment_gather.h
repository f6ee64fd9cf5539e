#ifndef RESR_RUN_SEGMENT_GATHER_H
#define RESR_RUN_SEGMENT_GATHER_H

#include "comm/endpoint.h"
#include "job/plan.h"
#include "media/segment_encoders.h"
#include "run/compute.h"

/* With --encode ranks: gathers and encodes the segments that this rank owns, and sends them to
 * rank 0. Call from the main thread only. */
typedef struct ResrSegmentGather ResrSegmentGather;

/* The configuration of a job's segment encoders, without the caller's functions and store. `plan`
 * must outlive the encoders. */
ResrSegmentEncodersConfig resr_segment_gather_encoders(const ResrPlan *plan);

/* `rank` is this rank; `plan` must outlive the object. Errors of resr_segment_encoders_start(). */
RESR_MUST_CHECK int resr_segment_gather_start(ResrSegmentGather **out, const ResrPlan *plan,
                                              int rank);
void resr_segment_gather_free(ResrSegmentGather *gather); /* NULL is allowed */

/* Takes ownership of a result of this rank: reports it to rank 0, and passes its frames to the
 * owner of their segment, which may be this rank. */
RESR_MUST_CHECK int resr_segment_gather_route(ResrSegmentGather *gather, ResrEndpoint *endpoint,
                                              ResrMessage *result);

/* Takes ownership of a result of another rank. */
void resr_segment_gather_add(ResrSegmentGather *gather, ResrMessage *result);

/* Sets the number of frames of the video. */
void resr_segment_gather_end(ResrSegmentGather *gather, int64_t frames);

/* Sends finished segments and failures. */
RESR_MUST_CHECK int resr_segment_gather_send(ResrSegmentGather *gather, ResrEndpoint *endpoint);

/* Packets encoded so far: rises as long as the encoders work. */
int64_t resr_segment_gather_progress(const ResrSegmentGather *gather);

/* On rank 0: makes a segment (the caller's) of a SEGMENT message and takes its payload; the message
 * stays the caller's. RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_segment_gather_unpack(ResrSegment **out, ResrMessage *message);

#endif
