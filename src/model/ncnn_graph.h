#ifndef RESR_MODEL_NCNN_GRAPH_H
#define RESR_MODEL_NCNN_GRAPH_H

#include "model/readers.h"

/* Reads the text of a .param (zero-terminated; modified), checks that its graph is RRDBNet or
 * SRVGGNetCompact, and returns its shape in *spec. RESR_ERR_DATA. */
RESR_MUST_CHECK int resr_ncnn_read_graph(ResrNetSpec *spec, char *text);

#endif
