#ifndef RESR_MPI_GATHER_H
#define RESR_MPI_GATHER_H

#include "job/plan.h"
#include "mpi/compute.h"
#include "mpi/mail.h"

/* --encode ranks, on a worker: results of the segments that it owns come together here, from itself
 * and from others, are encoded, and go to rank 0 as finished files. Main thread only. */
typedef struct ResrGather ResrGather;

/* `plan` must outlive it. Errors of resr_encoders_start(). */
RESR_MUST_CHECK int resr_gather_start(ResrGather **out, const ResrPlan *plan);
void resr_gather_free(ResrGather *gather); /* NULL is allowed */

/* A result that this rank has made: rank 0 hears of it, the frames go to their owner, which may be
 * this rank. Takes the message over. */
RESR_MUST_CHECK int resr_gather_route(ResrGather *gather, ResrMail *mail, ResrMessage *result);

/* A result that another rank has made; taken over. */
void resr_gather_take(ResrGather *gather, ResrMessage *result);

/* The video has so many frames. */
void resr_gather_end(ResrGather *gather, int64_t frames);

/* Sends what is finished, or what failed. */
RESR_MUST_CHECK int resr_gather_send(ResrGather *gather, ResrMail *mail);

/* Grows while it gets on: packets. */
int64_t resr_gather_progress(const ResrGather *gather);

/* On rank 0: the segment that a message brought (the message stays the caller's, without its
 * payload). RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_gather_unpack(ResrSegment **out, ResrMessage *message);

/* On every rank: tells rank 0 that a part is done whose frames go elsewhere. */
RESR_MUST_CHECK int resr_gather_tell_done(ResrMail *mail, const ResrMessage *result);

#endif
