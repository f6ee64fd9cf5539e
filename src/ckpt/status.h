#ifndef RESR_CKPT_STATUS_H
#define RESR_CKPT_STATUS_H

#include <stdint.h>

#include "base/error.h"

/* status.json in the job folder, for restart loops and people. Replaced atomically without fsync:
 * the journal alone decides what is finished. */
typedef struct ResrStatus {
    const char *state; /* running, resumable, failed, done */
    int exit_code;
    int64_t frames_durable, frames_total; /* total 0: unknown */
    int64_t attempt;                      /* starts of this job, this one included */
    char message[RESR_ERROR_TEXT_BYTES];
    char
        *exclusions; /* JSON array of {host, rank}, owned: ranks that were left out in all attempts,
                        hung or with a failed device. "strikes" in the file: a name that stays. */
} ResrStatus;

/* Reads attempts and exclusions of an earlier attempt; *status is unchanged if the file is missing
 * or damaged. */
void resr_status_read(ResrStatus *status, const char *path);

/* Replaces the file, with this process and host added. RESR_ERR_IO. */
RESR_MUST_CHECK int resr_status_write(const ResrStatus *status, const char *path);

/* Adds a rank that was left out. RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_status_record_exclusion(ResrStatus *status, const char *host, int rank);

void resr_status_clear(ResrStatus *status);

#endif
