#ifndef RESR_BASE_ERROR_H
#define RESR_BASE_ERROR_H

#include <stddef.h>

/* Error codes: every function that can fail returns 0 or one of these. The negated value is the
 * program's exit status (sysexits.h), so that main can return it. */
enum {
    RESR_ERR_USAGE = -64,    /* the command line is wrong */
    RESR_ERR_DATA = -65,     /* an input, model or message is damaged or does not fit */
    RESR_ERR_NOINPUT = -66,  /* an input or weight file is missing */
    RESR_ERR_DEVICE = -69,   /* no usable device, or a device failed */
    RESR_ERR_INTERNAL = -70, /* a bug, or memory is exhausted */
    RESR_ERR_EXISTS = -73,   /* the output exists or cannot be created */
    RESR_ERR_IO = -74,       /* reading or writing failed, disk full */
    RESR_ERR_STOPPED = -75,  /* stopped on request */
    RESR_ERR_PERM = -77,     /* permission denied */
    RESR_ERR_MISMATCH = -78, /* a resume does not match the job */
};

#define RESR_MUST_CHECK __attribute__((warn_unused_result))

/* Capacity of an error's text, terminating zero included. */
#define RESR_ERROR_TEXT_BYTES 1024

/* Records a message for the calling thread and returns `code`: `return resr_fail(RESR_ERR_IO,
 * ...)`. The text names the file or option, the finding and the remedy. Later calls replace it.
 */
int resr_fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts a prefix ("in.mp4: ") before the calling thread's message and returns `code`. */
int resr_fail_prefix(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The calling thread's message; an empty string if there is none. Valid until the next failure. */
const char *resr_error_text(void);

/* Copies the calling thread's message, for a clean-up that may record others or for another thread,
 * and records such a copy as the calling thread's message; returns `code`. */
void resr_error_save(char out[RESR_ERROR_TEXT_BYTES]);
int resr_error_restore(int code, const char *saved);

/* Exit status for a return value: 0 for 0, 1..255 for errors. */
int resr_error_exit_status(int code);

#endif
