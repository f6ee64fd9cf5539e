#ifndef RESR_MODEL_GRAPH_H
#define RESR_MODEL_GRAPH_H

/* A network as an expression, without the format of its file. A reader adds the operators of a file
 * in the order of their use, from the input to the output; each call returns the node that stands
 * for the result. Equal expressions have one node: operands of sums and products have no order, a
 * factor and an offset are one operation, and nested concatenations are flat. So a network is known
 * if its output is the node that the same calls give for the published definition
 * (graph_networks.c), whatever the names, the order and the spelling of the operators in the file.
 *
 * Functions that return a ResrNode do not fail: a graph that exceeds its memory gives wrong nodes
 * from then on and is refused by resr_graph_recognise(). */

#include "model/readers.h"

/* Numbers in a file's buffer, little-endian. */
typedef struct ResrSpan {
    const uint8_t *data; /* NULL: none */
    size_t count;
    ResrDtype dtype;
} ResrSpan;

typedef int32_t ResrNode; /* 0: none */

enum { RESR_GRAPH_NAME_BYTES = 64, RESR_GRAPH_MAX_OPERANDS = 64, RESR_GRAPH_VECTOR = 4 };

typedef enum ResrSlopes { RESR_SLOPES_NONE, RESR_SLOPES_EQUAL, RESR_SLOPES_VECTOR } ResrSlopes;

/* A convolution with stride 1, padding kernel_px / 2 and bias; the numbers of weights and biases
 * are cout * cin * kernel_px * kernel_px and cout. */
typedef struct ResrGraphConv {
    char name[RESR_GRAPH_NAME_BYTES]; /* in the file, for messages */
    int cout, cin, kernel_px;
    ResrSpan weight, bias;
    /* Set by the graph: the activation that follows. */
    ResrSlopes slopes;
    double slope;       /* RESR_SLOPES_EQUAL: of LeakyReLU, 0 of ReLU */
    ResrSpan slope_map; /* RESR_SLOPES_VECTOR: cout slopes, or one for all channels */
    int activation;     /* number of the PReLU */
    /* Set by the comparison: the network's weights and biases are these times the file's. */
    float weight_factor, bias_factor;
    ResrNode input;
    bool scaled; /* a factor or an offset follows */
} ResrGraphConv;

/* x * scale + offset for each channel; values beyond a picture's channels repeat the last one. */
typedef struct ResrAffine {
    double scale[RESR_GRAPH_VECTOR], offset[RESR_GRAPH_VECTOR];
} ResrAffine;

typedef struct ResrGraph ResrGraph;

/* `operators`: number of calls that the file can cause. RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_graph_create(ResrGraph **out, size_t operators);
void resr_graph_free(ResrGraph *graph); /* NULL is allowed */

ResrNode resr_graph_input(ResrGraph *graph);
ResrNode resr_graph_conv(ResrGraph *graph, ResrNode x, const ResrGraphConv *conv);
ResrNode resr_graph_leaky(ResrGraph *graph, ResrNode x, double slope); /* ReLU: slope 0 */
ResrNode resr_graph_prelu(ResrGraph *graph, ResrNode x, const ResrSpan *slopes);
ResrNode resr_graph_sigmoid(ResrGraph *graph, ResrNode x);
ResrNode resr_graph_silu(ResrGraph *graph, ResrNode x); /* x * sigmoid(x) */
ResrNode resr_graph_affine(ResrGraph *graph, ResrNode x, const ResrAffine *affine);
ResrNode resr_graph_scaled(ResrGraph *graph, ResrNode x, double factor);
ResrNode resr_graph_offset(ResrGraph *graph, ResrNode x, double offset);
ResrNode resr_graph_add(ResrGraph *graph, ResrNode a, ResrNode b);
ResrNode resr_graph_mul(ResrGraph *graph, ResrNode a, ResrNode b);
/* Channels of n maps, one after the other; n >= 1. */
ResrNode resr_graph_concat(ResrGraph *graph, const ResrNode *maps, int n);
ResrNode resr_graph_nearest(ResrGraph *graph, ResrNode x, double factor);
/* Any other resize, which only the output may have; Lanczos replaces it. */
ResrNode resr_graph_resize(ResrGraph *graph, ResrNode x, double factor);
ResrNode resr_graph_shuffle(ResrGraph *graph, ResrNode x, int factor); /* PyTorch's PixelShuffle */
ResrNode resr_graph_unshuffle(ResrGraph *graph, ResrNode x, int factor);
/* Limits to 0..1, which only the output may have. */
ResrNode resr_graph_clip(ResrGraph *graph, ResrNode x);

/* Affine with a factor or an offset that is one number, or one for each channel (1 to
 * RESR_GRAPH_VECTOR). */
ResrAffine resr_affine_scale(const double *values, int n);
ResrAffine resr_affine_offset(const double *values, int n);

/* Compares the output with the networks and returns the shape of the one that it is. RESR_ERR_DATA,
 * with the first convolution that differs. */
RESR_MUST_CHECK int resr_graph_recognise(ResrNetSpec *spec, ResrGraph *graph, ResrNode output);

/* The same, and creates the model with the weights of the file. */
RESR_MUST_CHECK int resr_graph_model(ResrModel **out, ResrGraph *graph, ResrNode output);

/* Orders operators for evaluation: order[0..*n) receives those that `last` depends on, each after
 * its operands, `last` at the end. The operands of operator i are operands[first[i]] to
 * operands[first[i + 1] - 1]; -1: a constant. `order` has `count` elements. RESR_ERR_DATA for a
 * cycle, RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_graph_order(int *order, int *n, const int *first, const int *operands,
                                     int count, int last);

#endif
