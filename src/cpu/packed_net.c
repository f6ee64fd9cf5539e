#include "cpu/packed_net.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cpu/pack.h"
#include "cpu/workspace.h"

/* Input channels of a convolution in groups that start a new block each: conv k + 1 of a dense
 * block reads the trunk and the outputs of the k convolutions before it. */
static void input_groups(int groups[6], const ResrPackedNet *net, const ResrConv *conv, int index)
{
    const ResrNetSpec *spec = &net->spec;
    bool in_body = resr_spec_is_rrdb(&net->spec) && index > 0 && index < resr_spec_conv_body(spec);
    int grown = in_body ? (index - 1) % 5 : 0;
    if (conv->kernel_px == 1) { /* conv_cat reads four maps of nf channels */
        for (int i = 0; i < 4; i++)
            groups[i] = spec->nf;
        groups[4] = 0;
        return;
    }
    groups[0] = in_body ? spec->nf : conv->cin;
    for (int i = 1; i <= grown; i++)
        groups[i] = spec->gc;
    groups[grown + 1] = 0;
}

static bool leaky_follows(const ResrPackedNet *net, int index)
{
    int conv_body = resr_spec_conv_body(&net->spec);
    if (!resr_spec_is_rrdb(&net->spec) || index == 0 || index == net->n_convs - 1 ||
        index == conv_body)
        return false;
    return index > conv_body || (index - 1) % 5 < 4;
}

void resr_packed_net_free(ResrPackedNet *net)
{
    if (!net)
        return;
    free(net->convs);
    free(net->memory);
    free(net);
}

/* The body of RRDB is its dense blocks, that of others all but the first and last convolution. */
static const ResrConvKernels *kernels_of(const ResrPackedNet *net, const ResrConv *conv, int index)
{
    if (conv->kernel_px == 1)
        return net->point;
    int end = resr_spec_is_rrdb(&net->spec) ? resr_spec_conv_body(&net->spec) : net->n_convs - 1;
    return index > 0 && index < end ? net->body : net->ends;
}

/* One allocation for all convolutions: kernels stream through it, faster on huge pages. */
static int alloc_memory(ResrPackedNet *net, size_t *offsets, const ResrModel *model)
{
    size_t total = 0;
    int groups[6];
    for (int i = 0; i < net->n_convs; i++) {
        input_groups(groups, net, &model->convs[i], i);
        offsets[i] = total;
        total +=
            resr_conv_packed_bytes(&model->convs[i], groups, kernels_of(net, &model->convs[i], i)) /
            sizeof(float);
    }
    net->memory_bytes = total * sizeof(float);
    int ret = resr_workspace_alloc(&net->memory, total);
    if (ret == 0)
        memset(net->memory, 0, total * sizeof(float));
    return ret;
}

int resr_packed_net_create(ResrPackedNet **out, const ResrModel *model,
                           const ResrNetKernels *kernels)
{
    ResrPackedNet *net = NULL;
    size_t *offsets = NULL, convs = (size_t)model->n_convs;
    int ret = resr_alloc(&net, 1, sizeof *net);
    if (ret < 0)
        goto cleanup;
    net->spec = model->spec;
    net->body = resr_spec_is_rrdb(&net->spec) ? kernels->rrdb_body : kernels->compact_body;
    net->ends = kernels->ends;
    net->point = kernels->point;
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
                       kernels_of(net, &model->convs[i], i), net->memory + offsets[i]);
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
