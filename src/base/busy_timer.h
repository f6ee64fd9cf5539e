#ifndef RESR_BASE_BUSY_TIMER_H
#define RESR_BASE_BUSY_TIMER_H

#include <stdatomic.h>

#include "base/clock.h"

/* How long a thread has been at work, seen by others too: whoever stands still shows here. */
typedef struct ResrBusyTimer {
    atomic_llong total_ns, longest_ns;
    atomic_llong since_ns; /* begin of what it is doing now; 0: it waits */
} ResrBusyTimer;

static inline void resr_busy_timer_begin(ResrBusyTimer *work)
{
    work->since_ns = resr_clock_ns();
}

/* Returns the time now. */
static inline int64_t resr_busy_timer_end(ResrBusyTimer *work)
{
    int64_t now_ns = resr_clock_ns(), ns = now_ns - work->since_ns;
    work->total_ns += ns;
    if (ns > work->longest_ns)
        work->longest_ns = ns;
    work->since_ns = 0;
    return now_ns;
}

/* Raises *now to the seconds that the thread has been busy with one thing, and *longest to the most
 * that it ever was. */
static inline void resr_busy_timer_stall(const ResrBusyTimer *work, double *now, double *longest)
{
    int64_t since_ns = work->since_ns;
    double busy = since_ns ? resr_clock_seconds_since(since_ns) : 0;
    double most = (double)work->longest_ns * 1e-9;
    *now = busy > *now ? busy : *now;
    *longest = most > *longest ? most : *longest;
}

#endif
