#ifndef RESR_MODEL_ONNX_VALUE_H
#define RESR_MODEL_ONNX_VALUE_H

/* Values of an ONNX graph. A graph is evaluated once, with a picture of a definite size: shapes
 * that the file computes (Shape, Gather, Concat, ...) are then plain numbers, and Reshape and
 * Resize have definite targets.
 *
 * A value is a map, that is, a node of the ResrGraph with its sizes, or a constant. Maps in the
 * middle of a pixel shuffle written as Reshape, Transpose, Reshape have more than four dimensions
 * or another order; such a view lists the atoms of its elements' order, outermost first: runs of
 * `size` elements that lie `stride` elements apart in the base map. Reshape only divides atoms,
 * Transpose moves the atoms of a dimension. */

#include "model/graph.h"
#include "model/onnx_wire.h"

enum {
    RESR_ONNX_MAX_RANK = 8,
    RESR_ONNX_MAX_NUMBERS = 16,
    RESR_ONNX_MAX_ATOMS = 16,
};

typedef enum ResrOnnxKind { RESR_ONNX_NONE, RESR_ONNX_MAP, RESR_ONNX_CONSTANT } ResrOnnxKind;

typedef struct ResrOnnxAtom {
    int64_t size, stride;
} ResrOnnxAtom;

typedef struct ResrOnnxValue {
    ResrOnnxKind kind;
    int rank;
    int64_t dims[RESR_ONNX_MAX_RANK];
    /* Map. */
    ResrNode node;
    int64_t base[4]; /* N, C, H, W of the node */
    int n_atoms;     /* 0: dims are the base */
    ResrOnnxAtom atoms[RESR_ONNX_MAX_ATOMS];
    /* Constant. */
    bool has_numbers; /* all elements are in `numbers`, at most RESR_ONNX_MAX_NUMBERS */
    bool integers;
    double numbers[RESR_ONNX_MAX_NUMBERS];
    ResrSpan span; /* floating-point elements in the file, if any */
} ResrOnnxValue;

/* A map of four sizes. RESR_ERR_DATA if it has too many elements. */
RESR_MUST_CHECK int resr_onnx_map(ResrOnnxValue *out, ResrNode node, const int64_t dims[4]);

/* A vector of n numbers, or a scalar with n = 1 and rank 0. */
void resr_onnx_numbers(ResrOnnxValue *out, int rank, const double *numbers, int n, bool integers);

/* Number of elements; shapes in values have been checked. */
int64_t resr_onnx_count(const ResrOnnxValue *value);

/* Changes the shape without the order of elements; `dims` may have one -1, and with `zero_copies`
 * a 0 keeps the size. RESR_ERR_DATA. */
RESR_MUST_CHECK int resr_onnx_reshape(ResrOnnxValue *value, const double *dims, int rank,
                                      bool zero_copies);
RESR_MUST_CHECK int resr_onnx_transpose(ResrOnnxValue *value, const int64_t *order, int n);

/* Turns a map with views into a plain one with four dimensions: views that are a pixel shuffle or
 * unshuffle become such a node. RESR_ERR_DATA for any other view. */
RESR_MUST_CHECK int resr_onnx_settle(ResrOnnxValue *value, ResrGraph *graph);

/* Reads a TensorProto. Its data stays in the file. RESR_ERR_DATA. */
RESR_MUST_CHECK int resr_onnx_tensor(ResrOnnxValue *out, ResrPbRange *name, ResrPbRange tensor);

#endif
