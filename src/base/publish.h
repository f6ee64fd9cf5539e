#ifndef RESR_BASE_PUBLISH_H
#define RESR_BASE_PUBLISH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* A file appears under its final name only when it is complete: it is written under a temporary
 * name in the same folder, synced, renamed, and the folder is synced. */

/* Writes the temporary name for `path` into `out`: same folder, same ending (muxers choose by it),
 * the process id in between (".NAME.PID.HOST.tmp.EXT"; HOST: a hash of the host's name and the
 * process namespace, so that containers do not share a name). RESR_ERR_USAGE if the name is too
 * long. */
RESR_MUST_CHECK int resr_publish_temporary(char *out, size_t out_bytes, const char *path);

/* Refuses an output early: RESR_ERR_EXISTS if `path` exists (a dangling symbolic link counts) and
 * `overwrite` is false, or if its folder is missing; RESR_ERR_PERM if the folder may not be
 * written; RESR_ERR_USAGE if `path` and `input` (may be NULL) are the same file, or `path` is a
 * pipe, a device or a socket. */
RESR_MUST_CHECK int resr_publish_check(const char *path, const char *input, bool overwrite);

/* True if both paths name one file, or would create one name in one folder. False for empty paths.
 */
bool resr_publish_is_same(const char *a, const char *b);

/* Syncs `temporary` and renames it to `path`; without `overwrite` a file that appeared in the
 * meantime is refused (renameat2 RENAME_NOREPLACE, or link(); on a file system without either, a
 * check right before the rename). On failure `temporary` is left for the caller to remove.
 * RESR_ERR_EXISTS, RESR_ERR_IO. */
RESR_MUST_CHECK int resr_publish(const char *temporary, const char *path, bool overwrite);

/* Tests, before the work starts, the operations of resr_publish(): an empty file is created beside
 * `temporary` and renamed into the folder of `path`, then removed. RESR_ERR_IO, RESR_ERR_EXISTS,
 * RESR_ERR_PERM. */
RESR_MUST_CHECK int resr_publish_try(const char *temporary, const char *path);

/* Publishes `bytes` of `data` as `path`, with `overwrite` as in resr_publish(). RESR_ERR_EXISTS,
 * RESR_ERR_IO. */
RESR_MUST_CHECK int resr_publish_bytes(const char *path, const void *data, size_t bytes,
                                       bool overwrite);

/* Replaces `path` atomically, without fsync: after a power loss the file may be old, empty or
 * missing. For files that only show progress. */
RESR_MUST_CHECK int resr_replace_file_nosync(const char *path, const void *data, size_t bytes);

/* Waits until the names in the folder of `path` are on disk. RESR_ERR_IO. */
RESR_MUST_CHECK int resr_publish_sync_folder(const char *path);

/* Removes unfinished files of killed processes for `path`. Call with the job's lock held. */
void resr_publish_remove_stale(const char *path);

/* Records that `path` could not be written (errno says why) and returns RESR_ERR_IO; on a full disk
 * the message names the bytes that are missing for `needed_bytes` more. */
int resr_publish_write_failure(const char *path, int64_t needed_bytes);

/* The same for a file that could not be created; also RESR_ERR_PERM or RESR_ERR_EXISTS. */
int resr_publish_create_failure(const char *path, int64_t needed_bytes);

/* Free bytes for this user on the file system of `path`; INT64_MAX if unknown. */
int64_t resr_publish_free_bytes(const char *path);

#endif
