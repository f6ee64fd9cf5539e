/* Atomic replace, as POSIX and the file systems in use allow it:
 *
 *   write   the temporary file in the folder of the final name (rename() stays on one file system)
 *   fsync   the file: its bytes are on disk before its name can be
 *   rename  to the final name: readers see the old file, or all of the new one. Without `overwrite`
 *           an existing file must not be replaced: rename_new()
 *   fsync   the folder: the name is on disk
 *
 * A kill at any point leaves the old file or the new one, and at most a temporary file, which
 * resr_publish_remove_stale() removes at the next start. */

#include "base/publish.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"

/* Folder of `path` ("." if it has none) into `out`, which holds PATH_MAX bytes. */
static int folder_of(char *out, const char *path)
{
    char copy[PATH_MAX];
    if (strlen(path) >= sizeof copy)
        return resr_fail(RESR_ERR_USAGE, "%.64s...: the path is longer than %d bytes", path,
                         PATH_MAX - 1);
    memcpy(copy, path, strlen(path) + 1);
    const char *folder = dirname(copy);
    memcpy(out, folder, strlen(folder) + 1);
    return 0;
}

/* FNV-1a of the host's name and the namespace of its process ids: two containers that write into
 * one folder often have the same process ids. */
static uint32_t host_number(void)
{
    char host[256] = "", text[300];
    struct stat namespace = {0};
    uint32_t hash = 2166136261u;
    gethostname(host, sizeof host - 1);
    stat("/proc/self/ns/pid", &namespace);
    snprintf(text, sizeof text, "%s/%ju", host, (uintmax_t) namespace.st_ino);
    for (const char *at = text; *at; at++)
        hash = (hash ^ (uint8_t)*at) * 16777619u;
    return hash;
}

int resr_publish_temporary(char *out, size_t out_bytes, const char *path)
{
    char folder[PATH_MAX];
    int ret = folder_of(folder, path);
    if (ret < 0)
        return ret;
    const char *name = strrchr(path, '/');
    name = name ? name + 1 : path;
    const char *ending = strrchr(name, '.');
    int used = snprintf(out, out_bytes, "%s/.%s.%ld.%" PRIu32 ".tmp%s", folder, name,
                        (long)getpid(), host_number(), ending && ending != name ? ending : "");
    if (used < 0 || (size_t)used >= out_bytes)
        return resr_fail(RESR_ERR_USAGE, "%s: the path is too long", path);
    return 0;
}

/* Real path of the folder and the name in it; a folder that does not exist stays as it is. */
static void resolve(char folder[PATH_MAX], const char **name, char copy[PATH_MAX], const char *path)
{
    snprintf(copy, PATH_MAX, "%s", path);
    size_t length = strlen(copy);
    while (length > 1 && copy[length - 1] == '/')
        copy[--length] = 0;
    if (folder_of(folder, copy) == 0) {
        char *real = realpath(folder, NULL);
        if (real)
            snprintf(folder, PATH_MAX, "%s", real);
        free(real);
    }
    const char *slash = strrchr(copy, '/');
    *name = slash ? slash + 1 : copy;
}

bool resr_publish_is_same(const char *a, const char *b)
{
    struct stat left, right;
    char folders[2][PATH_MAX] = {"", ""}, copies[2][PATH_MAX];
    const char *names[2];
    if (!*a || !*b)
        return false;
    if (stat(a, &left) == 0 && stat(b, &right) == 0)
        return left.st_dev == right.st_dev && left.st_ino == right.st_ino;
    resolve(folders[0], &names[0], copies[0], a);
    resolve(folders[1], &names[1], copies[1], b);
    return strcmp(names[0], names[1]) == 0 && strcmp(folders[0], folders[1]) == 0;
}

int resr_publish_check(const char *path, const char *input, bool overwrite)
{
    char folder[PATH_MAX];
    struct stat in, out;
    int ret = folder_of(folder, path);
    if (ret < 0)
        return ret;
    bool exists = lstat(path, &out) == 0; /* a dangling symbolic link occupies the name, too */
    if (exists && input && stat(path, &out) == 0 && stat(input, &in) == 0 &&
        in.st_dev == out.st_dev && in.st_ino == out.st_ino)
        return resr_fail(RESR_ERR_USAGE, "%s: input and output are the same file; name another",
                         path);
    if (exists && stat(path, &out) == 0 && !S_ISREG(out.st_mode) && !S_ISDIR(out.st_mode))
        return resr_fail(RESR_ERR_USAGE,
                         "%s: is a pipe, a device or a socket, which the output would replace; "
                         "name another output",
                         path);
    if (exists && !overwrite)
        return resr_fail(RESR_ERR_EXISTS,
                         "%s: exists already; name another output or pass --overwrite", path);
    struct stat parent;
    if (stat(folder, &parent) != 0 || !S_ISDIR(parent.st_mode))
        return resr_fail(RESR_ERR_EXISTS, "%s: the folder %s does not exist; create it first", path,
                         folder);
    if (access(folder, W_OK | X_OK) != 0)
        return resr_fail(
            errno == EACCES ? RESR_ERR_PERM : RESR_ERR_EXISTS,
            "%s: the folder %s cannot be written (%s); choose another or change its mode", path,
            folder, strerror(errno));
    return 0;
}

/* On a full disk the message names the missing bytes. */
static int failure(const char *path, const char *what)
{
    if (errno == ENOSPC || errno == EDQUOT)
        return resr_publish_write_failure(path, 1);
    return resr_fail(RESR_ERR_IO, "%s: %s: %s", path, what, strerror(errno));
}

int resr_publish_sync_folder(const char *path)
{
    char folder[PATH_MAX];
    int ret = folder_of(folder, path);
    if (ret == 0 && resr_file_sync_path(folder, O_RDONLY | O_DIRECTORY) != 0 && errno != EINVAL)
        ret = failure(path, "its folder cannot be synced to disk");
    return ret;
}

int resr_publish_create_failure(const char *path, int64_t needed_bytes)
{
    if (errno == ENOSPC || errno == EDQUOT || errno == EIO)
        return resr_publish_write_failure(path, needed_bytes);
    return resr_fail(errno == EACCES ? RESR_ERR_PERM : RESR_ERR_EXISTS, "%s: cannot be created: %s",
                     path, strerror(errno));
}

static int write_file(const char *temporary, const char *path, const void *data, size_t bytes)
{
    int fd = resr_file_create(temporary, 0666);
    if (fd < 0)
        return resr_publish_create_failure(path, (int64_t)bytes);
    int ret = 0;
    if (resr_file_write(fd, data, bytes, 0) != 0)
        ret = resr_publish_write_failure(path, (int64_t)bytes);
    if (close(fd) != 0 && errno != EINTR && ret == 0)
        ret = resr_publish_write_failure(path, (int64_t)bytes);
    return ret;
}

static bool is_unsupported(void)
{
    return errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP;
}

/* rename() that fails with EEXIST where `to` exists. Where the file system has no
 * RENAME_NOREPLACE, link() fails in the same way; without hard links (or between folders) lstat()
 * checks before rename(): the job's lock excludes other processes of this program. */
static int rename_new(const char *from, const char *to)
{
    struct stat ours, there;
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (!is_unsupported())
        return -1;
    if (link(from, to) == 0) {
        unlink(from);
        return 0;
    }
    int error = errno;
    bool exists = lstat(to, &there) == 0;
    if (error != EEXIST && !exists)
        return rename(from, to);
    /* A repeated NFS request fails with EEXIST although the first one made the link. */
    if (exists && lstat(from, &ours) == 0 && ours.st_dev == there.st_dev &&
        ours.st_ino == there.st_ino && ours.st_nlink > 1) {
        unlink(from);
        return 0;
    }
    errno = EEXIST;
    return -1;
}

int resr_publish(const char *temporary, const char *path, bool overwrite)
{
    if (resr_file_sync_path(temporary, O_RDONLY | O_NOFOLLOW) != 0)
        return failure(temporary, "cannot be synced to disk");
    int renamed = overwrite ? rename(temporary, path) : rename_new(temporary, path);
    if (renamed != 0 && errno == EEXIST)
        return resr_fail(RESR_ERR_EXISTS, "%s: the finished file cannot be given this name: %s",
                         path, strerror(errno));
    if (renamed != 0)
        return failure(path, "the finished file cannot be given this name");
    return resr_publish_sync_folder(path);
}

int resr_publish_try(const char *temporary, const char *path)
{
    char from[PATH_MAX], to[PATH_MAX], beside[PATH_MAX];
    int ret = resr_publish_temporary(beside, sizeof beside, path);
    if (ret < 0)
        return ret;
    if (snprintf(from, sizeof from, "%s.from", temporary) >= (int)sizeof from ||
        snprintf(to, sizeof to, "%s.to", beside) >= (int)sizeof to)
        return resr_fail(RESR_ERR_USAGE, "%s: the path is too long", path);
    ret = write_file(from, path, "", 0);
    unlink(to);
    if (ret == 0 && rename_new(from, to) != 0)
        ret = failure(path, "a trial file cannot be renamed into this folder, so the finished file "
                            "could not be renamed either");
    else if (ret == 0 && unlink(to) != 0)
        ret = failure(to, "cannot be removed");
    if (ret < 0) {
        unlink(from);
        unlink(to);
    }
    return ret;
}

int64_t resr_publish_free_bytes(const char *path)
{
    char folder[PATH_MAX];
    struct statvfs status;
    if (folder_of(folder, path) < 0 || statvfs(folder, &status) != 0)
        return INT64_MAX;
    return (int64_t)(status.f_bavail * status.f_frsize);
}

int resr_publish_write_failure(const char *path, int64_t needed_bytes)
{
    int error = errno;
    if (error != ENOSPC && error != EDQUOT)
        return resr_fail(RESR_ERR_IO, "%s: cannot be written: %s", path, strerror(error));
    int64_t missing = needed_bytes - resr_publish_free_bytes(path);
    return resr_fail(RESR_ERR_IO,
                     "%s: the disk is full: at least %" PRId64
                     " bytes are missing; free some space and run the same command again",
                     path, missing > 0 ? missing : 1);
}

int resr_publish_bytes(const char *path, const void *data, size_t bytes, bool overwrite)
{
    char temporary[PATH_MAX];
    int ret = resr_publish_temporary(temporary, sizeof temporary, path);
    if (ret < 0)
        return ret;
    ret = write_file(temporary, path, data, bytes);
    if (ret == 0)
        ret = resr_publish(temporary, path, overwrite);
    if (ret < 0)
        unlink(temporary);
    return ret;
}

int resr_replace_file_nosync(const char *path, const void *data, size_t bytes)
{
    char temporary[PATH_MAX];
    int ret = resr_publish_temporary(temporary, sizeof temporary, path);
    if (ret < 0)
        return ret;
    ret = write_file(temporary, path, data, bytes);
    if (ret == 0 && rename(temporary, path) != 0)
        ret = resr_publish_write_failure(path, (int64_t)bytes);
    if (ret < 0)
        unlink(temporary);
    return ret;
}

/* Matches ".NAME.", digits and points, ".tmp" and any ending. */
static bool is_temporary_of(const char *name, const char *candidate)
{
    size_t length = strlen(name);
    if (candidate[0] != '.' || strncmp(candidate + 1, name, length) != 0 ||
        candidate[length + 1] != '.' || !isdigit((unsigned char)candidate[length + 2]))
        return false;
    candidate += length + 2;
    candidate += strspn(candidate, "0123456789.");
    return strncmp(candidate - 1, ".tmp", 4) == 0;
}

void resr_publish_remove_stale(const char *path)
{
    char folder[PATH_MAX], found[PATH_MAX + 300];
    struct dirent *entry;
    const char *name = strrchr(path, '/');
    name = name ? name + 1 : path;
    DIR *entries = name[0] && folder_of(folder, path) == 0 ? opendir(folder) : NULL;
    while (entries && (entry = readdir(entries))) {
        if (!is_temporary_of(name, entry->d_name))
            continue;
        snprintf(found, sizeof found, "%s/%.255s", folder, entry->d_name);
        unlink(found);
    }
    if (entries)
        closedir(entries);
}
