#ifndef RESR_COMM_COLLECTIVES_H
#define RESR_COMM_COLLECTIVES_H

#include "job/report.h"

/* What happens before frames move: ranks find out about each other and get what they need. Every
 * function is collective and blocking, unless it says otherwise; main threads only. */

/* The launcher's number of started processes. */
typedef struct ResrLauncher {
    int processes;        /* 1 also if the number is unknown */
    const char *variable; /* environment variable with the number; NULL: none */
} ResrLauncher;

/* Sets environment variables for libraries and reads those of launchers. Call before MPI_Init(),
 * which changes the environment, and before any thread starts. Not collective. */
void resr_collectives_prepare(ResrLauncher *launcher);

/* Checks that the ranks can work. RESR_ERR_DEVICE: MPI provides too low a level of threads.
 * RESR_ERR_USAGE: this process is one of several that were started together, but MPI does not
 * connect them, so each would do all of the work. Not collective. */
RESR_MUST_CHECK int resr_collectives_check(const ResrLauncher *launcher, int provided);

/* The start of the program, or of a video, begins: unless it is over within RESR_START_UP_SECONDS
 * `hangs` is called as a signal's handler. Not collective. */
void resr_collectives_arm_start_timeout(void (*hangs)(int signal));

/* Records a stop signal: a start must then finish within RESR_DRAIN_SECONDS. Call from a signal
 * handler. */
void resr_collectives_shorten_start_timeout(void);

/* That start is over. Not collective. */
void resr_collectives_disarm_start_timeout(void);

/* Rank 0's `bytes` to everyone, who wait for as long as it takes without using a processor. */
void resr_collectives_announce(void *data, size_t bytes);

/* Rank 0's bytes to everyone; any size. */
void resr_collectives_broadcast(void *data, size_t bytes);

/* Rank 0's status to everyone; the text of the error stays on rank 0. */
int resr_collectives_share_status(int status);

/* This rank's share of the CPUs: those of its affinity mask, divided by the ranks of its node that
 * may run on the same ones, but no more than its share of its cgroup's quota, which is rounded up
 * to whole CPUs; at least 1. Warns if a rank is bound to one CPU while others are idle, and names
 * the option that changes this. *cpus: CPUs in the mask, at most the quota, also passed to the
 * media libraries. Also tells net/cuda.h the rank's place on its node. */
int resr_collectives_threads(int *cpus);

/* Tells base/memory.h how many ranks of this machine compute. */
void resr_collectives_share_memory(bool computes);

/* Collects every rank's information on rank 0, where `all` has room for all ranks. */
void resr_collectives_gather(ResrRankInfo *all, const ResrRankInfo *own);

/* The status of all ranks on rank 0: `statuses` (one per rank) and `texts` (RESR_ERROR_TEXT_BYTES
 * each) are filled there. */
void resr_collectives_gather_status(int *statuses, char *texts, int status);

#endif
