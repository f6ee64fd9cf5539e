/* test_forward_cuda BACKEND [WEIGHTS]: whole networks on a CUDA backend ("cuda-mma", or a numerics
 * class, "bf16") against the CPU's class
 * `exact`, whose results are PyTorch's (tests/reference): PSNR of the float output of at least 60
 * dB, for every kind of network, whole frames and tiles. With WEIGHTS, a network's file, only that
 * one on a tile of 32 x 32 pixels. Exit 77 where the device does not run the backend or there is no
 * such file. */

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "check_net.h"
#include "net/cuda.h"

#define MIN_PSNR_DB 60.0
#define MIN_PSNR_DB_BF16 48.0 /* 50 to 60 measured: 8 times fp16's roundings, at worst 18 dB */

static const ResrOps *tested;

static bool is_bf16(void)
{
    return tested->numerics == RESR_NUMERICS_BF16_GPU;
}

/* Its emulated devices are slow: of the networks whose layers differ in nothing that its kernel
 * knows, one is enough. */
static bool is_wgmma(void)
{
    return strcmp(tested->name, "cuda-wgmma") == 0;
}

static double psnr_db(const CheckImage *got, const CheckImage *expected)
{
    double squares = 0;
    size_t n = 0;
    for (int p = 0; p < got->planes; p++)
        for (int y = 0; y < got->height_px; y++)
            for (int x = 0; x < got->width_px; x++, n++) {
                double error = (double)got->plane[p][(size_t)y * got->stride + (size_t)x] -
                               (double)expected->plane[p][(size_t)y * expected->stride + (size_t)x];
                squares += error * error;
            }
    return 10 * log10((double)n / squares);
}

/* One frame, whole or in tiles, against the CPU; frees the model and the frame. */
static void compare_on(ResrModel *model, CheckImage in, int tile_px, int tile_pad_px)
{
    ResrNetSpec spec = model->spec;
    CheckRun on_cpu = {check_backend(RESR_NUMERICS_EXACT), tile_px, tile_pad_px, 1, false};
    CheckRun on_gpu = {tested, tile_px, tile_pad_px, 1, false};
    CheckImage expected = check_upscale(&on_cpu, model, &in);
    CheckImage got = check_upscale(&on_gpu, model, &in);
    double psnr = psnr_db(&got, &expected);
    printf("%s x%d, %d blocks, %d features, %d x %d, tile %d + %d: %.1f dB, %.0f %% within 0..1\n",
           resr_spec_arch_name(&spec), spec.scale, spec.num_blocks, spec.nf, in.width_px,
           in.height_px, tile_px, tile_pad_px, psnr, 100 * check_inside(&expected));
    assert_true(psnr >= (is_bf16() ? MIN_PSNR_DB_BF16 : MIN_PSNR_DB));
    check_image_free(&in);
    check_image_free(&expected);
    check_image_free(&got);
    resr_model_free(model);
}

static void compare(ResrNetSpec spec, int width_px, int height_px, int tile_px, int tile_pad_px)
{
    CheckImage in = check_image_of(width_px, height_px, spec.channels == 4 ? 4 : 3);
    check_image_random(&in, 11);
    compare_on(check_model(spec, 7), in, tile_px, tile_pad_px);
}

/* Slopes, curves and an edge, as a network's picture has them. */
static void official(void **state)
{
    ResrModel *model;
    CheckImage in = check_image(32, 32);
    for (int p = 0; p < 3; p++)
        for (int y = 0; y < 32; y++)
            for (int x = 0; x < 32; x++) {
                float wave = sinf(0.02f * (float)(x * x + (p + 1) * y * y));
                float edge = 3 * x + y * (p + 1) > 60 ? 0.3f : 0.0f;
                in.plane[p][(size_t)y * in.stride + (size_t)x] = 0.35f + 0.25f * wave + edge;
            }
    assert_int_equal(resr_model_load(&model, *state), 0);
    compare_on(model, in, 0, 0);
}

static void rrdb_x4(void **state)
{
    (void)state;
    compare(check_rrdb(4, 2, 64, 32), 20, 17, 0, 0);
}

static void rrdb_x2(void **state)
{
    (void)state;
    compare(check_rrdb(2, 2, 64, 32), 33, 27, 0, 0);
}

static void rrdb_x1(void **state)
{
    (void)state;
    compare(check_rrdb(1, 1, 64, 32), 30, 22, 0, 0);
}

static void narrow_rrdb(void **state)
{
    (void)state;
    compare(check_rrdb(2, 1, 24, 12), 14, 18, 0, 0);
}

static void compact(void **state)
{
    (void)state;
    for (int scale = 1; scale <= 4; scale++)
        compare(check_srvgg(scale, 4, 64), 35, 21, 0, 0);
    compare(check_srvgg(6, 1, 48), 9, 12, 0, 0); /* a tail in two pieces */
}

/* Enlargements, channels and features other than those of the official networks. */
static void other_shapes(void **state)
{
    (void)state;
    static const struct {
        int scale, unshuffle, nf, gc, channels;
    } shapes[] = {{1, 1, 64, 32, 3}, {2, 1, 48, 16, 3}, {8, 1, 32, 16, 3},
                  {2, 1, 96, 64, 3}, {4, 1, 24, 16, 1}, {2, 2, 64, 32, 4}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        if (is_wgmma() && shapes[i].nf != 96)
            continue;
        ResrNetSpec spec = check_rrdb(shapes[i].scale, 1, shapes[i].nf, shapes[i].gc);
        spec.unshuffle = shapes[i].unshuffle;
        spec.channels = shapes[i].channels;
        compare(spec, 8, 10, 0, 0);
    }
    if (is_wgmma())
        return;
    ResrNetSpec gray = check_srvgg(2, 1, 64);
    gray.channels = 1;
    compare(gray, 9, 7, 0, 0);
}

/* Weights of gain 1, since the inputs reach 152: with check_model()'s 1.4 the gates are steps,
 * which turn roundings beside zero into errors of the whole value (59.8 dB). */
static void compare_attention(ResrNetSpec spec, float last_gain, int width_px, int height_px)
{
    ResrModel *model;
    CheckImage in = check_image(width_px, height_px);
    check_image_random(&in, 11);
    assert_int_equal(resr_random_model(&model, &spec, 7, 1), 0);
    ResrConv *last = &model->convs[model->n_convs - 1];
    for (size_t i = 0; i < resr_conv_weights(last); i++)
        last->weight[i] *= last_gain;
    for (int i = 0; i < last->cout; i++)
        last->bias[i] = 0.5f;
    compare_on(model, in, 0, 0);
}

static void attention(void **state)
{
    (void)state;
    ResrNetSpec plain = check_span(4, 1, 48);
    plain.normalise = 0;
    compare_attention(check_span(2, 2, 64), 0.008f, 14, 9);
    if (is_wgmma())
        return;
    compare_attention(check_span(3, 2, 48), 0.01f, 9, 12);
    compare_attention(plain, 2, 9, 14);
}

/* Tiles go through a pass together: nine shapes of them here, the inner ones four at once. */
static void tiles(void **state)
{
    (void)state;
    compare(check_srvgg(2, 1, 64), 46, 43, 12, 4);
    compare(check_rrdb(2, 1, 64, 32), 29, 22, 8, 4);
}

/* Upscaling with a model whose results no network gives: its error. */
static void refuse(ResrModel *model, int code, const char *text)
{
    ResrNet *net;
    CheckImage in = check_image(16, 12), out = check_image(32, 24);
    const float *const planes[4] = {in.plane[0], in.plane[1], in.plane[2]};
    check_image_random(&in, 3);
    assert_int_equal(resr_net_create(&net, tested, model, 16, 12, (ResrTileSize){0}, 1), 0);
    assert_int_equal(resr_net_upscale(net, out.plane, out.stride, planes, in.stride, NULL), code);
    assert_non_null(strstr(resr_error_text(), text));
    resr_net_free(net);
    check_image_free(&in);
    check_image_free(&out);
    resr_model_free(model);
}

static void impossible_results(void **state)
{
    (void)state;
    ResrNetSpec spec = check_srvgg(2, 1, 64);
    ResrModel *model;
    assert_int_equal(resr_random_model(&model, &spec, 5, 1), 0);
    for (int c = 0; c < 2; c++) /* the first's outputs are beyond fp16, the second's beyond bf16 */
        for (int i = 0; i < 9 * model->convs[c].cin * model->convs[c].cout; i++)
            model->convs[c].weight[i] *= is_bf16() ? 1e30f : 1e6f;
    refuse(model, RESR_ERR_DATA, "infinite values or NaN");
    spec = check_rrdb(2, 1, 64, 32);
    assert_int_equal(resr_model_create(&model, &spec), 0); /* all weights zero */
    refuse(model, RESR_ERR_DEVICE, "all values of a tile are the same");
}

int main(int argc, char **argv)
{
    TEST_GROUP(tests, rrdb_x4, rrdb_x2, rrdb_x1, narrow_rrdb, compact, other_shapes, attention,
               tiles, impossible_results);
    const char *name = argc > 1 ? argv[1] : "cuda";
    char *weights = argc > 2 ? argv[2] : NULL;
    const struct CMUnitTest official_test[] = {cmocka_unit_test_prestate(official, weights)};
    for (int i = 0; (tested = resr_cuda_backend_ops(i)); i++)
        if (strcmp(tested->name, name) == 0 ||
            strncmp(resr_ops_class(tested), name, strlen(name)) == 0)
            break;
    if (!tested) {
        printf("skipped: no %s here: %s\n", name, resr_cuda_backend_missing());
        return 77;
    }
    if (weights && access(weights, R_OK) != 0) {
        printf("skipped: there is no %s\n", weights);
        return 77;
    }
    printf("%s\nbackend %s, class %s\n", resr_cuda_backend_device(), tested->name,
           resr_ops_class(tested));
    if (weights)
        return cmocka_run_group_tests(official_test, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
