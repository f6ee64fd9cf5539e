/* clang-format off */
/* Preloaded into the program under test: a file system without the functions that network file systems lack, another process that
 * takes a name at the worst moment, and a faster clock. The environment says which:
 *   SHIM_NO_REPLACE   errno, by number, of renameat2 with flags
 *   SHIM_NO_LINK, SHIM_NO_FLOCK   errno of these calls
 *   SHIM_NO_MOVE      errno of a rename from one folder into another
 *   SHIM_APPEAR       a file of that path is created before anything is given that name
 *   SHIM_RAM          bytes of the machine's memory
 *   SHIM_SPEED        seconds of the monotonic clock in a second
 *   SHIM_STALL        pread() of a file of that name does not return, from byte SHIM_STALL_AT on, where the file is
 *                     opened for the SHIM_STALL_OPEN-th time; a file "stalled" then appears
 *   SHIM_EINTR        open() of the file and every second pread() fail once with EINTR
 *   SHIM_EIO          the first pread() of byte SHIM_EIO_AT fails with EIO, in each opening of a file of that name */
/* clang-format on */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "../support/preload.h"

static int fails(const char *name)
{
    const char *value = getenv(name);
    if (!value)
        return 0;
    errno = atoi(value);
    return -1;
}

static void appear(const char *path)
{
    const char *wanted = getenv("SHIM_APPEAR");
    const char *name = strrchr(path, '/');
    if (!wanted || strcmp(name ? name + 1 : path, wanted) != 0)
        return;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
    if (fd >= 0 && write(fd, "theirs", 6) == 6)
        close(fd);
}

static int moves(const char *from, const char *to)
{
    from += strncmp(from, "./", 2) == 0 ? 2 : 0;
    to += strncmp(to, "./", 2) == 0 ? 2 : 0;
    const char *a = strrchr(from, '/'), *b = strrchr(to, '/');
    size_t length = a ? (size_t)(a - from) : 0;
    return length != (b ? (size_t)(b - to) : 0) || strncmp(from, to, length) != 0;
}

int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags)
{
    NEXT(int, renameat2, int, const char *, int, const char *, unsigned);
    appear(to);
    if (flags && fails("SHIM_NO_REPLACE"))
        return -1;
    return next(from_folder, from, to_folder, to, flags);
}

int link(const char *from, const char *to)
{
    NEXT(int, link, const char *, const char *);
    return fails("SHIM_NO_LINK") ? -1 : next(from, to);
}

int rename(const char *from, const char *to)
{
    NEXT(int, rename, const char *, const char *);
    if (moves(from, to) && fails("SHIM_NO_MOVE"))
        return -1;
    return next(from, to);
}

int flock(int fd, int operation)
{
    NEXT(int, flock, int, int);
    return fails("SHIM_NO_FLOCK") ? -1 : next(fd, operation);
}

int sysinfo(struct sysinfo *info)
{
    const char *bytes = getenv("SHIM_RAM");
    NEXT(int, sysinfo, struct sysinfo *);
    int ret = next(info);
    if (ret == 0 && bytes) {
        info->totalram = strtoul(bytes, NULL, 10);
        info->totalswap = 0;
        info->mem_unit = 1;
    }
    return ret;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    const char *speed = getenv("SHIM_SPEED");
    NEXT(int, clock_gettime, clockid_t, struct timespec *);
    int ret = next(clock, now);
    if (ret == 0 && speed && clock == CLOCK_MONOTONIC) {
        double seconds = ((double)now->tv_sec + (double)now->tv_nsec * 1e-9) * atof(speed);
        now->tv_sec = (time_t)seconds;
        now->tv_nsec = (long)((seconds - (double)now->tv_sec) * 1e9);
    }
    return ret;
}

/* The file of this name in an environment variable. */
static int is_named(const char *path, const char *variable)
{
    const char *wanted = getenv(variable), *name = strrchr(path, '/');
    return wanted && strcmp(name ? name + 1 : path, wanted) == 0;
}

static int setting(const char *variable)
{
    const char *value = getenv(variable);
    return value ? atoi(value) : 0;
}

static atomic_int opened, interrupted, stalling_fd = -1;
static atomic_bool failing[1024]; /* by descriptor */

static int open_file(const char *path, int flags, mode_t mode)
{
    if (is_named(path, "SHIM_EINTR") && interrupted++ % 2 == 0) {
        errno = EINTR;
        return -1;
    }
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    if (fd >= 0 && flags & O_NONBLOCK && is_named(path, "SHIM_STALL") &&
        ++opened == setting("SHIM_STALL_OPEN"))
        stalling_fd = fd;
    if (fd >= 0 && fd < 1024)
        failing[fd] = is_named(path, "SHIM_EIO");
    return fd;
}

int open(const char *path, int flags, ...)
{
    OPEN_MODE(mode, flags);
    return open_file(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    OPEN_MODE(mode, flags);
    return open_file(path, flags, mode);
}

/* As of a server that is gone: signals do not end the wait. */
ssize_t pread64(int fd, void *data, size_t bytes, off64_t offset)
{
    while (fd == stalling_fd && offset + (off64_t)bytes > setting("SHIM_STALL_AT")) {
        close(open("stalled", O_WRONLY | O_CREAT, 0644));
        sleep(1);
    }
    if (getenv("SHIM_EINTR") && interrupted++ % 2 == 0) {
        errno = EINTR;
        return -1;
    }
    int at = setting("SHIM_EIO_AT");
    if (fd < 1024 && offset <= at && at < offset + (off64_t)bytes &&
        atomic_exchange(&failing[fd], false)) {
        errno = EIO;
        return -1;
    }
    return syscall(SYS_pread64, fd, data, bytes, offset);
}

ssize_t pread(int fd, void *data, size_t bytes, off_t offset)
{
    return pread64(fd, data, bytes, offset);
}
