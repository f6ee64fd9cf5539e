#ifndef RESR_CKPT_BATCHFILE_H
#define RESR_CKPT_BATCHFILE_H

#include "base/frame.h"
#include "ckpt/journal.h"

/* Upscaled frames in HDF5 files that describe themselves: one file for each batch, closed, read
 * back, synced and renamed before it counts, since a growing HDF5 file does not survive a kill.
 * Datasets: a plane each (Y U V, G B R, A), uint8 or uint16 [frame][row][column], a chunk a frame,
 * Fletcher32; index, pts, duration (int64) and hash (XXH3-128 of a frame's planes, hex) [frame].
 * The file's attributes name model, class and version. HDF5 is not thread-safe, so a lock inside
 * serialises the calls; call from any thread. */

typedef struct ResrBatchInfo {
    const ResrFormat *format;
    int32_t time_base_num, time_base_den;
    const char *model, *model_sha256, *numerics_class;
} ResrBatchInfo;

/* File name of the batch file that begins with frame `first` ("batch-00000048.h5"). */
void resr_batchfile_name(char out[32], int64_t first);

/* Whether `name` is such a name; *first: its frame. */
bool resr_batchfile_is_name(const char *name, int64_t *first);

/* Writes `count` consecutive frames, whose hashes are known, to `path`, and describes the file in
 * *record (RESR_RECORD_BATCH). The frames are read back and compared before the file gets its name.
 * RESR_ERR_IO: no file is left; on a full disk the message names the missing bytes. */
RESR_MUST_CHECK int resr_batchfile_write(ResrRecord *record, const char *path,
                                         const ResrBatchInfo *info, ResrFrame *const frames[],
                                         int count);

/* Frame `number` (from 0) of a batch file, checked against its hash; the caller's. RESR_ERR_DATA,
 * RESR_ERR_IO. */
RESR_MUST_CHECK int resr_batchfile_read(ResrFrame **out, const char *path, const ResrFormat *format,
                                        int number);

/* Writes `path`: the same datasets as one virtual file over the batch files beside it, which the
 * `count` records (by first frame, without gaps) describe. RESR_ERR_IO. */
RESR_MUST_CHECK int resr_batchfile_write_index(const char *path, const ResrBatchInfo *info,
                                               const ResrRecord *records, size_t count);

#endif
