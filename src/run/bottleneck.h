#ifndef RESR_RUN_BOTTLENECK_H
#define RESR_RUN_BOTTLENECK_H

#include "comm/endpoint.h"
#include "run/io_threads.h"
#include "run/rank_health.h"
#include "sched/schedule.h"

/* Activity of a job over some time, each value a share of that time, 0..1. */
typedef struct ResrActivity {
    double computing;       /* of the ranks' time: computing a part */
    double in_transit;      /* of the ranks' time: no part to compute, but one in transit */
    double decoder_waiting; /* the input has ended, or the pool's credits are used up */
    double backlog;         /* frames wait for the encoder, or it finishes the output */
    double committing;      /* the encoder waits for the disk */
    double writing;         /* the checkpoint's thread writes a batch file */
} ResrActivity;

/* The bottleneck in one word: "compute" (the devices; the goal), "decode", "encode", "network",
 * "disk". A pure function. */
const char *resr_bottleneck_name(const ResrActivity *activity);

/* Samples the queues of rank 0 and names the bottleneck of the last second. Zero-initialise before
 * use; call from the main thread only. */
typedef struct ResrBottleneck {
    int64_t window_start_ns, sampled_ns;
    int samples;
    ResrActivity sum;
    const char *name;
} ResrBottleneck;

typedef struct ResrBottleneckConfig {
    const ResrScheduler *scheduler;
    const ResrEndpoint *endpoint; /* NULL: rank 0 is alone */
    ResrIoThreads *io;
    const ResrCheckpoint *checkpoint; /* NULL: none */
    const ResrRankInfo *ranks;        /* threads 0: does not compute */
    const unsigned *faults;           /* by rank; 0: active */
    int n;
} ResrBottleneckConfig;

/* Takes a sample if the last one is old enough. Returns the bottleneck of the last whole second;
 * NULL before the first one. */
const char *resr_bottleneck_sample(ResrBottleneck *bottleneck, const ResrBottleneckConfig *config);

#endif
