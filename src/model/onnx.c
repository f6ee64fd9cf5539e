/* ONNX files (github.com/onnx/onnx, onnx.proto): a ModelProto with one graph of operators, which
 * are connected by names, and with the weights as tensors. Only what an inference graph of the
 * supported networks contains is read: no subgraphs, functions, quantisation or external data.
 * Dynamic sizes of the input are replaced by those of a small picture (onnx_value.h). */

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "model/onnx_graph.h"

/* A 23-block RRDBNet has 1,100 operators and 700 tensors; the numbers of a file with constants that
 * are not folded are twice as large. */
enum { MAX_NODES = 20000, MAX_TENSORS = 20000 };

/* In place of dynamic sizes of the input: distinct multiples of every factor of pixel unshuffle. */
enum { DYNAMIC_HEIGHT = 96, DYNAMIC_WIDTH = 64 };

enum { MIN_OPSET = 7, MAX_OPSET = 30 };

enum { MODEL_GRAPH = 7, MODEL_OPSET = 8 };
enum { GRAPH_NODE = 1, GRAPH_TENSOR = 5, GRAPH_INPUT = 11, GRAPH_OUTPUT = 12, GRAPH_SPARSE = 15 };
enum { NODE_INPUT = 1, NODE_OUTPUT, NODE_NAME, NODE_TYPE, NODE_DOMAIN = 7 };

/* Where a name's value comes from: the input and the tensors follow the operators. */
typedef struct Name {
    ResrPbRange name;
    int source;
    bool taken;
} Name;

typedef struct Onnx {
    int n_nodes, n_tensors;
    ResrPbRange *nodes;    /* NodeProto */
    ResrOnnxValue *values; /* of the nodes, then the tensors, then the input */
    Name *names;           /* hash table: a power of two of slots, at most half of them used */
    size_t slots, used;
    int *first, *operands; /* as in resr_graph_order(); the operands of constants are -1 */
    size_t operand_capacity;
    ResrPbRange input, output; /* ValueInfoProto */
    ResrGraph *graph;
} Onnx;

static Name *find_name(const Onnx *onnx, ResrPbRange name)
{
    uint64_t hash = 0;
    for (const uint8_t *c = name.next; c < name.end; c++)
        hash = (hash ^ *c) * 0x9E3779B97F4A7C15u;
    size_t slot = (hash >> 32) & (onnx->slots - 1);
    while (onnx->names[slot].taken && !resr_pb_same(onnx->names[slot].name, name))
        slot = (slot + 1) & (onnx->slots - 1);
    return &onnx->names[slot];
}

static int add_name(Onnx *onnx, ResrPbRange name, int source)
{
    Name *slot = find_name(onnx, name);
    if (slot->taken)
        return resr_fail(RESR_ERR_DATA, "two operators or tensors write %s",
                         resr_pb_text(name).text);
    if (++onnx->used > onnx->slots / 2)
        return resr_fail(RESR_ERR_DATA, "the graph has more names than operators and tensors");
    *slot = (Name){name, source, true};
    return 0;
}

/* The bytes of the first field of this number; an empty range if the message has none. */
static int find_field(ResrPbRange *out, ResrPbRange message, int number)
{
    ResrPbField field;
    int ret;
    *out = (ResrPbRange){0};
    while ((ret = resr_pb_next(&field, &message)) > 0)
        if (field.number == number && field.type == RESR_PB_BYTES) {
            *out = field.bytes;
            return 0;
        }
    return ret;
}

static int check_opset(ResrPbRange message)
{
    ResrPbField field;
    ResrPbRange domain = {0};
    uint64_t version = 0;
    int ret;
    while ((ret = resr_pb_next(&field, &message)) > 0) {
        if (field.number == 1)
            domain = field.bytes;
        else if (field.number == 2)
            version = field.value;
    }
    bool standard = resr_pb_is(domain, "") || resr_pb_is(domain, "ai.onnx");
    if (ret == 0 && standard && (version < MIN_OPSET || version > MAX_OPSET))
        ret = resr_fail(RESR_ERR_DATA, "operator set %llu is not supported; %d to %d are",
                        (unsigned long long)version, MIN_OPSET, MAX_OPSET);
    return ret;
}

static int find_graph(ResrPbRange *graph, const ResrBytes *file)
{
    ResrPbRange model = {file->data, file->data + file->bytes};
    ResrPbField field;
    int ret, graphs = 0;
    while ((ret = resr_pb_next(&field, &model)) > 0) {
        if (field.number == MODEL_GRAPH && field.type == RESR_PB_BYTES) {
            *graph = field.bytes;
            graphs++;
        } else if (field.number == MODEL_OPSET) {
            ret = check_opset(field.bytes);
            if (ret < 0)
                return ret;
        }
    }
    if (ret == 0 && graphs != 1)
        ret = resr_fail(RESR_ERR_DATA, "an ONNX file with %d graphs; expected one", graphs);
    return ret;
}

static int count_graph(Onnx *onnx, ResrPbRange graph)
{
    ResrPbField field;
    int ret, outputs = 0;
    while ((ret = resr_pb_next(&field, &graph)) > 0) {
        onnx->n_nodes += field.number == GRAPH_NODE;
        onnx->n_tensors += field.number == GRAPH_TENSOR;
        outputs += field.number == GRAPH_OUTPUT;
        if (field.number == GRAPH_OUTPUT)
            onnx->output = field.bytes;
        if (field.number == GRAPH_SPARSE)
            return resr_fail(RESR_ERR_DATA, "sparse tensors are not read");
        if (onnx->n_nodes > MAX_NODES || onnx->n_tensors > MAX_TENSORS)
            return resr_fail(RESR_ERR_DATA, "more than %d operators or %d tensors", MAX_NODES,
                             MAX_TENSORS);
    }
    if (ret == 0 && (outputs != 1 || onnx->n_nodes == 0))
        ret = resr_fail(RESR_ERR_DATA,
                        "a graph with %d operators and %d outputs; a network has "
                        "one output",
                        onnx->n_nodes, outputs);
    return ret;
}

static int allocate(Onnx *onnx)
{
    size_t nodes = (size_t)onnx->n_nodes, all = nodes + (size_t)onnx->n_tensors + 1;
    for (onnx->slots = 4; onnx->slots < 2 * all;)
        onnx->slots *= 2;
    int ret = resr_alloc(&onnx->nodes, nodes, sizeof *onnx->nodes);
    if (ret == 0)
        ret = resr_alloc(&onnx->values, all, sizeof *onnx->values);
    if (ret == 0)
        ret = resr_alloc(&onnx->names, onnx->slots, sizeof *onnx->names);
    if (ret == 0)
        ret = resr_alloc(&onnx->first, nodes + 1, sizeof *onnx->first);
    return ret == 0 ? resr_graph_create(&onnx->graph, nodes) : ret;
}

/* The sizes of the input: TypeProto, Tensor, TensorShapeProto, Dimension. */
static int read_sizes(int64_t dims[4], ResrPbRange input)
{
    static const int64_t dynamic[] = {1, 0, DYNAMIC_HEIGHT, DYNAMIC_WIDTH};
    static const int path[] = {2, 1, 2};
    ResrPbField field;
    ResrPbRange at = input;
    int ret = 0, rank = 0;
    for (int i = 0; ret == 0 && i < 3; i++)
        ret = find_field(&at, at, path[i]);
    while (ret == 0 && (ret = resr_pb_next(&field, &at)) > 0) {
        ResrPbField value = {0};
        ret = 0;
        for (ResrPbRange dim = field.bytes; ret == 0 && (ret = resr_pb_next(&value, &dim)) > 0;)
            ret = 0;
        if (ret == 0 && rank < 4)
            dims[rank] = value.number == 1 && value.type == RESR_PB_VARINT && value.value > 0 &&
                                 value.value <= 1 << 16
                             ? (int64_t)value.value
                             : dynamic[rank];
        rank++;
    }
    if (ret == 0 && (rank != 4 || dims[0] != 1 || (dims[1] != 1 && dims[1] != 3 && dims[1] != 4)))
        ret = resr_fail(RESR_ERR_DATA,
                        "the input has %d sizes and %lld channels of %lld pictures; "
                        "expected one picture of 1, 3 or 4 channels as 1, C, H, W",
                        rank, rank > 1 ? (long long)dims[1] : 0, rank > 0 ? (long long)dims[0] : 0);
    return ret;
}

static int add_tensor(Onnx *onnx, ResrPbRange message, int index)
{
    ResrPbRange name;
    int ret = resr_onnx_tensor(&onnx->values[onnx->n_nodes + index], &name, message);
    return ret < 0 ? ret : add_name(onnx, name, onnx->n_nodes + index);
}

static int add_node_name(Onnx *onnx, ResrPbRange message, int index)
{
    ResrPbRange name;
    int ret = find_field(&name, message, NODE_OUTPUT);
    onnx->nodes[index] = message;
    return ret < 0 ? ret : add_name(onnx, name, index);
}

/* Tensors and operators first: old files name the tensors among the inputs, too. */
static int read_names(Onnx *onnx, ResrPbRange graph)
{
    ResrPbRange fields = graph, name;
    ResrPbField field;
    int64_t dims[4] = {0};
    int ret = 0, nodes = 0, tensors = 0, inputs = 0;
    while (ret == 0 && (ret = resr_pb_next(&field, &fields)) > 0) {
        ret = 0;
        if (field.number == GRAPH_TENSOR)
            ret = add_tensor(onnx, field.bytes, tensors++);
        else if (field.number == GRAPH_NODE)
            ret = add_node_name(onnx, field.bytes, nodes++);
    }
    while (ret == 0 && (ret = resr_pb_next(&field, &graph)) > 0) {
        ret = field.number == GRAPH_INPUT ? find_field(&name, field.bytes, 1) : 0;
        if (ret == 0 && field.number == GRAPH_INPUT && !find_name(onnx, name)->taken) {
            onnx->input = field.bytes;
            inputs++;
            ret = add_name(onnx, name, onnx->n_nodes + onnx->n_tensors);
        }
    }
    if (ret == 0 && inputs != 1)
        ret = resr_fail(RESR_ERR_DATA, "a graph with %d inputs; a network has one", inputs);
    if (ret == 0)
        ret = read_sizes(dims, onnx->input);
    return ret < 0 ? ret
                   : resr_onnx_map(&onnx->values[onnx->n_nodes + onnx->n_tensors],
                                   resr_graph_input(onnx->graph), dims);
}

/* Finds the operands of each operator by name. */
static int bind_node(Onnx *onnx, int index)
{
    ResrPbRange message = onnx->nodes[index];
    ResrPbField field;
    int ret, n = onnx->first[index];
    while ((ret = resr_pb_next(&field, &message)) > 0) {
        if (field.number != NODE_INPUT)
            continue;
        const Name *name = find_name(onnx, field.bytes);
        if (!name->taken && resr_pb_bytes(field.bytes) > 0)
            return resr_fail(RESR_ERR_DATA, "an operator reads %s, which none writes",
                             resr_pb_text(field.bytes).text);
        if (n - onnx->first[index] == RESR_ONNX_MAX_INPUTS)
            return resr_fail(RESR_ERR_DATA, "an operator has more than %d operands",
                             RESR_ONNX_MAX_INPUTS);
        ret =
            resr_grow(&onnx->operands, &onnx->operand_capacity, (size_t)n, sizeof *onnx->operands);
        if (ret < 0)
            return ret;
        bool left_out = resr_pb_bytes(field.bytes) == 0;
        onnx->operands[n++] = !left_out && name->source < onnx->n_nodes ? name->source : -1;
    }
    onnx->first[index + 1] = n;
    return ret;
}

static int evaluate(Onnx *onnx, int index)
{
    ResrOnnxOp op = {.message = onnx->nodes[index], .graph = onnx->graph};
    ResrPbRange message = onnx->nodes[index], domain = {0};
    ResrPbField field;
    int ret;
    while ((ret = resr_pb_next(&field, &message)) > 0) {
        if (field.number == NODE_INPUT)
            op.in[op.n_in++] = resr_pb_bytes(field.bytes) == 0
                                   ? NULL
                                   : &onnx->values[find_name(onnx, field.bytes)->source];
        else if (field.number == NODE_NAME)
            op.name = field.bytes;
        else if (field.number == NODE_TYPE)
            op.type = field.bytes;
        else if (field.number == NODE_DOMAIN)
            domain = field.bytes;
    }
    if (ret == 0 && !resr_pb_is(domain, "") && !resr_pb_is(domain, "ai.onnx"))
        ret = resr_fail(RESR_ERR_DATA, "domain %s is not ONNX's own", resr_pb_text(domain).text);
    if (ret == 0)
        ret = resr_onnx_evaluate(&onnx->values[index], &op);
    return ret < 0 ? resr_fail_prefix(ret, "operator %s (%s): ", resr_pb_text(op.name).text,
                                      resr_pb_text(op.type).text)
                   : ret;
}

/* Evaluates what the output needs. */
static int evaluate_graph(Onnx *onnx, ResrNode *output)
{
    ResrPbRange name;
    int *order = NULL, n = 0;
    int ret = find_field(&name, onnx->output, 1);
    for (int i = 0; ret == 0 && i < onnx->n_nodes; i++)
        ret = bind_node(onnx, i);
    if (ret < 0)
        return ret;
    const Name *last = find_name(onnx, name);
    if (!last->taken || last->source >= onnx->n_nodes)
        return resr_fail(RESR_ERR_DATA, "no operator writes the output %s",
                         resr_pb_text(name).text);
    ret = resr_alloc(&order, (size_t)onnx->n_nodes, sizeof *order);
    if (ret == 0)
        ret = resr_graph_order(order, &n, onnx->first, onnx->operands, onnx->n_nodes, last->source);
    for (int i = 0; ret == 0 && i < n; i++)
        ret = evaluate(onnx, order[i]);
    free(order);
    if (ret < 0)
        return ret;
    ResrOnnxValue *value = &onnx->values[last->source];
    ret = resr_onnx_settle(value, onnx->graph);
    *output = value->node;
    return ret;
}

int resr_model_read_onnx(ResrModel **out, const ResrBytes *file)
{
    Onnx onnx = {0};
    ResrPbRange graph = {0};
    ResrNode output = 0;
    *out = NULL;
    int ret = find_graph(&graph, file);
    if (ret == 0)
        ret = count_graph(&onnx, graph);
    if (ret == 0)
        ret = allocate(&onnx);
    if (ret == 0)
        ret = read_names(&onnx, graph);
    if (ret == 0)
        ret = evaluate_graph(&onnx, &output);
    if (ret == 0)
        ret = resr_graph_model(out, onnx.graph, output);
    resr_graph_free(onnx.graph);
    free(onnx.nodes);
    free(onnx.values);
    free(onnx.names);
    free(onnx.first);
    free(onnx.operands);
    return ret;
}
