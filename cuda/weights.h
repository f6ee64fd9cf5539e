#ifndef RESR_CUDA_WEIGHTS_H
#define RESR_CUDA_WEIGHTS_H

#include "conv.cuh"
#include "model/model.h"

/* Feature maps and growth channels of the device's buffers; smaller networks are padded to them
 * with zero weights. A dense block's buffer: the trunk's channels, then conv1..4's. */
enum { NET_FEATURES = 64, NET_GROWTH = 32, NET_DENSE_PITCH = NET_FEATURES + 4 * NET_GROWTH };

/* A tail of more than 64 outputs (SRVGG above 4x) is done in pieces. */
enum { NET_MAX_TAIL_PIECES = 3 };

/* One convolution of a network, its weights on the device in its variant's layout. */
typedef struct NetLayer {
    const ConvVariant *variant;
    int cin, cout, activation; /* counts padded */
    void *weights;
    float *bias, *slope;
} NetLayer;

typedef struct NetWeights {
    ResrNetSpec spec;
    int device, n_layers, head_channels;
    int bf16;                       /* the variant's */
    int tail_pieces, tail_channels; /* the last layers, all of the same input */
    NetLayer *layers;
    char *memory; /* on the device */
    size_t bytes;
} NetWeights;

/* Packs a network's weights for `variant` (unsupported layers for conv_variant_mma) and
 * copies them to the device. RESR_ERR_DEVICE: it fails, or the network is wider than the buffers.
 */
RESR_MUST_CHECK int resr_cuda_weights_create(NetWeights **out, const ResrModel *model, int device,
                                             const ConvVariant *variant);
void resr_cuda_weights_free(NetWeights *net); /* NULL is allowed */

#endif
