#include "fake_endpoint.h"

#include <stdlib.h>
#include <time.h>

#include "base/memory.h"

typedef struct Item {
    ResrMessage *message;
    int rank;
    struct Item *next;
} Item;

typedef struct List {
    Item *first, **end;
} List;

static struct {
    List sent, arrived;
    void (*turn)(void *user);
    void *user;
    bool damaged, moved;
} fake;

struct ResrEndpoint {
    int unused;
};

/* After an error the endpoint is not freed: this one does not count as a leak. */
static ResrEndpoint the_endpoint;

static void add(List *list, int rank, ResrMessage *message)
{
    Item *item;
    if (resr_alloc(&item, 1, sizeof *item) < 0)
        abort();
    *item = (Item){.message = message, .rank = rank};
    if (!list->first)
        list->end = &list->first;
    *list->end = item;
    list->end = &item->next;
}

static ResrMessage *take(List *list, int *rank)
{
    Item *item = list->first;
    if (!item)
        return NULL;
    ResrMessage *message = item->message;
    *rank = item->rank;
    list->first = item->next;
    free(item);
    return message;
}

void fake_endpoint_reset(void (*turn)(void *user), void *user)
{
    int rank;
    ResrMessage *message;
    while ((message = take(&fake.sent, &rank)) || (message = take(&fake.arrived, &rank)))
        resr_message_free(message);
    fake.turn = turn;
    fake.user = user;
    fake.damaged = fake.moved = false;
}

ResrMessage *fake_endpoint_take(int *rank)
{
    return take(&fake.sent, rank);
}

void fake_endpoint_deliver(int rank, ResrMessage *message)
{
    resr_message_seal(message);
    add(&fake.arrived, rank, message);
}

void fake_endpoint_damage(void)
{
    fake.damaged = true;
}

int resr_endpoint_create(ResrEndpoint **out, int first_peer, int last_peer, const ResrPlan *plan)
{
    (void)first_peer;
    (void)last_peer;
    (void)plan;
    *out = &the_endpoint;
    return 0;
}

int resr_endpoint_send(ResrEndpoint *endpoint, int rank, ResrMessage *message)
{
    (void)endpoint;
    resr_message_seal(message);
    add(&fake.sent, rank, message);
    return 0;
}

int resr_endpoint_poll(ResrEndpoint *endpoint, ResrMessage **out, int *rank)
{
    (void)endpoint;
    if (fake.turn)
        fake.turn(fake.user);
    *out = NULL;
    if (fake.damaged)
        return resr_fail(RESR_ERR_DATA, "from rank 1: a message's header was damaged");
    *out = take(&fake.arrived, rank);
    fake.moved = *out != NULL;
    return 0;
}

bool resr_endpoint_active(const ResrEndpoint *endpoint)
{
    (void)endpoint;
    return fake.moved;
}

void resr_endpoint_bytes(const ResrEndpoint *endpoint, int64_t *out, int64_t *in)
{
    (void)endpoint;
    *out = *in = 0;
}

bool resr_endpoint_moving(const ResrEndpoint *endpoint)
{
    (void)endpoint;
    return fake.sent.first != NULL;
}

int resr_endpoint_sending(const ResrEndpoint *endpoint)
{
    (void)endpoint;
    return 0;
}

int resr_endpoint_in_flight(const ResrEndpoint *endpoint, int rank)
{
    (void)endpoint;
    (void)rank;
    return 0;
}

void resr_endpoint_free(ResrEndpoint *endpoint)
{
    (void)endpoint;
}

static int64_t virtual_ns;

int __real_clock_gettime(clockid_t clock, struct timespec *time);
int __wrap_clock_gettime(clockid_t clock, struct timespec *time);
int __real_nanosleep(const struct timespec *time, struct timespec *left);
int __wrap_nanosleep(const struct timespec *time, struct timespec *left);

int __wrap_clock_gettime(clockid_t clock, struct timespec *time)
{
    if (virtual_ns == 0)
        return __real_clock_gettime(clock, time);
    *time = (struct timespec){virtual_ns / 1000000000, virtual_ns % 1000000000};
    return 0;
}

int __wrap_nanosleep(const struct timespec *time, struct timespec *left)
{
    if (virtual_ns == 0)
        return __real_nanosleep(time, left);
    virtual_ns += time->tv_sec * 1000000000 + time->tv_nsec;
    return 0;
}

void fake_clock_advance(double seconds)
{
    if (virtual_ns == 0)
        virtual_ns = 1000000000;
    virtual_ns += (int64_t)(seconds * 1e9);
}

void fake_clock_stop(void)
{
    virtual_ns = 0;
}
