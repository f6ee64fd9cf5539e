/* Operands and attributes of an operator: NodeProto and AttributeProto of onnx.proto. */

#include <string.h>

#include "model/onnx_graph.h"

typedef ResrOnnxValue Value;
typedef ResrOnnxOp Op;

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

static int add_number(ResrOnnxAttribute *attribute, double number)
{
    if (attribute->n_numbers == RESR_ONNX_MAX_NUMBERS)
        return resr_fail(RESR_ERR_DATA, "an attribute has more than %d numbers",
                         RESR_ONNX_MAX_NUMBERS);
    attribute->numbers[attribute->n_numbers++] = number;
    return 0;
}

/* One number of a list, or a packed list. */
static int read_list(ResrOnnxAttribute *attribute, ResrPbField *field)
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
static int read_attribute(ResrOnnxAttribute *out, ResrPbRange message, const char *name)
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

int resr_onnx_attribute(ResrOnnxAttribute *out, const Op *op, const char *name, double number,
                        const char *word)
{
    ResrPbRange fields = op->message;
    ResrPbField field;
    int ret;
    *out = (ResrOnnxAttribute){.number = number};
    while ((ret = resr_pb_next(&field, &fields)) > 0)
        if (field.number == 5 && (ret = read_attribute(out, field.bytes, name)) < 0)
            return ret;
    if (!out->found && word)
        out->text = (ResrPbRange){(const uint8_t *)word, (const uint8_t *)word + strlen(word)};
    return ret;
}

int resr_onnx_number_attribute(double *out, const Op *op, const char *name, double otherwise)
{
    ResrOnnxAttribute attribute;
    int ret = resr_onnx_attribute(&attribute, op, name, otherwise, NULL);
    *out = attribute.number;
    return ret;
}

const Value *resr_onnx_operand(const Op *op, int index)
{
    return index < op->n_in ? op->in[index] : NULL;
}

int resr_onnx_map_operand(Value *out, const Op *op, int index)
{
    const Value *in = resr_onnx_operand(op, index);
    if (!in || in->kind != RESR_ONNX_MAP)
        return resr_fail(RESR_ERR_DATA, "operand %d is not a map", index);
    *out = *in;
    return resr_onnx_settle(out, op->graph);
}

int resr_onnx_number_operand(const Value **out, const Op *op, int index)
{
    *out = resr_onnx_operand(op, index);
    if (*out && (*out)->kind == RESR_ONNX_CONSTANT && (*out)->has_numbers)
        return 0;
    return resr_fail(RESR_ERR_DATA, "operand %d is not a constant of at most %d numbers", index,
                     RESR_ONNX_MAX_NUMBERS);
}

int resr_onnx_list(double *list, int *n, const Op *op, int index, const char *name)
{
    ResrOnnxAttribute attribute;
    const Value *value;
    *n = -1;
    int ret = 0;
    if (resr_onnx_operand(op, index)) {
        ret = resr_onnx_number_operand(&value, op, index);
        if (ret == 0) {
            *n = (int)resr_onnx_count(value);
            memcpy(list, value->numbers, sizeof value->numbers);
        }
        return ret;
    }
    ret = resr_onnx_attribute(&attribute, op, name, 0, NULL);
    if (ret == 0 && attribute.found) {
        *n = attribute.n_numbers;
        memcpy(list, attribute.numbers, sizeof attribute.numbers);
    }
    return ret;
}
