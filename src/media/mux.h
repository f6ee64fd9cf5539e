#ifndef RESR_MEDIA_MUX_H
#define RESR_MEDIA_MUX_H

/* The output container: the upscaled video stream, and by packet copy everything else that the
 * source holds. Not for other folders. */

#include "media/container.h"

typedef struct ResrMuxer ResrMuxer;

/* Opens `temporary` as a container of the kind that `output` ends in. `copy`: take the other
 * streams, chapters and metadata from `input` (a video). With `temporary` NULL no file is written:
 * only resr_muxer_try() may be called. The strings must outlive the muxer. Reading `input` ends
 * with RESR_ERR_STOPPED after *stop (may be NULL) is set. RESR_ERR_USAGE, and the errors of opening
 * `input` and creating `temporary`. */
RESR_MUST_CHECK int resr_muxer_open(ResrMuxer **out, const char *temporary, const char *output,
                                    const char *input, bool copy, const atomic_bool *stop);

/* Makes damage in the copied streams RESR_ERR_DATA instead of their end. */
void resr_muxer_be_strict(ResrMuxer *muxer);

/* Sets the file's tag "comment", before resr_muxer_start(). */
void resr_muxer_comment(ResrMuxer *muxer, const char *text);

bool resr_muxer_wants_global_header(const ResrMuxer *muxer);

/* Tests resr_muxer_start() and the first packets of the copied streams without writing a file.
 * RESR_ERR_USAGE: the container cannot store a stream; the message names the stream and the remedy.
 */
RESR_MUST_CHECK int resr_muxer_try(ResrMuxer *muxer, const ResrContainerVideo *video);

/* Adds the video stream as the first segment's encoder describes it, in the time base of the
 * decoder's frames, with the first frame's static side data (HDR), and writes the file's header.
 * RESR_ERR_IO, RESR_ERR_DATA (the muxer refuses it). */
RESR_MUST_CHECK int resr_muxer_start(ResrMuxer *muxer, const ResrContainerVideo *video);

/* Writes a video packet whose times are in the decoder's time base, and the other streams' packets
 * up to then. RESR_ERR_IO, RESR_ERR_DATA. */
RESR_MUST_CHECK int resr_muxer_write(ResrMuxer *muxer, AVPacket *packet);

/* Writes the rest of the other streams (`until` in the decoder's time base: only up to there;
 * INT64_MAX: everything) and the trailer, and closes the file. RESR_ERR_IO, RESR_ERR_DATA. */
RESR_MUST_CHECK int resr_muxer_finish(ResrMuxer *muxer, int64_t until);

void resr_muxer_close(ResrMuxer *muxer); /* NULL is allowed */

#endif
