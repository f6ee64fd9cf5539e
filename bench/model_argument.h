#ifndef RESR_BENCH_MODEL_ARGUMENT_H
#define RESR_BENCH_MODEL_ARGUMENT_H

#include "model/model.h"

/* A network named on a command line: a weight file, or rrdb:SCALE:BLOCKS:SEED,
 * srvgg:SCALE:BLOCKS:SEED, seeded random weights for shapes whose weights cannot be had
 * (tests/reference/networks.py makes the same in Python). The caller frees it. RESR_ERR_* of
 * resr_model_load(). */
RESR_MUST_CHECK int bench_model_argument(ResrModel **out, const char *text);

#endif
