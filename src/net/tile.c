#include "net/tile.h"

#include <assert.h>

#include "base/minmax.h"

static int check_multiple(const char *what, int value_px, int multiple)
{
    if (value_px % multiple == 0)
        return 0;
    return resr_fail(RESR_ERR_USAGE,
                     "%s %d: this network works on groups of %d pixels; give a multiple of %d",
                     what, value_px, multiple, multiple);
}

static int count(int32_t frame_px, int32_t tile_px)
{
    return tile_px > 0 ? (frame_px - 1) / tile_px + 1 : 1;
}

int resr_tile_plan(ResrTilePlan *out, int frame_width_px, int frame_height_px, ResrTileSize tile,
                   int multiple)
{
    if (frame_width_px < 1 || frame_height_px < 1)
        return resr_fail(RESR_ERR_USAGE, "frame of %d x %d pixels: nothing to upscale",
                         frame_width_px, frame_height_px);
    if (tile.width_px < 0 || tile.height_px < 0)
        return resr_fail(RESR_ERR_USAGE, "-t %d: give 0 (whole frame) or more",
                         resr_min(tile.width_px, tile.height_px));
    if (tile.pad_px < 0)
        return resr_fail(RESR_ERR_USAGE, "--tile-pad %d: give 0 or more", tile.pad_px);
    int ret = check_multiple("frame width", frame_width_px, multiple);
    if (ret == 0)
        ret = check_multiple("frame height", frame_height_px, multiple);
    if (ret == 0)
        ret = check_multiple("-t", tile.width_px, multiple);
    if (ret == 0)
        ret = check_multiple("-t", tile.height_px, multiple);
    if (ret == 0 && (tile.width_px > 0 || tile.height_px > 0)) /* one tile has no context */
        ret = check_multiple("--tile-pad", tile.pad_px, multiple);
    if (ret < 0)
        return ret;

    *out = (ResrTilePlan){.columns = count(frame_width_px, tile.width_px),
                          .rows = count(frame_height_px, tile.height_px),
                          .tile = tile,
                          .frame_width_px = frame_width_px,
                          .frame_height_px = frame_height_px};
    return 0;
}

/* One axis of a tile: the kept part, and the part read, clipped at the frame's border. */
static void axis(int32_t tile_px, int32_t pad_px, int32_t index, int32_t frame_px, int32_t *start,
                 int32_t *length, int32_t *in_start, int32_t *in_length)
{
    if (tile_px == 0)
        tile_px = frame_px;
    *start = index * tile_px;
    *length = resr_min(tile_px, frame_px - *start);
    int32_t before = resr_min(pad_px, *start);
    int32_t after = resr_min(pad_px, frame_px - *start - *length);
    *in_start = *start - before;
    *in_length = before + *length + after;
}

ResrTile resr_tile_at(const ResrTilePlan *plan, int index)
{
    ResrTile tile;
    assert(index >= 0 && index < plan->columns * plan->rows);
    axis(plan->tile.width_px, plan->tile.pad_px, index % plan->columns, plan->frame_width_px,
         &tile.x_px, &tile.width_px, &tile.in_x_px, &tile.in_width_px);
    axis(plan->tile.height_px, plan->tile.pad_px, index / plan->columns, plan->frame_height_px,
         &tile.y_px, &tile.height_px, &tile.in_y_px, &tile.in_height_px);
    return tile;
}

/* Largest part read on one axis. Any tile can have it if the context is larger than a tile. */
static int32_t widest(int32_t tile_px, int32_t pad_px, int32_t tiles, int32_t frame_px)
{
    int32_t widest_px = 0;
    for (int32_t i = 0; i < tiles; i++) {
        int32_t start, length, in_start, in_length;
        axis(tile_px, pad_px, i, frame_px, &start, &length, &in_start, &in_length);
        if (in_length > widest_px)
            widest_px = in_length;
    }
    return widest_px;
}

void resr_tile_bounds(const ResrTilePlan *plan, int *width_px, int *height_px)
{
    const ResrTileSize *tile = &plan->tile;
    *width_px = widest(tile->width_px, tile->pad_px, plan->columns, plan->frame_width_px);
    *height_px = widest(tile->height_px, tile->pad_px, plan->rows, plan->frame_height_px);
}

double resr_tile_overhead(const ResrTilePlan *plan)
{
    double read_px = 0;
    for (int i = 0; i < plan->columns * plan->rows; i++) {
        ResrTile tile = resr_tile_at(plan, i);
        read_px += (double)tile.in_width_px * tile.in_height_px;
    }
    return read_px / ((double)plan->frame_width_px * plan->frame_height_px);
}
