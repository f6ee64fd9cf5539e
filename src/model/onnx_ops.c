/* The operators that exporters write for the supported networks: onnx.ai/onnx/operators. Those on
 * maps add nodes to the graph; those on constants compute shapes. */

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/onnx_graph.h"

typedef ResrOnnxValue Value;
typedef ResrOnnxOp Op;

/* An AttributeProto. */
typedef struct Attribute {
    bool found;
    double number; /* i or f */
    ResrPbRange text, tensor;
    double numbers[RESR_ONNX_MAX_NUMBERS];
    int n_numbers;
} Attribute;

enum {
    ATTRIBUTE_F = 2,
    ATTRIBUTE_I,
    ATTRIBUTE_S,
    ATTRIBUTE_T,
    ATTRIBUTE_FLOATS = 7,
    ATTRIBUTE_INTS
};

static double single(uint64_t bits)
{
    uint32_t low = (uint32_t)bits;
    float number;
    memcpy(&number, &low, sizeof number);
    return (double)number;
}

static int add_number(Attribute *attribute, double number)
{
    if (attribute->n_numbers == RESR_ONNX_MAX_NUMBERS)
        return resr_fail(RESR_ERR_DATA, "an attribute has more than %d numbers",
                         RESR_ONNX_MAX_NUMBERS);
    attribute->numbers[attribute->n_numbers++] = number;
    return 0;
}

/* One number of a list, or a packed list. */
static int read_list(Attribute *attribute, ResrPbField *field)
{
    bool floats = field->number == ATTRIBUTE_FLOATS;
    ResrPbRange *list = &field->bytes;
    uint64_t value;
    int ret = 0;
    if (field->type != RESR_PB_BYTES)
        return add_number(attribute, floats ? single(field->value) : (double)(int64_t)field->value);
    while (ret == 0 && resr_pb_bytes(*list) > 0) {
        if (floats && resr_pb_bytes(*list) < 4)
            return resr_fail(RESR_ERR_DATA, "a list of numbers is cut off");
        if (floats) {
            value = list->next[0] | (uint64_t)list->next[1] << 8 | (uint64_t)list->next[2] << 16 |
                    (uint64_t)list->next[3] << 24;
            list->next += 4;
        } else {
            ret = resr_pb_varint(&value, list);
        }
        if (ret == 0)
            ret = add_number(attribute, floats ? single(value) : (double)(int64_t)value);
    }
    return ret;
}

/* Reads an attribute if its name is `name`. */
static int read_attribute(Attribute *out, ResrPbRange message, const char *name)
{
    ResrPbRange fields = message;
    ResrPbField field;
    bool ours = false;
    int ret;
    while ((ret = resr_pb_next(&field, &fields)) > 0)
        ours = ours || (field.number == 1 && resr_pb_is(field.bytes, name));
    if (ret < 0 || !ours)
        return ret;
    if (out->found)
        return resr_fail(RESR_ERR_DATA, "attribute %s occurs twice", name);
    out->found = true;
    while (ret == 0 && (ret = resr_pb_next(&field, &message)) > 0) {
        ret = 0;
        if (field.number == ATTRIBUTE_F)
            out->number = single(field.value);
        else if (field.number == ATTRIBUTE_I)
            out->number = (double)(int64_t)field.value;
        else if (field.number == ATTRIBUTE_S)
            out->text = field.bytes;
        else if (field.number == ATTRIBUTE_T)
            out->tensor = field.bytes;
        else if (field.number == ATTRIBUTE_FLOATS || field.number == ATTRIBUTE_INTS)
            ret = read_list(out, &field);
    }
    return ret;
}

/* Finds an attribute; `number` and `word` are the values of one that the operator lacks. */
static int find_attribute(Attribute *out, const Op *op, const char *name, double number,
                          const char *word)
{
    ResrPbRange fields = op->message;
    ResrPbField field;
    int ret;
    *out = (Attribute){.number = number};
    while ((ret = resr_pb_next(&field, &fields)) > 0)
        if (field.number == 5 && (ret = read_attribute(out, field.bytes, name)) < 0)
            return ret;
    if (!out->found && word)
        out->text = (ResrPbRange){(const uint8_t *)word, (const uint8_t *)word + strlen(word)};
    return ret;
}

static int number_attribute(double *out, const Op *op, const char *name, double otherwise)
{
    Attribute attribute;
    int ret = find_attribute(&attribute, op, name, otherwise, NULL);
    *out = attribute.number;
    return ret;
}

static const Value *operand(const Op *op, int index)
{
    return index < op->n_in ? op->in[index] : NULL;
}

static int map_operand(Value *out, const Op *op, int index)
{
    const Value *in = operand(op, index);
    if (!in || in->kind != RESR_ONNX_MAP)
        return resr_fail(RESR_ERR_DATA, "operand %d is not a map", index);
    *out = *in;
    return resr_onnx_settle(out, op->graph);
}

/* The numbers of a constant operand. */
static int number_operand(const Value **out, const Op *op, int index)
{
    *out = operand(op, index);
    if (*out && (*out)->kind == RESR_ONNX_CONSTANT && (*out)->has_numbers)
        return 0;
    return resr_fail(RESR_ERR_DATA, "operand %d is not a constant of at most %d numbers", index,
                     RESR_ONNX_MAX_NUMBERS);
}

/* The numbers of an operand or, in older operator sets, of an attribute; n = -1: neither. */
static int list_of(double *list, int *n, const Op *op, int index, const char *name)
{
    Attribute attribute;
    const Value *value;
    *n = -1;
    int ret = 0;
    if (operand(op, index)) {
        ret = number_operand(&value, op, index);
        if (ret == 0) {
            *n = (int)resr_onnx_count(value);
            memcpy(list, value->numbers, sizeof value->numbers);
        }
        return ret;
    }
    ret = find_attribute(&attribute, op, name, 0, NULL);
    if (ret == 0 && attribute.found) {
        *n = attribute.n_numbers;
        memcpy(list, attribute.numbers, sizeof attribute.numbers);
    }
    return ret;
}

/* A map of the sizes of `like`. */
static int map_result(Value *out, const Value *like, ResrNode node)
{
    int64_t dims[4];
    memcpy(dims, like->dims, sizeof dims);
    return resr_onnx_map(out, node, dims);
}

/* Attributes of a convolution: each is a list whose numbers all have the expected value. */
static int check_conv(const Op *op, int kernel)
{
    const struct {
        const char *name;
        double value;
    } lists[] = {{"kernel_shape", kernel}, {"strides", 1}, {"dilations", 1}, {"pads", kernel / 2}};
    Attribute attribute;
    double group = 0;
    int ret = number_attribute(&group, op, "group", 1);
    bool ours = group == 1, same_padding = false;
    if (ret == 0)
        ret = find_attribute(&attribute, op, "auto_pad", 0, "NOTSET");
    if (ret == 0) {
        same_padding =
            resr_pb_is(attribute.text, "SAME_UPPER") || resr_pb_is(attribute.text, "SAME_LOWER");
        ours = ours && (same_padding || resr_pb_is(attribute.text, "NOTSET") ||
                        (kernel == 1 && resr_pb_is(attribute.text, "VALID")));
    }
    for (int k = 0; ret == 0 && k < 4; k++) {
        ret = find_attribute(&attribute, op, lists[k].name, 0, NULL);
        for (int i = 0; i < attribute.n_numbers; i++)
            ours = ours && attribute.numbers[i] == lists[k].value;
        ours = ours && (k < 3 || attribute.n_numbers > 0 || same_padding || kernel == 1);
    }
    if (ret == 0 && !ours)
        ret = resr_fail(RESR_ERR_DATA, "expected a convolution with stride 1, padding of half the "
                                       "kernel and one group");
    return ret;
}

static int convolution(Value *out, const Op *op)
{
    const Value *weight = operand(op, 1), *bias = operand(op, 2);
    Value x;
    int ret = map_operand(&x, op, 0);
    if (ret < 0)
        return ret;
    if (!weight || !weight->span.data || weight->rank != 4 ||
        weight->span.count != (size_t)resr_onnx_count(weight) ||
        weight->dims[2] != weight->dims[3] || (weight->dims[2] != 3 && weight->dims[2] != 1) ||
        weight->dims[1] != x.dims[1] || weight->dims[0] > 1 << 16)
        return resr_fail(RESR_ERR_DATA,
                         "expected constant weights of a 3x3 convolution (or 1x1) of %lld channels",
                         (long long)x.dims[1]);
    if (!bias || !bias->span.data || bias->rank != 1 || bias->span.count != (size_t)weight->dims[0])
        return resr_fail(RESR_ERR_DATA, "expected a constant bias of %lld numbers",
                         (long long)weight->dims[0]);
    ResrGraphConv conv = {.cout = (int)weight->dims[0],
                          .cin = (int)weight->dims[1],
                          .kernel_px = (int)weight->dims[2],
                          .weight = weight->span,
                          .bias = bias->span};
    snprintf(conv.name, sizeof conv.name, "%s", resr_pb_text(op->name).text);
    ret = check_conv(op, conv.kernel_px);
    if (ret < 0)
        return ret;
    x.dims[1] = conv.cout;
    return map_result(out, &x, resr_graph_conv(op->graph, x.node, &conv));
}

static int leaky_relu(Value *out, const Op *op)
{
    Value x;
    double slope = 0;
    int ret = map_operand(&x, op, 0);
    if (ret == 0)
        ret = number_attribute(&slope, op, "alpha", 0.01);
    return ret < 0 ? ret : map_result(out, &x, resr_graph_leaky(op->graph, x.node, slope));
}

static int relu(Value *out, const Op *op)
{
    Value x;
    int ret = map_operand(&x, op, 0);
    return ret < 0 ? ret : map_result(out, &x, resr_graph_leaky(op->graph, x.node, 0));
}

/* Whether a constant applies one number to each channel of a map, or one number to all. */
static bool by_channel(const Value *constant, const Value *map)
{
    bool fits = constant->rank <= 4;
    for (int i = 0; fits && i < constant->rank; i++) {
        int axis = 4 - constant->rank + i;
        fits = constant->dims[i] == 1 || (axis == 1 && constant->dims[i] == map->dims[1]);
    }
    return fits;
}

static int prelu(Value *out, const Op *op)
{
    const Value *slopes = operand(op, 1);
    Value x;
    int ret = map_operand(&x, op, 0);
    if (ret == 0 && (!slopes || !slopes->span.data || !by_channel(slopes, &x)))
        ret = resr_fail(RESR_ERR_DATA, "expected a constant slope for each channel");
    return ret < 0 ? ret : map_result(out, &x, resr_graph_prelu(op->graph, x.node, &slopes->span));
}

static int sigmoid(Value *out, const Op *op)
{
    Value x;
    int ret = map_operand(&x, op, 0);
    return ret < 0 ? ret : map_result(out, &x, resr_graph_sigmoid(op->graph, x.node));
}

static int swish(Value *out, const Op *op)
{
    Value x;
    double alpha = 1;
    int ret = map_operand(&x, op, 0);
    if (ret == 0)
        ret = number_attribute(&alpha, op, "alpha", 1);
    if (ret == 0 && alpha != 1)
        ret = resr_fail(RESR_ERR_DATA, "alpha %g; expected 1", alpha);
    return ret < 0 ? ret : map_result(out, &x, resr_graph_silu(op->graph, x.node));
}

/* Add, Sub, Mul, Div: the first letter of the type. */
static double calculate(char type, double a, double b, bool integers)
{
    double quotient = a / b;
    return type == 'A'   ? a + b
           : type == 'S' ? a - b
           : type == 'M' ? a * b
           : integers    ? trunc(quotient)
                         : quotient;
}

static int calculate_constants(Value *out, char type, const Value *a, const Value *b)
{
    int n_a = (int)resr_onnx_count(a), n_b = (int)resr_onnx_count(b);
    if (!a->has_numbers || !b->has_numbers || (n_a != n_b && n_a != 1 && n_b != 1))
        return resr_fail(RESR_ERR_DATA, "constants of %d and %d numbers cannot be combined", n_a,
                         n_b);
    Value result = n_a >= n_b ? *a : *b;
    result.span = (ResrSpan){0};
    if (result.rank < a->rank || result.rank < b->rank)
        return resr_fail(RESR_ERR_DATA, "constants of %d and %d dimensions cannot be combined",
                         a->rank, b->rank);
    for (int i = 0; i < (n_a > n_b ? n_a : n_b); i++)
        result.numbers[i] = calculate(type, a->numbers[n_a == 1 ? 0 : i],
                                      b->numbers[n_b == 1 ? 0 : i], a->integers);
    *out = result;
    return 0;
}

/* map op constant, or constant op map. */
static int with_constant(Value *out, const Op *op, char type, bool constant_first)
{
    const Value *constant = operand(op, constant_first ? 0 : 1);
    double values[RESR_ONNX_MAX_NUMBERS];
    Value x;
    int ret = map_operand(&x, op, constant_first ? 1 : 0);
    if (ret < 0)
        return ret;
    int n = (int)resr_onnx_count(constant);
    if (!constant->has_numbers || n < 1 || n > RESR_GRAPH_VECTOR || !by_channel(constant, &x) ||
        (type == 'D' && constant_first))
        return resr_fail(RESR_ERR_DATA,
                         "expected a constant of one number, or one for each of up "
                         "to %d channels",
                         RESR_GRAPH_VECTOR);
    for (int i = 0; i < n; i++)
        values[i] = type == 'D'                      ? 1 / constant->numbers[i]
                    : type == 'S' && !constant_first ? -constant->numbers[i]
                                                     : constant->numbers[i];
    ResrAffine by =
        type == 'M' || type == 'D' ? resr_affine_scale(values, n) : resr_affine_offset(values, n);
    ResrNode node = x.node;
    if (type == 'S' && constant_first)
        node = resr_graph_scaled(op->graph, node, -1);
    return map_result(out, &x, resr_graph_affine(op->graph, node, &by));
}

static int binary(Value *out, const Op *op)
{
    const Value *left = operand(op, 0), *right = operand(op, 1);
    char type = (char)*op->type.next;
    Value a, b;
    if (!left || !right)
        return resr_fail(RESR_ERR_DATA, "expected two operands");
    if (left->kind == RESR_ONNX_CONSTANT && right->kind == RESR_ONNX_CONSTANT)
        return calculate_constants(out, type, left, right);
    if (left->kind == RESR_ONNX_CONSTANT || right->kind == RESR_ONNX_CONSTANT)
        return with_constant(out, op, type, left->kind == RESR_ONNX_CONSTANT);
    int ret = map_operand(&a, op, 0);
    if (ret == 0)
        ret = map_operand(&b, op, 1);
    if (ret == 0 && (memcmp(a.dims, b.dims, sizeof a.base) != 0 || type == 'D'))
        ret = resr_fail(RESR_ERR_DATA, "expected a sum, difference or product of two maps of one "
                                       "size");
    if (ret < 0)
        return ret;
    ResrNode node =
        type == 'M'   ? resr_graph_mul(op->graph, a.node, b.node)
        : type == 'A' ? resr_graph_add(op->graph, a.node, b.node)
                      : resr_graph_add(op->graph, a.node, resr_graph_scaled(op->graph, b.node, -1));
    return map_result(out, &a, node);
}

static int concat_constants(Value *out, const Op *op)
{
    double numbers[RESR_ONNX_MAX_NUMBERS];
    const Value *part = NULL;
    int n = 0;
    for (int i = 0; i < op->n_in; i++) {
        int ret = number_operand(&part, op, i);
        int count = ret == 0 ? (int)resr_onnx_count(part) : 0;
        if (ret < 0 || part->rank != 1 || n + count > RESR_ONNX_MAX_NUMBERS)
            return resr_fail(RESR_ERR_DATA, "expected maps, or vectors of at most %d numbers",
                             RESR_ONNX_MAX_NUMBERS);
        memcpy(numbers + n, part->numbers, sizeof *numbers * (size_t)count);
        n += count;
    }
    resr_onnx_numbers(out, 1, numbers, n, part->integers);
    return 0;
}

static int concat(Value *out, const Op *op)
{
    ResrNode nodes[RESR_ONNX_MAX_INPUTS];
    Value all, x;
    double axis = 0;
    int ret = number_attribute(&axis, op, "axis", 1);
    if (ret < 0 || op->n_in < 1 || !op->in[0])
        return ret < 0 ? ret : resr_fail(RESR_ERR_DATA, "nothing to concatenate");
    if (op->in[0]->kind == RESR_ONNX_CONSTANT)
        return concat_constants(out, op);
    for (int i = 0; i < op->n_in; i++) {
        ret = map_operand(&x, op, i);
        if (ret < 0)
            return ret;
        if (i == 0)
            all = x;
        bool same = all.dims[0] == x.dims[0] && all.dims[2] == x.dims[2] &&
                    all.dims[3] == x.dims[3] && (axis == 1 || axis == -3);
        if (!same)
            return resr_fail(RESR_ERR_DATA, "expected channels of maps of one size");
        all.dims[1] += i > 0 ? x.dims[1] : 0;
        nodes[i] = x.node;
    }
    return map_result(out, &all, resr_graph_concat(op->graph, nodes, op->n_in));
}

/* A nearest enlargement by a whole factor repeats pixels in these combinations. */
static int repeats_pixels(bool *out, const Op *op, double factor)
{
    Attribute mode, rounding;
    int ret = find_attribute(&mode, op, "coordinate_transformation_mode", 0,
                             op->n_in == 2 ? "asymmetric" : "half_pixel");
    if (ret == 0)
        ret = find_attribute(&rounding, op, "nearest_mode", 0,
                             op->n_in == 2 ? "floor" : "round_prefer_floor");
    if (ret < 0)
        return ret;
    bool asymmetric = resr_pb_is(mode.text, "asymmetric");
    bool half_pixel =
        resr_pb_is(mode.text, "half_pixel") || resr_pb_is(mode.text, "pytorch_half_pixel");
    bool down = resr_pb_is(rounding.text, "floor");
    bool nearest = resr_pb_is(rounding.text, "round_prefer_floor");
    bool nearest_up = resr_pb_is(rounding.text, "round_prefer_ceil");
    *out = (asymmetric && (down || (nearest && factor <= 2))) ||
           (half_pixel && (nearest || nearest_up)) ||
           (resr_pb_is(mode.text, "tf_half_pixel_for_nn") && down) || factor == 1;
    return 0;
}

static int resize(Value *out, const Op *op)
{
    Attribute mode;
    double by[RESR_ONNX_MAX_NUMBERS] = {0};
    int n = -1;
    Value x;
    int ret = map_operand(&x, op, 0);
    if (ret == 0)
        ret = find_attribute(&mode, op, "mode", 0, "nearest");
    if (ret == 0 && operand(op, 3))
        ret = list_of(by, &n, op, 3, "sizes");
    for (int i = 0; n >= 0 && i < 4; i++) /* sizes */
        by[i] /= (double)x.dims[i];
    if (ret == 0 && n < 0)
        ret = list_of(by, &n, op, op->n_in == 2 ? 1 : 2, "scales");
    if (ret < 0)
        return ret;
    bool repeats = false;
    if (n != 4 || by[0] != 1 || by[1] != 1 || by[2] != by[3] || !(by[2] >= 1 && by[2] <= 8) ||
        by[2] != floor(by[2]) || !resr_pb_is(mode.text, "nearest"))
        return resr_fail(RESR_ERR_DATA, "expected a nearest enlargement of both sides by 1 to 8");
    ret = repeats_pixels(&repeats, op, by[2]);
    if (ret == 0 && !repeats)
        ret = resr_fail(RESR_ERR_DATA, "this nearest enlargement does not repeat pixels");
    if (ret < 0)
        return ret;
    x.dims[2] *= (int64_t)by[2];
    x.dims[3] *= (int64_t)by[2];
    return map_result(out, &x, resr_graph_nearest(op->graph, x.node, by[2]));
}

static int depth_to_space(Value *out, const Op *op)
{
    Attribute mode;
    double block = 0;
    Value x;
    int ret = map_operand(&x, op, 0);
    if (ret == 0)
        ret = find_attribute(&mode, op, "mode", 0, "DCR");
    if (ret == 0)
        ret = number_attribute(&block, op, "blocksize", 0);
    if (ret < 0)
        return ret;
    int r = block >= 1 && block <= 8 && block == floor(block) ? (int)block : 0;
    if (r == 0 || x.dims[1] % (r * r) != 0 ||
        !(resr_pb_is(mode.text, "CRD") || x.dims[1] == r * r || r == 1))
        return resr_fail(RESR_ERR_DATA,
                         "expected a pixel shuffle by 1 to 8 in PyTorch's order of channels (CRD)");
    x.dims[1] /= r * r;
    x.dims[2] *= r;
    x.dims[3] *= r;
    return map_result(out, &x, resr_graph_shuffle(op->graph, x.node, r));
}

static int identity(Value *out, const Op *op)
{
    if (!operand(op, 0))
        return resr_fail(RESR_ERR_DATA, "expected an operand");
    *out = *op->in[0];
    return 0;
}

static int cast(Value *out, const Op *op)
{
    double to = 0;
    int ret = identity(out, op);
    if (ret == 0)
        ret = number_attribute(&to, op, "to", 0);
    if (ret < 0)
        return ret;
    bool floating = to == 1 || to == 10 || to == 11 || to == 16, integer = to == 6 || to == 7;
    if (!(floating || (integer && out->kind == RESR_ONNX_CONSTANT && out->has_numbers)))
        return resr_fail(RESR_ERR_DATA,
                         "a conversion to type %g; the network's values are "
                         "floating-point numbers",
                         to);
    for (int i = 0; out->kind == RESR_ONNX_CONSTANT && integer && i < RESR_ONNX_MAX_NUMBERS; i++)
        out->numbers[i] = trunc(out->numbers[i]);
    out->integers = integer;
    return 0;
}

/* A conversion to the type of the second operand: maps and their factors have one type. */
static int cast_like(Value *out, const Op *op)
{
    const Value *like = operand(op, 1);
    int ret = identity(out, op);
    if (ret == 0 && (!like || like->integers || out->integers))
        ret = resr_fail(RESR_ERR_DATA, "a conversion of integers or to integers");
    return ret;
}

static int constant(Value *out, const Op *op)
{
    static const struct {
        const char *name;
        bool list, integers;
    } kinds[] = {{"value_float", false, false},
                 {"value_int", false, true},
                 {"value_floats", true, false},
                 {"value_ints", true, true}};
    Attribute attribute;
    ResrPbRange name;
    int ret = find_attribute(&attribute, op, "value", 0, NULL);
    if (ret < 0)
        return ret;
    if (attribute.found)
        return resr_onnx_tensor(out, &name, attribute.tensor);
    for (int i = 0; i < 4; i++) {
        ret = find_attribute(&attribute, op, kinds[i].name, 0, NULL);
        if (ret < 0)
            return ret;
        if (attribute.found) {
            resr_onnx_numbers(out, kinds[i].list,
                              kinds[i].list ? attribute.numbers : &attribute.number,
                              kinds[i].list ? attribute.n_numbers : 1, kinds[i].integers);
            return 0;
        }
    }
    return resr_fail(RESR_ERR_DATA, "expected a constant of numbers");
}

static int shape(Value *out, const Op *op)
{
    double sizes[RESR_ONNX_MAX_RANK], start, end;
    const Value *x = operand(op, 0);
    if (!x)
        return resr_fail(RESR_ERR_DATA, "expected an operand");
    int ret = number_attribute(&start, op, "start", 0);
    if (ret == 0)
        ret = number_attribute(&end, op, "end", x->rank);
    if (ret < 0)
        return ret;
    start += start < 0 ? x->rank : 0;
    end += end < 0 ? x->rank : 0;
    int n = 0;
    for (int i = 0; i < x->rank; i++)
        if (i >= start && i < end)
            sizes[n++] = (double)x->dims[i];
    resr_onnx_numbers(out, 1, sizes, n, true);
    return 0;
}

static int gather(Value *out, const Op *op)
{
    const Value *from = NULL, *at = NULL;
    int ret = number_operand(&from, op, 0);
    if (ret == 0)
        ret = number_operand(&at, op, 1);
    if (ret == 0 && (from->rank != 1 || at->rank > 1))
        ret = resr_fail(RESR_ERR_DATA, "expected numbers of a vector");
    if (ret < 0)
        return ret;
    double picked[RESR_ONNX_MAX_NUMBERS];
    int n = (int)resr_onnx_count(at);
    for (int i = 0; i < n; i++) {
        double index = at->numbers[i] + (at->numbers[i] < 0 ? (double)from->dims[0] : 0);
        if (!(index >= 0 && index < (double)from->dims[0]))
            return resr_fail(RESR_ERR_DATA, "index %g of %lld numbers", index,
                             (long long)from->dims[0]);
        picked[i] = from->numbers[(int)index];
    }
    resr_onnx_numbers(out, at->rank, picked, n, from->integers);
    return 0;
}

static int reshape(Value *out, const Op *op)
{
    const Value *to = NULL;
    double all = 0;
    int ret = identity(out, op);
    if (ret == 0)
        ret = number_operand(&to, op, 1);
    if (ret == 0)
        ret = number_attribute(&all, op, "allowzero", 0);
    return ret < 0 ? ret : resr_onnx_reshape(out, to->numbers, (int)resr_onnx_count(to), all == 0);
}

/* Squeeze and Unsqueeze: dimensions of size 1 at these axes vanish or appear. */
static int squeeze(Value *out, const Op *op)
{
    bool adds = resr_pb_is(op->type, "Unsqueeze");
    double axes[RESR_ONNX_MAX_NUMBERS], dims[2 * RESR_ONNX_MAX_RANK] = {0};
    unsigned marked = 0;
    int n, rank = 0, ret = identity(out, op);
    if (ret == 0)
        ret = list_of(axes, &n, op, 1, "axes");
    if (ret < 0)
        return ret;
    int full = out->rank + (adds && n > 0 ? n : 0);
    for (int i = 0; i < n; i++) {
        double axis = axes[i] + (axes[i] < 0 ? full : 0);
        if (full > RESR_ONNX_MAX_RANK || !(axis >= 0 && axis < full))
            return resr_fail(RESR_ERR_DATA, "axis %g of %d dimensions", axes[i], full);
        marked |= 1u << (int)axis;
    }
    for (int i = 0, from = 0; i < full; i++) {
        bool mark = marked >> i & 1 || (n < 0 && !adds && out->dims[from] == 1);
        if (adds && mark) {
            dims[rank++] = 1;
        } else if (from < out->rank) {
            if (!mark)
                dims[rank++] = (double)out->dims[from];
            from++;
        }
    }
    return resr_onnx_reshape(out, dims, rank, false);
}

static int transpose(Value *out, const Op *op)
{
    Attribute order;
    int64_t axes[RESR_ONNX_MAX_NUMBERS];
    int ret = identity(out, op);
    if (ret == 0)
        ret = find_attribute(&order, op, "perm", 0, NULL);
    if (ret < 0)
        return ret;
    for (int i = 0; i < order.n_numbers; i++)
        axes[i] = order.numbers[i] >= 0 && order.numbers[i] < RESR_ONNX_MAX_RANK
                      ? (int64_t)order.numbers[i]
                      : -1;
    return resr_onnx_transpose(out, axes, order.n_numbers);
}

/* The range of one axis, for a slice. */
static void slice_range(double *start, double *end, double size)
{
    *start = fmin(fmax(*start + (*start < 0 ? size : 0), 0), size);
    *end = fmin(fmax(*end + (*end < 0 ? size : 0), 0), size);
}

/* A part of a vector of numbers, or a whole map. */
static int slice(Value *out, const Op *op)
{
    double starts[RESR_ONNX_MAX_NUMBERS], ends[RESR_ONNX_MAX_NUMBERS];
    double axes[RESR_ONNX_MAX_NUMBERS] = {0}, steps[RESR_ONNX_MAX_NUMBERS];
    int n_starts, n_ends, n_axes, n_steps, ret = identity(out, op);
    if (ret == 0)
        ret = list_of(starts, &n_starts, op, 1, "starts");
    if (ret == 0)
        ret = list_of(ends, &n_ends, op, 2, "ends");
    if (ret == 0)
        ret = list_of(axes, &n_axes, op, 3, "axes");
    if (ret == 0)
        ret = list_of(steps, &n_steps, op, 4, "steps");
    if (ret < 0)
        return ret;
    bool vector = out->kind == RESR_ONNX_CONSTANT && out->rank == 1 && out->has_numbers;
    bool fits = n_starts >= 1 && n_ends == n_starts && (n_axes < 0 || n_axes == n_starts) &&
                (!vector || n_starts == 1) && (vector || out->kind == RESR_ONNX_MAP);
    for (int i = 0; fits && i < n_starts; i++) {
        double axis = n_axes < 0 ? i : axes[i] + (axes[i] < 0 ? out->rank : 0);
        fits = axis >= 0 && axis < out->rank && (n_steps < 0 || (i < n_steps && steps[i] == 1));
        if (!fits)
            break;
        slice_range(&starts[i], &ends[i], (double)out->dims[(int)axis]);
        fits = vector ? starts[i] <= ends[i] && starts[i] == floor(starts[i])
                      : starts[i] == 0 && ends[i] == (double)out->dims[(int)axis];
    }
    if (!fits)
        return resr_fail(RESR_ERR_DATA, "expected a part of a vector of numbers, or a whole map");
    if (vector) {
        Value from = *out;
        resr_onnx_numbers(out, 1, from.numbers + (int)starts[0], (int)(ends[0] - starts[0]),
                          from.integers);
    }
    return 0;
}

static int round_down(Value *out, const Op *op)
{
    const Value *from;
    int ret = number_operand(&from, op, 0);
    if (ret < 0)
        return ret;
    *out = *from;
    out->span = (ResrSpan){0};
    for (int i = 0; i < RESR_ONNX_MAX_NUMBERS; i++)
        out->numbers[i] = floor(out->numbers[i]);
    return 0;
}

static int clip(Value *out, const Op *op)
{
    double low, high;
    const Value *limit;
    Value x;
    int ret = map_operand(&x, op, 0);
    if (ret == 0)
        ret = number_attribute(&low, op, "min", -INFINITY);
    if (ret == 0)
        ret = number_attribute(&high, op, "max", INFINITY);
    for (int i = 1; ret == 0 && i <= 2; i++)
        if (operand(op, i)) {
            ret = number_operand(&limit, op, i);
            if (ret == 0)
                *(i == 1 ? &low : &high) = limit->numbers[0];
        }
    if (ret == 0 && (low != 0 || high != 1))
        ret = resr_fail(RESR_ERR_DATA, "limits %g and %g; expected 0 and 1", low, high);
    return ret < 0 ? ret : map_result(out, &x, resr_graph_clip(op->graph, x.node));
}

int resr_onnx_evaluate(ResrOnnxValue *out, const ResrOnnxOp *op)
{
    static const struct {
        const char *type;
        int (*evaluate)(Value *out, const Op *op);
    } operators[] = {
        {"Add", binary},
        {"Cast", cast},
        {"CastLike", cast_like},
        {"Clip", clip},
        {"Concat", concat},
        {"Constant", constant},
        {"Conv", convolution},
        {"Div", binary},
        {"DepthToSpace", depth_to_space},
        {"Floor", round_down},
        {"Gather", gather},
        {"Identity", identity},
        {"LeakyRelu", leaky_relu},
        {"Mul", binary},
        {"PRelu", prelu},
        {"Relu", relu},
        {"Reshape", reshape},
        {"Resize", resize},
        {"Shape", shape},
        {"Sigmoid", sigmoid},
        {"Slice", slice},
        {"Squeeze", squeeze},
        {"Sub", binary},
        {"Swish", swish},
        {"Transpose", transpose},
        {"Upsample", resize},
        {"Unsqueeze", squeeze},
    };
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
        if (resr_pb_is(op->type, operators[i].type))
            return operators[i].evaluate(out, op);
    return resr_fail(RESR_ERR_DATA, "it is not part of RRDBNet, SRVGGNetCompact or SPAN");
}
