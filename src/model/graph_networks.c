/* Recognises the networks in a graph. The counts of operations suggest an architecture and the
 * shapes of the convolutions its sizes; then the published definition is built with the graph's own
 * convolutions, in the order of their use, and must give the node of the output. A network's
 * convolutions depend on each other in one order, so the order of use is that of the definition. */

#include <math.h>

#include "model/graph_nodes.h"

/* The network of a spec, built convolution by convolution. */
typedef struct Network {
    ResrGraph *graph;
    int next;    /* convolution */
    int departs; /* first convolution whose input is another in the file; -1: none */
} Network;

static ResrNode conv(Network *net, ResrNode x)
{
    ResrGraph *graph = net->graph;
    if (net->departs < 0 && graph->convs[net->next].input != x)
        net->departs = net->next;
    return resr_graph_node(graph, RESR_OP_CONV, x, net->next++, NULL);
}

static ResrNode leaky_conv(Network *net, ResrNode x)
{
    return resr_graph_leaky(net->graph, conv(net, x), 0.2);
}

static ResrNode dense_block(Network *net, ResrNode x)
{
    ResrNode maps[5] = {x};
    for (int i = 1; i < 5; i++)
        maps[i] = leaky_conv(net, resr_graph_concat(net->graph, maps, i));
    int index = net->next;
    ResrNode last = conv(net, resr_graph_concat(net->graph, maps, 5));
    if (!net->graph->convs[index].scaled) { /* an optimiser multiplied the weights instead */
        ResrGraphConv *folded = &net->graph->convs[index];
        folded->weight_factor = folded->bias_factor = 1 / 0.2f;
        return resr_graph_add(net->graph, last, x);
    }
    return resr_graph_add(net->graph, resr_graph_scaled(net->graph, last, 0.2), x);
}

static ResrNode rrdb(Network *net, const ResrNetSpec *spec)
{
    ResrGraph *graph = net->graph;
    ResrNode input = resr_graph_unshuffle(graph, resr_graph_input(graph), spec->unshuffle);
    ResrNode first = conv(net, input), x = first;
    for (int block = 0; block < spec->num_blocks; block++) {
        ResrNode start = x;
        for (int dense = 0; dense < 3; dense++)
            x = dense_block(net, x);
        x = resr_graph_add(graph, resr_graph_scaled(graph, x, 0.2), start);
    }
    x = resr_graph_add(graph, first, conv(net, x));
    for (int i = 0; i < resr_spec_enlargements(spec); i++)
        x = leaky_conv(net, resr_graph_nearest(graph, x, 2));
    return conv(net, leaky_conv(net, x));
}

/* The activation that the file applies to the convolution of index i, whose result is x. */
static ResrNode activated(Network *net, int i, ResrNode x)
{
    const ResrGraphConv *before = &net->graph->convs[i];
    if (before->slopes == RESR_SLOPES_VECTOR)
        return resr_graph_node(net->graph, RESR_OP_PRELU, x, before->activation, NULL);
    return resr_graph_leaky(net->graph, x, before->slope);
}

static ResrNode srvgg(Network *net, const ResrNetSpec *spec)
{
    ResrGraph *graph = net->graph;
    ResrNode input = resr_graph_input(graph), x = input;
    for (int i = 0; i <= spec->num_blocks; i++)
        x = activated(net, i, conv(net, x));
    x = resr_graph_shuffle(graph, conv(net, x), spec->scale);
    return resr_graph_add(graph, x, resr_graph_nearest(graph, input, spec->scale));
}

/* The picture minus the means; the picture itself if the network does not normalise. */
static ResrNode centred(ResrGraph *graph, const ResrNormalisation *by)
{
    double minus_mean[3];
    ResrNode x = resr_graph_input(graph);
    for (int i = 0; by && i < 3; i++)
        minus_mean[i] = -(double)by->mean[i];
    if (!by)
        return x;
    ResrAffine offset = resr_affine_offset(minus_mean, 3);
    return resr_graph_affine(graph, x, &offset);
}

static ResrNode span_input(ResrGraph *graph, const ResrNetSpec *spec)
{
    const ResrNormalisation *by = resr_spec_normalisation(spec);
    ResrNode x = centred(graph, by);
    if (!by)
        return x;
    if (graph->convs[0].input != x)
        return resr_graph_scaled(graph, x, (double)by->factor);
    graph->convs[0].weight_factor = 1 / by->factor; /* an optimiser multiplied the weights */
    return x;
}

static ResrNode span(Network *net, const ResrNetSpec *spec)
{
    ResrGraph *graph = net->graph;
    ResrNode head = conv(net, span_input(graph, spec)), x = head, first = head, last_c1 = head;
    for (int block = 0; block < spec->num_blocks; block++) {
        last_c1 = resr_graph_silu(graph, conv(net, x));
        ResrNode c2 = resr_graph_silu(graph, conv(net, last_c1)), c3 = conv(net, c2);
        ResrNode attention = resr_graph_offset(graph, resr_graph_sigmoid(graph, c3), -0.5);
        x = resr_graph_mul(graph, resr_graph_add(graph, c3, x), attention);
        first = block == 0 ? x : first;
    }
    ResrNode maps[] = {head, conv(net, x), first, last_c1};
    return resr_graph_shuffle(graph, conv(net, conv(net, resr_graph_concat(graph, maps, 4))),
                              spec->scale);
}

/* The scale of a last convolution with channels * scale * scale outputs; 0: no such scale. */
static int shuffled_scale(int outputs, int channels)
{
    for (int scale = 1; scale <= 8; scale++)
        if (outputs == channels * scale * scale)
            return scale;
    return 0;
}

static void guess_spec(ResrNetSpec *spec, ResrGraph *graph)
{
    const ResrGraphConv *convs = graph->convs;
    int n = graph->n_convs, enlargements = graph->used[RESR_OP_NEAREST];
    int unshuffle = graph->used[RESR_OP_UNSHUFFLE] ? graph->unshuffle : 1;
    *spec = (ResrNetSpec){.unshuffle = 1, .nf = convs[0].cout, .channels = convs[0].cin};
    if (graph->used[RESR_OP_SIGMOID] > 0) {
        spec->arch = RESR_ARCH_SPAN;
        spec->num_blocks = (n - 4) / 3;
        spec->normalise = RESR_NORMALISE_COUNT - 1;
        while (spec->normalise > 0 && convs[0].input != span_input(graph, spec))
            spec->normalise--;
    } else if (graph->used[RESR_OP_CONCAT] > 0) {
        spec->arch = RESR_ARCH_RRDB;
        spec->unshuffle = unshuffle;
        spec->channels /= unshuffle * unshuffle;
        spec->num_blocks = (n - 4 - enlargements) / 15;
        spec->gc = convs[1].cout;
        spec->scale = enlargements < 8 ? (1 << enlargements) / unshuffle : 0;
    } else {
        spec->arch = RESR_ARCH_SRVGG;
        spec->num_blocks = n - 2;
    }
    if (spec->arch != RESR_ARCH_RRDB)
        spec->scale = shuffled_scale(convs[n - 1].cout, convs[0].cin);
}

static int check_conv(const ResrGraphConv *conv, const ResrConvShape *shape)
{
    bool slopes = shape->has_slope && conv->slopes == RESR_SLOPES_VECTOR;
    if (conv->cout == shape->cout && conv->cin == shape->cin &&
        conv->kernel_px == shape->kernel_px &&
        (!slopes || conv->slope_map.count == 1 || conv->slope_map.count == (size_t)conv->cout))
        return 0;
    return resr_fail(RESR_ERR_DATA,
                     "convolution %s (%s in the file) has %d outputs, %d inputs, a kernel of %d px "
                     "and %zu slopes, expected %d, %d, %d and %d",
                     shape->name, conv->name, conv->cout, conv->cin, conv->kernel_px,
                     slopes ? conv->slope_map.count : 0, shape->cout, shape->cin, shape->kernel_px,
                     slopes ? shape->cout : 0);
}

/* What follows the network on the picture that it returns. */
static ResrNode strip_end(ResrNetSpec *spec, const ResrGraph *graph, ResrNode output)
{
    spec->resize = 1;
    if (graph->nodes[output].op == RESR_OP_CLIP)
        output = graph->nodes[output].a;
    if (graph->nodes[output].op == RESR_OP_RESIZE) {
        spec->resize = graph->nodes[output].by.scale[0];
        output = graph->nodes[output].a;
    }
    return graph->nodes[output].op == RESR_OP_CLIP ? graph->nodes[output].a : output;
}

static int compare(const ResrNetSpec *spec, ResrGraph *graph, ResrNode output)
{
    Network net = {graph, 0, -1};
    int n = graph->n_convs;
    if (resr_spec_convs(spec) != n)
        return resr_fail(RESR_ERR_DATA, "the graph of %d convolutions is not that of %s", n,
                         resr_spec_arch_name(spec));
    ResrNode expected = spec->arch == RESR_ARCH_RRDB    ? rrdb(&net, spec)
                        : spec->arch == RESR_ARCH_SRVGG ? srvgg(&net, spec)
                                                        : span(&net, spec);
    if (expected == output && !graph->full)
        return 0;
    if (net.departs < 0)
        return resr_fail(RESR_ERR_DATA,
                         "the graph of %d convolutions is not that of %s: it differs after the "
                         "last convolution",
                         n, resr_spec_arch_name(spec));
    ResrConvShape shape = resr_spec_conv(spec, net.departs);
    return resr_fail(RESR_ERR_DATA,
                     "the graph of %d convolutions is not that of %s: the input of convolution %s, "
                     "which would be %s, is another",
                     n, resr_spec_arch_name(spec), graph->convs[net.departs].name, shape.name);
}

int resr_graph_recognise(ResrNetSpec *spec, ResrGraph *graph, ResrNode output)
{
    if (graph->n_convs < 2)
        return resr_fail(RESR_ERR_DATA, "the graph has %d convolutions; a network has at least 2",
                         graph->n_convs);
    guess_spec(spec, graph);
    output = strip_end(spec, graph, output);
    int ret = resr_spec_check(spec);
    if (ret == 0)
        ret = compare(spec, graph, output);
    for (int i = 0; ret == 0 && i < graph->n_convs; i++) {
        ResrConvShape shape = resr_spec_conv(spec, i);
        ret = check_conv(&graph->convs[i], &shape);
    }
    return ret;
}

static int convert(float *out, const ResrSpan *span, float factor, const char *name)
{
    int ret = resr_weights_convert(out, span->data, span->dtype, span->count, name);
    for (size_t i = 0; ret == 0 && factor != 1 && i < span->count; i++)
        out[i] *= factor;
    return ret;
}

static int fill_slopes(const ResrConv *to, const ResrGraphConv *from)
{
    bool each = from->slopes == RESR_SLOPES_VECTOR;
    size_t known = each ? from->slope_map.count : 1;
    int ret = 0;
    if (each)
        ret = convert(to->slope, &from->slope_map, 1, to->name);
    else if (fabs(from->slope) <= 1e4)
        to->slope[0] = (float)from->slope;
    else
        ret = resr_fail(RESR_ERR_DATA, "the slope %g after convolution %s is out of range",
                        from->slope, from->name);
    for (size_t i = known; ret == 0 && i < (size_t)to->cout; i++)
        to->slope[i] = to->slope[0];
    return ret;
}

int resr_graph_model(ResrModel **out, ResrGraph *graph, ResrNode output)
{
    ResrNetSpec spec;
    *out = NULL;
    int ret = resr_graph_recognise(&spec, graph, output);
    if (ret == 0)
        ret = resr_model_create(out, &spec);
    for (int i = 0; ret == 0 && i < graph->n_convs; i++) {
        const ResrConv *to = &(*out)->convs[i];
        const ResrGraphConv *from = &graph->convs[i];
        ret = convert(to->weight, &from->weight, from->weight_factor, to->name);
        if (ret == 0)
            ret = convert(to->bias, &from->bias, from->bias_factor, to->name);
        if (ret == 0 && to->slope)
            ret = fill_slopes(to, from);
    }
    if (ret < 0) {
        resr_model_free(*out);
        *out = NULL;
    }
    return ret;
}
