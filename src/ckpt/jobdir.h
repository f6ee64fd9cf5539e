#ifndef RESR_CKPT_JOBDIR_H
#define RESR_CKPT_JOBDIR_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/lock.h"

/* clang-format off */
/* The folder of a job: OUTPUT.resr, or --job-dir. One process at a time uses it.
 *   manifest.json        the job's identity
 *   journal              the finished work
 *   segment-000007.nut   an encoded segment
 *   batch-00000048.h5    upscaled frames
 *   status.json, pids    for restart loops and people
 *   lock, lock.lease     base/lock.h */
/* clang-format on */
typedef struct ResrJobDir {
    char path[PATH_MAX];
    ResrLock *lock;
} ResrJobDir;

/* Creates the folder (mode 0700) or opens the existing folder, waits up to 30 s for a process that
 * holds its lock (40 s for a lease, base/lock.h), and removes unfinished files. RESR_ERR_PERM: the
 * folder belongs to another user or others can write into it; RESR_ERR_STOPPED: another process
 * holds the lock; RESR_ERR_EXISTS: also if the folder contains files that belong to no job;
 * RESR_ERR_IO. */
RESR_MUST_CHECK int resr_jobdir_open(ResrJobDir *dir, const char *path);

/* Path of a file in the folder; `name` has at most 60 bytes. */
void resr_jobdir_path(const ResrJobDir *dir, char out[PATH_MAX], const char *name);
void resr_jobdir_segment_path(const ResrJobDir *dir, char out[PATH_MAX], int64_t number);

/* Removes all segments, batch files and unfinished files except those that `keep` (may be NULL)
 * accepts by name. Folders are not removed. */
void resr_jobdir_remove_work(const ResrJobDir *dir, bool (*keep)(void *user, const char *name),
                             void *user);

/* Removes all files that the program wrote, and the folder; with `leave_status` all except
 * status.json. Releases the lock. */
void resr_jobdir_remove(ResrJobDir *dir, bool leave_status);

/* Removes the remains of a folder whose removal was interrupted: one without a manifest whose lock
 * is free. */
void resr_jobdir_remove_remains(const char *path);

void resr_jobdir_close(ResrJobDir *dir); /* safe on a zeroed one */

#endif
