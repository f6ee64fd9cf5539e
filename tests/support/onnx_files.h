#ifndef RESR_TESTS_ONNX_FILES_H
#define RESR_TESTS_ONNX_FILES_H

/* ONNX files made in memory, field by field, as torch.onnx.export writes them. */

#include "model_files.h"

/* A message with one more field; the tag says the field's number. */
void test_pb_number(TestBuffer *message, int field, uint64_t value);
void test_pb_bytes(TestBuffer *message, int field, const void *data, size_t bytes);
void test_pb_text(TestBuffer *message, int field, const char *text);
void test_pb_message(TestBuffer *message, int field, TestBuffer *inner); /* frees inner's data */

/* Attributes of a node, to be appended to it. */
void test_onnx_int(TestBuffer *node, const char *name, int64_t value);
void test_onnx_ints(TestBuffer *node, const char *name, const int64_t *values, int n);
void test_onnx_float(TestBuffer *node, const char *name, float value);
void test_onnx_string(TestBuffer *node, const char *name, const char *text);

/* A node; names of operands and results are separated by blanks, "-" is an operand left out. */
TestBuffer test_onnx_node(const char *type, const char *inputs, const char *outputs);

/* A tensor with raw data of `bytes` bytes; type as in TensorProto.DataType. */
TestBuffer test_onnx_tensor(const char *name, int type, const int64_t *dims, int rank,
                            const void *data, size_t bytes);

/* The parts of a graph: any number of GraphProto's fields. */
typedef struct TestOnnx {
    TestBuffer nodes, tensors, ends; /* ends: input and output */
    int opset;
} TestOnnx;

void test_onnx_add_node(TestOnnx *onnx, TestBuffer node);
void test_onnx_add_tensor(TestOnnx *onnx, TestBuffer tensor);
/* A constant of integers (type INT64). */
void test_onnx_add_ints(TestOnnx *onnx, const char *name, const int64_t *values, int n);
void test_onnx_add_floats(TestOnnx *onnx, const char *name, const float *values, int n);
/* The ends; a size of 0 is dynamic. */
void test_onnx_add_input(TestOnnx *onnx, const char *name, const int64_t *dims, int rank);
void test_onnx_add_output(TestOnnx *onnx, const char *name);

/* Nodes and tensors of a model from "input" to "output", without the ends. */
void test_onnx_add_model(TestOnnx *onnx, const ResrModel *model);

/* The file; frees the parts. */
TestBuffer test_onnx_file(TestOnnx *onnx);

/* All of the above for a model with dynamic sizes. */
TestBuffer test_onnx(const ResrModel *model);

#endif
