/* ONNX files that break one rule each, and files that spell the same network in another way. */

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "onnx_files.h"
#include "random_model.h"

static const ResrNetSpec srvgg = {RESR_ARCH_SRVGG, 2, 1, 1, 4, 0, 3, 0, 1};

static ResrModel *make_model(const ResrNetSpec *spec)
{
    ResrModel *model;
    assert_int_equal(resr_random_model(&model, spec, 5, 1.0), 0);
    return model;
}

/* Reads and frees a file, from memory of exactly its size. */
static int read_file(ResrModel **out, TestBuffer file)
{
    int ret = test_read(out, resr_model_read_onnx, &file);
    free(file.data);
    return ret;
}

static void refuse(TestBuffer file, const char *words)
{
    ResrModel *model;
    int ret = read_file(&model, file);
    if (ret != RESR_ERR_DATA || !strstr(resr_error_text(), words))
        fail_msg("returned %d and '%s', expected '%s'", ret, resr_error_text(), words);
    assert_null(model);
}

/* The file is the network of `expected`. */
static void accept(TestBuffer file, const ResrModel *expected)
{
    ResrModel *model;
    if (read_file(&model, file) != 0)
        fail_msg("refused: %s", resr_error_text());
    assert_true(resr_spec_equal(&model->spec, &expected->spec));
    assert_memory_equal(model->arena, expected->arena, expected->arena_floats * sizeof(float));
    resr_model_free(model);
}

static void test_round_trips(void **state)
{
    (void)state;
    static const ResrNetSpec specs[] = {
        {RESR_ARCH_RRDB, 4, 1, 2, 4, 2, 3, 0, 1},  {RESR_ARCH_RRDB, 2, 1, 1, 4, 2, 3, 0, 1},
        {RESR_ARCH_RRDB, 2, 2, 1, 4, 2, 3, 0, 1},  {RESR_ARCH_RRDB, 1, 1, 1, 4, 2, 4, 0, 1},
        {RESR_ARCH_RRDB, 1, 4, 1, 4, 2, 3, 0, 1},  {RESR_ARCH_RRDB, 8, 1, 1, 4, 2, 1, 0, 1},
        {RESR_ARCH_SRVGG, 4, 1, 3, 4, 0, 3, 0, 1}, {RESR_ARCH_SRVGG, 1, 1, 0, 4, 0, 1, 0, 1},
        {RESR_ARCH_SPAN, 4, 1, 2, 4, 0, 3, 1, 1},  {RESR_ARCH_SPAN, 2, 1, 1, 4, 0, 3, 0, 1},
    };
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        ResrModel *model = make_model(&specs[i]);
        accept(test_onnx(model), model);
        resr_model_free(model);
    }
}

/* A graph of the small SRVGGNetCompact without its ends. */
static TestOnnx parts(void)
{
    TestOnnx onnx = {0};
    ResrModel *model = make_model(&srvgg);
    test_onnx_add_model(&onnx, model);
    resr_model_free(model);
    return onnx;
}

static TestBuffer finish(TestOnnx *onnx)
{
    static const int64_t dims[] = {1, 3, 24, 16};
    test_onnx_add_input(onnx, "input", dims, 4);
    test_onnx_add_output(onnx, "output");
    return test_onnx_file(onnx);
}

/* The file with a text replaced by another of the same length, so that all lengths remain. */
static void refuse_replaced(const char *old, const char *replacement, int skip, const char *words)
{
    TestOnnx onnx = parts();
    TestBuffer file = finish(&onnx);
    assert_int_equal(strlen(old), strlen(replacement));
    test_replace(&file, old, replacement, skip);
    refuse(file, words);
}

static void test_replaced(void **state)
{
    (void)state;
    static const struct {
        const char *old, *replacement;
        int skip;
        const char *words;
    } cases[] = {
        {"\x04"
         "Conv",
         "\x04"
         "Cosh",
         0, "operator c0 (Cosh): it is not part of RRDBNet"},
        {"PRelu", "QRelu", 0, "operator p0 (QRelu): it is not part"},
        {"body.0.weight", "body.9.weight", 0, "an operator reads body.9.weight, which none writes"},
        {"body.0.weight", "body.2.weight", 1, "two operators or tensors write body.2.weight"},
        {"body.0.weight", "body.4.weight", 0, "expected constant weights"},
        {"body.0.slope", "body.4.slope", 0, "an operator reads body.4.slope"},
        {"CRD", "DCR", 0, "PyTorch's order of channels"},
        {"nearest", "bicubic", 0, "expected a nearest enlargement"},
        {"asymmetric", "half_pixel", 0, "does not repeat pixels"},
        {"asymmetric", "align_corn", 0, "does not repeat pixels"},
        {"\x06"
         "output",
         "\x06"
         "outpuT",
         2, "no operator writes the output outpuT"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refuse_replaced(cases[i].old, cases[i].replacement, cases[i].skip, cases[i].words);
}

static TestBuffer with_node(TestBuffer node)
{
    TestOnnx onnx = parts();
    test_onnx_add_node(&onnx, node);
    return finish(&onnx);
}

/* The output goes through one more operator. */
static TestBuffer with_last(TestBuffer node)
{
    static const int64_t dims[] = {0, 3, 0, 0};
    TestOnnx onnx = parts();
    test_onnx_add_node(&onnx, node);
    test_onnx_add_input(&onnx, "input", dims, 4);
    test_onnx_add_output(&onnx, "last");
    return test_onnx_file(&onnx);
}

static void test_operators(void **state)
{
    (void)state;
    TestBuffer node = test_onnx_node("If", "output", "last");
    refuse(with_last(node), "operator last (If): it is not part");
    node = test_onnx_node("Identity", "output", "last");
    test_pb_text(&node, 7, "com.microsoft");
    refuse(with_last(node), "domain com.microsoft is not ONNX's own");
    refuse(with_last(test_onnx_node("Identity", "", "last")), "expected an operand");
    refuse(with_last(test_onnx_node("Identity", "nowhere", "last")), "reads nowhere");
    refuse(with_last(test_onnx_node("Identity", "last", "last")), "the graph has a cycle");
    refuse(with_last(test_onnx_node("Identity", "output", "output")),
           "two operators or tensors write output");
    refuse(with_last(test_onnx_node("Identity", "scales", "last")), "expected a map with 4");
    refuse(with_last(test_onnx_node("Relu", "output", "last")), "is not that of SRVGGNetCompact");
    refuse(with_last(test_onnx_node("Add", "output input", "last")), "two maps of one size");
    refuse(with_last(test_onnx_node("Div", "output output", "last")), "two maps of one size");
    refuse(with_last(test_onnx_node("Mul", "output body.0.bias", "last")),
           "expected a constant of one number");
    node = test_onnx_node("Cast", "output", "last");
    test_onnx_int(&node, "to", 2);
    refuse(with_last(node), "a conversion to type 2");
    node = test_onnx_node("LeakyRelu", "output", "last");
    test_onnx_float(&node, "alpha", 0.1f);
    test_onnx_float(&node, "alpha", 0.2f);
    refuse(with_last(node), "attribute alpha occurs twice");
    int64_t many[20] = {0}, order[] = {0, 1, 1, 3}, huge[] = {1, 1 << 30, 1 << 30, 1 << 30};
    node = test_onnx_node("Transpose", "output", "last");
    test_onnx_ints(&node, "perm", many, 20);
    refuse(with_last(node), "more than 16 numbers");
    node = test_onnx_node("Transpose", "output", "last");
    test_onnx_ints(&node, "perm", order, 4);
    refuse(with_last(node), "does not name each dimension once");
    TestOnnx onnx = parts();
    test_onnx_add_ints(&onnx, "huge", huge, 4);
    test_onnx_add_node(&onnx, test_onnx_node("Reshape", "output huge", "last"));
    test_onnx_add_node(&onnx, test_onnx_node("Identity", "last", "unused"));
    static const int64_t dims[] = {1, 3, 16, 16};
    test_onnx_add_input(&onnx, "input", dims, 4);
    test_onnx_add_output(&onnx, "last");
    refuse(test_onnx_file(&onnx), "a shape of 4 sizes does not fit");
    onnx = parts();
    test_onnx_add_ints(&onnx, "four", (int64_t[]){4}, 1);
    test_onnx_add_node(&onnx, test_onnx_node("Gather", "scales four", "last"));
    test_onnx_add_input(&onnx, "input", dims, 4);
    test_onnx_add_output(&onnx, "last");
    refuse(test_onnx_file(&onnx), "index 4 of 4 numbers");
    char operands[256] = "";
    for (int i = 0; i < 65; i++)
        strcat(operands, "c0 ");
    refuse(with_node(test_onnx_node("Concat", operands, "x")), "more than 64 operands");
}

static void test_dead_operators(void **state)
{
    (void)state;
    ResrModel *model = make_model(&srvgg);
    accept(with_node(test_onnx_node("If", "c0", "unused")), model);
    resr_model_free(model);
}

/* Convolutions that differ in one attribute or operand. */
static void test_convolutions(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int64_t value;
        const char *words;
    } cases[] = {{"strides", 2, "stride 1"},
                 {"dilations", 2, "stride 1"},
                 {"pads", 0, "padding of half the kernel"},
                 {"kernel_shape", 5, "stride 1"},
                 {"group", 3, "one group"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        TestBuffer node = test_onnx_node("Conv", "output body.0.weight body.0.bias", "last");
        int64_t values[] = {cases[i].value, cases[i].value};
        int64_t ones[] = {1, 1, 1, 1};
        if (strcmp(cases[i].name, "pads") != 0)
            test_onnx_ints(&node, "pads", ones, 4);
        if (strcmp(cases[i].name, "group") == 0)
            test_onnx_int(&node, "group", cases[i].value);
        else
            test_onnx_ints(&node, cases[i].name, values, 2);
        refuse(with_last(node), cases[i].words);
    }
    refuse(with_last(test_onnx_node("Conv", "output body.0.weight", "last")),
           "expected a constant bias of 4 numbers");
    refuse(with_last(test_onnx_node("Conv", "output body.0.weight body.4.bias", "last")),
           "expected a constant bias of 4 numbers");
    refuse(with_last(test_onnx_node("Conv", "output input body.0.bias", "last")),
           "expected constant weights");
    refuse(with_last(test_onnx_node("Conv", "output", "last")), "expected constant weights");
}

static TestBuffer with_tensor(TestBuffer tensor)
{
    TestOnnx onnx = parts();
    test_onnx_add_tensor(&onnx, tensor);
    return finish(&onnx);
}

static void test_every_tensor(void **state)
{
    (void)state;
    static const int64_t four[] = {4}, huge[] = {1 << 30, 1 << 30, 1 << 30}, negative[] = {-4};
    static const int64_t nine[] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    float values[4] = {1, 2, 3, 4};
    refuse(with_tensor(test_onnx_tensor("t", 1, four, 1, values, 12)),
           "tensor t: 12 bytes for 4 elements of 4 bytes");
    refuse(with_tensor(test_onnx_tensor("t", 10, four, 1, values, 16)),
           "tensor t: 16 bytes for 4 elements of 2 bytes");
    refuse(with_tensor(test_onnx_tensor("t", 3, four, 1, values, 4)), "not quantised ones");
    refuse(with_tensor(test_onnx_tensor("t", 8, four, 1, values, 4)), "data of type 8");
    refuse(with_tensor(test_onnx_tensor("t", 1, huge, 3, values, 16)), "sizes out of range");
    refuse(with_tensor(test_onnx_tensor("t", 1, negative, 1, values, 16)), "sizes out of range");
    refuse(with_tensor(test_onnx_tensor("t", 1, nine, 9, values, 4)), "more than 8 dimensions");
    refuse(with_tensor(test_onnx_tensor("scales", 1, four, 1, values, 16)),
           "two operators or tensors write scales");
    TestBuffer tensor = {0}, entry = {0};
    test_pb_text(&entry, 1, "location");
    test_pb_text(&entry, 2, "weights\n.data");
    test_pb_number(&tensor, 1, 4);
    test_pb_number(&tensor, 2, 1);
    test_pb_text(&tensor, 8, "t");
    test_pb_message(&tensor, 13, &entry);
    test_pb_number(&tensor, 14, 1);
    refuse(with_tensor(tensor), "tensor t lies in another file (weights?.data)");
    tensor = (TestBuffer){0};
    test_pb_number(&tensor, 1, 4);
    test_pb_number(&tensor, 2, 1);
    test_pb_text(&tensor, 8, "t");
    test_pb_bytes(&tensor, 4, values, 12);
    refuse(with_tensor(tensor), "12 bytes for 4 elements");
    tensor = (TestBuffer){0};
    test_pb_number(&tensor, 1, 4);
    test_pb_number(&tensor, 2, 7);
    test_pb_text(&tensor, 8, "t");
    test_pb_bytes(&tensor, 7, "\1\2\3", 3);
    refuse(with_tensor(tensor), "tensor t has 3 numbers for 4 elements");
}

static void test_weights(void **state)
{
    (void)state;
    static const float wrong[] = {NAN, INFINITY, -INFINITY, 1e5f};
    ResrModel *model = make_model(&srvgg);
    for (int i = 0; i < 4; i++) {
        for (int kind = 0; kind < 3; kind++) {
            const ResrConv *conv = &model->convs[0];
            float *value = kind == 0   ? &conv->weight[5]
                           : kind == 1 ? &conv->bias[1]
                                       : &conv->slope[2];
            float saved = *value;
            *value = wrong[i];
            refuse(test_onnx(model), "body.0: value");
            *value = saved;
        }
    }
    resr_model_free(model);
}

static void refuse_input(const int64_t *dims, int rank, const char *words)
{
    TestOnnx onnx = parts();
    test_onnx_add_input(&onnx, "input", dims, rank);
    test_onnx_add_output(&onnx, "output");
    refuse(test_onnx_file(&onnx), words);
}

static void test_ends(void **state)
{
    (void)state;
    static const int64_t two[] = {1, 2, 8, 8}, pair[] = {2, 3, 8, 8}, five[] = {1, 3, 8, 8, 8};
    static const int64_t gray[] = {1, 1, 8, 8}, open[] = {0, 0, 0, 0};
    refuse_input(two, 4, "2 channels");
    refuse_input(open, 4, "0 channels");
    refuse_input(pair, 4, "2 pictures");
    refuse_input(five, 5, "the input has 5 sizes");
    refuse_input(gray, 4, "a 3x3 convolution (or 1x1) of 1 channels");
    TestOnnx onnx = parts();
    test_onnx_add_output(&onnx, "output");
    refuse(test_onnx_file(&onnx), "a graph with 0 inputs");
    onnx = parts();
    test_onnx_add_input(&onnx, "second", five, 4);
    refuse(finish(&onnx), "a graph with 2 inputs");
    onnx = parts();
    test_onnx_add_output(&onnx, "c0");
    refuse(finish(&onnx), "and 2 outputs");
    onnx = parts();
    test_onnx_add_input(&onnx, "input", five, 4);
    refuse(test_onnx_file(&onnx), "and 0 outputs");
    onnx = parts();
    test_pb_text(&onnx.tensors, 15, "");
    refuse(finish(&onnx), "sparse tensors");
    onnx = parts();
    onnx.opset = 6;
    refuse(finish(&onnx), "operator set 6 is not supported; 7 to 30");
    onnx = parts();
    onnx.opset = 31;
    refuse(finish(&onnx), "operator set 31");
}

static TestBuffer file_of(const void *data, size_t bytes)
{
    TestBuffer file = {0};
    test_pb_number(&file, 1, 8);
    test_add(&file, data, bytes);
    return file;
}

/* Protobuf's wire format. */
static void test_wire(void **state)
{
    (void)state;
    refuse(file_of("", 0), "an ONNX file with 0 graphs");
    refuse(file_of("\x3a\x00\x3a\x00", 4), "an ONNX file with 2 graphs");
    refuse(file_of("\x3a\x00", 2), "a graph with 0 operators");
    refuse(file_of("\x00\x00", 2), "field 0, which no message can have");
    refuse(file_of("\x80\x80\x80\x80\x80\x01\x00", 7), "which no message can have");
    refuse(file_of("\x3b\x3c", 2), "field 7 has type 3; groups");
    refuse(file_of("\x3f", 1), "field 7 has type 7");
    refuse(file_of("\x3a\x05zzz", 5), "field 7 extends beyond its message");
    refuse(file_of("\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01zzz", 14), "extends beyond");
    refuse(file_of("\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11), "more than 64 bits");
    refuse(file_of("\x10\x80", 2), "is cut off");
    refuse(file_of("\x11zzzz", 5), "field 2 extends beyond");
    refuse(file_of("\x15zzz", 4), "field 2 extends beyond");
}

/* 20,001 empty operators, 20,001 empty tensors. */
static void test_counts(void **state)
{
    (void)state;
    for (int field = 1; field <= 5; field += 4) {
        TestBuffer graph = {0}, file = {0};
        for (int i = 0; i <= 20000; i++)
            test_pb_bytes(&graph, field, "", 0);
        test_pb_number(&file, 1, 8);
        test_pb_message(&file, 7, &graph);
        refuse(file, "more than 20000 operators");
    }
}

/* A changed byte gives a network or an error; a file that is cut gives an error. */
static void test_every_byte(void **state)
{
    (void)state;
    static const ResrNetSpec smallest = {RESR_ARCH_SRVGG, 1, 1, 0, 1, 0, 1, 0, 1};
    ResrModel *model = make_model(&smallest), *read;
    TestBuffer file = test_onnx(model);
    for (size_t i = 0; i < file.bytes; i++)
        for (int change = 1; change < 256; change *= 2) {
            TestBuffer copy = {0};
            test_add(&copy, file.data, file.bytes);
            copy.data[i] ^= (uint8_t)change;
            int ret = read_file(&read, copy);
            assert_true(ret == 0 || ret == RESR_ERR_DATA);
            resr_model_free(read);
        }
    size_t opset = 6; /* the last field, which may be absent */
    for (size_t bytes = 0; bytes < file.bytes - opset; bytes++) {
        TestBuffer copy = {0};
        test_add(&copy, file.data, bytes);
        assert_int_equal(read_file(&read, copy), RESR_ERR_DATA);
    }
    free(file.data);
    resr_model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips),  cmocka_unit_test(test_replaced),
        cmocka_unit_test(test_operators),    cmocka_unit_test(test_dead_operators),
        cmocka_unit_test(test_convolutions), cmocka_unit_test(test_every_tensor),
        cmocka_unit_test(test_weights),      cmocka_unit_test(test_ends),
        cmocka_unit_test(test_wire),         cmocka_unit_test(test_counts),
        cmocka_unit_test(test_every_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
