#ifndef RESR_CKPT_STORE_H
#define RESR_CKPT_STORE_H

#include "ckpt/replay.h"

/* Upscaled frames on their way to batch files: holds them until they are safe, and writes them with
 * a thread of its own. Not for other folders. */
typedef struct ResrStore ResrStore;

/* `written(user)` is called by the thread after each batch file. All arguments must outlive the
 * store. RESR_ERR_INTERNAL. */
RESR_MUST_CHECK int resr_store_create(ResrStore **out, const ResrJobDir *dir, ResrJournal *journal,
                                      const ResrReplay *found, const ResrCheckpointPlan *plan,
                                      void (*written)(void *user), void *user);

/* See the functions of like names in ckpt/checkpoint.h. */
void resr_store_keep(ResrStore *store, ResrFrame *frame);
void resr_store_end_of_input(ResrStore *store, int64_t frames);
void resr_store_write_batches(ResrStore *store);
bool resr_store_writes_batches(ResrStore *store);
RESR_MUST_CHECK int resr_store_drain(ResrStore *store);
RESR_MUST_CHECK int resr_store_error(ResrStore *store);

/* Seconds that the thread has been writing one file now. */
double resr_store_stall(const ResrStore *store);

/* Frames first .. first + frames - 1 are durable: they and their batch files can go. */
void resr_store_release(ResrStore *store, int64_t first, int64_t frames);

/* Frames in batch files that are not durable otherwise. */
int64_t resr_store_frames(ResrStore *store);

/* Moves all batch files to the plan's frames_folder and writes frames.h5 there; goes on where it
 * was cut short. RESR_ERR_IO, RESR_ERR_EXISTS. */
RESR_MUST_CHECK int resr_store_export(ResrStore *store);

void resr_store_free(ResrStore *store); /* NULL is allowed */

#endif
