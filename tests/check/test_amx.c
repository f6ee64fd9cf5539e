/* The AMX kernels with tiles emulated in plain C (cpu/x86/amx_tile.h), on every machine: close to
 * the scalar reference, closer to class bf16-avx512 if it can run, and the bits of real tiles if
 * the CPU has them. */
#include <math.h>
#include <stdio.h>

#include "check_net.h"
#include "cpu/backends.h"
#include "cpu/dispatch.h"
#include "cpu/x86/amx_tile.h"

/* Networks and sizes with partly filled cells, tiles and strips. */
typedef struct Case {
    ResrNetSpec spec;
    int width_px, height_px;
} Case;

static const Case deep[] = {
    {{RESR_ARCH_RRDB, 4, 1, 1, 64, 32, 3, 0, 1}, 9, 7},
    {{RESR_ARCH_RRDB, 4, 1, 1, 24, 12, 3, 0, 1}, 21, 5},
    {{RESR_ARCH_RRDB, 2, 2, 1, 16, 40, 3, 0, 1}, 18, 22},
    {{RESR_ARCH_RRDB, 1, 4, 1, 8, 4, 3, 0, 1}, 44, 12},
    {{RESR_ARCH_RRDB, 1, 1, 1, 32, 16, 3, 0, 1}, 19, 11},
    {{RESR_ARCH_RRDB, 8, 1, 1, 16, 8, 3, 0, 1}, 9, 6},
    {{RESR_ARCH_SRVGG, 2, 1, 2, 48, 0, 3, 0, 1}, 70, 3},
    {{RESR_ARCH_SRVGG, 4, 1, 3, 16, 0, 3, 0, 1}, 33, 17},
    {{RESR_ARCH_SRVGG, 3, 1, 1, 64, 0, 3, 0, 1}, 1, 1},
    {{RESR_ARCH_SRVGG, 4, 1, 6, 20, 0, 3, 0, 1}, 2, 40},
    {{RESR_ARCH_SPAN, 2, 1, 2, 48, 0, 3, 0, 1}, 17, 11},
};

/* One block of RRDB, whose products are F(2x2) in both. */
static const Case shallow[] = {
    {{RESR_ARCH_RRDB, 4, 1, 1, 64, 32, 3, 0, 1}, 9, 7},
    {{RESR_ARCH_RRDB, 4, 1, 1, 64, 32, 3, 0, 1}, 70, 3},
    {{RESR_ARCH_RRDB, 4, 1, 1, 24, 12, 3, 0, 1}, 33, 17},
    {{RESR_ARCH_RRDB, 2, 2, 1, 16, 40, 3, 0, 1}, 18, 22},
};

enum { N_DEEP = sizeof deep / sizeof deep[0], N_SHALLOW = sizeof shallow / sizeof shallow[0] };

static CheckImage run(const ResrOps *ops, int threads, const ResrModel *model, const CheckImage *in)
{
    CheckRun settings = {ops, 0, 0, threads, false};
    return check_upscale(&settings, model, in);
}

static void compare(const Case *cases, size_t n, const ResrOps *other, double limit)
{
    for (size_t i = 0; i < n; i++) {
        char what[80];
        ResrModel *model = check_model(cases[i].spec, 11);
        CheckImage in = check_image(cases[i].width_px, cases[i].height_px);
        check_image_random(&in, 5);
        CheckImage got = run(&resr_ops_amx_emulated, 1, model, &in);
        CheckImage expected = run(other, 1, model, &in);
        snprintf(what, sizeof what, "case %zu against %s", i, other->name);
        if (limit > 0)
            check_close(&got, &expected, limit, what);
        else
            check_equal(&got, &expected, what);
        check_image_free(&expected);
        check_image_free(&got);
        check_image_free(&in);
        resr_model_free(model);
    }
}

static void close_to_the_reference(void **state)
{
    (void)state;
    compare(deep, N_DEEP, resr_cpu_ops(0), 3e-2);
}

/* The rounded operands are the same; only the order of sums differs, and hence the rounding in the
 * next layer. */
static void closer_to_bf16_avx512(void **state)
{
    (void)state;
    if (!resr_cpu_can_run(&resr_ops_avx512_bf16emu, ~0u))
        skip();
    compare(shallow, N_SHALLOW, &resr_ops_avx512_bf16emu, 1e-3);
}

static void bits_of_real_tiles(void **state)
{
    (void)state;
    const ResrOps *real = check_backend(RESR_NUMERICS_BF16_AMX);
    if (!real)
        skip();
    compare(deep, N_DEEP, real, 0);
}

static void threads_do_not_matter(void **state)
{
    (void)state;
    ResrModel *model = check_model(check_rrdb(4, 1, 32, 16), 2);
    CheckImage in = check_image(37, 15);
    check_image_random(&in, 6);
    CheckImage expected = run(&resr_ops_amx_emulated, 1, model, &in);
    for (int threads = 2; threads <= 3; threads++) {
        CheckImage got = run(&resr_ops_amx_emulated, threads, model, &in);
        check_equal(&got, &expected, "threads");
        check_image_free(&got);
    }
    check_image_free(&expected);
    check_image_free(&in);
    resr_model_free(model);
}

static uint16_t bf16_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (uint16_t)(bits >> 16);
}

/* One value in each operand; the accumulator starts from `start`. */
static float dot(float x, float y, int k, float start)
{
    uint16_t a[AMX_ROWS][32] = {{0}}, b[AMX_ROWS][32] = {{0}};
    float c[AMX_ROWS][16] = {{start}};
    a[0][k] = bf16_bits(x);
    b[k / 2][k % 2] = bf16_bits(y);
    AMX_LOAD(0, c, AMX_ROW_BYTES);
    AMX_LOAD(1, a, AMX_ROW_BYTES);
    AMX_LOAD(2, b, AMX_ROW_BYTES);
    AMX_DOT_BF16(0, 1, 2);
    AMX_STORE(0, c, AMX_ROW_BYTES);
    return c[0][0];
}

static void dot_products(void **state)
{
    (void)state;
    for (int k = 0; k < 32; k++)
        assert_float_equal(dot(1.5f, -3, k, 0.25f), -4.25f, 0);
    assert_float_equal(dot(0x1p-130f, 0x1p100f, 3, 2), 2, 0); /* denormal operand */
    assert_float_equal(dot(0x1p-100f, 0x1p-40f, 3, 0), 0, 0); /* denormal product */
    assert_float_equal(dot(1, 1, 3, 0x1p-130f), 1, 0);        /* denormal accumulator */
    assert_true(isinf(dot(0x1p100f, 0x1p100f, 0, 0)));
    assert_true(isnan(dot(INFINITY, 0, 9, 0)));
    assert_true(isnan(dot(NAN, 1, 31, 0)));
}

static void overflow_is_reported(void **state)
{
    (void)state;
    check_overflow(&resr_ops_amx_emulated);
}

TEST_MAIN(dot_products, close_to_the_reference, closer_to_bf16_avx512, bits_of_real_tiles,
          threads_do_not_matter, overflow_is_reported)
