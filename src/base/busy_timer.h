#ifndef RESR_BASE_BUSY_TIMER_H
#define RESR_BASE_BUSY_TIMER_H

#include <stdatomic.h>

#include "base/clock.h"

/* How long a thread has worked on its current item. Only that thread begins and ends; any thread
 * may read, so that a watchdog sees a thread that hangs. */
typedef struct ResrBusyTimer {
    atomic_llong total_ns, longest_ns;
    atomic_llong since_ns; /* start of the current item; 0: the thread waits */
} ResrBusyTimer;

static inline void resr_busy_timer_begin(ResrBusyTimer *timer)
{
    timer->since_ns = resr_clock_ns();
}

/* Returns the current time. */
static inline int64_t resr_busy_timer_end(ResrBusyTimer *timer)
{
    int64_t now_ns = resr_clock_ns(), ns = now_ns - timer->since_ns;
    timer->total_ns += ns;
    if (ns > timer->longest_ns)
        timer->longest_ns = ns;
    timer->since_ns = 0;
    return now_ns;
}

/* Raises *now to the seconds spent on the current item so far, and *longest to the seconds of the
 * longest finished item, where these are larger. */
static inline void resr_busy_timer_stall(const ResrBusyTimer *timer, double *now, double *longest)
{
    int64_t since_ns = timer->since_ns;
    double busy = since_ns ? resr_clock_seconds_since(since_ns) : 0;
    double most = (double)timer->longest_ns * 1e-9;
    *now = busy > *now ? busy : *now;
    *longest = most > *longest ? most : *longest;
}

#endif
