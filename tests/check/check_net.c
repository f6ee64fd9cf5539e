#include "check_net.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/dispatch.h"

/* Floats before, between and after rows; odd, so that rows are not aligned. */
enum { GUARD = 5 };

static float guard_value(void)
{
    return NAN;
}

CheckImage check_image_of(int width_px, int height_px, int planes)
{
    CheckImage image = {.width_px = width_px, .height_px = height_px, .planes = planes};
    image.stride = (size_t)width_px + GUARD;
    size_t plane = image.stride * (size_t)height_px + GUARD;
    image.floats = (size_t)planes * plane + GUARD;
    image.memory = malloc(image.floats * sizeof(float));
    assert_non_null(image.memory);
    for (size_t i = 0; i < image.floats; i++)
        image.memory[i] = guard_value();
    for (size_t c = 0; c < (size_t)planes; c++)
        image.plane[c] = image.memory + c * plane + GUARD;
    return image;
}

CheckImage check_image(int width_px, int height_px)
{
    return check_image_of(width_px, height_px, 3);
}

void check_image_free(CheckImage *image)
{
    free(image->memory);
    image->memory = NULL;
}

void check_image_random(CheckImage *image, uint64_t seed)
{
    for (int c = 0; c < image->planes; c++)
        for (int y = 0; y < image->height_px; y++)
            resr_random_fill(image->plane[c] + (size_t)y * image->stride, (size_t)image->width_px,
                             seed + (uint64_t)(c * image->height_px + y));
}

static bool is_pixel(const CheckImage *image, size_t index)
{
    for (int c = 0; c < image->planes; c++) {
        size_t first = (size_t)(image->plane[c] - image->memory);
        size_t size = image->stride * (size_t)image->height_px;
        if (index >= first && index < first + size)
            return (index - first) % image->stride < (size_t)image->width_px;
    }
    return false;
}

void check_guards(const CheckImage *image)
{
    float guard = guard_value();
    for (size_t i = 0; i < image->floats; i++)
        if (!is_pixel(image, i) && memcmp(&image->memory[i], &guard, sizeof guard) != 0)
            fail_msg("float %zu beside the image's pixels was written", i);
}

void check_equal(const CheckImage *got, const CheckImage *expected, const char *what)
{
    assert_int_equal(got->width_px, expected->width_px);
    assert_int_equal(got->height_px, expected->height_px);
    if (got->not_finite != expected->not_finite)
        fail_msg("%s: only %s overflowed", what, got->not_finite ? "the first" : "the second");
    for (int c = 0; c < got->planes; c++)
        for (int y = 0; y < got->height_px; y++)
            for (int x = 0; x < got->width_px; x++) {
                float a = got->plane[c][(size_t)y * got->stride + (size_t)x];
                float b = expected->plane[c][(size_t)y * expected->stride + (size_t)x];
                if (memcmp(&a, &b, sizeof a) != 0)
                    fail_msg("%s: plane %d, x %d, y %d: %.9g instead of %.9g", what, c, x, y,
                             (double)a, (double)b);
            }
}

void check_close(const CheckImage *got, const CheckImage *expected, double limit, const char *what)
{
    double sum = 0, squares = 0, error = 0,
           count = (double)got->planes * got->width_px * got->height_px;
    for (int c = 0; c < got->planes; c++)
        for (int y = 0; y < got->height_px; y++)
            for (int x = 0; x < got->width_px; x++) {
                double a = got->plane[c][(size_t)y * got->stride + (size_t)x];
                double b = expected->plane[c][(size_t)y * expected->stride + (size_t)x];
                sum += b;
                squares += b * b;
                error += (a - b) * (a - b);
            }
    double deviation = sqrt(squares / count - sum * sum / (count * count));
    if (!(sqrt(error / count) <= limit * deviation)) /* a NaN fails too */
        fail_msg("%s: relative error %.2g, more than %.2g", what, sqrt(error / count) / deviation,
                 limit);
}

double check_inside(const CheckImage *image)
{
    size_t inside = 0;
    for (int c = 0; c < image->planes; c++)
        for (int y = 0; y < image->height_px; y++)
            for (int x = 0; x < image->width_px; x++) {
                float value = image->plane[c][(size_t)y * image->stride + (size_t)x];
                inside += value > 0.0f && value < 1.0f;
            }
    return (double)inside / ((double)image->planes * image->width_px * image->height_px);
}

int check_share(void)
{
    const char *share = getenv("RESR_TEST_SHARE");
    int every = share ? atoi(share) : 1;
    assert_true(every >= 1);
    return every;
}

const ResrOps *check_backend(ResrNumerics numerics)
{
    const ResrOps *last = NULL;
    for (int i = 0; resr_cpu_ops(i); i++)
        if (resr_cpu_ops(i)->numerics == numerics && resr_cpu_can_run(resr_cpu_ops(i), ~0u))
            last = resr_cpu_ops(i);
    return last;
}

ResrNetSpec check_rrdb_shape(int scale, int unshuffle, int num_blocks, int nf, int gc)
{
    return (ResrNetSpec){RESR_ARCH_RRDB, scale, unshuffle, num_blocks, nf, gc, 3, 0, 1};
}

ResrNetSpec check_rrdb(int scale, int num_blocks, int nf, int gc)
{
    return check_rrdb_shape(scale, 4 / scale, num_blocks, nf, gc);
}

ResrNetSpec check_srvgg(int scale, int num_blocks, int nf)
{
    return (ResrNetSpec){RESR_ARCH_SRVGG, scale, 1, num_blocks, nf, 0, 3, 0, 1};
}

ResrNetSpec check_span(int scale, int num_blocks, int nf)
{
    return (ResrNetSpec){RESR_ARCH_SPAN, scale, 1, num_blocks, nf, 0, 3, 1, 1};
}

CheckImage check_upscale(const CheckRun *run, const ResrModel *model, const CheckImage *in)
{
    ResrNet *net;
    const float *const planes[4] = {in->plane[0], in->plane[1], in->plane[2], in->plane[3]};
    CheckImage out = check_image_of(in->width_px * model->spec.scale,
                                    in->height_px * model->spec.scale, in->planes);
    assert_int_equal(resr_net_create(&net, run->ops, model, in->width_px, in->height_px,
                                     resr_tile_square(run->tile_px, run->tile_pad_px),
                                     run->threads),
                     0);
    int ret = resr_net_upscale(net, out.plane, out.stride, planes, in->stride, NULL);
    out.not_finite = run->may_overflow && ret == RESR_ERR_DATA;
    assert_int_equal(ret, out.not_finite ? RESR_ERR_DATA : 0);
    resr_net_free(net);
    check_guards(in);
    check_guards(&out);
    return out;
}

ResrModel *check_model(ResrNetSpec spec, uint64_t seed)
{
    ResrModel *model;
    assert_int_equal(resr_random_model(&model, &spec, seed, 1.4), 0);
    ResrConv *last = &model->convs[model->n_convs - 1];
    for (int i = 0; i < last->cout; i++)
        last->bias[i] = spec.arch != RESR_ARCH_SRVGG ? 0.5f : 0.0f;
    ResrConv *first = &model->convs[0]; /* trained networks undo the factor 255 in it */
    for (size_t i = 0; spec.normalise && i < resr_conv_weights(first); i++)
        first->weight[i] *= 0x1p-7f;

    /* Trained networks bring the normalised input, up to 143, back to usual magnitudes at once. */
    for (size_t i = 0; spec.normalise && i < resr_conv_weights(&model->convs[0]); i++)
        model->convs[0].weight[i] /= 64;

    CheckRun run = {resr_cpu_ops(0), 0, 0, 1, false};
    CheckImage in = check_image_of(8, 8, spec.channels == 4 ? 4 : 3);
    check_image_random(&in, seed);
    for (double inside = 0; inside < 0.7;) {
        CheckImage out = check_upscale(&run, model, &in);
        inside = check_inside(&out);
        check_image_free(&out);
        for (int i = 0; inside < 0.7 && i < last->cout * last->cin * 9; i++)
            last->weight[i] *= 0.5f;
    }
    check_image_free(&in);
    return model;
}

/* Whether upscaling with `model` reports an overflow; the message must name the network. */
static bool overflows(const ResrOps *ops, const ResrModel *model, int tile_px)
{
    CheckRun run = {ops, tile_px, 2 * (tile_px > 0), 2, true};
    CheckImage in = check_image(12, 8);
    check_image_random(&in, 3);
    CheckImage out = check_upscale(&run, model, &in);
    if (out.not_finite) {
        assert_non_null(strstr(resr_error_text(), "infinite values or NaN"));
        assert_non_null(strstr(resr_error_text(), model->name));
    }
    check_image_free(&in);
    check_image_free(&out);
    return out.not_finite;
}

static void overflow_of_channels(const ResrOps *ops, ResrNetSpec spec)
{
    const float values[] = {INFINITY, -INFINITY, NAN};
    ResrModel *model = check_model(spec, 7);
    ResrConv *last = &model->convs[model->n_convs - 1];
    for (int i = 0; i < last->cout; i++) {
        float bias = last->bias[i];
        last->bias[i] = values[i % 3];
        if (!overflows(ops, model, 4 * (i % 2)))
            fail_msg("%s: channel %d of %d: overflow not reported", ops->name, i, last->cout);
        last->bias[i] = i % 2 ? FLT_MAX : -FLT_MAX;
        if (overflows(ops, model, 0))
            fail_msg("%s: channel %d of %d: overflow reported", ops->name, i, last->cout);
        last->bias[i] = bias;
    }
    resr_model_free(model);
}

void check_overflow(const ResrOps *ops)
{
    const ResrNetSpec specs[] = {
        check_rrdb(4, 1, 16, 8), check_rrdb(2, 1, 8, 4), check_rrdb_shape(1, 1, 1, 8, 4),
        check_srvgg(2, 4, 16),   check_srvgg(3, 4, 16),  check_srvgg(4, 4, 16),
        check_span(2, 1, 16)};
    for (size_t s = 0; s < sizeof specs / sizeof *specs; s++) {
        ResrModel *model = check_model(specs[s], 7);
        snprintf(model->name, sizeof model->name, "network %zu", s);
        assert_false(overflows(ops, model, 0));
        for (size_t i = 0; i < model->arena_floats; i++)
            model->arena[i] *= 1e10f;
        if (!overflows(ops, model, 0) || !overflows(ops, model, 4))
            fail_msg("%s: network %zu: overflow not reported", ops->name, s);
        resr_model_free(model);
        overflow_of_channels(ops, specs[s]);
    }
}

void check_forward(const ResrOps *ops, void *ctx, const ResrNetSpec *spec, const CheckImage *in,
                   ResrTileIn tile, CheckImage *out, int crop_x, int crop_y)
{
    ResrTileOut tile_out = {.stride = out->stride,
                            .crop_x_px = crop_x,
                            .crop_y_px = crop_y,
                            .width_px = out->width_px,
                            .height_px = out->height_px};
    tile.stride = in->stride;
    tile.width_px = in->width_px;
    tile.height_px = in->height_px;
    for (int c = 0; c < 3; c++) {
        tile.plane[c] = in->plane[c];
        tile_out.plane[c] = out->plane[c];
    }
    assert_int_equal(ops->head(ctx, &tile), 0);
    if (resr_spec_is_rrdb(spec)) {
        for (int i = 0; i < 3 * spec->num_blocks; i++)
            assert_int_equal(ops->dense_block(ctx, i / 3, i % 3, i % 3 == 2), 0);
        assert_int_equal(ops->body_end(ctx), 0);
        for (int i = 0; i < resr_spec_enlargements(spec); i++)
            assert_int_equal(ops->upsample(ctx, i), 0);
    } else if (spec->arch == RESR_ARCH_SRVGG) {
        assert_int_equal(ops->compact_body(ctx), 0);
    } else {
        for (int i = 0; i < spec->num_blocks; i++)
            assert_int_equal(ops->attention_block(ctx, i), 0);
        assert_int_equal(ops->attention_end(ctx), 0);
    }
    assert_int_equal(ops->tail(ctx, &tile_out), 0);
    assert_int_equal(ops->wait(ctx, NULL), 0);
    check_guards(out);
}
