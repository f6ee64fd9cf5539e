#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int resr_file_open(const char *path, int flags, mode_t mode)
{
    int fd;
    do
        fd = open(path, flags | O_CLOEXEC, mode);
    while (fd < 0 && errno == EINTR);
    return fd;
}

int resr_file_check_input(const char *path, int error, mode_t mode)
{
    if (error == ENOENT && strcmp(path, "-") == 0)
        return resr_fail(RESR_ERR_NOINPUT, "-: standard input cannot be the input, because the "
                                           "input is read more than once; save it to a file first");
    if (error == ENOENT || error == ENOTDIR)
        return resr_fail(RESR_ERR_NOINPUT, "%s: %s; check the name", path, strerror(error));
    if (error == EACCES || error == EPERM)
        return resr_fail(RESR_ERR_PERM, "%s: cannot be read: %s", path, strerror(error));
    if (error == ENXIO) /* of a socket */
        mode = S_IFSOCK;
    else if (error)
        return resr_fail(RESR_ERR_IO, "%s: cannot be opened: %s", path, strerror(error));
    if (S_ISREG(mode))
        return 0;
    return resr_fail(RESR_ERR_DATA, "%s: is a %s; save the input as a regular file first", path,
                     S_ISDIR(mode)    ? "folder"
                     : S_ISFIFO(mode) ? "pipe"
                     : S_ISSOCK(mode) ? "socket"
                                      : "device");
}

int resr_file_open_input(const char *path)
{
    struct stat status;
    int fd = resr_file_open(path, O_RDONLY | O_NOCTTY | O_NONBLOCK, 0);
    if (fd < 0 && errno == EAGAIN && stat(path, &status) == 0 && S_ISREG(status.st_mode))
        fd = resr_file_open(path, O_RDONLY | O_NOCTTY, 0); /* waits for another one's lease */
    int error = fd < 0 || fstat(fd, &status) != 0 ? errno : 0;
    int ret = resr_file_check_input(path, error, error ? 0 : status.st_mode);
    if (ret == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return ret;
}

int resr_file_create(const char *path, mode_t mode)
{
    const int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW;
    int fd = resr_file_open(path, flags, mode);
    if (fd < 0 && errno == EEXIST && unlink(path) == 0)
        fd = resr_file_open(path, flags, mode);
    return fd;
}

int resr_file_open_own(const char *path, mode_t mode)
{
    struct stat status;
    int fd = resr_file_open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, mode);
    if (fd < 0 || (fstat(fd, &status) == 0 && S_ISREG(status.st_mode)))
        return fd;
    close(fd);
    errno = EINVAL;
    return -1;
}

int resr_file_write(int fd, const void *data, size_t bytes, off_t offset)
{
    const char *next = data;
    while (bytes > 0) {
        ssize_t n = pwrite(fd, next, bytes, offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            errno = EIO;
        if (n <= 0)
            return -1;
        next += n;
        offset += n;
        bytes -= (size_t)n;
    }
    return 0;
}

ssize_t resr_file_read(int fd, void *data, size_t bytes, off_t offset)
{
    size_t got = 0;
    while (got < bytes) {
        ssize_t n = pread(fd, (char *)data + got, bytes - got, offset + (off_t)got);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        got += (size_t)n;
    }
    return (ssize_t)got;
}

int resr_file_truncate(int fd, off_t bytes)
{
    int ret;
    do
        ret = ftruncate(fd, bytes);
    while (ret < 0 && errno == EINTR);
    return ret;
}

int resr_file_sync(int fd, int data_only)
{
    int ret;
    do
        ret = data_only ? fdatasync(fd) : fsync(fd);
    while (ret < 0 && errno == EINTR);
    return ret;
}

int resr_file_sync_path(const char *path, int flags)
{
    int fd = resr_file_open(path, flags, 0);
    if (fd < 0)
        return -1;
    int ret = resr_file_sync(fd, 0);
    int saved = errno;
    close(fd);
    errno = saved;
    return ret;
}

int resr_file_beside_program(char *out, size_t out_bytes, const char *name)
{
    char program[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length < 0)
        return -1;
    program[length] = '\0';
    char *slash = strrchr(program, '/');
    int folder = slash ? (int)(slash - program) : 0;
    int used = snprintf(out, out_bytes, "%.*s/%s", folder, program, name);
    return used >= 0 && (size_t)used < out_bytes ? 0 : -1;
}
