#ifndef RESR_MEDIA_OUTPUTS_H
#define RESR_MEDIA_OUTPUTS_H

/* The files that an output path stands for. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "media/decode.h"

typedef enum ResrOutputKind {
    RESR_OUTPUT_VIDEO,
    RESR_OUTPUT_IMAGE,
    RESR_OUTPUT_PATTERN, /* numbered images, from 1 */
    RESR_OUTPUT_FOLDER,  /* images named as those of the input, or frame00000001.png ... */
} ResrOutputKind;

ResrOutputKind resr_outputs_kind(const char *output, const char *input);

/* True where the output is a video whose container says how its pictures are to be turned. */
bool resr_outputs_hold_rotation(const char *output, const char *input);

/* Path of the image file for frame `index`; not of a video. RESR_ERR_USAGE: it does not fit. */
RESR_MUST_CHECK int resr_outputs_image(char *out, size_t out_bytes, ResrOutputKind kind,
                                       const char *output, const ResrDecoder *decoder,
                                       int64_t index);

/* Refuses images that cannot be written, before any work: two frames of one name, and names that
 * differ in case only (RESR_ERR_USAGE); an image that is one of the input's files, or that has the
 * name of one of `others` (`count` paths, empty ones allowed) (RESR_ERR_USAGE); an image that
 * exists, without `overwrite` (RESR_ERR_EXISTS). Of the frames the first `max_frames` count; 0:
 * all. One of `others` that is a file of the input is refused for every kind of output. */
RESR_MUST_CHECK int resr_outputs_check(const char *output, const char *input,
                                       const ResrDecoder *decoder, bool overwrite,
                                       int64_t max_frames, const char *const *others, int count);

#endif
