#ifndef RESR_MODEL_NCNN_GRAPH_H
#define RESR_MODEL_NCNN_GRAPH_H

#include "model/readers.h"

/* Reads the text of a .param (changed in place, zero-terminated) and checks that its graph is
 * RRDBNet or SRVGGNetCompact with convolutions of the shapes that `spec` has. RESR_ERR_DATA. */
RESR_MUST_CHECK int resr_ncnn_read_graph(ResrNetSpec *spec, char *text);

#endif
