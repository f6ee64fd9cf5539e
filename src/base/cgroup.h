#ifndef RESR_BASE_CGROUP_H
#define RESR_BASE_CGROUP_H

#include <stdint.h>

/* Limits of the machine's resources by the cgroups of this process, such as those of a container or
 * a service (Linux: Documentation/admin-guide/cgroup-v1/ and cgroup-v2.rst). The smallest limit of
 * the process's cgroup and its parents counts, in version 1 and version 2; the paths of the cgroups
 * are read from ROOT/proc/self/cgroup and ROOT/proc/self/mountinfo. `root` is "" for the machine, a
 * folder for tests. A file that cannot be read sets no limit. */

/* A limit of processor time. */
typedef struct ResrCpuQuota {
    double cpus;            /* quota / period; 0: unlimited */
    uint64_t device, inode; /* of the cgroup with this quota; its processes share the quota */
} ResrCpuQuota;

/* The quota of cpu.max (version 2) or cpu.cfs_quota_us (version 1). */
ResrCpuQuota resr_cgroup_cpu_quota(const char *root);

/* The limit of memory.max (version 2) or memory.limit_in_bytes (version 1); INT64_MAX: unlimited.
 */
int64_t resr_cgroup_memory_bytes(const char *root);

#endif
