/* The geometry of tiles, against cases worked out by hand from RealESRGANer.tile_process(). */
#include "check_net.h"
#include "net/tile.h"

static void by_hand(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct {
        int width, height, tile, pad;
        int columns, rows;
        int max_width, max_height; /* read for a tile */
        double overhead;
        struct {
            int index;
            ResrTile tile;
        } tiles[4];
        int tile_count;
    } cases[] = {
        /* Context is clipped at the border. */
        {640, 272, 256, 10, 3, 2, 276, 266, (266.0 + 276 + 138) * (266 + 26) / (640.0 * 272),
         {{0, {0, 0, 256, 256, 0, 0, 266, 266}}, {1, {256, 0, 256, 256, 246, 0, 276, 266}},
          {2, {512, 0, 128, 256, 502, 0, 138, 266}}, {4, {256, 256, 256, 16, 246, 246, 276, 26}}}, 4},
        /* Odd sizes. */
        {33, 17, 16, 3, 3, 2, 20, 17, (19.0 + 20 + 4) * (17 + 4) / (33.0 * 17),
         {{2, {32, 0, 1, 16, 29, 0, 4, 17}}, {3, {0, 16, 16, 1, 0, 13, 19, 4}}}, 2},
        /* Context larger than the image. */
        {20, 20, 8, 100, 3, 3, 20, 20, 9,
         {{0, {0, 0, 8, 8, 0, 0, 20, 20}}, {4, {8, 8, 8, 8, 0, 0, 20, 20}},
          {8, {16, 16, 4, 4, 0, 0, 20, 20}}}, 3},
        /* Context larger than a tile, but not than the image: neither the first nor the second tile
         * is the widest. */
        {100, 10, 10, 25, 10, 1, 60, 10, (35.0 + 45 + 55 + 4 * 60 + 55 + 45 + 35) / 100,
         {{0, {0, 0, 10, 10, 0, 0, 35, 10}}, {3, {30, 0, 10, 10, 5, 0, 60, 10}}}, 2},
        /* The whole frame. */
        {1921, 1081, 0, 10, 1, 1, 1921, 1081, 1, {{0, {0, 0, 1921, 1081, 0, 0, 1921, 1081}}}, 1},
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ResrTilePlan plan;
        int width, height;
        assert_int_equal(resr_tile_plan(&plan, cases[i].width, cases[i].height,
                                        resr_tile_square(cases[i].tile, cases[i].pad), 1),
                         0);
        assert_int_equal(plan.columns, cases[i].columns);
        assert_int_equal(plan.rows, cases[i].rows);
        for (int k = 0; k < cases[i].tile_count; k++) {
            ResrTile tile = resr_tile_at(&plan, cases[i].tiles[k].index);
            assert_memory_equal(&tile, &cases[i].tiles[k].tile, sizeof tile);
        }
        resr_tile_bounds(&plan, &width, &height);
        assert_int_equal(width, cases[i].max_width);
        assert_int_equal(height, cases[i].max_height);
        assert_float_equal(resr_tile_overhead(&plan), cases[i].overhead, 1e-12);
    }
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
            assert_int_equal(resr_tile_plan(&plan, size, 1, resr_tile_square(tile, 4), 1), 0);
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
    assert_int_equal(resr_tile_plan(&plan, 64, 64, resr_tile_square(33, 10), 2), RESR_ERR_USAGE);
    assert_non_null(strstr(resr_error_text(), "-t 33"));
    assert_int_equal(resr_tile_plan(&plan, 64, 64, resr_tile_square(32, 5), 2), RESR_ERR_USAGE);
    assert_non_null(strstr(resr_error_text(), "--tile-pad 5"));
    assert_int_equal(resr_tile_plan(&plan, 63, 64, resr_tile_square(32, 4), 2), RESR_ERR_USAGE);
    assert_int_equal(resr_tile_plan(&plan, 64, 63, resr_tile_square(32, 4), 2), RESR_ERR_USAGE);
    assert_int_equal(resr_tile_plan(&plan, 0, 64, resr_tile_square(32, 4), 1), RESR_ERR_USAGE);
    assert_int_equal(resr_tile_plan(&plan, 64, 64, resr_tile_square(-1, 4), 1), RESR_ERR_USAGE);
    assert_int_equal(resr_tile_plan(&plan, 64, 64, resr_tile_square(0, -1), 1), RESR_ERR_USAGE);
}

TEST_MAIN(by_hand, tiles_cover_the_frame, refusals)
