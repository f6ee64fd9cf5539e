#ifndef RESR_RUN_BOTTLENECK_H
#define RESR_RUN_BOTTLENECK_H

#include "comm/endpoint.h"
#include "job/load.h"
#include "run/io_threads.h"
#include "sched/schedule.h"

/* Finds out what limits the job, from looks at its queues over the last second. Zero is its start.
 * Rank 0's main thread. */
typedef struct ResrBottleneck {
    int64_t begun_ns, looked_ns;
    int looks;
    ResrLoad sum;
    const char *limit;
} ResrBottleneck;

/* What is looked at; `mail` and `checkpoint` may be NULL. */
typedef struct ResrBottleneckParts {
    const ResrScheduler *scheduler;
    const ResrEndpoint *mail;
    ResrIoThreads *pipeline;
    const ResrCheckpoint *checkpoint;
    const ResrRankInfo *ranks; /* threads 0: does not compute */
    const bool *gone;          /* by rank: is left out */
    int n;
} ResrBottleneckParts;

/* Call as often as you like; looks when it is time. Returns a word of resr_load_limit(), that of
 * the last whole second; NULL before there is one. */
const char *resr_bottleneck_sample(ResrBottleneck *gauge, const ResrBottleneckParts *parts);

#endif
