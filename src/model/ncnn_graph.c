/* Checks the whole graph of an ncnn model: every blob gets a value, a hash of the operation that
 * computes it and of its operands' values, so the last value stands for the whole expression. It
 * must equal the value of the network that the convolutions' shapes suggest. A graph that
 * concatenates in a different order or lacks a residual is therefore refused; names of layers and
 * blobs do not matter. */

#include "model/ncnn_graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "model/ncnn_param.h"

enum { MAX_LAYERS = 10000 };

typedef uint64_t Value;

typedef struct Blob {
    char name[RESR_NCNN_NAME_BYTES]; /* empty: the slot is free */
    Value value;
} Blob;

/* A convolution as described by its layer. */
typedef struct ConvLayer {
    int cout, weights; /* number of weights */
    int slopes;        /* of the PReLU after it; 0: none */
} ConvLayer;

typedef struct Graph {
    Blob *blobs; /* hash table: a power of two of slots, at most half of them used */
    size_t slots;
    int n_blobs;
    ConvLayer *convs;
    int n_convs;
    Value output;
    int shuffle;   /* PixelShuffle's factor; 0: none */
    double resize; /* factor of an Interp after the network; 1: none */
} Graph;

typedef enum Op {
    OP_INPUT = 1,
    OP_CONV,
    OP_LRELU,
    OP_PRELU,
    OP_CONCAT,
    OP_SCALE,
    OP_ADD,
    OP_NEAREST,
    OP_SHUFFLE
} Op;

static Value mix(Value a, Value b)
{
    Value z = a * 0x9E3779B97F4A7C15u + b + 0x632BE59BD9B4E019u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static Value apply(Op op, int64_t parameter, Value operand)
{
    return mix(mix((Value)op, (Value)parameter), operand);
}

/* A parameter as an integer of millionths, for comparisons. */
static int64_t fixed_point(double x)
{
    return x > -1e6 && x < 1e6 ? (int64_t)(x * 1e6 + (x < 0 ? -0.5 : 0.5)) : INT64_MAX;
}

static Value scaled(Value x, double factor)
{
    return factor == 1 ? x : apply(OP_SCALE, fixed_point(factor), x);
}

static Value sum(Value a, Value b)
{
    return apply(OP_ADD, 0, mix(a < b ? a : b, a < b ? b : a));
}

static Value nearest(Value x, double factor)
{
    return apply(OP_NEAREST, fixed_point(factor), x);
}

static Value concatenated(const Value *maps, int n)
{
    Value value = maps[0];
    for (int i = 1; i < n; i++)
        value = mix(apply(OP_CONCAT, i, value), maps[i]);
    return value;
}

/* The slot of a blob, or the free slot for it. */
static Blob *find_blob(const Graph *graph, const char *name)
{
    Value hash = 0;
    for (const char *c = name; *c; c++)
        hash = mix(hash, (Value)(unsigned char)*c);
    size_t slot = hash & (graph->slots - 1);
    while (graph->blobs[slot].name[0] && strcmp(graph->blobs[slot].name, name) != 0)
        slot = (slot + 1) & (graph->slots - 1);
    return &graph->blobs[slot];
}

/* Parameters of ncnn's layers: docs/developer-guide/operators.md. */
static int convolution(Graph *graph, const ResrNcnnLayer *layer, Value in, Value *out)
{
    static const struct {
        int key, ours, otherwise; /* otherwise: ncnn's default */
    } expected[] = {{1, 3, 0},  {11, 3, 3}, {2, 1, 1},  {12, 1, 1}, {3, 1, 1},
                    {13, 1, 1}, {4, 1, 0},  {14, 1, 1}, {15, 1, 1}, {16, 1, 1},
                    {18, 0, 0}, {5, 1, 0},  {8, 0, 0},  {19, 0, 0}};
    ConvLayer *conv = &graph->convs[graph->n_convs];
    conv->cout = resr_ncnn_int_param(layer, 0, 0);
    conv->weights = resr_ncnn_int_param(layer, 6, 0);
    bool ours = conv->cout > 0 && conv->weights > 0;
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        ours = ours && resr_ncnn_int_param(layer, expected[i].key, expected[i].otherwise) ==
                           expected[i].ours;
    if (!ours)
        return resr_fail(RESR_ERR_DATA,
                         "layer %s: expected a 3x3 convolution with stride 1, padding 1 and bias, "
                         "not quantised",
                         layer->name);
    *out = apply(OP_CONV, graph->n_convs++, in);
    int activation = resr_ncnn_int_param(layer, 9, 0);
    if (activation == 2) /* leaky ReLU */
        *out = apply(OP_LRELU, fixed_point(resr_ncnn_param(layer, 10, 0)), *out);
    else if (activation != 0)
        return resr_fail(RESR_ERR_DATA, "layer %s: activation %d is not known", layer->name,
                         activation);
    return 0;
}

static int eltwise(const ResrNcnnLayer *layer, const Value *in, Value *out)
{
    double a = 1, b = 1;
    for (int i = 0; i < layer->n_params; i++)
        if (layer->params[i].key == 1 && layer->params[i].count == 2) {
            a = layer->params[i].values[0];
            b = layer->params[i].values[1];
        }
    if (layer->n_in != 2 || resr_ncnn_int_param(layer, 0, 0) != 1)
        return resr_fail(RESR_ERR_DATA, "layer %s: expected a sum of two", layer->name);
    *out = sum(scaled(in[0], a), scaled(in[1], b));
    return 0;
}

static int binary(const ResrNcnnLayer *layer, const Value *in, Value *out)
{
    int op = resr_ncnn_int_param(layer, 0, 0), with_scalar = resr_ncnn_int_param(layer, 1, 0);
    if (op == 0 && with_scalar == 0 && layer->n_in == 2)
        *out = sum(in[0], in[1]);
    else if (op == 2 && with_scalar == 1 && layer->n_in == 1)
        *out = scaled(in[0], resr_ncnn_param(layer, 2, 0));
    else
        return resr_fail(RESR_ERR_DATA,
                         "layer %s: expected a sum of two or a product with a number", layer->name);
    return 0;
}

static int interp(Graph *graph, const ResrNcnnLayer *layer, Value in, Value *out)
{
    enum { NEAREST = 1, BICUBIC = 3 };
    int kind = resr_ncnn_int_param(layer, 0, 0);
    double factor = resr_ncnn_param(layer, 1, 1);
    if (kind < NEAREST || kind > BICUBIC || factor != resr_ncnn_param(layer, 2, 1) ||
        resr_ncnn_int_param(layer, 3, 0) != 0 || resr_ncnn_int_param(layer, 4, 0) != 0)
        return resr_fail(RESR_ERR_DATA,
                         "layer %s: expected one factor for both sides, no fixed size",
                         layer->name);
    if (kind == NEAREST) {
        *out = nearest(in, factor);
    } else { /* any other resize is that of the finished picture; we use Lanczos for it */
        graph->resize = factor;
        *out = in;
    }
    return 0;
}

/* The value of a layer's output from those of its inputs. */
static int evaluate(Graph *graph, const ResrNcnnLayer *layer, const Value *in, Value *out)
{
    const char *type = layer->type;
    *out = apply(OP_INPUT, 0, 0);
    if (graph->resize != 1)
        return resr_fail(RESR_ERR_DATA, "layer %s follows the final resize", layer->name);
    if (strcmp(type, "Input") == 0)
        return 0;
    if (layer->n_in < 1)
        return resr_fail(RESR_ERR_DATA, "layer %s has no input", layer->name);
    *out = in[0];
    if (strcmp(type, "Split") == 0)
        return 0;
    if (strcmp(type, "Convolution") == 0)
        return convolution(graph, layer, in[0], out);
    if (strcmp(type, "Eltwise") == 0)
        return eltwise(layer, in, out);
    if (strcmp(type, "BinaryOp") == 0)
        return binary(layer, in, out);
    if (strcmp(type, "Interp") == 0)
        return interp(graph, layer, in[0], out);
    if (strcmp(type, "ReLU") == 0) {
        *out = apply(OP_LRELU, fixed_point(resr_ncnn_param(layer, 0, 0)), in[0]);
        return 0;
    }
    if (strcmp(type, "PReLU") == 0 && graph->n_convs > 0) {
        graph->convs[graph->n_convs - 1].slopes = resr_ncnn_int_param(layer, 0, 0);
        *out = apply(OP_PRELU, graph->n_convs - 1, in[0]);
        return 0;
    }
    if (strcmp(type, "PixelShuffle") == 0 && resr_ncnn_int_param(layer, 1, 0) == 0) {
        graph->shuffle = resr_ncnn_int_param(layer, 0, 1);
        *out = apply(OP_SHUFFLE, graph->shuffle, in[0]);
        return 0;
    }
    if (strcmp(type, "Concat") == 0 && resr_ncnn_int_param(layer, 0, 0) == 0) {
        *out = concatenated(in, layer->n_in);
        return 0;
    }
    return resr_fail(RESR_ERR_DATA, "layer %s of type %s is not part of RRDBNet or SRVGGNetCompact",
                     layer->name, type);
}

static int add_layer(Graph *graph, const ResrNcnnLayer *layer, int max_blobs)
{
    Value in[RESR_NCNN_MAX_BLOBS], out;
    for (int i = 0; i < layer->n_in; i++) {
        const Blob *blob = find_blob(graph, layer->in[i]);
        if (!blob->name[0])
            return resr_fail(RESR_ERR_DATA,
                             "layer %s reads blob %s, which no layer before it writes", layer->name,
                             layer->in[i]);
        in[i] = blob->value;
    }
    int ret = evaluate(graph, layer, in, &out);
    if (ret < 0)
        return ret;
    for (int i = 0; i < layer->n_out; i++) {
        Blob *blob = find_blob(graph, layer->out[i]);
        if (blob->name[0])
            return resr_fail(RESR_ERR_DATA,
                             "layer %s writes blob %s, which another layer writes too", layer->name,
                             layer->out[i]);
        if (graph->n_blobs++ == max_blobs)
            return resr_fail(RESR_ERR_DATA, "layer %s: the file announces only %d blobs",
                             layer->name, max_blobs);
        snprintf(blob->name, sizeof blob->name, "%s", layer->out[i]);
        blob->value = out;
    }
    graph->output = out;
    return 0;
}

static int read_layers(Graph *graph, char *text)
{
    ResrNcnnLayer layer;
    char *state = NULL;
    int layers = 0, blobs = 0;
    strtok_r(text, "\n", &state); /* the magic number */
    const char *counts = strtok_r(NULL, "\n", &state);
    if (!counts || sscanf(counts, "%d %d", &layers, &blobs) != 2 || layers < 2 ||
        layers > MAX_LAYERS || blobs < 2 || blobs > MAX_LAYERS)
        return resr_fail(RESR_ERR_DATA,
                         "the second line has no counts of layers and blobs up to %d", MAX_LAYERS);
    graph->resize = 1;
    for (graph->slots = 4; graph->slots < 2 * (size_t)blobs;)
        graph->slots *= 2;
    int ret = resr_alloc(&graph->blobs, graph->slots, sizeof *graph->blobs);
    if (ret == 0)
        ret = resr_alloc(&graph->convs, (size_t)layers, sizeof *graph->convs);
    for (int i = 0; ret == 0 && i < layers; i++) {
        char *line = strtok_r(NULL, "\n", &state);
        if (!line)
            return resr_fail(RESR_ERR_DATA, "the file announces %d layers and has %d", layers, i);
        ret = resr_ncnn_read_layer(&layer, line);
        if (ret == 0)
            ret = add_layer(graph, &layer, blobs);
    }
    if (ret == 0 && strtok_r(NULL, " \t\r\n", &state))
        ret = resr_fail(RESR_ERR_DATA, "the file has more than the announced %d layers", layers);
    if (ret == 0 && graph->n_blobs != blobs)
        ret = resr_fail(RESR_ERR_DATA, "the file announces %d blobs and has %d", blobs,
                        graph->n_blobs);
    return ret;
}

static Value lrelu_conv(int *conv, Value in)
{
    return apply(OP_LRELU, fixed_point(0.2), apply(OP_CONV, (*conv)++, in));
}

/* The value of RRDBNet's output. */
static Value expect_rrdb(const ResrNetSpec *spec)
{
    int conv = 0;
    Value first = apply(OP_CONV, conv++, apply(OP_INPUT, 0, 0)), x = first;
    for (int block = 0; block < spec->num_blocks; block++) {
        Value start = x;
        for (int dense = 0; dense < 3; dense++) {
            Value maps[5] = {x};
            for (int i = 1; i < 5; i++)
                maps[i] = lrelu_conv(&conv, concatenated(maps, i));
            x = sum(scaled(apply(OP_CONV, conv++, concatenated(maps, 5)), 0.2), x);
        }
        x = sum(scaled(x, 0.2), start);
    }
    x = sum(first, apply(OP_CONV, conv++, x));
    for (int i = 0; i < 2; i++)
        x = lrelu_conv(&conv, nearest(x, 2));
    x = lrelu_conv(&conv, x);
    return apply(OP_CONV, conv, x);
}

static Value expect_srvgg(const ResrNetSpec *spec)
{
    Value input = apply(OP_INPUT, 0, 0), x = input;
    int last = spec->num_blocks + 1;
    for (int i = 0; i < last; i++)
        x = apply(OP_PRELU, i, apply(OP_CONV, i, x));
    x = apply(OP_SHUFFLE, spec->scale, apply(OP_CONV, last, x));
    return sum(x, nearest(input, spec->scale));
}

static int check_conv(const ConvLayer *conv, const ResrConvShape *shape)
{
    int slopes = shape->has_slope ? shape->cout : 0;
    if (conv->cout == shape->cout && conv->weights == 9 * shape->cout * shape->cin &&
        conv->slopes == slopes)
        return 0;
    return resr_fail(
        RESR_ERR_DATA,
        "convolution %s has %d outputs, %d weights and %d slopes, expected %d, %d and %d",
        shape->name, conv->cout, conv->weights, conv->slopes, shape->cout,
        9 * shape->cout * shape->cin, slopes);
}

static int recognise(ResrNetSpec *spec, const Graph *graph)
{
    bool rrdb = graph->shuffle == 0;
    if (graph->n_convs < 2)
        return resr_fail(RESR_ERR_DATA, "the graph has %d convolutions", graph->n_convs);
    *spec = (ResrNetSpec){.arch = rrdb ? RESR_ARCH_RRDB : RESR_ARCH_SRVGG,
                          .scale = rrdb ? 4 : graph->shuffle,
                          .unshuffle = 1,
                          .num_blocks = rrdb ? (graph->n_convs - 6) / 15 : graph->n_convs - 2,
                          .nf = graph->convs[0].cout,
                          .gc = rrdb ? graph->convs[1].cout : 0,
                          .channels = 3,
                          .resize = graph->resize};
    int ret = resr_spec_check(spec);
    if (ret < 0)
        return ret;
    if (resr_spec_convs(spec) != graph->n_convs ||
        graph->output != (rrdb ? expect_rrdb(spec) : expect_srvgg(spec)))
        return resr_fail(RESR_ERR_DATA, "the graph of %d convolutions is not that of %s",
                         graph->n_convs, resr_spec_arch_name(spec));
    for (int i = 0; ret == 0 && i < graph->n_convs; i++) {
        ResrConvShape shape = resr_spec_conv(spec, i);
        ret = check_conv(&graph->convs[i], &shape);
    }
    return ret;
}

int resr_ncnn_read_graph(ResrNetSpec *spec, char *text)
{
    Graph graph = {0};
    int ret = read_layers(&graph, text);
    if (ret == 0)
        ret = recognise(spec, &graph);
    free(graph.blobs);
    free(graph.convs);
    return ret;
}
