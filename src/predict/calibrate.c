#include "predict/calibrate.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "net/upscale.h"

/* A rank, simulated by a thread. */
typedef struct Rank {
    const ResrPlan *plan;
    ResrFrame *frame;
    ResrUpscaler *upscaler;
    pthread_t thread;
    double limit_seconds;
    double seconds; /* of a frame */
    int64_t frames; /* warm-up included */
    int status;
    char error[RESR_ERROR_TEXT_BYTES];
} Rank;

static int upscale(Rank *rank)
{
    ResrFrame *out = NULL;
    int ret = resr_upscaler_submit(rank->upscaler, &rank->frame, 1, NULL);
    if (ret == 0)
        ret = resr_upscaler_collect(rank->upscaler, &out);
    if (ret == 0)
        resr_frame_hash(out->hash, &rank->plan->output, out);
    resr_frame_free(out);
    rank->frames++;
    return ret;
}

static void *measure(void *argument)
{
    Rank *rank = argument;
    int64_t start_ns = resr_clock_ns();
    int64_t warm_up = 0;
    rank->status = upscale(rank);
    if (resr_clock_seconds_since(start_ns) < rank->limit_seconds) {
        start_ns = resr_clock_ns();
        warm_up = 1;
    }
    while (rank->status == 0 &&
           (rank->frames == warm_up || resr_clock_seconds_since(start_ns) < rank->limit_seconds))
        rank->status = upscale(rank);
    rank->seconds = resr_clock_seconds_since(start_ns) / (double)(rank->frames - warm_up);
    if (rank->status < 0)
        resr_error_save(rank->error);
    return NULL;
}

/* Measures all ranks at once; the first one in this thread, whose device is set. */
static int measure_all(ResrUpscaleRate *out, Rank *all, int count)
{
    int64_t cpu_ns = resr_clock_cpu_ns();
    int started = 1, ret = 0;
    double per_second = 0;
    while (started < count &&
           pthread_create(&all[started].thread, NULL, measure, &all[started]) == 0)
        started++;
    measure(&all[0]);
    for (int i = 0; i < started; i++) {
        if (i > 0)
            pthread_join(all[i].thread, NULL);
        if (all[i].status < 0)
            ret = resr_error_restore(all[i].status, all[i].error);
        per_second += 1 / all[i].seconds;
        out->frames += all[i].frames;
    }
    if (started < count)
        return resr_fail(RESR_ERR_INTERNAL, "a thread cannot be started");
    out->seconds = count / per_second;
    out->cpu_seconds = (double)(resr_clock_cpu_ns() - cpu_ns) * 1e-9 / (double)out->frames;
    return ret;
}

int resr_calibrate_upscale(ResrUpscaleRate *out, const ResrOps *ops, const ResrModel *model,
                           const ResrPlan *plan, ResrFrame *frame, int threads, int ranks,
                           double seconds)
{
    Rank *all;
    *out = (ResrUpscaleRate){0};
    int ret = resr_alloc(&all, (size_t)ranks, sizeof *all);
    if (ret < 0)
        return ret;
    for (int i = 0; ret == 0 && i < ranks; i++) {
        all[i] = (Rank){.plan = plan, .frame = frame, .limit_seconds = seconds};
        ret = resr_upscaler_create(&all[i].upscaler, ops, model, &plan->input, &plan->output,
                                   plan->tile, threads);
    }
    if (ret == 0)
        ret = measure_all(out, all, ranks);
    for (int i = 0; i < ranks; i++)
        resr_upscaler_free(all[i].upscaler);
    free(all);
    return ret;
}
