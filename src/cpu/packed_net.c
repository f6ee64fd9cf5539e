#include "cpu/packed_net.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cpu/pack.h"
#include "cpu/workspace.h"

static int is_rrdb(const ResrPackedNet *net)
{
    return net->spec.arch == RESR_ARCH_RRDB;
}

/* Input channels of a convolution as groups that begin a block: a dense block's k-th reads the
 * trunk and k outputs before it. */
static void input_groups(int groups[6], const ResrPackedNet *net, const ResrConv *conv, int index)
{
    const ResrNetSpec *spec = &net->spec;
    int in_body = is_rrdb(net) && index > 0 && index <= 15 * spec->num_blocks;
    int grown = in_body ? (index - 1) % 5 : 0;
    groups[0] = in_body ? spec->nf : conv->cin;
    for (int i = 1; i <= grown; i++)
        groups[i] = spec->gc;
    groups[grown + 1] = 0;
}

static int leaky_follows(const ResrPackedNet *net, int index)
{
    int from_end = net->n_convs - 1 - index;
    if (!is_rrdb(net) || index == 0 || from_end == 0 || from_end == 4)
        return 0;
    return from_end < 4 || (index - 1) % 5 < 4;
}

void resr_packed_net_free(ResrPackedNet *net)
{
    if (!net)
        return;
    free(net->convs);
    free(net->memory);
    free(net);
}

/* RRDB's body: the dense blocks; SRVGG's: all but the first and the last. With bf16 in all of
 * x4plus, conv_first alone would make 5 dB of the error, the other ends 2 to 3; in fp32 they take
 * no longer. */
static const ResrConvKernels *kernels_of(const ResrPackedNet *net, int index)
{
    int last = net->n_convs - 1, body_end = is_rrdb(net) ? last - 5 : last - 1;
    return index > 0 && index <= body_end ? net->body : net->ends;
}

/* All in one piece: kernels stream through it, which huge pages make faster. */
static int alloc_memory(ResrPackedNet *net, size_t *offsets, const ResrModel *model)
{
    size_t total = 0;
    int groups[6];
    for (int i = 0; i < net->n_convs; i++) {
        input_groups(groups, net, &model->convs[i], i);
        offsets[i] = total;
        total +=
            resr_conv_packed_bytes(&model->convs[i], groups, kernels_of(net, i)) / sizeof(float);
    }
    net->memory_bytes = total * sizeof(float);
    int ret = resr_workspace_alloc(&net->memory, total);
    if (ret == 0)
        memset(net->memory, 0, total * sizeof(float));
    return ret;
}

int resr_packed_net_create(void **out, const ResrModel *model, const ResrConvKernels *body,
                           const ResrConvKernels *ends)
{
    ResrPackedNet *net = NULL;
    size_t *offsets = NULL, convs = (size_t)model->n_convs;
    int ret = resr_alloc(&net, 1, sizeof *net);
    if (ret < 0)
        goto cleanup;
    net->spec = model->spec;
    net->body = body;
    net->ends = ends;
    net->n_convs = model->n_convs;
    ret = resr_alloc(&net->convs, convs, sizeof *net->convs);
    if (ret == 0)
        ret = resr_alloc(&offsets, convs, sizeof *offsets);
    if (ret == 0)
        ret = alloc_memory(net, offsets, model);
    if (ret < 0)
        goto cleanup;
#pragma omp parallel for schedule(dynamic)
    for (int i = 0; i < net->n_convs; i++) {
        int groups[6];
        input_groups(groups, net, &model->convs[i], i);
        resr_conv_pack(&net->convs[i], &model->convs[i], groups, leaky_follows(net, i),
                       kernels_of(net, i), net->memory + offsets[i]);
    }
cleanup:
    free(offsets);
    if (ret < 0) {
        resr_packed_net_free(net);
        net = NULL;
    }
    *out = net;
    return ret;
}
