/* Networks' shapes, sizes and reach, and the conversion of weights, against published figures and
 * definitions. */

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/sha256.h"
#include "model/readers.h"
#include "test_main.h"

static const ResrNetSpec x4plus = {RESR_ARCH_RRDB, 4, 1, 23, 64, 32, 3, 0, 1};
static const ResrNetSpec x2plus = {RESR_ARCH_RRDB, 2, 2, 23, 64, 32, 3, 0, 1};
static const ResrNetSpec anime_6b = {RESR_ARCH_RRDB, 4, 1, 6, 64, 32, 3, 0, 1};
static const ResrNetSpec animevideov3 = {RESR_ARCH_SRVGG, 4, 1, 16, 64, 0, 3, 0, 1};
static const ResrNetSpec span = {RESR_ARCH_SPAN, 4, 1, 6, 48, 0, 3, 1, 1};
static const ResrNetSpec esrgan_x8 = {RESR_ARCH_RRDB, 8, 1, 1, 64, 32, 3, 0, 1};
static const ResrNetSpec general = {RESR_ARCH_SRVGG, 4, 1, 32, 64, 0, 3, 0, 1};

static void test_parameters(void **state)
{
    (void)state;
    const struct {
        const ResrNetSpec *spec;
        size_t floats;
        int convs;
        double mflop_per_px; /* 2 * MAC */
    } networks[] = {
        {&x4plus, 16697987, 351, 35.85},  {&x2plus, 16703171, 351, 8.97},
        {&anime_6b, 4467779, 96, 11.41},  {&animevideov3, 621424, 18, 1.238},
        {&general, 1213296, 34, 2.418},   {&span, 426288, 22, 0.850},
        {&esrgan_x8, 907587, 22, 12.648},
    };
    for (size_t i = 0; i < sizeof networks / sizeof *networks; i++) {
        const ResrNetSpec *spec = networks[i].spec;
        ResrModel *model;
        assert_int_equal(resr_model_create(&model, spec), 0);
        assert_int_equal(model->arena_floats, networks[i].floats);
        assert_int_equal(model->n_convs, networks[i].convs);
        const ResrConv *last = &model->convs[model->n_convs - 1];
        const float *end = last->slope ? last->slope + last->cout : last->bias + last->cout;
        assert_ptr_equal(end, model->arena + model->arena_floats);
        resr_model_free(model);
        double mflop = 2e-6 * resr_spec_macs_per_px(spec);
        assert_true(fabs(mflop - networks[i].mflop_per_px) < 0.005);
    }
}

static void assert_conv(const ResrNetSpec *spec, int index, const char *name, int cout, int cin,
                        bool has_slope)
{
    ResrConvShape conv = resr_spec_conv(spec, index);
    assert_string_equal(conv.name, name);
    assert_int_equal(conv.cout, cout);
    assert_int_equal(conv.cin, cin);
    assert_int_equal(conv.has_slope, has_slope);
}

static void test_names_and_order(void **state)
{
    (void)state;
    assert_conv(&x4plus, 0, "conv_first", 64, 3, false);
    assert_conv(&x2plus, 0, "conv_first", 64, 12, false);
    assert_conv(&x4plus, 1, "body.0.rdb1.conv1", 32, 64, false);
    assert_conv(&x4plus, 5, "body.0.rdb1.conv5", 64, 192, false);
    assert_conv(&x4plus, 345, "body.22.rdb3.conv5", 64, 192, false);
    assert_conv(&x4plus, 346, "conv_body", 64, 64, false);
    assert_conv(&x4plus, 349, "conv_hr", 64, 64, false);
    assert_conv(&x4plus, 350, "conv_last", 3, 64, false);
    assert_conv(&esrgan_x8, 16, "conv_body", 64, 64, false);
    assert_conv(&esrgan_x8, 19, "conv_up3", 64, 64, false);
    assert_conv(&esrgan_x8, 20, "conv_hr", 64, 64, false);
    assert_conv(&esrgan_x8, 21, "conv_last", 3, 64, false);
    assert_conv(&span, 0, "conv_1.eval_conv", 48, 3, false);
    assert_conv(&span, 18, "block_6.c3_r.eval_conv", 48, 48, false);
    assert_conv(&span, 19, "conv_2.eval_conv", 48, 48, false);
    assert_conv(&span, 20, "conv_cat", 48, 192, false);
    assert_conv(&span, 21, "upsampler.0", 48, 48, false);
    assert_conv(&animevideov3, 0, "body.0", 64, 3, true);
    assert_conv(&animevideov3, 16, "body.32", 64, 64, true);
    assert_conv(&animevideov3, 17, "body.34", 48, 64, false);
}

static void test_impossible_networks(void **state)
{
    (void)state;
    const struct {
        ResrNetSpec spec;
        const char *words;
    } refused[] = {
        {{4, 4, 1, 23, 64, 32, 3, 0, 1}, "architecture 4"},
        {{RESR_ARCH_RRDB, 4, 1, 0, 64, 32, 3, 0, 1}, "0 blocks"},
        {{RESR_ARCH_RRDB, 4, 1, 129, 64, 32, 3, 0, 1}, "129 blocks"},
        {{RESR_ARCH_RRDB, 4, 1, 23, 0, 32, 3, 0, 1}, "0 features"},
        {{RESR_ARCH_RRDB, 4, 1, 23, 64, 0, 3, 0, 1}, "0 growth"},
        {{RESR_ARCH_RRDB, 3, 2, 23, 64, 32, 3, 0, 1}, "pixel_unshuffle(2)"},
        {{RESR_ARCH_RRDB, 8, 2, 23, 64, 32, 3, 0, 1}, "pixel_unshuffle(2)"},
        {{RESR_ARCH_RRDB, 4, 1, 23, 64, 32, 2, 0, 1}, "2 channels"},
        {{RESR_ARCH_SRVGG, 4, 1, 16, 64, 0, 3, 1, 1}, "normalised"},
        {{RESR_ARCH_SPAN, 4, 1, 6, 48, 0, 1, 1, 1}, "normalised input (1) of 1 channels"},
        {{RESR_ARCH_RRDB, 4, 1, 128, 512, 512, 3, 0, 1}, "weights is not supported"},
        {{RESR_ARCH_SRVGG, 9, 1, 16, 64, 0, 3, 0, 1}, "scale 9"},
        {{RESR_ARCH_SRVGG, 4, 2, 16, 64, 0, 3, 0, 1}, "pixel_unshuffle(2)"},
        {{RESR_ARCH_SRVGG, 4, 1, 16, 64, 8, 3, 0, 1}, "8 growth"},
        {{RESR_ARCH_SRVGG, 4, 1, 16, 64, 0, 3, 0, 0}, "resize of the output by 0"},
        {{RESR_ARCH_SRVGG, 4, 1, 16, 64, 0, 3, 0, NAN}, "nan"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        ResrModel *model = (ResrModel *)1;
        assert_int_equal(resr_model_create(&model, &refused[i].spec), RESR_ERR_DATA);
        assert_null(model);
        assert_non_null(strstr(resr_error_text(), refused[i].words));
    }
}

/* A number of 16 bits converts to its value by the definition, or is refused. */
static void check_half(unsigned bits, ResrDtype dtype, int mantissa_bits)
{
    uint8_t bytes[2] = {(uint8_t)bits, (uint8_t)(bits >> 8)};
    int specials = (1 << (15 - mantissa_bits)) - 1, bias = specials / 2 + mantissa_bits;
    int exponent = (int)(bits >> mantissa_bits) & specials, one = 1 << mantissa_bits;
    int mantissa = (int)bits & (one - 1);
    double expected = exponent ? ldexp(one + mantissa, exponent - bias) : ldexp(mantissa, 1 - bias);
    float value = 0;
    int ret = resr_weights_convert(&value, bytes, dtype, 1, "w");
    if (exponent == specials || expected > 1e4) {
        assert_int_equal(ret, RESR_ERR_DATA);
    } else {
        assert_int_equal(ret, 0);
        assert_true(fabs((double)value) == expected);
        assert_int_equal(signbit(value) != 0, bits >> 15);
    }
}

/* Every binary16 and bfloat16 number becomes the same number, by their definitions. */
static void test_every_half(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 65536; bits++) {
        check_half(bits, RESR_DTYPE_F16, 10);
        check_half(bits, RESR_DTYPE_BF16, 7);
    }
}

static void test_weights_are_finite(void **state)
{
    (void)state;
    const float refused[] = {NAN, INFINITY, -INFINITY, 1.0001e4f, -3e38f};
    float out[3], values[3] = {1, -1e4f, 0};
    assert_int_equal(resr_weights_convert(out, (uint8_t *)values, RESR_DTYPE_F32, 3, "w"), 0);
    assert_memory_equal(out, values, sizeof out);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        values[2] = refused[i];
        assert_int_equal(resr_weights_convert(out, (uint8_t *)values, RESR_DTYPE_F32, 3, "w"),
                         RESR_ERR_DATA);
        assert_non_null(strstr(resr_error_text(), "w: value 2"));
    }
}

/* FIPS 180-4 examples: NIST's "SHA256.pdf" (one block, two blocks) and a million times 'a'. */
static void test_sha256(void **state)
{
    (void)state;
    const struct {
        const char *text;
        int repeats;
        const char *hex;
    } examples[] = {
        {"", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {"aaaaaaaaaa", 100000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
    };
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
        ResrSha256 sha;
        char hex[65];
        resr_sha256_start(&sha);
        for (int k = 0; k < examples[i].repeats; k++)
            resr_sha256_update(&sha, examples[i].text, strlen(examples[i].text));
        resr_sha256_finish(&sha, hex);
        assert_string_equal(hex, examples[i].hex);
    }
}

TEST_MAIN(test_parameters, test_names_and_order, test_impossible_networks, test_every_half,
          test_weights_are_finite, test_sha256)
