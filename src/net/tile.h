#ifndef RESR_NET_TILE_H
#define RESR_NET_TILE_H

#include <stdint.h>

#include "base/error.h"

/* One tile of a frame, in input pixels: the part that is kept, and the part that is read, which
 * is larger by the context where the frame does not end (the convolutions' own zero padding acts
 * at the frame's border). Geometry of the official inference scripts (RealESRGANer.tile_process).
 */
typedef struct ResrTile {
    int32_t x_px, y_px, width_px, height_px;             /* kept */
    int32_t in_x_px, in_y_px, in_width_px, in_height_px; /* read */
} ResrTile;

/* The frame's grid: tiles from (0, 0), the last of a row or column short. `tile_px` 0: the whole
 * frame is one tile. `multiple`: the network's unshuffle factor; frame size, tile and pad must be
 * multiples of it (RESR_ERR_USAGE names the option). */
typedef struct ResrTilePlan {
    int32_t columns, rows, tile_px, pad_px, frame_width_px, frame_height_px;
} ResrTilePlan;

RESR_MUST_CHECK int resr_tile_plan(ResrTilePlan *out, int frame_width_px, int frame_height_px,
                                   int tile_px, int tile_pad_px, int multiple);
ResrTile resr_tile_at(const ResrTilePlan *plan, int index); /* row by row */

/* Largest tile that is read, context included. */
void resr_tile_bounds(const ResrTilePlan *plan, int *width_px, int *height_px);

/* Pixels read / pixels kept: 1 is no extra work. */
double resr_tile_overhead(const ResrTilePlan *plan);

#endif
