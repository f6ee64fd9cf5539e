/* The operators that exporters write for the supported networks: onnx.ai/onnx/operators. Those on
 * maps add nodes to the graph; those on constants compute shapes. */

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/onnx_graph.h"

typedef ResrOnnxValue Value;
typedef ResrOnnxOp Op;

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
    ResrOnnxAttribute attribute;
    double group = 0;
    int ret = resr_onnx_number_attribute(&group, op, "group", 1);
    bool ours = group == 1, same_padding = false;
    if (ret == 0)
        ret = resr_onnx_attribute(&attribute, op, "auto_pad", 0, "NOTSET");
    if (ret == 0) {
        same_padding =
            resr_pb_is(attribute.text, "SAME_UPPER") || resr_pb_is(attribute.text, "SAME_LOWER");
        ours = ours && (same_padding || resr_pb_is(attribute.text, "NOTSET") ||
                        (kernel == 1 && resr_pb_is(attribute.text, "VALID")));
    }
    for (int k = 0; ret == 0 && k < 4; k++) {
        ret = resr_onnx_attribute(&attribute, op, lists[k].name, 0, NULL);
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
    const Value *weight = resr_onnx_operand(op, 1), *bias = resr_onnx_operand(op, 2);
    Value x;
    int ret = resr_onnx_map_operand(&x, op, 0);
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

/* The operand, and the attribute alpha or its default. */
static int alpha_operand(Value *x, double *alpha, const Op *op, double otherwise)
{
    int ret = resr_onnx_map_operand(x, op, 0);
    return ret < 0 ? ret : resr_onnx_number_attribute(alpha, op, "alpha", otherwise);
}

static int leaky_relu(Value *out, const Op *op)
{
    Value x;
    double slope = 0;
    int ret = alpha_operand(&x, &slope, op, 0.01);
    return ret < 0 ? ret : map_result(out, &x, resr_graph_leaky(op->graph, x.node, slope));
}

static int relu(Value *out, const Op *op)
{
    Value x;
    int ret = resr_onnx_map_operand(&x, op, 0);
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
    const Value *slopes = resr_onnx_operand(op, 1);
    Value x;
    int ret = resr_onnx_map_operand(&x, op, 0);
    if (ret == 0 && (!slopes || !slopes->span.data || !by_channel(slopes, &x)))
        ret = resr_fail(RESR_ERR_DATA, "expected a constant slope for each channel");
    return ret < 0 ? ret : map_result(out, &x, resr_graph_prelu(op->graph, x.node, &slopes->span));
}

static int sigmoid(Value *out, const Op *op)
{
    Value x;
    int ret = resr_onnx_map_operand(&x, op, 0);
    return ret < 0 ? ret : map_result(out, &x, resr_graph_sigmoid(op->graph, x.node));
}

static int swish(Value *out, const Op *op)
{
    Value x;
    double alpha = 1;
    int ret = alpha_operand(&x, &alpha, op, 1);
    if (ret == 0 && alpha != 1)
        ret = resr_fail(RESR_ERR_DATA, "alpha %g; expected 1", alpha);
    return ret < 0 ? ret : map_result(out, &x, resr_graph_silu(op->graph, x.node));
}

/* map op constant, or constant op map. */
static int with_constant(Value *out, const Op *op, char type, bool constant_first)
{
    const Value *constant = resr_onnx_operand(op, constant_first ? 0 : 1);
    double values[RESR_ONNX_MAX_NUMBERS];
    Value x;
    int ret = resr_onnx_map_operand(&x, op, constant_first ? 1 : 0);
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
    const Value *left = resr_onnx_operand(op, 0), *right = resr_onnx_operand(op, 1);
    char type = (char)*op->type.next;
    Value a, b;
    if (!left || !right)
        return resr_fail(RESR_ERR_DATA, "expected two operands");
    if (left->kind == RESR_ONNX_CONSTANT && right->kind == RESR_ONNX_CONSTANT)
        return resr_onnx_calculate(out, type, left, right);
    if (left->kind == RESR_ONNX_CONSTANT || right->kind == RESR_ONNX_CONSTANT)
        return with_constant(out, op, type, left->kind == RESR_ONNX_CONSTANT);
    int ret = resr_onnx_map_operand(&a, op, 0);
    if (ret == 0)
        ret = resr_onnx_map_operand(&b, op, 1);
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

static int concat(Value *out, const Op *op)
{
    ResrNode nodes[RESR_ONNX_MAX_INPUTS];
    Value all, x;
    double axis = 0;
    int ret = resr_onnx_number_attribute(&axis, op, "axis", 1);
    if (ret < 0 || op->n_in < 1 || !op->in[0])
        return ret < 0 ? ret : resr_fail(RESR_ERR_DATA, "nothing to concatenate");
    if (op->in[0]->kind == RESR_ONNX_CONSTANT)
        return resr_onnx_concat_numbers(out, op);
    for (int i = 0; i < op->n_in; i++) {
        ret = resr_onnx_map_operand(&x, op, i);
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
    ResrOnnxAttribute mode, rounding;
    int ret = resr_onnx_attribute(&mode, op, "coordinate_transformation_mode", 0,
                                  op->n_in == 2 ? "asymmetric" : "half_pixel");
    if (ret == 0)
        ret = resr_onnx_attribute(&rounding, op, "nearest_mode", 0,
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
    ResrOnnxAttribute mode;
    double by[RESR_ONNX_MAX_NUMBERS] = {0};
    int n = -1;
    Value x;
    int ret = resr_onnx_map_operand(&x, op, 0);
    if (ret == 0)
        ret = resr_onnx_attribute(&mode, op, "mode", 0, "nearest");
    if (ret == 0 && resr_onnx_operand(op, 3))
        ret = resr_onnx_list(by, &n, op, 3, "sizes");
    for (int i = 0; n >= 0 && i < 4; i++) /* sizes */
        by[i] /= (double)x.dims[i];
    if (ret == 0 && n < 0)
        ret = resr_onnx_list(by, &n, op, op->n_in == 2 ? 1 : 2, "scales");
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
    ResrOnnxAttribute mode;
    double block = 0;
    Value x;
    int ret = resr_onnx_map_operand(&x, op, 0);
    if (ret == 0)
        ret = resr_onnx_attribute(&mode, op, "mode", 0, "DCR");
    if (ret == 0)
        ret = resr_onnx_number_attribute(&block, op, "blocksize", 0);
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

static int cast(Value *out, const Op *op)
{
    double to = 0;
    int ret = resr_onnx_identity(out, op);
    if (ret == 0)
        ret = resr_onnx_number_attribute(&to, op, "to", 0);
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
    const Value *like = resr_onnx_operand(op, 1);
    int ret = resr_onnx_identity(out, op);
    if (ret == 0 && (!like || like->integers || out->integers))
        ret = resr_fail(RESR_ERR_DATA, "a conversion of integers or to integers");
    return ret;
}

static int clip(Value *out, const Op *op)
{
    double low = -INFINITY, high = INFINITY;
    const Value *limit;
    Value x;
    int ret = resr_onnx_map_operand(&x, op, 0);
    if (ret == 0)
        ret = resr_onnx_number_attribute(&low, op, "min", low);
    if (ret == 0)
        ret = resr_onnx_number_attribute(&high, op, "max", high);
    for (int i = 1; ret == 0 && i <= 2; i++)
        if (resr_onnx_operand(op, i)) {
            ret = resr_onnx_number_operand(&limit, op, i);
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
        {"Constant", resr_onnx_op_constant},
        {"Conv", convolution},
        {"Div", binary},
        {"DepthToSpace", depth_to_space},
        {"Floor", resr_onnx_op_round_down},
        {"Gather", resr_onnx_op_gather},
        {"Identity", resr_onnx_identity},
        {"LeakyRelu", leaky_relu},
        {"Mul", binary},
        {"PRelu", prelu},
        {"Relu", relu},
        {"Reshape", resr_onnx_op_reshape},
        {"Resize", resize},
        {"Shape", resr_onnx_op_shape},
        {"Sigmoid", sigmoid},
        {"Slice", resr_onnx_op_slice},
        {"Squeeze", resr_onnx_op_squeeze},
        {"Sub", binary},
        {"Swish", swish},
        {"Transpose", resr_onnx_op_transpose},
        {"Upsample", resize},
        {"Unsqueeze", resr_onnx_op_squeeze},
    };
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
        if (resr_pb_is(op->type, operators[i].type))
            return operators[i].evaluate(out, op);
    return resr_fail(RESR_ERR_DATA, "it is not part of RRDBNet, SRVGGNetCompact or SPAN");
}
