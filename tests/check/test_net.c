/* A frame through a network, and the rules for backends: reflection, invisible tile borders, the
 * kept part of a tile, stopping, sizes of memory. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "check_net.h"
#include "cpu/dispatch.h"

static const ResrOps *best(void)
{
    return check_backend(RESR_NUMERICS_EXACT);
}

/* Tiles with a context as wide as the receptive field give the bits of the whole frame. */
static void tiles_do_not_show(void **state)
{
    (void)state;
    ResrModel *model = check_model(check_srvgg(2, 3, 16), 1);
    int radius = resr_spec_convs(&model->spec); /* each convolution reaches a pixel farther */
    CheckImage in = check_image(37, 26);
    check_image_random(&in, 5);
    CheckRun run = {best(), 0, 0, 1, false};
    CheckImage whole = check_upscale(&run, model, &in);
    run.tile_px = 8;
    run.tile_pad_px = radius;
    CheckImage tiled = check_upscale(&run, model, &in);
    check_equal(&tiled, &whole, "context of the receptive field");
    check_image_free(&tiled);

    run.tile_pad_px = radius - 2;
    tiled = check_upscale(&run, model, &in);
    int different = 0;
    for (size_t i = 0; i < tiled.stride * (size_t)tiled.height_px; i++)
        different += tiled.plane[0][i] != whole.plane[0][i] && tiled.plane[0][i] >= 0;
    assert_true(different > 0);
    check_image_free(&tiled);
    check_image_free(&whole);
    check_image_free(&in);
    resr_model_free(model);
}

/* With pixel unshuffle, an odd frame is upscaled like this frame extended by reflection. */
static void reflects_odd_frames(void **state)
{
    (void)state;
    const int shapes[][2] = {{1, 4}, {2, 2}, {1, 2}, {4, 2}, {2, 4}}; /* scale, unshuffle */
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
        int multiple = shapes[s][1];
        ResrModel *model = check_model(check_rrdb_shape(shapes[s][0], multiple, 1, 8, 4), 1);
        CheckImage in = check_image(13, 7), extended = check_image(16, 8);
        check_image_random(&in, 5);
        extended.width_px = (13 + multiple - 1) / multiple * multiple;
        for (int c = 0; c < 3; c++)
            for (int y = 0; y < 8; y++)
                for (int x = 0; x < extended.width_px; x++) {
                    int from_x = x < 13 ? x : 24 - x, from_y = y < 7 ? y : 12 - y;
                    extended.plane[c][(size_t)y * extended.stride + (size_t)x] =
                        in.plane[c][(size_t)from_y * in.stride + (size_t)from_x];
                }
        CheckImage copy = check_image(extended.width_px, 8);
        for (int c = 0; c < 3; c++)
            for (int y = 0; y < 8; y++)
                for (int x = 0; x < extended.width_px; x++)
                    copy.plane[c][(size_t)y * copy.stride + (size_t)x] =
                        extended.plane[c][(size_t)y * extended.stride + (size_t)x];
        CheckRun run = {best(), 0, 0, 1, false};
        CheckImage expected = check_upscale(&run, model, &copy);
        CheckImage got = check_upscale(&run, model, &in);
        expected.width_px = got.width_px;
        expected.height_px = got.height_px;
        check_equal(&got, &expected, "reflected");
        check_image_free(&expected);
        check_image_free(&got);
        check_image_free(&copy);
        check_image_free(&extended);
        check_image_free(&in);
        resr_model_free(model);
    }
}

/* The kept part of a tile has the same bits as without a kept part. */
static void compare_kept(const ResrOps *ops, const ResrModel *model)
{
    const ResrNetSpec *spec = &model->spec;
    int scale = spec->scale, unshuffle = spec->unshuffle;
    CheckImage in = check_image(unshuffle < 4 ? 46 : 48, unshuffle < 4 ? 38 : 40);
    check_image_random(&in, 9);
    void *packed, *ctx;
    assert_int_equal(ops->prepare(ops, &packed, model), 0);
    assert_int_equal(ops->ctx_create(&ctx, packed, in.width_px, in.height_px, 2), 0);
    CheckImage whole = check_image(20 * scale, 12 * scale);
    CheckImage kept = check_image(20 * scale, 12 * scale);
    ResrTileIn keep = {.keep_x_px = 14 / unshuffle * unshuffle,
                       .keep_y_px = 16,
                       .keep_width_px = 20,
                       .keep_height_px = 12};
    int crop_x = keep.keep_x_px * scale, crop_y = keep.keep_y_px * scale;
    check_forward(ops, ctx, spec, &in, (ResrTileIn){0}, &whole, crop_x, crop_y);
    check_forward(ops, ctx, spec, &in, keep, &kept, crop_x, crop_y);
    check_equal(&kept, &whole, resr_ops_class(ops));
    check_image_free(&whole);
    check_image_free(&kept);
    check_image_free(&in);
    ops->ctx_free(ctx);
    ops->release(packed);
}

static void keep_changes_nothing(void **state)
{
    (void)state;
    const ResrNetSpec specs[] = {
        check_rrdb(4, 1, 16, 8),
        check_srvgg(4, 5, 16),
        check_rrdb(2, 1, 8, 4),
        check_rrdb_shape(1, 1, 1, 8, 4),
        check_rrdb_shape(1, 2, 1, 8, 4),
        check_rrdb_shape(2, 4, 1, 8, 4),
        check_rrdb_shape(8, 1, 1, 16, 16),
        check_span(2, 3, 16),
        check_span(3, 1, 24),
    };
    for (size_t s = 0; s < sizeof specs / sizeof specs[0]; s++) {
        ResrModel *model = check_model(specs[s], 1);
        for (int i = 1; resr_cpu_ops(i); i++)
            if (resr_cpu_can_run(resr_cpu_ops(i), ~0u))
                compare_kept(resr_cpu_ops(i), model);
        resr_model_free(model);
    }
}

static void stops_between_tiles(void **state)
{
    (void)state;
    atomic_bool stop = true;
    ResrNet *net;
    ResrModel *model = check_model(check_srvgg(2, 1, 8), 1);
    CheckImage in = check_image(12, 12), out = check_image(24, 24);
    check_image_random(&in, 5);
    const float *const planes[4] = {in.plane[0], in.plane[1], in.plane[2]};
    assert_int_equal(resr_net_create(&net, best(), model, 12, 12, resr_tile_square(4, 1), 1), 0);
    assert_int_equal(resr_net_upscale(net, out.plane, out.stride, planes, in.stride, &stop),
                     RESR_ERR_STOPPED);
    stop = false;
    assert_int_equal(resr_net_upscale(net, out.plane, out.stride, planes, in.stride, &stop), 0);
    resr_net_free(net);
    check_image_free(&in);
    check_image_free(&out);
    resr_model_free(model);
}

static void refuses_sizes(void **state)
{
    (void)state;
    ResrNet *net;
    ResrModel *model = check_model(check_rrdb(2, 1, 8, 4), 1);
    assert_int_equal(resr_net_create(&net, best(), model, 12, 12, resr_tile_square(5, 2), 1),
                     RESR_ERR_USAGE);
    assert_null(net);
    assert_int_equal(resr_net_create(&net, best(), model, 0, 12, resr_tile_square(4, 2), 1),
                     RESR_ERR_USAGE);
    assert_null(net);
    resr_net_free(NULL);
    resr_model_free(model);
}

/* Without memory for the whole frame the message names the largest tile that fits. */
static void names_the_tile_that_fits(void **state)
{
    enum { WIDTH = 500, HEIGHT = 260, PAD = 8 };
    (void)state;
    ResrNet *net;
    ResrModel *model = check_model(check_srvgg(2, 1, 16), 1);
    const ResrTileSize sizes[] = {{0, 0, PAD}, {0, 80, PAD}};
    const int64_t planes = WIDTH * HEIGHT * (1 + 4) * 3 * sizeof(float);
    int64_t low = 0, high = (int64_t)1 << 62; /* the machine's memory lies between */
    while (high - low > 1)
        if (resr_memory_fits(low + (high - low) / 2))
            low += (high - low) / 2;
        else
            high = low + (high - low) / 2;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int side = 0;
        resr_memory_expect(0, 0);
        assert_int_equal(resr_net_create(&net, best(), model, WIDTH, HEIGHT, sizes[i], 1), 0);
        int64_t bytes = planes + (int64_t)resr_net_workspace_bytes(net);
        resr_net_free(net);
        resr_memory_expect(0, low - bytes); /* exactly enough */
        assert_int_equal(resr_net_create(&net, best(), model, WIDTH, HEIGHT, sizes[i], 1), 0);
        resr_net_free(net);
        resr_memory_expect(0, low - bytes + 1);
        assert_int_equal(resr_net_create(&net, best(), model, WIDTH, HEIGHT, sizes[i], 1),
                         RESR_ERR_DEVICE);
        const char *advice = strstr(resr_error_text(), "-t ");
        assert_non_null(advice);
        assert_int_equal(sscanf(advice, "-t %d fits", &side), 1);
        for (int more = 0; more <= 16; more += 16) {
            ResrTileSize tile = resr_tile_square(side + more, PAD);
            int ret = resr_net_create(&net, best(), model, WIDTH, HEIGHT, tile, 1);
            assert_int_equal(ret, more ? RESR_ERR_DEVICE : 0);
            resr_net_free(net);
        }
    }
    resr_memory_expect(0, low); /* nothing fits */
    assert_int_equal(resr_net_create(&net, best(), model, WIDTH, HEIGHT, sizes[0], 1),
                     RESR_ERR_DEVICE);
    assert_null(strstr(resr_error_text(), "-t "));
    resr_memory_expect(0, 0);
    resr_model_free(model);
}

/* A tile of 256 px with its context fits the memory of a small rank. */
static void workspace_is_bounded(void **state)
{
    (void)state;
    ResrModel *model = check_model(check_rrdb(4, 1, 64, 32), 1);
    for (int i = 1; resr_cpu_ops(i); i++) {
        const ResrOps *ops = resr_cpu_ops(i);
        void *packed;
        assert_int_equal(ops->prepare(ops, &packed, model), 0);
        assert_true(ops->workspace_bytes(packed, 324, 324, 2) < (size_t)1 << 29);
        ops->release(packed);
    }
    resr_model_free(model);
}

TEST_MAIN(tiles_do_not_show, reflects_odd_frames, keep_changes_nothing, stops_between_tiles,
          refuses_sizes, names_the_tile_that_fits, workspace_is_bounded)
