#ifndef RESR_MODEL_ONNX_GRAPH_H
#define RESR_MODEL_ONNX_GRAPH_H

/* An operator of an ONNX graph with its operands, as onnx.c gives it to onnx_ops.c. */

#include "model/onnx_value.h"

enum { RESR_ONNX_MAX_INPUTS = RESR_GRAPH_MAX_OPERANDS };

typedef struct ResrOnnxOp {
    ResrPbRange type, name, message; /* message: the NodeProto, for its attributes */
    int n_in;
    const ResrOnnxValue *in[RESR_ONNX_MAX_INPUTS]; /* NULL: an optional operand left out */
    ResrGraph *graph;
} ResrOnnxOp;

/* Computes the first output of an operator. RESR_ERR_DATA; the message lacks the operator's name.
 */
RESR_MUST_CHECK int resr_onnx_evaluate(ResrOnnxValue *out, const ResrOnnxOp *op);

#endif
