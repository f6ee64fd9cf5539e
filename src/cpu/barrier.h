#ifndef RESR_CPU_BARRIER_H
#define RESR_CPU_BARRIER_H

#include <pthread.h>
#include <stdatomic.h>

/* A barrier for a team of threads, fast if each thread has a core of its own and harmless if not: a
 * thread spins for some tens of microseconds, then sleeps. (OpenMP's own barrier spins for
 * milliseconds by default and was measured 10 times slower while another program used the cores.)
 */
typedef struct ResrBarrier {
    pthread_mutex_t mutex;
    pthread_cond_t passed;
    atomic_uint round;
    atomic_int arrived, sleepers;
    int threads;
} ResrBarrier;

void resr_barrier_init(ResrBarrier *barrier, int threads);
void resr_barrier_destroy(ResrBarrier *barrier);

/* Waits until all threads have called it. Their earlier writes are visible afterwards. */
void resr_barrier_wait(ResrBarrier *barrier);

#endif
