#include "weights.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGN_BYTES = 256, DENSE_CONVS = 5, RRDB_CONVS = 15, TAPS = 9 };

static int round_up(int value, int step)
{
    return (value + step - 1) / step * step;
}

static size_t aligned(size_t bytes)
{
    return (bytes + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES;
}

static bool is_rrdb(const ResrNetSpec *spec)
{
    return spec->arch == RESR_ARCH_RRDB;
}

/* Which convolution of a dense block (0..4), or -1. */
static int dense_index(const ResrNetSpec *spec, int conv)
{
    bool in_body = is_rrdb(spec) && conv > 0 && conv <= RRDB_CONVS * spec->num_blocks;
    return in_body ? (conv - 1) % DENSE_CONVS : -1;
}

static int activation_of(const ResrNetSpec *spec, const ResrConv *conv, int index, int n_convs)
{
    if (conv->slope)
        return CONV_PRELU;
    int dense = dense_index(spec, index), from_end = n_convs - 1 - index;
    bool tail = from_end > 0 && from_end < 4; /* conv_up1, conv_up2, conv_hr */
    return is_rrdb(spec) && ((dense >= 0 && dense < 4) || tail) ? CONV_LEAKY_RELU : CONV_NONE;
}

/* Sets a layer's padded counts. */
static void shape_layer(NetLayer *layer, const ResrNetSpec *spec, int index, int n_convs,
                        int outputs)
{
    int dense = dense_index(spec, index);
    layer->cin = NET_FEATURES + (dense > 0 ? dense * NET_GROWTH : 0);
    layer->cout = dense >= 0 && dense < 4 ? NET_GROWTH : NET_FEATURES;
    if (index == 0)
        layer->cin = round_up(3 * spec->unshuffle * spec->unshuffle, 16);
    if (index == n_convs - 1)
        layer->cout = round_up(outputs, 16);
}

/* The variant for a layer. Its supports() gets the deciding fields (conv.cuh), the others zero. */
static const ConvVariant *choose_variant(const ConvVariant *wanted, const ResrNetSpec *spec,
                                         const NetLayer *layer, int index, int n_convs)
{
    static float some[4];
    static char pixels[16];
    int from_end = n_convs - 1 - index, dense = dense_index(spec, index);
    ConvCall call = {.in = pixels,
                     .cin = layer->cin,
                     .cout = layer->cout,
                     .activation = layer->activation,
                     .upsample = is_rrdb(spec) && (from_end == 2 || from_end == 3)};
    call.out = from_end > 0 ? pixels : NULL;
    call.out_f32 = from_end == 0 || (is_rrdb(spec) && index == 0) ? some : NULL;
    call.trunk_in = dense == 4 ? some : NULL;
    call.trunk_out = call.trunk_in ? some : NULL;
    call.add = is_rrdb(spec) && from_end == 4 ? some : NULL;
    return wanted->supports(&call) ? wanted : &conv_variant_mma;
}

/* A convolution's outputs first.. with its input channels where the device's buffers have them: of
 * a dense block the trunk's and each convolution's begin at multiples of the padded counts. */
static int spread(float **out, const ResrNetSpec *spec, const ResrConv *conv, int index, int cin,
                  int first, int outputs)
{
    int dense = dense_index(spec, index);
    *out = calloc((size_t)outputs * (size_t)cin * TAPS, sizeof **out);
    if (!*out)
        return resr_cuda_fail(RESR_ERR_INTERNAL, "out of memory for the weights of %s", conv->name);
    for (int o = 0; o < outputs; o++)
        for (int i = 0; i < conv->cin; i++) {
            int at = i;
            if (dense > 0 && i >= spec->nf)
                at = NET_FEATURES + (i - spec->nf) / spec->gc * NET_GROWTH +
                     (i - spec->nf) % spec->gc;
            memcpy(*out + ((size_t)o * (size_t)cin + (size_t)at) * TAPS,
                   conv->weight + ((size_t)(first + o) * (size_t)conv->cin + (size_t)i) * TAPS,
                   TAPS * sizeof(float));
        }
    return 0;
}

static size_t layer_bytes(const NetLayer *layer)
{
    return aligned(layer->variant->packed_bytes(layer->cin, layer->cout)) +
           2 * aligned((size_t)layer->cout * sizeof(float));
}

/* Packs a layer into host memory at `to` (zeroed), whose copy will lie at `device`. */
static int fill_layer(NetLayer *layer, char *to, char *device, const ResrNetSpec *spec,
                      const ResrConv *conv, int index, int first)
{
    float *weights;
    int outputs = conv->cout - first < layer->cout ? conv->cout - first : layer->cout;
    int ret = spread(&weights, spec, conv, index, layer->cin, first, outputs);
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

static int alloc_layers(NetWeights *net, const ResrModel *model, const ConvVariant *variant)
{
    int last = model->n_convs - 1, outputs = model->convs[last].cout;
    net->tail_pieces = (outputs + NET_FEATURES - 1) / NET_FEATURES;
    net->n_layers = last + net->tail_pieces;
    net->layers = calloc((size_t)net->n_layers, sizeof *net->layers);
    if (!net->layers)
        return resr_cuda_fail(RESR_ERR_INTERNAL, "out of memory for %d layers", net->n_layers);
    for (int i = 0; i < net->n_layers; i++) {
        NetLayer *layer = &net->layers[i];
        int index = i < last ? i : last, rest = outputs - (i - last) * NET_FEATURES;
        shape_layer(layer, &net->spec, index, model->n_convs,
                    rest < NET_FEATURES ? rest : NET_FEATURES);
        layer->activation = activation_of(&net->spec, &model->convs[index], index, model->n_convs);
        layer->variant = choose_variant(variant, &net->spec, layer, index, model->n_convs);
        net->bytes += layer_bytes(layer);
        net->tail_channels += i >= last ? layer->cout : 0;
    }
    net->head_channels = net->layers[0].cin;
    return 0;
}

static int upload(NetWeights *net, const ResrModel *model)
{
    int last = model->n_convs - 1;
    size_t at = 0;
    char *host = calloc(1, net->bytes);
    int ret = host ? 0 : resr_cuda_fail(RESR_ERR_INTERNAL, "out of memory: %zu bytes", net->bytes);
    if (ret == 0)
        ret = resr_cuda_check(cudaMalloc((void **)&net->memory, net->bytes), "memory for weights");
    for (int i = 0; ret == 0 && i < net->n_layers; i++) {
        int index = i < last ? i : last;
        ret = fill_layer(&net->layers[i], host + at, net->memory + at, &net->spec,
                         &model->convs[index], index, (i - index) * NET_FEATURES);
        at += layer_bytes(&net->layers[i]);
    }
    if (ret == 0)
        ret = resr_cuda_check(cudaMemcpy(net->memory, host, net->bytes, cudaMemcpyHostToDevice),
                              "copying weights");
    free(host);
    return resr_cuda_device_error(ret);
}

int resr_cuda_weights_create(NetWeights **out, const ResrModel *model, int device,
                             const ConvVariant *variant)
{
    const ResrNetSpec *spec = &model->spec;
    *out = NULL;
    if (spec->nf > NET_FEATURES || spec->gc > NET_GROWTH)
        return resr_cuda_fail(RESR_ERR_DEVICE,
                              "--backend cuda: %d features and %d growth channels are more than "
                              "its %d and %d; choose another backend",
                              spec->nf, spec->gc, NET_FEATURES, NET_GROWTH);
    NetWeights *net = calloc(1, sizeof *net);
    if (!net)
        return resr_cuda_fail(RESR_ERR_INTERNAL, "out of memory");
    net->spec = *spec;
    net->bf16 = variant->bf16;
    net->device = device;
    int ret = resr_cuda_check(cudaSetDevice(device), "choosing it");
    if (ret == 0)
        ret = alloc_layers(net, model, variant);
    if (ret == 0)
        ret = upload(net, model);
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
    free(net);
}
