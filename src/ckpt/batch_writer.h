#ifndef RESR_CKPT_BATCH_WRITER_H
#define RESR_CKPT_BATCH_WRITER_H

#include "ckpt/replay.h"

/* Holds upscaled frames until they are safe on disk and writes batch files in its own thread. For
 * src/ckpt only. */
typedef struct ResrBatchWriter ResrBatchWriter;

/* `written(user)` is called by the thread after each batch file. All arguments must outlive the
 * writer. RESR_ERR_INTERNAL (memory, no thread). */
RESR_MUST_CHECK int resr_batch_writer_create(ResrBatchWriter **out, const ResrJobDir *dir,
                                             ResrJournal *journal, const ResrReplay *found,
                                             const ResrCheckpointPlan *plan,
                                             void (*written)(void *user), void *user);

/* See the functions of the same names in ckpt/checkpoint.h. */
void resr_batch_writer_retain(ResrBatchWriter *writer, ResrFrame *frame);
void resr_batch_writer_end_of_input(ResrBatchWriter *writer, int64_t frames);
void resr_batch_writer_write_batches(ResrBatchWriter *writer);
bool resr_batch_writer_writes_batches(ResrBatchWriter *writer);
RESR_MUST_CHECK int resr_batch_writer_drain(ResrBatchWriter *writer);
RESR_MUST_CHECK int resr_batch_writer_error(ResrBatchWriter *writer);

/* Seconds since the thread started its current write; 0: idle. */
double resr_batch_writer_stall(const ResrBatchWriter *writer);

/* Frames first .. first + frames - 1 are durable: releases them and removes their batch files. */
void resr_batch_writer_release(ResrBatchWriter *writer, int64_t first, int64_t frames);

/* Number of frames in batch files whose segments are not durable. */
int64_t resr_batch_writer_frames(ResrBatchWriter *writer);

/* Moves all batch files to the plan's frames_folder and writes frames.h5 there; resumes an
 * interrupted move. RESR_ERR_IO, RESR_ERR_EXISTS. */
RESR_MUST_CHECK int resr_batch_writer_export(ResrBatchWriter *writer);

void resr_batch_writer_free(ResrBatchWriter *writer); /* NULL is allowed */

#endif
