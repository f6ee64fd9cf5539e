#ifndef RESR_CKPT_CHECKPOINT_H
#define RESR_CKPT_CHECKPOINT_H

#include <limits.h>

#include "ckpt/batchfile.h"
#include "ckpt/manifest.h"
#include "ckpt/status.h"
#include "job/frame_table.h"
#include "job/report.h"
#include "media/sink.h"

/* The state of a job on disk, from which the same command resumes it after any end: files in the
 * job folder (jobdir.h), and a journal of the finished ones (journal.h). A thread writes batch
 * files. Rank 0, main thread only, unless noted. */
typedef struct ResrCheckpoint ResrCheckpoint;

/* Opens and locks the folder for the job of `manifest` (taken over, also on failure) and reads its
 * journal. `frames_folder`: final folder of kept batch files; empty: none are kept. *resumed: the
 * job was started before; it keeps the numerics class of resr_checkpoint_class() and the tiles of
 * resr_checkpoint_tile(), and `table` gets the frames of finished segments. *finished: `output` is
 * published and only the end of resr_checkpoint_finish() is missing. A damaged manifest restarts
 * the job with a warning; the frames of damaged files are computed again. RESR_ERR_MISMATCH: the
 * folder contains finished frames of another job. Other errors: those of resr_jobdir_open(),
 * RESR_ERR_IO. */
RESR_MUST_CHECK int resr_checkpoint_open(ResrCheckpoint **out, const char *folder,
                                         const char *output, const char *frames_folder,
                                         ResrManifest *manifest, ResrFrameTable *table,
                                         bool *resumed, bool *finished);

/* Numerics class and tiles of the job as it was first started. */
const char *resr_checkpoint_class(const ResrCheckpoint *checkpoint);
ResrTileSize resr_checkpoint_tile(const ResrCheckpoint *checkpoint);

/* How the job runs, once the numerics class is chosen. */
typedef struct ResrCheckpointPlan {
    const ResrPlan *plan; /* numerics class included; must outlive the checkpoint */
    ResrBatchInfo info;
    bool bridges; /* damage in the input is bridged: every start decodes all of the input */
    bool always;  /* write batch files from the start */
    const char *frames_folder; /* final folder; empty: unneeded batch files are removed */
} ResrCheckpointPlan;

/* Writes the manifest of a new job and starts the thread. RESR_ERR_IO: also if the disk has no room
 * for the batch files that may exist at once; the message names the missing bytes. */
RESR_MUST_CHECK int resr_checkpoint_begin(ResrCheckpoint *checkpoint,
                                          const ResrCheckpointPlan *plan);

/* Gives `sink` the finished segments that were found at the start, with the times that `table` has
 * of their frames. RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_checkpoint_restore(const ResrCheckpoint *checkpoint, ResrSink *sink,
                                            const ResrFrameTable *table);

/* Frames of the input if an earlier attempt decoded all of it, else -1. */
int64_t resr_checkpoint_frames_total(const ResrCheckpoint *checkpoint);

/* Index of the frame behind which decoding can resume, with its *pts and the hash of its decoded
 * samples; -1: unknown, decode from the start. */
int64_t resr_checkpoint_source(const ResrCheckpoint *checkpoint, int64_t *pts,
                               char hash[RESR_HASH_HEX_BYTES]);

/* State of frame `index` when the job was opened. Call from any thread. */
ResrFrameState resr_checkpoint_frame_state(const ResrCheckpoint *checkpoint, int64_t index);

/* Reads frame `index` (RESR_FRAME_RESTORED) from its batch file into *out, the caller's.
 * RESR_ERR_DATA: the file is no longer readable and the frame must be computed. */
RESR_MUST_CHECK int resr_checkpoint_load(ResrCheckpoint *checkpoint, ResrFrame **out,
                                         int64_t index);

/* Passes an upscaled frame, which the writer holds until it is safe on disk or its segment is. */
void resr_checkpoint_retain(ResrCheckpoint *checkpoint, ResrFrame *frame);

/* The input has ended after `frames` frames. */
RESR_MUST_CHECK int resr_checkpoint_end_of_input(ResrCheckpoint *checkpoint, int64_t frames);

/* Journals a segment, whose file must be complete and synced, with its frames' entries of `table`;
 * then releases its frames and removes its batch files. RESR_ERR_IO. */
RESR_MUST_CHECK int resr_checkpoint_commit(ResrCheckpoint *checkpoint, const ResrSegmentInfo *info,
                                           const ResrFrameTable *table);

/* The store of the job's segments, for resr_sink_open() and the encoders. It records the output in
 * the journal before the output gets its name. */
ResrSegmentStore resr_checkpoint_store(ResrCheckpoint *checkpoint);

/* Starts to write batch files as batches become complete. */
void resr_checkpoint_write_batches(ResrCheckpoint *checkpoint);
bool resr_checkpoint_writes_batches(const ResrCheckpoint *checkpoint);

/* Calls resr_checkpoint_write_batches() if a kill now would cost more than RESR_REDO_SECONDS of
 * computing on `live` ranks; `ranks`: plan->ranks entries with frames and seconds so far. */
void resr_checkpoint_decide_batch_files(ResrCheckpoint *checkpoint, const ResrPlan *plan,
                                        const ResrRankInfo *ranks, int live);

/* Writes all held frames into batch files, in order, and ends the thread. */
RESR_MUST_CHECK int resr_checkpoint_drain(ResrCheckpoint *checkpoint);

/* 0, or the thread's first error with its message. */
RESR_MUST_CHECK int resr_checkpoint_error(ResrCheckpoint *checkpoint);

/* Seconds since the thread started its current write; 0: idle. Call from any thread. */
double resr_checkpoint_stall(const ResrCheckpoint *checkpoint);

/* Number of frames that a kill now would not lose. */
int64_t resr_checkpoint_frames_safe(ResrCheckpoint *checkpoint);

/* Ends a job whose output is published: moves kept batch files to their folder, with frames.h5 over
 * all of them, and removes the job folder, except status.json with `leave_status`. */
RESR_MUST_CHECK int resr_checkpoint_finish(ResrCheckpoint *checkpoint, bool leave_status);

/* Removes the job folder of a job that has nothing to resume. */
void resr_checkpoint_abandon(ResrCheckpoint *checkpoint);

/* Writes status.json with `state`. A failure is a warning only. Call from any thread. */
void resr_checkpoint_set_status(ResrCheckpoint *checkpoint, const char *state, int exit_code,
                                const char *message);
/* Adds a rank that was left out, since it hung or its device failed, to status.json. */
void resr_checkpoint_record_exclusion(ResrCheckpoint *checkpoint, const char *host, int rank);

/* Writes the file pids: a line for each of `n` ranks, "RANK HOST PID". A failure is a warning only.
 */
void resr_checkpoint_write_pids(ResrCheckpoint *checkpoint, const ResrRankInfo *ranks, int n);

void resr_checkpoint_close(ResrCheckpoint *checkpoint); /* NULL is allowed */

#endif
