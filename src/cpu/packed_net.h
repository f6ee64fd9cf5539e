#ifndef RESR_CPU_PACKED_NET_H
#define RESR_CPU_PACKED_NET_H

#include "cpu/conv.h"

/* All convolutions of a model, packed for their kernels; shared by runs. */
typedef struct ResrPackedNet {
    ResrNetSpec spec;
    const ResrConvKernels *body, *ends; /* kernels of the body's convolutions, and of all others */
    int32_t n_convs;
    ResrPackedConv *convs; /* in the model's order */
    float *memory;         /* of all convolutions */
    size_t memory_bytes;
} ResrPackedNet;

/* *out: a ResrPackedNet, as the ops table hands it around. RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_packed_net_create(void **out, const ResrModel *model,
                                           const ResrConvKernels *body,
                                           const ResrConvKernels *ends);
void resr_packed_net_free(ResrPackedNet *net);

#endif
