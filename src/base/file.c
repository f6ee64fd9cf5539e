#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int resr_file_open(const char *path, int flags, mode_t mode)
{
    int fd;
    do
        fd = open(path, flags | O_CLOEXEC, mode);
    while (fd < 0 && errno == EINTR);
    return fd;
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
