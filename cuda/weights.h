#ifndef RESR_CUDA_WEIGHTS_H
#define RESR_CUDA_WEIGHTS_H

#include "conv.cuh"
#include "model/model.h"

/* Outputs of a layer, and channels of a plane of residuals; wider convolutions take several. */
enum { NET_LAYER_OUTPUTS = 64 };

/* Elements of a pixel of RRDB's last convolution: its 1, 3 or 4 outputs. */
enum { NET_LAST_PITCH = 4 };

/* Up to 64 outputs of a convolution, their weights on the device in the variant's layout. */
typedef struct NetLayer {
    const ConvVariant *variant;
    int cin, cout, activation; /* counts padded */
    void *weights;
    float *bias, *slope;
} NetLayer;

/* A convolution: layers of the same input whose outputs lie side by side. */
typedef struct NetConv {
    int first_layer, layers, cin, cout; /* counts padded */
} NetConv;

/* A network's weights. Feature maps and growth channels are padded to multiples of 32 with zero
 * weights (SPAN's features to 64: its activations need that many outputs); `features` and `growth`
 * are these counts. A concatenation's parts begin at their multiples: a dense block's buffer has
 * the trunk's channels, then conv1..4's; SPAN's the last block's output, the head's, the last
 * block's c1_r and, of two blocks and more, the first block's output.
 *
 * Convolutions are the model's in their order. Of SPAN, conv_2 and the 1x1 conv_cat behind it are
 * one, since nothing is between them: 3x3 over the concatenation, of which all parts but the first
 * have a centre tap alone. It is the same sum of products, without a rounding between the two. */
typedef struct NetWeights {
    ResrNetSpec spec;
    int features, growth;
    int enlargements; /* RRDB: conv_up1.. */
    int device;
    int bf16; /* the variant's */
    int n_convs, n_layers;
    NetConv *convs;
    NetLayer *layers;
    char *memory; /* on the device */
    size_t bytes;
} NetWeights;

/* Elements of a pixel in the buffer of a concatenation, or of the features where there is none. */
int resr_cuda_concatenated(const NetWeights *net);

/* Packs a network's weights for `variant` (unsupported layers for mma's variant of the same
 * element) and copies them to the device. RESR_ERR_DEVICE. */
RESR_MUST_CHECK int resr_cuda_weights_create(NetWeights **out, const ResrModel *model, int device,
                                             const ConvVariant *variant);
void resr_cuda_weights_free(NetWeights *net); /* NULL is allowed */

#endif
