#ifndef RESR_CKPT_JOBDIR_H
#define RESR_CKPT_JOBDIR_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/lock.h"

/* The folder of a job: OUTPUT.resr, or --job-dir. It belongs to one process at a time.
 *   manifest.json  what the job is           journal   what is done
 *   segment-000007.nut, batch-00000048.h5    status.json, pids, lock  for restart loops and people
 */
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

/* The path of a file in it. The name is ours and short. */
void resr_jobdir_path(const ResrJobDir *dir, char out[PATH_MAX], const char *name);
void resr_jobdir_segment_path(const ResrJobDir *dir, char out[PATH_MAX], int64_t number);

/* Removes every file that `keep` (may be NULL) does not want; names it is asked for are those of
 * segments, batch files and unfinished files. Folders are left alone. */
void resr_jobdir_remove_work(const ResrJobDir *dir, bool (*keep)(void *user, const char *name),
                             void *user);

/* Removes the folder with all that the program wrote there, with `leave_status` all but
 * status.json, and lets it go. */
void resr_jobdir_remove(ResrJobDir *dir, bool leave_status);

/* Removes what is left of a folder whose removal was cut short: one without a manifest that no
 * process holds. */
void resr_jobdir_remove_remains(const char *path);

void resr_jobdir_close(ResrJobDir *dir); /* safe on a zeroed one */

#endif
