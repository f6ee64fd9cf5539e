#ifndef RESR_MEDIA_REPACK_H
#define RESR_MEDIA_REPACK_H

/* Pixel formats: the holder format, with whole samples, for the frames of a decoder or an encoder,
 * and lossless conversion in both directions. Not for other folders. */

#include <libavutil/frame.h>
#include <libavutil/pixdesc.h>
#include <stdbool.h>

#include "base/frame.h"

/* The holder format of a ResrFrame for frames in `format`: the same components, depth and
 * subsampling in planes of native samples; components of less than 8 bits are stretched to 8.
 * AV_PIX_FMT_NONE for palettes and for unsupported formats (floating point, more than 16 bits, XYZ,
 * sensor mosaics, hardware surfaces). */
enum AVPixelFormat resr_holder_of(enum AVPixelFormat format);

/* True for the old names of full-range YUV (yuvj420p); the range has a separate field. */
bool resr_is_yuvj(const AVPixFmtDescriptor *desc);

/* Describes the result of resr_repack() for `frame`. Palettes become RGB, with alpha if a pixel is
 * not opaque. RESR_ERR_DATA: the format is not supported; the message names it. */
RESR_MUST_CHECK int resr_format_of_frame(ResrFormat *out, const AVFrame *frame);

/* Sets the fields of a holder format: planes, depth, model, alpha, subsampling and name. */
void resr_format_set_pixels(ResrFormat *out, enum AVPixelFormat holder);

/* True if resr_repack() can convert frames that resr_format_of_frame() describes as `frame` to the
 * format `video`: equal in size and samples; a missing alpha plane becomes opaque. */
bool resr_format_accepts(const ResrFormat *video, const ResrFormat *frame);

/* Copies or unpacks the samples of `in` into `out`, whose `format` holds them. Samples of 8 bits
 * and more keep their values. RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_repack(ResrFrame *out, const ResrFormat *format, const AVFrame *in);

/* The reverse: copies or packs `in` into `out`, whose format, size and buffers are set. Components
 * with fewer bits than `format` has are rounded. */
RESR_MUST_CHECK int resr_repack_for_encoder(AVFrame *out, const ResrFormat *format,
                                            const ResrFrame *in);

#endif
