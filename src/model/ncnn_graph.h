#ifndef RESR_MODEL_NCNN_GRAPH_H
#define RESR_MODEL_NCNN_GRAPH_H

#include "model/graph.h"

typedef struct ResrNcnnGraph ResrNcnnGraph;

/* Reads the text of a .param (zero-terminated; modified, and used until the graph is freed).
 * RESR_ERR_DATA. */
RESR_MUST_CHECK int resr_ncnn_read_graph(ResrNcnnGraph **out, char *text);
void resr_ncnn_free_graph(ResrNcnnGraph *graph); /* NULL is allowed */

/* Finds the weights of the layers in the .bin, which must contain nothing else. RESR_ERR_DATA. */
RESR_MUST_CHECK int resr_ncnn_find_weights(ResrNcnnGraph *graph, const ResrBytes *bin);

/* Builds the network from the layers and their weights. RESR_ERR_DATA. */
RESR_MUST_CHECK int resr_ncnn_build(ResrModel **out, const ResrNcnnGraph *graph);

#endif
