#ifndef RESR_CKPT_STATUS_H
#define RESR_CKPT_STATUS_H

#include <stdint.h>

#include "base/error.h"

/* status.json in the job folder: what a restart loop, or a person, wants to know. Replaced
 * atomically, never waited for: what counts is in the journal. */
typedef struct ResrStatus {
    const char *state; /* running, resumable, failed, done */
    int exit_code;
    int64_t frames_durable, frames_total; /* total 0: unknown */
    int64_t attempt;                      /* starts of this job, this one included */
    char message[RESR_ERROR_TEXT_BYTES];
    char *strikes; /* JSON array of {host, rank}: ranks found hung, over all attempts; owned */
} ResrStatus;

/* What the file of an earlier attempt says; a missing or damaged one leaves *status as it is. */
void resr_status_read(ResrStatus *status, const char *path);

/* Adds this process and host and publishes. RESR_ERR_IO. */
RESR_MUST_CHECK int resr_status_write(const ResrStatus *status, const char *path);

/* One more strike for a rank. */
RESR_MUST_CHECK int resr_status_record_hang(ResrStatus *status, const char *host, int rank);

void resr_status_clear(ResrStatus *status);

#endif
