/* Panels (cpu/wavefront.h): the bits of a forward pass do not depend on their width, the threads,
 * or the kept part; a request to stop is seen between the steps of a pass. */
#include <stdatomic.h>
#include <stdio.h>

#include "check_net.h"
#include "cpu/backends.h"
#include "cpu/dispatch.h"
#include "cpu/forward.h"
#include "cpu/wavefront.h"

typedef struct Case {
    ResrNetSpec spec;
    int width_px, height_px;
    int keep_x_px, keep_width_px; /* width 0: the whole image */
} Case;

/* Every architecture, enlargement and unshuffle factor; widths of two to five panels, that end on
 * and off the kernels' grid; kept parts that make later layers narrower. */
static const Case cases[] = {
    {{RESR_ARCH_RRDB, 4, 1, 1, 16, 8, 3, 0, 1}, 101, 13, 0, 0},
    {{RESR_ARCH_RRDB, 4, 1, 1, 64, 32, 3, 0, 1}, 71, 6, 0, 0},
    {{RESR_ARCH_RRDB, 2, 1, 2, 24, 12, 3, 0, 1}, 65, 9, 0, 0},
    {{RESR_ARCH_RRDB, 2, 2, 1, 16, 16, 3, 0, 1}, 150, 22, 0, 0},
    {{RESR_ARCH_RRDB, 1, 1, 1, 32, 16, 3, 0, 1}, 90, 11, 0, 0},
    {{RESR_ARCH_RRDB, 1, 4, 1, 16, 8, 3, 0, 1}, 284, 12, 0, 0},
    {{RESR_ARCH_RRDB, 8, 1, 1, 16, 8, 3, 0, 1}, 70, 5, 0, 0},
    {{RESR_ARCH_RRDB, 8, 1, 1, 16, 8, 3, 0, 1}, 131, 3, 9, 37},
    {{RESR_ARCH_RRDB, 4, 1, 1, 32, 16, 3, 0, 1}, 158, 10, 36, 91},
    {{RESR_ARCH_RRDB, 4, 1, 1, 16, 8, 3, 0, 1}, 140, 7, 60, 80},
    {{RESR_ARCH_RRDB, 4, 1, 1, 16, 8, 3, 0, 1}, 140, 7, 0, 30},
    {{RESR_ARCH_SRVGG, 4, 1, 5, 24, 0, 3, 0, 1}, 98, 9, 0, 0},
    {{RESR_ARCH_SRVGG, 2, 1, 6, 16, 0, 3, 0, 1}, 67, 30, 0, 0},
    {{RESR_ARCH_SRVGG, 3, 1, 13, 16, 0, 3, 0, 1}, 133, 5, 41, 50},
    {{RESR_ARCH_SPAN, 2, 1, 3, 48, 0, 3, 0, 1}, 97, 7, 0, 0},
    {{RESR_ARCH_SPAN, 4, 1, 6, 16, 0, 3, 0, 1}, 75, 10, 0, 0},
    {{RESR_ARCH_SPAN, 2, 1, 2, 16, 0, 3, 0, 1}, 160, 10, 50, 61},
};

static CheckImage forward(const ResrOps *ops, const void *packed, const Case *c,
                          const CheckImage *in, int panel_px, int threads)
{
    int scale = c->spec.scale, keep_px = c->keep_width_px ? c->keep_width_px : c->width_px;
    CheckImage out = check_image(keep_px * scale, c->height_px * scale);
    ResrTileIn keep = {.keep_x_px = c->keep_x_px,
                       .keep_width_px = c->keep_width_px,
                       .keep_height_px = c->height_px};
    void *ctx;
    assert_int_equal(
        resr_forward_ctx_create_panels(&ctx, packed, c->width_px, c->height_px, threads, panel_px),
        0);
    check_forward(ops, ctx, &c->spec, in, keep, &out, c->keep_x_px * scale, 0);
    ops->ctx_free(ctx);
    return out;
}

/* Every `step`th case. */
static void compare_widths(const ResrOps *ops, size_t step)
{
    static const int panels_px[] = {RESR_MIN_PANEL_PX, 44, 64};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i += step) {
        const Case *c = &cases[i];
        ResrModel *model = check_model(c->spec, 3);
        CheckImage in = check_image(c->width_px, c->height_px);
        void *packed;
        check_image_random(&in, 5);
        assert_int_equal(ops->prepare(ops, &packed, model), 0);
        CheckImage whole = forward(ops, packed, c, &in, 1024, 1);
        for (int threads = 1; threads <= 3; threads++) {
            char what[96];
            int panel_px = panels_px[threads - 1];
            CheckImage got = forward(ops, packed, c, &in, panel_px, threads);
            snprintf(what, sizeof what, "%s, case %zu, panels of %d px, %d threads",
                     resr_ops_class(ops), i, panel_px, threads);
            check_equal(&got, &whole, what);
            check_image_free(&got);
        }
        check_image_free(&whole);
        check_image_free(&in);
        ops->release(packed);
        resr_model_free(model);
    }
}

static void width_changes_no_bit(void **state)
{
    (void)state;
    for (int i = 1; resr_cpu_ops(i); i++)
        if (resr_cpu_can_run(resr_cpu_ops(i), ~0u))
            compare_widths(resr_cpu_ops(i), (size_t)check_share());
    compare_widths(&resr_ops_amx_emulated, 4 * (size_t)check_share());
}

/* A panel of the default width is one of several, and has the memory of its width only. */
static void memory_does_not_grow_with_width(void **state)
{
    (void)state;
    ResrModel *model = check_model(check_rrdb(4, 1, 64, 32), 1);
    for (int i = 1; resr_cpu_ops(i); i++) {
        const ResrOps *ops = resr_cpu_ops(i);
        void *packed;
        assert_int_equal(ops->prepare(ops, &packed, model), 0);
        size_t narrow = ops->workspace_bytes(packed, 1024, 1080, 2);
        size_t wide = ops->workspace_bytes(packed, 2048, 1080, 2);
        size_t maps = (size_t)3 * 64 * sizeof(float) * 1024 * 1080; /* trunk, RRDB's input, head */
        assert_true(wide - narrow < maps + maps / 50);
        ops->release(packed);
    }
    resr_model_free(model);
}

/* A whole map computes each pixel once, in panels too; a kept part less, but more than itself. */
static void no_pixel_twice(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const Case *c = &cases[i];
        const ResrOps *ops = check_backend(RESR_NUMERICS_FP32);
        ops = ops ? ops : check_backend(RESR_NUMERICS_EXACT);
        int scale = c->spec.scale, keep_px = c->keep_width_px ? c->keep_width_px : c->width_px;
        double row_macs = c->height_px * resr_spec_macs_per_px(&c->spec);
        ResrModel *model = check_model(c->spec, 3);
        CheckImage in = check_image(c->width_px, c->height_px);
        CheckImage out = check_image(keep_px * scale, c->height_px * scale);
        ResrTileIn keep = {.keep_x_px = c->keep_x_px,
                           .keep_width_px = c->keep_width_px,
                           .keep_height_px = c->height_px};
        void *packed, *ctx;
        check_image_random(&in, 5);
        assert_int_equal(ops->prepare(ops, &packed, model), 0);
        assert_int_equal(resr_forward_ctx_create_panels(&ctx, packed, c->width_px, c->height_px, 2,
                                                        RESR_MIN_PANEL_PX),
                         0);
        check_forward(ops, ctx, &c->spec, &in, keep, &out, c->keep_x_px * scale, 0);
        double macs = ops->computed_macs(ctx);
        if (c->keep_width_px)
            assert_true(macs > keep_px * row_macs && macs < c->width_px * row_macs);
        else
            assert_float_equal(macs / (c->width_px * row_macs), 1, 1e-9);
        ops->ctx_free(ctx);
        ops->release(packed);
        check_image_free(&in);
        check_image_free(&out);
        resr_model_free(model);
    }
}

/* A pass that is stopped leaves a context that gives the right bits afterwards. */
static void stops_between_steps(void **state)
{
    (void)state;
    const Case *c = &cases[0];
    ResrModel *model = check_model(c->spec, 3);
    CheckImage in = check_image(c->width_px, c->height_px);
    check_image_random(&in, 5);
    for (int i = 1; resr_cpu_ops(i); i++) {
        const ResrOps *ops = resr_cpu_ops(i);
        atomic_bool stop = true;
        void *packed, *ctx;
        if (!resr_cpu_can_run(ops, ~0u))
            continue;
        assert_int_equal(ops->prepare(ops, &packed, model), 0);
        CheckImage expected = forward(ops, packed, c, &in, 1024, 1);
        CheckImage got = check_image(expected.width_px, expected.height_px);
        assert_int_equal(
            resr_forward_ctx_create_panels(&ctx, packed, c->width_px, c->height_px, 2, 32), 0);
        ResrTileIn tile = {.stride = in.stride, .width_px = c->width_px, .height_px = c->height_px};
        for (int plane = 0; plane < 3; plane++)
            tile.plane[plane] = in.plane[plane];
        assert_int_equal(ops->head(ctx, &tile), 0);
        assert_int_equal(ops->wait(ctx, &stop), RESR_ERR_STOPPED);
        check_forward(ops, ctx, &c->spec, &in, (ResrTileIn){0}, &got, 0, 0);
        check_equal(&got, &expected, "after a stop");
        check_image_free(&got);
        check_image_free(&expected);
        ops->ctx_free(ctx);
        ops->release(packed);
    }
    check_image_free(&in);
    resr_model_free(model);
}

TEST_MAIN(width_changes_no_bit, memory_does_not_grow_with_width, no_pixel_twice,
          stops_between_steps)
