/* The same network through every format: files made here, and files of PyTorch and safetensors
 * themselves (data/make_fixtures.py), read back bit for bit. */

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model_files.h"
#include "test_main.h"

static const ResrNetSpec tiny_rrdb = {RESR_ARCH_RRDB, 4, 1, 2, 6, 3, 3, 0, 1};
static const ResrNetSpec tiny_srvgg = {RESR_ARCH_SRVGG, 3, 1, 2, 5, 0, 3, 0, 1};

static void assert_same(const ResrModel *a, const ResrModel *b)
{
    assert_memory_equal(&a->spec, &b->spec, sizeof a->spec);
    assert_int_equal(a->arena_floats, b->arena_floats);
    assert_memory_equal(a->arena, b->arena, a->arena_floats * sizeof(float));
}

static void load_and_compare(const char *path, const ResrModel *expected)
{
    ResrModel *model;
    if (resr_model_load(&model, path) < 0)
        fail_msg("%s", resr_error_text());
    assert_same(model, expected);
    assert_string_equal(model->path, path);
    assert_string_equal(model->name, strrchr(path, '/') + 1);
    assert_int_equal(strlen(model->sha256), 64);
    resr_model_free(model);
}

static void write_and_compare(const char *folder, const char *name, TestBuffer file,
                              const ResrModel *expected)
{
    char path[PATH_MAX];
    test_write(path, folder, name, &file);
    free(file.data);
    load_and_compare(path, expected);
}

static void test_round_trips(void **state)
{
    (void)state;
    static const TestLayout layouts[] = {
        {0},
        {.wrap = "params_ema"},
        {.wrap = "state_dict", .prefix = "module.", .extras = true},
        {.prefix = "module.generator.", .channels_last = true},
        {.wrap = "anything", .prefix = "netG.", .doubles = true},
        {.wrap = "g_ema", .doubles = true, .channels_last = true, .extras = true},
    };
    const ResrNetSpec specs[] = {tiny_rrdb, tiny_srvgg, {RESR_ARCH_SRVGG, 1, 1, 0, 1, 0, 3, 0, 1}};
    char folder[PATH_MAX], path[PATH_MAX];
    test_folder(folder);
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        ResrModel *model = test_random_model(&specs[i], 40 + i);
        write_and_compare(folder, "a.safetensors", test_safetensors(model), model);
        for (size_t k = 0; k < sizeof layouts / sizeof *layouts; k++) {
            for (TestZipKind kind = TORCH_ZIP; kind <= DEFLATED_ZIP; kind++)
                write_and_compare(folder, "a.pth", test_pth(model, &layouts[k], kind), model);
            write_and_compare(folder, "a.pth", test_legacy(model, &layouts[k], NULL), model);
        }
        TestBuffer param = test_ncnn_param(model);
        test_write(path, folder, "a.param", &param);
        free(param.data);
        write_and_compare(folder, "a.bin", test_ncnn_bin(model), model);
        snprintf(path, sizeof path, "%.4000s/a.param", folder);
        load_and_compare(path, model);
        resr_model_free(model);
    }
    test_remove_folder(folder);
}

/* The graph's own resize, and fp16 weights, which are padded to four bytes. */
static void test_ncnn_resize_and_fp16(void **state)
{
    (void)state;
    char folder[PATH_MAX], path[PATH_MAX];
    const uint8_t halves[] = {0x00, 0x3c, 0x00, 0xb8}; /* 1, -0.5 */
    ResrModel *model = test_random_model(&tiny_srvgg, 3);
    TestBuffer param = test_ncnn_param(model), bin = {0};
    for (int i = 0; i < model->n_convs; i++) {
        ResrConv *conv = &model->convs[i];
        int weights = conv->cout * conv->cin * 9;
        test_add_number(&bin, 0x01306B47, 4);
        for (int k = 0; k < weights; k++) {
            conv->weight[k] = k % 2 ? -0.5f : 1;
            test_add(&bin, halves + 2 * (k % 2), 2);
        }
        test_add_number(&bin, 0, weights % 2 * 2);
        test_add(&bin, conv->bias, 4 * (size_t)conv->cout);
        if (conv->slope)
            test_add(&bin, conv->slope, 4 * (size_t)conv->cout);
    }
    test_replace(&param, "\n12 13\n", "\n13 14\n", 0);
    test_replace(&param, "s n output", "s n sum\nInterp last 1 1 sum output 0=3 1=5e-1 2=5e-1", 0);
    test_folder(folder);
    test_write(path, folder, "half.param", &param);
    model->spec.resize = 0.5;
    write_and_compare(folder, "half.bin", bin, model);
    free(param.data);
    resr_model_free(model);
    test_remove_folder(folder);
}

/* Weights that another writer rounded. */
static void load_rounded(const char *path, const ResrModel *exact, double relative, double smallest)
{
    ResrModel *model;
    if (resr_model_load(&model, path) < 0)
        fail_msg("%s", resr_error_text());
    assert_memory_equal(&model->spec, &exact->spec, sizeof model->spec);
    for (size_t i = 0; i < exact->arena_floats; i++) {
        double x = (double)exact->arena[i], error = fabs((double)model->arena[i] - x);
        assert_true(error <= fmax(fabs(x) * relative, smallest));
    }
    resr_model_free(model);
}

static void test_files_of_pytorch_and_safetensors(void **state)
{
    (void)state;
    const ResrNetSpec rrdb = {RESR_ARCH_RRDB, 2, 2, 1, 8, 4, 3, 0, 1};
    const ResrNetSpec srvgg = {RESR_ARCH_SRVGG, 2, 1, 2, 8, 0, 3, 0, 1};
    ResrModel *model = test_random_model(&rrdb, 11);
    load_and_compare(TEST_DATA "/rrdb_x2.pth", model);
    resr_model_free(model);
    model = test_random_model(&srvgg, 12);
    load_and_compare(TEST_DATA "/srvgg_x2.pth", model);
    load_and_compare(TEST_DATA "/srvgg_x2_parameters.pth", model);
    load_rounded(TEST_DATA "/srvgg_x2_half.pth", model, 0x1p-11, 0x1p-25);
    load_rounded(TEST_DATA "/srvgg_x2_bf16.safetensors", model, 0x1p-8, 0);
    load_and_compare(TEST_DATA "/srvgg_x2_legacy.pth", model);
    load_and_compare(TEST_DATA "/srvgg_x2_deflated.pth", model);
    load_and_compare(TEST_DATA "/srvgg_x2_module.safetensors", model);
    load_rounded(TEST_DATA "/srvgg_x2_training.pth", model, 0x1p-11, 0x1p-25);
    resr_model_free(model);
}

static void test_what_is_no_weight_file(void **state)
{
    (void)state;
    char folder[PATH_MAX], path[PATH_MAX];
    ResrModel *model = (ResrModel *)1;
    TestBuffer text = {0}, tar = {0};
    test_folder(folder);
    test_add_text(&text, "a shopping list: bread, butter, cheese");
    test_write(path, folder, "list.pth", &text);
    assert_int_equal(resr_model_load(&model, path), RESR_ERR_DATA);
    assert_non_null(strstr(resr_error_text(), "list.pth: not a weight file"));
    assert_null(model);
    for (int i = 0; i < 2; i++) { /* downloads of the page or the pointer in the file's place */
        TestBuffer download = {0};
        test_add_text(&download, i ? "version https://git-lfs.github.com/spec/v1\n"
                                   : "<!DOCTYPE html><html>404</html>");
        test_write(path, folder, "download.pth", &download);
        assert_int_equal(resr_model_load(&model, path), RESR_ERR_DATA);
        assert_non_null(strstr(resr_error_text(), "download the file itself"));
        free(download.data);
    }
    for (int i = 0; i < 257; i++)
        test_add(&tar, "x", 1);
    test_add_text(&tar, "ustar  ");
    test_write(path, folder, "old.pth", &tar);
    assert_int_equal(resr_model_load(&model, path), RESR_ERR_DATA);
    assert_non_null(strstr(resr_error_text(), "tar archive"));
    text.bytes = 15;
    test_write(path, folder, "short.pth", &text);
    assert_int_equal(resr_model_load(&model, path), RESR_ERR_DATA);
    assert_non_null(strstr(resr_error_text(), "15 bytes"));
    assert_int_equal(resr_model_load(&model, folder), RESR_ERR_DATA);
    assert_non_null(strstr(resr_error_text(), "regular file"));
    snprintf(path, sizeof path, "%.4000s/missing.bin", folder);
    assert_int_equal(resr_model_load(&model, path), RESR_ERR_NOINPUT);
    assert_non_null(strstr(resr_error_text(), "missing.param"));
    memset(path, 'x', 2000);
    path[2000] = 0;
    assert_int_equal(resr_model_load(&model, path), RESR_ERR_USAGE);
    free(text.data);
    free(tar.data);
    test_remove_folder(folder);
}

TEST_MAIN(test_round_trips, test_ncnn_resize_and_fp16, test_files_of_pytorch_and_safetensors,
          test_what_is_no_weight_file)
