#ifndef RESR_CKPT_CHECKPOINT_H
#define RESR_CKPT_CHECKPOINT_H

#include <limits.h>

#include "ckpt/batchfile.h"
#include "ckpt/manifest.h"
#include "ckpt/status.h"
#include "job/frame_table.h"
#include "job/report.h"
#include "media/sink.h"

/* What a job keeps on disk so that the same command goes on after any end, in its job folder: see
 * ckpt/jobdir.h, and ckpt/journal.h for what counts. Rank 0 only. A thread of its own writes batch
 * files and status.json. */
typedef struct ResrCheckpoint ResrCheckpoint;

/* `frames_folder`: where batch files go in the end, if they are to stay; else empty. Opens and
 * locks the folder for the job of `manifest` (taken over, also on failure) and finds out what is
 * done. *resumed: the job was started before; its numerics class is then that of
 * resr_checkpoint_class(), and `table` gets the frames of finished segments. *finished: `output`
 * was published already, and only the end of resr_checkpoint_finish() is missing. A damaged
 * manifest starts the job over with a warning; damaged files are made again. RESR_ERR_MISMATCH: the
 * folder holds finished frames of another job. Other errors: those of resr_jobdir_open(),
 * RESR_ERR_IO. */
RESR_MUST_CHECK int resr_checkpoint_open(ResrCheckpoint **out, const char *folder,
                                         const char *output, const char *frames_folder,
                                         ResrManifest *manifest, ResrFrameTable *table,
                                         bool *resumed, bool *finished);

const char *resr_checkpoint_class(const ResrCheckpoint *checkpoint);

/* How the job runs, once that is settled. */
typedef struct ResrCheckpointPlan {
    const ResrPlan *plan; /* numerics class included; must outlive the checkpoint */
    ResrBatchInfo info;
    bool bridges; /* damage in the input is bridged: every start decodes all of the input */
    bool always;  /* write batch files from the start */
    const char *frames_folder; /* where they end; empty: they go when they are not needed */
} ResrCheckpointPlan;

/* A new job gets its manifest; the thread starts. RESR_ERR_IO: also when the disk has no room for
 * the batch files that may exist at once, naming what is missing. */
RESR_MUST_CHECK int resr_checkpoint_begin(ResrCheckpoint *checkpoint,
                                          const ResrCheckpointPlan *plan);

/* Gives `sink` the finished segments that were found at the start, with the times that `table` has
 * of their frames. RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_checkpoint_restore(const ResrCheckpoint *checkpoint, ResrSink *sink,
                                            const ResrFrameTable *table);

/* Frames of the input if an earlier attempt came to its end, else -1. */
int64_t resr_checkpoint_frames_total(const ResrCheckpoint *checkpoint);

/* The last frame before the first one that is missing, if it is known well enough to go on decoding
 * behind it: its index, or -1; *pts and the hash of the decoded frame. */
int64_t resr_checkpoint_source(const ResrCheckpoint *checkpoint, int64_t *pts,
                               char hash[RESR_HASH_HEX_BYTES]);

/* How far frame `index` was when the job was opened. From any thread. */
ResrFrameStage resr_checkpoint_stage(const ResrCheckpoint *checkpoint, int64_t index);

/* Frame `index` out of its batch file (RESR_FRAME_RESTORED), the caller's. A file that has become
 * unreadable is RESR_ERR_DATA: the frame must be computed. */
RESR_MUST_CHECK int resr_checkpoint_load(ResrCheckpoint *checkpoint, ResrFrame **out,
                                         int64_t index);

/* An upscaled frame exists. It is held until it is safe, where its loss would cost something. */
void resr_checkpoint_keep(ResrCheckpoint *checkpoint, ResrFrame *frame);

/* The input has ended after `frames` frames. */
RESR_MUST_CHECK int resr_checkpoint_end_of_input(ResrCheckpoint *checkpoint, int64_t frames);

/* A segment's file is complete under its name and synced: journals it with its frames' entries of
 * `table`, lets go of its frames and removes its batch files. RESR_ERR_IO. */
RESR_MUST_CHECK int resr_checkpoint_commit(ResrCheckpoint *checkpoint, const ResrSegmentInfo *info,
                                           const ResrFrameTable *table);

/* The store of the job's segments, for resr_sink_open() and the encoders. It records the output in
 * the journal before the output gets its name. */
ResrSegmentStore resr_checkpoint_store(ResrCheckpoint *checkpoint);

/* From now on batch files are written as batches become complete: so much work is at risk. */
void resr_checkpoint_write_batches(ResrCheckpoint *checkpoint);
bool resr_checkpoint_writes_batches(const ResrCheckpoint *checkpoint);

/* Does that if a kill now would cost more than RESR_REDO_SECONDS of computing on `live` ranks;
 * `ranks`: plan->ranks of them, with what they have done so far. */
void resr_checkpoint_decide_batch_files(ResrCheckpoint *checkpoint, const ResrPlan *plan,
                                        const ResrRankInfo *ranks, int live);

/* Stopping: writes all frames that are held into batch files, in order, and ends the thread. */
RESR_MUST_CHECK int resr_checkpoint_drain(ResrCheckpoint *checkpoint);

/* 0, or the thread's first error with its message. */
RESR_MUST_CHECK int resr_checkpoint_error(ResrCheckpoint *checkpoint);

/* Seconds that the thread has been writing one file now. */
double resr_checkpoint_stall(const ResrCheckpoint *checkpoint);

/* Frames that need no work after a kill now. */
int64_t resr_checkpoint_frames_safe(ResrCheckpoint *checkpoint);

/* The output has its name. Moves the batch files that are to be kept to their folder, with
 * frames.h5 over all of them, and removes the folder; with `leave_status` all but status.json. */
RESR_MUST_CHECK int resr_checkpoint_finish(ResrCheckpoint *checkpoint, bool leave_status);

/* The job cannot be gone on with: the folder is removed. */
void resr_checkpoint_abandon(ResrCheckpoint *checkpoint);

/* status.json says `state` now. Failures are warned of only. From any thread. */
void resr_checkpoint_set_status(ResrCheckpoint *checkpoint, const char *state, int exit_code,
                                const char *message);
void resr_checkpoint_record_hang(ResrCheckpoint *checkpoint, const char *host, int rank);

/* Writes the file pids: a line for each of `n` ranks, "RANK HOST PID". A failure is warned of only.
 */
void resr_checkpoint_write_pids(ResrCheckpoint *checkpoint, const ResrRankInfo *ranks, int n);

void resr_checkpoint_close(ResrCheckpoint *checkpoint); /* NULL is allowed */

#endif
