#ifndef RESR_JOB_FRAME_TABLE_H
#define RESR_JOB_FRAME_TABLE_H

#include "base/frame.h"

/* Records of all output frames, by index. They outlive the frames; --framehash is written from
 * them. One thread at a time. */
typedef struct ResrFrameTable {
    int64_t length; /* entries 0 .. length - 1 exist; those not set are zero */
    size_t capacity;
    ResrFrameRecord *entries;
} ResrFrameTable;

/* Sets frame `index`. RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_frame_table_set(ResrFrameTable *table, int64_t index,
                                         const ResrFrameRecord *entry);

/* Publishes a line per frame, index, pts and hash. RESR_ERR_EXISTS, RESR_ERR_IO. */
RESR_MUST_CHECK int resr_frame_table_write(const ResrFrameTable *table, const char *path);

void resr_frame_table_clear(ResrFrameTable *table);

#endif
