#ifndef RESR_MEDIA_OUTPUTS_H
#define RESR_MEDIA_OUTPUTS_H

/* The files that an output path describes. */

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

/* True if the output is a video whose container stores rotation. */
bool resr_outputs_hold_rotation(const char *output, const char *input);

/* Path of the image file for frame `index`; not for a video. RESR_ERR_USAGE: the path is too long.
 */
RESR_MUST_CHECK int resr_outputs_image(char *out, size_t out_bytes, ResrOutputKind kind,
                                       const char *output, const ResrDecoder *decoder,
                                       int64_t index);

/* Refuses, before the work starts, images that cannot be written: two frames with one name or with
 * names that differ only in case (RESR_ERR_USAGE); an image that is a file of the input or has the
 * name of one of `others` (`count` paths, empty paths allowed) (RESR_ERR_USAGE); an existing image
 * without `overwrite` (RESR_ERR_EXISTS). Only the first `max_frames` frames are checked; 0: all.
 * For every kind of output, a path of `others` that is a file of the input is refused. */
RESR_MUST_CHECK int resr_outputs_check(const char *output, const char *input,
                                       const ResrDecoder *decoder, bool overwrite,
                                       int64_t max_frames, const char *const *others, int count);

#endif
