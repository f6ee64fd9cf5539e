#ifndef RESR_PREDICT_CALIBRATE_H
#define RESR_PREDICT_CALIBRATE_H

#include "base/frame.h"
#include "job/plan.h"
#include "model/model.h"
#include "net/backend.h"

/* How fast ranks upscale. */
typedef struct ResrUpscaleRate {
    double seconds;     /* of a rank, for a frame */
    double cpu_seconds; /* of all processors, a frame */
    int64_t frames;     /* that were measured */
} ResrUpscaleRate;

/* Upscales `frame` for some `seconds`, as `ranks` ranks of `threads` threads at once do it, which
 * slow each other down; hashes included. The first time warms up, unless it takes all the time.
 * Errors of resr_upscaler_create() and _submit(); RESR_ERR_INTERNAL. */
RESR_MUST_CHECK int resr_calibrate_upscale(ResrUpscaleRate *out, const ResrOps *ops,
                                           const ResrModel *model, const ResrPlan *plan,
                                           ResrFrame *frame, int threads, int ranks,
                                           double seconds);

#endif
