#ifndef RESR_MODEL_NCNN_LAYERS_H
#define RESR_MODEL_NCNN_LAYERS_H

#include "model/graph.h"
#include "model/ncnn_param.h"

typedef struct ResrNcnnOp ResrNcnnOp;

/* A type of layer: reads the parameters that apply, and adds the operation to the graph. */
typedef struct ResrNcnnType {
    const char *name;
    int (*read)(ResrNcnnOp *layer, const ResrNcnnLayer *line); /* NULL: no parameters */
    int (*add)(ResrGraph *graph, const ResrNcnnOp *layer, const ResrNode *in, ResrNode *out);
} ResrNcnnType;

struct ResrNcnnOp {
    const ResrNcnnType *type;
    char name[RESR_NCNN_NAME_BYTES];
    int n_in;
    /* Meaning depends on the type. */
    int kind;
    double number[2];
    int cout, kernel_px, activation;
    size_t weights;             /* of the .bin, tagged */
    size_t floats;              /* of the .bin, fp32 after the weights */
    ResrSpan weight, bias;      /* in the .bin */
    const ResrNcnnOp *constant; /* operand of a BinaryOp, instead of the second map */
    bool constant_first;
};

bool resr_ncnn_is(const ResrNcnnOp *layer, const char *type);

/* Reads type, name and parameters of a layer from its line; *layer is zero. RESR_ERR_DATA. */
RESR_MUST_CHECK int resr_ncnn_read_type(ResrNcnnOp *layer, const ResrNcnnLayer *line);

#endif
