/* ncnn models whose graph or weights break one rule each. */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "group_folder.h"
#include "model_files.h"
#include "test_main.h"

static const ResrNetSpec rrdb = {RESR_ARCH_RRDB, 4, 1, 1, 4, 2, 3, 0, 1};
static const ResrNetSpec srvgg = {RESR_ARCH_SRVGG, 2, 1, 1, 4, 0, 3, 0, 1};

static int read_param(ResrModel **out, const ResrBytes *param)
{
    return resr_model_read_ncnn(out, param, test_in_folder("m.param"));
}

static void refuse(const TestBuffer *param, const char *words)
{
    test_refuse(read_param, param, words);
}

static void write_bin(const TestBuffer *bin)
{
    test_write_bytes(test_in_folder("m.bin"), bin->data, bin->bytes);
}

/* Puts the model's .bin in the folder and returns its .param. */
static TestBuffer prepare(const ResrNetSpec *spec)
{
    ResrModel *model = test_random_model(spec, 5);
    TestBuffer param = test_ncnn_param(model), bin = test_ncnn_bin(model);
    write_bin(&bin);
    free(bin.data);
    resr_model_free(model);
    return param;
}

#define NOT_RRDB "is not that of RRDBNet"
#define NOT_SRVGG "is not that of SRVGGNetCompact"

/* A piece of the .param replaced by another (its `skip`-th occurrence). */
static void test_graphs(void **state)
{
    (void)state;
    static const struct {
        const ResrNetSpec *spec;
        const char *old, *replacement;
        int skip;
        const char *words;
    } cases[] = {
        /* counts and lines */
        {&srvgg, "\n10 11\n", "\n", 0, "the second line has no counts"},
        {&srvgg, "\n10 11\n", "\nten eleven\n", 0, "the second line has no counts"},
        {&srvgg, "\n10 11\n", "\n10\n", 0, "the second line has no counts"},
        {&srvgg, "\n10 11\n", "\n-10 11\n", 0, "the second line has no counts"},
        {&srvgg, "\n10 11\n", "\n10001 11\n", 0, "the second line has no counts"},
        {&srvgg, "\n10 11\n", "\n10 10001\n", 0, "the second line has no counts"},
        {&srvgg, "\n10 11\n", "\n11 11\n", 0, "the file announces 11 layers and has 10"},
        {&srvgg, "\n10 11\n", "\n9 11\n", 0, "more than the announced 9 layers"},
        {&srvgg, "\n10 11\n", "\n10 10\n", 0, "the file announces only 10 blobs"},
        {&srvgg, "\n10 11\n", "\n10 12\n", 0, "the file announces 12 blobs and has 11"},
        {&srvgg, "PReLU prelu0 1 1 c0 p0 0=4", "PReLU", 0, "lacks its type, name or counts"},
        {&srvgg, "PReLU prelu0 1 1", "PReLU prelu0 1", 0,
         "layer prelu0 has 1 inputs and c0 outputs"},
        {&srvgg, "PReLU prelu0 1 1", "PReLU prelu0 x 1", 0, "layer prelu0 has x inputs"},
        {&srvgg, "PReLU prelu0 1 1", "PReLU prelu0 -1 1", 0, "layer prelu0 has -1 inputs"},
        {&srvgg, "PReLU prelu0 1 1", "PReLU prelu0 1 65", 0, "and 65 outputs"},
        {&srvgg, "PReLU prelu0 1 1", "PReLU prelu0 1 0", 0, "and 0 outputs"},
        {&srvgg, "PReLU prelu0 1 1", "PReLU prelu0 1 99999999999999999999", 0, "outputs"},
        {&srvgg, "PReLU prelu0 1 1 c0 p0 0=4", "PReLU prelu0 1 1 c0", 0,
         "lacks the name of a blob"},
        {&srvgg, "Split split 1 2 data d0 d1", "BinaryOp split 2 2 data s d0 d1 0=0", 0,
         "the graph has a cycle"},
        {&srvgg, "PReLU prelu0 1 1 c0 p0", "PReLU prelu0 1 1 p0 p0", 0,
         "blobs c0 and output are both outputs"},
        {&srvgg, "PReLU prelu0 1 1 c0 p0", "PReLU prelu0 1 1 c0 c0", 0, "writes blob c0"},
        {&srvgg, "PReLU prelu0 1 1 c0 p0", "PReLU prelu0 0 1 p0", 0, "layer prelu0 has no input"},
        {&srvgg, "PReLU prelu0",
         "PReLU "
         "a_name_that_is_longer_than_any_layer_of_any_network_should_ever_need_to_have",
         0, "lacks its type, name or counts"},
        /* parameters */
        {&srvgg, " 0=4 1=3", " 0=4 =3", 0, "'=3' is not a parameter"},
        {&srvgg, " 0=4 1=3", " 0=4 13", 0, "'13' is not a parameter"},
        {&srvgg, " 0=4 1=3", " 0=4 1=", 0, "'1=' is not of 1 numbers"},
        {&srvgg, " 0=4 1=3", " 0=4 1=3x", 0, "'1=3x' is not of 1 numbers"},
        {&srvgg, " 0=4 1=3", " 0=4 0=4 1=3", 0, "parameter 0 occurs twice"},
        {&srvgg, " 0=4 1=3", " 0=4 99999999999=3", 0, "is not a parameter"},
        {&rrdb, "-23310=1,", "-23310=2,", 0, "is not of 2 numbers"},
        {&rrdb, "-23310=1,", "-23310=5,", 0, "is not an array of 1 to 4 numbers"},
        {&rrdb, "-23310=1,", "-23310=", 0, "is not an array of 1 to 4 numbers"},
        {&rrdb, "-23310=1,", "-23309=1,", 0, "parameter 9 occurs twice"},
        /* convolutions */
        {&srvgg, " 1=3 4=1", " 1=1 4=1", 0, "layer body.0: expected a 3x3 convolution"},
        {&srvgg, " 1=3 4=1", " 1=3 11=1 4=1", 0, "expected a 3x3 convolution"},
        {&srvgg, " 1=3 4=1", " 1=3 2=2 4=1", 0, "expected a 3x3 convolution"},
        {&srvgg, " 1=3 4=1", " 1=3 3=2 4=1", 0, "expected a 3x3 convolution"},
        {&srvgg, " 1=3 4=1", " 1=3 4=0", 0, "expected a 3x3 convolution"},
        {&srvgg, " 1=3 4=1", " 1=3 4=1 15=0", 0, "expected a 3x3 convolution"},
        {&srvgg, " 1=3 4=1", " 1=3 4=1 18=1", 0, "expected a 3x3 convolution"},
        {&srvgg, " 1=3 4=1", " 1=3 4=1 8=2", 0, "expected a 3x3 convolution"},
        {&srvgg, " 1=3 4=1", " 1=3 4=1 19=1", 0, "expected a 3x3 convolution"},
        {&srvgg, " 1=3 4=1 5=1", " 1=3 4=1", 0, "expected a 3x3 convolution"},
        {&srvgg, " 0=4 1=3", " 0=0 1=3", 0, "expected a 3x3 convolution"},
        {&srvgg, " 0=4 1=3", " 0=4.5 1=3", 0, "expected a 3x3 convolution"},
        {&srvgg, " 0=4 1=3", " 0=nan 1=3", 0, "expected a 3x3 convolution"},
        {&srvgg, " 0=4 1=3", " 0=5 1=3", 0, "convolution body.0 has 5 outputs, 108 weights"},
        {&srvgg, " 0=4 1=3", " 0=513 1=3", 0, "513 outputs, 108 weights"},
        {&srvgg, " 6=108", " 6=107", 0, "convolution body.0 has 4 outputs, 107 weights"},
        {&srvgg, " 6=144", " 6=999999999", 0, "convolution body.2 has"},
        {&srvgg, "PReLU prelu0 1 1 c0 p0 0=4", "PReLU prelu0 1 1 c0 p0 0=5", 0,
         "convolution body.2: weights of kind"},
        {&srvgg, " 6=108", " 6=108 9=2 -23310=1,0.2", 0, NOT_SRVGG},
        {&srvgg, " 6=108", " 6=108 9=3", 0, "layer body.0: activation 3"},
        /* SRVGGNetCompact's graph */
        {&srvgg, "PReLU prelu0 1 1 c0 p0 0=4", "ReLU prelu0 1 1 c0 p0 0=0.2", 0,
         "convolution body.2: weights of kind"},
        {&srvgg, "Convolution body.2 1 1 p0", "Convolution body.2 1 1 c0", 0, "are both outputs"},
        {&srvgg, "shuffle 1 1 c2 s 0=2", "shuffle 1 1 c2 s 0=3", 0, NOT_SRVGG},
        {&srvgg, "shuffle 1 1 c2 s 0=2", "shuffle 1 1 c2 s 0=2 1=1", 0,
         "of type PixelShuffle is not part"},
        {&srvgg, "shuffle 1 1 c2 s 0=2", "shuffle 1 1 c2 s 0=-2", 0, "layer shuffle: factor -2"},
        {&srvgg, "nearest 1 1 d1 n 0=1", "nearest 1 1 d1 n 0=4", 0, "expected one factor"},
        {&srvgg, "nearest 1 1 d1 n 0=1 1=2.0", "nearest 1 1 d1 n 0=1 1=3.0", 0,
         "expected one factor"},
        {&srvgg, "1=2.0 2=2.0", "1=3.0 2=3.0", 0, NOT_SRVGG},
        {&srvgg, "1=2.0 2=2.0", "1=2.0 2=2.0 3=64 4=64", 0, "no fixed size"},
        {&srvgg, "nearest 1 1 d1 n 0=1", "nearest 1 1 d1 n 0=3", 0, NOT_SRVGG},
        {&srvgg, "BinaryOp add 2 1 s n output", "BinaryOp add 2 1 s n output 0=4", 0,
         "layer add: expected"},
        {&srvgg, "BinaryOp add 2 1 s n", "BinaryOp add 2 1 s s", 0, "are both outputs"},
        {&srvgg, "BinaryOp add 2 1 s n", "BinaryOp add 2 1 s d1", 0, "are both outputs"},
        {&srvgg, "BinaryOp add 2 1 s n output", "BinaryOp add 2 1 s n output 0=1", 0, NOT_SRVGG},
        {&srvgg, "BinaryOp add 2 1 s n output", "BinaryOp add 1 1 s output", 0,
         "layer add: expected"},
        {&srvgg, "BinaryOp add", "Permute add", 0, "layer add of type Permute is not part"},
        {&srvgg, "Split split", "Noop split", 0, "layer split of type Noop is not part"},
        {&srvgg, "Convolution body.2", "ConvolutionDepthWise body.2", 0, "is not part of RRDBNet"},
        {&srvgg, "Convolution body.2", "InnerProduct body.2", 0, "is not part of RRDBNet"},
        /* RRDBNet's graph */
        {&rrdb, " first b0_0_1 b0_0_1_in", " b0_0_1 first b0_0_1_in", 0, NOT_RRDB},
        {&rrdb, " first b0_0_1 b0_0_2 b0_0_2_in", " first b0_0_2 b0_0_1 b0_0_2_in", 0, NOT_RRDB},
        {&rrdb, "0=1 -23301=2,0.2,1.0", "0=1 -23301=2,0.1,1.0", 0, NOT_RRDB},
        {&rrdb, "0=1 -23301=2,0.2,1.0", "0=1 -23301=2,1.0,0.2", 0, NOT_RRDB},
        {&rrdb, "0=1 -23301=2,0.2,1.0", "0=1 -23301=2,1.0,2.0", 0, NOT_RRDB},
        {&rrdb, "0=1 -23301=2,0.2,1.0", "0=0 -23301=2,0.2,1.0", 0, "expected a sum of two"},
        {&rrdb, "2=0.2", "2=0.25", 0, NOT_RRDB},
        {&rrdb, "2=0.2", "2=inf", 0, NOT_RRDB},
        {&rrdb, "BinaryOp sum0 2 1 m0 first x0", "BinaryOp sum0 2 1 m0 m0 x0", 0, NOT_RRDB},
        {&rrdb, "BinaryOp feat 2 1 first body", "BinaryOp feat 2 1 x0 body", 0, NOT_RRDB},
        {&rrdb, "2.000000e-01", "1.000000e-01", 3, NOT_RRDB},
        {&rrdb, "ReLU relu 1 1 u2 r2 0=0.2", "ReLU relu 1 1 u2 r2", 0, NOT_RRDB},
        {&rrdb, "up2 1 1 u1 n2 0=1 1=2.0 2=2.0", "up2 1 1 u1 n2 0=1 1=4.0 2=4.0", 0, NOT_RRDB},
        {&rrdb, "up2 1 1 u1 n2 0=1", "up2 1 1 u1 n2 0=2", 0, NOT_RRDB},
        {&rrdb, "Convolution conv_last 1 1 hr", "Convolution conv_last 1 1 r2", 0,
         "are both outputs"},
        {&rrdb, "Concat cat_b0_0_1 2 1", "Concat cat_b0_0_1 3 1 first", 0, NOT_RRDB},
        {&rrdb, "b0_0_1_in\n", "b0_0_1_in 0=1\n", 0, "of type Concat is not part"},
        {&rrdb, " 0=3 1=3", " 0=4 1=3", 0, "ends within layer conv_last"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        TestBuffer param = prepare(cases[i].spec);
        test_replace(&param, cases[i].old, cases[i].replacement, cases[i].skip);
        refuse(&param, cases[i].words);
        free(param.data);
    }
}

/* More layers that no path to the output needs. */
static void test_dead_layers(void **state)
{
    (void)state;
    TestBuffer param = prepare(&srvgg);
    test_replace(&param, "\n10 11\n", "\n11 12\n", 0);
    test_replace(&param, "PixelShuffle",
                 "Convolution dead 1 1 p0 dead 0=4 1=3 4=1 5=1 6=144\nPixelShuffle", 0);
    refuse(&param, "are both outputs");
    free(param.data);
    param = prepare(&srvgg);
    test_replace(&param, "\n10 11\n", "\n11 12\n", 0);
    test_replace(&param, "PReLU prelu0", "Interp r 1 1 c0 r 0=2 1=1.5 2=1.5\nPReLU prelu0", 0);
    refuse(&param, "are both outputs");
    free(param.data);
    param = prepare(&srvgg);
    test_replace(&param, "\n10 11\n", "\n11 12\n", 0);
    test_add_text(&param, "Interp last 1 1 output r 0=3 1=9 2=9\n");
    refuse(&param, "a resize of the output by 9");
    free(param.data);
    param = prepare(&srvgg);
    param.bytes = 1 << 23;
    param.data = realloc(param.data, param.bytes);
    assert_non_null(param.data);
    memset(param.data + 9, ' ', param.bytes - 9);
    refuse(&param, "8388608 bytes; at most 4194304");
    free(param.data);
}

/* Layers in another order, and other names: the same network. */
static void test_other_order(void **state)
{
    (void)state;
    ResrModel *model = test_random_model(&srvgg, 5), *read;
    TestBuffer param = prepare(&srvgg);
    test_replace(&param, "PixelShuffle shuffle 1 1 c2 s 0=2\n", "", 0);
    test_replace(&param, "Input input 0 1 data\n",
                 "PixelShuffle s_1 1 1 c2 s 0=2\nInput in0 0 1 data\n", 0);
    assert_int_equal(test_read(&read, read_param, &param), 0);
    assert_memory_equal(read->arena, model->arena, model->arena_floats * sizeof(float));
    resr_model_free(read);
    resr_model_free(model);
    free(param.data);
}

/* A dense block without its factor 0.2: an optimiser has multiplied the weights of conv5. */
static void test_multiplied_weights(void **state)
{
    (void)state;
    ResrModel *model = test_random_model(&rrdb, 5), *read;
    TestBuffer param = prepare(&rrdb);
    test_replace(&param, "0=1 -23301=2,0.2,1.0", "0=1", 0);
    assert_int_equal(test_read(&read, read_param, &param), 0);
    for (int i = 0; i < model->n_convs; i++) {
        const ResrConv *file = &model->convs[i], *network = &read->convs[i];
        float factor = i == 5 ? 5 : 1; /* body.0.rdb1.conv5 */
        assert_float_equal(network->weight[0], factor * file->weight[0], 1e-6f);
        assert_float_equal(network->bias[0], factor * file->bias[0], 1e-6f);
    }
    resr_model_free(read);
    resr_model_free(model);
    free(param.data);
}

/* The .bin: too short, too long, of unknown kinds, with impossible values. */
static void test_bin(void **state)
{
    (void)state;
    static const struct {
        size_t offset; /* of four bytes that are replaced */
        uint32_t value;
        const char *words;
    } changes[] = {
        {0, 0x000D4B38, "convolution body.0: weights of kind 000d4b38"},
        {0, 0x0002C056, "convolution body.0: weights of kind 0002c056"},
        {0, 0x01306B48, "weights of kind 01306b48"},
        {0, 1, "weights of kind 00000001"},
        {0, 0x01306B47, "convolution body.2: weights of kind"}, /* fp32 weights read as fp16 */
        {4, 0x7fc00000, "body.0: value 0 is nan"},
        {4, 0x7f800000, "body.0: value 0 is inf"},
        {4 + 4 * 108, 0x7f7fffff, "body.0: value 0 is"},      /* a bias */
        {4 + 4 * 113, 0xff800000, "body.0: value 1 is -inf"}, /* a slope */
    };
    ResrModel *model = test_random_model(&srvgg, 5), *read;
    TestBuffer param = prepare(&srvgg), bin = test_ncnn_bin(model);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        uint8_t saved[4];
        memcpy(saved, bin.data + changes[i].offset, 4);
        memcpy(bin.data + changes[i].offset, &changes[i].value, 4);
        write_bin(&bin);
        refuse(&param, changes[i].words);
        memcpy(bin.data + changes[i].offset, saved, 4);
    }
    size_t whole = bin.bytes;
    for (bin.bytes = 16; bin.bytes < whole; bin.bytes++) {
        write_bin(&bin);
        refuse(&param, "ends");
    }
    test_add_number(&bin, 0, 1);
    write_bin(&bin);
    refuse(&param, "has 1 bytes after the last layer");
    assert_int_equal(remove(test_in_folder("m.bin")), 0);
    assert_int_equal(test_read(&read, read_param, &param), RESR_ERR_NOINPUT);
    assert_non_null(strstr(resr_error_text(), "m.param needs its .bin"));
    free(bin.data);
    free(param.data);
    resr_model_free(model);
}

/* A changed character gives the same network or an error; a cut text an error. */
static void test_every_character(void **state)
{
    (void)state;
    ResrModel *expected = test_random_model(&srvgg, 5);
    TestBuffer param = prepare(&srvgg);
    test_every_change(read_param, &param, "\x01\x02\x04\x08\x10\x20\x40\x80", expected);
    test_every_cut(read_param, &param, 1, param.bytes - strlen("output\n"));
    free(param.data);
    resr_model_free(expected);
}

TEST_MAIN_IN(test_create_group_folder, test_remove_group_folder, test_graphs, test_dead_layers,
             test_other_order, test_multiplied_weights, test_bin, test_every_character)
