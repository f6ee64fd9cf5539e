#ifndef RESR_COMM_BACKOFF_H
#define RESR_COMM_BACKOFF_H

#include <stdbool.h>

#include "base/clock.h"

/* A main thread has nothing to do most of the time, and Open MPI moves large messages only inside
 * its calls: so it looks often while things happen or are on their way, and sleeps longer the
 * longer they do not: a sixteenth of that time. Every look costs some 10 us of the core that
 * computes. */
typedef struct ResrBackoff {
    int64_t since_ns; /* nothing happened since; 0: something did */
} ResrBackoff;

#define RESR_BACKOFF_SHARE 16
#define RESR_BACKOFF_MIN_NS 50000
#define RESR_BACKOFF_MAX_NS 10000000
#define RESR_BACKOFF_MAX_MOVING_NS 1000000

/* Call once a turn; `active`: this turn did something; `moving`: messages are on their way. */
static inline void resr_backoff_wait(ResrBackoff *backoff, bool active, bool moving)
{
    int64_t now_ns = resr_clock_ns(), longest_ns = RESR_BACKOFF_MAX_NS;
    if (active) {
        backoff->since_ns = 0;
        return;
    }
    if (backoff->since_ns == 0)
        backoff->since_ns = now_ns;
    int64_t sleep_ns = (now_ns - backoff->since_ns) / RESR_BACKOFF_SHARE;
    if (moving)
        longest_ns = RESR_BACKOFF_MAX_MOVING_NS;
    sleep_ns = sleep_ns < RESR_BACKOFF_MIN_NS ? RESR_BACKOFF_MIN_NS : sleep_ns;
    sleep_ns = sleep_ns > longest_ns ? longest_ns : sleep_ns;
    nanosleep(&(struct timespec){0, sleep_ns}, NULL);
}

#endif
