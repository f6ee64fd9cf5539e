#ifndef RESR_CKPT_MANIFEST_H
#define RESR_CKPT_MANIFEST_H

#include "job/options.h"
#include "job/plan.h"

/* The identity of a job, as a flat JSON object: the input's identity, every option that changes
 * pixels or the file, the model, the numerics class, the encoder, the program's version. A job is
 * resumed only with an equal manifest. */
typedef struct ResrManifest ResrManifest;

/* `encoder`: name of the encoder; `encoder_version`: of the library behind it. The numerics class
 * is plan->numerics_class, empty before one is chosen. RESR_ERR_IO if the input cannot be
 * read for its identity: size and XXH3-128 of its first and last 4 MiB; of a folder or a
 * pattern, of all names and of the first and last 64 KiB of all images. */
RESR_MUST_CHECK int resr_manifest_create(ResrManifest **out, const ResrOptions *options,
                                         const ResrPlan *plan, const ResrModel *model,
                                         const char *encoder, const char *encoder_version);
void resr_manifest_free(ResrManifest *manifest); /* NULL is allowed */

/* Reads a manifest. RESR_ERR_NOINPUT: it does not exist; RESR_ERR_DATA: it is damaged. */
RESR_MUST_CHECK int resr_manifest_read(ResrManifest **out, const char *path);

/* Publishes the manifest, sealed with its hash. RESR_ERR_IO. */
RESR_MUST_CHECK int resr_manifest_write(const ResrManifest *manifest, const char *path);

/* Frames of a segment; 0: one segment contains the whole video. */
int64_t resr_manifest_segment_frames(const ResrManifest *manifest);

/* Tiles of the job; without a size if the manifest was made for -t auto before a class was chosen,
 * or has none. */
ResrTileSize resr_manifest_tile(const ResrManifest *manifest);
void resr_manifest_set_tile(ResrManifest *manifest, ResrTileSize tile);

const char *resr_manifest_class(const ResrManifest *manifest);
void resr_manifest_set_class(ResrManifest *manifest, const char *numerics_class);

/* 64 bits of the manifest's hash, start time included, which mark the records of the job's journal.
 */
uint64_t resr_manifest_job_id(const ResrManifest *manifest);

/* 0 if `now` asks for the job that `then` describes, else RESR_ERR_MISMATCH and a message that
 * lists the differences. The numerics class and the size of tiles that
 * -t auto has chosen are not compared: see resr_checkpoint_open(). */
RESR_MUST_CHECK int resr_manifest_compare(const ResrManifest *now, const ResrManifest *then,
                                          const char *folder);

#endif
