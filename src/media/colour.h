#ifndef RESR_MEDIA_COLOUR_H
#define RESR_MEDIA_COLOUR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/frame.h"

/* A whole frame as planar float RGB, the network's own side of the colour conversion: three planes
 * R, G, B of height_px rows, nominal range [0, 1], gamma-encoded as in the source. */
typedef struct ResrRgb {
    float *plane[3];
    size_t stride; /* in floats, a multiple of 16 and at least width_px + 3 */
    int32_t width_px, height_px;
    float *data; /* what the planes point into, with spare rows for odd sizes; owned */
} ResrRgb;

RESR_MUST_CHECK int resr_rgb_create(ResrRgb *out, int width_px, int height_px);
void resr_rgb_free(ResrRgb *rgb);

/* Converts frames of one format to float RGB and float RGB of any one size to frames of another
 * format, through zimg: the tagged matrix, range and chroma position; chroma by bicubic (b = 0,
 * c = 0.5); no dither; integers are rounded once, half to even. If the RGB's size differs from the
 * output format's, it is resized by Lanczos (4 taps) in float before rounding. Alpha is carried
 * beside RGB: resized by zimg bicubic from input to output size. Unspecified matrices are taken as
 * BT.709 from 720 lines up, else BT.601; nothing is written back to the format.
 * Not thread-safe: one object per thread. Results are the same on every CPU: zimg's portable code
 * is pinned (numerics class `exact`). */
typedef struct ResrColour ResrColour;

/* `rgb_width_px` x `rgb_height_px`: size of the RGB image given to resr_colour_from_rgb().
 * RESR_ERR_DATA for formats that zimg cannot convert, RESR_ERR_INTERNAL without memory. */
RESR_MUST_CHECK int resr_colour_create(ResrColour **out, const ResrFormat *input,
                                       const ResrFormat *output, int rgb_width_px,
                                       int rgb_height_px);
void resr_colour_free(ResrColour *colour);

/* For backends that convert on their device: true if both formats are YUV without alpha and the RGB
 * image is not resized; then *in_matrix and *out_matrix are H.273's, never unspecified. */
bool resr_colour_is_plain(const ResrColour *colour, int *in_matrix, int *out_matrix);

RESR_MUST_CHECK int resr_colour_to_rgb(ResrColour *colour, ResrRgb *out, const ResrFrame *in);

/* `in` has the size given at creation; what lies beyond its edges in its buffer is overwritten.
 * `source` is the input frame, read for its alpha only. */
RESR_MUST_CHECK int resr_colour_from_rgb(ResrColour *colour, ResrFrame *out, ResrRgb *in,
                                         const ResrFrame *source);

#endif
