/* Test double of NCCL between emulated devices of one machine: the entry points that cuda/nccl.c
 * uses, over shared memory and in stream order. Communicators do not block: they are in progress
 * until all ranks have joined. Says nothing about the library's own behaviour, networks and speed.
 *
 * $RESR_FAKE_NCCL selects a fault:
 *   hang     the ranks never meet
 *   error    a broadcast ends with a remote error
 *   corrupt  a byte arrives changed
 *   leave    rank 1 fails at once, the others wait for it
 */
#include <cuda_runtime_api.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define API __attribute__((visibility("default")))

enum { SUCCESS = 0, SYSTEM_ERROR = 2, INVALID_ARGUMENT = 4, REMOTE_ERROR = 6, IN_PROGRESS = 7 };
enum { ROOM_BYTES = 8 << 20, PATIENCE_MS = 20000 };

typedef struct UniqueId {
    char name[128];
} UniqueId;

/* Memory that the ranks share. */
typedef struct Room {
    atomic_int joined; /* ranks */
    atomic_int sent;   /* pieces */
    atomic_int taken;  /* pieces, counted once for each receiving rank */
    char data[ROOM_BYTES];
} Room;

typedef struct Comm {
    Room *room;
    char name[128];
    int rank, ranks, pieces;
    atomic_int error;
    int device;
} Comm;

typedef struct Piece {
    Comm *comm;
    const char *from;
    char *to;
    size_t bytes;
    int number;
} Piece;

int ncclGetUniqueId(UniqueId *id);
int ncclCommInitRankConfig(Comm **out, int ranks, UniqueId id, int rank, const void *config);
int ncclCommGetAsyncError(Comm *comm, int *result);
int ncclBroadcast(const void *from, void *to, size_t count, int type, int root, Comm *comm,
                  cudaStream_t stream);
int ncclCommFinalize(Comm *comm);
int ncclCommDestroy(Comm *comm);
int ncclCommAbort(Comm *comm);
const char *ncclGetErrorString(int result);

static int has_fault(const char *fault)
{
    const char *set = getenv("RESR_FAKE_NCCL");
    return set && strcmp(set, fault) == 0;
}

API int ncclGetUniqueId(UniqueId *id)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    memset(id, 0, sizeof *id);
    snprintf(id->name, sizeof id->name, "/resr-nccl-%ld-%ld", (long)getpid(), now.tv_nsec);
    return SUCCESS;
}

API int ncclCommInitRankConfig(Comm **out, int ranks, UniqueId id, int rank, const void *config)
{
    static const struct {
        size_t size;
        unsigned magic, version;
        int blocking;
    } expected = {24, 0xcafebeef, 21400, 0};
    if (!config || memcmp(config, &expected, 20) != 0 || rank < 0 || rank >= ranks)
        return INVALID_ARGUMENT;
    if (has_fault("leave") && rank == 1)
        return SYSTEM_ERROR;
    Comm *comm = calloc(1, sizeof *comm);
    int file = shm_open(id.name, O_CREAT | O_RDWR, 0600);
    if (!comm || file < 0 || ftruncate(file, sizeof(Room)) != 0)
        return SYSTEM_ERROR;
    comm->room = mmap(NULL, sizeof(Room), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (comm->room == MAP_FAILED || cudaGetDevice(&comm->device) != cudaSuccess)
        return SYSTEM_ERROR;
    comm->rank = rank;
    comm->ranks = ranks;
    memcpy(comm->name, id.name, sizeof comm->name);
    atomic_fetch_add(&comm->room->joined, 1);
    *out = comm;
    return IN_PROGRESS;
}

API int ncclCommGetAsyncError(Comm *comm, int *result)
{
    if (atomic_load(&comm->room->joined) < comm->ranks || has_fault("hang"))
        *result = IN_PROGRESS;
    else
        *result = comm->error;
    return SUCCESS;
}

/* Waits until *count reaches `wanted`; 0 after PATIENCE_MS. */
static int await(atomic_int *count, int wanted)
{
    for (int ms = 0; ms < PATIENCE_MS; ms++) {
        if (atomic_load(count) >= wanted)
            return 1;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return 0;
}

static void CUDART_CB move(void *data)
{
    Piece *piece = data;
    Comm *comm = piece->comm;
    Room *room = comm->room;
    int others = comm->ranks - 1;
    if (comm->rank == 0) {
        if (!await(&room->taken, (piece->number - 1) * others))
            comm->error = REMOTE_ERROR;
        memcpy(room->data, piece->from, piece->bytes);
        atomic_store(&room->sent, piece->number);
    } else if (await(&room->sent, piece->number)) {
        memcpy(piece->to, room->data, piece->bytes);
        if (has_fault("corrupt"))
            piece->to[piece->bytes / 2] ^= 1;
        atomic_fetch_add(&room->taken, 1);
    } else {
        comm->error = REMOTE_ERROR;
    }
    if (has_fault("error"))
        comm->error = REMOTE_ERROR;
    free(piece);
}

/* True if the first and the last byte of the block lie on the communicator's device. */
static int on_device(const Comm *comm, const char *first, size_t bytes)
{
    struct cudaPointerAttributes a, b;
    return cudaPointerGetAttributes(&a, first) == cudaSuccess && a.type == cudaMemoryTypeDevice &&
           a.device == comm->device &&
           cudaPointerGetAttributes(&b, first + bytes - 1) == cudaSuccess &&
           b.type == cudaMemoryTypeDevice;
}

API int ncclBroadcast(const void *from, void *to, size_t count, int type, int root, Comm *comm,
                      cudaStream_t stream)
{
    if (type != 1 || root != 0 || count == 0 || count > ROOM_BYTES ||
        !on_device(comm, from, count) || !on_device(comm, to, count))
        return INVALID_ARGUMENT;
    if (atomic_load(&comm->room->joined) < comm->ranks)
        return INVALID_ARGUMENT; /* the caller has to wait until the ranks have met */
    Piece *piece = malloc(sizeof *piece);
    if (!piece)
        return SYSTEM_ERROR;
    *piece = (Piece){comm, from, to, count, ++comm->pieces};
    return cudaLaunchHostFunc(stream, move, piece) == cudaSuccess ? SUCCESS : SYSTEM_ERROR;
}

API int ncclCommFinalize(Comm *comm)
{
    return comm->error;
}

API int ncclCommDestroy(Comm *comm)
{
    shm_unlink(comm->name); /* succeeds on one rank */
    munmap(comm->room, sizeof(Room));
    free(comm);
    return SUCCESS;
}

API int ncclCommAbort(Comm *comm)
{
    return ncclCommDestroy(comm);
}

API const char *ncclGetErrorString(int result)
{
    return result == REMOTE_ERROR   ? "remote process exited or there was a network error"
           : result == SYSTEM_ERROR ? "unhandled system error"
                                    : "invalid argument";
}
