#ifndef RESR_MEDIA_BENCHMARK_H
#define RESR_MEDIA_BENCHMARK_H

#include "media/sink.h"

/* Decoding and encoding speed of this machine, measured as in a job: hashes included, one segment's
 * encoder at a time. */
typedef struct ResrBenchmark {
    double fps;
    double cpu_seconds; /* of all processors, for one frame */
    double lag_frames;  /* encoding: largest number of frames that the encoder held */
    int64_t frames;     /* measured */
} ResrBenchmark;

/* Decodes from the start of the input for at most `seconds`. Errors of resr_decoder_open() and
 * resr_decoder_read(). */
RESR_MUST_CHECK int resr_benchmark_decode(ResrBenchmark *out, const char *input,
                                          const ResrDecodeOptions *options, double seconds);

/* Encodes the input's first frames, resized to the output's size and played forwards then
 * backwards, so that there is motion but no scene cut: for about `seconds`, at most one segment, at
 * least a few frames. `plan` is that of `output`. RESR_ERR_DATA, RESR_ERR_INTERNAL, RESR_ERR_USAGE.
 */
RESR_MUST_CHECK int resr_benchmark_encode(ResrBenchmark *out, const char *input, const char *output,
                                          const ResrSinkPlan *plan,
                                          const ResrEncodeOptions *options, double seconds);

#endif
