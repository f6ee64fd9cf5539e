#ifndef RESR_BASE_LOCK_H
#define RESR_BASE_LOCK_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

/* A file that one process at a time works with: flock() where the file system has it. Where it has
 * not (ENOLCK, ENOSYS, EOPNOTSUPP), the lease file PATH.lease takes its place: created with O_EXCL,
 * it names host, process and start, and a thread counts it up every RESR_LEASE_BEAT_SECONDS. A
 * lease that a waiting process has not seen change for RESR_LEASE_STALE_SECONDS of its own clock is
 * taken over, one whose process has ended on this host at once. A lease that was found is
 * respected with flock(), too. */
typedef struct ResrLock ResrLock;

/* One try for the file `path`, which is created with `mode`. *lock is NULL at the first try and
 * keeps what was seen between tries; the caller ends it with resr_lock_release() in any case.
 * *taken: false while another process has it. RESR_ERR_PERM, RESR_ERR_IO. */
RESR_MUST_CHECK int resr_lock_try(ResrLock **lock, const char *path, mode_t mode, bool *taken);

/* How long a caller should try: RESR_LOCK_WAIT_SECONDS, with a lease RESR_LEASE_WAIT_SECONDS. */
double resr_lock_wait_seconds(const ResrLock *lock);

/* The file, open for reading and writing, while the lock is held. */
int resr_lock_fd(const ResrLock *lock);

/* RESR_ERR_IO if the lease went to another process, because this one stood still for too long. Call
 * before anything is written that must not meet that process. NULL is allowed. From any thread. */
RESR_MUST_CHECK int resr_lock_check(const ResrLock *lock);

void resr_lock_release(ResrLock *lock); /* NULL is allowed */

#endif
