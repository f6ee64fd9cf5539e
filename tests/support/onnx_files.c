#include "onnx_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FLOAT = 1, INT64 = 7 };

static void add_varint(TestBuffer *buffer, uint64_t value)
{
    do {
        uint8_t byte = (uint8_t)(value & 0x7f) | (value > 0x7f ? 0x80 : 0);
        test_add(buffer, &byte, 1);
        value >>= 7;
    } while (value > 0);
}

void test_pb_number(TestBuffer *message, int field, uint64_t value)
{
    add_varint(message, (uint64_t)field << 3);
    add_varint(message, value);
}

void test_pb_bytes(TestBuffer *message, int field, const void *data, size_t bytes)
{
    add_varint(message, (uint64_t)field << 3 | 2);
    add_varint(message, bytes);
    test_add(message, data, bytes);
}

void test_pb_text(TestBuffer *message, int field, const char *text)
{
    test_pb_bytes(message, field, text, strlen(text));
}

void test_pb_message(TestBuffer *message, int field, TestBuffer *inner)
{
    test_pb_bytes(message, field, inner->data, inner->bytes);
    free(inner->data);
    *inner = (TestBuffer){0};
}

enum { ATTRIBUTE_FLOAT = 1, ATTRIBUTE_INT = 2, ATTRIBUTE_STRING = 3, ATTRIBUTE_INTS = 7 };

static void add_attribute(TestBuffer *node, const char *name, TestBuffer *value, int type)
{
    TestBuffer attribute = {0};
    test_pb_text(&attribute, 1, name);
    test_add(&attribute, value->data, value->bytes);
    test_pb_number(&attribute, 20, (uint64_t)type);
    free(value->data);
    test_pb_message(node, 5, &attribute);
}

void test_onnx_int(TestBuffer *node, const char *name, int64_t value)
{
    TestBuffer field = {0};
    test_pb_number(&field, 3, (uint64_t)value);
    add_attribute(node, name, &field, ATTRIBUTE_INT);
}

void test_onnx_ints(TestBuffer *node, const char *name, const int64_t *values, int n)
{
    TestBuffer fields = {0};
    for (int i = 0; i < n; i++)
        test_pb_number(&fields, 8, (uint64_t)values[i]);
    add_attribute(node, name, &fields, ATTRIBUTE_INTS);
}

void test_onnx_float(TestBuffer *node, const char *name, float value)
{
    TestBuffer field = {0};
    add_varint(&field, 2 << 3 | 5);
    test_add(&field, &value, sizeof value);
    add_attribute(node, name, &field, ATTRIBUTE_FLOAT);
}

void test_onnx_string(TestBuffer *node, const char *name, const char *text)
{
    TestBuffer field = {0};
    test_pb_text(&field, 4, text);
    add_attribute(node, name, &field, ATTRIBUTE_STRING);
}

static void add_names(TestBuffer *node, int field, const char *names)
{
    char copy[512], *state = NULL;
    snprintf(copy, sizeof copy, "%s", names);
    for (char *name = strtok_r(copy, " ", &state); name; name = strtok_r(NULL, " ", &state))
        test_pb_text(node, field, strcmp(name, "-") == 0 ? "" : name);
}

TestBuffer test_onnx_node(const char *type, const char *inputs, const char *outputs)
{
    TestBuffer node = {0};
    add_names(&node, 1, inputs);
    add_names(&node, 2, outputs);
    test_pb_text(&node, 3, outputs);
    test_pb_text(&node, 4, type);
    return node;
}

TestBuffer test_onnx_tensor(const char *name, int type, const int64_t *dims, int rank,
                            const void *data, size_t bytes)
{
    TestBuffer tensor = {0};
    for (int i = 0; i < rank; i++)
        test_pb_number(&tensor, 1, (uint64_t)dims[i]);
    test_pb_number(&tensor, 2, (uint64_t)type);
    test_pb_text(&tensor, 8, name);
    test_pb_bytes(&tensor, 9, data, bytes);
    return tensor;
}

void test_onnx_add_node(TestOnnx *onnx, TestBuffer node)
{
    test_pb_message(&onnx->nodes, 1, &node);
}

void test_onnx_add_tensor(TestOnnx *onnx, TestBuffer tensor)
{
    test_pb_message(&onnx->tensors, 5, &tensor);
}

void test_onnx_add_ints(TestOnnx *onnx, const char *name, const int64_t *values, int n)
{
    int64_t dims[] = {n};
    test_onnx_add_tensor(
        onnx, test_onnx_tensor(name, INT64, dims, 1, values, (size_t)n * sizeof *values));
}

void test_onnx_add_floats(TestOnnx *onnx, const char *name, const float *values, int n)
{
    int64_t dims[] = {n};
    test_onnx_add_tensor(
        onnx, test_onnx_tensor(name, FLOAT, dims, 1, values, (size_t)n * sizeof *values));
}

void test_onnx_add_input(TestOnnx *onnx, const char *name, const int64_t *dims, int rank)
{
    TestBuffer shape = {0}, tensor = {0}, type = {0}, info = {0};
    for (int i = 0; i < rank; i++) {
        TestBuffer dim = {0};
        if (dims[i] > 0)
            test_pb_number(&dim, 1, (uint64_t)dims[i]);
        else
            test_pb_text(&dim, 2, "n");
        test_pb_message(&shape, 1, &dim);
    }
    test_pb_number(&tensor, 1, FLOAT);
    test_pb_message(&tensor, 2, &shape);
    test_pb_message(&type, 1, &tensor);
    test_pb_text(&info, 1, name);
    test_pb_message(&info, 2, &type);
    test_pb_message(&onnx->ends, 11, &info);
}

void test_onnx_add_output(TestOnnx *onnx, const char *name)
{
    TestBuffer info = {0};
    test_pb_text(&info, 1, name);
    test_pb_message(&onnx->ends, 12, &info);
}

static void add_weights(TestOnnx *onnx, const ResrConv *conv)
{
    int64_t dims[] = {conv->cout, conv->cin, conv->kernel_px, conv->kernel_px};
    int64_t slopes[] = {conv->cout, 1, 1};
    char name[80];
    size_t outputs = (size_t)conv->cout * sizeof(float);
    snprintf(name, sizeof name, "%s.weight", conv->name);
    test_onnx_add_tensor(onnx, test_onnx_tensor(name, FLOAT, dims, 4, conv->weight,
                                                resr_conv_weights(conv) * sizeof(float)));
    snprintf(name, sizeof name, "%s.bias", conv->name);
    test_onnx_add_tensor(onnx, test_onnx_tensor(name, FLOAT, dims, 1, conv->bias, outputs));
    snprintf(name, sizeof name, "%s.slope", conv->name);
    if (conv->slope)
        test_onnx_add_tensor(onnx, test_onnx_tensor(name, FLOAT, slopes, 3, conv->slope, outputs));
}

static void add_conv(TestOnnx *onnx, const ResrConv *conv, const char *in, const char *out)
{
    int64_t kernel[] = {conv->kernel_px, conv->kernel_px}, pad = conv->kernel_px / 2;
    int64_t pads[] = {pad, pad, pad, pad}, ones[] = {1, 1};
    char operands[512];
    snprintf(operands, sizeof operands, "%s %s.weight %s.bias", in, conv->name, conv->name);
    TestBuffer node = test_onnx_node("Conv", operands, out);
    test_onnx_ints(&node, "dilations", ones, 2);
    test_onnx_int(&node, "group", 1);
    test_onnx_ints(&node, "kernel_shape", kernel, 2);
    test_onnx_ints(&node, "pads", pads, 4);
    test_onnx_ints(&node, "strides", ones, 2);
    test_onnx_add_node(onnx, node);
    add_weights(onnx, conv);
}

static void add_simple(TestOnnx *onnx, const char *type, const char *in, const char *out)
{
    test_onnx_add_node(onnx, test_onnx_node(type, in, out));
}

static void add_leaky(TestOnnx *onnx, const ResrConv *conv, const char *in, const char *out)
{
    char before[80];
    snprintf(before, sizeof before, "%s_bare", out);
    add_conv(onnx, conv, in, before);
    TestBuffer node = test_onnx_node("LeakyRelu", before, out);
    test_onnx_float(&node, "alpha", 0.2f);
    test_onnx_add_node(onnx, node);
}

static void add_nearest(TestOnnx *onnx, const char *in, const char *out)
{
    char operands[160];
    snprintf(operands, sizeof operands, "%s - scales", in);
    TestBuffer node = test_onnx_node("Resize", operands, out);
    test_onnx_string(&node, "coordinate_transformation_mode", "asymmetric");
    test_onnx_string(&node, "mode", "nearest");
    test_onnx_string(&node, "nearest_mode", "floor");
    test_onnx_add_node(onnx, node);
}

static void add_shuffle(TestOnnx *onnx, const char *in, const char *out, int factor)
{
    TestBuffer node = test_onnx_node("DepthToSpace", in, out);
    test_onnx_int(&node, "blocksize", factor);
    test_onnx_string(&node, "mode", "CRD");
    test_onnx_add_node(onnx, node);
}

static void add_srvgg(TestOnnx *onnx, const ResrModel *model)
{
    char in[80] = "input", out[80], slopes[160];
    float scale = (float)model->spec.scale, scales[] = {1, 1, scale, scale};
    for (int i = 0; i < model->n_convs; i++) {
        const ResrConv *conv = &model->convs[i];
        snprintf(out, sizeof out, "c%d", i);
        add_conv(onnx, conv, in, out);
        snprintf(slopes, sizeof slopes, "%s %s.slope", out, conv->name);
        snprintf(in, sizeof in, "p%d", i);
        if (conv->slope)
            add_simple(onnx, "PRelu", slopes, in);
    }
    test_onnx_add_floats(onnx, "scales", scales, 4);
    add_shuffle(onnx, out, "shuffled", model->spec.scale);
    add_nearest(onnx, "input", "base");
    add_simple(onnx, "Add", "shuffled base", "output");
}

/* Pixel unshuffle with sizes that the file computes: view, permute, reshape. */
static void add_unshuffle(TestOnnx *onnx, int factor, int channels)
{
    int64_t two[] = {2}, three[] = {3}, axis[] = {0}, r[] = {factor}, one[] = {1};
    int64_t c[] = {channels}, all[] = {channels * factor * factor};
    int64_t order[] = {0, 1, 3, 5, 2, 4};
    test_onnx_add_ints(onnx, "at2", two, 1);
    test_onnx_add_ints(onnx, "at3", three, 1);
    test_onnx_add_ints(onnx, "axis0", axis, 1);
    test_onnx_add_ints(onnx, "r", r, 1);
    test_onnx_add_ints(onnx, "one", one, 1);
    test_onnx_add_ints(onnx, "c", c, 1);
    test_onnx_add_ints(onnx, "all", all, 1);
    add_simple(onnx, "Shape", "input", "sizes");
    add_simple(onnx, "Gather", "sizes at2", "h");
    add_simple(onnx, "Gather", "sizes at3", "w");
    add_simple(onnx, "Div", "h r", "h_r");
    add_simple(onnx, "Div", "w r", "w_r");
    TestBuffer split = test_onnx_node("Concat", "one c h_r r w_r r", "split");
    test_onnx_int(&split, "axis", 0);
    test_onnx_add_node(onnx, split);
    TestBuffer merged = test_onnx_node("Concat", "one all h_r w_r", "merged");
    test_onnx_int(&merged, "axis", 0);
    test_onnx_add_node(onnx, merged);
    add_simple(onnx, "Reshape", "input split", "view");
    TestBuffer permuted = test_onnx_node("Transpose", "view", "permuted");
    test_onnx_ints(&permuted, "perm", order, 6);
    test_onnx_add_node(onnx, permuted);
    add_simple(onnx, "Reshape", "permuted merged", "unshuffled");
}

static void add_rrdb(TestOnnx *onnx, const ResrModel *model)
{
    static const float fifth = 0.2f, doubled[] = {1, 1, 2, 2};
    const ResrConv *conv = model->convs;
    char x[80] = "first", in[80], out[80], maps[400], start[80];
    test_onnx_add_tensor(onnx, test_onnx_tensor("fifth", FLOAT, NULL, 0, &fifth, 4));
    test_onnx_add_floats(onnx, "scales", doubled, 4);
    if (model->spec.unshuffle > 1)
        add_unshuffle(onnx, model->spec.unshuffle, model->spec.channels);
    add_conv(onnx, conv++, model->spec.unshuffle > 1 ? "unshuffled" : "input", "first");
    for (int block = 0; block < model->spec.num_blocks; block++) {
        memcpy(start, x, sizeof start);
        for (int dense = 0; dense < 3; dense++) {
            snprintf(maps, sizeof maps, "%s", x);
            memcpy(in, x, sizeof in);
            for (int i = 1; i < 5; i++) {
                snprintf(out, sizeof out, "b%d_%d_%d", block, dense, i);
                add_leaky(onnx, conv++, in, out);
                snprintf(maps + strlen(maps), sizeof maps - strlen(maps), " %s", out);
                snprintf(in, sizeof in, "cat_b%d_%d_%d", block, dense, i);
                TestBuffer node = test_onnx_node("Concat", maps, in);
                test_onnx_int(&node, "axis", 1);
                test_onnx_add_node(onnx, node);
            }
            snprintf(out, sizeof out, "b%d_%d_5", block, dense);
            add_conv(onnx, conv++, in, out);
            snprintf(maps, sizeof maps, "%s fifth", out);
            snprintf(in, sizeof in, "mul_b%d_%d", block, dense);
            add_simple(onnx, "Mul", maps, in);
            snprintf(maps, sizeof maps, "%s %s", in, x);
            snprintf(x, sizeof x, "sum_b%d_%d", block, dense);
            add_simple(onnx, "Add", maps, x);
        }
        snprintf(maps, sizeof maps, "fifth %s", x);
        snprintf(in, sizeof in, "mul_b%d", block);
        add_simple(onnx, "Mul", maps, in);
        snprintf(maps, sizeof maps, "%s %s", start, in);
        snprintf(x, sizeof x, "x%d", block);
        add_simple(onnx, "Add", maps, x);
    }
    add_conv(onnx, conv++, x, "body");
    add_simple(onnx, "Add", "first body", "up0");
    for (int i = 0; i < resr_spec_enlargements(&model->spec); i++) {
        snprintf(x, sizeof x, "up%d", i);
        snprintf(in, sizeof in, "near%d", i);
        snprintf(out, sizeof out, "up%d", i + 1);
        add_nearest(onnx, x, in);
        add_leaky(onnx, conv++, in, out);
    }
    snprintf(x, sizeof x, "up%d", resr_spec_enlargements(&model->spec));
    add_leaky(onnx, conv++, x, "hr");
    add_conv(onnx, conv, "hr", "output");
}

static void add_silu(TestOnnx *onnx, const ResrConv *conv, const char *in, const char *out)
{
    char bare[96], gate[96], both[200];
    snprintf(bare, sizeof bare, "%s_bare", out);
    snprintf(gate, sizeof gate, "%s_gate", out);
    snprintf(both, sizeof both, "%s %s", bare, gate);
    add_conv(onnx, conv, in, bare);
    add_simple(onnx, "Sigmoid", bare, gate);
    add_simple(onnx, "Mul", both, out);
}

static void add_span(TestOnnx *onnx, const ResrModel *model)
{
    static const float mean[] = {0.4488f, 0.4371f, 0.4040f}, range = 255, half = 0.5f;
    static const int64_t dims[] = {1, 3, 1, 1};
    const ResrConv *conv = model->convs;
    char x[80] = "head", c1[80] = "", c2[80], c3[80], names[200], out[80];
    test_onnx_add_tensor(onnx, test_onnx_tensor("mean", FLOAT, dims, 4, mean, sizeof mean));
    test_onnx_add_tensor(onnx, test_onnx_tensor("range", FLOAT, NULL, 0, &range, 4));
    test_onnx_add_tensor(onnx, test_onnx_tensor("half", FLOAT, NULL, 0, &half, 4));
    if (model->spec.normalise) {
        add_simple(onnx, "Sub", "input mean", "centred");
        add_simple(onnx, "Mul", "centred range", "normalised");
    }
    add_conv(onnx, conv++, model->spec.normalise ? "normalised" : "input", "head");
    for (int block = 0; block < model->spec.num_blocks; block++) {
        snprintf(c1, sizeof c1, "b%d_c1", block);
        snprintf(c2, sizeof c2, "b%d_c2", block);
        snprintf(c3, sizeof c3, "b%d_c3", block);
        add_silu(onnx, conv++, x, c1);
        add_silu(onnx, conv++, c1, c2);
        add_conv(onnx, conv++, c2, c3);
        snprintf(out, sizeof out, "b%d_sigmoid", block);
        add_simple(onnx, "Sigmoid", c3, out);
        snprintf(names, sizeof names, "%s half", out);
        snprintf(out, sizeof out, "b%d_gate", block);
        add_simple(onnx, "Sub", names, out);
        snprintf(names, sizeof names, "%s %s", c3, x);
        snprintf(out, sizeof out, "b%d_sum", block);
        add_simple(onnx, "Add", names, out);
        snprintf(names, sizeof names, "b%d_sum b%d_gate", block, block);
        snprintf(x, sizeof x, "b%d", block);
        add_simple(onnx, "Mul", names, x);
    }
    add_conv(onnx, conv++, x, "end");
    snprintf(names, sizeof names, "head end b0 %s", c1);
    TestBuffer cat = test_onnx_node("Concat", names, "cat");
    test_onnx_int(&cat, "axis", 1);
    test_onnx_add_node(onnx, cat);
    add_conv(onnx, conv++, "cat", "fused");
    add_conv(onnx, conv, "fused", "last");
    add_shuffle(onnx, "last", "output", model->spec.scale);
}

void test_onnx_add_model(TestOnnx *onnx, const ResrModel *model)
{
    if (model->spec.arch == RESR_ARCH_RRDB)
        add_rrdb(onnx, model);
    else if (model->spec.arch == RESR_ARCH_SRVGG)
        add_srvgg(onnx, model);
    else
        add_span(onnx, model);
}

TestBuffer test_onnx_file(TestOnnx *onnx)
{
    TestBuffer graph = {0}, opset = {0}, file = {0};
    test_add(&graph, onnx->nodes.data, onnx->nodes.bytes);
    test_pb_text(&graph, 2, "main_graph");
    test_add(&graph, onnx->tensors.data, onnx->tensors.bytes);
    test_add(&graph, onnx->ends.data, onnx->ends.bytes);
    test_pb_number(&file, 1, 8);
    test_pb_text(&file, 2, "pytorch");
    test_pb_message(&file, 7, &graph);
    test_pb_text(&opset, 1, "");
    test_pb_number(&opset, 2, (uint64_t)(onnx->opset ? onnx->opset : 17));
    test_pb_message(&file, 8, &opset);
    free(onnx->nodes.data);
    free(onnx->tensors.data);
    free(onnx->ends.data);
    *onnx = (TestOnnx){0};
    return file;
}

TestBuffer test_onnx(const ResrModel *model)
{
    TestOnnx onnx = {0};
    int64_t dims[] = {0, model->spec.channels, 0, 0};
    test_onnx_add_model(&onnx, model);
    test_onnx_add_input(&onnx, "input", dims, 4);
    test_onnx_add_output(&onnx, "output");
    return test_onnx_file(&onnx);
}
