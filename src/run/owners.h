#ifndef RESR_RUN_OWNERS_H
#define RESR_RUN_OWNERS_H

#include "ckpt/checkpoint.h"
#include "comm/endpoint.h"
#include "run/io_threads.h"
#include "sched/reorder_buffer.h"
#include "sched/schedule.h"

/* --encode ranks, on rank 0: every segment has an owner, a rank that gathers its frames from those
 * that compute them, encodes it and sends rank 0 the file. A segment is open from its first part
 * until then; rank 0 keeps its decoded frames meanwhile, so that a lost owner's segment can be made
 * anew. Rank 0 itself may be an owner, with the pipeline's encoders. Main thread only. */
typedef struct ResrOwners ResrOwners;

/* What it works with; all must outlive it. */
typedef struct ResrOwnersParts {
    const ResrPlan *plan;
    ResrReorderBuffer *window;
    ResrIoThreads *pipeline;
    const ResrCheckpoint *checkpoint;
    ResrScheduler *scheduler;
    ResrEndpoint *mail; /* NULL: rank 0 is alone */
} ResrOwnersParts;

/* `ranks`: the `n` ranks that compute. RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_owners_create(ResrOwners **out, const ResrOwnersParts *parts,
                                       const int *ranks, int n);
void resr_owners_free(ResrOwners *owners); /* NULL is allowed */

/* A frame from the decoder's thread goes into the window. Of a segment that an earlier attempt has
 * frames of, rank 0 is the owner. */
RESR_MUST_CHECK int resr_owners_take(ResrOwners *owners, ResrFrame *frame);

/* The owner of a part's segment, chosen when it is asked for first: the rank that has fewest. */
int resr_owners_of(ResrOwners *owners, const ResrPart *part);

/* Has `rank` all that it needs to finish a segment? */
bool resr_owners_wait_for(const ResrOwners *owners, int rank);

/* The frames of a result go to their owner: to `owner` by message, or to rank 0's encoders. Leaves
 * the message its header. */
RESR_MUST_CHECK int resr_owners_route(ResrOwners *owners, ResrMessage *result);

/* The frames that `rank` made are at their owner, or on their way there; returns how many of them
 * are new. If their segment has another owner meanwhile they are made again, where `again`. */
int resr_owners_note(ResrOwners *owners, int rank, const ResrWireHeader *header, bool again);

/* A segment's file has come; another one of a segment that is no longer open is dropped. */
RESR_MUST_CHECK int resr_owners_take_segment(ResrOwners *owners, ResrMessage *message);

/* Segments that are on disk now leave the window; true if there were any. */
bool resr_owners_settle(ResrOwners *owners);

/* Once it is known, all ranks are told how many frames the video has. */
RESR_MUST_CHECK int resr_owners_tell_end(ResrOwners *owners, const bool *gone);

/* The open segments of `rank` get other owners and are made again. Of a rank that is `silent` so
 * are the frames of others' segments that it made, since it may not have sent them all. */
void resr_owners_lose(ResrOwners *owners, int rank, bool silent);
RESR_MUST_CHECK int resr_owners_revive(ResrOwners *owners, int rank);

#endif
