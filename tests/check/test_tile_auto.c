/* -t auto: the estimate against sums by hand, and the properties of the tiles for networks, classes
 * and sizes from 1 x 1 to 32768 x 32. */
#include "base/limits.h"
#include "base/minmax.h"
#include "check_net.h"
#include "net/tile_auto.h"

/* clang-format off */
static const struct {
    ResrNetSpec spec;
    int64_t cpu_px, gpu_px; /* bytes per pixel of a body of the frame's size / unshuffle^2 */
    int64_t floats;
} networks[] = {
    /* x4plus: three maps of 64; RGB planes of 3 and 48 floats. 2 x 192 halves, 3 x 64 floats. */
    {{RESR_ARCH_RRDB, 4, 1, 23, 64, 32, 3, 0, 1}, 768 + 204, 768 + 768 + 6 + 204, 16697987},
    /* x2plus: four pixels in each of the body's. */
    {{RESR_ARCH_RRDB, 2, 2, 23, 64, 32, 3, 0, 1}, 768 + 240, 768 + 768 + 24 + 240, 16703171},
    /* unshuffle 4, one block, 20 features in two blocks of 16 channels. */
    {{RESR_ARCH_RRDB, 1, 4, 1, 20, 8, 3, 0, 1}, 384 + 384, 208 + 768 + 96 + 384, 0},
    /* animevideov3: two maps of 64 and 16. */
    {{RESR_ARCH_SRVGG, 4, 1, 16, 64, 0, 3, 0, 1}, 576 + 204, 256 + 192 + 6 + 204, 621424},
    /* spanx4_ch48: six maps of 48 and 16. */
    {{RESR_ARCH_SPAN, 4, 1, 6, 48, 0, 3, 1, 1}, 1216 + 204, 576 + 256 + 192 + 6 + 204, 0},
};
/* clang-format on */

enum { NETWORKS = sizeof networks / sizeof *networks, MIB = 1 << 20 };

static const char *const classes[] = {"exact",     "fp32",      "bf16-avx512", "bf16-amx",
                                      "simulated", "fp16-sm90", "bf16-sm90",   "mma-sm80"};

static bool on_gpu(int class)
{
    return class > 4;
}

static void estimate(void **state)
{
    (void)state;
    for (int n = 0; n < NETWORKS; n++)
        for (size_t k = 0; k < sizeof classes / sizeof *classes; k++) {
            const ResrNetSpec *spec = &networks[n].spec;
            int64_t floats =
                networks[n].floats ? networks[n].floats : (int64_t)resr_spec_floats(spec);
            int64_t px = on_gpu((int)k) ? networks[n].gpu_px : networks[n].cpu_px;
            int factor = spec->unshuffle;
            assert_int_equal(resr_tile_auto_bytes(spec, classes[k], 100 * factor, 30 * factor),
                             3000 * px + floats * (on_gpu((int)k) ? 4 : 16) + 64 * MIB);
            assert_int_equal(resr_tile_auto_limit(classes[k]),
                             on_gpu((int)k) ? 4096LL * MIB : 3072LL * MIB);
        }
}

static bool within(const ResrNetSpec *spec, const char *class, int width, int height,
                   ResrTileSize tile)
{
    ResrTilePlan plan;
    int width_px, height_px;
    assert_int_equal(resr_tile_plan(&plan, width, height, tile, spec->unshuffle), 0);
    resr_tile_bounds(&plan, &width_px, &height_px);
    return resr_tile_auto_bytes(spec, class, width_px, height_px) <= resr_tile_auto_limit(class);
}

/* A tile that is cut lies on the step and is as small as its number of tiles permits. */
static void check_even(int frame_px, int tile_px, int tiles, int step)
{
    assert_true(tile_px >= 1 && tile_px <= frame_px);
    if (tiles == 1) {
        assert_int_equal(tile_px, frame_px);
        return;
    }
    assert_int_equal(tile_px % step, 0);
    assert_int_equal(step % 2, 0); /* chroma */
    assert_true(tile_px >= RESR_TILE_PX);
    assert_true((int64_t)(tile_px - step) * tiles < frame_px);
}

/* Returns the number of tiles. */
static int check_tiles(const ResrNetSpec *spec, const char *class, int width, int height, int pad)
{
    int step = resr_tile_auto_step(spec), multiple = spec->unshuffle;
    ResrTileSize tile = resr_tile_auto(spec, class, width, height, pad);
    ResrTilePlan plan;
    assert_int_equal(tile.pad_px, pad);
    assert_int_equal(resr_tile_plan(&plan, width, height, tile, multiple), 0);
    check_even(width, tile.width_px, plan.columns, step);
    check_even(height, tile.height_px, plan.rows, step);
    assert_true(within(spec, class, width, height, tile));
    for (int i = 0; i < plan.columns * plan.rows; i++) {
        ResrTile at = resr_tile_at(&plan, i);
        bool right = at.x_px + at.width_px == width, bottom = at.y_px + at.height_px == height;
        assert_int_equal(at.x_px - at.in_x_px, at.x_px > 0 ? resr_min(pad, at.x_px) : 0);
        assert_true(!right || at.in_x_px + at.in_width_px == width);
        assert_true(!bottom || at.in_y_px + at.in_height_px == height);
    }
    /* One row less is too much, and so is any number of rows in fewer columns. */
    for (int columns = 1; columns <= plan.columns; columns++)
        for (int rows = 1; columns < plan.columns || rows < plan.rows; rows++) {
            ResrTileSize larger = {((width - 1) / columns / step + 1) * step,
                                   ((height - 1) / rows / step + 1) * step, pad};
            if (rows > 1 && larger.height_px < RESR_TILE_PX)
                break;
            if (columns < plan.columns || larger.height_px > tile.height_px)
                assert_false(within(spec, class, width, height, larger));
        }
    return plan.columns * plan.rows;
}

static void properties(void **state)
{
    static const int sizes[][2] = {{1, 1},       {3, 2},       {640, 360},   {1920, 1080},
                                   {1921, 1083}, {2560, 1440}, {3840, 2160}, {4096, 2160},
                                   {2160, 3840}, {7680, 4320}, {7681, 4319}, {32768, 32},
                                   {32, 32768},  {16384, 700}};
    static const int pads[] = {0, 16, 36, 64};
    (void)state;
    for (int n = 0; n < NETWORKS; n++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            for (size_t p = 0; p < sizeof pads / sizeof *pads; p++) {
                const ResrNetSpec *spec = &networks[n].spec;
                int unit = spec->unshuffle, tiles[2];
                int width = (sizes[i][0] + unit - 1) / unit * unit;
                int height = (sizes[i][1] + unit - 1) / unit * unit;
                tiles[0] = check_tiles(spec, "fp32", width, height, pads[p]);
                tiles[1] = check_tiles(spec, "fp16-sm90", width, height, pads[p]);
                assert_true(width * (double)height > 2.08e6 || (tiles[0] == 1 && tiles[1] == 1));
            }
}

/* Every class of a processor gives the same tiles. */
static void classes_agree(void **state)
{
    const ResrNetSpec *spec = &networks[0].spec;
    (void)state;
    ResrTileSize cpu = resr_tile_auto(spec, "exact", 7680, 4320, 36);
    ResrTileSize gpu = resr_tile_auto(spec, "mma-sm80", 7680, 4320, 36);
    assert_true(cpu.width_px == 7680 && cpu.height_px == 312);
    assert_true(gpu.width_px == 3840 && gpu.height_px == 540);
    for (size_t k = 0; k < sizeof classes / sizeof *classes; k++) {
        ResrTileSize tile = resr_tile_auto(spec, classes[k], 7680, 4320, 36);
        assert_memory_equal(&tile, on_gpu((int)k) ? &gpu : &cpu, sizeof tile);
    }
}

/* The context of the smallest tile exceeds the bound: the smallest tile all the same. */
static void no_tile_fits(void **state)
{
    (void)state;
    ResrTileSize tile = resr_tile_auto(&networks[0].spec, "fp32", 8000, 6000, 4096);
    assert_true(tile.width_px == RESR_TILE_PX && tile.height_px == RESR_TILE_PX);
    tile = resr_tile_auto(&networks[0].spec, "fp32", 32768, 200, 32768);
    assert_true(tile.width_px == RESR_TILE_PX && tile.height_px == 200);
}

TEST_MAIN(estimate, properties, classes_agree, no_tile_fits)
