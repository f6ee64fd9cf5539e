#ifndef RESR_COMM_BACKOFF_H
#define RESR_COMM_BACKOFF_H

#include <stdbool.h>

#include "base/clock.h"

/* Sleep of a polling main thread, which grows while nothing happens: a sixteenth of the idle time,
 * between a minimum and a maximum. Open MPI moves large messages only inside its calls, so the
 * maximum is smaller while messages are in flight. Each poll costs about 10 us of a core that
 * computes. */
typedef struct ResrBackoff {
    int64_t since_ns; /* start of the idle period; 0: not idle */
} ResrBackoff;

#define RESR_BACKOFF_SHARE 16
#define RESR_BACKOFF_MIN_NS 50000
#define RESR_BACKOFF_MAX_NS 10000000
#define RESR_BACKOFF_MAX_MOVING_NS 1000000

/* Sleeps, unless this turn of the loop was `active`; `moving`: messages are in flight. Call once a
 * turn. */
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
