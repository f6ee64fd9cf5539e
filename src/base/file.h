#ifndef RESR_BASE_FILE_H
#define RESR_BASE_FILE_H

#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"

/* File calls that are retried after a signal interrupts them. Like the system calls behind them,
 * these functions return a negative value on failure and set errno. */

RESR_MUST_CHECK int resr_file_open(const char *path, int flags, mode_t mode);

/* Opens an input, a regular file, for reading and returns the descriptor. Does not wait on a FIFO.
 * RESR_ERR_NOINPUT, RESR_ERR_PERM, RESR_ERR_IO, RESR_ERR_DATA (a FIFO, a device, a socket or a
 * folder); the message names the path. */
RESR_MUST_CHECK int resr_file_open_input(const char *path);

/* The refusals of resr_file_open_input() for a file that the caller opened itself: `error` is
 * open()'s errno, or 0; `mode` is the file's mode. */
RESR_MUST_CHECK int resr_file_check_input(const char *path, int error, mode_t mode);

/* Creates an unfinished file for reading and writing. A file or link that exists under that name is
 * removed and never opened: neither a symbolic nor a hard link is followed. */
RESR_MUST_CHECK int resr_file_create(const char *path, mode_t mode);

/* Opens or creates a file that outlives the process. Symbolic links (ELOOP) and files that are not
 * regular (EINVAL) are refused. */
RESR_MUST_CHECK int resr_file_open_own(const char *path, mode_t mode);

/* Writes all of `bytes` or fails. */
RESR_MUST_CHECK int resr_file_write(int fd, const void *data, size_t bytes, off_t offset);

/* Returns the bytes read: fewer than `bytes` only at the end of the file. */
RESR_MUST_CHECK ssize_t resr_file_read(int fd, void *data, size_t bytes, off_t offset);

RESR_MUST_CHECK int resr_file_truncate(int fd, off_t bytes);

/* Waits until the file, or the folder, is on disk; with `data_only` fdatasync(). */
RESR_MUST_CHECK int resr_file_sync(int fd, int data_only);

/* The same for the file or folder `path`, opened with `flags`. */
RESR_MUST_CHECK int resr_file_sync_path(const char *path, int flags);

/* Writes the path of `name`, relative to the folder of the running program, to `out`. -1 if the
 * path is longer than out_bytes - 1 or the folder is unknown. The file need not exist. */
RESR_MUST_CHECK int resr_file_beside_program(char *out, size_t out_bytes, const char *name);

#endif
