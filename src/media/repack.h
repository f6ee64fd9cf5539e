#ifndef RESR_MEDIA_REPACK_H
#define RESR_MEDIA_REPACK_H

/* Pixel formats: which format of whole samples holds a decoder's or an encoder's frames without
 * loss, and the way from one to the other. Not for other folders. */

#include <libavutil/frame.h>
#include <libavutil/pixdesc.h>
#include <stdbool.h>

#include "media/frame.h"

/* The format that names what a ResrFrame holds of frames in `format`: the same components, depth
 * and subsampling in planes of native samples; components of less than 8 bits are stretched to 8.
 * AV_PIX_FMT_NONE for palettes and for what cannot be held (floating point, more than 16 bits, XYZ,
 * sensor mosaics, hardware surfaces). */
enum AVPixelFormat resr_holder_of(enum AVPixelFormat format);

/* True for full-range YUV under its old names (yuvj420p); the range has a field of its own. */
bool resr_is_yuvj(const AVPixFmtDescriptor *desc);

/* Describes what resr_repack() makes of `frame`. Palettes become RGB, with alpha where a pixel is
 * not opaque. RESR_ERR_DATA names a format that cannot be held. */
RESR_MUST_CHECK int resr_format_of_frame(ResrFormat *out, const AVFrame *frame);

/* Sets what a holder says: planes, depth, model, alpha, subsampling and name. */
void resr_format_set_pixels(ResrFormat *out, enum AVPixelFormat holder);

/* True if resr_repack() makes frames of the format `video` from what resr_format_of_frame() called
 * `frame`: equal in size and samples; a missing alpha plane becomes opaque. */
bool resr_format_takes(const ResrFormat *video, const ResrFormat *frame);

/* Copies or unpacks the samples of `in` into `out`, whose `format` takes it. Samples of 8 bits and
 * more keep their values. RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_repack(ResrFrame *out, const ResrFormat *format, const AVFrame *in);

/* The other way: copies or packs `in` into `out`, whose format, size and buffers are set.
 * Components with fewer bits than `format` has are rounded. */
RESR_MUST_CHECK int resr_repack_for_encoder(AVFrame *out, const ResrFormat *format,
                                            const ResrFrame *in);

#endif
