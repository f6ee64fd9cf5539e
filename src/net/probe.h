#ifndef RESR_NET_PROBE_H
#define RESR_NET_PROBE_H

#include "net/ops.h"

/* Floating-point operations per second of this process on a small tile of the model (best of a few
 * runs), for estimates. RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_probe_flops(double *flops, const ResrOps *ops, const ResrModel *model,
                                     int threads);

#endif
