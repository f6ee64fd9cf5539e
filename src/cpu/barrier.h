#ifndef RESR_CPU_BARRIER_H
#define RESR_CPU_BARRIER_H

#include <pthread.h>
#include <stdatomic.h>

/* A meeting point of a team's threads that is fast where every thread has a core of its own, and
 * harmless where it does not: a thread waits actively for some tens of microseconds, then sleeps.
 * (OpenMP's own barrier spins for milliseconds by default: measured 10 times slower when another
 * program shares the cores.) */
typedef struct ResrBarrier {
    pthread_mutex_t mutex;
    pthread_cond_t passed;
    atomic_uint round;
    atomic_int arrived, sleepers;
    int threads;
} ResrBarrier;

void resr_barrier_init(ResrBarrier *barrier, int threads);
void resr_barrier_destroy(ResrBarrier *barrier);

/* Waits until all threads have come; what they wrote before is visible after. */
void resr_barrier_wait(ResrBarrier *barrier);

#endif
