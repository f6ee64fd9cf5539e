#ifndef RESR_CPU_PACKED_NET_H
#define RESR_CPU_PACKED_NET_H

#include "cpu/conv.h"

/* How a backend convolves: the body of an RRDB network, of an SRVGG or SPAN one, the first and last
 * layers of all, and 1x1 convolutions. (With bf16 operands in all of x4plus, conv_first alone would
 * cause 5 dB of the error and the other ends 2 to 3 dB; in fp32 they take no longer.) */
typedef struct ResrNetKernels {
    const ResrConvKernels *rrdb_body, *compact_body, *ends, *point;
} ResrNetKernels;

/* All convolutions of a model, packed for their kernels; shared by contexts. */
typedef struct ResrPackedNet {
    ResrNetSpec spec;
    const ResrConvKernels *body, *ends, *point;
    int32_t n_convs;
    ResrPackedConv *convs; /* in the model's order */
    float *memory;         /* of all convolutions */
    size_t memory_bytes;
} ResrPackedNet;

/* `kernels` must outlive the packed network; the model is not needed afterwards. Uses OpenMP's
 * default number of threads. RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_packed_net_create(ResrPackedNet **out, const ResrModel *model,
                                           const ResrNetKernels *kernels);
void resr_packed_net_free(ResrPackedNet *net);

#endif
