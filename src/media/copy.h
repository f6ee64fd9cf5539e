#ifndef RESR_MEDIA_COPY_H
#define RESR_MEDIA_COPY_H

/* The streams of a source that are copied to the output: their choice, the order of their packets,
 * and the packets' timestamps. Packets keep their bytes; timestamps that a container cannot write
 * are corrected as the ffmpeg tool does. Not for other folders. */

#include <libavformat/avformat.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/error.h"

typedef struct ResrCopy ResrCopy;

/* Opens `input` once more and chooses its streams: all but the video stream that is upscaled, data
 * streams and streams without the parameters that every container needs. `trial`: warns of streams
 * that are left out, and prepares for resr_copy_probe() instead of resr_copy_next(). `output` is
 * used in messages and must outlive the copy. Reading ends with RESR_ERR_STOPPED after *stop (may
 * be NULL) is set. RESR_ERR_NOINPUT, RESR_ERR_PERM, RESR_ERR_DATA, RESR_ERR_STOPPED. */
RESR_MUST_CHECK int resr_copy_open(ResrCopy **out, const char *input, const char *output,
                                   const atomic_bool *stop, bool trial);

/* Makes every later error of the demuxer RESR_ERR_DATA instead of the end of the source. */
void resr_copy_be_strict(ResrCopy *copy);

/* The source, for its chapters, metadata and streams. */
const AVFormatContext *resr_copy_source(const ResrCopy *copy);

/* The source's stream that is upscaled; NULL if the source has no video stream. */
const AVStream *resr_copy_video(const ResrCopy *copy);

/* True if stream `index` of the source is to be copied. */
bool resr_copy_includes(const ResrCopy *copy, unsigned index);

/* Stream `index` of the source becomes `out`; a stream without one is left out. `strict`: the
 * container refuses two packets with the same timestamp. Call before resr_copy_next(). */
void resr_copy_map(ResrCopy *copy, unsigned index, AVStream *out, bool strict);

/* Reads the first packets of the copied streams near the source's start. RESR_ERR_INTERNAL. */
RESR_MUST_CHECK int resr_copy_probe(ResrCopy *copy);

/* The packets of stream `index` that resr_copy_probe() found: returns their number, at most two.
 * The copy owns the packets. */
int resr_copy_first(const ResrCopy *copy, unsigned index, AVPacket *const **packets);

/* The next packet that is due before `until` (microseconds; INT64_MAX: any), with the index and the
 * time base of its output stream; *out is NULL if no packet is due or the source has ended. The
 * caller frees it. RESR_ERR_INTERNAL (memory), RESR_ERR_STOPPED. */
RESR_MUST_CHECK int resr_copy_next(ResrCopy *copy, AVPacket **out, int64_t until);

/* Warns of the streams whose timestamps were corrected, with the number of packets. */
void resr_copy_report(const ResrCopy *copy);

void resr_copy_close(ResrCopy *copy); /* NULL is allowed */

#endif
