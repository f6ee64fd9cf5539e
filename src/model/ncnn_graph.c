/* The graph of an ncnn model. The text is read first, layer by layer, into a list of operations
 * with their operands; then the .bin is divided among the layers in the order of the file; then the
 * operations that the output needs are added to a ResrGraph, each after its operands. Parameters of
 * layers: github.com/Tencent/ncnn, docs/developer-guide/operators.md. */

#include "model/ncnn_graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "model/ncnn_param.h"

enum { MAX_LAYERS = 10000, MAX_FACTOR = 8 };

enum { TAG_BYTES = 4, TAG_FP32 = 0, TAG_FP16 = 0x01306B47 };

typedef struct Layer Layer;

/* A type of layer: reads the parameters that apply, and adds the operation to the graph. */
typedef struct LayerType {
    const char *name;
    int (*read)(Layer *layer, const ResrNcnnLayer *line); /* NULL: no parameters */
    int (*add)(ResrGraph *graph, const Layer *layer, const ResrNode *in, ResrNode *out);
} LayerType;

struct Layer {
    const LayerType *type;
    char name[RESR_NCNN_NAME_BYTES];
    int n_in;
    /* Meaning depends on the type. */
    int kind;
    double number[2];
    int cout, kernel_px, activation;
    bool with_bias;
    size_t weights;        /* of the .bin, tagged */
    size_t floats;         /* of the .bin, fp32 after the weights */
    ResrSpan weight, bias; /* in the .bin */
    const Layer *constant; /* operand of a BinaryOp, instead of the second map */
    bool constant_first;
};

typedef struct Blob {
    char name[RESR_NCNN_NAME_BYTES]; /* empty: the slot is free */
    int writer;                      /* layer; -1: none yet */
    int readers;
} Blob;

struct ResrNcnnGraph {
    Layer *layers;
    int n_layers;
    Blob *blobs; /* hash table: a power of two of slots, at most half of them used */
    size_t slots;
    int n_blobs, max_blobs;
    /* The operands of layer i are operands[first[i]..first[i + 1]): slots of blobs, later layers.
     */
    int *first, *operands;
    size_t operand_capacity;
    int output; /* layer */
};

static int read_convolution(Layer *layer, const ResrNcnnLayer *line)
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

static int add_convolution(ResrGraph *graph, const Layer *layer, const ResrNode *in, ResrNode *out)
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

static int add_input(ResrGraph *graph, const Layer *layer, const ResrNode *in, ResrNode *out)
{
    (void)layer, (void)in;
    *out = resr_graph_input(graph);
    return 0;
}

static int add_nothing(ResrGraph *graph, const Layer *layer, const ResrNode *in, ResrNode *out)
{
    (void)graph, (void)layer;
    *out = in[0];
    return 0;
}

static int read_relu(Layer *layer, const ResrNcnnLayer *line)
{
    layer->number[0] = resr_ncnn_param(line, 0, 0);
    return 0;
}

static int add_relu(ResrGraph *graph, const Layer *layer, const ResrNode *in, ResrNode *out)
{
    *out = resr_graph_leaky(graph, in[0], layer->number[0]);
    return 0;
}

static int read_prelu(Layer *layer, const ResrNcnnLayer *line)
{
    int slopes = resr_ncnn_int_param(line, 0, 0);
    if (slopes < 1)
        return resr_fail(RESR_ERR_DATA, "layer %s has %d slopes", layer->name, slopes);
    layer->floats = (size_t)slopes;
    return 0;
}

static int add_prelu(ResrGraph *graph, const Layer *layer, const ResrNode *in, ResrNode *out)
{
    *out = resr_graph_prelu(graph, in[0], &layer->bias);
    return 0;
}

static int add_sigmoid(ResrGraph *graph, const Layer *layer, const ResrNode *in, ResrNode *out)
{
    (void)layer;
    *out = resr_graph_sigmoid(graph, in[0]);
    return 0;
}

static int add_swish(ResrGraph *graph, const Layer *layer, const ResrNode *in, ResrNode *out)
{
    (void)layer;
    *out = resr_graph_silu(graph, in[0]);
    return 0;
}

static int read_eltwise(Layer *layer, const ResrNcnnLayer *line)
{
    layer->number[0] = layer->number[1] = 1;
    for (int i = 0; i < line->n_params; i++)
        if (line->params[i].key == 1 && line->params[i].count == 2)
            memcpy(layer->number, line->params[i].values, sizeof layer->number);
    if (line->n_in != 2 || resr_ncnn_int_param(line, 0, 0) != 1)
        return resr_fail(RESR_ERR_DATA, "layer %s: expected a sum of two", layer->name);
    return 0;
}

static int add_eltwise(ResrGraph *graph, const Layer *layer, const ResrNode *in, ResrNode *out)
{
    *out = resr_graph_add(graph, resr_graph_scaled(graph, in[0], layer->number[0]),
                          resr_graph_scaled(graph, in[1], layer->number[1]));
    return 0;
}

enum { BINARY_ADD, BINARY_SUB, BINARY_MUL, BINARY_DIV, BINARY_REVERSE_SUB = 7 };

static int read_binary(Layer *layer, const ResrNcnnLayer *line)
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
static int binary_with_constant(ResrGraph *graph, const Layer *layer, ResrNode x,
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

static int add_binary(ResrGraph *graph, const Layer *layer, const ResrNode *in, ResrNode *out)
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
static int read_memory(Layer *layer, const ResrNcnnLayer *line)
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

static int read_factor(Layer *layer, const ResrNcnnLayer *line)
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

static int add_shuffle(ResrGraph *graph, const Layer *layer, const ResrNode *in, ResrNode *out)
{
    *out = resr_graph_shuffle(graph, in[0], layer->kind);
    return 0;
}

static int add_unshuffle(ResrGraph *graph, const Layer *layer, const ResrNode *in, ResrNode *out)
{
    *out = resr_graph_unshuffle(graph, in[0], layer->kind);
    return 0;
}

static int read_interp(Layer *layer, const ResrNcnnLayer *line)
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

static int add_interp(ResrGraph *graph, const Layer *layer, const ResrNode *in, ResrNode *out)
{
    *out = layer->kind ? resr_graph_nearest(graph, in[0], layer->number[0])
                       : resr_graph_resize(graph, in[0], layer->number[0]);
    return 0;
}

static int read_concat(Layer *layer, const ResrNcnnLayer *line)
{
    if (resr_ncnn_int_param(line, 0, 0) == 0)
        return 0;
    return resr_fail(RESR_ERR_DATA,
                     "layer %s of type Concat is not part of a known network: it does not "
                     "concatenate channels",
                     layer->name);
}

static int add_concat(ResrGraph *graph, const Layer *layer, const ResrNode *in, ResrNode *out)
{
    *out = resr_graph_concat(graph, in, layer->n_in);
    return 0;
}

static int read_clip(Layer *layer, const ResrNcnnLayer *line)
{
    if (resr_ncnn_param(line, 0, -1) == 0 && resr_ncnn_param(line, 1, 2) == 1)
        return 0;
    return resr_fail(RESR_ERR_DATA, "layer %s: expected limits of 0 and 1", layer->name);
}

static int add_clip(ResrGraph *graph, const Layer *layer, const ResrNode *in, ResrNode *out)
{
    (void)layer;
    *out = resr_graph_clip(graph, in[0]);
    return 0;
}

static const LayerType types[] = {
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

static bool is_a(const Layer *layer, const char *type)
{
    return strcmp(layer->type->name, type) == 0;
}

static int find_type(Layer *layer, const ResrNcnnLayer *line)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].name, line->type) == 0)
            layer->type = &types[i];
    if (!layer->type)
        return resr_fail(RESR_ERR_DATA,
                         "layer %s of type %s is not part of RRDBNet, SRVGGNetCompact or SPAN",
                         line->name, line->type);
    if (line->n_in < 1 && !is_a(layer, "Input") && !is_a(layer, "MemoryData"))
        return resr_fail(RESR_ERR_DATA, "layer %s has no input", line->name);
    return 0;
}

/* The slot of a blob, or the free slot for it. */
static int find_blob(const ResrNcnnGraph *graph, const char *name)
{
    uint64_t hash = 0;
    for (const char *c = name; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 0x9E3779B97F4A7C15u;
    size_t slot = (hash >> 32) & (graph->slots - 1);
    while (graph->blobs[slot].name[0] && strcmp(graph->blobs[slot].name, name) != 0)
        slot = (slot + 1) & (graph->slots - 1);
    return (int)slot;
}

/* The slot of a blob that a layer reads or writes. */
static int name_blob(ResrNcnnGraph *graph, int *slot, const Layer *layer, const char *name)
{
    *slot = find_blob(graph, name);
    Blob *blob = &graph->blobs[*slot];
    if (blob->name[0])
        return 0;
    if (graph->n_blobs++ == graph->max_blobs)
        return resr_fail(RESR_ERR_DATA, "layer %s: the file announces only %d blobs", layer->name,
                         graph->max_blobs);
    memcpy(blob->name, name, strlen(name) + 1);
    blob->writer = -1;
    return 0;
}

static int read_layer(ResrNcnnGraph *graph, char *text)
{
    ResrNcnnLayer line;
    int index = graph->n_layers, slot;
    Layer *layer = &graph->layers[index];
    int ret = resr_ncnn_read_layer(&line, text);
    if (ret == 0)
        ret = find_type(layer, &line);
    if (ret < 0)
        return ret;
    memcpy(layer->name, line.name, sizeof layer->name);
    layer->n_in = line.n_in;
    if (layer->type->read)
        ret = layer->type->read(layer, &line);
    size_t used = (size_t)graph->first[index];
    if (ret == 0)
        ret = resr_grow_by(&graph->operands, &graph->operand_capacity, used, (size_t)line.n_in + 1,
                           sizeof *graph->operands);
    for (int i = 0; ret == 0 && i < line.n_in; i++) {
        ret = name_blob(graph, &slot, layer, line.in[i]);
        graph->operands[used++] = slot;
        graph->blobs[slot].readers++;
    }
    for (int i = 0; ret == 0 && i < line.n_out; i++) {
        ret = name_blob(graph, &slot, layer, line.out[i]);
        if (ret == 0 && graph->blobs[slot].writer >= 0)
            ret =
                resr_fail(RESR_ERR_DATA, "layer %s writes blob %s, which another layer writes too",
                          layer->name, line.out[i]);
        graph->blobs[slot].writer = index;
    }
    graph->first[index + 1] = (int)used;
    graph->n_layers++;
    return ret;
}

/* The constants among a BinaryOp's operands. */
static int bind_constant(Layer *layer, const Layer *operand, int position)
{
    if (!is_a(operand, "MemoryData"))
        return 0;
    if (!is_a(layer, "BinaryOp") || layer->constant)
        return resr_fail(RESR_ERR_DATA, "layer %s reads constant %s; expected a map", layer->name,
                         operand->name);
    layer->constant = operand;
    layer->constant_first = position == 0;
    return 0;
}

/* Replaces the operands' blobs by the layers that write them. */
static int bind(ResrNcnnGraph *graph)
{
    for (int i = 0; i < graph->n_layers; i++)
        for (int k = graph->first[i]; k < graph->first[i + 1]; k++) {
            const Blob *blob = &graph->blobs[graph->operands[k]];
            if (blob->writer < 0)
                return resr_fail(RESR_ERR_DATA, "layer %s reads blob %s, which no layer writes",
                                 graph->layers[i].name, blob->name);
            int ret =
                bind_constant(&graph->layers[i], &graph->layers[blob->writer], k - graph->first[i]);
            if (ret < 0)
                return ret;
            graph->operands[k] = blob->writer;
        }
    return 0;
}

/* The output is the one blob that no layer reads. */
static int find_output(ResrNcnnGraph *graph)
{
    const Blob *output = NULL;
    for (size_t slot = 0; slot < graph->slots; slot++) {
        const Blob *blob = &graph->blobs[slot];
        if (!blob->name[0] || blob->readers > 0 || is_a(&graph->layers[blob->writer], "MemoryData"))
            continue;
        if (output)
            return resr_fail(RESR_ERR_DATA,
                             "blobs %s and %s are both outputs; a network of a known kind has one",
                             output->name, blob->name);
        output = blob;
    }
    if (!output)
        return resr_fail(RESR_ERR_DATA, "the graph has a cycle; a network has none");
    graph->output = output->writer;
    return 0;
}

static int read_layers(ResrNcnnGraph *graph, char *text)
{
    char *state = NULL;
    int layers = 0, blobs = 0;
    strtok_r(text, "\n", &state); /* the magic number */
    const char *counts = strtok_r(NULL, "\n", &state);
    if (!counts || sscanf(counts, "%d %d", &layers, &blobs) != 2 || layers < 2 ||
        layers > MAX_LAYERS || blobs < 2 || blobs > MAX_LAYERS)
        return resr_fail(RESR_ERR_DATA,
                         "the second line has no counts of layers and blobs up to %d", MAX_LAYERS);
    graph->max_blobs = blobs;
    for (graph->slots = 4; graph->slots < 2 * (size_t)blobs;)
        graph->slots *= 2;
    int ret = resr_alloc(&graph->blobs, graph->slots, sizeof *graph->blobs);
    if (ret == 0)
        ret = resr_alloc(&graph->layers, (size_t)layers, sizeof *graph->layers);
    if (ret == 0)
        ret = resr_alloc(&graph->first, (size_t)layers + 1, sizeof *graph->first);
    for (int i = 0; ret == 0 && i < layers; i++) {
        char *line = strtok_r(NULL, "\n", &state);
        if (!line)
            return resr_fail(RESR_ERR_DATA, "the file announces %d layers and has %d", layers, i);
        ret = read_layer(graph, line);
    }
    if (ret == 0 && strtok_r(NULL, " \t\r\n", &state))
        ret = resr_fail(RESR_ERR_DATA, "the file has more than the announced %d layers", layers);
    if (ret == 0 && graph->n_blobs != blobs)
        ret = resr_fail(RESR_ERR_DATA, "the file announces %d blobs and has %d", blobs,
                        graph->n_blobs);
    return ret;
}

int resr_ncnn_read_graph(ResrNcnnGraph **out, char *text)
{
    ResrNcnnGraph *graph = NULL;
    *out = NULL;
    int ret = resr_alloc(&graph, 1, sizeof *graph);
    if (ret == 0)
        ret = read_layers(graph, text);
    if (ret == 0)
        ret = bind(graph);
    if (ret == 0)
        ret = find_output(graph);
    if (ret < 0)
        resr_ncnn_free_graph(graph);
    else
        *out = graph;
    return ret;
}

void resr_ncnn_free_graph(ResrNcnnGraph *graph)
{
    if (!graph)
        return;
    free(graph->layers);
    free(graph->blobs);
    free(graph->first);
    free(graph->operands);
    free(graph);
}

static const uint8_t *take(ResrBytes *rest, size_t bytes)
{
    if (bytes > rest->bytes)
        return NULL;
    rest->data += bytes;
    rest->bytes -= bytes;
    return rest->data - bytes;
}

static int find_tagged(Layer *layer, ResrBytes *rest)
{
    const uint8_t *tag = take(rest, TAG_BYTES);
    uint32_t kind = tag ? tag[0] | tag[1] << 8 | tag[2] << 16 | (uint32_t)tag[3] << 24 : TAG_FP32;
    if (kind != TAG_FP32 && kind != TAG_FP16)
        return resr_fail(RESR_ERR_DATA,
                         "convolution %s: weights of kind %08x in the .bin; only fp32 "
                         "and fp16 are supported",
                         layer->name, (unsigned)kind);
    layer->weight.dtype = kind == TAG_FP16 ? RESR_DTYPE_F16 : RESR_DTYPE_F32;
    layer->weight.count = layer->weights;
    size_t bytes = layer->weights * resr_dtype_bytes(layer->weight.dtype);
    layer->weight.data = take(rest, resr_round_up(bytes, 4));
    return 0;
}

int resr_ncnn_find_weights(ResrNcnnGraph *graph, const ResrBytes *bin)
{
    ResrBytes rest = *bin;
    for (int i = 0; i < graph->n_layers; i++) {
        Layer *layer = &graph->layers[i];
        int ret = layer->weights > 0 ? find_tagged(layer, &rest) : 0;
        if (ret < 0)
            return ret;
        layer->bias = (ResrSpan){take(&rest, 4 * layer->floats), layer->floats, RESR_DTYPE_F32};
        if ((layer->weights > 0 && !layer->weight.data) || !layer->bias.data)
            return resr_fail(RESR_ERR_DATA, "the .bin of %zu bytes ends within layer %s",
                             bin->bytes, layer->name);
    }
    if (rest.bytes > 0)
        return resr_fail(RESR_ERR_DATA, "the .bin has %zu bytes after the last layer", rest.bytes);
    return 0;
}

static int add_layer(ResrGraph *graph, const ResrNcnnGraph *file, int index, ResrNode *values)
{
    ResrNode in[RESR_NCNN_MAX_BLOBS] = {0};
    const Layer *layer = &file->layers[index];
    const int *operands = &file->operands[file->first[index]];
    for (int i = 0; i < layer->n_in; i++)
        in[i] = values[operands[i]];
    return layer->type->add(graph, layer, in, &values[index]);
}

int resr_ncnn_build(ResrModel **out, const ResrNcnnGraph *file)
{
    size_t layers = (size_t)file->n_layers;
    ResrGraph *graph = NULL;
    ResrNode *values = NULL;
    int *order = NULL, n = 0;
    *out = NULL;
    int ret = resr_graph_create(&graph, layers);
    if (ret == 0)
        ret = resr_alloc(&values, layers, sizeof *values);
    if (ret == 0)
        ret = resr_alloc(&order, layers, sizeof *order);
    if (ret == 0)
        ret =
            resr_graph_order(order, &n, file->first, file->operands, file->n_layers, file->output);
    for (int i = 0; ret == 0 && i < n; i++)
        ret = add_layer(graph, file, order[i], values);
    if (ret == 0)
        ret = resr_graph_model(out, graph, values[file->output]);
    resr_graph_free(graph);
    free(values);
    free(order);
    return ret;
}
