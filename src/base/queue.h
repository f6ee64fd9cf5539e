#ifndef RESR_BASE_QUEUE_H
#define RESR_BASE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* A bounded first-in first-out queue of pointers between threads. Items are owned by the queue
 * between push and pop; closing wakes every waiting thread. Call from any thread. */
typedef struct ResrQueue ResrQueue;

/* `capacity` >= 1 items. RESR_ERR_INTERNAL when memory is exhausted. */
RESR_MUST_CHECK int resr_queue_create(ResrQueue **out, size_t capacity);

/* Frees the queue and calls `free_item` (may be NULL) for the remaining items. No other thread may
 * use the queue during or after the call. NULL is allowed. */
void resr_queue_destroy(ResrQueue *queue, void (*free_item)(void *item));

/* Waits for room. False if the queue is closed: the item stays the caller's. */
bool resr_queue_push(ResrQueue *queue, void *item);

/* False at once if the queue is full or closed: the item stays the caller's. */
bool resr_queue_try_push(ResrQueue *queue, void *item);

/* Waits for an item. NULL when the queue is closed and empty. */
void *resr_queue_pop(ResrQueue *queue);

/* Returns an item, or NULL at once if the queue is empty. */
void *resr_queue_try_pop(ResrQueue *queue);

/* Later pushes fail; pops still return the remaining items. May be called twice. */
void resr_queue_close(ResrQueue *queue);

size_t resr_queue_length(ResrQueue *queue);

#endif
