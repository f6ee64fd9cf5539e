/* The types of ncnn's layers that the supported networks consist of: their parameters
 * (github.com/Tencent/ncnn, docs/developer-guide/operators.md) and their operations. */

#include "model/ncnn_layers.h"

#include <stdio.h>
#include <string.h>

enum { MAX_FACTOR = 8 };

static int read_convolution(ResrNcnnOp *layer, const ResrNcnnLayer *line)
{
    int kernel = resr_ncnn_int_param(line, 1, 0), pad = kernel / 2;
    const struct {
        int key, ours, otherwise; /* otherwise: ncnn's default */
    } expected[] = {{11, kernel, kernel},
                    {2, 1, 1},
                    {12, 1, 1},
                    {3, 1, 1},
                    {13, 1, 1},
                    {4, pad, 0},
                    {14, pad, pad},
                    {15, pad, pad},
                    {16, pad, pad},
                    {18, 0, 0},
                    {5, 1, 0},
                    {8, 0, 0},
                    {19, 0, 0}};
    int weights = resr_ncnn_int_param(line, 6, 0);
    layer->cout = resr_ncnn_int_param(line, 0, 0);
    layer->kernel_px = kernel;
    bool ours = layer->cout > 0 && weights > 0 && (kernel == 3 || kernel == 1);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        ours = ours && resr_ncnn_int_param(line, expected[i].key, expected[i].otherwise) ==
                           expected[i].ours;
    if (!ours)
        return resr_fail(RESR_ERR_DATA,
                         "layer %s: expected a 3x3 convolution (or 1x1) with stride 1, padding of "
                         "half the kernel and bias, not quantised",
                         layer->name);
    if (weights % (kernel * kernel * layer->cout) != 0)
        return resr_fail(RESR_ERR_DATA,
                         "convolution %s has %d outputs, %d weights and a kernel of %d px, which "
                         "do not fit each other",
                         layer->name, layer->cout, weights, kernel);
    layer->weights = (size_t)weights;
    layer->floats = (size_t)layer->cout;
    layer->activation = resr_ncnn_int_param(line, 9, 0);
    if (layer->activation < 0 || layer->activation > 2)
        return resr_fail(RESR_ERR_DATA,
                         "layer %s: activation %d is not known; 1 (ReLU) and 2 (leaky ReLU) are",
                         layer->name, layer->activation);
    layer->number[0] = layer->activation == 2 ? resr_ncnn_param(line, 10, 0) : 0;
    return 0;
}

static int add_convolution(ResrGraph *graph, const ResrNcnnOp *layer, const ResrNode *in,
                           ResrNode *out)
{
    int area = layer->kernel_px * layer->kernel_px;
    ResrGraphConv conv = {.cout = layer->cout,
                          .cin = (int)(layer->weights / (size_t)(area * layer->cout)),
                          .kernel_px = layer->kernel_px,
                          .weight = layer->weight,
                          .bias = layer->bias};
    snprintf(conv.name, sizeof conv.name, "%s", layer->name);
    *out = resr_graph_conv(graph, in[0], &conv);
    if (layer->activation != 0)
        *out = resr_graph_leaky(graph, *out, layer->number[0]);
    return 0;
}

static int add_input(ResrGraph *graph, const ResrNcnnOp *layer, const ResrNode *in, ResrNode *out)
{
    (void)layer, (void)in;
    *out = resr_graph_input(graph);
    return 0;
}

static int add_nothing(ResrGraph *graph, const ResrNcnnOp *layer, const ResrNode *in, ResrNode *out)
{
    (void)graph, (void)layer;
    *out = in[0];
    return 0;
}

static int read_relu(ResrNcnnOp *layer, const ResrNcnnLayer *line)
{
    layer->number[0] = resr_ncnn_param(line, 0, 0);
    return 0;
}

static int add_relu(ResrGraph *graph, const ResrNcnnOp *layer, const ResrNode *in, ResrNode *out)
{
    *out = resr_graph_leaky(graph, in[0], layer->number[0]);
    return 0;
}

static int read_prelu(ResrNcnnOp *layer, const ResrNcnnLayer *line)
{
    int slopes = resr_ncnn_int_param(line, 0, 0);
    if (slopes < 1)
        return resr_fail(RESR_ERR_DATA, "layer %s has %d slopes", layer->name, slopes);
    layer->floats = (size_t)slopes;
    return 0;
}

static int add_prelu(ResrGraph *graph, const ResrNcnnOp *layer, const ResrNode *in, ResrNode *out)
{
    *out = resr_graph_prelu(graph, in[0], &layer->bias);
    return 0;
}

static int add_sigmoid(ResrGraph *graph, const ResrNcnnOp *layer, const ResrNode *in, ResrNode *out)
{
    (void)layer;
    *out = resr_graph_sigmoid(graph, in[0]);
    return 0;
}

static int add_swish(ResrGraph *graph, const ResrNcnnOp *layer, const ResrNode *in, ResrNode *out)
{
    (void)layer;
    *out = resr_graph_silu(graph, in[0]);
    return 0;
}

static int read_eltwise(ResrNcnnOp *layer, const ResrNcnnLayer *line)
{
    layer->number[0] = layer->number[1] = 1;
    for (int i = 0; i < line->n_params; i++)
        if (line->params[i].key == 1 && line->params[i].count == 2)
            memcpy(layer->number, line->params[i].values, sizeof layer->number);
    if (line->n_in != 2 || resr_ncnn_int_param(line, 0, 0) != 1)
        return resr_fail(RESR_ERR_DATA, "layer %s: expected a sum of two", layer->name);
    return 0;
}

static int add_eltwise(ResrGraph *graph, const ResrNcnnOp *layer, const ResrNode *in, ResrNode *out)
{
    *out = resr_graph_add(graph, resr_graph_scaled(graph, in[0], layer->number[0]),
                          resr_graph_scaled(graph, in[1], layer->number[1]));
    return 0;
}

enum { BINARY_ADD, BINARY_SUB, BINARY_MUL, BINARY_DIV, BINARY_REVERSE_SUB = 7 };

static int read_binary(ResrNcnnOp *layer, const ResrNcnnLayer *line)
{
    layer->kind = resr_ncnn_int_param(line, 0, 0);
    bool known = (layer->kind >= BINARY_ADD && layer->kind <= BINARY_DIV) ||
                 layer->kind == BINARY_REVERSE_SUB;
    layer->number[0] = resr_ncnn_param(line, 2, 0);
    if (known && line->n_in == (resr_ncnn_int_param(line, 1, 0) == 1 ? 1 : 2))
        return 0;
    return resr_fail(RESR_ERR_DATA,
                     "layer %s: expected a sum, difference or product of two, or of one and a "
                     "number",
                     layer->name);
}

/* x and one number for all channels, or one for each. */
static int binary_with_constant(ResrGraph *graph, const ResrNcnnOp *layer, ResrNode x,
                                const double *values, int n, ResrNode *out)
{
    double changed[RESR_GRAPH_VECTOR];
    int kind = layer->kind;
    bool reversed = kind == BINARY_REVERSE_SUB || (kind == BINARY_SUB && layer->constant_first);
    if (kind == BINARY_DIV && layer->constant_first)
        return resr_fail(RESR_ERR_DATA, "layer %s divides a number by a map", layer->name);
    if (kind == BINARY_REVERSE_SUB && layer->constant_first)
        reversed = false;
    for (int i = 0; i < n; i++)
        changed[i] = kind == BINARY_DIV ? 1 / values[i]
                     : !reversed && (kind == BINARY_SUB || kind == BINARY_REVERSE_SUB) ? -values[i]
                                                                                       : values[i];
    ResrAffine by = kind == BINARY_MUL || kind == BINARY_DIV ? resr_affine_scale(changed, n)
                                                             : resr_affine_offset(changed, n);
    *out = resr_graph_affine(graph, reversed ? resr_graph_scaled(graph, x, -1) : x, &by);
    return 0;
}

static int add_binary(ResrGraph *graph, const ResrNcnnOp *layer, const ResrNode *in, ResrNode *out)
{
    float stored[RESR_GRAPH_VECTOR];
    double values[RESR_GRAPH_VECTOR];
    ResrNode a = in[0], b = in[1];
    if (layer->n_in == 1)
        return binary_with_constant(graph, layer, a, layer->number, 1, out);
    if (layer->constant) {
        const ResrSpan *span = &layer->constant->bias;
        int ret = resr_weights_convert(stored, span->data, span->dtype, span->count,
                                       layer->constant->name);
        for (size_t i = 0; ret == 0 && i < span->count; i++)
            values[i] = (double)stored[i];
        return ret < 0 ? ret
                       : binary_with_constant(graph, layer, layer->constant_first ? b : a, values,
                                              (int)span->count, out);
    }
    if (layer->kind == BINARY_ADD)
        *out = resr_graph_add(graph, a, b);
    else if (layer->kind == BINARY_MUL)
        *out = resr_graph_mul(graph, a, b);
    else if (layer->kind == BINARY_SUB)
        *out = resr_graph_add(graph, a, resr_graph_scaled(graph, b, -1));
    else if (layer->kind == BINARY_REVERSE_SUB)
        *out = resr_graph_add(graph, b, resr_graph_scaled(graph, a, -1));
    else
        return resr_fail(RESR_ERR_DATA, "layer %s divides two maps", layer->name);
    return 0;
}

/* A constant: one number, or one for each channel (0=1 1=1 2=C, or 0=C alone). */
static int read_memory(ResrNcnnOp *layer, const ResrNcnnLayer *line)
{
    int w = resr_ncnn_int_param(line, 0, 0), h = resr_ncnn_int_param(line, 1, 0);
    int d = resr_ncnn_int_param(line, 11, 0), c = resr_ncnn_int_param(line, 2, 0);
    int count = c == 0 && h == 0 ? w : c > 0 ? c : 1;
    if (line->n_in != 0 || count < 1 || count > RESR_GRAPH_VECTOR || d != 0 ||
        ((c > 0 || h > 0) && (w != 1 || h != 1)))
        return resr_fail(RESR_ERR_DATA, "layer %s: expected a number for each of up to %d channels",
                         layer->name, RESR_GRAPH_VECTOR);
    if (resr_ncnn_int_param(line, 21, 1) != 1)
        return resr_fail(RESR_ERR_DATA, "layer %s: only fp32 data is read", layer->name);
    layer->floats = (size_t)count;
    return 0;
}

static int read_factor(ResrNcnnOp *layer, const ResrNcnnLayer *line)
{
    layer->kind = resr_ncnn_int_param(line, 0, 1);
    if (resr_ncnn_int_param(line, 1, 0) != 0)
        return resr_fail(RESR_ERR_DATA,
                         "layer %s of type %s is not part of a known network: only "
                         "mode 0, PyTorch's order of channels, is",
                         layer->name, line->type);
    if (layer->kind < 1 || layer->kind > MAX_FACTOR)
        return resr_fail(RESR_ERR_DATA, "layer %s: factor %d; expected 1 to %d", layer->name,
                         layer->kind, MAX_FACTOR);
    return 0;
}

static int add_shuffle(ResrGraph *graph, const ResrNcnnOp *layer, const ResrNode *in, ResrNode *out)
{
    *out = resr_graph_shuffle(graph, in[0], layer->kind);
    return 0;
}

static int add_unshuffle(ResrGraph *graph, const ResrNcnnOp *layer, const ResrNode *in,
                         ResrNode *out)
{
    *out = resr_graph_unshuffle(graph, in[0], layer->kind);
    return 0;
}

static int read_interp(ResrNcnnOp *layer, const ResrNcnnLayer *line)
{
    enum { NEAREST = 1, BICUBIC = 3 };
    int kind = resr_ncnn_int_param(line, 0, 0);
    double factor = resr_ncnn_param(line, 1, 1);
    if (kind < NEAREST || kind > BICUBIC || factor != resr_ncnn_param(line, 2, 1) ||
        resr_ncnn_int_param(line, 3, 0) != 0 || resr_ncnn_int_param(line, 4, 0) != 0)
        return resr_fail(RESR_ERR_DATA,
                         "layer %s: expected one factor for both sides, no fixed size",
                         layer->name);
    layer->kind = kind == NEAREST;
    layer->number[0] = factor;
    return 0;
}

static int add_interp(ResrGraph *graph, const ResrNcnnOp *layer, const ResrNode *in, ResrNode *out)
{
    *out = layer->kind ? resr_graph_nearest(graph, in[0], layer->number[0])
                       : resr_graph_resize(graph, in[0], layer->number[0]);
    return 0;
}

static int read_concat(ResrNcnnOp *layer, const ResrNcnnLayer *line)
{
    if (resr_ncnn_int_param(line, 0, 0) == 0)
        return 0;
    return resr_fail(RESR_ERR_DATA,
                     "layer %s of type Concat is not part of a known network: it does not "
                     "concatenate channels",
                     layer->name);
}

static int add_concat(ResrGraph *graph, const ResrNcnnOp *layer, const ResrNode *in, ResrNode *out)
{
    *out = resr_graph_concat(graph, in, layer->n_in);
    return 0;
}

static int read_clip(ResrNcnnOp *layer, const ResrNcnnLayer *line)
{
    if (resr_ncnn_param(line, 0, -1) == 0 && resr_ncnn_param(line, 1, 2) == 1)
        return 0;
    return resr_fail(RESR_ERR_DATA, "layer %s: expected limits of 0 and 1", layer->name);
}

static int add_clip(ResrGraph *graph, const ResrNcnnOp *layer, const ResrNode *in, ResrNode *out)
{
    (void)layer;
    *out = resr_graph_clip(graph, in[0]);
    return 0;
}

static const ResrNcnnType types[] = {
    {"Input", NULL, add_input},
    {"Split", NULL, add_nothing},
    {"Convolution", read_convolution, add_convolution},
    {"ReLU", read_relu, add_relu},
    {"PReLU", read_prelu, add_prelu},
    {"Sigmoid", NULL, add_sigmoid},
    {"Swish", NULL, add_swish},
    {"Eltwise", read_eltwise, add_eltwise},
    {"BinaryOp", read_binary, add_binary},
    {"MemoryData", read_memory, add_input}, /* never added: an operand of BinaryOp only */
    {"Interp", read_interp, add_interp},
    {"PixelShuffle", read_factor, add_shuffle},
    {"Reorg", read_factor, add_unshuffle},
    {"Concat", read_concat, add_concat},
    {"Clip", read_clip, add_clip},
};

bool resr_ncnn_is(const ResrNcnnOp *layer, const char *type)
{
    return strcmp(layer->type->name, type) == 0;
}

int resr_ncnn_read_type(ResrNcnnOp *layer, const ResrNcnnLayer *line)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].name, line->type) == 0)
            layer->type = &types[i];
    if (!layer->type)
        return resr_fail(RESR_ERR_DATA,
                         "layer %s of type %s is not part of RRDBNet, SRVGGNetCompact or SPAN",
                         line->name, line->type);
    if (line->n_in < 1 && !resr_ncnn_is(layer, "Input") && !resr_ncnn_is(layer, "MemoryData"))
        return resr_fail(RESR_ERR_DATA, "layer %s has no input", line->name);
    memcpy(layer->name, line->name, sizeof layer->name);
    layer->n_in = line->n_in;
    return layer->type->read ? layer->type->read(layer, line) : 0;
}
