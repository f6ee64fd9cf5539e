#ifndef RESR_MEDIA_TURN_H
#define RESR_MEDIA_TURN_H

/* Rotation and mirroring of pictures whose stored orientation differs from the displayed one. An
 * orientation is a number of EXIF's tag 274: 1 upright, 2 mirrored left to right, 3 half a turn, 4
 * mirrored top to bottom, 5 transposed, 6 a quarter turn clockwise makes it upright, 7 transposed
 * along the other diagonal, 8 a quarter turn counterclockwise makes it upright. */

#include <stdbool.h>

#include "base/frame.h"

/* Orientation of a display matrix (9 numbers, as in FFmpeg's side data and in MP4), or 0 for a
 * matrix that does more than rotate by multiples of 90 degrees and mirror. */
int resr_turn_of_matrix(const int32_t matrix[9]);

/* True for the orientations that exchange width and height (5 to 8). */
bool resr_turn_transposes(int orientation);

/* Describes upright frames made from frames of `in`. Width and height are exchanged for
 * orientations 5 to 8; the chroma position is that of the turned samples; a subsampling that
 * differs between the directions (4:2:2, 4:1:1) becomes 4:4:4 when it would be transposed.
 * RESR_ERR_DATA if no planar format has this depth and subsampling. */
RESR_MUST_CHECK int resr_turn_format(ResrFormat *out, const ResrFormat *in, int orientation);

/* Turns `in` into `out`, a frame of the format that resr_turn_format() gave for `from`. Luma, RGB
 * and alpha samples keep their values; so do chroma samples if the new grid coincides with the old
 * grid; else chroma is interpolated linearly. RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_turn_frame(ResrFrame *out, const ResrFormat *to, const ResrFrame *in,
                                    const ResrFormat *from, int orientation);

#endif
