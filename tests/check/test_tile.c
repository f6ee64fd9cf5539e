/* The geometry of tiles, against cases worked out by hand from RealESRGANer.tile_process(). */
#include "check_net.h"
#include "net/tile.h"

static void expect(ResrTile tile, int x, int y, int width, int height, int in_x, int in_y,
                   int in_width, int in_height)
{
    assert_int_equal(tile.x_px, x);
    assert_int_equal(tile.y_px, y);
    assert_int_equal(tile.width_px, width);
    assert_int_equal(tile.height_px, height);
    assert_int_equal(tile.in_x_px, in_x);
    assert_int_equal(tile.in_y_px, in_y);
    assert_int_equal(tile.in_width_px, in_width);
    assert_int_equal(tile.in_height_px, in_height);
}

static void context_is_clipped_at_the_border(void **state)
{
    (void)state;
    ResrTilePlan plan;
    assert_int_equal(resr_tile_plan(&plan, 640, 272, 256, 10, 1), 0);
    assert_int_equal(plan.columns, 3);
    assert_int_equal(plan.rows, 2);
    expect(resr_tile_at(&plan, 0), 0, 0, 256, 256, 0, 0, 266, 266);
    expect(resr_tile_at(&plan, 1), 256, 0, 256, 256, 246, 0, 276, 266);
    expect(resr_tile_at(&plan, 2), 512, 0, 128, 256, 502, 0, 138, 266);
    expect(resr_tile_at(&plan, 4), 256, 256, 256, 16, 246, 246, 276, 26);
    int width, height;
    resr_tile_bounds(&plan, &width, &height);
    assert_int_equal(width, 276);
    assert_int_equal(height, 266);
    double read_px = (266.0 + 276 + 138) * (266 + 26);
    assert_float_equal(resr_tile_overhead(&plan), read_px / (640.0 * 272), 1e-12);
}

static void odd_sizes(void **state)
{
    (void)state;
    ResrTilePlan plan;
    assert_int_equal(resr_tile_plan(&plan, 33, 17, 16, 3, 1), 0);
    assert_int_equal(plan.columns, 3);
    assert_int_equal(plan.rows, 2);
    expect(resr_tile_at(&plan, 2), 32, 0, 1, 16, 29, 0, 4, 17);
    expect(resr_tile_at(&plan, 3), 0, 16, 16, 1, 0, 13, 19, 4);
}

static void context_larger_than_the_image(void **state)
{
    (void)state;
    ResrTilePlan plan;
    assert_int_equal(resr_tile_plan(&plan, 20, 20, 8, 100, 1), 0);
    assert_int_equal(plan.columns * plan.rows, 9);
    expect(resr_tile_at(&plan, 0), 0, 0, 8, 8, 0, 0, 20, 20);
    expect(resr_tile_at(&plan, 4), 8, 8, 8, 8, 0, 0, 20, 20);
    expect(resr_tile_at(&plan, 8), 16, 16, 4, 4, 0, 0, 20, 20);
    assert_float_equal(resr_tile_overhead(&plan), 9.0, 1e-12);
}

/* Context larger than a tile, but not than the image: neither the first nor the second tile is the
 * widest. */
static void context_larger_than_a_tile(void **state)
{
    (void)state;
    ResrTilePlan plan;
    int width, height;
    assert_int_equal(resr_tile_plan(&plan, 100, 10, 10, 25, 1), 0);
    expect(resr_tile_at(&plan, 0), 0, 0, 10, 10, 0, 0, 35, 10);
    expect(resr_tile_at(&plan, 3), 30, 0, 10, 10, 5, 0, 60, 10);
    resr_tile_bounds(&plan, &width, &height);
    assert_int_equal(width, 60);
    assert_int_equal(height, 10);
}

static void whole_frame(void **state)
{
    (void)state;
    ResrTilePlan plan;
    assert_int_equal(resr_tile_plan(&plan, 1921, 1081, 0, 10, 1), 0);
    assert_int_equal(plan.columns * plan.rows, 1);
    expect(resr_tile_at(&plan, 0), 0, 0, 1921, 1081, 0, 0, 1921, 1081);
    assert_float_equal(resr_tile_overhead(&plan), 1.0, 1e-12);
}

/* Every pixel of the frame is kept by exactly one tile. */
static void tiles_cover_the_frame(void **state)
{
    (void)state;
    enum { MAX = 41 };
    for (int size = 1; size < MAX; size++)
        for (int tile = 0; tile < 20; tile += 3) {
            ResrTilePlan plan;
            int covered[MAX] = {0};
            assert_int_equal(resr_tile_plan(&plan, size, 1, tile, 4, 1), 0);
            for (int i = 0; i < plan.columns; i++) {
                ResrTile t = resr_tile_at(&plan, i);
                for (int x = t.x_px; x < t.x_px + t.width_px; x++)
                    covered[x]++;
            }
            for (int x = 0; x < size; x++)
                assert_int_equal(covered[x], 1);
        }
}

static void refusals(void **state)
{
    (void)state;
    ResrTilePlan plan;
    assert_int_equal(resr_tile_plan(&plan, 64, 64, 33, 10, 2), RESR_ERR_USAGE);
    assert_non_null(strstr(resr_error_text(), "-t 33"));
    assert_int_equal(resr_tile_plan(&plan, 64, 64, 32, 5, 2), RESR_ERR_USAGE);
    assert_non_null(strstr(resr_error_text(), "--tile-pad 5"));
    assert_int_equal(resr_tile_plan(&plan, 63, 64, 32, 4, 2), RESR_ERR_USAGE);
    assert_int_equal(resr_tile_plan(&plan, 64, 63, 32, 4, 2), RESR_ERR_USAGE);
    assert_int_equal(resr_tile_plan(&plan, 0, 64, 32, 4, 1), RESR_ERR_USAGE);
    assert_int_equal(resr_tile_plan(&plan, 64, 64, -1, 4, 1), RESR_ERR_USAGE);
    assert_int_equal(resr_tile_plan(&plan, 64, 64, 0, -1, 1), RESR_ERR_USAGE);
}

TEST_MAIN(context_is_clipped_at_the_border, odd_sizes, context_larger_than_the_image,
          context_larger_than_a_tile, whole_frame, tiles_cover_the_frame, refusals)
