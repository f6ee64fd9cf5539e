#ifndef RESR_MEDIA_BENCHMARK_H
#define RESR_MEDIA_BENCHMARK_H

#include "media/sink.h"

/* How fast this machine decodes an input and encodes an output, measured as a job does it: hashes
 * included, one segment's encoder at a time. */
typedef struct ResrBenchmark {
    double fps;
    double cpu_seconds; /* of all processors, a frame */
    double lag_frames;  /* encoding: frames that the encoder held at most */
    int64_t frames;     /* that were measured */
} ResrBenchmark;

/* Decodes from the beginning for at most `seconds`. As resr_decoder_open() and _read() fail. */
RESR_MUST_CHECK int resr_benchmark_decode(ResrBenchmark *out, const char *input,
                                          const ResrDecodeOptions *options, double seconds);

/* Encodes the input's first frames, resized to the output's size, forth and back, so that there is
 * motion but no cut: for some `seconds`, at most a segment, at least a few frames. `plan`: as
 * settled for `output`. RESR_ERR_DATA, RESR_ERR_INTERNAL, RESR_ERR_USAGE. */
RESR_MUST_CHECK int resr_benchmark_encode(ResrBenchmark *out, const char *input, const char *output,
                                          const ResrSinkPlan *plan,
                                          const ResrEncodeOptions *options, double seconds);

#endif
