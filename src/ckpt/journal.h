#ifndef RESR_CKPT_JOURNAL_H
#define RESR_CKPT_JOURNAL_H

#include <stddef.h>

#include "base/hash.h"

/* The journal of a job: an append-only file of 64-byte records, each with its position, a check
 * value and the mark of its job. An event without a record did not happen. journal.c says how it
 * works. */

typedef enum ResrRecordType {
    RESR_RECORD_FRAME = 1, /* number: index; a: pts; b: duration; hash: of its planes */
    RESR_RECORD_SEGMENT,   /* number; a: frames; b: bytes; detail: reorder depth; hash: of the file.
                              The records of its frames precede it directly. */
    RESR_RECORD_BATCH,     /* number: first frame; a: frames; b: bytes; hash: of the file */
    RESR_RECORD_END,       /* a: frames of the whole input */
    RESR_RECORD_OUTPUT,    /* a: inode, b: bytes of the file that is about to become the output */
    RESR_RECORD_SOURCE,    /* number: index of a segment's last frame; a: pts; hash: of the decoded
                              frame: decoding can resume behind it, and the hash proves that it is
                              the same frame */
    RESR_RECORD_BRIDGED,   /* damage in the input may be bridged after this record */
} ResrRecordType;

/* In memory as on disk; the byte order is the machine's, and another one fails the check. */
typedef struct ResrRecord {
    uint32_t magic;
    uint16_t type, detail;
    int64_t number, a, b;
    ResrHash hash;
    uint64_t place; /* records before it */
    uint64_t check; /* XXH3-64 of the 56 bytes before, seeded with the job's mark */
} ResrRecord;

typedef struct ResrJournal ResrJournal;

/* Opens or creates the journal of job `job_id` and returns its valid records, which the caller
 * frees. Truncates the file at the first record that is damaged, incomplete, of another job or with
 * a number out of range (is_in_range() in journal.c). RESR_ERR_IO. */
RESR_MUST_CHECK int resr_journal_open(ResrJournal **out, ResrRecord **records, size_t *count,
                                      const char *path, uint64_t job_id);

/* Fills in and appends `count` records, all or none, and waits until they are on disk. Call from
 * any thread. RESR_ERR_IO: the journal is unchanged. */
RESR_MUST_CHECK int resr_journal_append(ResrJournal *journal, ResrRecord *records, size_t count);

void resr_journal_close(ResrJournal *journal); /* NULL is allowed */

#endif
