/* clang-format off */
/* Preloaded into the program under test: counts its file-system calls below one folder and at a chosen call kills the
 * process or fails the call. The environment says how:
 *   RESR_SHIM_ROOT    the folder, an absolute path
 *   RESR_SHIM_LOG     gets a line "NUMBER CALL PATH" for each call, and "fired" when the fault occurred
 *   RESR_SHIM_AT      number of the call at which the fault occurs, from 1; 0: none
 *   RESR_SHIM_FAULT   kill: SIGKILL before the call
 *                     torn: half of a write, then SIGKILL
 *                     short: half of a write, which succeeds
 *                     enospc, eio, eintr: the call fails with that error
 *   RESR_SHIM_SHADOW  a folder on the same file system that gets the state after a loss of power:
 *                     data-INODE   contents of a file at its last fsync or fdatasync
 *                     dir-INODE    entries of a folder at its last fsync, lines "INODE NAME"
 *                     keep-INODE   a link to each file that lost its name, so that no inode number is used twice
 * Calls are counted one at a time, under one lock, which a counted call holds to its end. Output through stdio is
 * counted as well: streams that fopen() opens for writing write through this file. */
/* clang-format on */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../support/preload.h"

typedef enum Fault { FAULT_NONE, FAULT_KILL, FAULT_TORN, FAULT_SHORT, FAULT_ERROR } Fault;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char root[PATH_MAX];
static const char *shadow;
static int log_fd = -1, fault_errno;
static long at, count;
static Fault fault;

__attribute__((constructor)) static void set_up(void)
{
    static const struct {
        const char *name;
        Fault fault;
        int error;
    } faults[] = {{"kill", FAULT_KILL, 0},   {"torn", FAULT_TORN, 0},
                  {"short", FAULT_SHORT, 0}, {"enospc", FAULT_ERROR, ENOSPC},
                  {"eio", FAULT_ERROR, EIO}, {"eintr", FAULT_ERROR, EINTR}};
    const char *folder = getenv("RESR_SHIM_ROOT"), *log = getenv("RESR_SHIM_LOG");
    const char *number = getenv("RESR_SHIM_AT"), *name = getenv("RESR_SHIM_FAULT");
    if (!folder || !log)
        return;
    snprintf(root, sizeof root, "%s", folder);
    shadow = getenv("RESR_SHIM_SHADOW");
    at = number ? atol(number) : 0;
    for (size_t i = 0; name && i < sizeof faults / sizeof *faults; i++) {
        if (strcmp(name, faults[i].name) != 0)
            continue;
        fault = faults[i].fault;
        fault_errno = faults[i].error;
    }
    log_fd =
        (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
    char line[PATH_MAX + 64];
    va_list list;
    va_start(list, format);
    int used = vsnprintf(line, sizeof line, format, list);
    va_end(list);
    if (used > 0 && syscall(SYS_write, log_fd, line, (size_t)used) < 0)
        abort();
}

static bool is_inside(const char *path)
{
    char full[PATH_MAX];
    size_t length = strlen(root);
    if (!length || log_fd < 0 || !path)
        return false;
    if (path[0] != '/') {
        if (!getcwd(full, sizeof full) || strlen(full) + strlen(path) + 2 > sizeof full)
            return false;
        strcat(strcat(full, "/"), path);
        path = full;
    }
    return strncmp(path, root, length) == 0 && (path[length] == '/' || !path[length]);
}

static bool fd_path(char out[PATH_MAX], int fd)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = root[0] ? readlink(link, out, PATH_MAX - 1) : -1;
    out[n > 0 ? n : 0] = 0;
    return is_inside(out);
}

/* A call of the counted kind begins: true if it is the one that the fault comes at. Takes the lock,
 * which end_call() gives back. */
static bool begin_call(const char *name, const char *path)
{
    pthread_mutex_lock(&lock);
    count++;
    say("%ld %s %s\n", count, name, path);
    if (count != at || fault == FAULT_NONE)
        return false;
    bool writes = strcmp(name, "write") == 0 || strcmp(name, "pwrite") == 0;
    if ((fault == FAULT_SHORT || fault == FAULT_TORN) && !writes)
        return false;
    if (fault == FAULT_ERROR && fault_errno == EINTR && !writes && strcmp(name, "open") != 0 &&
        strcmp(name, "fsync") != 0 && strcmp(name, "fdatasync") != 0 &&
        strcmp(name, "ftruncate") != 0)
        return false; /* those are never interrupted */
    say("fired\n");
    if (fault == FAULT_KILL)
        kill(getpid(), SIGKILL);
    return true;
}

/* Keeps errno. */
static void end_call(bool counts)
{
    int saved = errno;
    if (counts)
        pthread_mutex_unlock(&lock);
    errno = saved;
}

static int failed(void)
{
    end_call(true);
    errno = fault_errno;
    return -1;
}

/* Half of a write, after which the process ends or the call succeeds. */
static ssize_t half(ssize_t written)
{
    if (fault == FAULT_TORN)
        kill(getpid(), SIGKILL);
    end_call(true);
    return written;
}

/* The file at `path` loses this name: a link keeps its inode. */
static void keep_inode(const char *path)
{
    struct stat status;
    char kept[PATH_MAX];
    if (!shadow || lstat(path, &status) != 0 || !S_ISREG(status.st_mode))
        return;
    snprintf(kept, sizeof kept, "%s/keep-%ju", shadow, (uintmax_t)status.st_ino);
    if (syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, kept, 0) != 0 && errno != EEXIST) {
        say("cannot keep %s: %s\n", path, strerror(errno));
        abort();
    }
}

static void copy_file(int from, int to)
{
    char buffer[65536];
    off_t offset = 0;
    ssize_t n;
    while ((n = pread(from, buffer, sizeof buffer, offset)) > 0) {
        if (syscall(SYS_write, to, buffer, (size_t)n) != n)
            abort();
        offset += n;
    }
}

static void list_folder(int fd, int to)
{
    char line[PATH_MAX];
    int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = own >= 0 ? fdopendir(own) : NULL;
    struct dirent *entry;
    while (folder && (entry = readdir(folder))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        int n = snprintf(line, sizeof line, "%ju %s\n", (uintmax_t)entry->d_ino, entry->d_name);
        if (syscall(SYS_write, to, line, (size_t)n) != n)
            abort();
    }
    if (folder)
        closedir(folder);
}

/* Copies the file or folder `fd` to the shadow: it has reached the disk. */
static void remember(int fd)
{
    struct stat status;
    char path[PATH_MAX];
    if (!shadow || fstat(fd, &status) != 0)
        return;
    bool folder = S_ISDIR(status.st_mode);
    snprintf(path, sizeof path, "%s/%s-%ju", shadow, folder ? "dir" : "data",
             (uintmax_t)status.st_ino);
    int to =
        (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    char again[64]; /* the descriptor may be for writing only */
    snprintf(again, sizeof again, "/proc/self/fd/%d", fd);
    int from = folder ? -1 : (int)syscall(SYS_openat, AT_FDCWD, again, O_RDONLY | O_CLOEXEC, 0);
    if (to < 0 || (!folder && from < 0))
        abort();
    if (folder)
        list_folder(fd, to);
    else
        copy_file(from, to);
    syscall(SYS_close, to);
    if (from >= 0)
        syscall(SYS_close, from);
}

static int open_counted(int folder, const char *path, int flags, mode_t mode)
{
    bool counts = (flags & (O_ACCMODE | O_CREAT | O_TRUNC)) != 0 && is_inside(path);
    if (counts && begin_call("open", path))
        return failed();
    int fd = (int)syscall(SYS_openat, folder, path, flags | O_LARGEFILE, mode);
    end_call(counts);
    return fd;
}

int open(const char *path, int flags, ...)
{
    OPEN_MODE(mode, flags);
    return open_counted(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    OPEN_MODE(mode, flags);
    return open_counted(AT_FDCWD, path, flags, mode);
}

int openat(int folder, const char *path, int flags, ...)
{
    OPEN_MODE(mode, flags);
    return open_counted(folder, path, flags, mode);
}

/* Called by the fortified headers. */
int __open_2(const char *path, int flags);
int __open_2(const char *path, int flags)
{
    return open_counted(AT_FDCWD, path, flags, 0);
}

int __open64_2(const char *path, int flags);
int __open64_2(const char *path, int flags)
{
    return open_counted(AT_FDCWD, path, flags, 0);
}

static ssize_t write_counted(int fd, const void *data, size_t bytes)
{
    char path[PATH_MAX];
    if (!fd_path(path, fd))
        return syscall(SYS_write, fd, data, bytes);
    bool here = begin_call("write", path);
    if (here && fault == FAULT_ERROR)
        return failed();
    ssize_t n = syscall(SYS_write, fd, data, here ? (bytes + 1) / 2 : bytes);
    if (here)
        return half(n);
    end_call(true);
    return n;
}

ssize_t write(int fd, const void *data, size_t bytes)
{
    return write_counted(fd, data, bytes);
}

static ssize_t pwrite_counted(int fd, const void *data, size_t bytes, off_t offset)
{
    char path[PATH_MAX];
    if (!fd_path(path, fd))
        return syscall(SYS_pwrite64, fd, data, bytes, offset);
    bool here = begin_call("pwrite", path);
    if (here && fault == FAULT_ERROR)
        return failed();
    ssize_t n = syscall(SYS_pwrite64, fd, data, here ? (bytes + 1) / 2 : bytes, offset);
    if (here)
        return half(n);
    end_call(true);
    return n;
}

ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset)
{
    return pwrite_counted(fd, data, bytes, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t bytes, off_t offset)
{
    return pwrite_counted(fd, data, bytes, offset);
}

static int sync_counted(const char *name, long number, int fd)
{
    char path[PATH_MAX];
    bool counts = fd_path(path, fd);
    if (counts && begin_call(name, path))
        return failed();
    int ret = (int)syscall(number, fd);
    if (counts && ret == 0)
        remember(fd);
    end_call(counts);
    return ret;
}

int fsync(int fd)
{
    return sync_counted("fsync", SYS_fsync, fd);
}

int fdatasync(int fd)
{
    return sync_counted("fdatasync", SYS_fdatasync, fd);
}

/* The rest of a function: a system call that returns an int, counted if `inside`. */
#define COUNTED(name, path, inside, loses_name, ...)                                               \
    bool counts = inside;                                                                          \
    if (counts && begin_call(name, path))                                                          \
        return failed();                                                                           \
    if (counts && loses_name)                                                                      \
        keep_inode(path);                                                                          \
    int ret = (int)syscall(__VA_ARGS__);                                                           \
    end_call(counts);                                                                              \
    return ret

static int truncate_counted(int fd, off_t length)
{
    char path[PATH_MAX];
    COUNTED("ftruncate", path, fd_path(path, fd), false, SYS_ftruncate, fd, length);
}

int ftruncate(int fd, off_t length)
{
    return truncate_counted(fd, length);
}

int ftruncate64(int fd, off_t length)
{
    return truncate_counted(fd, length);
}

static int rename_counted(const char *name, const char *from, const char *to, unsigned flags)
{
    COUNTED(name, to, is_inside(from) || is_inside(to), true, SYS_renameat2, AT_FDCWD, from,
            AT_FDCWD, to, flags);
}

int rename(const char *from, const char *to)
{
    return rename_counted("rename", from, to, 0);
}

/* The program gives full paths, or such that begin in its working folder. */
int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags)
{
    if (from_folder != AT_FDCWD || to_folder != AT_FDCWD)
        abort();
    return rename_counted("renameat2", from, to, flags);
}

int link(const char *from, const char *to)
{
    COUNTED("link", to, is_inside(to), false, SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int unlink(const char *path)
{
    COUNTED("unlink", path, is_inside(path), true, SYS_unlinkat, AT_FDCWD, path, 0);
}

int mkdir(const char *path, mode_t mode)
{
    COUNTED("mkdir", path, is_inside(path), false, SYS_mkdirat, AT_FDCWD, path, mode);
}

int rmdir(const char *path)
{
    COUNTED("rmdir", path, is_inside(path), false, SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR);
}

/* Like the stream of the C library, which continues after a short write and stops at an error. */
static ssize_t stream_write(void *cookie, const char *data, size_t bytes)
{
    size_t done = 0;
    while (done < bytes) {
        ssize_t n = write_counted((int)(intptr_t)cookie, data + done, bytes - done);
        if (n < 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

static int stream_close(void *cookie)
{
    return close((int)(intptr_t)cookie);
}

static FILE *open_stream(const char *path, const char *mode)
{
    cookie_io_functions_t functions = {.write = stream_write, .close = stream_close};
    int fd = open_counted(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    return fd < 0 ? NULL : fopencookie((void *)(intptr_t)fd, mode, functions);
}

FILE *fopen(const char *path, const char *mode)
{
    NEXT(FILE *, fopen, const char *, const char *);
    return mode[0] == 'w' && is_inside(path) ? open_stream(path, "w") : next(path, mode);
}

FILE *fopen64(const char *path, const char *mode)
{
    NEXT(FILE *, fopen64, const char *, const char *);
    return mode[0] == 'w' && is_inside(path) ? open_stream(path, "w") : next(path, mode);
}
