#ifndef RESR_MEDIA_AVIO_H
#define RESR_MEDIA_AVIO_H

/* Files that the program opens itself and passes to libavformat as an AVIOContext, without a path
 * and without a protocol: a file cannot make libavformat open another file. Not for other folders.
 */

#include <libavformat/avformat.h>
#include <stdatomic.h>

#include "base/error.h"

/* Opens a regular file for reading. A wait for the file system ends soon after *stop (may be NULL)
 * is set or the process's stop signal arrives: reads then return AVERROR_EXIT. A read that a signal
 * interrupts is retried. RESR_ERR_NOINPUT, RESR_ERR_PERM, RESR_ERR_DATA (a FIFO, a device, a socket
 * or a folder), RESR_ERR_IO, RESR_ERR_STOPPED; the message names the path. */
RESR_MUST_CHECK int resr_avio_open(AVIOContext **out, const char *path, const atomic_bool *stop);

/* Records that reading `path` was stopped and returns RESR_ERR_STOPPED. */
int resr_avio_stopped(const char *path);

/* RESR_ERR_IO or RESR_ERR_STOPPED if reading `io`, the file `path`, failed or was stopped. */
RESR_MUST_CHECK int resr_avio_check(const AVIOContext *io, const char *path);

/* The last failure of the file system during a read, as an errno value; 0: none. */
int resr_avio_error(const AVIOContext *io);

void resr_avio_close(AVIOContext **io); /* *io may be NULL */

/* Closes *io, the file `path`, after it was parsed with the result `ret`. Returns the error of
 * resr_avio_check(), which explains a parser's error, or else `ret`. */
RESR_MUST_CHECK int resr_avio_end(AVIOContext **io, const char *path, int ret);

/* Makes `fd`, open for reading and writing, the file of the muxer `context`, from its start; a
 * muxer that reads its output gets the same file and no other file. Takes ownership of `fd`, also
 * after a failure. Returns libav's error. End with resr_avio_finish(). */
RESR_MUST_CHECK int resr_avio_attach(AVFormatContext *context, int fd);

/* Flushes and closes the file of resr_avio_attach(); does nothing without such a
 * file. Returns libav's error of the first write that failed. */
int resr_avio_finish(AVFormatContext *context);

#endif
