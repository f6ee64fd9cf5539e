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

/* Converts frames of one stream; keeps libswscale's context between calls. Zero-initialised. */
typedef struct ResrRepacker {
    struct SwsContext *sws;
} ResrRepacker;

/* Copies or unpacks the samples of `in` into `out`, which has the format found for it. No sample
 * changes its value. RESR_ERR_DATA. */
RESR_MUST_CHECK int resr_repack(ResrRepacker *repacker, ResrFrame *out, const ResrFormat *format,
                                const AVFrame *in);

/* The other way: copies or packs `in` into `out`, whose format, size and buffers are set. */
RESR_MUST_CHECK int resr_repack_for_encoder(ResrRepacker *repacker, AVFrame *out,
                                            const ResrFormat *format, const ResrFrame *in);
void resr_repacker_close(ResrRepacker *repacker);

#endif
