#ifndef RESR_MEDIA_PIXFMT_H
#define RESR_MEDIA_PIXFMT_H

/* Which of an encoder's pixel formats a video is encoded in. Not for other folders. */

#include <libavcodec/avcodec.h>

#include "media/frame.h"

/* The format `asked` for by name, or, if that is empty, the one that keeps most of `input`: by rank
 * colour, alpha, depth, chroma resolution, RGB or YUV, range, then the smallest. RESR_ERR_USAGE
 * where the encoder does not take it, or width_px x height_px does not fit its subsampling. */
RESR_MUST_CHECK int resr_pixfmt_plan(enum AVPixelFormat *out, const AVCodec *codec,
                                     const char *output, const ResrFormat *input, int width_px,
                                     int height_px, const char *asked);

/* Warns of what `format` does not keep of `input`, if anything, and names an encoder that keeps
 * it. */
void resr_pixfmt_warn(enum AVPixelFormat format, const AVCodec *codec, const char *output,
                      const ResrFormat *input, int width_px, int height_px);

#endif
