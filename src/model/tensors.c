#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/readers.h"

/* Trained weights are of magnitude 1; values a thousand times larger mean a damaged file. */
#define MAX_WEIGHT 1e4f

size_t resr_dtype_bytes(ResrDtype dtype)
{
    return dtype == RESR_DTYPE_F32 ? 4 : 2;
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

int resr_weights_convert(float *out, const uint8_t *data, ResrDtype dtype, size_t count,
                         const char *what)
{
    for (size_t i = 0; i < count; i++) {
        if (dtype == RESR_DTYPE_F32) {
            memcpy(&out[i], data + 4 * i, 4);
        } else {
            uint16_t half = (uint16_t)(data[2 * i] | data[2 * i + 1] << 8);
            uint32_t bits = (uint32_t)half << 16;
            if (dtype == RESR_DTYPE_F16)
                out[i] = half_to_float(half);
            else
                memcpy(&out[i], &bits, 4);
        }
        if (!(fabsf(out[i]) <= MAX_WEIGHT))
            return resr_fail(RESR_ERR_DATA,
                             "%s: value %zu is %g; weights are finite and at most %g", what, i,
                             (double)out[i], (double)MAX_WEIGHT);
    }
    return 0;
}

/* Finds a tensor by name; `tensors` are sorted. */
static ResrTensor *find(ResrTensor *tensors, size_t n, const char *name)
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

static void shape_text(char out[96], const int64_t *shape, int rank)
{
    int used = snprintf(out, 96, "[");
    for (int i = 0; i < rank; i++)
        used +=
            snprintf(out + used, 96 - (size_t)used, "%s%lld", i ? ", " : "", (long long)shape[i]);
    snprintf(out + used, 96 - (size_t)used, "]");
}

/* The tensors are visited twice: first to check all shapes, then, with the memory allocated, to
 * read the values. */
typedef enum Pass { PASS_CHECK, PASS_READ } Pass;

static int visit(ResrTensor *tensors, size_t n, const char *name, int rank, const int64_t *shape,
                 Pass pass, float *out)
{
    char expected[96], found[96];
    size_t count = 1;
    ResrTensor *tensor = find(tensors, n, name);
    shape_text(expected, shape, rank);
    if (!tensor)
        return resr_fail(RESR_ERR_DATA, "tensor %s of shape %s is missing", name, expected);
    bool same = tensor->rank == rank;
    for (int i = 0; i < rank; i++) {
        same = same && tensor->shape[i] == shape[i];
        count *= (size_t)shape[i];
    }
    shape_text(found, tensor->shape, tensor->rank);
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
    snprintf(name, sizeof name, "body.%d.weight", 2 * index + 1); /* the PReLU after it */
    if (ret == 0 && shape->has_slope)
        ret = visit(tensors, n, name, 1, sizes, pass, conv ? conv->slope : NULL);
    return ret;
}

static int small(int64_t value)
{
    return value > 0 && value < 1 << 16 ? (int)value : 0;
}

static int infer_rrdb(ResrNetSpec *spec, ResrTensor *tensors, size_t n)
{
    char name[64];
    const ResrTensor *first = find(tensors, n, "conv_first.weight");
    const ResrTensor *growth = find(tensors, n, "body.0.rdb1.conv1.weight");
    if (!growth)
        return resr_fail(RESR_ERR_DATA,
                         "tensor body.0.rdb1.conv1.weight is missing: conv_first exists, "
                         "but no RRDB");
    *spec = (ResrNetSpec){.arch = RESR_ARCH_RRDB, .channels = 3, .resize = 1};
    spec->nf = small(first->shape[0]);
    spec->gc = small(growth->shape[0]);
    spec->unshuffle = first->shape[1] == 3    ? 1
                      : first->shape[1] == 12 ? 2
                      : first->shape[1] == 48 ? 4
                                              : 0;
    if (first->rank != 4 || growth->rank != 4 || spec->unshuffle == 0)
        return resr_fail(
            RESR_ERR_DATA,
            "conv_first.weight takes %lld channels; RRDBNet takes 3 (4x), 12 (2x) or 48 "
            "(1x)",
            (long long)first->shape[1]);
    spec->scale = 4 / spec->unshuffle;
    do
        snprintf(name, sizeof name, "body.%d.rdb1.conv1.weight", ++spec->num_blocks);
    while (find(tensors, n, name));
    return 0;
}

static int infer_srvgg(ResrNetSpec *spec, ResrTensor *tensors, size_t n)
{
    char name[64];
    const ResrTensor *first = find(tensors, n, "body.0.weight"), *last = first;
    int convs = 0;
    *spec = (ResrNetSpec){.arch = RESR_ARCH_SRVGG, .unshuffle = 1, .channels = 3, .resize = 1};
    for (const ResrTensor *conv = first; conv; conv = find(tensors, n, name)) {
        last = conv;
        snprintf(name, sizeof name, "body.%d.weight", 2 * ++convs);
    }
    spec->nf = small(first->shape[0]);
    spec->num_blocks = convs - 2;
    while (spec->scale < 16 && 3 * spec->scale * spec->scale < last->shape[0])
        spec->scale++;
    if (first->rank != 4 || convs < 2 || 3 * spec->scale * spec->scale != last->shape[0])
        return resr_fail(RESR_ERR_DATA,
                         "body.%d.weight, the last convolution, gives %lld channels; "
                         "SRVGGNetCompact gives 3 * scale * scale",
                         2 * (convs - 1), (long long)last->shape[0]);
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const ResrTensor *)a)->name, ((const ResrTensor *)b)->name);
}

/* Sorts by name, for find(). */
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

static int infer(ResrNetSpec *spec, ResrTensor *tensors, size_t n)
{
    int ret;
    if (find(tensors, n, "conv_first.weight"))
        ret = infer_rrdb(spec, tensors, n);
    else if (find(tensors, n, "body.0.weight"))
        ret = infer_srvgg(spec, tensors, n);
    else
        ret = resr_fail(RESR_ERR_DATA,
                        "neither conv_first.weight (RRDBNet) nor body.0.weight (SRVGGNetCompact) "
                        "exists%s%s; tensors must be named as in the official checkpoints",
                        n > 0 ? ", but for example " : "", n > 0 ? tensors[0].name : "");
    return ret < 0 ? ret : resr_spec_check(spec);
}

int resr_model_from_tensors(ResrModel **out, ResrTensor *tensors, size_t n)
{
    ResrNetSpec spec;
    *out = NULL;
    int ret = sort(tensors, n);
    if (ret == 0)
        ret = infer(&spec, tensors, n);
    for (int i = 0; ret == 0 && i < resr_spec_convs(&spec); i++) {
        ResrConvShape shape = resr_spec_conv(&spec, i);
        ret = visit_conv(tensors, n, &shape, i, NULL);
    }
    for (size_t i = 0; ret == 0 && i < n; i++)
        if (!tensors[i].used)
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
