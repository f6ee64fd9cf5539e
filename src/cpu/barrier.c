#include "cpu/barrier.h"

/* Looks at the round before going to sleep: 30 to 100 us, several times what a step of a wave is
 * unbalanced by, and about what sleeping and waking cost. */
#define LOOKS 2000

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
    barrier->threads = threads;
    barrier->arrived = 0;
}

void resr_barrier_destroy(ResrBarrier *barrier)
{
    pthread_cond_destroy(&barrier->passed);
    pthread_mutex_destroy(&barrier->mutex);
}

void resr_barrier_wait(ResrBarrier *barrier)
{
    if (barrier->threads == 1)
        return;
    pthread_mutex_lock(&barrier->mutex);
    unsigned round = atomic_load(&barrier->round);
    int last = ++barrier->arrived == barrier->threads;
    if (last) {
        barrier->arrived = 0;
        atomic_store(&barrier->round, round + 1);
        pthread_cond_broadcast(&barrier->passed);
    }
    pthread_mutex_unlock(&barrier->mutex);

    for (int i = 0; !last && i < LOOKS; i++) {
        if (atomic_load_explicit(&barrier->round, memory_order_acquire) != round)
            return;
        relax();
    }
    pthread_mutex_lock(&barrier->mutex);
    while (!last && atomic_load(&barrier->round) == round)
        pthread_cond_wait(&barrier->passed, &barrier->mutex);
    pthread_mutex_unlock(&barrier->mutex);
}
