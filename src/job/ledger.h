#ifndef RESR_JOB_LEDGER_H
#define RESR_JOB_LEDGER_H

#include "media/frame.h"

/* What is known of every output frame, by index. It outlives the frames; --framehash is written
 * from it. One thread uses it at a time. */
typedef struct ResrLedger {
    int64_t length; /* entries 0 .. length - 1 exist; those not set are zero */
    size_t capacity;
    ResrFrameRecord *entries;
} ResrLedger;

/* Sets frame `index`. RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_ledger_set(ResrLedger *ledger, int64_t index,
                                    const ResrFrameRecord *entry);

/* Publishes a line per frame, index, pts and hash. RESR_ERR_EXISTS, RESR_ERR_IO. */
RESR_MUST_CHECK int resr_ledger_write(const ResrLedger *ledger, const char *path);

void resr_ledger_clear(ResrLedger *ledger);

#endif
