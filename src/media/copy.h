#ifndef RESR_MEDIA_COPY_H
#define RESR_MEDIA_COPY_H

/* The streams of a source that go into the output as they are: which of them, in what order, and at
 * what times. Packets keep their bytes; times that a container could not write are mended as the
 * ffmpeg tool mends them. Not for other folders. */

#include <libavformat/avformat.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/error.h"

typedef struct ResrCopy ResrCopy;

/* Opens `input` once more and chooses its streams: all but the video stream that is upscaled, data
 * streams and streams without the parameters that every container needs. `trial`: warn of those
 * that are left out, and be ready for resr_copy_probe() in place of resr_copy_next(). `output` is
 * for messages; it must outlive the copy. Reading ends with RESR_ERR_STOPPED after *stop (may be
 * NULL) is set. RESR_ERR_NOINPUT, RESR_ERR_PERM, RESR_ERR_DATA, RESR_ERR_STOPPED. */
RESR_MUST_CHECK int resr_copy_open(ResrCopy **out, const char *input, const char *output,
                                   const atomic_bool *stop, bool trial);

/* From now on an error of the demuxer is RESR_ERR_DATA, not the end of the source. */
void resr_copy_be_strict(ResrCopy *copy);

/* The source, for its chapters, metadata and streams. */
const AVFormatContext *resr_copy_source(const ResrCopy *copy);

/* The source's stream that is upscaled; NULL if it has none. */
const AVStream *resr_copy_video(const ResrCopy *copy);

/* True if stream `index` of the source is to be copied. */
bool resr_copy_takes(const ResrCopy *copy, unsigned index);

/* Stream `index` of the source becomes `out`; a stream without one is left out. `strict`: the
 * container refuses two packets of one time. Call before resr_copy_next(). */
void resr_copy_map(ResrCopy *copy, unsigned index, AVStream *out, bool strict);

/* Reads the first packets of the copied streams near the source's start. RESR_ERR_INTERNAL. */
RESR_MUST_CHECK int resr_copy_probe(ResrCopy *copy);

/* The packets of stream `index` that resr_copy_probe() found: returns how many, at most two. They
 * stay the copy's. */
int resr_copy_first(const ResrCopy *copy, unsigned index, AVPacket *const **packets);

/* The next packet that is due before `until` (microseconds; INT64_MAX: any), with the index and the
 * time base of its output stream; *out is NULL where none is due or the source has ended. The
 * caller frees it. RESR_ERR_INTERNAL (memory), RESR_ERR_STOPPED. */
RESR_MUST_CHECK int resr_copy_next(ResrCopy *copy, AVPacket **out, int64_t until);

/* Warns of the streams whose times were mended, with the number of packets. */
void resr_copy_tell(const ResrCopy *copy);

void resr_copy_close(ResrCopy *copy); /* NULL is allowed */

#endif
