#ifndef RESR_CKPT_MANIFEST_H
#define RESR_CKPT_MANIFEST_H

#include "job/options.h"
#include "job/plan.h"

/* What a job is, as a flat JSON object: the input's identity, every option that changes pixels or
 * the file, the model, the numerics class, the encoder, the program's version. A job goes on only
 * under the same one. */
typedef struct ResrManifest ResrManifest;

/* `encoder`: name of the encoder; `encoder_version`: of the library behind it. The numerics class
 * is plan->numerics_class, empty as long as none was chosen. RESR_ERR_IO when the input cannot be
 * read for its identity: size and XXH3-128 of its first and last 4 MiB; where it is a folder or a
 * pattern, of all names and of the first and last 64 KiB of all images. */
RESR_MUST_CHECK int resr_manifest_create(ResrManifest **out, const ResrOptions *options,
                                         const ResrPlan *plan, const ResrModel *model,
                                         const char *encoder, const char *encoder_version);
void resr_manifest_free(ResrManifest *manifest); /* NULL is allowed */

/* Reads a manifest. RESR_ERR_NOINPUT: there is none; RESR_ERR_DATA: it is damaged. */
RESR_MUST_CHECK int resr_manifest_read(ResrManifest **out, const char *path);

/* Publishes it, sealed by its own hash. RESR_ERR_IO. */
RESR_MUST_CHECK int resr_manifest_write(const ResrManifest *manifest, const char *path);

/* Frames of a segment; 0: one holds the whole video. */
int64_t resr_manifest_segment_frames(const ResrManifest *manifest);

const char *resr_manifest_class(const ResrManifest *manifest);
void resr_manifest_set_class(ResrManifest *manifest, const char *numerics_class);

/* 64 bits that mark this run's journal: derived from the sealed manifest, its start time included.
 */
uint64_t resr_manifest_job_id(const ResrManifest *manifest);

/* 0 if `now` asks for the job that `then` describes, else RESR_ERR_MISMATCH and a message that
 * lists what differs. The numerics class is left out: see resr_checkpoint_open(). */
RESR_MUST_CHECK int resr_manifest_compare(const ResrManifest *now, const ResrManifest *then,
                                          const char *folder);

#endif
