#ifndef RESR_BENCH_LAYERS_H
#define RESR_BENCH_LAYERS_H

#include "net/backend.h"

/* Measures single convolutions of the networks, each as a layer of its own from feature map to
 * feature map, and RRDB's dense block, on width_px x height_px outputs (even numbers). Prints rows
 * of JSON (result_json.h) for 1, 2, 4 .. max_threads threads, the best of `runs` each. `layer`:
 * only this one; NULL: all. RESR_ERR_INTERNAL (memory, or a wrong result, which has its row). */
typedef struct BenchLayers {
    const char *layer;
    int width_px, height_px, max_threads, runs;
} BenchLayers;

RESR_MUST_CHECK int bench_layers(const BenchLayers *options, const ResrOps *ops, int *first);

#endif
