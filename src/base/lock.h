#ifndef RESR_BASE_LOCK_H
#define RESR_BASE_LOCK_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

/* A file that one process at a time works with: flock() where the file system has it. On other file
 * systems (ENOLCK, ENOSYS, EOPNOTSUPP) the lease file PATH.lease replaces the lock: it is created
 * with O_EXCL and contains host, process, start and a counter that a thread increments every
 * RESR_LEASE_BEAT_SECONDS. A waiting process takes over a lease that has not changed for
 * RESR_LEASE_STALE_SECONDS of its own clock, and at once a lease whose process on this host has
 * ended. An existing lease also excludes processes that have flock(). */
typedef struct ResrLock ResrLock;

/* One try for the file `path`, which is created with `mode`. *lock is NULL at the first try and
 * keeps the observed lease between tries; the caller frees *lock with resr_lock_release() in any
 * case. *taken: false while another process holds the lock. RESR_ERR_PERM, RESR_ERR_IO. */
RESR_MUST_CHECK int resr_lock_try(ResrLock **lock, const char *path, mode_t mode, bool *taken);

/* How long a caller should try: RESR_LOCK_WAIT_SECONDS, or RESR_LEASE_WAIT_SECONDS with a lease. */
double resr_lock_wait_seconds(const ResrLock *lock);

/* The file, open for reading and writing, while the lock is held. */
int resr_lock_fd(const ResrLock *lock);

/* RESR_ERR_IO if another process has taken over the lease, because this process did not renew the
 * lease in time. Call before each write that must not collide with that process. NULL is allowed.
 * Call from any thread. */
RESR_MUST_CHECK int resr_lock_check(const ResrLock *lock);

void resr_lock_release(ResrLock *lock); /* NULL is allowed */

#endif
