#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/readers.h"

/* Trained weights are of magnitude 1; values a thousand times larger mean a damaged file. */
#define MAX_WEIGHT 1e4

size_t resr_dtype_bytes(ResrDtype dtype)
{
    static const uint8_t bytes[] = {4, 2, 2, 8};
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
        if (!(fabs(value) <= MAX_WEIGHT))
            return resr_fail(RESR_ERR_DATA,
                             "%s: value %zu is %g; weights are finite and at most %g", what, i,
                             value, MAX_WEIGHT);
        out[i] = (float)value;
    }
    return 0;
}

const ResrTensor *resr_tensor_find(const ResrTensor *tensors, size_t n, const char *name)
{
    size_t first = 0, end = n;
    while (first < end) {
        size_t middle = first + (end - first) / 2;
        int order = strcmp(tensors[middle].name, name);
        if (order == 0)
            return &tensors[middle];
        if (order < 0)
            first = middle + 1;
        else
            end = middle;
    }
    return NULL;
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

/* The tensors are visited twice: first to check all shapes, then, with the memory allocated, to
 * read the values. */
typedef enum Pass { PASS_CHECK, PASS_READ } Pass;

static int visit(ResrTensor *tensors, size_t n, const char *name, int rank, const int64_t *shape,
                 Pass pass, float *out)
{
    char expected[RESR_SHAPE_TEXT_BYTES], found[RESR_SHAPE_TEXT_BYTES];
    size_t count = 1;
    ResrTensor *tensor = (ResrTensor *)resr_tensor_find(tensors, n, name);
    resr_tensor_shape_text(expected, shape, rank);
    if (!tensor)
        return resr_fail(RESR_ERR_DATA, "tensor %s of shape %s is missing", name, expected);
    bool same = tensor->rank == rank;
    for (int i = 0; i < rank; i++) {
        same = same && tensor->shape[i] == shape[i];
        count *= (size_t)shape[i];
    }
    resr_tensor_shape_text(found, tensor->shape, tensor->rank);
    if (!same)
        return resr_fail(RESR_ERR_DATA, "tensor %s has shape %s, expected %s", name, found,
                         expected);
    tensor->used = true;
    return pass == PASS_CHECK ? 0
                              : resr_weights_convert(out, tensor->data, tensor->dtype, count, name);
}

/* `conv` receives the values; NULL in the first pass. */
static int visit_conv(ResrTensor *tensors, size_t n, const ResrConvShape *shape, int index,
                      const ResrConv *conv)
{
    char name[RESR_TENSOR_NAME_BYTES];
    const int64_t sizes[] = {shape->cout, shape->cin, shape->kernel_px, shape->kernel_px};
    Pass pass = conv ? PASS_READ : PASS_CHECK;
    snprintf(name, sizeof name, "%s.weight", shape->name);
    int ret = visit(tensors, n, name, 4, sizes, pass, conv ? conv->weight : NULL);
    snprintf(name, sizeof name, "%s.bias", shape->name);
    if (ret == 0)
        ret = visit(tensors, n, name, 1, sizes, pass, conv ? conv->bias : NULL);
    resr_spec_slope_name(name, index);
    if (ret == 0 && shape->has_slope)
        ret = visit(tensors, n, name, 1, sizes, pass, conv ? conv->slope : NULL);
    return ret;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const ResrTensor *)a)->name, ((const ResrTensor *)b)->name);
}

/* Sorts by name, for resr_tensor_find(). */
static int sort(ResrTensor *tensors, size_t n)
{
    if (n > RESR_MAX_TENSORS)
        return resr_fail(RESR_ERR_DATA, "%zu tensors; at most %d are read", n, RESR_MAX_TENSORS);
    qsort(tensors, n, sizeof *tensors, by_name);
    for (size_t i = 1; i < n; i++)
        if (strcmp(tensors[i - 1].name, tensors[i].name) == 0)
            return resr_fail(RESR_ERR_DATA, "tensor %s occurs twice", tensors[i].name);
    return 0;
}

int resr_model_from_tensors(ResrModel **out, ResrTensor *tensors, size_t n)
{
    ResrNetSpec spec;
    *out = NULL;
    int ret = sort(tensors, n);
    if (ret == 0)
        ret = resr_spec_infer(&spec, tensors, n);
    for (int i = 0; ret == 0 && i < resr_spec_convs(&spec); i++) {
        ResrConvShape shape = resr_spec_conv(&spec, i);
        ret = visit_conv(tensors, n, &shape, i, NULL);
    }
    for (size_t i = 0; ret == 0 && i < n; i++)
        if (!tensors[i].used && strcmp(tensors[i].name, RESR_TENSOR_NO_NORM) != 0)
            ret = resr_fail(RESR_ERR_DATA,
                            "tensor %s does not belong to the network of the other tensors",
                            tensors[i].name);
    if (ret == 0)
        ret = resr_model_create(out, &spec);
    for (int i = 0; ret == 0 && i < (*out)->n_convs; i++) {
        ResrConvShape shape = resr_spec_conv(&spec, i);
        ret = visit_conv(tensors, n, &shape, i, &(*out)->convs[i]);
    }
    if (ret < 0) {
        resr_model_free(*out);
        *out = NULL;
    }
    return ret;
}
