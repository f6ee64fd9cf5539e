#ifndef RESR_BASE_FLAG_H
#define RESR_BASE_FLAG_H

#include <pthread.h>
#include <stdatomic.h>

/* Sets a flag that threads test with the lock held, and wakes those that wait for `changed`. */
static inline void resr_flag_raise(atomic_bool *flag, pthread_mutex_t *lock,
                                   pthread_cond_t *changed)
{
    pthread_mutex_lock(lock);
    *flag = true;
    pthread_cond_broadcast(changed);
    pthread_mutex_unlock(lock);
}

#endif
