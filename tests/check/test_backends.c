/* Every backend that this machine can run, in every numerics class, against the scalar reference,
 * for all shapes of network, sizes, thread counts and inputs. Class `exact`: the same bits; the
 * others: close, and the same bits within the class. */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "check_net.h"
#include "cpu/dispatch.h"

/* Compares one backend with 1 to 3 threads: in class `exact` with the reference; in another class
 * with *first, the result of the class's first backend, which is set if it is empty. */
static void compare_backend(const ResrOps *ops, const ResrModel *model, const CheckImage *in,
                            CheckRun run, const CheckImage *expected, CheckImage *first,
                            bool values)
{
    bool exact = ops->numerics == RESR_NUMERICS_EXACT;
    run.ops = ops;
    for (run.threads = 1; run.threads <= 3; run.threads++) {
        const ResrNetSpec *spec = &model->spec;
        char what[200];
        snprintf(what, sizeof what,
                 "%s of class %s, %d threads, arch %d, scale %d, unshuffle %d, blocks %d, nf %d, "
                 "gc %d, %d x %d, tile %d",
                 ops->name, resr_ops_class(ops), run.threads, spec->arch, spec->scale,
                 spec->unshuffle, spec->num_blocks, spec->nf, spec->gc, in->width_px, in->height_px,
                 run.tile_px);
        CheckImage got = check_upscale(&run, model, in);
        if (exact)
            check_equal(&got, expected, what);
        else if (first->memory)
            check_equal(&got, first, what);
        else if (values &&
                 in->width_px * in->height_px >= 16) /* statistics of a few values mean little */
            check_close(&got, expected, resr_numerics(ops->numerics)->tolerance, what);
        if (exact || first->memory) {
            check_image_free(&got);
        } else {
            *first = got;
        }
    }
}

/* Compares all backends on one input. `values`: the input is finite and of usual magnitude. */
static void compare(ResrNetSpec spec, const CheckImage *in, int tile_px, int tile_pad_px,
                    double least_inside, bool values)
{
    ResrModel *model = check_model(spec, 7);
    CheckRun run = {resr_cpu_ops(0), tile_px, tile_pad_px, 2, !values};
    CheckImage expected = check_upscale(&run, model, in), first = {0};
    double inside = check_inside(&expected);
    if (inside < least_inside)
        fail_msg("arch %d, scale %d, channels %d: only %.0f %% of the reference's values are not "
                 "clamped",
                 spec.arch, spec.scale, spec.channels, inside * 100);
    ResrNumerics numerics = RESR_NUMERICS_EXACT;
    for (int i = 1; resr_cpu_ops(i); i++) {
        const ResrOps *ops = resr_cpu_ops(i);
        if (!resr_cpu_can_run(ops, ~0u))
            continue;
        if (numerics != ops->numerics)
            check_image_free(&first);
        numerics = ops->numerics;
        compare_backend(ops, model, in, run, &expected, &first, values);
    }
    check_image_free(&first);
    check_image_free(&expected);
    resr_model_free(model);
}

static void compare_random(ResrNetSpec spec, int width_px, int height_px, int tile_px,
                           int tile_pad_px)
{
    CheckImage in = check_image_of(width_px, height_px, spec.channels == 4 ? 4 : 3);
    check_image_random(&in, 3);
    compare(spec, &in, tile_px, tile_pad_px, 0.5, true);
    check_image_free(&in);
}

/* Widths 1..40, each with some height of 1..40. */
static void all_sizes(ResrNetSpec spec)
{
    for (int width = 1; width <= 40; width += check_share())
        compare_random(spec, width, width * 7 % 41 + (width * 7 % 41 == 0), 0, 0);
}

static void rrdb_sizes(void **state)
{
    (void)state;
    all_sizes(check_rrdb(4, 1, 8, 4));
}

static void rrdb_unshuffle_2_sizes(void **state)
{
    (void)state;
    all_sizes(check_rrdb(2, 1, 16, 8));
}

static void rrdb_unshuffle_4_sizes(void **state)
{
    (void)state;
    all_sizes(check_rrdb(1, 1, 8, 4));
}

static void srvgg_sizes(void **state)
{
    (void)state;
    for (int scale = 1; scale <= 4; scale++)
        all_sizes(check_srvgg(scale, 2, 16));
}

/* Channel counts that fill vectors and blocks partly. */
static void channel_counts(void **state)
{
    (void)state;
    for (int nf = 1; nf <= 50; nf += nf < 20 ? 1 : 5) {
        compare_random(check_srvgg(1 + nf % 4, 1, nf), 17, 5, 0, 0);
        compare_random(check_rrdb(4, 1, nf, 1 + nf * 5 % 33), 15, 6, 0, 0);
    }
}

static void real_channel_counts(void **state)
{
    (void)state;
    compare_random(check_rrdb(4, 1, 64, 32), 31, 23, 0, 0);
    compare_random(check_rrdb(4, 2, 64, 32), 16, 40, 0, 0);
    compare_random(check_rrdb(2, 1, 64, 32), 29, 30, 0, 0);
    for (int scale = 1; scale <= 5; scale++) {
        compare_random(check_srvgg(scale, 3, 64), 33, 21, 0, 0);
        compare_random(check_srvgg(scale, 0, 64), 14, 3, 0, 0);
    }
}

/* Features and growth channels of networks that people share. */
static void shared_channel_counts(void **state)
{
    (void)state;
    static const int counts[][2] = {{24, 16}, {32, 16}, {32, 32}, {48, 24},
                                    {64, 64}, {96, 16}, {128, 32}};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        int nf = counts[i][0], gc = counts[i][1];
        compare_random(check_rrdb_shape(1, 2, 1, nf, gc), 11, 7, 0, 0);
        compare_random(check_srvgg(1 + (int)i % 4, 2, nf), 11, 7, 0, 0);
    }
}

/* RRDB networks with 0, 1 and 3 enlargements after the body, whole and in tiles. */
static void enlargements(void **state)
{
    (void)state;
    static const int shapes[][2] = {{1, 1}, {2, 1}, {8, 1}, {1, 2}, {4, 2}, {2, 4}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        int scale = shapes[i][0], unshuffle = shapes[i][1], nf = scale < 8 ? 64 : 32;
        for (int width = 1; width <= 28; width += 3 * check_share())
            compare_random(check_rrdb_shape(scale, unshuffle, 1, 8, 4), width, width * 7 % 29 + 1,
                           0, 0);
        compare_random(check_rrdb_shape(scale, unshuffle, 1, 16, 8), 15, 9, 8, 4);
        compare_random(check_rrdb_shape(scale, unshuffle, 1, nf, nf / 2), 2 * unshuffle, 3, 0, 0);
    }
}

static void span(void **state)
{
    (void)state;
    for (int width = 1; width <= 40; width += 3 * check_share())
        compare_random(check_span(1 + width % 4, 2, 16), width, width * 7 % 41 + 1, 0, 0);
    static const int features[] = {5, 24, 48, 52, 64};
    for (size_t i = 0; i < sizeof features / sizeof *features; i++)
        compare_random(check_span(4, 1 + (int)i, features[i]), 33, 21, 0, 0);
    compare_random(check_span(2, 6, 48), 29, 30, 0, 0);
    compare_random(check_span(2, 3, 16), 41, 37, 16, 10);
}

/* Gray pictures, and pictures with alpha. */
static void channels(void **state)
{
    (void)state;
    static const int numbers[] = {1, 4};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        ResrNetSpec specs[] = {check_rrdb(4, 1, 16, 8), check_rrdb(2, 1, 16, 8),
                               check_rrdb(1, 1, 16, 8), check_srvgg(3, 2, 16),
                               check_srvgg(1, 2, 16),   check_span(2, 2, 16)};
        for (size_t s = 0; s < sizeof specs / sizeof *specs; s++) {
            specs[s].channels = numbers[i];
            specs[s].normalise = 0;
            CheckImage in = check_image_of(21, 14, numbers[i] == 4 ? 4 : 3);
            check_image_random(&in, 3);
            compare(specs[s], &in, 0, 0, 0.3, true);
            compare(specs[s], &in, 8, 4, 0.3, true);
            check_image_free(&in);
        }
    }
}

static void tiles(void **state)
{
    (void)state;
    compare_random(check_rrdb(4, 1, 16, 8), 41, 37, 16, 3);
    compare_random(check_rrdb(4, 3, 8, 4), 61, 20, 16, 7);
    compare_random(check_rrdb(2, 1, 16, 8), 45, 31, 16, 6);
    compare_random(check_rrdb(1, 1, 16, 8), 45, 31, 16, 4);
    compare_random(check_srvgg(4, 4, 16), 41, 37, 16, 10);
    compare_random(check_srvgg(3, 2, 16), 25, 52, 9, 1);
    compare_random(check_srvgg(2, 2, 16), 20, 20, 6, 30);
}

static void extreme_input(void **state)
{
    (void)state;
    const float extreme[] = {INFINITY, -INFINITY, NAN,   3e38f,  -3e38f, 1e-45f,
                             -1e-45f,  0.0f,      -0.0f, 1e-38f, 1.0f,   1e20f};
    const ResrNetSpec specs[] = {check_rrdb(4, 1, 16, 8), check_rrdb(2, 1, 16, 8),
                                 check_srvgg(4, 2, 16), check_span(2, 1, 16)};
    for (size_t s = 0; s < sizeof specs / sizeof specs[0]; s++)
        for (size_t i = 0; i < sizeof extreme / sizeof extreme[0]; i++) {
            CheckImage in = check_image(30, 14);
            check_image_random(&in, i);
            in.plane[i % 3][(i % 14) * in.stride + i * 2] = extreme[i];
            compare(specs[s], &in, 0, 0, 0.0, false);
            check_image_free(&in);
        }
}

/* Frames of one value, whose sums are all equal or overflow. */
static void constant_input(void **state)
{
    (void)state;
    const float values[] = {0.0f, -0.0f, 1.0f, 3e38f, -INFINITY, NAN, 1e-42f};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        CheckImage in = check_image(19, 9);
        for (int c = 0; c < 3; c++)
            for (int y = 0; y < 9; y++)
                for (int x = 0; x < 19; x++)
                    in.plane[c][(size_t)y * in.stride + (size_t)x] = values[i];
        compare(check_rrdb(4, 1, 8, 4), &in, 0, 0, 0.0, false);
        compare(check_srvgg(2, 2, 16), &in, 0, 0, 0.0, false);
        compare(check_span(2, 2, 16), &in, 0, 0, 0.0, false);
        check_image_free(&in);
    }
}

static void overflow_is_reported(void **state)
{
    (void)state;
    for (int i = 0; resr_cpu_ops(i); i++)
        if (resr_cpu_can_run(resr_cpu_ops(i), ~0u))
            check_overflow(resr_cpu_ops(i));
}

TEST_MAIN(rrdb_sizes, rrdb_unshuffle_2_sizes, rrdb_unshuffle_4_sizes, srvgg_sizes, channel_counts,
          real_channel_counts, shared_channel_counts, enlargements, span, channels, tiles,
          extreme_input, constant_input, overflow_is_reported)
