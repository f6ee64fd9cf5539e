#ifndef RESR_MPI_IDLE_H
#define RESR_MPI_IDLE_H

#include <stdbool.h>
#include <time.h>

/* A main thread has nothing to do most of the time, and Open MPI moves large messages only inside
 * its calls: so it looks often while things happen and sleeps longer and longer while they do not.
 */
typedef struct ResrIdle {
    long sleep_ns;
} ResrIdle;

#define RESR_IDLE_MIN_NS 50000
#define RESR_IDLE_MAX_NS 1000000

/* Call once a turn; `active`: this turn did something. */
static inline void resr_idle_turn(ResrIdle *idle, bool active)
{
    if (active) {
        idle->sleep_ns = 0;
        return;
    }
    idle->sleep_ns = idle->sleep_ns == 0 ? RESR_IDLE_MIN_NS : idle->sleep_ns * 2;
    if (idle->sleep_ns > RESR_IDLE_MAX_NS)
        idle->sleep_ns = RESR_IDLE_MAX_NS;
    nanosleep(&(struct timespec){0, idle->sleep_ns}, NULL);
}

#endif
