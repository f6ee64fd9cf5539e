/* State dicts that are no network, and .safetensors files that break one rule each. */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model_files.h"
#include "test_main.h"

enum { MAX_TENSORS = 64 };

static const ResrNetSpec rrdb = {RESR_ARCH_RRDB, 2, 2, 1, 4, 2, 3, 0, 1};
static const ResrNetSpec srvgg = {RESR_ARCH_SRVGG, 2, 1, 1, 4, 0, 3, 0, 1};

/* The model's state dict, in an order that is not the network's. */
static size_t state_dict(ResrTensor out[MAX_TENSORS], const ResrModel *model)
{
    TestTensor tensors[MAX_TENSORS];
    int n = test_tensors(tensors, MAX_TENSORS, model);
    for (int i = 0; i < n; i++) {
        const TestTensor *from = &tensors[n - 1 - i];
        out[i] = (ResrTensor){.rank = from->rank, .data = (const uint8_t *)from->values};
        memcpy(out[i].name, from->name, sizeof from->name);
        for (int k = 0; k < from->rank; k++)
            out[i].shape[k] = from->shape[k];
    }
    return (size_t)n;
}

static ResrTensor *find(ResrTensor *tensors, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(tensors[i].name, name) == 0)
            return &tensors[i];
    fail_msg("%s", name);
    return NULL;
}

static void refuse(ResrTensor *tensors, size_t n, const char *words)
{
    ResrModel *model;
    test_refused(resr_model_from_tensors(&model, tensors, n), words);
    assert_null(model);
}

/* One tensor renamed, or left out if the new name is empty. */
static void test_renamed_tensor(void **state)
{
    (void)state;
    static const struct {
        const ResrNetSpec *spec;
        const char *tensor, *renamed, *words;
    } cases[] = {
        {&rrdb, "conv_hr.bias", "", "tensor conv_hr.bias of shape [4] is missing"},
        {&rrdb, "conv_hr.weight", "", "tensor conv_hr.weight of shape [4, 4, 3, 3] is missing"},
        {&rrdb, "body.0.rdb3.conv5.weight", "", "conv5.weight of shape [4, 12, 3, 3] is missing"},
        {&rrdb, "body.0.rdb1.conv1.weight", "", "body.0.rdb1.conv1.weight is missing"},
        {&rrdb, "conv_first.weight", "", "neither conv_first.weight (RRDBNet) nor"},
        {&rrdb, "conv_first.weight", "body.0.weight", "gives scale * scale"},
        {&rrdb, "conv_hr.bias", "conv_hx.bias", "tensor conv_hr.bias of shape [4] is missing"},
        {&rrdb, "conv_hr.bias", "conv_last.bias", "tensor conv_last.bias occurs twice"},
        {&srvgg, "body.0.weight", "", "neither conv_first.weight"},
        {&srvgg, "body.1.weight", "", "tensor body.1.weight of shape [4] is missing"},
        {&srvgg, "body.4.weight", "", "gives 4 channels"},
        {&srvgg, "body.2.weight", "", "body.0.weight, the last convolution, gives 4 channels"},
        {&srvgg, "body.3.weight", "body.5.weight", "body.3.weight of shape [4] is missing"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ResrTensor tensors[MAX_TENSORS];
        ResrModel *model = test_random_model(cases[i].spec, 5);
        size_t n = state_dict(tensors, model);
        ResrTensor *tensor = find(tensors, n, cases[i].tensor);
        if (cases[i].renamed[0])
            snprintf(tensor->name, sizeof tensor->name, "%s", cases[i].renamed);
        else
            *tensor = tensors[--n];
        refuse(tensors, n, cases[i].words);
        resr_model_free(model);
    }
}

static void test_other_shape(void **state)
{
    (void)state;
    static const struct {
        const ResrNetSpec *spec;
        const char *tensor;
        int rank;
        int64_t shape[4];
        const char *words;
    } cases[] = {
        {&rrdb, "conv_hr.bias", 1, {5}, "tensor conv_hr.bias has shape [5], expected [4]"},
        {&rrdb, "conv_hr.bias", 2, {4, 1}, "has shape [4, 1], expected [4]"},
        {&rrdb, "conv_hr.bias", 0, {0}, "has shape [], expected [4]"},
        {&rrdb, "conv_hr.weight", 4, {4, 4, 1, 9}, "has shape [4, 4, 1, 9], expected"},
        {&rrdb, "conv_first.weight", 4, {4, 5, 3, 3}, "conv_first.weight takes 5 channels"},
        {&rrdb, "conv_first.weight", 1, {4}, "conv_first.weight has shape [4], expected"},
        {&rrdb, "conv_first.weight", 4, {INT64_MAX, 12, 3, 3}, "0 features"},
        {&rrdb, "conv_first.weight", 4, {513, 12, 3, 3}, "513 features"},
        {&rrdb, "body.0.rdb1.conv1.weight", 4, {513, 4, 3, 3}, "513 growth"},
        {&rrdb, "body.0.rdb1.conv1.weight", 4, {3, 4, 3, 3}, "expected [3]"},
        {&srvgg,
         "body.4.weight",
         4,
         {13, 4, 3, 3},
         "body.4.weight, the last convolution, gives 13"},
        {&srvgg, "body.4.weight", 4, {0, 4, 3, 3}, "scale 0"},
        {&srvgg, "body.4.weight", 4, {243, 4, 3, 3}, "scale 9"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ResrTensor tensors[MAX_TENSORS];
        ResrModel *model = test_random_model(cases[i].spec, 5);
        size_t n = state_dict(tensors, model);
        ResrTensor *tensor = find(tensors, n, cases[i].tensor);
        tensor->rank = cases[i].rank;
        memcpy(tensor->shape, cases[i].shape, sizeof tensor->shape);
        refuse(tensors, n, cases[i].words);
        resr_model_free(model);
    }
}

static void test_more_tensors(void **state)
{
    (void)state;
    static const char *const names[] = {"extra.weight", "body.1.rdb1.conv2.weight",
                                        "body.0.weight"};
    ResrTensor tensors[MAX_TENSORS];
    ResrModel *model = test_random_model(&rrdb, 5);
    size_t n = state_dict(tensors, model);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        tensors[n] = *find(tensors, n, "conv_hr.weight");
        snprintf(tensors[n].name, sizeof tensors[n].name, "%s", names[i]);
        ResrTensor copy[MAX_TENSORS];
        memcpy(copy, tensors, sizeof copy);
        refuse(copy, n + 1, names[i]);
        assert_non_null(strstr(resr_error_text(), "does not belong to the network"));
    }
    snprintf(tensors[n].name, sizeof tensors[n].name, "body.1.rdb1.conv1.weight");
    refuse(tensors, n + 1,
           "body.1.rdb1.conv1.weight has shape [4, 4, 3, 3], expected [2, 4, 3, 3]");
    refuse(tensors, 0, "neither conv_first.weight");
    refuse(NULL, RESR_MAX_TENSORS + 1, "5001 tensors; at most 5000");
    resr_model_free(model);
}

static void test_values(void **state)
{
    (void)state;
    const float refused[] = {NAN, INFINITY, -INFINITY, 10001};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        ResrTensor tensors[MAX_TENSORS];
        ResrModel *model = test_random_model(&srvgg, 5);
        model->convs[1].slope[2] = refused[i];
        size_t n = state_dict(tensors, model);
        refuse(tensors, n, "body.3.weight: value 2 is");
        resr_model_free(model);
    }
}

static void refuse_file(TestBuffer file, const char *words)
{
    test_refuse(resr_model_read_safetensors, &file, words);
    free(file.data);
}

#define ENTRY(dtype, shape, offsets)                                                               \
    "{\"w\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

/* Headers before 16 bytes of data. */
static void test_headers(void **state)
{
    (void)state;
    static const float data[4] = {1, 2, 3, 4};
    static const char *const cases[][2] = {
        {"{ ", "is not a JSON object"},
        {"{}{}", "is not a JSON object"},
        {"{\"w\":1,}", "is not a JSON object"},
        {"{\"\xff\":1}", "is not a JSON object"},
        {"{\"w\\u0000\":1}", "is not a JSON object"},
        {"{\"w\":{},\"w\":{}}", "is not a JSON object"},
        {"{\"__metadata__\":{\"a\":\"b\",\"a\":\"c\"}}", "is not a JSON object"},
        {"{\"w\":1e999}", "is not a JSON object"},
        {"{\"__metadata__\":1}", "__metadata__ is not an object"},
        {"{\"__metadata__\":{\"a\":1}}", "the value of a is not text"},
        {"{\"__metadata__\":{\"a\":{\"b\":\"c\"}}}", "the value of a is not text"},
        {"{}", "16 bytes follow the last tensor"},
        {"{\"w\":1}", "tensor w has dtype (none)"},
        {"{\"w\":[]}", "tensor w has dtype (none)"},
        {ENTRY("32", "[4]", "[0,16]"), "tensor w has dtype (none)"},
        {ENTRY("\"U64\"", "[2]", "[0,16]"), "tensor w has dtype U64"},
        {ENTRY("\"F64\"", "[4]", "[0,16]"), "do not hold the 32 bytes of its shape"},
        {ENTRY("\"I4\"", "[16]", "[0,16]"), "tensor w has dtype I4"},
        {ENTRY("\"F8_E4M3\"", "[16]", "[0,16]"), "tensor w has dtype F8_E4M3"},
        {ENTRY("\"f32\"", "[4]", "[0,16]"), "tensor w has dtype f32"},
        {ENTRY("\"F32\"", "4", "[0,16]"), "expected dtype, shape"},
        {ENTRY("\"F32\"", "{}", "[0,16]"), "expected dtype, shape"},
        {ENTRY("\"F32\"", "[1,1,1,1,4]", "[0,16]"), "expected dtype, shape"},
        {ENTRY("\"F32\"", "[4]", "[0]"), "expected dtype, shape"},
        {ENTRY("\"F32\"", "[4]", "[0,16,16]"), "expected dtype, shape"},
        {ENTRY("\"F32\"", "[4]", "16"), "expected dtype, shape"},
        {ENTRY("\"F32\"", "[4]", "[0,16],\"more\":1"), "expected dtype, shape"},
        {"{\"w\":{\"dtype\":\"F32\",\"shape\":[4]}}", "expected dtype, shape"},
        {ENTRY("\"F32\"", "[4.0]", "[0,16]"), "size 0 of its shape is out of range"},
        {ENTRY("\"F32\"", "[\"4\"]", "[0,16]"), "size 0 of its shape is out of range"},
        {ENTRY("\"F32\"", "[null]", "[0,16]"), "size 0 of its shape is out of range"},
        {ENTRY("\"F32\"", "[4,0]", "[0,0]"), "size 1 of its shape is out of range"},
        {ENTRY("\"F32\"", "[-4]", "[0,16]"), "size 0 of its shape is out of range"},
        {ENTRY("\"F32\"", "[4611686018427387904,4]", "[0,16]"), "is out of range"},
        {ENTRY("\"F32\"", "[99999999999999999999]", "[0,16]"), "is not a JSON object"},
        {ENTRY("\"F32\"", "[4]", "[0,15]"), "do not hold the 16 bytes of its shape"},
        {ENTRY("\"F32\"", "[4]", "[-16,0]"), "do not hold the 16 bytes of its shape"},
        {ENTRY("\"F32\"", "[4]", "[16,0]"), "do not hold the 16 bytes of its shape"},
        {ENTRY("\"F32\"", "[4]", "[4,20]"), "within 16"},
        {ENTRY("\"F32\"", "[4]", "[9223372036854775807,16]"), "do not hold"},
        {ENTRY("\"F32\"", "[4]", "[null,16]"), "do not hold the 16 bytes of its shape"},
        {ENTRY("\"F32\"", "[4]", "[0,16.0]"), "do not hold the 16 bytes of its shape"},
        {ENTRY("\"F32\"", "[4]", "[\"0\",16]"), "do not hold the 16 bytes of its shape"},
        {ENTRY("\"F16\"", "[4]", "[0,8]"), "8 bytes follow the last tensor"},
        {ENTRY("\"BF16\"", "[4]", "[8,16]"), "leaves a gap before it"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12]},"
         "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,16]}}",
         "tensor b overlaps another tensor"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]},"
         "\"b\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}",
         "overlaps another tensor"},
        {ENTRY("\"F32\"", "[4]", "[0,16]"), "neither conv_first.weight"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refuse_file(test_safetensors_raw(cases[i][0], data, sizeof data), cases[i][1]);
}

static void test_lengths(void **state)
{
    (void)state;
    static const uint64_t lengths[] = {
        0,          1,         13, 14, 16, 19, 20, 21, 28, 29, 100, 1u << 20, (1u << 20) + 1,
        1ull << 32, UINT64_MAX};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        TestBuffer file = test_safetensors_raw("{\"a\":{}}", "data", 4);
        memcpy(file.data, &lengths[i], 8);
        refuse_file(file, "the header is said to take");
    }
    TestBuffer header = {0};
    test_add_text(&header, "{\"");
    for (int i = 0; i < 256; i++)
        test_add_text(&header, "n");
    test_add(&header, "\":{\"dtype\":\"F32\"}}", sizeof "\":{\"dtype\":\"F32\"}}");
    refuse_file(test_safetensors_raw((char *)header.data, "", 0), "is longer than 255 bytes");
    free(header.data);
    header = (TestBuffer){0};
    test_add_text(&header, "{\"w\":");
    for (int i = 0; i < 100000; i++)
        test_add_text(&header, "[");
    test_add(&header, "", 1);
    refuse_file(test_safetensors_raw((char *)header.data, "", 0), "is not a JSON object");
    free(header.data);
}

static void test_every_byte(void **state)
{
    (void)state;
    ResrModel *model = test_random_model(&srvgg, 5);
    TestBuffer file = test_safetensors(model);
    test_every_change(resr_model_read_safetensors, &file, "\x01\x80\xff", NULL);
    test_every_cut(resr_model_read_safetensors, &file, 16, file.bytes - 1);
    free(file.data);
    resr_model_free(model);
}

TEST_MAIN(test_renamed_tensor, test_other_shape, test_more_tensors, test_values, test_headers,
          test_lengths, test_every_byte)
