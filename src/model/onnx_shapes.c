/* The operators that compute shapes and constants, or change the shape of a map. */

#include <math.h>
#include <string.h>

#include "model/onnx_graph.h"

typedef ResrOnnxValue Value;
typedef ResrOnnxOp Op;

int resr_onnx_identity(Value *out, const Op *op)
{
    if (!resr_onnx_operand(op, 0))
        return resr_fail(RESR_ERR_DATA, "expected an operand");
    *out = *op->in[0];
    return 0;
}

int resr_onnx_op_constant(Value *out, const Op *op)
{
    static const struct {
        const char *name;
        bool list, integers;
    } kinds[] = {{"value_float", false, false},
                 {"value_int", false, true},
                 {"value_floats", true, false},
                 {"value_ints", true, true}};
    ResrOnnxAttribute attribute;
    ResrPbRange name;
    int ret = resr_onnx_attribute(&attribute, op, "value", 0, NULL);
    if (ret < 0)
        return ret;
    if (attribute.found)
        return resr_onnx_tensor(out, &name, attribute.tensor);
    for (int i = 0; i < 4; i++) {
        ret = resr_onnx_attribute(&attribute, op, kinds[i].name, 0, NULL);
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

int resr_onnx_calculate(Value *out, char type, const Value *a, const Value *b)
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

int resr_onnx_concat_numbers(Value *out, const Op *op)
{
    double numbers[RESR_ONNX_MAX_NUMBERS];
    const Value *part = NULL;
    bool integers = false;
    int n = 0;
    for (int i = 0; i < op->n_in; i++) {
        int ret = resr_onnx_number_operand(&part, op, i);
        int count = ret == 0 ? (int)resr_onnx_count(part) : 0;
        if (ret < 0 || part->rank != 1 || n + count > RESR_ONNX_MAX_NUMBERS)
            return resr_fail(RESR_ERR_DATA, "expected maps, or vectors of at most %d numbers",
                             RESR_ONNX_MAX_NUMBERS);
        memcpy(numbers + n, part->numbers, sizeof *numbers * (size_t)count);
        n += count;
        integers = part->integers;
    }
    resr_onnx_numbers(out, 1, numbers, n, integers);
    return 0;
}

int resr_onnx_op_shape(Value *out, const Op *op)
{
    double sizes[RESR_ONNX_MAX_RANK], start, end;
    const Value *x = resr_onnx_operand(op, 0);
    if (!x)
        return resr_fail(RESR_ERR_DATA, "expected an operand");
    int ret = resr_onnx_number_attribute(&start, op, "start", 0);
    if (ret == 0)
        ret = resr_onnx_number_attribute(&end, op, "end", x->rank);
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

int resr_onnx_op_gather(Value *out, const Op *op)
{
    const Value *from = NULL, *at = NULL;
    int ret = resr_onnx_number_operand(&from, op, 0);
    if (ret == 0)
        ret = resr_onnx_number_operand(&at, op, 1);
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

int resr_onnx_op_reshape(Value *out, const Op *op)
{
    const Value *to = NULL;
    double all = 0;
    int ret = resr_onnx_identity(out, op);
    if (ret == 0)
        ret = resr_onnx_number_operand(&to, op, 1);
    if (ret == 0)
        ret = resr_onnx_number_attribute(&all, op, "allowzero", 0);
    return ret < 0 ? ret : resr_onnx_reshape(out, to->numbers, (int)resr_onnx_count(to), all == 0);
}

int resr_onnx_op_squeeze(Value *out, const Op *op)
{
    bool adds = resr_pb_is(op->type, "Unsqueeze");
    double axes[RESR_ONNX_MAX_NUMBERS], dims[2 * RESR_ONNX_MAX_RANK] = {0};
    unsigned marked = 0;
    int n, rank = 0, ret = resr_onnx_identity(out, op);
    if (ret == 0)
        ret = resr_onnx_list(axes, &n, op, 1, "axes");
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

int resr_onnx_op_transpose(Value *out, const Op *op)
{
    ResrOnnxAttribute order;
    int64_t axes[RESR_ONNX_MAX_NUMBERS];
    int ret = resr_onnx_identity(out, op);
    if (ret == 0)
        ret = resr_onnx_attribute(&order, op, "perm", 0, NULL);
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

int resr_onnx_op_slice(Value *out, const Op *op)
{
    double starts[RESR_ONNX_MAX_NUMBERS], ends[RESR_ONNX_MAX_NUMBERS];
    double axes[RESR_ONNX_MAX_NUMBERS] = {0}, steps[RESR_ONNX_MAX_NUMBERS];
    int n_starts, n_ends, n_axes, n_steps, ret = resr_onnx_identity(out, op);
    if (ret == 0)
        ret = resr_onnx_list(starts, &n_starts, op, 1, "starts");
    if (ret == 0)
        ret = resr_onnx_list(ends, &n_ends, op, 2, "ends");
    if (ret == 0)
        ret = resr_onnx_list(axes, &n_axes, op, 3, "axes");
    if (ret == 0)
        ret = resr_onnx_list(steps, &n_steps, op, 4, "steps");
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

int resr_onnx_op_round_down(Value *out, const Op *op)
{
    const Value *from;
    int ret = resr_onnx_number_operand(&from, op, 0);
    if (ret < 0)
        return ret;
    *out = *from;
    out->span = (ResrSpan){0};
    for (int i = 0; i < RESR_ONNX_MAX_NUMBERS; i++)
        out->numbers[i] = floor(out->numbers[i]);
    return 0;
}
