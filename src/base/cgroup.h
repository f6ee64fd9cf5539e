#ifndef RESR_BASE_CGROUP_H
#define RESR_BASE_CGROUP_H

#include <stdint.h>

/* What the cgroups of this process, those of a container or a service, leave it of the machine
 * (Linux: Documentation/admin-guide/cgroup-v1/ and cgroup-v2.rst). The smallest limit of the
 * process's cgroup and of all its parents counts, of both versions; the cgroups are found through
 * ROOT/proc/self/cgroup and ROOT/proc/self/mountinfo. `root` is "" for the machine, a folder for
 * tests. What cannot be read does not limit. */

/* A bandwidth of processors. */
typedef struct ResrCpuQuota {
    double cpus;            /* quota / period; 0: unlimited */
    uint64_t device, inode; /* of the cgroup that has it: its processes share it */
} ResrCpuQuota;

/* cpu.max, cpu.cfs_quota_us. */
ResrCpuQuota resr_cgroup_cpu_quota(const char *root);

/* memory.max, memory.limit_in_bytes; INT64_MAX: unlimited. */
int64_t resr_cgroup_memory_bytes(const char *root);

#endif
