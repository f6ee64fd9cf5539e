#ifndef RESR_MODEL_ONNX_GRAPH_H
#define RESR_MODEL_ONNX_GRAPH_H

/* An operator of an ONNX graph with its operands, as onnx.c gives it to onnx_ops.c and
 * onnx_shapes.c. */

#include "model/onnx_value.h"

enum { RESR_ONNX_MAX_INPUTS = RESR_GRAPH_MAX_OPERANDS };

typedef struct ResrOnnxOp {
    ResrPbRange type, name, message; /* message: the NodeProto, for its attributes */
    int n_in;
    const ResrOnnxValue *in[RESR_ONNX_MAX_INPUTS]; /* NULL: an optional operand left out */
    ResrGraph *graph;
} ResrOnnxOp;

/* An AttributeProto. */
typedef struct ResrOnnxAttribute {
    bool found;
    double number; /* i or f */
    ResrPbRange text, tensor;
    double numbers[RESR_ONNX_MAX_NUMBERS];
    int n_numbers;
} ResrOnnxAttribute;

/* Finds an attribute; `number` and `word` are the values of one that the operator lacks.
 * RESR_ERR_DATA. */
RESR_MUST_CHECK int resr_onnx_attribute(ResrOnnxAttribute *out, const ResrOnnxOp *op,
                                        const char *name, double number, const char *word);
RESR_MUST_CHECK int resr_onnx_number_attribute(double *out, const ResrOnnxOp *op, const char *name,
                                               double otherwise);

/* NULL: left out. */
const ResrOnnxValue *resr_onnx_operand(const ResrOnnxOp *op, int index);

/* A copy of an operand that must be a map, settled. RESR_ERR_DATA. */
RESR_MUST_CHECK int resr_onnx_map_operand(ResrOnnxValue *out, const ResrOnnxOp *op, int index);

/* An operand that must be a constant whose numbers are known. RESR_ERR_DATA. */
RESR_MUST_CHECK int resr_onnx_number_operand(const ResrOnnxValue **out, const ResrOnnxOp *op,
                                             int index);

/* The numbers of an operand or, in older operator sets, of an attribute; n = -1: neither. `list`
 * has RESR_ONNX_MAX_NUMBERS elements. RESR_ERR_DATA. */
RESR_MUST_CHECK int resr_onnx_list(double *list, int *n, const ResrOnnxOp *op, int index,
                                   const char *name);

/* Operators of onnx_shapes.c, named as in ONNX; RESR_ERR_DATA. Squeeze is also Unsqueeze, slice
 * takes a part of a vector of numbers or a whole map, round_down is Floor. */
RESR_MUST_CHECK int resr_onnx_identity(ResrOnnxValue *out, const ResrOnnxOp *op);
RESR_MUST_CHECK int resr_onnx_op_shape(ResrOnnxValue *out, const ResrOnnxOp *op);
RESR_MUST_CHECK int resr_onnx_op_gather(ResrOnnxValue *out, const ResrOnnxOp *op);
RESR_MUST_CHECK int resr_onnx_op_reshape(ResrOnnxValue *out, const ResrOnnxOp *op);
RESR_MUST_CHECK int resr_onnx_op_squeeze(ResrOnnxValue *out, const ResrOnnxOp *op);
RESR_MUST_CHECK int resr_onnx_op_transpose(ResrOnnxValue *out, const ResrOnnxOp *op);
RESR_MUST_CHECK int resr_onnx_op_slice(ResrOnnxValue *out, const ResrOnnxOp *op);
RESR_MUST_CHECK int resr_onnx_op_round_down(ResrOnnxValue *out, const ResrOnnxOp *op);
RESR_MUST_CHECK int resr_onnx_op_constant(ResrOnnxValue *out, const ResrOnnxOp *op);

/* Add, Sub, Mul, Div of constants, by the first letter of the type. RESR_ERR_DATA. */
RESR_MUST_CHECK int resr_onnx_calculate(ResrOnnxValue *out, char type, const ResrOnnxValue *a,
                                        const ResrOnnxValue *b);

/* Concat of vectors of numbers. RESR_ERR_DATA. */
RESR_MUST_CHECK int resr_onnx_concat_numbers(ResrOnnxValue *out, const ResrOnnxOp *op);

/* Computes the first output of an operator. RESR_ERR_DATA; the message lacks the operator's name.
 */
RESR_MUST_CHECK int resr_onnx_evaluate(ResrOnnxValue *out, const ResrOnnxOp *op);

#endif
