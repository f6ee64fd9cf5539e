#ifndef RESR_MEDIA_AVIO_H
#define RESR_MEDIA_AVIO_H

/* Files that the program opens itself, behind libavformat's AVIOContext. libavformat gets no path
 * and no protocol: a file cannot make it open another one. Not for other folders. */

#include <libavformat/avformat.h>
#include <stdatomic.h>

#include "base/error.h"

/* Opens a regular file for reading. A wait for the file system ends soon after *stop (may be NULL)
 * or the process's stop signal is set: reads then return AVERROR_EXIT. A read that a signal
 * interrupts is repeated. RESR_ERR_NOINPUT, RESR_ERR_PERM, RESR_ERR_DATA (a FIFO, a device, a
 * socket or a folder), RESR_ERR_IO, RESR_ERR_STOPPED; the message names the path. */
RESR_MUST_CHECK int resr_avio_open(AVIOContext **out, const char *path, const atomic_bool *stop);

/* Records that reading `path` was stopped and returns RESR_ERR_STOPPED. */
int resr_avio_stopped(const char *path);

/* The failure of the file system that reading met, as an errno value; 0: none. */
int resr_avio_error(const AVIOContext *io);

void resr_avio_close(AVIOContext **io); /* *io may be NULL */

/* `fd`, open for reading and writing, becomes the file that the muxer `context` writes, from its
 * start; a muxer that reads its file again gets the same one, and no other file. Owns `fd` from
 * now on, also after a failure. Returns libav's error. End with resr_avio_finish(). */
RESR_MUST_CHECK int resr_avio_attach(AVFormatContext *context, int fd);

/* Writes what is buffered and closes the file of resr_avio_attach(); nothing to do where there is
 * none. Returns libav's error: that of the first write that failed. */
int resr_avio_finish(AVFormatContext *context);

#endif
