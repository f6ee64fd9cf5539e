/* A lock between processes, by flock() or by a lease file.
 *
 * resr_lock_try() opens the file and asks for flock(). After a success the descriptor must still be
 * the file of that name (is_current()): the previous holder may have removed the folder in between.
 * If a lease exists beside the file, the lease counts, too.
 *
 * Lease: PATH.lease contains one line, "HOST BOOT/NAMESPACE PID SECONDS.NANOSECONDS COUNT".
 *   take     creates the file with O_EXCL, syncs it and reads it again; the process that finds its
 *            own line holds the lease. Two processes may both remove one stale lease: the last one
 *            to create it wins.
 *   renew    a thread increments COUNT in place every RESR_LEASE_BEAT_SECONDS, unless the line
 *            names another owner.
 *   stale    a waiting process removes a lease whose line has not changed for
 *            RESR_LEASE_STALE_SECONDS of its own clock, or whose process on this host has ended.
 *   check    resr_lock_check() before each write: a holder that lost its lease writes nothing more.
 *   release  removes the file if the line is the holder's. */

#include "base/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/publish.h"

#define LEASE_BYTES 512

struct ResrLock {
    char path[PATH_MAX], lease[PATH_MAX + 8];
    int fd;
    bool unsupported, leased;    /* no flock() here; the lease file is this process's */
    char place[192], owner[384]; /* host and process namespace; the line without its count */
    char seen[LEASE_BYTES];      /* another owner's line, unchanged since: */
    int64_t seen_ns;             /* 0: never seen */
    pthread_t thread;            /* renews the lease */
    pthread_mutex_t lock;        /* of `ended` */
    pthread_cond_t changed;
    bool ended;
};

/* Host, boot and process namespace: within one of them a process id says whether its process runs.
 */
static void name_place(ResrLock *lock)
{
    char host[65] = "", boot[40] = "-";
    struct stat space = {0};
    gethostname(host, sizeof host - 1);
    for (char *c = host; *c; c++)
        if (*c <= ' ')
            *c = '-';
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (file && fscanf(file, "%39s", boot) != 1)
        snprintf(boot, sizeof boot, "-");
    if (file)
        fclose(file);
    if (stat("/proc/self/ns/pid", &space) != 0)
        space.st_ino = 0;
    snprintf(lock->place, sizeof lock->place, "%s %s/%" PRIu64, host[0] ? host : "-", boot,
             (uint64_t)space.st_ino);
}

static int create(ResrLock **out, const char *path)
{
    struct timespec now;
    if (strlen(path) >= sizeof(*out)->path)
        return resr_fail(RESR_ERR_USAGE, "%.64s...: the path is too long", path);
    int ret = resr_alloc(out, 1, sizeof **out);
    if (ret < 0)
        return ret;
    ResrLock *lock = *out;
    lock->fd = -1;
    memcpy(lock->path, path, strlen(path) + 1);
    snprintf(lock->lease, sizeof lock->lease, "%s.lease", path);
    pthread_mutex_init(&lock->lock, NULL);
    pthread_condattr_t monotonic; /* setting the clock back must not stop the renewals */
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&lock->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    clock_gettime(CLOCK_REALTIME, &now);
    name_place(lock);
    snprintf(lock->owner, sizeof lock->owner, "%s %ld %" PRId64 ".%09ld ", lock->place,
             (long)getpid(), (int64_t)now.tv_sec, now.tv_nsec);
    return 0;
}

static void close_file(ResrLock *lock)
{
    if (lock->fd >= 0)
        close(lock->fd);
    lock->fd = -1;
}

/* False if the locked file no longer has the lock's name: the previous holder removed the folder.
 */
static bool is_current(const ResrLock *lock)
{
    struct stat ours, there;
    return fstat(lock->fd, &ours) == 0 && stat(lock->path, &there) == 0 &&
           ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
}

/* Opens the lease again to read it: network file systems then ask their server. Returns the
 * descriptor, or a negative value if the lease cannot be read. */
static int open_lease(const ResrLock *lock, char out[LEASE_BYTES], int access)
{
    int fd = resr_file_open(lock->lease, access | O_NOFOLLOW | O_NONBLOCK, 0);
    ssize_t n = fd < 0 ? -1 : resr_file_read(fd, out, LEASE_BYTES - 1, 0);
    out[n > 0 ? n : 0] = 0;
    if (n >= 0 || fd < 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static bool read_lease(const ResrLock *lock, char out[LEASE_BYTES])
{
    int fd = open_lease(lock, out, O_RDONLY);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static bool is_ours(const ResrLock *lock, const char *lease)
{
    return strncmp(lease, lock->owner, strlen(lock->owner)) == 0;
}

static int write_lease(const ResrLock *lock, int fd, uint64_t beat)
{
    char text[LEASE_BYTES];
    int bytes = snprintf(text, sizeof text, "%s%020" PRIu64 "\n", lock->owner, beat);
    return resr_file_write(fd, text, (size_t)bytes, 0);
}

/* Increments the count unless the lease is another process's, which resr_lock_check() will report.
 * One descriptor reads and writes: a lease that another process creates in between is not changed.
 */
static void renew(const ResrLock *lock, uint64_t beat)
{
    char lease[LEASE_BYTES];
    int fd = open_lease(lock, lease, O_RDWR);
    if (fd < 0)
        return;
    if (is_ours(lock, lease) && write_lease(lock, fd, beat) != 0)
        resr_log_warn("%s: cannot be renewed: %s", lock->lease, strerror(errno));
    close(fd);
}

static void *renew_main(void *argument)
{
    ResrLock *lock = argument;
    uint64_t beat = 0;
    pthread_mutex_lock(&lock->lock);
    while (!lock->ended) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += RESR_LEASE_BEAT_SECONDS;
        pthread_cond_timedwait(&lock->changed, &lock->lock, &until);
        if (lock->ended)
            break;
        pthread_mutex_unlock(&lock->lock);
        renew(lock, ++beat);
        pthread_mutex_lock(&lock->lock);
    }
    pthread_mutex_unlock(&lock->lock);
    return NULL;
}

/* Has the process of `lease` ended? Known only for processes of this host and namespace. */
static bool has_ended(const ResrLock *lock, const char *lease)
{
    size_t length = strlen(lock->place);
    long pid = 0;
    return strncmp(lease, lock->place, length) == 0 && sscanf(lease + length, " %ld", &pid) == 1 &&
           pid > 0 && kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}

/* Removes a lease whose process has ended or does not renew it; false if the lease may be valid. */
static bool remove_stale(ResrLock *lock)
{
    char lease[LEASE_BYTES];
    if (!read_lease(lock, lease))
        return errno == ENOENT;
    if (lock->seen_ns == 0 || strcmp(lease, lock->seen) != 0) {
        memcpy(lock->seen, lease, sizeof lease);
        lock->seen_ns = resr_clock_ns();
    }
    bool stale = resr_clock_seconds_since(lock->seen_ns) > RESR_LEASE_STALE_SECONDS;
    if (!stale && !has_ended(lock, lease))
        return false;
    resr_log_warn("%s: the process that holds the lease has ended or does not renew it; this "
                  "process takes over",
                  lock->lease);
    return unlink(lock->lease) == 0 || errno == ENOENT;
}

static int take_lease(ResrLock *lock, mode_t mode, bool *taken)
{
    const int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW;
    char lease[LEASE_BYTES];
    int fd = resr_file_open(lock->lease, flags, mode);
    if (fd < 0 && errno == EEXIST && remove_stale(lock))
        fd = resr_file_open(lock->lease, flags, mode);
    if (fd < 0)
        return errno == EEXIST || errno == ENOENT ? 0 : resr_publish_create_failure(lock->lease, 1);
    int ret = write_lease(lock, fd, 0) == 0 && resr_file_sync(fd, 0) == 0
                  ? 0
                  : resr_publish_write_failure(lock->lease, LEASE_BYTES);
    close(fd);
    /* Two processes may both have removed a stale lease: the last one to create it holds it. */
    if (ret == 0 && (!read_lease(lock, lease) || !is_ours(lock, lease) || !is_current(lock)))
        return 0;
    if (ret == 0 && pthread_create(&lock->thread, NULL, renew_main, lock) != 0)
        ret = resr_fail(RESR_ERR_INTERNAL, "%s: the thread that renews the lease cannot be started",
                        lock->lease);
    lock->leased = *taken = ret == 0;
    if (ret < 0)
        unlink(lock->lease);
    return ret;
}

int resr_lock_try(ResrLock **out, const char *path, mode_t mode, bool *taken)
{
    int ret = *out ? 0 : create(out, path);
    *taken = false;
    if (ret < 0)
        return ret;
    ResrLock *lock = *out;
    lock->fd = resr_file_open_own(path, mode);
    if (lock->fd < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EIO))
        return resr_publish_write_failure(path, 4096);
    if (lock->fd < 0)
        return resr_fail(RESR_ERR_PERM, "%s: cannot be opened: %s", path, strerror(errno));
    if (flock(lock->fd, LOCK_EX | LOCK_NB) == 0) {
        *taken = is_current(lock);
        if (*taken && access(lock->lease, F_OK) == 0) {
            *taken = false;
            ret = take_lease(lock, mode, taken);
        }
    } else if (errno == ENOLCK || errno == ENOSYS || errno == EOPNOTSUPP) {
        if (!lock->unsupported)
            resr_log_warn("%s: this file system has no locks (%s); a lease file, renewed every %d "
                          "s, replaces the lock",
                          path, strerror(errno), RESR_LEASE_BEAT_SECONDS);
        lock->unsupported = true;
        ret = take_lease(lock, mode, taken);
    } else if (errno != EWOULDBLOCK && errno != EINTR) {
        ret = resr_fail(RESR_ERR_IO, "%s: cannot be locked: %s", path, strerror(errno));
    }
    if (!*taken)
        close_file(lock);
    return ret;
}

double resr_lock_wait_seconds(const ResrLock *lock)
{
    return lock->seen_ns ? RESR_LEASE_WAIT_SECONDS : RESR_LOCK_WAIT_SECONDS;
}

int resr_lock_fd(const ResrLock *lock)
{
    return lock->fd;
}

int resr_lock_check(const ResrLock *lock)
{
    char lease[LEASE_BYTES];
    if (!lock || !lock->leased || (!read_lease(lock, lease) && errno != ENOENT) ||
        is_ours(lock, lease))
        return 0;
    return resr_fail(RESR_ERR_IO,
                     "%s: another process has taken over this job, because this process did not "
                     "renew the lease for more than %d s; this process writes nothing more",
                     lock->lease, RESR_LEASE_STALE_SECONDS);
}

void resr_lock_release(ResrLock *lock)
{
    char lease[LEASE_BYTES];
    if (!lock)
        return;
    if (lock->leased) {
        pthread_mutex_lock(&lock->lock);
        lock->ended = true;
        pthread_cond_signal(&lock->changed);
        pthread_mutex_unlock(&lock->lock);
        pthread_join(lock->thread, NULL);
        if (read_lease(lock, lease) && is_ours(lock, lease))
            unlink(lock->lease);
    }
    close_file(lock);
    pthread_cond_destroy(&lock->changed);
    pthread_mutex_destroy(&lock->lock);
    free(lock);
}
