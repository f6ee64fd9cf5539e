#ifndef RESR_MEDIA_REPACK_H
#define RESR_MEDIA_REPACK_H

/* Pixel formats: which planar format holds a decoder's frames without loss, and the way there. Not
 * for other folders. */

#include <libavutil/frame.h>
#include <stdbool.h>

#include "media/frame.h"

/* Describes `frame` as the planar format that resr_repack() makes of it. RESR_ERR_DATA where there
 * is none (palettes of a moving picture, floating point, hardware surfaces). */
RESR_MUST_CHECK int resr_format_of_frame(ResrFormat *out, const AVFrame *frame);

/* Sets what a planar pixel format says: planes, depth, model, alpha, subsampling and name. */
void resr_format_set_pixels(ResrFormat *out, enum AVPixelFormat planar);

/* True for formats that a ResrFrame holds as they are. */
bool resr_is_plain_planar(enum AVPixelFormat format);

/* Copies or unpacks the samples of `in` into `out`, which has the format found for it. No sample
 * changes its value. RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_repack(ResrFrame *out, const ResrFormat *format, const AVFrame *in);

/* The other way: copies or packs `in` into `out`, whose format, size and buffers are set and whose
 * depth is that of `format`. */
RESR_MUST_CHECK int resr_repack_for_encoder(AVFrame *out, const ResrFormat *format,
                                            const ResrFrame *in);

#endif
