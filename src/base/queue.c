#include "base/queue.h"

#include <stdlib.h>

#include "base/flag.h"
#include "base/memory.h"

struct ResrQueue {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    atomic_bool closed;
    size_t capacity, head, length;
    void *items[];
};

int resr_queue_create(ResrQueue **out, size_t capacity)
{
    size_t bytes;
    *out = NULL;
    if (!resr_checked_mul(&bytes, capacity, sizeof(void *)))
        return resr_fail(RESR_ERR_INTERNAL, "a queue of %zu items is too long", capacity);
    int ret = resr_alloc(out, 1, sizeof(ResrQueue) + bytes);
    if (ret < 0)
        return ret;
    (*out)->capacity = capacity;
    pthread_mutex_init(&(*out)->lock, NULL);
    pthread_cond_init(&(*out)->changed, NULL);
    return 0;
}

void resr_queue_destroy(ResrQueue *queue, void (*free_item)(void *item))
{
    if (!queue)
        return;
    for (size_t i = 0; free_item && i < queue->length; i++)
        free_item(queue->items[(queue->head + i) % queue->capacity]);
    pthread_cond_destroy(&queue->changed);
    pthread_mutex_destroy(&queue->lock);
    free(queue);
}

static bool push(ResrQueue *queue, void *item, bool wait)
{
    pthread_mutex_lock(&queue->lock);
    while (wait && queue->length == queue->capacity && !queue->closed)
        pthread_cond_wait(&queue->changed, &queue->lock);
    bool room = queue->length < queue->capacity && !queue->closed;
    if (room) {
        queue->items[(queue->head + queue->length++) % queue->capacity] = item;
        pthread_cond_broadcast(&queue->changed);
    }
    pthread_mutex_unlock(&queue->lock);
    return room;
}

static void *pop(ResrQueue *queue, bool wait)
{
    void *item = NULL;
    pthread_mutex_lock(&queue->lock);
    while (wait && queue->length == 0 && !queue->closed)
        pthread_cond_wait(&queue->changed, &queue->lock);
    if (queue->length > 0) {
        item = queue->items[queue->head];
        queue->head = (queue->head + 1) % queue->capacity;
        queue->length--;
        pthread_cond_broadcast(&queue->changed);
    }
    pthread_mutex_unlock(&queue->lock);
    return item;
}

bool resr_queue_push(ResrQueue *queue, void *item)
{
    return push(queue, item, true);
}

bool resr_queue_try_push(ResrQueue *queue, void *item)
{
    return push(queue, item, false);
}

void *resr_queue_pop(ResrQueue *queue)
{
    return pop(queue, true);
}

void *resr_queue_try_pop(ResrQueue *queue)
{
    return pop(queue, false);
}

void resr_queue_close(ResrQueue *queue)
{
    resr_flag_raise(&queue->closed, &queue->lock, &queue->changed);
}

size_t resr_queue_length(ResrQueue *queue)
{
    pthread_mutex_lock(&queue->lock);
    size_t length = queue->length;
    pthread_mutex_unlock(&queue->lock);
    return length;
}
