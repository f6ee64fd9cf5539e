#include "cpu/barrier.h"

/* Polls of the round before a thread sleeps: 30 to 100 us, several times the usual imbalance of a
 * wavefront's step, and about the cost of sleeping and waking. */
#define POLLS 2000

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

void resr_barrier_init(ResrBarrier *barrier, int threads)
{
    pthread_mutex_init(&barrier->mutex, NULL);
    pthread_cond_init(&barrier->passed, NULL);
    atomic_init(&barrier->round, 0);
    atomic_init(&barrier->arrived, 0);
    atomic_init(&barrier->sleepers, 0);
    barrier->threads = threads;
}

void resr_barrier_destroy(ResrBarrier *barrier)
{
    pthread_cond_destroy(&barrier->passed);
    pthread_mutex_destroy(&barrier->mutex);
}

static void sleep_until_passed(ResrBarrier *barrier, unsigned round)
{
    pthread_mutex_lock(&barrier->mutex);
    atomic_fetch_add(&barrier->sleepers, 1);
    while (atomic_load(&barrier->round) == round)
        pthread_cond_wait(&barrier->passed, &barrier->mutex);
    atomic_fetch_sub(&barrier->sleepers, 1);
    pthread_mutex_unlock(&barrier->mutex);
}

/* The last thread to arrive opens the next round and then checks for sleepers. A sleeper first
 * counts itself and then checks the round, so one of the two always sees the other. */
void resr_barrier_wait(ResrBarrier *barrier)
{
    if (barrier->threads == 1)
        return;
    unsigned round = atomic_load(&barrier->round);
    if (atomic_fetch_add(&barrier->arrived, 1) == barrier->threads - 1) {
        atomic_store(&barrier->arrived, 0);
        atomic_store(&barrier->round, round + 1);
        if (atomic_load(&barrier->sleepers) > 0) {
            pthread_mutex_lock(&barrier->mutex);
            pthread_cond_broadcast(&barrier->passed);
            pthread_mutex_unlock(&barrier->mutex);
        }
        return;
    }
    for (int i = 0; i < POLLS; i++) {
        if (atomic_load_explicit(&barrier->round, memory_order_acquire) != round)
            return;
        relax();
    }
    sleep_until_passed(barrier, round);
}
