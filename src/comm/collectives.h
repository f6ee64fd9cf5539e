#ifndef RESR_COMM_COLLECTIVES_H
#define RESR_COMM_COLLECTIVES_H

#include "job/report.h"

/* Collective calls at the start of a launch and between jobs. Every function is collective over all
 * ranks and blocks, unless noted; main threads only.
 *
 * A rank that hangs blocks these calls on all ranks, so the start has a time limit: an alarm whose
 * handler ends the process. While frames flow, liveness.h takes over. */

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

/* Arms the time limit of a start (of the program or of a job): unless it is disarmed within
 * RESR_START_UP_SECONDS, `hangs` is called as the handler of SIGALRM. Not collective. */
void resr_collectives_arm_start_timeout(void (*hangs)(int signal));

/* Records a stop signal: a start must then finish within RESR_DRAIN_SECONDS. Call from a signal
 * handler. */
void resr_collectives_shorten_start_timeout(void);

/* Disarms the limit: the start is complete. Not collective. */
void resr_collectives_disarm_start_timeout(void);

/* Broadcasts rank 0's `bytes`. The other ranks wait without a limit and sleep meanwhile. */
void resr_collectives_announce(void *data, size_t bytes);

/* Broadcasts rank 0's bytes, of any number. */
void resr_collectives_broadcast(void *data, size_t bytes);

/* Returns rank 0's status on all ranks; the error text stays on rank 0. */
int resr_collectives_share_status(int status);

/* Returns this rank's share of the CPUs, at least 1: those of its affinity mask, divided by the
 * ranks of its node whose masks overlap, but at most its share of its cgroup's quota, rounded up to
 * whole CPUs. *cpus: CPUs of the mask, at most the quota; also passed to the media libraries. Warns
 * if a rank is bound to one CPU while others are idle, and names the option that changes this. Also
 * passes the rank's place on its node to net/cuda.h. */
int resr_collectives_threads(int *cpus);

/* Tells base/memory.h this rank's place among the computing ranks of its machine. *beside_root: the
 * machine is rank 0's. */
void resr_collectives_share_memory(bool computes, bool *beside_root);

/* Collects every rank's information on rank 0, where `all` has room for all ranks. */
void resr_collectives_gather(ResrRankInfo *all, const ResrRankInfo *own);

/* Gathers every rank's status and error text on rank 0: `statuses` (one per rank) and `texts`
 * (RESR_ERROR_TEXT_BYTES each). */
void resr_collectives_gather_status(int *statuses, char *texts, int status);

#endif
