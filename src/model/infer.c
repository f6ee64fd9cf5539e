/* A network's architecture and sizes, from the names and shapes of its state dict alone.
 * resr_model_from_tensors() then compares every tensor with the network found here, so that only
 * the tensors that tell a size are read. */

#include <stdio.h>

#include "model/readers.h"

typedef struct Tensors {
    const ResrTensor *all; /* sorted by canonical name */
    size_t n;
} Tensors;

static bool exists(const Tensors *t, const char *name)
{
    return resr_tensor_find(t->all, t->n, name) != NULL;
}

/* A size as an int; 0, which no network has, if it is out of range. */
static int small(int64_t value)
{
    return value > 0 && value < 1 << 16 ? (int)value : 0;
}

/* Sizes of a convolution whose weights must exist. */
static int read_sizes(int *cout, int *cin, const Tensors *t, const char *name)
{
    char shape[RESR_SHAPE_TEXT_BYTES];
    const ResrTensor *tensor = resr_tensor_find(t->all, t->n, name);
    if (!tensor)
        return resr_fail(RESR_ERR_DATA, "tensor %s is missing: it tells the network's sizes", name);
    if (tensor->rank != 4)
        return resr_fail(RESR_ERR_DATA,
                         "tensor %s has shape %s, expected the 4 sizes of a "
                         "convolution",
                         name, resr_tensor_shape_text(shape, tensor->shape, tensor->rank));
    *cout = small(tensor->shape[0]);
    *cin = small(tensor->shape[1]);
    return 0;
}

/* The number of names that exist: format with first, first + step, ... */
static int count(const Tensors *t, const char *format, int first, int step)
{
    char name[RESR_TENSOR_NAME_BYTES];
    int n = 0;
    do
        snprintf(name, sizeof name, format, first + step * n);
    while (exists(t, name) && ++n);
    return n;
}

/* Scale of the pixel shuffle behind the tensor `name`: cout = channels * scale * scale. */
static int read_pixel_shuffle(ResrNetSpec *spec, const Tensors *t, const char *name)
{
    int cout = 0, cin = 0;
    int ret = read_sizes(&cout, &cin, t, name);
    if (ret < 0)
        return ret;
    while (spec->scale < 16 && spec->channels * spec->scale * spec->scale < cout)
        spec->scale++;
    if (spec->channels * spec->scale * spec->scale != cout)
        return resr_fail(RESR_ERR_DATA,
                         "%s, the last convolution, gives %d channels; %s gives scale * scale for "
                         "each of the input's %d channels",
                         name, cout, resr_spec_arch_name(spec), spec->channels);
    return 0;
}

/* conv_first takes the picture's channels, which conv_last gives, times unshuffle squared. */
static int infer_rrdb(ResrNetSpec *spec, const Tensors *t)
{
    int last = 0, taken = 0, ignored;
    *spec = (ResrNetSpec){.arch = RESR_ARCH_RRDB, .unshuffle = 1, .resize = 1};
    int ret = read_sizes(&spec->nf, &taken, t, "conv_first.weight");
    if (ret == 0)
        ret = read_sizes(&spec->gc, &ignored, t, "body.0.rdb1.conv1.weight");
    if (ret == 0)
        ret = read_sizes(&last, &ignored, t, "conv_last.weight");
    if (ret < 0)
        return ret;
    spec->channels = last;
    while (spec->unshuffle < 4 && last * spec->unshuffle * spec->unshuffle < taken)
        spec->unshuffle *= 2;
    if (last * spec->unshuffle * spec->unshuffle != taken)
        return resr_fail(RESR_ERR_DATA,
                         "conv_first.weight takes %d channels and conv_last.weight gives %d; "
                         "RRDBNet takes as many, 4 times or 16 times as many (pixel_unshuffle)",
                         taken, last);
    spec->num_blocks = count(t, "body.%d.rdb1.conv1.weight", 0, 1);
    int enlargements = count(t, "conv_up%d.weight", 1, 1);
    spec->scale = enlargements < 8 ? (1 << enlargements) / spec->unshuffle : 0;
    return 0;
}

static int infer_srvgg(ResrNetSpec *spec, const Tensors *t)
{
    char name[RESR_TENSOR_NAME_BYTES];
    *spec = (ResrNetSpec){.arch = RESR_ARCH_SRVGG, .unshuffle = 1, .resize = 1};
    int ret = read_sizes(&spec->nf, &spec->channels, t, "body.0.weight");
    if (ret < 0)
        return ret;
    spec->num_blocks = count(t, "body.%d.weight", 0, 2) - 2;
    snprintf(name, sizeof name, "body.%d.weight", 2 * (spec->num_blocks + 1));
    return read_pixel_shuffle(spec, t, name);
}

static int infer_span(ResrNetSpec *spec, const Tensors *t)
{
    *spec = (ResrNetSpec){.arch = RESR_ARCH_SPAN, .unshuffle = 1, .resize = 1};
    bool trained = exists(t, "conv_1.sk.weight");
    spec->normalise = !exists(t, RESR_TENSOR_NO_NORM);
    spec->num_blocks =
        count(t, trained ? "block_%d.c1_r.sk.weight" : "block_%d.c1_r.eval_conv.weight", 1, 1);
    int ret = read_sizes(&spec->nf, &spec->channels, t,
                         trained ? "conv_1.sk.weight" : "conv_1.eval_conv.weight");
    return ret < 0 ? ret : read_pixel_shuffle(spec, t, "upsampler.0.weight");
}

int resr_spec_infer(ResrNetSpec *spec, const ResrTensor *tensors, size_t n)
{
    Tensors t = {tensors, n};
    int ret;
    if (exists(&t, "conv_first.weight"))
        ret = infer_rrdb(spec, &t);
    else if (exists(&t, "body.0.weight"))
        ret = infer_srvgg(spec, &t);
    else if (exists(&t, "conv_1.sk.weight") || exists(&t, "conv_1.eval_conv.weight"))
        ret = infer_span(spec, &t);
    else
        ret = resr_fail(RESR_ERR_DATA,
                        "neither conv_first.weight (RRDBNet) nor body.0.weight (SRVGGNetCompact) "
                        "nor conv_1.sk.weight (SPAN) exists%s%s",
                        n > 0 ? ", but for example " : "", n > 0 ? tensors[0].name : "");
    return ret < 0 ? ret : resr_spec_check(spec);
}
