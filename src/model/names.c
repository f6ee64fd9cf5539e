/* Names of tensors: every layout in which people share a network becomes the canonical one, with
 * the names of ResrConv. A row of the table maps the name of a module; ".weight" and ".bias" follow
 * it in every layout. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/readers.h"

/* '#' stands for a number; `canonical` has the same numbers in the same order. */
static const struct {
    const char *name, *canonical;
} layouts[] = {
    /* ESRGAN (github.com/xinntao/ESRGAN), BSRGAN, RealSR */
    {"RRDB_trunk.#.RDB#.conv#", "body.#.rdb#.conv#"},
    {"trunk_conv", "conv_body"},
    {"upconv#", "conv_up#"},
    {"HRconv", "conv_hr"},
    /* sequential blocks: ESRGAN's first training code, traiNNer */
    {"model.0", "conv_first"},
    {"model.1.sub.#.RDB#.conv#.0", "body.#.rdb#.conv#"},
    {"model.1.sub.#", "conv_body"},
};

/* Names of architectures that do not run, by a tensor that only they have; the first match counts.
 * The names are those of github.com/chaiNNer-org/spandrel. */
static const struct {
    const char *tensor, *architecture;
} refused[] = {
    {"model.1.sub.0.RDB1.conv1x1.weight", "ESRGAN+"},
    {"model.1.sub.0.res.0.weight", "SRResNet"},
    {"layers.0.residual_group.blocks.0.conv_block.cab.0.weight", "HAT"},
    {"layers.0.residual_group.td", "ATD"},
    {"layers.0.residual_group.hf_blocks.0.attn.temperature", "CRAFT"},
    {"layers.0.residual_group.blocks.0.attn.logit_scale", "Swin2SR"},
    {"layers.0.residual_group.blocks.0.mlp.dwconv.depthwise_conv.0.weight", "SRFormer"},
    {"layers.0.residual_group.blocks.0.mlp.fc1.bias", "SwinIR"},
    {"layers.0.blocks.0.gamma", "RGT"},
    {"before_RG.1.weight", "DAT"},
    {"layers.0.swin1.norm1.weight", "DRCT"},
    {"norm_start.weight", "GRL"},
    {"groups.0.blocks.0.attn.bias", "FDAT"},
    {"residual_layer.0.residual_layer.0.layer.0.fn.0.weight", "OmniSR"},
    {"unet1.conv1.conv.0.weight", "RealCUGAN"},
    {"feats.0.safm.mfr.0.weight", "SAFMN"},
    {"feats.0.eval_conv.weight", "SPANPlus"},
    {"feats.1.refine.weight", "PLKSR"},
    {"gblocks.0.weight", "MoSR"},
    {"in_to_dim.weight", "MoESR"},
    {"m_head.0.weight", "SCUNet"},
    {"body.0.body.0.body.0.weight", "RCAN"},
    {"body.0.local_block.norm_1.weight", "SeemoRe"},
    {"body.0.conv1.weight", "EDSR"},
    {"UFONE.0.ITLs.0.attn.temperature", "DITN"},
    {"B1.body.0.transformer_body.0.blocks.0.attn.qkv.weight", "DCTLSA"},
    {"middle_blks.0.beta", "NAFNet"},
    {"initial.cnn.depthwise.weight", "SwiftSRGAN"},
    {"stylegan_decoder.style_mlp.1.weight", "GFPGAN"},
};

enum { MAX_NUMBERS = 3, MAX_DIGITS = 4 };

/* Matches a name with a row's and keeps its numbers. Returns the suffix, ".weight" or ".bias"; NULL
 * if the name does not match. */
static const char *match(char numbers[MAX_NUMBERS][MAX_DIGITS + 1], const char *name,
                         const char *pattern)
{
    for (int n = 0; *pattern; pattern++) {
        if (*pattern != '#') {
            if (*name++ != *pattern)
                return NULL;
            continue;
        }
        size_t digits = strspn(name, "0123456789");
        if (digits < 1 || digits > MAX_DIGITS || (digits > 1 && *name == '0'))
            return NULL;
        memcpy(numbers[n], name, digits);
        numbers[n++][digits] = '\0';
        name += digits;
    }
    return strcmp(name, ".weight") == 0 || strcmp(name, ".bias") == 0 ? name : NULL;
}

static bool translate(ResrTensor *tensor, const char *pattern, const char *canonical)
{
    char numbers[MAX_NUMBERS][MAX_DIGITS + 1];
    const char *suffix = match(numbers, tensor->name, pattern);
    if (!suffix)
        return false;
    char *out = tensor->canonical;
    for (int n = 0; *canonical; canonical++)
        if (*canonical == '#')
            out = stpcpy(out, numbers[n++]);
        else
            *out++ = *canonical;
    memcpy(out, suffix, strlen(suffix) + 1);
    return true;
}

/* The modules behind the trunk of the sequential layout: for each enlargement an upsampling, a
 * convolution and an activation, then a convolution, its activation and the last convolution. So
 * the convolutions of e enlargements are the modules 3, 6 ... 3e, then 3e + 2 and 3e + 4. */
static bool translate_tail(ResrTensor *tensor)
{
    char numbers[MAX_NUMBERS][MAX_DIGITS + 1];
    const char *suffix = match(numbers, tensor->name, "model.#");
    int module = suffix ? atoi(numbers[0]) : 0;
    if (module < 2)
        return false;
    if (module % 3 == 0)
        snprintf(tensor->canonical, sizeof tensor->canonical, "conv_up%d%s", module / 3, suffix);
    else
        snprintf(tensor->canonical, sizeof tensor->canonical, "%s%s",
                 module % 3 == 2 ? "conv_hr" : "conv_last", suffix);
    return true;
}

static void set_canonical_name(ResrTensor *tensor)
{
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++)
        if (translate(tensor, layouts[i].name, layouts[i].canonical))
            return;
    if (!translate_tail(tensor))
        memcpy(tensor->canonical, tensor->name, sizeof tensor->canonical);
}

static int by_canonical_name(const void *a, const void *b)
{
    return strcmp(((const ResrTensor *)a)->canonical, ((const ResrTensor *)b)->canonical);
}

static int refuse_known(const ResrTensor *tensors, size_t n)
{
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (resr_tensor_find(tensors, n, refused[i].tensor))
            return resr_fail(RESR_ERR_DATA,
                             "the architecture %s (tensor %s) is not supported; RRDBNet (ESRGAN), "
                             "SRVGGNetCompact and SPAN are",
                             refused[i].architecture, refused[i].tensor);
    return 0;
}

int resr_tensors_set_names(ResrTensor *tensors, size_t n)
{
    if (n > RESR_MAX_TENSORS)
        return resr_fail(RESR_ERR_DATA, "%zu tensors; at most %d are read", n, RESR_MAX_TENSORS);
    for (size_t i = 0; i < n; i++)
        set_canonical_name(&tensors[i]);
    qsort(tensors, n, sizeof *tensors, by_canonical_name);
    for (size_t i = 1; i < n; i++)
        if (strcmp(tensors[i - 1].canonical, tensors[i].canonical) == 0)
            return resr_fail(RESR_ERR_DATA, "tensor %s occurs twice, as %s and as %s",
                             tensors[i].canonical, tensors[i - 1].name, tensors[i].name);
    return refuse_known(tensors, n);
}

const ResrTensor *resr_tensor_find(const ResrTensor *tensors, size_t n, const char *canonical)
{
    size_t first = 0, end = n;
    while (first < end) {
        size_t middle = first + (end - first) / 2;
        int order = strcmp(tensors[middle].canonical, canonical);
        if (order == 0)
            return &tensors[middle];
        if (order < 0)
            first = middle + 1;
        else
            end = middle;
    }
    return NULL;
}
