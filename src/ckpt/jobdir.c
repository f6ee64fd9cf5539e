/* The job folder and its removal.
 *
 * A folder is used only if it belongs to this user, no other user may write into it, and all of its
 * files have names that jobs use: other users' files are not read, other files are not removed.
 *
 * Removal must leave a state that the next start understands, wherever a kill interrupts it: work
 * files first, then the files of fixed_names in order. As long as the manifest exists, the journal
 * exists and says that the output is published. The manifest's removal is synced before the journal
 * is removed. A folder without a manifest is an interrupted removal (resr_jobdir_remove_remains()).
 * The lock is last: until then no other process starts a job there. */

#include "ckpt/jobdir.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/publish.h"
#include "base/stop.h"

/* Bytes that a new folder may take on disk. */
#define FOLDER_BYTES 4096

#define MANIFEST "manifest.json"

/* Files of a job besides segments and batch files, in the order of removal (see above). */
static const char *const fixed_names[] = {"pids",    "status.json", "frames.h5",  MANIFEST,
                                          "journal", "lock",        "lock.lease", NULL};

static bool is_numbered(const char *name, const char *beginning, const char *ending)
{
    size_t length = strlen(beginning), digits;
    if (strncmp(name, beginning, length) != 0)
        return false;
    digits = strspn(name + length, "0123456789");
    return digits > 0 && strcmp(name + length + digits, ending) == 0;
}

/* Is it a segment, a batch file or an unfinished file? */
static bool is_work(const char *name)
{
    return is_numbered(name, "segment-", ".nut") || is_numbered(name, "batch-", ".h5") ||
           (name[0] == '.' && strstr(name, ".tmp"));
}

/* Refuses a folder with files that no job keeps there. */
static int check_content(const char *path)
{
    int ret = 0;
    DIR *folder = opendir(path);
    struct dirent *entry;
    while (ret == 0 && folder && (entry = readdir(folder))) {
        const char *name = entry->d_name;
        bool known = is_work(name) || strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
        for (int i = 0; fixed_names[i] && !known; i++)
            known = strcmp(name, fixed_names[i]) == 0;
        if (!known)
            ret =
                resr_fail(RESR_ERR_EXISTS,
                          "%s: contains %s, which is not a file of a job; name another folder with "
                          "--job-dir",
                          path, name);
    }
    if (folder)
        closedir(folder);
    return ret;
}

static int make_folder(const char *path)
{
    struct stat status;
    if (mkdir(path, 0700) == 0)
        return resr_publish_sync_folder(path);
    if (errno == ENOSPC || errno == EDQUOT)
        return resr_publish_write_failure(path, FOLDER_BYTES);
    if (errno != EEXIST)
        return resr_fail(errno == EACCES ? RESR_ERR_PERM : RESR_ERR_EXISTS,
                         "%s: the job's folder cannot be created: %s", path, strerror(errno));
    if (lstat(path, &status) != 0 || !S_ISDIR(status.st_mode))
        return resr_fail(RESR_ERR_EXISTS, "%s: not a folder; name another folder with --job-dir",
                         path);
    if (status.st_uid != geteuid() || (status.st_mode & (S_IWGRP | S_IWOTH)))
        return resr_fail(RESR_ERR_PERM,
                         "%s: the job's folder belongs to another user or others may write into "
                         "it, so its files are not trusted; remove it or name another with "
                         "--job-dir",
                         path);
    return check_content(path);
}

/* Tries once; *taken is false while another process holds the lock. */
static int try_lock(ResrJobDir *dir, bool *taken)
{
    char path[PATH_MAX];
    resr_jobdir_path(dir, path, "lock");
    return resr_lock_try(&dir->lock, path, 0600, taken);
}

int resr_jobdir_open(ResrJobDir *dir, const char *path)
{
    int64_t start_ns = resr_clock_ns();
    bool taken = false, told = false;
    *dir = (ResrJobDir){.lock = NULL};
    if (strlen(path) + 64 >= sizeof dir->path)
        return resr_fail(RESR_ERR_USAGE, "%.64s...: the path of the job's folder is too long",
                         path);
    memcpy(dir->path, path, strlen(path) + 1);
    for (;;) {
        int ret = make_folder(path);
        if (ret == 0)
            ret = try_lock(dir, &taken);
        if (ret < 0 || taken)
            return ret;
        if (resr_clock_seconds_since(start_ns) > resr_lock_wait_seconds(dir->lock))
            return resr_fail(RESR_ERR_STOPPED,
                             "%s: another process works on this job (see pids and status.json "
                             "there); wait for it or stop it",
                             path);
        if (resr_stop_signal())
            return resr_fail(RESR_ERR_STOPPED,
                             "%s: stopped while another process works on this job", path);
        if (!told)
            resr_log_info("%s: another process holds this job; waiting for it", path);
        told = true;
        nanosleep(&(struct timespec){0, 50000000}, NULL);
    }
}

void resr_jobdir_path(const ResrJobDir *dir, char out[PATH_MAX], const char *name)
{
    snprintf(out, PATH_MAX, "%.*s/%s", PATH_MAX - 64, dir->path, name);
}

void resr_jobdir_segment_path(const ResrJobDir *dir, char out[PATH_MAX], int64_t number)
{
    char name[48];
    snprintf(name, sizeof name, "segment-%06" PRId64 ".nut", number);
    resr_jobdir_path(dir, out, name);
}

void resr_jobdir_remove_work(const ResrJobDir *dir, bool (*keep)(void *user, const char *name),
                             void *user)
{
    char path[PATH_MAX];
    DIR *folder = opendir(dir->path);
    struct dirent *entry;
    while (folder && (entry = readdir(folder))) {
        if (!is_work(entry->d_name) || (keep && keep(user, entry->d_name)))
            continue;
        snprintf(path, sizeof path, "%.*s/%.255s", PATH_MAX - 300, dir->path, entry->d_name);
        unlink(path);
    }
    if (folder)
        closedir(folder);
}

void resr_jobdir_remove(ResrJobDir *dir, bool leave_status)
{
    char path[PATH_MAX];
    resr_jobdir_remove_work(dir, NULL, NULL);
    bool gone = true;
    for (int i = 0; fixed_names[i] && gone; i++) {
        resr_jobdir_path(dir, path, fixed_names[i]);
        if (!leave_status || strcmp(fixed_names[i], "status.json") != 0)
            gone = unlink(path) == 0 || errno == ENOENT;
        /* After a power loss the manifest must not reappear without its journal. */
        if (gone && strcmp(fixed_names[i], MANIFEST) == 0)
            gone = resr_publish_sync_folder(path) == 0;
    }
    if (!gone || (!leave_status && rmdir(dir->path) != 0 && errno != ENOENT))
        resr_log_warn("%s: cannot be removed: %s", gone ? dir->path : path, strerror(errno));
    resr_jobdir_close(dir);
}

void resr_jobdir_remove_remains(const char *path)
{
    ResrJobDir dir = {.lock = NULL};
    char manifest[PATH_MAX];
    struct stat status;
    bool taken = false;
    if (strlen(path) + 64 >= sizeof dir.path || lstat(path, &status) != 0)
        return;
    memcpy(dir.path, path, strlen(path) + 1);
    if (make_folder(path) == 0 && try_lock(&dir, &taken) == 0 && taken) {
        resr_jobdir_path(&dir, manifest, MANIFEST);
        if (access(manifest, F_OK) != 0)
            resr_jobdir_remove(&dir, false);
    }
    resr_jobdir_close(&dir);
}

void resr_jobdir_close(ResrJobDir *dir)
{
    resr_lock_release(dir->lock);
    dir->lock = NULL;
}
