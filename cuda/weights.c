#include "weights.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGN_BYTES = 256, DENSE_CONVS = 5, RRDB_CONVS = 15, ATTENTION_CONVS = 3, TAPS = 9 };

static int round_up(int value, int step)
{
    return (value + step - 1) / step * step;
}

static size_t aligned(size_t bytes)
{
    return (bytes + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES;
}

/* Which convolution of a dense block (0..4), or -1. */
static int dense_index(const ResrNetSpec *spec, int conv)
{
    bool in_body = resr_spec_is_rrdb(spec) && conv > 0 && conv <= RRDB_CONVS * spec->num_blocks;
    return in_body ? (conv - 1) % DENSE_CONVS : -1;
}

/* RRDB: conv_up1.. */
static bool is_enlarging(const NetWeights *net, int index)
{
    int from_end = net->n_convs - 1 - index;
    return from_end > 1 && from_end < 2 + net->enlargements;
}

static int activation_of(const NetWeights *net, const ResrConv *conv, int index)
{
    const ResrNetSpec *spec = &net->spec;
    int dense = dense_index(spec, index);
    if (conv->slope)
        return CONV_PRELU;
    if (spec->arch == RESR_ARCH_SPAN && index > 0 && index <= ATTENTION_CONVS * spec->num_blocks)
        return index % ATTENTION_CONVS == 0 ? CONV_GATE : CONV_SILU;
    bool conv_hr = resr_spec_is_rrdb(spec) && index == net->n_convs - 2;
    return (dense >= 0 && dense < 4) || conv_hr || is_enlarging(net, index) ? CONV_LEAKY_RELU
                                                                            : CONV_NONE;
}

int resr_cuda_concatenated(const NetWeights *net)
{
    if (resr_spec_is_rrdb(&net->spec))
        return net->features + (DENSE_CONVS - 1) * net->growth;
    if (net->spec.arch == RESR_ARCH_SPAN)
        return (net->spec.num_blocks > 1 ? 4 : 3) * net->features;
    return net->features;
}

/* The place in the device's buffers of a convolution's input channel `i`; of its number of
 * channels, theirs. */
static int input_place(const NetWeights *net, int index, int i)
{
    bool dense = dense_index(&net->spec, index) >= 0;
    int part = dense ? net->spec.gc : net->spec.nf, padded = dense ? net->growth : net->features;
    if (index == 0 || i < net->spec.nf)
        return i;
    return net->features + (i - net->spec.nf) / part * padded + (i - net->spec.nf) % part;
}

static void shape_conv(NetConv *out, const NetWeights *net, const ResrConv *conv, int index)
{
    int dense = dense_index(&net->spec, index);
    out->cin = round_up(input_place(net, index, conv->cin), 16);
    out->cout = dense >= 0 && dense < 4 ? net->growth : net->features;
    if (index == net->n_convs - 1)
        out->cout = round_up(conv->cout, 16);
    out->layers = (out->cout + NET_LAYER_OUTPUTS - 1) / NET_LAYER_OUTPUTS;
}

/* The variant for a layer. Its supports() gets the deciding fields (conv.cuh), the others zero. */
static const ConvVariant *choose_variant(const ConvVariant *wanted, const NetWeights *net,
                                         const NetLayer *layer, int index)
{
    ConvCall call = {.cin = layer->cin,
                     .cout = layer->cout,
                     .activation = layer->activation,
                     .upsample = is_enlarging(net, index)};
    return wanted->supports(&call) ? wanted : &conv_variant_mma;
}

/* A convolution's outputs first.. with its input channels where the device's buffers have them. */
static int spread(float **out, const NetWeights *net, const ResrConv *conv, int index, int cin,
                  int first, int outputs)
{
    *out = calloc((size_t)outputs * (size_t)cin * TAPS, sizeof **out);
    if (!*out)
        return resr_cuda_fail(RESR_ERR_INTERNAL, "out of memory for the weights of %s", conv->name);
    for (int o = 0; o < outputs; o++)
        for (int i = 0; i < conv->cin; i++)
            memcpy(*out + ((size_t)o * (size_t)cin + (size_t)input_place(net, index, i)) * TAPS,
                   conv->weight + ((size_t)(first + o) * (size_t)conv->cin + (size_t)i) * TAPS,
                   TAPS * sizeof(float));
    return 0;
}

static size_t layer_bytes(const NetLayer *layer)
{
    return aligned(layer->variant->packed_bytes(layer->cin, layer->cout)) +
           2 * aligned((size_t)layer->cout * sizeof(float));
}

/* Packs outputs first.. of a convolution into host memory at `to` (zeroed), whose copy will lie at
 * `device`. */
static int fill_layer(NetLayer *layer, char *to, char *device, const NetWeights *net,
                      const ResrConv *conv, int index, int first)
{
    float *weights;
    int outputs = conv->cout - first < layer->cout ? conv->cout - first : layer->cout;
    int ret = spread(&weights, net, conv, index, layer->cin, first, outputs);
    if (ret < 0)
        return ret;
    size_t bias = aligned(layer->variant->packed_bytes(layer->cin, layer->cout));
    size_t slope = bias + aligned((size_t)layer->cout * sizeof(float));
    layer->variant->pack(to, weights, layer->cin, outputs, layer->cin, layer->cout);
    memcpy(to + bias, conv->bias + first, (size_t)outputs * sizeof(float));
    if (conv->slope)
        memcpy(to + slope, conv->slope + first, (size_t)outputs * sizeof(float));
    layer->weights = device;
    layer->bias = (float *)(device + bias);
    layer->slope = conv->slope ? (float *)(device + slope) : NULL;
    free(weights);
    return 0;
}

static int alloc_convs(NetWeights *net, const ResrConv *convs)
{
    net->convs = calloc((size_t)net->n_convs, sizeof *net->convs);
    if (!net->convs)
        return resr_cuda_fail(RESR_ERR_INTERNAL, "out of memory for %d layers", net->n_convs);
    for (int i = 0; i < net->n_convs; i++) {
        shape_conv(&net->convs[i], net, &convs[i], i);
        net->convs[i].first_layer = net->n_layers;
        net->n_layers += net->convs[i].layers;
    }
    net->layers = calloc((size_t)net->n_layers, sizeof *net->layers);
    return net->layers
               ? 0
               : resr_cuda_fail(RESR_ERR_INTERNAL, "out of memory for %d layers", net->n_layers);
}

static void shape_layers(NetWeights *net, const ResrConv *convs, const ConvVariant *variant)
{
    for (int i = 0; i < net->n_convs; i++)
        for (int k = 0; k < net->convs[i].layers; k++) {
            const NetConv *conv = &net->convs[i];
            NetLayer *layer = &net->layers[conv->first_layer + k];
            int rest = conv->cout - k * NET_LAYER_OUTPUTS;
            layer->cin = conv->cin;
            layer->cout = rest < NET_LAYER_OUTPUTS ? rest : NET_LAYER_OUTPUTS;
            layer->activation = activation_of(net, &convs[i], i);
            layer->variant = choose_variant(variant, net, layer, i);
            net->bytes += layer_bytes(layer);
        }
}

static int upload(NetWeights *net, const ResrConv *convs)
{
    size_t at = 0;
    char *host = calloc(1, net->bytes);
    int ret = host ? 0 : resr_cuda_fail(RESR_ERR_INTERNAL, "out of memory: %zu bytes", net->bytes);
    if (ret == 0)
        ret = resr_cuda_check(cudaMalloc((void **)&net->memory, net->bytes), "memory for weights");
    for (int i = 0; i < net->n_convs; i++)
        for (int k = 0; ret == 0 && k < net->convs[i].layers; k++) {
            NetLayer *layer = &net->layers[net->convs[i].first_layer + k];
            ret = fill_layer(layer, host + at, net->memory + at, net, &convs[i], i,
                             k * NET_LAYER_OUTPUTS);
            at += layer_bytes(layer);
        }
    if (ret == 0)
        ret = resr_cuda_check(cudaMemcpy(net->memory, host, net->bytes, cudaMemcpyHostToDevice),
                              "copying weights");
    free(host);
    return resr_cuda_device_error(ret);
}

/* A convolution without weights. */
static int alloc_conv(ResrConv *conv, int cout, int cin)
{
    *conv = (ResrConv){.cout = cout, .cin = cin, .kernel_px = 3};
    conv->weight = calloc(resr_conv_weights(conv), sizeof *conv->weight);
    conv->bias = calloc((size_t)cout, sizeof *conv->bias);
    if (!conv->weight || !conv->bias)
        return resr_cuda_fail(RESR_ERR_INTERNAL, "out of memory for the network's end");
    return 0;
}

/* SPAN: output `o` of conv_cat after conv_2 (weights.h). */
static void join_output(ResrConv *out, const ResrConv *conv_2, const ResrConv *conv_cat, int o)
{
    /* conv_cat's parts: head, conv_2, first block, c1_r; ours: last block, head, c1_r, first block.
     */
    static const int places[] = {1, 0, 3, 2};
    enum { CENTRE = 4, CONV_2 = 1 };
    int nf = conv_2->cin;
    float *weight = out->weight + (size_t)o * (size_t)out->cin * TAPS;
    const float *cat = conv_cat->weight + (size_t)o * (size_t)conv_cat->cin;
    double bias = (double)conv_cat->bias[o];
    for (int part = 0; part < 4; part++)
        for (int i = 0; i < nf && part != CONV_2; i++) { /* one block: the first is the last */
            int place = places[part] * nf < out->cin ? places[part] : 0;
            weight[(place * nf + i) * TAPS + CENTRE] = cat[part * nf + i];
        }
    for (int m = 0; m < nf; m++)
        bias += (double)cat[CONV_2 * nf + m] * (double)conv_2->bias[m];
    for (int i = 0; i < nf * TAPS; i++) {
        double sum = (double)weight[i];
        for (int m = 0; m < nf; m++)
            sum += (double)cat[CONV_2 * nf + m] * (double)conv_2->weight[m * nf * TAPS + i];
        weight[i] = (float)sum;
    }
    out->bias[o] = (float)bias;
}

/* The model's convolutions as the device computes them, in `convs` of as many; of SPAN, *joined
 * owns the memory of the one that two became. */
static int join_convs(NetWeights *net, ResrConv *convs, ResrConv *joined, const ResrModel *model)
{
    int last = model->n_convs - 1;
    net->n_convs = model->n_convs;
    if (resr_spec_is_rrdb(&net->spec))
        net->enlargements = net->n_convs - 4 - RRDB_CONVS * net->spec.num_blocks;
    memcpy(convs, model->convs, (size_t)model->n_convs * sizeof *convs);
    if (net->spec.arch != RESR_ARCH_SPAN)
        return 0;
    int parts = resr_cuda_concatenated(net) / net->features;
    int ret = alloc_conv(joined, net->spec.nf, parts * net->spec.nf);
    for (int o = 0; ret == 0 && o < joined->cout; o++)
        join_output(joined, &model->convs[last - 2], &model->convs[last - 1], o);
    convs[last - 2] = *joined;
    convs[last - 1] = model->convs[last];
    net->n_convs--;
    return ret;
}

static int fill(NetWeights *net, const ResrModel *model, const ConvVariant *variant)
{
    ResrConv *convs = malloc((size_t)model->n_convs * sizeof *convs), joined = {0};
    int ret = convs ? join_convs(net, convs, &joined, model)
                    : resr_cuda_fail(RESR_ERR_INTERNAL, "out of memory");
    if (ret == 0)
        ret = resr_cuda_check(cudaSetDevice(net->device), "choosing it");
    if (ret == 0)
        ret = alloc_convs(net, convs);
    if (ret == 0) {
        shape_layers(net, convs, variant);
        ret = upload(net, convs);
    }
    free(joined.weight);
    free(joined.bias);
    free(convs);
    return ret;
}

int resr_cuda_weights_create(NetWeights **out, const ResrModel *model, int device,
                             const ConvVariant *variant)
{
    const ResrNetSpec *spec = &model->spec;
    NetWeights *net = calloc(1, sizeof *net);
    *out = NULL;
    if (!net)
        return resr_cuda_fail(RESR_ERR_INTERNAL, "out of memory");
    net->spec = *spec;
    net->features = round_up(spec->nf, spec->arch == RESR_ARCH_SPAN ? 64 : 32);
    net->growth = round_up(spec->gc, 32);
    net->bf16 = variant->bf16;
    net->device = device;
    int ret = fill(net, model, variant);
    if (ret < 0) {
        resr_cuda_weights_free(net);
        return ret;
    }
    *out = net;
    return 0;
}

void resr_cuda_weights_free(NetWeights *net)
{
    if (!net)
        return;
    if (net->memory) {
        cudaSetDevice(net->device);
        cudaFree(net->memory);
    }
    free(net->layers);
    free(net->convs);
    free(net);
}
