#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/readers.h"

/* Trained weights are of magnitude 1; values a thousand times larger mean a damaged file. */
#define MAX_WEIGHT 1e4

/* SRVGG's activation without tensors is LeakyReLU of this slope, or ReLU (0), in BasicSR, traiNNer
 * and neosr. A state dict does not tell which; the slope is assumed. */
#define LEAKY_SLOPE 0.1f

size_t resr_dtype_bytes(ResrDtype dtype)
{
    static const uint8_t bytes[] = {4, 2, 2, 8, 8, 4, 2, 1};
    return bytes[dtype];
}

size_t resr_tensor_bytes(const ResrTensor *tensor)
{
    size_t bytes = resr_dtype_bytes(tensor->dtype);
    for (int i = 0; i < tensor->rank; i++)
        bytes *= (size_t)tensor->shape[i];
    return bytes;
}

/* IEEE 754 binary16 to binary32, exact. */
static float half_to_float(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    uint32_t exponent = half >> 10 & 31, mantissa = half & 0x3ff;
    uint32_t bits;
    float value;
    if (exponent == 0)
        return (sign ? -1.0f : 1.0f) * (float)mantissa * 0x1p-24f;
    if (exponent == 31)
        bits = sign | 0x7f800000u | mantissa << 13;
    else
        bits = sign | (exponent + 112) << 23 | mantissa << 13;
    memcpy(&value, &bits, sizeof value);
    return value;
}

int resr_weights_check(const float *values, size_t count, const char *what)
{
    for (size_t i = 0; i < count; i++)
        if (!(fabsf(values[i]) <= MAX_WEIGHT))
            return resr_fail(RESR_ERR_DATA,
                             "%s: value %zu is %g; weights are finite and at most %g", what, i,
                             (double)values[i], MAX_WEIGHT);
    return 0;
}

/* Value `i` of the data, exact. */
static double value_at(const uint8_t *data, ResrDtype dtype, size_t i)
{
    uint16_t half;
    uint32_t bits;
    float single;
    double value;
    switch (dtype) {
    case RESR_DTYPE_F16:
        memcpy(&half, data + 2 * i, 2);
        return (double)half_to_float(half);
    case RESR_DTYPE_BF16:
        memcpy(&half, data + 2 * i, 2);
        bits = (uint32_t)half << 16;
        memcpy(&single, &bits, 4);
        return (double)single;
    case RESR_DTYPE_F64:
        memcpy(&value, data + 8 * i, 8);
        return value;
    default:
        memcpy(&single, data + 4 * i, 4);
        return (double)single;
    }
}

int resr_weights_convert(float *out, const uint8_t *data, ResrDtype dtype, size_t count,
                         const char *what)
{
    for (size_t i = 0; i < count; i++) {
        double value = value_at(data, dtype, i);
        bool overflows = fabs(value) > (double)FLT_MAX;
        out[i] = overflows ? copysignf(INFINITY, (float)copysign(1, value)) : (float)value;
    }
    return resr_weights_check(out, count, what);
}

const char *resr_tensor_shape_text(char out[RESR_SHAPE_TEXT_BYTES], const int64_t *shape, int rank)
{
    size_t used = (size_t)snprintf(out, RESR_SHAPE_TEXT_BYTES, "[");
    for (int i = 0; i < rank; i++)
        used += (size_t)snprintf(out + used, RESR_SHAPE_TEXT_BYTES - used, "%s%lld", i ? ", " : "",
                                 (long long)shape[i]);
    snprintf(out + used, RESR_SHAPE_TEXT_BYTES - used, "]");
    return out;
}

/* The tensors are visited twice: first to check all shapes (`out` and `conv` are NULL), then, with
 * the memory allocated, to read the values. */
typedef struct Tensors {
    ResrTensor *all;
    size_t n;
    bool has_slopes; /* SRVGG: of PReLU; false: LeakyReLU, which has no tensors */
} Tensors;

static ResrTensor *find(const Tensors *t, const char *name)
{
    return (ResrTensor *)resr_tensor_find(t->all, t->n, name);
}

static int visit(const Tensors *t, const char *name, int rank, const int64_t *shape, float *out)
{
    char expected[RESR_SHAPE_TEXT_BYTES], found[RESR_SHAPE_TEXT_BYTES];
    size_t count = 1;
    ResrTensor *tensor = find(t, name);
    resr_tensor_shape_text(expected, shape, rank);
    if (!tensor)
        return resr_fail(RESR_ERR_DATA, "tensor %s of shape %s is missing", name, expected);
    bool same = tensor->rank == rank;
    for (int i = 0; i < rank; i++) {
        same = same && tensor->shape[i] == shape[i];
        count *= (size_t)shape[i];
    }
    if (!same)
        return resr_fail(RESR_ERR_DATA, "tensor %s has shape %s, expected %s", tensor->name,
                         resr_tensor_shape_text(found, tensor->shape, tensor->rank), expected);
    tensor->used = true;
    return out ? resr_weights_convert(out, tensor->data, tensor->dtype, count, tensor->name) : 0;
}

static int visit_weight_and_bias(const Tensors *t, const ResrConvShape *shape, const ResrConv *conv)
{
    char name[RESR_TENSOR_NAME_BYTES];
    const int64_t sizes[] = {shape->cout, shape->cin, shape->kernel_px, shape->kernel_px};
    snprintf(name, sizeof name, "%s.weight", shape->name);
    int ret = visit(t, name, 4, sizes, conv ? conv->weight : NULL);
    snprintf(name, sizeof name, "%s.bias", shape->name);
    return ret < 0 ? ret : visit(t, name, 1, sizes, conv ? conv->bias : NULL);
}

/* Slopes of the activation after SRVGG's convolution `index`. */
static int visit_slopes(const Tensors *t, const ResrConvShape *shape, int index,
                        const ResrConv *conv)
{
    char name[RESR_TENSOR_NAME_BYTES];
    const int64_t sizes[] = {shape->cout};
    if (t->has_slopes) {
        resr_spec_slope_name(name, index);
        return visit(t, name, 1, sizes, conv ? conv->slope : NULL);
    }
    for (int i = 0; conv && i < shape->cout; i++)
        conv->slope[i] = LEAKY_SLOPE;
    return 0;
}

/* One of SPAN's convolutions in its training form. The folded form beside it may be older and is
 * not read. */
static int visit_conv3xc(const Tensors *t, const ResrConvShape parts[RESR_CONV3XC_PARTS],
                         const ResrConvShape *shape, const ResrConv *conv)
{
    char folded[RESR_TENSOR_NAME_BYTES];
    ResrConv values[RESR_CONV3XC_PARTS] = {0};
    int ret = conv ? resr_conv3xc_create(values, parts) : 0;
    for (int i = 0; ret == 0 && i < RESR_CONV3XC_PARTS; i++)
        ret = visit_weight_and_bias(t, &parts[i], conv ? &values[i] : NULL);
    if (ret == 0 && conv)
        ret = resr_conv3xc_fold(conv, values);
    free(values[0].weight);
    snprintf(folded, sizeof folded, "%s.weight", shape->name);
    return ret == 0 && find(t, folded) ? visit_weight_and_bias(t, shape, NULL) : ret;
}

static int visit_conv(const Tensors *t, const ResrConvShape *shape, int index, const ResrConv *conv)
{
    char first[RESR_TENSOR_NAME_BYTES];
    ResrConvShape parts[RESR_CONV3XC_PARTS];
    if (resr_conv3xc_shapes(parts, shape)) {
        snprintf(first, sizeof first, "%s.weight", parts[0].name);
        if (find(t, first))
            return visit_conv3xc(t, parts, shape, conv);
    }
    int ret = visit_weight_and_bias(t, shape, conv);
    return ret == 0 && shape->has_slope ? visit_slopes(t, shape, index, conv) : ret;
}

/* False if no activation between SRVGG's convolutions has a tensor. */
static bool has_slopes(const Tensors *t, const ResrNetSpec *spec)
{
    char name[RESR_TENSOR_NAME_BYTES];
    bool found = false;
    for (int i = 0; spec->arch == RESR_ARCH_SRVGG && !found && i <= spec->num_blocks; i++) {
        resr_spec_slope_name(name, i);
        found = find(t, name) != NULL;
    }
    return found;
}

static int visit_all(const Tensors *t, const ResrNetSpec *spec, const ResrModel *model)
{
    int ret = 0;
    for (int i = 0; ret == 0 && i < resr_spec_convs(spec); i++) {
        ResrConvShape shape = resr_spec_conv(spec, i);
        ret = visit_conv(t, &shape, i, model ? &model->convs[i] : NULL);
    }
    return ret;
}

int resr_model_from_tensors(ResrModel **out, ResrTensor *tensors, size_t n)
{
    ResrNetSpec spec = {0};
    Tensors t = {.all = tensors, .n = n};
    *out = NULL;
    int ret = resr_tensors_set_names(tensors, n);
    if (ret == 0)
        ret = resr_spec_infer(&spec, tensors, n);
    if (ret == 0) {
        t.has_slopes = has_slopes(&t, &spec);
        ret = visit_all(&t, &spec, NULL);
    }
    for (size_t i = 0; ret == 0 && i < n; i++)
        if (!tensors[i].used &&
            (spec.arch != RESR_ARCH_SPAN || strcmp(tensors[i].canonical, RESR_TENSOR_NO_NORM) != 0))
            ret = resr_fail(RESR_ERR_DATA,
                            "tensor %s does not belong to the network of the other tensors",
                            tensors[i].name);
    if (ret == 0)
        ret = resr_model_create(out, &spec);
    if (ret == 0) {
        (*out)->assumes_slopes = spec.arch == RESR_ARCH_SRVGG && !t.has_slopes;
        ret = visit_all(&t, &spec, *out);
    }
    if (ret < 0) {
        resr_model_free(*out);
        *out = NULL;
    }
    return ret;
}
