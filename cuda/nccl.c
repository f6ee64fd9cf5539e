#include "nccl.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "conv.cuh"

/* Of nccl.h (2.14 to 2.28), which is not installed with the toolkit. */
typedef struct ncclComm *Comm;

typedef struct UniqueId {
    char internal[RESR_CUDA_NCCL_ID_BYTES];
} UniqueId;

typedef enum Result {
    NCCL_SUCCESS = 0,
    NCCL_IN_PROGRESS = 7,
} Result;

enum { NCCL_UINT8 = 1 };

/* ncclConfig_t as 2.14 had it; later versions take what is missing from `size` as not set. */
typedef struct Config {
    size_t size;
    unsigned int magic, version;
    int blocking;
} Config;

static const Config not_blocking = {sizeof(Config), 0xcafebeef, 21400, 0};

typedef struct Library {
    Result (*get_unique_id)(UniqueId *);
    Result (*init)(Comm *, int, UniqueId, int, const Config *);
    Result (*async_error)(Comm, Result *);
    Result (*broadcast)(const void *, void *, size_t, int, int, Comm, cudaStream_t);
    Result (*send)(const void *, size_t, int, int, Comm, cudaStream_t);
    Result (*receive)(void *, size_t, int, int, Comm, cudaStream_t);
    Result (*finalize)(Comm);
    Result (*destroy)(Comm);
    Result (*abort)(Comm);
    const char *(*text)(Result);
} Library;

static Library nccl;

/* Host memory goes through one piece of device memory; small enough to be nothing beside the
 * network, large enough that a piece's latency (some 50 us) does not count. */
enum { PIECE_BYTES = 4 << 20 };

typedef struct Transfer {
    Comm comm;
    cudaStream_t stream;
    void *piece;
    double deadline_s;
} Transfer;

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int fail(Result result, const char *what)
{
    return resr_cuda_fail(RESR_ERR_STOPPED, "NCCL: %s: %s", what, nccl.text(result));
}

static int took_too_long(const char *what)
{
    return resr_cuda_fail(RESR_ERR_STOPPED,
                          "NCCL: %s took too long ($RESR_NCCL_TIMEOUT_S, 60 s); a rank or a link "
                          "is lost; start again, with --transport mpi if it stays so",
                          what);
}

/* Sleeps a little; fails past the deadline. */
static int wait_a_little(const Transfer *transfer, const char *what)
{
    if (now_s() > transfer->deadline_s)
        return took_too_long(what);
    nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    return 0;
}

/* Until the communicator has done what `result` began. */
static int settle(const Transfer *transfer, Result result, const char *what)
{
    int ret = 0;
    while (ret == 0 && result == NCCL_IN_PROGRESS) {
        Result asked = nccl.async_error(transfer->comm, &result);
        if (asked != NCCL_SUCCESS)
            return fail(asked, what);
        if (result == NCCL_IN_PROGRESS)
            ret = wait_a_little(transfer, what);
    }
    return ret < 0 || result == NCCL_SUCCESS ? ret : fail(result, what);
}

/* Until the stream is empty. An error of the communicator is sticky: asked for once more at the
 * end, since a stream may drain without its data. */
static int drain(const Transfer *transfer, const char *what)
{
    Result result = NCCL_SUCCESS;
    cudaError_t state;
    while ((state = cudaStreamQuery(transfer->stream)) == cudaErrorNotReady) {
        Result asked = nccl.async_error(transfer->comm, &result);
        if (asked != NCCL_SUCCESS || (result != NCCL_SUCCESS && result != NCCL_IN_PROGRESS))
            return fail(asked != NCCL_SUCCESS ? asked : result, what);
        int ret = wait_a_little(transfer, what);
        if (ret < 0)
            return ret;
    }
    int ret = resr_cuda_check(state, what);
    return ret < 0 ? ret : settle(transfer, NCCL_IN_PROGRESS, what);
}

static int send_piece(const Transfer *transfer, char *data, size_t bytes, bool root)
{
    static const char what[] = "the broadcast of the weights";
    int ret = 0;
    if (root)
        ret = resr_cuda_check(
            cudaMemcpyAsync(transfer->piece, data, bytes, cudaMemcpyHostToDevice, transfer->stream),
            "uploading weights");
    if (ret == 0)
        ret = settle(transfer,
                     nccl.broadcast(transfer->piece, transfer->piece, bytes, NCCL_UINT8, 0,
                                    transfer->comm, transfer->stream),
                     what);
    if (ret == 0)
        ret = drain(transfer, what);
    if (ret == 0 && !root) /* after the wait: a copy to pageable memory cannot be timed out */
        ret = resr_cuda_check(cudaMemcpy(data, transfer->piece, bytes, cudaMemcpyDeviceToHost),
                              "downloading weights");
    return ret;
}

static int unique_id(unsigned char id[RESR_CUDA_NCCL_ID_BYTES])
{
    UniqueId unique;
    Result result = nccl.get_unique_id(&unique);
    memcpy(id, &unique, sizeof unique);
    return result == NCCL_SUCCESS ? 0 : fail(result, "finding a network to meet on");
}

/* Device memory, a stream and a communicator. Collective. */
static int open_transfer(Transfer *transfer, const unsigned char id[RESR_CUDA_NCCL_ID_BYTES],
                         int ranks, int rank)
{
    UniqueId unique;
    memcpy(&unique, id, sizeof unique);
    int ret = resr_cuda_check(cudaMalloc(&transfer->piece, PIECE_BYTES), "memory for NCCL");
    if (ret == 0)
        ret = resr_cuda_check(cudaStreamCreateWithFlags(&transfer->stream, cudaStreamNonBlocking),
                              "a stream for NCCL");
    return ret < 0
               ? ret
               : settle(transfer, nccl.init(&transfer->comm, ranks, unique, rank, &not_blocking),
                        "the meeting of the ranks");
}

/* An orderly end, or after an error an abort, which frees what waits on the device. */
static void close_transfer(Transfer *transfer, int status)
{
    if (transfer->comm && status == 0 &&
        settle(transfer, nccl.finalize(transfer->comm), "leaving the other ranks") == 0)
        nccl.destroy(transfer->comm);
    else if (transfer->comm)
        nccl.abort(transfer->comm);
    if (transfer->stream)
        cudaStreamDestroy(transfer->stream);
    cudaFree(transfer->piece);
}

static int broadcast(void *data, size_t bytes, const unsigned char id[RESR_CUDA_NCCL_ID_BYTES],
                     int ranks, int rank, double timeout_s)
{
    Transfer transfer = {.deadline_s = now_s() + timeout_s};
    int ret = open_transfer(&transfer, id, ranks, rank);
    for (size_t done = 0; ret == 0 && done < bytes; done += PIECE_BYTES)
        ret = send_piece(&transfer, (char *)data + done,
                         bytes - done < PIECE_BYTES ? bytes - done : PIECE_BYTES, rank == 0);
    close_transfer(&transfer, ret);
    return resr_cuda_device_error(ret);
}

/* Bytes that go one way, piece by piece. */
typedef struct Load {
    struct Load *next;
    int peer;
    char *data;
    size_t bytes, done;
    void *user;
} Load;

typedef enum PieceState {
    PIECE_WAITS,
    PIECE_MOVES,   /* between the devices, from host memory before */
    PIECE_FETCHED, /* to host memory */
} PieceState;

/* All that goes one way, one piece at a time: rank 0 alone sends on the way down and receives on
 * the way up, so that none of two ranks waits for the other. */
typedef struct Way {
    Transfer transfer;
    char *pinned; /* the piece in host memory, where the device can copy while others work */
    Load *first, *last;
    PieceState state;
    size_t bytes; /* of the piece */
} Way;

struct ResrCudaLink {
    bool is_root;
    double timeout_s, polled_s; /* a time; 0: not yet */
    Way ways[2];                /* down, up */
};

static const char moving[] = "moving frames";

static Way *way_of(ResrCudaLink *link, bool outgoing)
{
    return &link->ways[link->is_root == outgoing ? 0 : 1];
}

static int begin_piece(ResrCudaLink *link, Way *way, bool outgoing)
{
    const Load *load = way->first;
    Transfer *transfer = &way->transfer;
    size_t left = load->bytes - load->done;
    int ret = 0;
    way->bytes = left < PIECE_BYTES ? left : PIECE_BYTES;
    transfer->deadline_s = now_s() + link->timeout_s;
    if (outgoing) {
        memcpy(way->pinned, load->data + load->done, way->bytes);
        ret = resr_cuda_check(cudaMemcpyAsync(transfer->piece, way->pinned, way->bytes,
                                              cudaMemcpyHostToDevice, transfer->stream),
                              "uploading frames");
    }
    if (ret < 0)
        return ret;
    Result result = outgoing ? nccl.send(transfer->piece, way->bytes, NCCL_UINT8, load->peer,
                                         transfer->comm, transfer->stream)
                             : nccl.receive(transfer->piece, way->bytes, NCCL_UINT8, load->peer,
                                            transfer->comm, transfer->stream);
    way->state = PIECE_MOVES;
    return result == NCCL_SUCCESS || result == NCCL_IN_PROGRESS ? 0 : fail(result, moving);
}

/* Has the communicator done what it was asked for? 1, or 0 if not yet. */
static int has_settled(const Transfer *transfer)
{
    Result result = NCCL_SUCCESS, asked = nccl.async_error(transfer->comm, &result);
    if (asked != NCCL_SUCCESS || (result != NCCL_SUCCESS && result != NCCL_IN_PROGRESS))
        return fail(asked != NCCL_SUCCESS ? asked : result, moving);
    return result == NCCL_SUCCESS;
}

/* Is the stream empty? 1, or 0 if not yet. */
static int has_drained(const Transfer *transfer)
{
    cudaError_t state = cudaStreamQuery(transfer->stream);
    if (state == cudaErrorNotReady)
        return 0;
    int ret = resr_cuda_check(state, moving);
    return ret < 0 ? ret : 1;
}

/* The piece is where it should be. */
static void end_piece(Way *way, bool outgoing, void **user)
{
    Load *load = way->first;
    if (!outgoing)
        memcpy(load->data + load->done, way->pinned, way->bytes);
    load->done += way->bytes;
    way->state = PIECE_WAITS;
    if (load->done < load->bytes)
        return;
    *user = load->user;
    way->first = load->next;
    if (!way->first)
        way->last = NULL;
    free(load);
}

/* One step; 1 if something was done, 0 if there was nothing to do or to see yet. */
static int step(ResrCudaLink *link, Way *way, bool outgoing, void **user)
{
    Transfer *transfer = &way->transfer;
    if (!way->first)
        return 0;
    if (way->state == PIECE_WAITS)
        return begin_piece(link, way, outgoing) < 0 ? RESR_ERR_STOPPED : 1;
    int settled = has_settled(transfer), ret = has_drained(transfer);
    if (settled < 0 || ret < 0)
        return settled < 0 ? settled : ret;
    if (!settled || !ret)
        return now_s() > transfer->deadline_s ? took_too_long(moving) : 0;
    if (way->state == PIECE_MOVES && !outgoing) {
        way->state = PIECE_FETCHED;
        ret = resr_cuda_check(cudaMemcpyAsync(way->pinned, transfer->piece, way->bytes,
                                              cudaMemcpyDeviceToHost, transfer->stream),
                              "downloading frames");
    } else {
        end_piece(way, outgoing, user);
    }
    return ret < 0 ? ret : 1;
}

/* A process that was stopped for a while has nothing to say of the others yet. */
static void look_at_clock(ResrCudaLink *link)
{
    double now = now_s();
    if (link->polled_s > 0 && now - link->polled_s > link->timeout_s / 2)
        for (int i = 0; i < 2; i++)
            link->ways[i].transfer.deadline_s = now + link->timeout_s;
    link->polled_s = now;
}

/* A few steps each way: the caller has other things to do. */
static int link_poll(ResrCudaLink *link, void **user)
{
    enum { STEPS = 8 };
    int moved = 0;
    *user = NULL;
    look_at_clock(link);
    for (int i = 0; i < 2; i++) {
        bool outgoing = link->is_root == (i == 0);
        int ret = 1;
        for (int n = 0; n < STEPS && ret > 0 && !*user; n++) {
            ret = step(link, &link->ways[i], outgoing, user);
            moved |= ret > 0;
        }
        if (ret < 0)
            return RESR_ERR_STOPPED;
        if (*user)
            return 1;
    }
    return moved;
}

static int link_push(ResrCudaLink *link, int outgoing, int peer, void *data, size_t bytes,
                     void *user)
{
    Way *way = way_of(link, outgoing);
    Load *load = calloc(1, sizeof *load);
    if (!load)
        return resr_cuda_fail(RESR_ERR_INTERNAL, "out of memory");
    *load = (Load){.peer = peer, .data = data, .bytes = bytes, .user = user};
    if (way->last)
        way->last->next = load;
    else
        way->first = load;
    way->last = load;
    return 0;
}

/* By abort: nothing is on its way any more that matters, and nobody has to be waited for. */
static void link_close(ResrCudaLink *link)
{
    if (!link)
        return;
    for (int i = 0; i < 2; i++) {
        Way *way = &link->ways[i];
        close_transfer(&way->transfer, RESR_ERR_STOPPED);
        cudaFreeHost(way->pinned);
        while (way->first) {
            Load *next = way->first->next;
            free(way->first);
            way->first = next;
        }
    }
    free(link);
}

/* A byte to or from every peer: connections are made, and their memory taken, by the first one. */
static int greet(const ResrCudaLink *link, int ranks)
{
    static const char what[] = "the meeting of the devices";
    int ret = 0;
    for (int i = 0; ret == 0 && i < 2; i++) {
        const Transfer *transfer = &link->ways[i].transfer;
        bool outgoing = link->is_root == (i == 0);
        for (int peer = link->is_root; ret == 0 && peer < (link->is_root ? ranks : 1); peer++) {
            Result result = outgoing ? nccl.send(transfer->piece, 1, NCCL_UINT8, peer,
                                                 transfer->comm, transfer->stream)
                                     : nccl.receive(transfer->piece, 1, NCCL_UINT8, peer,
                                                    transfer->comm, transfer->stream);
            if (result != NCCL_SUCCESS && result != NCCL_IN_PROGRESS)
                return fail(result, what);
            for (int n = 0; ret == 0 && n < 2; n++) /* taken by the communicator, then done */
                ret = drain(transfer, what);
        }
    }
    return ret;
}

static int link_open(ResrCudaLink **out, const unsigned char ids[2][RESR_CUDA_NCCL_ID_BYTES],
                     int ranks, int rank, double timeout_s)
{
    ResrCudaLink *link = calloc(1, sizeof *link);
    int ret = link ? 0 : resr_cuda_fail(RESR_ERR_INTERNAL, "out of memory");
    for (int i = 0; ret == 0 && i < 2; i++) {
        Way *way = &link->ways[i];
        link->is_root = rank == 0;
        link->timeout_s = timeout_s;
        way->transfer.deadline_s = now_s() + timeout_s;
        ret = resr_cuda_check(cudaMallocHost((void **)&way->pinned, PIECE_BYTES), "pinned memory");
        if (ret == 0)
            ret = open_transfer(&way->transfer, ids[i], ranks, rank);
    }
    if (ret == 0)
        ret = greet(link, ranks);
    if (ret < 0) {
        link_close(link);
        link = NULL;
    }
    *out = link;
    return resr_cuda_device_error(ret);
}

const ResrCudaNccl *resr_cuda_nccl(void)
{
    static const ResrCudaNccl table = {unique_id, broadcast, link_open,
                                       link_push, link_poll, link_close};
    static const char *const symbols[] = {"ncclGetUniqueId",
                                          "ncclCommInitRankConfig",
                                          "ncclCommGetAsyncError",
                                          "ncclBroadcast",
                                          "ncclSend",
                                          "ncclRecv",
                                          "ncclCommFinalize",
                                          "ncclCommDestroy",
                                          "ncclCommAbort",
                                          "ncclGetErrorString"};
    _Static_assert(sizeof nccl == sizeof symbols, "an entry point for each symbol");
    const char *name = getenv("RESR_NCCL");
    if (!name || !name[0])
        name = "libnccl.so.2";
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        resr_cuda_fail(RESR_ERR_DEVICE, "--transport nccl: %s; --transport mpi does without",
                       dlerror());
        return NULL;
    }
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        void *symbol = dlsym(library, symbols[i]);
        if (!symbol) {
            resr_cuda_fail(RESR_ERR_DEVICE, "--transport nccl: %s has no %s; NCCL 2.14 is needed",
                           name, symbols[i]);
            return NULL;
        }
        memcpy((char *)&nccl + i * sizeof symbol, &symbol, sizeof symbol);
    }
    return &table;
}
