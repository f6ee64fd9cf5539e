#ifndef RESR_MODEL_GRAPH_NODES_H
#define RESR_MODEL_GRAPH_NODES_H

/* The nodes of a graph: for graph.c and graph_networks.c only. */

#include "model/graph.h"

typedef enum ResrOp {
    RESR_OP_INPUT = 1,
    RESR_OP_CONV, /* b: index of the convolution in order of use */
    RESR_OP_LEAKY,
    RESR_OP_PRELU, /* b: number of the PReLU */
    RESR_OP_SIGMOID,
    RESR_OP_AFFINE,
    RESR_OP_ADD,
    RESR_OP_MUL,
    RESR_OP_CONCAT, /* a: the maps before, b: the last map */
    RESR_OP_NEAREST,
    RESR_OP_RESIZE,
    RESR_OP_SHUFFLE,
    RESR_OP_UNSHUFFLE,
    RESR_OP_CLIP,
    RESR_OP_COUNT
} ResrOp;

typedef struct ResrGraphNode {
    ResrOp op;
    ResrNode a, b; /* operands; b also as above */
    ResrAffine by; /* AFFINE; of operations with one number, scale[0] */
} ResrGraphNode;

struct ResrGraph {
    ResrGraphNode *nodes; /* nodes[0] is unused */
    ResrNode *slots;      /* hash table of nodes: a power of two, at most half of them used */
    size_t capacity, n_slots;
    ResrNode n_nodes;
    bool full;
    int used[RESR_OP_COUNT]; /* nodes of each operation */
    int unshuffle;           /* factor of the last RESR_OP_UNSHUFFLE; 0: none */
    ResrGraphConv *convs;
    int n_convs, max_convs, n_prelus;
};

/* The node of this operation, which is added if it does not exist. */
ResrNode resr_graph_node(ResrGraph *graph, ResrOp op, ResrNode a, ResrNode b, const ResrAffine *by);

#endif
