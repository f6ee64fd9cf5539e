/* Names of networks, the folders where their files are looked for, and the denoise blend. */

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model_files.h"
#include "test_main.h"

static char folder[PATH_MAX];

static ResrModel *make_model(int scale, uint64_t seed)
{
    ResrNetSpec spec = {RESR_ARCH_SRVGG, scale, 1, 1, 4, 0, 3, 0, 1};
    return test_random_model(&spec, seed);
}

/* Any network serves under any name, and the content tells the format. */
static void put(const char *where, const char *name, int scale, uint64_t seed)
{
    char path[PATH_MAX];
    ResrModel *model = make_model(scale, seed);
    TestBuffer file = test_safetensors(model);
    test_write(path, where, name, &file);
    free(file.data);
    resr_model_free(model);
}

static void assert_found(const char *where, const char *name, int scale, const char *expected)
{
    ResrModel *model;
    if (resr_model_find(&model, where, name, scale, -1) < 0)
        fail_msg("%s", resr_error_text());
    assert_string_equal(model->name, expected);
    resr_model_free(model);
}

static void assert_missing(const char *where, const char *name, int scale, const char *words)
{
    ResrModel *model = (ResrModel *)1;
    assert_int_equal(resr_model_find(&model, where, name, scale, -1), RESR_ERR_NOINPUT);
    assert_null(model);
    if (!strstr(resr_error_text(), words))
        fail_msg("'%s' lacks '%s'", resr_error_text(), words);
}

static void test_names(void **state)
{
    (void)state;
    put(folder, "RealESRGAN_x4plus.pth", 4, 1);
    put(folder, "RealESRGAN_x2plus.pth", 2, 2);
    put(folder, "realesrgan-x4plus-anime.param", 4, 3);
    put(folder, "mine.safetensors", 3, 4);
    assert_found(folder, "RealESRGAN_x4plus", 2, "RealESRGAN_x4plus");
    assert_found(folder, "realesrgan-x4plus", 0, "RealESRGAN_x4plus");
    assert_found(folder, "realesrgan-x2plus", 0, "RealESRGAN_x2plus");
    assert_found(folder, "realesrgan-x4plus-anime", 0, "RealESRGAN_x4plus_anime_6B");
    assert_found(folder, NULL, 2, "RealESRGAN_x2plus");
    assert_found(folder, NULL, 4, "RealESRGAN_x4plus");
    assert_found(folder, "mine", 0, "mine.safetensors");
    assert_found(folder, "mine.safetensors", 0, "mine.safetensors");
    assert_missing(folder, "RealESRNet_x4plus", 0, "sh models/fetch.sh RealESRNet_x4plus -m /");
    assert_missing(folder, "realesr-general-x4v3", 0, "sh models/fetch.sh realesr-general-x4v3");
    assert_missing(folder, "yours", 0, "-n: 'yours' is not a known network (see --list-models)");
    assert_missing("/nonexistent/w.pth", NULL, 4, "/nonexistent/w.pth");
}

static void test_every_entry(void **state)
{
    (void)state;
    int n = 0;
    for (const ResrModelEntry *entry; (entry = resr_model_entry(n)); n++) {
        char path[PATH_MAX];
        assert_non_null(entry->files[0]);
        assert_true(entry->scale >= 2 && entry->scale <= 4);
        assert_int_equal(resr_model_locate(path, sizeof path, entry, "/nonexistent"),
                         RESR_ERR_NOINPUT);
    }
    assert_int_equal(n, 9);
    assert_null(resr_model_entry(-1));
}

/* A file given with -m needs no name. */
static void test_file(void **state)
{
    (void)state;
    char path[PATH_MAX];
    ResrModel *model;
    put(folder, "own.pth", 2, 9);
    snprintf(path, sizeof path, "%.4000s/own.pth", folder);
    assert_found(path, NULL, 4, "own.pth");
    assert_int_equal(resr_model_find(&model, path, "RealESRGAN_x4plus", 4, -1), RESR_ERR_USAGE);
    assert_non_null(strstr(resr_error_text(), "names a file already"));
    assert_int_equal(resr_model_find(&model, path, NULL, 4, 0.5), RESR_ERR_USAGE);
    assert_non_null(strstr(resr_error_text(), "--denoise"));
}

/* $REALESRGAN_MODELS, then models/weights under the working folder. */
static void test_search_order(void **state)
{
    (void)state;
    char work[PATH_MAX], first[PATH_MAX], second[PATH_MAX], path[PATH_MAX], back[PATH_MAX];
    assert_non_null(getcwd(back, sizeof back));
    test_folder(work);
    snprintf(first, sizeof first, "%.4000s/first", work);
    snprintf(second, sizeof second, "%.4000s/models", work);
    assert_int_equal(mkdir(first, 0700) | mkdir(second, 0700), 0);
    assert_int_equal(chdir(work), 0);
    assert_int_equal(mkdir("models/weights", 0700), 0);
    setenv("REALESRGAN_MODELS", first, 1);
    assert_missing(NULL, "RealESRNet_x4plus", 0,
                   "fetch them with: sh models/fetch.sh RealESRNet_x4plus");
    put("models/weights", "RealESRNet_x4plus.pth", 4, 1);
    const ResrModelEntry *entry = resr_model_entry(2);
    assert_string_equal(entry->name, "RealESRNet_x4plus");
    assert_int_equal(resr_model_locate(path, sizeof path, entry, NULL), 0);
    assert_string_equal(path, "models/weights/RealESRNet_x4plus.pth");
    put(first, "RealESRNet_x4plus.pth", 4, 1);
    assert_int_equal(resr_model_locate(path, sizeof path, entry, NULL), 0);
    assert_memory_equal(path, first, strlen(first));
    assert_int_equal(resr_model_locate(path, 8, entry, NULL), RESR_ERR_NOINPUT);
    unsetenv("REALESRGAN_MODELS");
    assert_int_equal(resr_model_locate(path, sizeof path, entry, NULL), 0);
    assert_string_equal(path, "models/weights/RealESRNet_x4plus.pth");
    assert_int_equal(chdir(back), 0);
    test_remove_folder(work);
}

/* ncnn's -x2 and -x3 from the official file: the 4x network, resized. */
static void test_resized_names(void **state)
{
    (void)state;
    static const char *const names[] = {"realesr-animevideov3-x2", "realesr-animevideov3-x3",
                                        "realesr-animevideov3-x4", "realesr-animevideov3"};
    static const double resizes[] = {0.5, 0.75, 1, 1};
    ResrModel *model;
    put(folder, "realesr-animevideov3.pth", 4, 20);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(resr_model_find(&model, folder, names[i], 4, -1), 0);
        assert_true(model->spec.resize == resizes[i] && model->spec.scale == 4);
        resr_model_free(model);
    }
}

static void test_denoise(void **state)
{
    (void)state;
    static const double strengths[] = {0, 0.3, 0.5, 1, -1};
    ResrModel *general = make_model(4, 30), *wdn = make_model(4, 31), *blend;
    put(folder, "realesr-general-x4v3.pth", 4, 30);
    assert_int_equal(resr_model_find(&blend, folder, "realesr-general-x4v3", 4, 0.3),
                     RESR_ERR_NOINPUT);
    assert_non_null(strstr(resr_error_text(), "sh models/fetch.sh realesr-general-wdn-x4v3"));
    assert_int_equal(resr_model_find(&blend, folder, "realesr-general-x4v3", 4, 1), 0);
    resr_model_free(blend);
    put(folder, "realesr-general-wdn-x4v3.pth", 4, 31);
    for (size_t i = 0; i < sizeof strengths / sizeof *strengths; i++) {
        double strength = strengths[i] < 0 ? 0.5 : strengths[i];
        float a = (float)strength, b = (float)(1 - strength);
        assert_int_equal(resr_model_find(&blend, folder, "realesr-general-x4v3", 4, strengths[i]),
                         0);
        assert_string_equal(blend->name, "realesr-general-x4v3");
        for (size_t k = 0; k < blend->arena_floats; k++) {
            float left = a * general->arena[k], right = b * wdn->arena[k];
            assert_true(blend->arena[k] == (strength == 1 ? general->arena[k] : left + right));
        }
        resr_model_free(blend);
    }
    assert_found(folder, "realesr-general-wdn-x4v3", 4, "realesr-general-wdn-x4v3");
    put(folder, "realesr-general-wdn-x4v3.pth", 2, 31);
    assert_int_equal(resr_model_find(&blend, folder, "realesr-general-x4v3", 4, 0.3),
                     RESR_ERR_DATA);
    assert_non_null(strstr(resr_error_text(), "not of the shape of"));
    resr_model_free(general);
    resr_model_free(wdn);
}

/* The names of ncnn files that people have: by -n, and by -m FILE with the partner beside it. */
static void test_denoise_of_ncnn_names(void **state)
{
    (void)state;
    static const char *const names[] = {"realesr-general-x4v3", "RealESRGAN_General_x4_v3"};
    char other[PATH_MAX], path[PATH_MAX + 64];
    ResrModel *general = make_model(4, 30), *wdn = make_model(4, 31), *model;
    test_folder(other);
    snprintf(path, sizeof path, "%s/RealESRGAN_General_x4_v3.param", other);
    put(other, "RealESRGAN_General_x4_v3.param", 4, 30);
    assert_int_equal(resr_model_find(&model, path, NULL, 4, 0.25), RESR_ERR_NOINPUT);
    put(other, "RealESRGAN_General_WDN_x4_v3.param", 4, 31);
    for (int i = 0; i < 4; i++) {
        if (i == 3)
            snprintf(path, sizeof path, "%s/RealESRGAN_General_x4_v3.bin", other);
        assert_int_equal(
            resr_model_find(&model, i < 2 ? other : path, i < 2 ? names[i] : NULL, 4, 0.25), 0);
        for (size_t k = 0; k < model->arena_floats; k++)
            assert_true(model->arena[k] == 0.25f * general->arena[k] + 0.75f * wdn->arena[k]);
        resr_model_free(model);
    }
    assert_int_equal(resr_model_find(&model, path, NULL, 4, -1), 0);
    assert_memory_equal(model->arena, general->arena, model->arena_floats * sizeof(float));
    resr_model_free(model);
    put(other, "yours.pth", 4, 30);
    snprintf(path, sizeof path, "%s/yours.pth", other);
    assert_int_equal(resr_model_find(&model, path, NULL, 4, 0.25), RESR_ERR_USAGE);
    resr_model_free(general);
    resr_model_free(wdn);
    test_remove_folder(other);
}

static int make_folder(void **state)
{
    (void)state;
    unsetenv("REALESRGAN_MODELS");
    test_folder(folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    test_remove_folder(folder);
    return 0;
}

TEST_MAIN_IN(make_folder, remove_folder, test_names, test_every_entry, test_file, test_search_order,
             test_resized_names, test_denoise, test_denoise_of_ncnn_names)
