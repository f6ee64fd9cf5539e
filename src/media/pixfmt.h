#ifndef RESR_MEDIA_PIXFMT_H
#define RESR_MEDIA_PIXFMT_H

/* Choice of the encoder's pixel format for a video. Not for other folders. */

#include <libavcodec/avcodec.h>

#include "base/frame.h"

/* The format named `asked` or, if `asked` is empty, the format that keeps most of `input`: colour,
 * then alpha, depth, chroma resolution, RGB or YUV, range, then the smallest format. RESR_ERR_USAGE
 * if the encoder does not support the format, or width_px x height_px does not fit its subsampling.
 */
RESR_MUST_CHECK int resr_pixfmt_plan(enum AVPixelFormat *out, const AVCodec *codec,
                                     const char *output, const ResrFormat *input, int width_px,
                                     int height_px, const char *asked);

/* Warns if `format` does not keep all of `input`, and names an encoder that does. */
void resr_pixfmt_warn(enum AVPixelFormat format, const AVCodec *codec, const char *output,
                      const ResrFormat *input, int width_px, int height_px);

#endif
