#ifndef RESR_NET_TILE_H
#define RESR_NET_TILE_H

#include <stdint.h>

#include "base/error.h"

/* A tile of a frame, in input pixels: the kept part, and the part read, which is larger by the
 * context on the sides that are not the frame's border. (At the border the convolutions' own zero
 * padding applies.) Geometry of the official inference scripts, RealESRGANer.tile_process. */
typedef struct ResrTile {
    int32_t x_px, y_px, width_px, height_px;             /* kept */
    int32_t in_x_px, in_y_px, in_width_px, in_height_px; /* read */
} ResrTile;

/* Size of a tile, in input pixels: the kept part, where 0 stands for the whole frame's width or
 * height, and the context on each side that is not the frame's border. */
typedef struct ResrTileSize {
    int32_t width_px, height_px, pad_px;
} ResrTileSize;

/* Square tiles, as the official scripts have them. `tile_px` 0: the whole frame. */
static inline ResrTileSize resr_tile_square(int32_t tile_px, int32_t pad_px)
{
    return (ResrTileSize){tile_px, tile_px, pad_px};
}

/* The grid of tiles: from the pixel (0, 0), the last ones of a row and column possibly smaller. */
typedef struct ResrTilePlan {
    int32_t columns, rows;
    ResrTileSize tile;
    int32_t frame_width_px, frame_height_px;
} ResrTilePlan;

/* `multiple`: the network's unshuffle factor. Frame size, tile and context must be multiples of it.
 * RESR_ERR_USAGE, with the option. */
RESR_MUST_CHECK int resr_tile_plan(ResrTilePlan *out, int frame_width_px, int frame_height_px,
                                   ResrTileSize tile, int multiple);

/* Tile `index`, counted row by row. */
ResrTile resr_tile_at(const ResrTilePlan *plan, int index);

/* Width and height of the largest part read. */
void resr_tile_bounds(const ResrTilePlan *plan, int *width_px, int *height_px);

/* Pixels read / pixels of the frame; 1 means no extra work. */
double resr_tile_overhead(const ResrTilePlan *plan);

#endif
