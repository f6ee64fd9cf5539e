#ifndef RESR_BENCH_MODEL_ARGUMENT_H
#define RESR_BENCH_MODEL_ARGUMENT_H

#include "model/model.h"

/* Creates the network of a command line's argument: a weight file, or seeded random weights as
 * KIND:SCALE:BLOCKS:SEED[:FEATURES], KIND being rrdb, srvgg or span and FEATURES 64 by default
 * (tests/reference/networks.py computes the same ones in Python). The caller frees *out. RESR_ERR_*
 * of resr_model_load(). */
RESR_MUST_CHECK int bench_model_argument(ResrModel **out, const char *text);

#endif
