#ifndef RESR_BASE_CLOCK_H
#define RESR_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Monotonic time in nanoseconds; comparable inside one process only. */
static inline int64_t resr_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Processor time of all threads of this process in nanoseconds. */
static inline int64_t resr_clock_cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Processor time of the calling thread in nanoseconds. */
static inline int64_t resr_clock_thread_cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline double resr_clock_seconds_since(int64_t start_ns)
{
    return (double)(resr_clock_ns() - start_ns) * 1e-9;
}

#endif
