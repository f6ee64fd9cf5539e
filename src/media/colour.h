#ifndef RESR_MEDIA_COLOUR_H
#define RESR_MEDIA_COLOUR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/frame.h"

/* A frame as planar float RGB, as the network computes it: three planes R, G, B of height_px rows,
 * nominal range [0, 1], gamma-encoded as in the source. */
typedef struct ResrRgb {
    float *plane[4]; /* plane[3]: alpha, or NULL */
    size_t stride;   /* in floats, a multiple of 16 and at least width_px + 3 */
    int32_t width_px, height_px;
    float *data; /* memory of the planes, with spare rows for odd sizes; owned */
} ResrRgb;

/* `planes`: 3, or 4 with alpha, which is opaque at first. */
RESR_MUST_CHECK int resr_rgb_create(ResrRgb *out, int width_px, int height_px, int planes);
void resr_rgb_free(ResrRgb *rgb);

/* Converts frames of one format to float RGB, and float RGB of any one size to frames of another
 * format, through zimg: tagged matrix, range and chroma position; chroma by bicubic (b = 0, c =
 * 0.5); no dither; integers are rounded once, half to even. RGB of a size that differs from the
 * output format's is resized by Lanczos (4 taps) in float before rounding. Alpha goes through
 * zimg's bicubic: from input to output size, or, of networks that compute alpha, from the RGB
 * image's. An unspecified matrix is BT.709 from 720 lines up, else BT.601; the format's tag does
 * not change. Not thread-safe: one object per thread. The results are the same on every CPU,
 * because zimg is restricted to its portable code (numerics class `exact`). */
typedef struct ResrColour ResrColour;

/* `rgb_width_px` x `rgb_height_px` is the size of the RGB image for resr_colour_from_rgb().
 * `network_alpha`: alpha is in plane[3] of both RGB images. RESR_ERR_DATA: zimg cannot convert a
 * format; RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_colour_create(ResrColour **out, const ResrFormat *input,
                                       const ResrFormat *output, int rgb_width_px,
                                       int rgb_height_px, bool network_alpha);
void resr_colour_free(ResrColour *colour);

/* For backends that convert on their device: true if both formats are YUV without alpha and the RGB
 * image is not resized; then *in_matrix and *out_matrix are H.273's, never unspecified. */
bool resr_colour_is_plain(const ResrColour *colour, int *in_matrix, int *out_matrix);

RESR_MUST_CHECK int resr_colour_to_rgb(ResrColour *colour, ResrRgb *out, const ResrFrame *in);

/* `in` has the size given at creation; samples of its buffer beyond that size are overwritten.
 * `source` is the input frame, read for its alpha only, unless `in` has it. */
RESR_MUST_CHECK int resr_colour_from_rgb(ResrColour *colour, ResrFrame *out, ResrRgb *in,
                                         const ResrFrame *source);

#endif
