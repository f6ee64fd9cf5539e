/* A stand-in for NCCL between emulated devices of one machine: the entry points that cuda/nccl.c
 * uses, over shared memory, in stream order. Communicators do not block: they are in progress until
 * all ranks have come. What it cannot tell: the library's own behaviour, its networks and its
 * speed.
 *
 * RESR_NCCL_DOUBLE=hang: the ranks never meet. =error: a broadcast ends with a remote error.
 * =corrupt: a byte arrives changed. =leave: rank 1 fails at once, the others wait for it. =stall:
 * what is sent from rank to rank does not arrive; =sever: it ends with a remote error; =alter: a
 * byte of it arrives changed. */
#include <cuda_runtime_api.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define API __attribute__((visibility("default")))

enum { SUCCESS = 0, SYSTEM_ERROR = 2, INVALID_ARGUMENT = 4, REMOTE_ERROR = 6, IN_PROGRESS = 7 };
enum { ROOM_BYTES = 8 << 20, PATIENCE_MS = 20000, MOST_RANKS = 4 };

typedef struct UniqueId {
    char name[128];
} UniqueId;

/* What the ranks share: `sent` counts pieces, `taken` how often one was taken. */
typedef struct Room {
    atomic_int joined, sent, taken;
    char data[ROOM_BYTES];
    struct Box {
        atomic_int full;
        char data[ROOM_BYTES];
    } boxes[MOST_RANKS][MOST_RANKS]; /* from rank, to rank */
} Room;

typedef struct Comm {
    Room *room;
    char name[128];
    int rank, ranks, pieces;
    atomic_int error, under_way; /* sends and receives that have not moved */
    int device;
    pthread_t
        mover; /* moves them, one after the other, so that the emulator is not held meanwhile */
    atomic_int has_mover, stop;
    struct Hop *first; /* that the stream has come to */
    pthread_mutex_t lock;
} Comm;

typedef struct Hop {
    struct Hop *next;
    Comm *comm;
    char *data;
    size_t bytes;
    int peer, sends;
} Hop;

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
int ncclSend(const void *from, size_t count, int type, int peer, Comm *comm, cudaStream_t stream);
int ncclRecv(void *to, size_t count, int type, int peer, Comm *comm, cudaStream_t stream);
int ncclCommFinalize(Comm *comm);
int ncclCommDestroy(Comm *comm);
int ncclCommAbort(Comm *comm);
const char *ncclGetErrorString(int result);

static int is_mode(const char *mode)
{
    const char *set = getenv("RESR_NCCL_DOUBLE");
    return set && strcmp(set, mode) == 0;
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
    if (is_mode("leave") && rank == 1)
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
    if (atomic_load(&comm->room->joined) < comm->ranks || is_mode("hang"))
        *result = IN_PROGRESS;
    else if (comm->error == SUCCESS && comm->under_way > 0)
        *result = IN_PROGRESS;
    else
        *result = comm->error;
    return SUCCESS;
}

/* Until *count reaches `wanted`; 0 if nobody comes. */
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
        if (is_mode("corrupt"))
            piece->to[piece->bytes / 2] ^= 1;
        atomic_fetch_add(&room->taken, 1);
    } else {
        comm->error = REMOTE_ERROR;
    }
    if (is_mode("error"))
        comm->error = REMOTE_ERROR;
    free(piece);
}

/* `first` and the last of `bytes` lie on the communicator's device. */
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
        return INVALID_ARGUMENT; /* nothing may follow before the ranks have met */
    Piece *piece = malloc(sizeof *piece);
    if (!piece)
        return SYSTEM_ERROR;
    *piece = (Piece){comm, from, to, count, ++comm->pieces};
    return cudaLaunchHostFunc(stream, move, piece) == cudaSuccess ? SUCCESS : SYSTEM_ERROR;
}

static void hop(Hop *h)
{
    Comm *comm = h->comm;
    struct Box *box = h->sends ? &comm->room->boxes[comm->rank][h->peer]
                               : &comm->room->boxes[h->peer][comm->rank];
    while (!comm->stop &&
           (atomic_load(&box->full) == h->sends || (h->bytes > 1 && is_mode("stall"))))
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    if (comm->stop)
        return;
    memcpy(h->sends ? box->data : h->data, h->sends ? h->data : box->data, h->bytes);
    if (h->bytes > 1 && is_mode("alter") && !h->sends)
        h->data[h->bytes / 2] ^= 1;
    if (h->bytes > 1 && is_mode("sever"))
        comm->error = REMOTE_ERROR;
    atomic_store(&box->full, h->sends);
    comm->under_way--;
}

static void *mover_main(void *argument)
{
    Comm *comm = argument;
    while (!comm->stop) {
        pthread_mutex_lock(&comm->lock);
        Hop *h = comm->first;
        if (h)
            comm->first = h->next;
        pthread_mutex_unlock(&comm->lock);
        if (h)
            hop(h);
        else
            nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
        free(h);
    }
    return NULL;
}

/* The stream has come to it. */
static void CUDART_CB queue_hop(void *data)
{
    Hop *h = data;
    pthread_mutex_lock(&h->comm->lock);
    Hop **place = &h->comm->first;
    while (*place)
        place = &(*place)->next;
    *place = h;
    pthread_mutex_unlock(&h->comm->lock);
}

static int start_hop(Comm *comm, void *data, size_t count, int type, int peer, int sends,
                     cudaStream_t stream)
{
    if (type != 1 || count == 0 || count > ROOM_BYTES || peer == comm->rank || peer < 0 ||
        peer >= comm->ranks || comm->ranks > MOST_RANKS || !on_device(comm, data, count) ||
        atomic_load(&comm->room->joined) < comm->ranks)
        return INVALID_ARGUMENT;
    Hop *h = malloc(sizeof *h);
    if (!h)
        return SYSTEM_ERROR;
    if (!comm->has_mover) {
        pthread_mutex_init(&comm->lock, NULL);
        comm->has_mover = pthread_create(&comm->mover, NULL, mover_main, comm) == 0;
    }
    *h = (Hop){NULL, comm, data, count, peer, sends};
    comm->under_way++;
    return cudaLaunchHostFunc(stream, queue_hop, h) == cudaSuccess ? IN_PROGRESS : SYSTEM_ERROR;
}

API int ncclSend(const void *from, size_t count, int type, int peer, Comm *comm,
                 cudaStream_t stream)
{
    return start_hop(comm, (void *)from, count, type, peer, 1, stream);
}

API int ncclRecv(void *to, size_t count, int type, int peer, Comm *comm, cudaStream_t stream)
{
    return start_hop(comm, to, count, type, peer, 0, stream);
}

API int ncclCommFinalize(Comm *comm)
{
    return comm->error;
}

API int ncclCommDestroy(Comm *comm)
{
    comm->stop = 1;
    if (comm->has_mover)
        pthread_join(comm->mover, NULL);
    shm_unlink(comm->name); /* of all ranks one succeeds */
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
