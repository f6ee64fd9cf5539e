/* ncnn's model format (github.com/Tencent/ncnn, docs "param and model file structure"): a text file
 * with a line per layer, and a binary file with the weights in the order of the layers.
 *
 * The graph is checked whole: every blob gets a value that stands for the expression that computes
 * it (a hash of the operation and its operands' values), and the last one must be that of the
 * network which the convolutions' shapes suggest. So a graph that concatenates in another order, or
 * leaves out a residual, is refused whatever its names are. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "model/readers.h"

enum { MAX_LAYERS = 10000, MAX_BLOBS_OF_LAYER = 64, MAX_PARAMS = 32 };
enum { TAG_FP32 = 0, TAG_FP16 = 0x01306B47 };

typedef uint64_t Value;

typedef struct Blob {
    char name[64];
    Value value;
} Blob;

typedef struct ConvLayer {
    int cout, weights; /* number of weights */
    int prelu;         /* slopes behind it, 0: none */
} ConvLayer;

typedef struct Graph {
    Blob *blobs;
    int n_blobs, max_blobs;
    ConvLayer *convs;
    int n_convs;
    Value output;
    int shuffle;   /* PixelShuffle's factor, 0: there is none */
    double resize; /* of the last Interp, if it follows the network */
} Graph;

/* One layer's line, taken apart. */
typedef struct Layer {
    char type[64], name[64];
    int n_in, n_out;
    char *in[MAX_BLOBS_OF_LAYER], *out[MAX_BLOBS_OF_LAYER];
    int n_params;
    struct {
        int key, count;
        double values[4];
    } params[MAX_PARAMS];
} Layer;

enum {
    OP_INPUT = 1,
    OP_CONV,
    OP_LRELU,
    OP_PRELU,
    OP_CONCAT,
    OP_SCALE,
    OP_ADD,
    OP_NEAREST,
    OP_SHUFFLE
};

static Value mix(Value a, Value b)
{
    Value z = a * 0x9E3779B97F4A7C15u + b + 0x632BE59BD9B4E019u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static Value apply(int op, int64_t parameter, Value operand)
{
    return mix(mix((Value)op, (Value)parameter), operand);
}

/* Parameters are compared to a thousandth. */
static int64_t fixed_point(double x)
{
    return x > -1e6 && x < 1e6 ? (int64_t)(x * 1000 + (x < 0 ? -0.5 : 0.5)) : INT64_MAX;
}

static Value scaled(Value x, double factor)
{
    return fixed_point(factor) == 1000 ? x : apply(OP_SCALE, fixed_point(factor), x);
}

static Value sum(Value a, Value b)
{
    return apply(OP_ADD, 0, mix(a < b ? a : b, a < b ? b : a));
}

static const Blob *find_blob(const Graph *graph, const char *name)
{
    for (int i = 0; i < graph->n_blobs; i++)
        if (strcmp(graph->blobs[i].name, name) == 0)
            return &graph->blobs[i];
    return NULL;
}

static double param(const Layer *layer, int key, double otherwise)
{
    for (int i = 0; i < layer->n_params; i++)
        if (layer->params[i].key == key)
            return layer->params[i].values[0];
    return otherwise;
}

static int int_param(const Layer *layer, int key, int otherwise)
{
    double value = param(layer, key, otherwise);
    return value > -1e9 && value < 1e9 ? (int)value : -1;
}

/* "k=v", or "-233xx=n,v,v..." for an array at key xx. */
static int read_param(Layer *layer, const char *text)
{
    char *end;
    long key = strtol(text, &end, 10);
    if (*end != '=' || layer->n_params == MAX_PARAMS)
        return resr_fail(RESR_ERR_DATA, "layer %s: '%s' is no parameter", layer->name, text);
    int array = key <= -23300;
    layer->params[layer->n_params].key = (int)(array ? -23300 - key : key);
    long count = 1;
    if (array) {
        count = strtol(end + 1, &end, 10);
        if (count < 1 || count > 4 || *end != ',')
            return resr_fail(RESR_ERR_DATA, "layer %s: '%s' is no array of 1 to 4 numbers",
                             layer->name, text);
    }
    for (long i = 0; i < count; i++) {
        const char *start = end + 1;
        layer->params[layer->n_params].values[i] = strtod(start, &end);
        if (end == start || (*end != (i + 1 < count ? ',' : 0)))
            return resr_fail(RESR_ERR_DATA, "layer %s: '%s' is no number", layer->name, text);
    }
    layer->params[layer->n_params++].count = (int)count;
    return 0;
}

static int read_layer(Layer *layer, char *line)
{
    char *state = NULL;
    char *words[4];
    memset(layer, 0, sizeof *layer);
    for (int i = 0; i < 4; i++) {
        words[i] = strtok_r(i ? NULL : line, " \t\r", &state);
        if (!words[i] || strlen(words[i]) >= sizeof layer->type)
            return resr_fail(RESR_ERR_DATA, "a layer's line lacks its type, name or counts");
    }
    memcpy(layer->type, words[0], strlen(words[0]) + 1);
    memcpy(layer->name, words[1], strlen(words[1]) + 1);
    layer->n_in = atoi(words[2]);
    layer->n_out = atoi(words[3]);
    if (layer->n_in < 0 || layer->n_in > MAX_BLOBS_OF_LAYER || layer->n_out < 1 ||
        layer->n_out > MAX_BLOBS_OF_LAYER)
        return resr_fail(RESR_ERR_DATA, "layer %s has %s inputs and %s outputs", layer->name,
                         words[2], words[3]);
    for (int i = 0; i < layer->n_in + layer->n_out; i++) {
        char *blob = strtok_r(NULL, " \t\r", &state);
        if (!blob || strlen(blob) >= sizeof((Blob *)0)->name)
            return resr_fail(RESR_ERR_DATA, "layer %s lacks the name of a blob", layer->name);
        if (i < layer->n_in)
            layer->in[i] = blob;
        else
            layer->out[i - layer->n_in] = blob;
    }
    int ret = 0;
    for (char *text; ret == 0 && (text = strtok_r(NULL, " \t\r", &state));)
        ret = read_param(layer, text);
    return ret;
}

static int convolution(Graph *graph, const Layer *layer, Value in, Value *out)
{
    ConvLayer *conv = &graph->convs[graph->n_convs];
    conv->cout = int_param(layer, 0, 0);
    conv->weights = int_param(layer, 6, 0);
    int activation = int_param(layer, 9, 0);
    if (int_param(layer, 1, 0) != 3 || int_param(layer, 2, 1) != 1 || int_param(layer, 3, 1) != 1 ||
        int_param(layer, 4, 0) != 1 || int_param(layer, 5, 0) != 1 || int_param(layer, 8, 0) != 0 ||
        conv->cout < 1 || conv->weights < 9)
        return resr_fail(RESR_ERR_DATA,
                         "layer %s: expected a 3x3 convolution with stride 1, padding 1 "
                         "and bias, not quantised",
                         layer->name);
    *out = apply(OP_CONV, graph->n_convs++, in);
    if (activation == 2)
        *out = apply(OP_LRELU, fixed_point(param(layer, 10, 0)), *out);
    else if (activation != 0)
        return resr_fail(RESR_ERR_DATA, "layer %s: activation %d is not known", layer->name,
                         activation);
    return 0;
}

static int eltwise(const Layer *layer, const Value *in, Value *out)
{
    double a = 1, b = 1;
    for (int i = 0; i < layer->n_params; i++)
        if (layer->params[i].key == 1 && layer->params[i].count == 2) {
            a = layer->params[i].values[0];
            b = layer->params[i].values[1];
        }
    if (layer->n_in != 2 || int_param(layer, 0, 0) != 1)
        return resr_fail(RESR_ERR_DATA, "layer %s: expected a sum of two", layer->name);
    *out = sum(scaled(in[0], a), scaled(in[1], b));
    return 0;
}

static int interp(Graph *graph, const Layer *layer, Value in, Value *out)
{
    int kind = int_param(layer, 0, 0);
    double factor = param(layer, 1, 1);
    if (factor != param(layer, 2, 1))
        return resr_fail(RESR_ERR_DATA, "layer %s: resizes by %g x %g", layer->name, factor,
                         param(layer, 2, 1));
    if (kind == 1) {
        *out = apply(OP_NEAREST, fixed_point(factor), in);
    } else { /* any other filter: the resize of the finished picture, ours is Lanczos */
        graph->resize = factor;
        *out = in;
    }
    return 0;
}

/* The value of a layer's output from those of its inputs. */
static int evaluate(Graph *graph, const Layer *layer, const Value *in, Value *out)
{
    const char *type = layer->type;
    if (graph->resize != 1)
        return resr_fail(RESR_ERR_DATA, "layer %s comes after the final resize", layer->name);
    if (strcmp(type, "Input") == 0) {
        *out = apply(OP_INPUT, 0, 0);
        return 0;
    }
    if (layer->n_in < 1)
        return resr_fail(RESR_ERR_DATA, "layer %s has no input", layer->name);
    *out = in[0];
    if (strcmp(type, "Split") == 0)
        return 0;
    if (strcmp(type, "Convolution") == 0)
        return convolution(graph, layer, in[0], out);
    if (strcmp(type, "Eltwise") == 0)
        return eltwise(layer, in, out);
    if (strcmp(type, "Interp") == 0)
        return interp(graph, layer, in[0], out);
    if (strcmp(type, "ReLU") == 0) {
        *out = apply(OP_LRELU, fixed_point(param(layer, 0, 0)), in[0]);
        return 0;
    }
    if (strcmp(type, "PReLU") == 0 && graph->n_convs > 0) {
        graph->convs[graph->n_convs - 1].prelu = int_param(layer, 0, 0);
        *out = apply(OP_PRELU, graph->n_convs - 1, in[0]);
        return 0;
    }
    if (strcmp(type, "PixelShuffle") == 0) {
        graph->shuffle = int_param(layer, 0, 1);
        *out = apply(OP_SHUFFLE, graph->shuffle, in[0]);
        return 0;
    }
    if (strcmp(type, "BinaryOp") == 0 && int_param(layer, 0, 0) == 0 && layer->n_in == 2) {
        *out = sum(in[0], in[1]);
        return 0;
    }
    if (strcmp(type, "BinaryOp") == 0 && int_param(layer, 0, 0) == 2 &&
        int_param(layer, 1, 0) == 1) {
        *out = scaled(in[0], param(layer, 2, 1));
        return 0;
    }
    if (strcmp(type, "Concat") == 0 && int_param(layer, 0, 0) == 0) {
        for (int i = 1; i < layer->n_in; i++)
            *out = mix(apply(OP_CONCAT, i, *out), in[i]);
        return 0;
    }
    return resr_fail(RESR_ERR_DATA, "layer %s of type %s is no part of RRDBNet or SRVGGNetCompact",
                     layer->name, type);
}

static int add_layer(Graph *graph, const Layer *layer)
{
    Value in[MAX_BLOBS_OF_LAYER], out = 0;
    for (int i = 0; i < layer->n_in; i++) {
        const Blob *blob = find_blob(graph, layer->in[i]);
        if (!blob)
            return resr_fail(RESR_ERR_DATA,
                             "layer %s reads blob %s, which nothing before it writes", layer->name,
                             layer->in[i]);
        in[i] = blob->value;
    }
    int ret = evaluate(graph, layer, in, &out);
    for (int i = 0; ret == 0 && i < layer->n_out; i++) {
        if (graph->n_blobs == graph->max_blobs || find_blob(graph, layer->out[i]))
            return resr_fail(RESR_ERR_DATA, "layer %s: blob %s is one too many", layer->name,
                             layer->out[i]);
        Blob *blob = &graph->blobs[graph->n_blobs++];
        snprintf(blob->name, sizeof blob->name, "%s", layer->out[i]);
        blob->value = graph->output = out;
    }
    return ret;
}

static int read_graph(Graph *graph, char *text)
{
    static _Thread_local Layer layer;
    char *state = NULL;
    int layers = 0, blobs = 0;
    strtok_r(text, "\n", &state); /* the magic number */
    const char *counts = strtok_r(NULL, "\n", &state);
    if (!counts || sscanf(counts, "%d %d", &layers, &blobs) != 2 || layers < 2 ||
        layers > MAX_LAYERS || blobs < 2 || blobs > MAX_LAYERS)
        return resr_fail(RESR_ERR_DATA,
                         "the second line has no counts of layers and blobs up to %d", MAX_LAYERS);
    graph->max_blobs = blobs;
    graph->resize = 1;
    int ret = resr_alloc(&graph->blobs, (size_t)blobs, sizeof *graph->blobs);
    if (ret == 0)
        ret = resr_alloc(&graph->convs, (size_t)layers + 1, sizeof *graph->convs);
    for (int i = 0; ret == 0 && i < layers; i++) {
        char *line = strtok_r(NULL, "\n", &state);
        if (!line)
            return resr_fail(RESR_ERR_DATA, "%d layers were announced, %d are there", layers, i);
        ret = read_layer(&layer, line);
        if (ret == 0)
            ret = add_layer(graph, &layer);
    }
    return ret;
}

static Value lrelu_conv(int *conv, Value in)
{
    return apply(OP_LRELU, 200, apply(OP_CONV, (*conv)++, in));
}

/* The value of RRDBNet's output. */
static Value expect_rrdb(const ResrNetSpec *spec)
{
    int conv = 0;
    Value first = apply(OP_CONV, conv++, apply(OP_INPUT, 0, 0)), x = first;
    for (int block = 0; block < spec->num_blocks; block++) {
        Value start = x;
        for (int dense = 0; dense < 3; dense++) {
            Value maps[5] = {x}, in = x;
            for (int i = 1; i < 5; i++) {
                maps[i] = lrelu_conv(&conv, in);
                in = maps[0];
                for (int k = 1; k <= i; k++)
                    in = mix(apply(OP_CONCAT, k, in), maps[k]);
            }
            x = sum(scaled(apply(OP_CONV, conv++, in), 0.2), x);
        }
        x = sum(scaled(x, 0.2), start);
    }
    x = sum(first, apply(OP_CONV, conv++, x));
    for (int i = 0; i < 2; i++)
        x = lrelu_conv(&conv, apply(OP_NEAREST, 2000, x));
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
    return sum(x, apply(OP_NEAREST, 1000 * spec->scale, input));
}

static int infer_spec(ResrNetSpec *spec, const Graph *graph)
{
    if (graph->n_convs < 2)
        return resr_fail(RESR_ERR_DATA, "the graph has %d convolutions", graph->n_convs);
    *spec = (ResrNetSpec){.nf = graph->convs[0].cout, .unshuffle = 1, .resize = graph->resize};
    if (graph->shuffle > 0) {
        spec->arch = RESR_ARCH_SRVGG;
        spec->num_blocks = graph->n_convs - 2;
        spec->scale = graph->shuffle;
    } else {
        spec->arch = RESR_ARCH_RRDB;
        spec->num_blocks = (graph->n_convs - 6) / 15;
        spec->gc = graph->convs[1].cout;
        spec->scale = 4;
    }
    int ret = resr_spec_check(spec);
    if (ret < 0)
        return ret;
    bool rrdb = spec->arch == RESR_ARCH_RRDB;
    if (resr_spec_convs(spec) != graph->n_convs ||
        graph->output != (rrdb ? expect_rrdb(spec) : expect_srvgg(spec)))
        return resr_fail(RESR_ERR_DATA, "the graph of %d convolutions is not that of %s",
                         graph->n_convs, rrdb ? "RRDBNet" : "SRVGGNetCompact");
    return 0;
}

typedef struct Reader {
    const uint8_t *next;
    size_t left;
} Reader;

static const uint8_t *take_bytes(Reader *reader, size_t bytes)
{
    if (bytes > reader->left)
        return NULL;
    reader->next += bytes;
    reader->left -= bytes;
    return reader->next - bytes;
}

static int read_conv(Reader *reader, const ResrConv *conv, const ConvLayer *layer)
{
    size_t weights = (size_t)conv->cout * (size_t)conv->cin * 9, outputs = (size_t)conv->cout;
    if (layer->cout != conv->cout || (size_t)layer->weights != weights ||
        layer->prelu != (conv->slope ? conv->cout : 0))
        return resr_fail(
            RESR_ERR_DATA,
            "convolution %s has %d outputs, %d weights and %d slopes, expected %d, %zu "
            "and %d",
            conv->name, layer->cout, layer->weights, layer->prelu, conv->cout, weights,
            conv->slope ? conv->cout : 0);
    const uint8_t *tag = take_bytes(reader, 4);
    uint32_t kind = tag ? tag[0] | tag[1] << 8 | tag[2] << 16 | (uint32_t)tag[3] << 24 : TAG_FP32;
    if (kind != TAG_FP32 && kind != TAG_FP16)
        return resr_fail(RESR_ERR_DATA,
                         "convolution %s: weights of kind %08x; fp32 and fp16 are read", conv->name,
                         (unsigned)kind);
    ResrDtype dtype = kind == TAG_FP16 ? RESR_DTYPE_F16 : RESR_DTYPE_F32;
    const uint8_t *values = take_bytes(reader, resr_round_up(weights * resr_dtype_bytes(dtype), 4));
    const uint8_t *bias = take_bytes(reader, outputs * 4);
    const uint8_t *slope = conv->slope ? take_bytes(reader, outputs * 4) : bias;
    if (!tag || !values || !bias || !slope)
        return resr_fail(RESR_ERR_DATA, "the .bin file ends within convolution %s", conv->name);
    int ret = resr_weights_convert(conv->weight, values, dtype, weights, conv->name);
    if (ret == 0)
        ret = resr_weights_convert(conv->bias, bias, RESR_DTYPE_F32, outputs, conv->name);
    if (ret == 0 && conv->slope)
        ret = resr_weights_convert(conv->slope, slope, RESR_DTYPE_F32, outputs, conv->name);
    return ret;
}

static int read_bin(ResrModel *model, const Graph *graph, const char *param_path)
{
    char path[sizeof model->path];
    size_t length = strlen(param_path);
    size_t stem =
        length > 6 && strcmp(param_path + length - 6, ".param") == 0 ? length - 6 : length;
    snprintf(path, sizeof path, "%.*s.bin", (int)stem, param_path);
    FILE *file = fopen(path, "rbe");
    if (!file)
        return resr_fail(RESR_ERR_NOINPUT, "%s: %s; it belongs to %s", path, strerror(errno),
                         param_path);
    /* A file larger than all weights in fp32 with their tags has something after them. */
    size_t limit = model->arena_floats * 4 + (size_t)model->n_convs * 4 + 1;
    uint8_t *data = NULL;
    int ret = resr_alloc_uninitialised(&data, 1, limit);
    Reader reader = {data, ret == 0 ? fread(data, 1, limit, file) : 0};
    fclose(file);
    for (int i = 0; ret == 0 && i < model->n_convs; i++)
        ret = read_conv(&reader, &model->convs[i], &graph->convs[i]);
    if (ret == 0 && reader.left > 0)
        ret = resr_fail(RESR_ERR_DATA, "the .bin file goes on after the last layer");
    free(data);
    return ret;
}

int resr_model_read_ncnn(ResrModel **out, const ResrBytes *file, const char *path)
{
    Graph graph = {0};
    ResrNetSpec spec;
    char *text = NULL;
    int ret = resr_alloc(&text, file->bytes + 1, 1);
    if (ret < 0)
        return ret;
    memcpy(text, file->data, file->bytes);
    ret = read_graph(&graph, text);
    if (ret == 0)
        ret = infer_spec(&spec, &graph);
    if (ret == 0)
        ret = resr_model_create(out, &spec);
    if (ret == 0)
        ret = read_bin(*out, &graph, path);
    if (ret < 0) {
        resr_model_free(*out);
        *out = NULL;
    }
    free(graph.blobs);
    free(graph.convs);
    free(text);
    return ret;
}
