/* The broadcast of weights by NCCL, from rank 0's device to the others.
 *
 * NCCL is opened at run time (resr_cuda_nccl); its types are declared here, since the toolkit has
 * no nccl.h. A broadcast opens a communicator of its own (open_transfer), sends the weights in
 * pieces (send_piece: host memory to device, NCCL, device to host memory) and closes it.
 * Communicators do not block: each call of NCCL is polled until it completes (settle, drain) or the
 * deadline passes, after which the communicator is aborted. A lost rank thus ends the start instead
 * of hanging it. */
#include "nccl.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "conv.cuh"

/* Declarations of nccl.h, the same from 2.14 to 2.28. */
typedef struct ncclComm *Comm;

typedef struct UniqueId {
    char internal[RESR_CUDA_NCCL_ID_BYTES];
} UniqueId;

typedef enum Result {
    NCCL_SUCCESS = 0,
    NCCL_IN_PROGRESS = 7,
} Result;

enum { NCCL_UINT8 = 1 };

/* ncclConfig_t of 2.14. Later versions treat fields beyond `size` as not set. */
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
    Result (*finalize)(Comm);
    Result (*destroy)(Comm);
    Result (*abort)(Comm);
    const char *(*text)(Result);
} Library;

static Library nccl;

/* Size of the staging buffer on the device: small beside the network, and large enough that the
 * latency of a piece (about 50 us) does not matter. */
enum { PIECE_BYTES = 4 << 20 };

typedef struct Transfer {
    Comm comm;
    cudaStream_t stream;
    void *piece; /* [PIECE_BYTES], on the device */
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

/* Sleeps for a tenth of a millisecond. RESR_ERR_STOPPED once the deadline has passed. */
static int wait_briefly(const Transfer *transfer, const char *what)
{
    if (now_s() > transfer->deadline_s)
        return resr_cuda_fail(RESR_ERR_STOPPED,
                              "NCCL: %s took too long ($RESR_NCCL_TIMEOUT_S, 60 s); a rank or a "
                              "link is lost; start again, with --transport mpi if it fails again",
                              what);
    nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    return 0;
}

/* Waits until the operation that returned `result` is complete. */
static int settle(const Transfer *transfer, Result result, const char *what)
{
    int ret = 0;
    while (ret == 0 && result == NCCL_IN_PROGRESS) {
        Result asked = nccl.async_error(transfer->comm, &result);
        if (asked != NCCL_SUCCESS)
            return fail(asked, what);
        if (result == NCCL_IN_PROGRESS)
            ret = wait_briefly(transfer, what);
    }
    return ret < 0 || result == NCCL_SUCCESS ? ret : fail(result, what);
}

/* Waits until the stream is empty. The communicator's error is sticky and is read once more at the
 * end, since a stream may drain without its data having arrived. */
static int drain(const Transfer *transfer, const char *what)
{
    Result result = NCCL_SUCCESS;
    cudaError_t state;
    while ((state = cudaStreamQuery(transfer->stream)) == cudaErrorNotReady) {
        Result asked = nccl.async_error(transfer->comm, &result);
        if (asked != NCCL_SUCCESS || (result != NCCL_SUCCESS && result != NCCL_IN_PROGRESS))
            return fail(asked != NCCL_SUCCESS ? asked : result, what);
        int ret = wait_briefly(transfer, what);
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
    if (ret == 0 && !root) /* after drain(): a copy to pageable memory has no timeout */
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

/* Allocates device memory, a stream and a communicator. Collective. */
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

/* Finalizes the communicator, or after an error aborts it, which discards pending operations. */
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

const ResrCudaNccl *resr_cuda_nccl(void)
{
    static const ResrCudaNccl table = {.unique_id = unique_id, .broadcast = broadcast};
    /* in the order of Library */
    static const char *const symbols[] = {"ncclGetUniqueId",       "ncclCommInitRankConfig",
                                          "ncclCommGetAsyncError", "ncclBroadcast",
                                          "ncclCommFinalize",      "ncclCommDestroy",
                                          "ncclCommAbort",         "ncclGetErrorString"};
    _Static_assert(sizeof nccl == sizeof symbols, "an entry point for each symbol");
    const char *name = getenv("RESR_NCCL");
    if (!name || !name[0])
        name = "libnccl.so.2";
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        resr_cuda_fail(RESR_ERR_DEVICE, "--transport nccl: %s; --transport mpi needs no NCCL",
                       dlerror());
        return NULL;
    }
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        void *symbol = dlsym(library, symbols[i]);
        if (!symbol) {
            resr_cuda_fail(RESR_ERR_DEVICE,
                           "--transport nccl: %s has no symbol %s; install NCCL 2.14 or later",
                           name, symbols[i]);
            return NULL;
        }
        memcpy((char *)&nccl + i * sizeof symbol, &symbol, sizeof symbol);
    }
    return &table;
}
