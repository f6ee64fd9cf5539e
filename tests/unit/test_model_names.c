/* State dicts in every known layout become the same model, other architectures are refused by name,
 * and a saved model is read again. */

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model_files.h"
#include "random_model.h"
#include "test_main.h"

enum { MAX_TENSORS = 512 };

typedef struct Dict {
    ResrTensor tensors[MAX_TENSORS];
    size_t n;
} Dict;

static void add(Dict *dict, const char *name, int rank, const int64_t *shape, const float *values)
{
    assert_true(dict->n < MAX_TENSORS);
    ResrTensor *tensor = &dict->tensors[dict->n++];
    *tensor = (ResrTensor){.rank = rank, .data = (const uint8_t *)values};
    snprintf(tensor->name, sizeof tensor->name, "%s", name);
    memcpy(tensor->shape, shape, (size_t)rank * sizeof *shape);
}

static void add_conv(Dict *dict, const char *name, const ResrConv *conv)
{
    char full[160];
    int64_t shape[] = {conv->cout, conv->cin, conv->kernel_px, conv->kernel_px};
    snprintf(full, sizeof full, "%s.weight", name);
    add(dict, full, 4, shape, conv->weight);
    snprintf(full, sizeof full, "%s.bias", name);
    add(dict, full, 1, shape, conv->bias);
}

typedef enum Layout { CANONICAL, FIRST, SEQUENTIAL, LAYOUTS } Layout;

/* The name of RRDBNet's convolution `index` in a layout, from the order of its modules. */
static void layout_name(char out[128], Layout layout, const ResrModel *model, int index)
{
    static const char *const trunk[] = {"conv_body", "trunk_conv"},
                             *const up[] = {"conv_up%d", "upconv%d"},
                             *const hr[] = {"conv_hr", "HRconv"};
    int blocks = model->spec.num_blocks, behind = index - 1 - 15 * blocks;
    int from_end = model->n_convs - 1 - index, enlargements = resr_spec_enlargements(&model->spec);
    if (index == 0) {
        sprintf(out, "%s", layout == SEQUENTIAL ? "model.0" : "conv_first");
    } else if (behind < 0) {
        static const char *const block[] = {"body.%d.rdb%d.conv%d", "RRDB_trunk.%d.RDB%d.conv%d",
                                            "model.1.sub.%d.RDB%d.conv%d.0"};
        int i = index - 1;
        sprintf(out, block[layout], i / 15, i / 5 % 3 + 1, i % 5 + 1);
    } else if (layout == SEQUENTIAL) {
        int module = from_end == 0   ? 3 * enlargements + 4
                     : from_end == 1 ? 3 * enlargements + 2
                                     : 3 * behind;
        sprintf(out, behind == 0 ? "model.1.sub.%d" : "model.%d", behind == 0 ? blocks : module);
    } else if (from_end < 2) {
        sprintf(out, "%s", from_end == 0 ? "conv_last" : hr[layout]);
    } else {
        sprintf(out, behind == 0 ? trunk[layout] : up[layout], behind);
    }
}

static void assert_loads(Dict *dict, const ResrNetSpec *spec, const float *arena,
                         bool assumes_slopes)
{
    ResrModel *read;
    if (resr_model_from_tensors(&read, dict->tensors, dict->n) < 0)
        fail_msg("%s", resr_error_text());
    assert_true(resr_spec_equal(&read->spec, spec));
    assert_int_equal(read->assumes_slopes, assumes_slopes);
    assert_memory_equal(read->arena, arena, read->arena_floats * sizeof *arena);
    resr_model_free(read);
}

static void test_rrdb(void **state)
{
    (void)state;
    static const ResrNetSpec specs[] = {
        {RESR_ARCH_RRDB, 1, 1, 1, 4, 2, 3, 0, 1},  {RESR_ARCH_RRDB, 2, 1, 2, 4, 16, 3, 0, 1},
        {RESR_ARCH_RRDB, 4, 1, 1, 24, 2, 3, 0, 1}, {RESR_ARCH_RRDB, 8, 1, 1, 4, 2, 3, 0, 1},
        {RESR_ARCH_RRDB, 1, 4, 1, 4, 2, 3, 0, 1},  {RESR_ARCH_RRDB, 2, 2, 11, 2, 1, 3, 0, 1},
        {RESR_ARCH_RRDB, 4, 2, 1, 4, 2, 1, 0, 1},  {RESR_ARCH_RRDB, 4, 1, 1, 4, 2, 1, 0, 1},
        {RESR_ARCH_RRDB, 2, 1, 1, 4, 2, 4, 0, 1},
    };
    static Dict dict;
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++)
        for (Layout layout = CANONICAL; layout < LAYOUTS; layout++) {
            ResrModel *model = test_random_model(&specs[i], 11);
            dict.n = 0;
            for (int k = 0; k < model->n_convs; k++) {
                char name[128];
                layout_name(name, layout, model, k);
                add_conv(&dict, name, &model->convs[k]);
            }
            assert_loads(&dict, &specs[i], model->arena, false);
            resr_model_free(model);
        }
}

/* LeakyReLU and ReLU have no tensors; the slope of LeakyReLU is assumed. */
static void test_activations(void **state)
{
    (void)state;
    static Dict dict;
    for (int channels = 1; channels <= 4; channels += channels == 1 ? 2 : 1)
        for (int scale = 1; scale <= 4; scale++) {
            const ResrNetSpec spec = {RESR_ARCH_SRVGG, scale, 1, 3, 6, 0, channels, 0, 1};
            ResrModel *model = test_random_model(&spec, 11);
            dict.n = 0;
            for (int k = 0; k < model->n_convs; k++) {
                add_conv(&dict, model->convs[k].name, &model->convs[k]);
                for (int c = 0; model->convs[k].slope && c < spec.nf; c++)
                    model->convs[k].slope[c] = 0.1f;
            }
            assert_loads(&dict, &spec, model->arena, true);
            resr_model_free(model);
        }
}

/* One pixel of a convolution of `x` [cin][3][3], with the value of a 1x1 kernel at its centre. */
static double convolve(const ResrConv *conv, int d, const double *x)
{
    double sum = (double)conv->bias[d];
    int taps = conv->kernel_px * conv->kernel_px;
    for (int c = 0; c < conv->cin; c++)
        for (int tap = 0; tap < taps; tap++)
            sum += (double)conv->weight[(d * conv->cin + c) * taps + tap] *
                   x[9 * c + (taps == 1 ? 4 : tap)];
    return sum;
}

static ResrConv random_conv(int cout, int cin, int kernel_px, uint64_t seed)
{
    size_t n = (size_t)(cout * cin * kernel_px * kernel_px);
    ResrConv conv = {.cout = cout, .cin = cin, .kernel_px = kernel_px};
    conv.weight = calloc(n + (size_t)cout, sizeof(float));
    conv.bias = conv.weight + n;
    resr_random_fill(conv.weight, n + (size_t)cout, seed);
    for (size_t i = 0; i < n + (size_t)cout; i++)
        conv.weight[i] -= 0.5f;
    return conv;
}

/* The training form beside the convolution `folded`: it gives the value of sk + conv.2 after conv.1
 * after conv.0 for a patch of 3x3 pixels. */
static void assert_folded(const ResrConv *folded, const ResrConv parts[4])
{
    enum { MAX_CHANNELS = 16 };
    double x[MAX_CHANNELS * 9], first[MAX_CHANNELS * 9], second[MAX_CHANNELS * 9];
    float values[MAX_CHANNELS * 9];
    resr_random_fill(values, MAX_CHANNELS * 9, 5);
    for (int i = 0; i < MAX_CHANNELS * 9; i++)
        x[i] = (double)values[i];
    for (int l = 0; l < parts[1].cout; l++)
        for (int tap = 0; tap < 9; tap++) {
            double pixel[MAX_CHANNELS * 9] = {0};
            for (int c = 0; c < parts[1].cin; c++)
                pixel[9 * c + 4] = x[9 * c + tap];
            first[9 * l + tap] = convolve(&parts[1], l, pixel);
        }
    for (int m = 0; m < parts[2].cout; m++)
        second[9 * m + 4] = convolve(&parts[2], m, first);
    for (int d = 0; d < folded->cout; d++) {
        double expected = convolve(&parts[0], d, x) + convolve(&parts[3], d, second);
        assert_true(fabs(convolve(folded, d, x) - expected) < 1e-5);
    }
}

/* Adds a convolution of SPAN in its training form, beside a folded form that is older. */
static void add_trained(Dict *dict, ResrConv parts[4], const ResrConv *conv, bool both)
{
    static const char *const names[] = {"sk", "conv.0", "conv.1", "conv.2"};
    char name[128];
    int stem = (int)(strstr(conv->name, "eval_conv") - conv->name), in = conv->cin,
        out = conv->cout;
    parts[0] = random_conv(out, in, 1, 21);
    parts[1] = random_conv(2 * in, in, 1, 22);
    parts[2] = random_conv(2 * out, 2 * in, 3, 23);
    parts[3] = random_conv(out, 2 * out, 1, 24);
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "%.*s%s", stem, conv->name, names[i]);
        add_conv(dict, name, &parts[i]);
    }
    if (both)
        add_conv(dict, conv->name, conv);
}

static void test_span(void **state)
{
    (void)state;
    static const ResrNetSpec spec = {RESR_ARCH_SPAN, 2, 1, 2, 4, 0, 3, 1, 1};
    static const float zero;
    static Dict dict;
    for (int i = 0; i < 4; i++) {
        bool both = i & 1, normalise = i & 2;
        ResrModel *model = test_random_model(&spec, 11), *read;
        ResrConv parts[16][4] = {0};
        dict.n = 0;
        for (int k = 0; k < model->n_convs; k++)
            if (strstr(model->convs[k].name, "eval_conv"))
                add_trained(&dict, parts[k], &model->convs[k], both);
            else
                add_conv(&dict, model->convs[k].name, &model->convs[k]);
        if (!normalise)
            add(&dict, "no_norm", 1, (int64_t[]){1}, &zero);
        if (resr_model_from_tensors(&read, dict.tensors, dict.n) < 0)
            fail_msg("%s", resr_error_text());
        assert_int_equal(read->spec.normalise, normalise);
        assert_int_equal(read->spec.num_blocks, 2);
        for (int k = 0; k < model->n_convs; k++) {
            if (parts[k][0].weight)
                assert_folded(&read->convs[k], parts[k]);
            for (int p = 0; p < 4; p++)
                free(parts[k][p].weight);
        }
        resr_model_free(model);
        resr_model_free(read);
    }
}

static void refuse(Dict *dict, const char *words)
{
    ResrModel *model;
    test_refused(resr_model_from_tensors(&model, dict->tensors, dict->n), words);
    assert_null(model);
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        ResrNetSpec spec;
        const char *name, *renamed; /* convolution; its new name */
        int cin;                    /* its new number of inputs; 0: unchanged */
        const char *words;
    } cases[] = {
        {{RESR_ARCH_RRDB, 4, 1, 1, 4, 2, 3, 0, 1},
         "conv_hr",
         "trunk_conv",
         0,
         "tensor conv_body.bias occurs twice"},
        {{RESR_ARCH_RRDB, 4, 1, 1, 4, 2, 3, 0, 1},
         "conv_hr",
         "model.08",
         0,
         "tensor conv_hr.weight of shape [4, 4, 3, 3] is missing"},
        {{RESR_ARCH_RRDB, 4, 1, 1, 4, 2, 3, 0, 1},
         "conv_first",
         "conv_first",
         6,
         "takes 6 channels and conv_last.weight gives 3"},
        {{RESR_ARCH_RRDB, 4, 1, 1, 4, 2, 3, 0, 1},
         "conv_first",
         "conv_first",
         27,
         "takes 27 channels and conv_last.weight gives 3"},
        {{RESR_ARCH_RRDB, 4, 1, 1, 4, 2, 3, 0, 1},
         "body.0.rdb1.conv1",
         "model.1.sub.0.RDB1.conv1x1",
         0,
         "the architecture ESRGAN+ (tensor model.1.sub.0.RDB1.conv1x1.weight)"},
        {{RESR_ARCH_SPAN, 4, 1, 1, 4, 0, 3, 1, 1},
         "conv_cat",
         "before_RG.1",
         0,
         "the architecture DAT (tensor before_RG.1.weight) is not supported"},
        {{RESR_ARCH_SPAN, 4, 1, 1, 4, 0, 3, 1, 1},
         "conv_2.eval_conv",
         "conv_2.sk",
         0,
         "tensor conv_2.sk.weight has shape [4, 4, 3, 3], expected [4, 4, 1, 1]"},
        {{RESR_ARCH_SPAN, 4, 1, 1, 4, 0, 3, 1, 1},
         "conv_1.eval_conv",
         "conv_1.eval_conv",
         2,
         "scale * scale for each of the input's 2 channels"},
        {{RESR_ARCH_SPAN, 4, 1, 1, 4, 0, 3, 1, 1},
         "block_1.c1_r.eval_conv",
         "block_2.c1_r.eval_conv",
         0,
         "0 blocks"},
        {{RESR_ARCH_SRVGG, 4, 1, 1, 4, 0, 3, 0, 1},
         "body.2",
         "body.2",
         5,
         "tensor body.2.weight has shape [4, 5, 3, 3], expected [4, 4, 3, 3]"},
    };
    static Dict dict;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ResrModel *model = test_random_model(&cases[i].spec, 11);
        dict.n = 0;
        for (int k = 0; k < model->n_convs; k++) {
            ResrConv conv = model->convs[k];
            bool changed = strcmp(conv.name, cases[i].name) == 0;
            if (changed && cases[i].cin)
                conv.cin = cases[i].cin;
            add_conv(&dict, changed ? cases[i].renamed : conv.name, &conv);
        }
        refuse(&dict, cases[i].words);
        resr_model_free(model);
    }
    dict.n = 0;
    add(&dict, "no_norm", 1, (int64_t[]){1}, NULL);
    refuse(&dict, "nor conv_1.sk.weight (SPAN) exists, but for example no_norm");
}

/* no_norm belongs to SPAN only. */
static void test_no_norm(void **state)
{
    (void)state;
    static const ResrNetSpec spec = {RESR_ARCH_SRVGG, 2, 1, 1, 4, 0, 3, 0, 1};
    static const float zero;
    static Dict dict;
    ResrModel *model = test_random_model(&spec, 11);
    dict.n = 0;
    for (int k = 0; k < model->n_convs; k++)
        add_conv(&dict, model->convs[k].name, &model->convs[k]);
    add(&dict, "no_norm", 1, (int64_t[]){1}, &zero);
    refuse(&dict, "tensor no_norm does not belong to the network");
    resr_model_free(model);
}

static void test_save(void **state)
{
    (void)state;
    static const ResrNetSpec specs[] = {
        {RESR_ARCH_RRDB, 8, 1, 1, 4, 2, 1, 0, 1},     {RESR_ARCH_RRDB, 2, 2, 1, 4, 2, 4, 0, 1},
        {RESR_ARCH_SRVGG, 4, 1, 2, 4, 0, 3, 0, 0.75}, {RESR_ARCH_SPAN, 4, 1, 2, 4, 0, 3, 1, 1},
        {RESR_ARCH_SPAN, 1, 1, 2, 4, 0, 1, 0, 1},     {RESR_ARCH_SPAN, 2, 1, 2, 4, 0, 3, 2, 1},
    };
    char folder[PATH_MAX], path[PATH_MAX + 32];
    test_folder(folder);
    snprintf(path, sizeof path, "%s/saved.safetensors", folder);
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        ResrModel *model = test_random_model(&specs[i], 11), *read;
        assert_int_equal(resr_model_save(model, path, i > 0), 0);
        assert_int_equal(resr_model_save(model, path, false), RESR_ERR_EXISTS);
        if (resr_model_load(&read, path) < 0)
            fail_msg("%s", resr_error_text());
        assert_true(resr_spec_equal(&read->spec, &specs[i]));
        assert_memory_equal(read->arena, model->arena, model->arena_floats * sizeof(float));
        resr_model_free(read);
        resr_model_free(model);
    }
    test_remove_folder(folder);
}

TEST_MAIN(test_rrdb, test_activations, test_span, test_refusals, test_no_norm, test_save)
