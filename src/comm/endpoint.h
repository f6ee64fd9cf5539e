#ifndef RESR_COMM_ENDPOINT_H
#define RESR_COMM_ENDPOINT_H

#include <stdbool.h>

#include "comm/wire.h"
#include "job/plan.h"

/* Non-blocking exchange of messages with other ranks. Only the main thread uses it, as
 * MPI_THREAD_FUNNELED demands; MPI moves data only while resr_endpoint_poll() is called. Messages
 * of one peer arrive in the order in which they were sent. MPI's own errors abort the job
 * (MPI_ERRORS_ARE_FATAL). */
typedef struct ResrEndpoint ResrEndpoint;

/* Opens the exchange with ranks first_peer .. last_peer (self left out), each of which must do the
 * same. `plan` says what frames look like. Collective. */
RESR_MUST_CHECK int resr_endpoint_create(ResrEndpoint **out, int first_peer, int last_peer,
                                         const ResrPlan *plan);

/* Sends and frees `message` (sealed here), also on failure. RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_endpoint_send(ResrEndpoint *endpoint, int rank, ResrMessage *message);

/* Moves things on. *out: a message that has arrived whole (the caller's), from *rank, or NULL.
 * After STOP and BYE nothing more is received from that peer. RESR_ERR_DATA for a damaged message:
 * the exchange is then of no use any more, since nobody knows what follows. */
RESR_MUST_CHECK int resr_endpoint_poll(ResrEndpoint *endpoint, ResrMessage **out, int *rank);

/* True while something was moved by the last poll or is queued for the caller. */
bool resr_endpoint_active(const ResrEndpoint *endpoint);

/* Bytes of frames and segments that went out and came in so far. NULL: none. */
void resr_endpoint_bytes(const ResrEndpoint *endpoint, int64_t *out, int64_t *in);

/* True while messages are on their way, in or out, as far as this rank knows. NULL: false. */
bool resr_endpoint_moving(const ResrEndpoint *endpoint);

/* Sends on their way. */
int resr_endpoint_sending(const ResrEndpoint *endpoint);

/* Parts on their way to or from `rank`: MPI has not taken, or brought, all of their frames. */
int resr_endpoint_in_flight(const ResrEndpoint *endpoint, int rank);

/* Frees the exchange. All messages must have been sent, and all peers have said STOP or BYE or send
 * nothing more. NULL is allowed. */
void resr_endpoint_free(ResrEndpoint *endpoint);

#endif
