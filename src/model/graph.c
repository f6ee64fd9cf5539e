#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "model/graph_nodes.h"

/* Nodes that the networks of resr_spec_check() add at most, beyond those of the file. */
enum { NETWORK_NODES = 8192 };

/* A call adds two nodes at most, but a concatenation as many as it has operands. */
enum { NODES_PER_OPERATOR = 4 };

int resr_graph_create(ResrGraph **out, size_t operators)
{
    ResrGraph *graph = NULL;
    *out = NULL;
    int ret = resr_alloc(&graph, 1, sizeof *graph);
    if (ret < 0)
        return ret;
    graph->capacity = NODES_PER_OPERATOR * operators + NETWORK_NODES;
    for (graph->n_slots = 4; graph->n_slots < 2 * graph->capacity;)
        graph->n_slots *= 2;
    graph->n_nodes = 1;
    graph->max_convs = (int)operators;
    ret = resr_alloc(&graph->nodes, graph->capacity, sizeof *graph->nodes);
    if (ret == 0)
        ret = resr_alloc(&graph->slots, graph->n_slots, sizeof *graph->slots);
    if (ret == 0)
        ret = resr_alloc(&graph->convs, operators + 1, sizeof *graph->convs);
    if (ret < 0)
        resr_graph_free(graph);
    else
        *out = graph;
    return ret;
}

void resr_graph_free(ResrGraph *graph)
{
    if (!graph)
        return;
    free(graph->nodes);
    free(graph->slots);
    free(graph->convs);
    free(graph);
}

/* Constants of one meaning differ by their rounding to fp16 or by the order of a multiplication and
 * a subtraction. */
static bool near(double a, double b)
{
    double larger = fmax(fabs(a), fabs(b));
    return larger < INFINITY && fabs(a - b) <= 1e-3 * larger;
}

static bool same_affine(const ResrAffine *a, const ResrAffine *b)
{
    bool same = true;
    for (int i = 0; i < RESR_GRAPH_VECTOR; i++)
        same = same && near(a->scale[i], b->scale[i]) && near(a->offset[i], b->offset[i]);
    return same;
}

static size_t hash(ResrOp op, ResrNode a, ResrNode b)
{
    uint64_t z = (uint64_t)(uint32_t)a << 32 | (uint32_t)b;
    z = (z + (uint64_t)op) * 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    return (size_t)(z ^ z >> 31);
}

ResrNode resr_graph_node(ResrGraph *graph, ResrOp op, ResrNode a, ResrNode b, const ResrAffine *by)
{
    static const ResrAffine none;
    if (!by)
        by = &none;
    size_t mask = graph->n_slots - 1, slot = hash(op, a, b) & mask;
    for (; graph->slots[slot]; slot = (slot + 1) & mask) {
        const ResrGraphNode *node = &graph->nodes[graph->slots[slot]];
        if (node->op == op && node->a == a && node->b == b && same_affine(&node->by, by))
            return graph->slots[slot];
    }
    if ((size_t)graph->n_nodes == graph->capacity) {
        graph->full = true;
        return 0;
    }
    graph->nodes[graph->n_nodes] = (ResrGraphNode){op, a, b, *by};
    graph->used[op]++;
    graph->slots[slot] = graph->n_nodes;
    return graph->n_nodes++;
}

static ResrNode with_number(ResrGraph *graph, ResrOp op, ResrNode x, double number)
{
    ResrAffine by = {.scale = {number}};
    return resr_graph_node(graph, op, x, 0, &by);
}

ResrNode resr_graph_input(ResrGraph *graph)
{
    return resr_graph_node(graph, RESR_OP_INPUT, 0, 0, NULL);
}

ResrNode resr_graph_conv(ResrGraph *graph, ResrNode x, const ResrGraphConv *conv)
{
    if (graph->n_convs == graph->max_convs) {
        graph->full = true;
        return 0;
    }
    ResrGraphConv *added = &graph->convs[graph->n_convs];
    *added = *conv;
    added->slopes = RESR_SLOPES_NONE;
    added->weight_factor = added->bias_factor = 1;
    added->input = x;
    return resr_graph_node(graph, RESR_OP_CONV, x, graph->n_convs++, NULL);
}

/* The convolution whose result x is, if no activation is known for it. */
static ResrGraphConv *bare_conv(const ResrGraph *graph, ResrNode x)
{
    const ResrGraphNode *node = &graph->nodes[x];
    if (node->op != RESR_OP_CONV || graph->convs[node->b].slopes != RESR_SLOPES_NONE)
        return NULL;
    return &graph->convs[node->b];
}

ResrNode resr_graph_leaky(ResrGraph *graph, ResrNode x, double slope)
{
    ResrGraphConv *conv = bare_conv(graph, x);
    if (conv) {
        conv->slopes = RESR_SLOPES_EQUAL;
        conv->slope = slope;
    }
    return with_number(graph, RESR_OP_LEAKY, x, slope);
}

ResrNode resr_graph_prelu(ResrGraph *graph, ResrNode x, const ResrSpan *slopes)
{
    ResrGraphConv *conv = bare_conv(graph, x);
    int number = ++graph->n_prelus;
    if (conv) {
        conv->slopes = RESR_SLOPES_VECTOR;
        conv->slope_map = *slopes;
        conv->activation = number;
    }
    return resr_graph_node(graph, RESR_OP_PRELU, x, number, NULL);
}

ResrNode resr_graph_sigmoid(ResrGraph *graph, ResrNode x)
{
    return resr_graph_node(graph, RESR_OP_SIGMOID, x, 0, NULL);
}

ResrNode resr_graph_silu(ResrGraph *graph, ResrNode x)
{
    return resr_graph_mul(graph, x, resr_graph_sigmoid(graph, x));
}

ResrNode resr_graph_affine(ResrGraph *graph, ResrNode x, const ResrAffine *affine)
{
    const ResrGraphNode *before = &graph->nodes[x];
    ResrAffine by = *affine;
    bool neutral = true;
    for (int i = 0; i < RESR_GRAPH_VECTOR; i++) {
        if (before->op == RESR_OP_AFFINE) {
            by.offset[i] += by.scale[i] * before->by.offset[i];
            by.scale[i] *= before->by.scale[i];
        }
        neutral = neutral && by.scale[i] == 1 && by.offset[i] == 0;
    }
    if (before->op == RESR_OP_AFFINE)
        x = before->a;
    if (before->op == RESR_OP_CONV && !neutral)
        graph->convs[before->b].scaled = true;
    return neutral ? x : resr_graph_node(graph, RESR_OP_AFFINE, x, 0, &by);
}

/* Element i of a vector of n numbers that repeats its last one. */
static double element(const double *values, int n, int i)
{
    return values[i < n ? i : n - 1];
}

ResrAffine resr_affine_scale(const double *values, int n)
{
    ResrAffine by = {0};
    for (int i = 0; i < RESR_GRAPH_VECTOR; i++)
        by.scale[i] = element(values, n, i);
    return by;
}

ResrAffine resr_affine_offset(const double *values, int n)
{
    ResrAffine by = {0};
    for (int i = 0; i < RESR_GRAPH_VECTOR; i++) {
        by.scale[i] = 1;
        by.offset[i] = element(values, n, i);
    }
    return by;
}

ResrNode resr_graph_scaled(ResrGraph *graph, ResrNode x, double factor)
{
    ResrAffine by = resr_affine_scale(&factor, 1);
    return resr_graph_affine(graph, x, &by);
}

ResrNode resr_graph_offset(ResrGraph *graph, ResrNode x, double offset)
{
    ResrAffine by = resr_affine_offset(&offset, 1);
    return resr_graph_affine(graph, x, &by);
}

ResrNode resr_graph_add(ResrGraph *graph, ResrNode a, ResrNode b)
{
    return resr_graph_node(graph, RESR_OP_ADD, a < b ? a : b, a < b ? b : a, NULL);
}

ResrNode resr_graph_mul(ResrGraph *graph, ResrNode a, ResrNode b)
{
    return resr_graph_node(graph, RESR_OP_MUL, a < b ? a : b, a < b ? b : a, NULL);
}

/* A chain of nodes: concat(concat(a, b), c). A map that is a chain itself is appended map by map.
 */
ResrNode resr_graph_concat(ResrGraph *graph, const ResrNode *maps, int n)
{
    ResrNode result = maps[0], parts[RESR_GRAPH_MAX_OPERANDS];
    for (int i = 1; i < n; i++) {
        int n_parts = 0;
        ResrNode part = maps[i];
        for (; graph->nodes[part].op == RESR_OP_CONCAT && n_parts < RESR_GRAPH_MAX_OPERANDS - 1;
             part = graph->nodes[part].a)
            parts[n_parts++] = graph->nodes[part].b;
        parts[n_parts++] = part;
        while (n_parts > 0)
            result = resr_graph_node(graph, RESR_OP_CONCAT, result, parts[--n_parts], NULL);
    }
    return result;
}

ResrNode resr_graph_nearest(ResrGraph *graph, ResrNode x, double factor)
{
    return factor == 1 ? x : with_number(graph, RESR_OP_NEAREST, x, factor);
}

ResrNode resr_graph_resize(ResrGraph *graph, ResrNode x, double factor)
{
    return factor == 1 ? x : with_number(graph, RESR_OP_RESIZE, x, factor);
}

ResrNode resr_graph_shuffle(ResrGraph *graph, ResrNode x, int factor)
{
    return factor == 1 ? x : with_number(graph, RESR_OP_SHUFFLE, x, factor);
}

ResrNode resr_graph_unshuffle(ResrGraph *graph, ResrNode x, int factor)
{
    graph->unshuffle = factor;
    return factor == 1 ? x : with_number(graph, RESR_OP_UNSHUFFLE, x, factor);
}

ResrNode resr_graph_clip(ResrGraph *graph, ResrNode x)
{
    return resr_graph_node(graph, RESR_OP_CLIP, x, 0, NULL);
}

/* Depth-first from `last`, with a stack of its own. */
int resr_graph_order(int *order, int *n, const int *first, const int *operands, int count, int last)
{
    enum { OPEN = 1, DONE = 2 };
    int *stack = NULL, *next = NULL; /* next: the operand of an operator that is visited next */
    unsigned char *state = NULL;
    int depth = 0;
    *n = 0;
    int ret = resr_alloc(&stack, (size_t)count + 1, sizeof *stack);
    if (ret == 0)
        ret = resr_alloc(&next, (size_t)count + 1, sizeof *next);
    if (ret == 0)
        ret = resr_alloc(&state, (size_t)count + 1, sizeof *state);
    if (ret == 0) {
        stack[depth++] = last;
        state[last] = OPEN;
        next[last] = first[last];
    }
    while (ret == 0 && depth > 0) {
        int i = stack[depth - 1];
        if (next[i] == first[i + 1]) {
            state[i] = DONE;
            order[(*n)++] = i;
            depth--;
            continue;
        }
        int operand = operands[next[i]++];
        if (operand >= 0 && state[operand] == OPEN) {
            ret = resr_fail(RESR_ERR_DATA, "the graph has a cycle; a network has none");
        } else if (operand >= 0 && state[operand] != DONE) {
            state[operand] = OPEN;
            next[operand] = first[operand];
            stack[depth++] = operand;
        }
    }
    free(stack);
    free(next);
    free(state);
    return ret;
}
