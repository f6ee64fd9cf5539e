#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cpu/conv.h"

static void pack_weights(ResrPackedConv *out, const ResrConv *conv)
{
    float *to = out->weight;
    for (int vector = 0; vector < out->out_vectors; vector += 2) {
        int vectors = out->out_vectors - vector < 2 ? 1 : 2;
        int first = vector * out->vector_lanes;
        for (int tap = 0; tap < 9; tap++)
            for (int ci = 0; ci < conv->cin; ci++)
                for (int lane = 0; lane < vectors * out->vector_lanes; lane++, to++)
                    if (first + lane < conv->cout)
                        *to = conv->weight[((first + lane) * conv->cin + ci) * 9 + tap];
    }
}

int resr_conv_pack(ResrPackedConv *out, const ResrConv *conv, const int *groups, int leaky,
                   int vector_lanes)
{
    *out = (ResrPackedConv){.cin = conv->cin, .cout = conv->cout, .vector_lanes = vector_lanes};
    out->out_vectors = (conv->cout + vector_lanes - 1) / vector_lanes;
    for (int i = 0; groups[i]; i++)
        out->in_blocks += resr_blocks(groups[i]);

    size_t lanes = (size_t)(out->out_vectors * vector_lanes);
    size_t weights = lanes * 9 * (size_t)conv->cin;
    int ret = resr_alloc(&out->memory, weights + 2 * lanes + (size_t)out->in_blocks, sizeof(float));
    if (ret < 0)
        return ret;
    out->weight = out->memory;
    out->bias = out->weight + weights;
    memcpy(out->bias, conv->bias, (size_t)conv->cout * sizeof(float));
    if (conv->slope || leaky) {
        out->slope = out->bias + lanes;
        for (int i = 0; i < conv->cout; i++)
            out->slope[i] = leaky ? 0.2f : conv->slope[i];
    }
    out->in_lanes = (int32_t *)(out->bias + 2 * lanes);
    int32_t *in_lanes = out->in_lanes;
    for (int i = 0; groups[i]; i++)
        for (int left = groups[i]; left > 0; left -= RESR_BLOCK_LANES)
            *in_lanes++ = left < RESR_BLOCK_LANES ? left : RESR_BLOCK_LANES;
    pack_weights(out, conv);
    return 0;
}

void resr_conv_release(ResrPackedConv *conv)
{
    free(conv->memory);
    conv->memory = NULL;
}
