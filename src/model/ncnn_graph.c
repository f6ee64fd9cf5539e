/* The graph of an ncnn model. The text is read first, layer by layer, into a list of operations
 * with their operands; then the .bin is divided among the layers in the order of the file; then the
 * operations that the output needs are added to a ResrGraph, each after its operands. */

#include "model/ncnn_graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "model/ncnn_layers.h"

enum { MAX_LAYERS = 10000 };

enum { TAG_BYTES = 4, TAG_FP32 = 0, TAG_FP16 = 0x01306B47 };

typedef struct Blob {
    char name[RESR_NCNN_NAME_BYTES]; /* empty: the slot is free */
    int writer;                      /* layer; -1: none yet */
    int readers;
} Blob;

struct ResrNcnnGraph {
    ResrNcnnOp *layers;
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
static int name_blob(ResrNcnnGraph *graph, int *slot, const ResrNcnnOp *layer, const char *name)
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
    ResrNcnnOp *layer = &graph->layers[index];
    int ret = resr_ncnn_read_layer(&line, text);
    if (ret == 0)
        ret = resr_ncnn_read_type(layer, &line);
    if (ret < 0)
        return ret;
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
static int bind_constant(ResrNcnnOp *layer, const ResrNcnnOp *operand, int position)
{
    if (!resr_ncnn_is(operand, "MemoryData"))
        return 0;
    if (!resr_ncnn_is(layer, "BinaryOp") || layer->constant)
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
        if (!blob->name[0] || blob->readers > 0 ||
            resr_ncnn_is(&graph->layers[blob->writer], "MemoryData"))
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

static int find_tagged(ResrNcnnOp *layer, ResrBytes *rest)
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
        ResrNcnnOp *layer = &graph->layers[i];
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
    const ResrNcnnOp *layer = &file->layers[index];
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
