#ifndef RESR_MPI_LAUNCH_H
#define RESR_MPI_LAUNCH_H

#include "job/report.h"

/* What happens before frames move: ranks find out about each other and get what they need. Every
 * function is collective and blocking, unless it says otherwise; main threads only. */

/* What a launcher says of the processes that it started. */
typedef struct ResrLauncher {
    int processes;        /* 1 also if none is known */
    const char *variable; /* of the environment, that says so; NULL: none */
} ResrLauncher;

/* Sets what libraries take from the environment, and reads what launchers leave there. Before
 * MPI_Init(), which changes it, and before any thread. Not collective. */
void resr_launch_prepare(ResrLauncher *launcher);

/* Whether the ranks can work: the threads' level that MPI provides, and whether this process is
 * one of several that were started together but do not know of each other, each of which would do
 * all of the work. RESR_ERR_DEVICE, RESR_ERR_USAGE. Not collective. */
RESR_MUST_CHECK int resr_launch_check(const ResrLauncher *launcher, int provided);

/* The start of the program, or of a video, begins: unless it is over within RESR_START_UP_SECONDS
 * `hangs` is called as a signal's handler. Not collective. */
void resr_launch_starting(void (*hangs)(int signal));

/* A stop signal has arrived: a start must then be over within RESR_DRAIN_SECONDS. For a signal's
 * handler. */
void resr_launch_stopping(void);

/* That start is over. Not collective. */
void resr_launch_started(void);

/* Rank 0's `bytes` to everyone, who wait for as long as it takes without using a processor. */
void resr_launch_announce(void *data, size_t bytes);

/* Rank 0's bytes to everyone; any size. */
void resr_launch_broadcast(void *data, size_t bytes);

/* Rank 0's status to everyone; the text of the error stays on rank 0. */
int resr_launch_share_status(int status);

/* The model of rank 0 to everyone: on other ranks *model is created (the caller's). One read of the
 * file serves all nodes. `transport`: how the weights travel, ResrTransport; with NCCL
 * the frames' link is opened, too. Every rank returns an error if one does: RESR_ERR_INTERNAL
 * (memory), and those of transport.h. */
RESR_MUST_CHECK int resr_launch_broadcast_model(ResrModel **model, int transport);

/* This rank's share of the CPUs: those of its affinity mask, divided by the ranks of its node that
 * may run on the same ones, but no more than its share of its cgroup's quota, which is rounded up
 * to whole CPUs; at least 1. Warns when a rank is held to one CPU of many idle ones, naming the
 * option that mends it. *cpus: CPUs in the mask, at most the quota; the media libraries are told
 * the latter. Also tells net/cuda.h the rank's place on its node. */
int resr_launch_threads(int *cpus);

/* Tells base/memory.h how many ranks of this machine compute. */
void resr_launch_share_memory(bool computes);

/* Collects every rank's information on rank 0, where `all` has room for all ranks. */
void resr_launch_gather(ResrRankInfo *all, const ResrRankInfo *own);

/* The status of all ranks on rank 0: `statuses` (one per rank) and `texts` (RESR_ERROR_TEXT_BYTES
 * each) are filled there. */
void resr_launch_gather_status(int *statuses, char *texts, int status);

#endif
