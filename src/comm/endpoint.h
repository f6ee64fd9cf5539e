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

/* Opens the exchange with ranks first_peer .. last_peer except this rank; each of them must do the
 * same. `plan`: the formats of frames. Does not block. RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_endpoint_create(ResrEndpoint **out, int first_peer, int last_peer,
                                         const ResrPlan *plan);

/* Sends and frees `message` (sealed here), also on failure. RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_endpoint_send(ResrEndpoint *endpoint, int rank, ResrMessage *message);

/* Advances all transfers. *out: a complete message (the caller's) from *rank, or NULL. After STOP
 * or BYE nothing more is received from that peer. RESR_ERR_DATA for a damaged header: the exchange
 * must end, because the length of the rest of the message is unknown. */
RESR_MUST_CHECK int resr_endpoint_poll(ResrEndpoint *endpoint, ResrMessage **out, int *rank);

/* True if the last poll completed a request, or messages are queued for the caller. */
bool resr_endpoint_active(const ResrEndpoint *endpoint);

/* Bytes of frames and segments sent and received so far. NULL: none. */
void resr_endpoint_bytes(const ResrEndpoint *endpoint, int64_t *out, int64_t *in);

/* True while this rank sends a message or receives the frames of one. NULL: false. */
bool resr_endpoint_moving(const ResrEndpoint *endpoint);

/* Number of messages that MPI has not taken completely. */
int resr_endpoint_sending(const ResrEndpoint *endpoint);

/* Parts whose frames are being transferred to or from `rank`. */
int resr_endpoint_in_flight(const ResrEndpoint *endpoint, int rank);

/* Closes the exchange. All messages must have been sent, and no peer may send any more. NULL is
 * allowed. */
void resr_endpoint_free(ResrEndpoint *endpoint);

#endif
