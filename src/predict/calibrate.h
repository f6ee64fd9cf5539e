#ifndef RESR_PREDICT_CALIBRATE_H
#define RESR_PREDICT_CALIBRATE_H

#include "base/frame.h"
#include "job/plan.h"
#include "model/model.h"
#include "net/backend.h"

/* Measured speed of a rank. */
typedef struct ResrUpscaleRate {
    double seconds;     /* per frame of a rank */
    double cpu_seconds; /* per frame, of all processors */
    int64_t frames;     /* measured frames */
} ResrUpscaleRate;

/* Measures throughput for about `seconds` with `ranks` times `threads` threads at once, so that
 * contention and hashing are included. The first frame is a warm-up, unless it takes all of the
 * time. Errors of resr_upscaler_create() and resr_upscaler_submit(); RESR_ERR_INTERNAL. */
RESR_MUST_CHECK int resr_calibrate_upscale(ResrUpscaleRate *out, const ResrOps *ops,
                                           const ResrModel *model, const ResrPlan *plan,
                                           ResrFrame *frame, int threads, int ranks,
                                           double seconds);

#endif
