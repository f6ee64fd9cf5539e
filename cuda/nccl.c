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

/* Sleeps a little; fails past the deadline. */
static int wait_a_little(const Transfer *transfer, const char *what)
{
    if (now_s() > transfer->deadline_s)
        return resr_cuda_fail(RESR_ERR_STOPPED,
                              "NCCL: %s took too long ($RESR_NCCL_TIMEOUT_S, 60 s); a rank or a "
                              "link is lost; start again, with --transport mpi if it stays so",
                              what);
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

/* An orderly end, or after an error an abort, which frees what waits on the device. */
static void close_transfer(Transfer *transfer, int status)
{
    if (transfer->comm && status == 0 &&
        settle(transfer, nccl.finalize(transfer->comm), "the end of the broadcast") == 0)
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
    UniqueId unique;
    memcpy(&unique, id, sizeof unique);
    int ret = resr_cuda_check(cudaMalloc(&transfer.piece, PIECE_BYTES), "memory for NCCL");
    if (ret == 0)
        ret = resr_cuda_check(cudaStreamCreateWithFlags(&transfer.stream, cudaStreamNonBlocking),
                              "a stream for NCCL");
    if (ret == 0)
        ret = settle(&transfer, nccl.init(&transfer.comm, ranks, unique, rank, &not_blocking),
                     "the meeting of the ranks");
    for (size_t done = 0; ret == 0 && done < bytes; done += PIECE_BYTES)
        ret = send_piece(&transfer, (char *)data + done,
                         bytes - done < PIECE_BYTES ? bytes - done : PIECE_BYTES, rank == 0);
    close_transfer(&transfer, ret);
    return ret;
}

const ResrCudaNccl *resr_cuda_nccl(void)
{
    static const ResrCudaNccl table = {unique_id, broadcast};
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
