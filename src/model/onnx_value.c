#include "model/onnx_value.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"

/* Sizes beyond these do not occur, and their products do not overflow. */
#define MAX_ELEMENTS ((size_t)1 << 48)

static bool count_elements(size_t *count, const int64_t *dims, int rank)
{
    *count = 1;
    for (int i = 0; i < rank; i++)
        if (dims[i] < 1 || !resr_checked_mul(count, *count, (size_t)dims[i]) ||
            *count > MAX_ELEMENTS)
            return false;
    return true;
}

int64_t resr_onnx_count(const ResrOnnxValue *value)
{
    int64_t count = 1;
    for (int i = 0; i < value->rank; i++)
        count *= value->dims[i];
    return count;
}

int resr_onnx_map(ResrOnnxValue *out, ResrNode node, const int64_t dims[4])
{
    size_t count;
    if (!count_elements(&count, dims, 4))
        return resr_fail(RESR_ERR_DATA, "a map of %lld x %lld x %lld x %lld is out of range",
                         (long long)dims[0], (long long)dims[1], (long long)dims[2],
                         (long long)dims[3]);
    *out = (ResrOnnxValue){.kind = RESR_ONNX_MAP, .rank = 4, .node = node};
    memcpy(out->dims, dims, sizeof out->base);
    memcpy(out->base, dims, sizeof out->base);
    return 0;
}

void resr_onnx_numbers(ResrOnnxValue *out, int rank, const double *numbers, int n, bool integers)
{
    *out = (ResrOnnxValue){.kind = RESR_ONNX_CONSTANT,
                           .rank = rank,
                           .dims = {n},
                           .has_numbers = true,
                           .integers = integers};
    memcpy(out->numbers, numbers, (size_t)n * sizeof *numbers);
}

/* Fills in a -1 and the zeros of a target shape. */
static int target_shape(int64_t *to, const ResrOnnxValue *value, const double *dims, int rank,
                        bool zero_copies)
{
    size_t known, count = (size_t)resr_onnx_count(value);
    int open = -1;
    if (rank > RESR_ONNX_MAX_RANK)
        return resr_fail(RESR_ERR_DATA, "a shape of %d sizes; at most %d are read", rank,
                         RESR_ONNX_MAX_RANK);
    for (int i = 0; i < rank; i++) {
        bool copies = dims[i] == 0 && zero_copies && i < value->rank;
        bool bounded = dims[i] >= -1 && dims[i] <= (double)MAX_ELEMENTS;
        to[i] = copies ? value->dims[i] : bounded ? (int64_t)dims[i] : 0;
        if (to[i] == -1 && open < 0) {
            open = i;
            to[i] = 1;
        }
    }
    bool fits = count_elements(&known, to, rank);
    if (fits && open >= 0 && count % known == 0) {
        to[open] = (int64_t)(count / known);
        known = count;
    }
    if (!fits || known != count)
        return resr_fail(RESR_ERR_DATA, "a shape of %d sizes does not fit %zu elements", rank,
                         count);
    return 0;
}

/* Divides the atoms so that the last one of each dimension ends with it. Atoms of size 1 vanish. */
static int divide_atoms(ResrOnnxValue *value)
{
    ResrOnnxAtom atoms[RESR_ONNX_MAX_ATOMS] = {0};
    ResrOnnxAtom from = {1, 0};
    int n = 0, next = 0;
    for (int i = 0; i < value->rank; i++) {
        int64_t rest = value->dims[i];
        while (rest > 1) {
            while (from.size == 1 && next < value->n_atoms)
                from = value->atoms[next++];
            int64_t size = from.size < rest ? from.size : rest;
            if (from.size == 1 || from.size % size != 0 || rest % size != 0 ||
                n == RESR_ONNX_MAX_ATOMS)
                return resr_fail(RESR_ERR_DATA,
                                 "a reshape to %d dimensions is not that of a pixel "
                                 "shuffle",
                                 value->rank);
            atoms[n++] = (ResrOnnxAtom){size, from.stride * (from.size / size)};
            from.size /= size;
            rest /= size;
        }
    }
    memcpy(value->atoms, atoms, sizeof *atoms * (size_t)n);
    value->n_atoms = n;
    return 0;
}

static void start_atoms(ResrOnnxValue *value)
{
    int64_t stride = 1;
    if (value->n_atoms > 0)
        return;
    for (int i = 3; i >= 0; i--) {
        value->atoms[i] = (ResrOnnxAtom){value->base[i], stride};
        stride *= value->base[i];
    }
    value->n_atoms = 4;
}

int resr_onnx_reshape(ResrOnnxValue *value, const double *dims, int rank, bool zero_copies)
{
    int64_t to[RESR_ONNX_MAX_RANK] = {0};
    int ret = target_shape(to, value, dims, rank, zero_copies);
    if (ret < 0)
        return ret;
    value->rank = rank;
    memcpy(value->dims, to, sizeof to);
    if (value->kind != RESR_ONNX_MAP)
        return 0;
    start_atoms(value);
    return divide_atoms(value);
}

int resr_onnx_transpose(ResrOnnxValue *value, const int64_t *order, int n)
{
    ResrOnnxValue from = *value;
    int first[RESR_ONNX_MAX_RANK + 1] = {0};
    unsigned seen = 0;
    if (value->kind != RESR_ONNX_MAP || n != value->rank)
        return resr_fail(RESR_ERR_DATA, "a transposition of %d dimensions does not fit its operand",
                         n);
    start_atoms(&from);
    int ret = divide_atoms(&from);
    if (ret < 0)
        return ret;
    for (int i = 0; i < n; i++) { /* the atoms of dimension i begin at first[i] */
        int64_t size = 1;
        for (first[i + 1] = first[i]; size < from.dims[i]; first[i + 1]++)
            size *= from.atoms[first[i + 1]].size;
    }
    value->n_atoms = 0;
    for (int i = 0; i < n; i++) {
        if (order[i] < 0 || order[i] >= n || seen & 1u << order[i])
            return resr_fail(RESR_ERR_DATA, "a transposition does not name each dimension once");
        seen |= 1u << order[i];
        value->dims[i] = from.dims[order[i]];
        for (int k = first[order[i]]; k < first[order[i] + 1]; k++)
            value->atoms[value->n_atoms++] = from.atoms[k];
    }
    return 0;
}

/* Whether two lists of atoms give the same order of elements; merges those that continue each
 * other. */
static bool same_order(const ResrOnnxAtom *a, int n_a, const ResrOnnxAtom *b, int n_b)
{
    ResrOnnxAtom merged[2][RESR_ONNX_MAX_ATOMS];
    int n[2] = {0, 0};
    for (int list = 0; list < 2; list++)
        for (int i = 0; i < (list ? n_b : n_a); i++) {
            ResrOnnxAtom atom = list ? b[i] : a[i];
            ResrOnnxAtom *last = n[list] > 0 ? &merged[list][n[list] - 1] : NULL;
            if (last && last->stride == atom.size * atom.stride)
                *last = (ResrOnnxAtom){last->size * atom.size, atom.stride};
            else if (atom.size > 1)
                merged[list][n[list]++] = atom;
        }
    bool same = n[0] == n[1];
    for (int i = 0; same && i < n[0]; i++)
        same = merged[0][i].size == merged[1][i].size && merged[0][i].stride == merged[1][i].stride;
    return same;
}

int resr_onnx_settle(ResrOnnxValue *value, ResrGraph *graph)
{
    const int64_t *from = value->base, *to = value->dims;
    if (value->kind != RESR_ONNX_MAP || value->rank != 4)
        return resr_fail(RESR_ERR_DATA, "an operand has %d dimensions; expected a map with 4",
                         value->rank);
    if (value->n_atoms == 0)
        return 0;
    int64_t n = from[0], c = from[1], h = from[2], w = from[3];
    ResrOnnxAtom plain[] = {{n, c * h * w}, {c, h * w}, {h, w}, {w, 1}};
    bool same = memcmp(from, to, sizeof value->base) == 0;
    if (same && same_order(value->atoms, value->n_atoms, plain, 4)) {
        value->n_atoms = 0;
        return 0;
    }
    for (int r = 2; r <= 8; r++) {
        ResrNode node = 0;
        ResrOnnxAtom unshuffled[] = {{n, c * h * w}, {c, h * w},     {r, w},
                                     {r, 1},         {h / r, r * w}, {w / r, r}};
        ResrOnnxAtom shuffled[] = {{n, c * h * w}, {c / (r * r), r * r * h * w},
                                   {h, w},         {r, r * h * w},
                                   {w, 1},         {r, h * w}};
        if (to[0] == n && to[1] == c * r * r && to[2] * r == h && to[3] * r == w &&
            same_order(value->atoms, value->n_atoms, unshuffled, 6))
            node = resr_graph_unshuffle(graph, value->node, r);
        if (to[0] == n && to[1] * r * r == c && to[2] == h * r && to[3] == w * r &&
            same_order(value->atoms, value->n_atoms, shuffled, 6))
            node = resr_graph_shuffle(graph, value->node, r);
        if (node) {
            int64_t dims[4];
            memcpy(dims, to, sizeof dims);
            return resr_onnx_map(value, node, dims);
        }
    }
    return resr_fail(RESR_ERR_DATA,
                     "a view of %lld x %lld x %lld x %lld is neither a pixel shuffle "
                     "nor a pixel unshuffle",
                     (long long)to[0], (long long)to[1], (long long)to[2], (long long)to[3]);
}

/* onnx.proto, TensorProto.DataType. */
enum { FLOAT = 1, INT32 = 6, INT64 = 7, BOOL = 9, FLOAT16 = 10, DOUBLE = 11, BFLOAT16 = 16 };

typedef struct Tensor {
    int64_t type;
    int rank;
    int64_t dims[RESR_ONNX_MAX_RANK];
    ResrPbRange raw, floats; /* raw_data; float_data if packed */
    bool has_raw;
    double numbers[RESR_ONNX_MAX_NUMBERS]; /* of the typed fields */
    size_t n_numbers;                      /* beyond RESR_ONNX_MAX_NUMBERS: counted only */
} Tensor;

static void add_number(Tensor *tensor, double number)
{
    if (tensor->n_numbers < RESR_ONNX_MAX_NUMBERS)
        tensor->numbers[tensor->n_numbers] = number;
    tensor->n_numbers++;
}

static double from_bits(uint64_t bits, int64_t type)
{
    uint32_t low = (uint32_t)bits;
    float single;
    double number;
    memcpy(&single, &low, sizeof single);
    memcpy(&number, &bits, sizeof number);
    return type == DOUBLE ? number : (double)single;
}

static double half_number(uint64_t bits, int64_t type)
{
    uint8_t bytes[2] = {(uint8_t)bits, (uint8_t)(bits >> 8)};
    float number;
    ResrDtype dtype = type == FLOAT16 ? RESR_DTYPE_F16 : RESR_DTYPE_BF16;
    return resr_weights_convert(&number, bytes, dtype, 1, "") < 0 ? (double)NAN : (double)number;
}

static double integer_number(uint64_t value, int64_t type)
{
    return type == FLOAT16 || type == BFLOAT16 ? half_number(value, type) : (double)(int64_t)value;
}

/* int32_data, int64_data: one number or a packed list. */
static int read_integers(Tensor *tensor, ResrPbField *field)
{
    uint64_t value;
    int ret = 0;
    if (field->type == RESR_PB_VARINT)
        add_number(tensor, integer_number(field->value, tensor->type));
    while (ret == 0 && field->type == RESR_PB_BYTES && resr_pb_bytes(field->bytes) > 0) {
        ret = resr_pb_varint(&value, &field->bytes);
        add_number(tensor, integer_number(value, tensor->type));
    }
    return ret;
}

static int read_dims(Tensor *tensor, ResrPbField *field)
{
    while (field->type == RESR_PB_VARINT || resr_pb_bytes(field->bytes) > 0) {
        int ret = field->type == RESR_PB_VARINT ? 0 : resr_pb_varint(&field->value, &field->bytes);
        if (ret < 0)
            return ret;
        if (tensor->rank == RESR_ONNX_MAX_RANK)
            return resr_fail(RESR_ERR_DATA, "a tensor has more than %d dimensions",
                             RESR_ONNX_MAX_RANK);
        tensor->dims[tensor->rank++] = (int64_t)field->value;
        if (field->type == RESR_PB_VARINT)
            break;
    }
    return 0;
}

static int refuse_external(ResrPbRange name, ResrPbRange entry)
{
    ResrPbField field;
    ResrPbRange value = {0};
    while (resr_pb_next(&field, &entry) > 0)
        if (field.number == 2 && field.type == RESR_PB_BYTES)
            value = field.bytes;
    return resr_fail(RESR_ERR_DATA,
                     "tensor %s lies in another file (%s); save the model as one file, for "
                     "example with onnx.save(onnx.load(FILE), OUT)",
                     resr_pb_text(name).text, resr_pb_text(value).text);
}

static int read_field(Tensor *tensor, ResrPbField *field, ResrPbRange *name)
{
    enum { DIMS = 1, TYPE, SEGMENT, FLOATS, INT32S, STRINGS, INT64S, NAME, RAW, DOUBLES };
    enum { EXTERNAL = 13, LOCATION = 14 };
    bool list = field->type == RESR_PB_BYTES;
    switch (field->number) {
    case DIMS:
        return read_dims(tensor, field);
    case NAME:
        *name = field->bytes;
        return 0;
    case RAW:
        tensor->raw = field->bytes;
        tensor->has_raw = true;
        return 0;
    case FLOATS:
        if (list)
            tensor->floats = field->bytes;
        else
            add_number(tensor, from_bits(field->value, FLOAT));
        return 0;
    case DOUBLES:
        for (; list && resr_pb_bytes(field->bytes) >= 8; field->bytes.next += 8) {
            uint64_t bits;
            memcpy(&bits, field->bytes.next, 8);
            add_number(tensor, from_bits(bits, DOUBLE));
        }
        if (!list)
            add_number(tensor, from_bits(field->value, DOUBLE));
        return 0;
    case INT32S:
    case INT64S:
        return read_integers(tensor, field);
    case EXTERNAL:
        return refuse_external(*name, field->bytes);
    case LOCATION:
        return field->value == 0 ? 0 : refuse_external(*name, (ResrPbRange){0});
    case SEGMENT:
    case STRINGS:
        return resr_fail(RESR_ERR_DATA, "tensor %s has segments or text; only numbers are read",
                         resr_pb_text(*name).text);
    default:
        return 0;
    }
}

static int element_bytes(int64_t type)
{
    return type == FLOAT || type == INT32        ? 4
           : type == INT64 || type == DOUBLE     ? 8
           : type == FLOAT16 || type == BFLOAT16 ? 2
           : type == BOOL                        ? 1
                                                 : 0;
}

static double raw_number(const uint8_t *data, int64_t type)
{
    uint64_t bits = 0;
    for (int i = 0; i < element_bytes(type); i++)
        bits |= (uint64_t)data[i] << (8 * i);
    if (type == FLOAT || type == DOUBLE)
        return from_bits(bits, type);
    return type == INT32 ? (double)(int32_t)(uint32_t)bits : integer_number(bits, type);
}

/* The elements from raw_data, or from packed floats, which lie in the same way. */
static int take_raw(ResrOnnxValue *out, const Tensor *tensor, ResrPbRange raw, size_t count)
{
    size_t bytes = (size_t)element_bytes(tensor->type);
    if (count * bytes != resr_pb_bytes(raw))
        return resr_fail(RESR_ERR_DATA, "%zu bytes for %zu elements of %zu bytes",
                         resr_pb_bytes(raw), count, bytes);
    if (!out->integers && tensor->type != DOUBLE)
        out->span = (ResrSpan){.data = raw.next,
                               .count = count,
                               .dtype = tensor->type == FLOAT     ? RESR_DTYPE_F32
                                        : tensor->type == FLOAT16 ? RESR_DTYPE_F16
                                                                  : RESR_DTYPE_BF16};
    out->has_numbers = count <= RESR_ONNX_MAX_NUMBERS;
    for (size_t i = 0; out->has_numbers && i < count; i++)
        out->numbers[i] = raw_number(raw.next + i * bytes, tensor->type);
    return 0;
}

int resr_onnx_tensor(ResrOnnxValue *out, ResrPbRange *name, ResrPbRange range)
{
    Tensor tensor = {0};
    ResrPbRange fields = range;
    ResrPbField field;
    size_t count;
    int ret;
    *name = (ResrPbRange){0};
    /* Name and type first, which the other fields need and which may follow them. */
    while ((ret = resr_pb_next(&field, &fields)) > 0) {
        if (field.number == 8)
            *name = field.bytes;
        else if (field.number == 2)
            tensor.type = (int64_t)field.value;
    }
    while (ret == 0 && (ret = resr_pb_next(&field, &range)) > 0)
        ret = read_field(&tensor, &field, name);
    if (ret < 0)
        return ret;
    *out = (ResrOnnxValue){.kind = RESR_ONNX_CONSTANT, .rank = tensor.rank};
    memcpy(out->dims, tensor.dims, sizeof out->dims);
    out->integers = tensor.type == INT32 || tensor.type == INT64 || tensor.type == BOOL;
    if (element_bytes(tensor.type) == 0)
        return resr_fail(RESR_ERR_DATA,
                         "tensor %s has data of type %lld; only floating-point networks are read, "
                         "not quantised ones",
                         resr_pb_text(*name).text, (long long)tensor.type);
    bool empty = tensor.rank == 1 && tensor.dims[0] == 0; /* an unused roi */
    if (!empty && !count_elements(&count, tensor.dims, tensor.rank))
        return resr_fail(RESR_ERR_DATA, "tensor %s has sizes out of range",
                         resr_pb_text(*name).text);
    if (empty)
        return 0;
    bool packed = tensor.type == FLOAT && resr_pb_bytes(tensor.floats) > 0;
    if (tensor.has_raw || packed) {
        ret = take_raw(out, &tensor, tensor.has_raw ? tensor.raw : tensor.floats, count);
        return ret < 0 ? resr_fail_prefix(ret, "tensor %s: ", resr_pb_text(*name).text) : ret;
    }
    if (tensor.n_numbers != count || count > RESR_ONNX_MAX_NUMBERS)
        return resr_fail(RESR_ERR_DATA,
                         "tensor %s has %zu numbers for %zu elements; more than %d are read only "
                         "as raw_data, which onnx.numpy_helper writes",
                         resr_pb_text(*name).text, tensor.n_numbers, count, RESR_ONNX_MAX_NUMBERS);
    out->has_numbers = true;
    memcpy(out->numbers, tensor.numbers, sizeof out->numbers);
    return 0;
}
