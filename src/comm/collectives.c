#include "comm/collectives.h"

#include <limits.h>
#include <math.h>
#include <mpi.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cgroup.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/stop.h"
#include "comm/backoff.h"
#include "media/version.h"
#include "net/cuda.h"

/* Open MPI 4 and 5 copy large messages by reading the other process's memory. Containers often
 * forbid this, and Open MPI then prints a line for each message that it sends in another way. */
static void avoid_forbidden_copies(void)
{
    char from = 0, to = 0;
    struct iovec here = {&to, 1}, there = {&from, 1};
    if (process_vm_readv(getpid(), &here, 1, &there, 1, 0) == 1)
        return;
    setenv("OMPI_MCA_btl_vader_single_copy_mechanism", "none", 0);
    setenv("OMPI_MCA_smsc", "^cma", 0);
}

static int number_of(const char *variable)
{
    const char *text = getenv(variable);
    long number = text ? strtol(text, NULL, 10) : 0;
    return number > 0 && number <= INT_MAX ? (int)number : 0;
}

/* An MPI launcher sets the number of started processes. A launcher of a single process comes first:
 * it may run inside a larger job step. Within a Slurm job only a step has several processes;
 * SLURM_NTASKS alone is the number that a batch script may start. */
static void read_launcher(ResrLauncher *launcher)
{
    static const char *const sizes[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE"};
    *launcher = (ResrLauncher){.processes = 1};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int number = number_of(sizes[i]);
        if (number == 1) {
            *launcher = (ResrLauncher){1, sizes[i]};
            return;
        }
        if (number > launcher->processes)
            *launcher = (ResrLauncher){number, sizes[i]};
    }
    const char *step = number_of("SLURM_STEP_NUM_TASKS") ? "SLURM_STEP_NUM_TASKS" : "SLURM_NTASKS";
    if (launcher->processes == 1 && getenv("SLURM_STEP_ID") && number_of(step) > 1)
        *launcher = (ResrLauncher){number_of(step), step};
    if (launcher->processes == 1 && number_of("PMIX_RANK") > 0)
        *launcher = (ResrLauncher){number_of("PMIX_RANK") + 1, "PMIX_RANK"};
}

void resr_collectives_prepare(ResrLauncher *launcher)
{
    read_launcher(launcher);
    avoid_forbidden_copies();
    setenv("SVT_LOG", "1", 0); /* SVT-AV1 writes to stderr: errors only */
    /* The job's lock already excludes other processes; HDF5's own locks fail on file systems
     * without locks. */
    setenv("HDF5_USE_FILE_LOCKING", "FALSE", 1);
}

int resr_collectives_check(const ResrLauncher *launcher, int provided)
{
    int size;
    if (provided < MPI_THREAD_FUNNELED)
        return resr_fail(RESR_ERR_DEVICE,
                         "this MPI library does not support threads (level %d); "
                         "use one that provides MPI_THREAD_FUNNELED",
                         provided);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    if (size > 1 || launcher->processes == 1)
        return 0;
    return resr_fail(
        RESR_ERR_USAGE,
        "%d processes were started (%s), but MPI does not connect this process with the others, so "
        "each would do all of the work; start them with mpirun, or with srun --mpi=pmix; start "
        "independent processes, each with its own files, with mpirun -n 1",
        launcher->processes, launcher->variable);
}

void resr_collectives_arm_start_timeout(void (*hangs)(int signal))
{
    signal(SIGALRM, hangs);
    alarm(resr_stop_signal() ? RESR_DRAIN_SECONDS : RESR_START_UP_SECONDS);
}

void resr_collectives_shorten_start_timeout(void)
{
    unsigned left = alarm(RESR_DRAIN_SECONDS);
    if (left < RESR_DRAIN_SECONDS) /* 0: no start is in progress */
        alarm(left);
}

void resr_collectives_disarm_start_timeout(void)
{
    alarm(0);
    signal(SIGALRM, SIG_DFL);
}

void resr_collectives_announce(void *data, size_t bytes)
{
    MPI_Request request;
    ResrBackoff backoff = {0};
    int done = 0;
    MPI_Ibcast(data, (int)bytes, MPI_BYTE, 0, MPI_COMM_WORLD, &request);
    while (MPI_Test(&request, &done, MPI_STATUS_IGNORE), !done)
        resr_backoff_wait(&backoff, false, false);
}

void resr_collectives_broadcast(void *data, size_t bytes)
{
    char *next = data;
    while (bytes > 0) {
        int piece = (int)(bytes < RESR_MESSAGE_PIECE_BYTES ? bytes : RESR_MESSAGE_PIECE_BYTES);
        MPI_Bcast(next, piece, MPI_BYTE, 0, MPI_COMM_WORLD);
        next += piece;
        bytes -= (size_t)piece;
    }
}

int resr_collectives_share_status(int status)
{
    resr_collectives_broadcast(&status, sizeof status);
    return status;
}

/* The CPUs of a rank: its affinity mask and its cgroup's quota of time. */
typedef struct Processors {
    cpu_set_t mask;
    ResrCpuQuota quota;
} Processors;

static int quota_cpus(const Processors *own)
{
    return own->quota.cpus > 0 ? (int)fmin(ceil(own->quota.cpus), CPU_SETSIZE) : CPU_SETSIZE;
}

static int at_most(int a, int b)
{
    return a < b ? a : b;
}

/* Counts the ranks of this node with the same quota as this rank, and those with a common CPU. */
static void count_sharing(int *quota, int *mask, const Processors *all, int ranks,
                          const Processors *own)
{
    *quota = *mask = 0;
    for (int i = 0; i < ranks; i++) {
        cpu_set_t common;
        CPU_AND(&common, &own->mask, &all[i].mask);
        *mask += CPU_COUNT(&common) > 0;
        *quota += all[i].quota.cpus > 0 && all[i].quota.inode == own->quota.inode &&
                  all[i].quota.device == own->quota.device;
    }
}

int resr_collectives_threads(int *cpus)
{
    MPI_Comm node;
    Processors own = {.quota = resr_cgroup_cpu_quota("")}, *all = NULL;
    int rank, size, by_quota, by_mask, threads = 1;
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
    MPI_Comm_rank(node, &rank);
    MPI_Comm_size(node, &size);
    resr_cuda_backend_set_place(rank, size);
    if (sched_getaffinity(0, sizeof own.mask, &own.mask) != 0 || CPU_COUNT(&own.mask) == 0)
        CPU_SET(0, &own.mask);
    *cpus = at_most(CPU_COUNT(&own.mask), quota_cpus(&own));
    if (own.quota.cpus > 0)
        resr_media_limit_cpus(*cpus);
    if (resr_alloc(&all, (size_t)size, sizeof *all) == 0) {
        MPI_Allgather(&own, sizeof own, MPI_BYTE, all, sizeof own, MPI_BYTE, node);
        count_sharing(&by_quota, &by_mask, all, size, &own);
        threads = CPU_COUNT(&own.mask) / by_mask;
        if (own.quota.cpus > 0)
            threads = at_most(threads, quota_cpus(&own) / by_quota);
    }
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    if (rank == 0 && CPU_COUNT(&own.mask) == 1 && online > size && quota_cpus(&own) > 1)
        resr_log_warn("this rank may use 1 of %ld CPUs; pass --bind-to none (or --map-by "
                      "slot:PE=%ld) to mpirun to use them all",
                      online, online / size);
    free(all);
    MPI_Comm_free(&node);
    return threads > 1 ? threads : 1;
}

void resr_collectives_share_memory(bool computes, bool *beside_root)
{
    MPI_Comm node;
    int own = computes, place = 1, rank, first;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
    MPI_Scan(&own, &place, 1, MPI_INT, MPI_SUM, node);
    MPI_Allreduce(&rank, &first, 1, MPI_INT, MPI_MIN, node);
    MPI_Comm_free(&node);
    resr_memory_share(place);
    *beside_root = first == 0;
}

void resr_collectives_gather(ResrRankInfo *all, const ResrRankInfo *own)
{
    MPI_Gather(own, sizeof *own, MPI_BYTE, all, sizeof *own, MPI_BYTE, 0, MPI_COMM_WORLD);
}

void resr_collectives_gather_status(int *statuses, char *texts, int status)
{
    char text[RESR_ERROR_TEXT_BYTES] = {0};
    if (status < 0)
        memcpy(text, resr_error_text(), strlen(resr_error_text()));
    MPI_Gather(&status, 1, MPI_INT, statuses, 1, MPI_INT, 0, MPI_COMM_WORLD);
    MPI_Gather(text, sizeof text, MPI_BYTE, texts, sizeof text, MPI_BYTE, 0, MPI_COMM_WORLD);
}
