/* Messages over MPI.
 *
 * A message is a header, then its buffers in pieces of at most RESR_MESSAGE_PIECE_BYTES; all pieces
 * of one pair of ranks have one tag, so that MPI's order of messages gives the order of the pieces.
 *
 *   send     posts the header and all pieces; the message is freed when MPI has taken everything
 *   receive  one header request is always posted for each peer. When a header arrives, it is
 *            checked (resr_message_check()), its buffers are allocated and their requests posted.
 *            When these are complete, the message is queued and the next header request posted:
 *            messages of a peer arrive one after the other
 *   poll     MPI_Testsome() over all requests, which are kept dense in one array; then hands out
 *            one queued message
 *
 * After STOP or BYE no header request is posted: the peer sends nothing more. */

#include "comm/endpoint.h"

#include <assert.h>
#include <mpi.h>
#include <stdlib.h>
#include <string.h>

#include "base/events.h"
#include "base/memory.h"

/* Tags on MPI_COMM_WORLD, which collective operations do not use. Creating a separate communicator
 * would be another collective call that a hung rank can block. */
enum { TAG_HEADER = 1, TAG_PIECE = 2 };

/* A message being sent or received, and the number of its incomplete requests. */
typedef struct Transfer {
    ResrMessage *message;
    int rank;
    int pending;
    bool outgoing;
    bool has_header;  /* incoming: the header has arrived and the frames are in flight */
    int64_t start_ns; /* of the frames, for --trace */
    struct Transfer *next;
} Transfer;

struct ResrEndpoint {
    ResrFormat work, result; /* of frames that arrive */
    int sending;
    int *in_flight; /* by rank: parts */
    int parts;      /* sum of in_flight */
    int64_t bytes_out, bytes_in;
    bool moved;
    int length; /* of the arrays below, kept dense for MPI_Testsome */
    size_t capacity;
    MPI_Request *requests;
    Transfer **transfers;
    int *completed;
    Transfer *first, *last; /* queue of messages that have arrived */
};

static int reserve(ResrEndpoint *endpoint, int more)
{
    void *arrays[] = {&endpoint->requests, &endpoint->transfers, &endpoint->completed};
    const size_t sizes[] = {sizeof *endpoint->requests, sizeof *endpoint->transfers,
                            sizeof *endpoint->completed};
    size_t capacity = endpoint->capacity;
    int ret = 0;
    for (int i = 0; ret == 0 && i < 3; i++) {
        capacity = endpoint->capacity; /* of each array at least */
        ret = resr_grow_by(arrays[i], &capacity, (size_t)endpoint->length, (size_t)more, sizes[i]);
    }
    if (ret == 0)
        endpoint->capacity = capacity;
    return ret;
}

/* Adds a request of `transfer`; call after reserve(). */
static MPI_Request *add_request(ResrEndpoint *endpoint, Transfer *transfer)
{
    endpoint->transfers[endpoint->length] = transfer;
    transfer->pending++;
    return &endpoint->requests[endpoint->length++];
}

/* Adds `change` (+1 when a transfer starts, -1 when it completes) to the peer's count of parts in
 * flight. */
static void count_part(ResrEndpoint *endpoint, Transfer *transfer, int change)
{
    const ResrWireHeader *header = &transfer->message->header;
    if (!resr_wire_has_payload(header->kind))
        return;
    endpoint->in_flight[transfer->rank] += change;
    assert(endpoint->in_flight[transfer->rank] >= 0);
    endpoint->parts += change;
    if (change < 0)
        *(transfer->outgoing ? &endpoint->bytes_out : &endpoint->bytes_in) +=
            (int64_t)header->frame_bytes * header->part.count;
    if (change > 0)
        transfer->start_ns = resr_events_now();
    else
        resr_events_add(
            &(ResrEvent){.start_ns = transfer->start_ns,
                         .end_ns = resr_events_now(),
                         .first = header->part.first,
                         .frames = header->kind == RESR_WIRE_SEGMENT ? (int)header->progress
                                                                     : header->part.count,
                         .bytes = (int64_t)header->frame_bytes * header->part.count,
                         .peer = transfer->rank,
                         .attempt = header->part.attempt,
                         .stage = transfer->outgoing ? RESR_STAGE_SEND : RESR_STAGE_RECEIVE});
}

static size_t piece_count(const ResrWireHeader *header)
{
    if (!resr_wire_has_payload(header->kind))
        return 0;
    return (header->frame_bytes + RESR_MESSAGE_PIECE_BYTES - 1) / RESR_MESSAGE_PIECE_BYTES;
}

/* Requests for all pieces of all frames. */
static int request_count(const ResrWireHeader *header)
{
    return (int)piece_count(header) * header->part.count;
}

/* Posts the requests for all pieces of all frames; call after reserve(). */
static void start_pieces(ResrEndpoint *endpoint, Transfer *transfer)
{
    const ResrWireHeader *header = &transfer->message->header;
    int count = request_count(header) > 0 ? header->part.count : 0;
    count_part(endpoint, transfer, 1);
    for (int i = 0; i < count; i++) {
        uint8_t *data = transfer->message->frames[i]->data;
        size_t left = header->frame_bytes;
        while (left > 0) {
            int bytes = (int)(left < RESR_MESSAGE_PIECE_BYTES ? left : RESR_MESSAGE_PIECE_BYTES);
            MPI_Request *request = add_request(endpoint, transfer);
            if (transfer->outgoing)
                MPI_Isend(data, bytes, MPI_BYTE, transfer->rank, TAG_PIECE, MPI_COMM_WORLD,
                          request);
            else
                MPI_Irecv(data, bytes, MPI_BYTE, transfer->rank, TAG_PIECE, MPI_COMM_WORLD,
                          request);
            data += bytes;
            left -= (size_t)bytes;
        }
    }
}

/* Posts the request for the next header from `rank`. */
static int post_header(ResrEndpoint *endpoint, int rank)
{
    Transfer *transfer = NULL;
    int ret = resr_alloc(&transfer, 1, sizeof *transfer);
    if (ret == 0)
        ret = resr_message_create(&transfer->message, RESR_WIRE_BYE);
    if (ret == 0)
        ret = reserve(endpoint, 1);
    if (ret < 0) {
        if (transfer)
            resr_message_free(transfer->message);
        free(transfer);
        return ret;
    }
    transfer->rank = rank;
    MPI_Irecv(&transfer->message->header, sizeof(ResrWireHeader), MPI_BYTE, rank, TAG_HEADER,
              MPI_COMM_WORLD, add_request(endpoint, transfer));
    return 0;
}

int resr_endpoint_create(ResrEndpoint **out, int first_peer, int last_peer, const ResrPlan *plan)
{
    int self;
    int ret = resr_alloc(out, 1, sizeof **out);
    if (ret < 0)
        return ret;
    (*out)->work = plan->input;
    (*out)->result = plan->output;
    MPI_Comm_rank(MPI_COMM_WORLD, &self);
    ret = resr_alloc(&(*out)->in_flight, (size_t)last_peer + 1, sizeof *(*out)->in_flight);
    for (int rank = first_peer; rank <= last_peer && ret == 0; rank++)
        if (rank != self)
            ret = post_header(*out, rank);
    return ret;
}

int resr_endpoint_send(ResrEndpoint *endpoint, int rank, ResrMessage *message)
{
    Transfer *transfer = NULL;
    resr_message_seal(message);
    int ret = resr_alloc(&transfer, 1, sizeof *transfer);
    if (ret == 0)
        ret = reserve(endpoint, 1 + request_count(&message->header));
    if (ret < 0) {
        free(transfer);
        resr_message_free(message);
        return ret;
    }
    *transfer = (Transfer){.message = message, .rank = rank, .outgoing = true};
    endpoint->sending++;
    MPI_Isend(&message->header, sizeof message->header, MPI_BYTE, rank, TAG_HEADER, MPI_COMM_WORLD,
              add_request(endpoint, transfer));
    start_pieces(endpoint, transfer);
    return 0;
}

/* Checks a header that has arrived, allocates its frames and posts their requests. */
static int receive_frames(ResrEndpoint *endpoint, Transfer *transfer)
{
    ResrMessage *message = transfer->message;
    const ResrFormat *format =
        message->header.kind == RESR_WIRE_WORK ? &endpoint->work : &endpoint->result;
    int ret = resr_message_check(message, format);
    if (ret < 0)
        return resr_fail_prefix(ret, "from rank %d: ", transfer->rank);
    transfer->has_header = true;
    if (!resr_wire_has_payload(message->header.kind))
        return 0;
    for (int i = 0; i < message->header.part.count; i++) {
        const ResrWireFrame *wire = &message->header.frames[i];
        ret = message->header.kind == RESR_WIRE_SEGMENT
                  ? resr_frame_create_raw(&message->frames[i], message->header.frame_bytes)
                  : resr_frame_create(&message->frames[i], format);
        if (ret < 0)
            return ret;
        message->frames[i]->index = wire->index;
        message->frames[i]->pts = wire->pts;
        message->frames[i]->duration = wire->duration;
        memcpy(message->frames[i]->hash, wire->hash, sizeof wire->hash);
    }
    ret = reserve(endpoint, request_count(&message->header));
    if (ret == 0)
        start_pieces(endpoint, transfer);
    return ret;
}

/* Finishes a transfer whose requests are complete. */
static int complete(ResrEndpoint *endpoint, Transfer *transfer)
{
    if (transfer->outgoing) {
        endpoint->sending--;
        count_part(endpoint, transfer, -1);
        resr_message_free(transfer->message);
        free(transfer);
        return 0;
    }
    if (!transfer->has_header) {
        int ret = receive_frames(endpoint, transfer);
        if (ret < 0 || transfer->pending > 0)
            return ret;
    }
    count_part(endpoint, transfer, -1);
    transfer->next = NULL;
    if (endpoint->last)
        endpoint->last->next = transfer;
    else
        endpoint->first = transfer;
    endpoint->last = transfer;
    int kind = transfer->message->header.kind;
    return kind == RESR_WIRE_STOP || kind == RESR_WIRE_BYE ? 0
                                                           : post_header(endpoint, transfer->rank);
}

static int by_descending(const void *a, const void *b)
{
    return *(const int *)b - *(const int *)a;
}

int resr_endpoint_poll(ResrEndpoint *endpoint, ResrMessage **out, int *rank)
{
    int n = 0, ret = 0;
    *out = NULL;
    if (endpoint->length > 0)
        MPI_Testsome(endpoint->length, endpoint->requests, &n, endpoint->completed,
                     MPI_STATUSES_IGNORE);
    if (n == MPI_UNDEFINED)
        n = 0;
    endpoint->moved = n > 0;
    /* From the back, so that the last request, which fills a hole, is never a completed one. New
     * requests are added only after all holes are filled. */
    qsort(endpoint->completed, (size_t)n, sizeof *endpoint->completed, by_descending);
    Transfer *finished = NULL;
    for (int i = 0; i < n; i++) {
        int slot = endpoint->completed[i];
        Transfer *transfer = endpoint->transfers[slot];
        endpoint->length--;
        endpoint->requests[slot] = endpoint->requests[endpoint->length];
        endpoint->transfers[slot] = endpoint->transfers[endpoint->length];
        if (--transfer->pending == 0) {
            transfer->next = finished;
            finished = transfer;
        }
    }
    while (finished) {
        Transfer *next = finished->next;
        int status = complete(endpoint, finished);
        if (ret == 0)
            ret = status;
        finished = next;
    }
    if (ret == 0 && endpoint->first) {
        Transfer *transfer = endpoint->first;
        endpoint->first = transfer->next;
        if (!endpoint->first)
            endpoint->last = NULL;
        *out = transfer->message;
        *rank = transfer->rank;
        free(transfer);
    }
    return ret;
}

int resr_endpoint_in_flight(const ResrEndpoint *endpoint, int rank)
{
    return endpoint->in_flight[rank];
}

void resr_endpoint_bytes(const ResrEndpoint *endpoint, int64_t *out, int64_t *in)
{
    *out = endpoint ? endpoint->bytes_out : 0;
    *in = endpoint ? endpoint->bytes_in : 0;
}

bool resr_endpoint_moving(const ResrEndpoint *endpoint)
{
    return endpoint && (endpoint->sending > 0 || endpoint->parts > 0);
}

bool resr_endpoint_active(const ResrEndpoint *endpoint)
{
    return endpoint->moved || endpoint->first;
}

int resr_endpoint_sending(const ResrEndpoint *endpoint)
{
    return endpoint->sending;
}

void resr_endpoint_free(ResrEndpoint *endpoint)
{
    if (!endpoint)
        return;
    while (endpoint->first) {
        Transfer *next = endpoint->first->next;
        resr_message_free(endpoint->first->message);
        free(endpoint->first);
        endpoint->first = next;
    }
    for (int i = 0; i < endpoint->length; i++) { /* of peers that send nothing more */
        MPI_Cancel(&endpoint->requests[i]);
        MPI_Wait(&endpoint->requests[i], MPI_STATUS_IGNORE);
        resr_message_free(endpoint->transfers[i]->message);
        free(endpoint->transfers[i]);
    }
    free(endpoint->in_flight);
    free(endpoint->requests);
    free(endpoint->transfers);
    free(endpoint->completed);
    free(endpoint);
}
