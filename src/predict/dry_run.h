#ifndef RESR_PREDICT_DRY_RUN_H
#define RESR_PREDICT_DRY_RUN_H

#include "job/plan.h"
#include "media/sink.h"

/* A planned job for a dry run; rank 0 only. */
typedef struct ResrDryRun {
    const ResrOptions *options;
    ResrPlan *plan; /* its class and backend are filled in */
    const ResrSinkPlan *output;
    ResrDecoder *decoder; /* at the first frame; frames are read from it */
    const ResrModel *model;
    int threads, cpus; /* of this rank */
    int64_t start_ns;  /* of the program, by resr_clock_ns() */
} ResrDryRun;

/* Probes this rank and prints the plan. With --plan also measures decoder, encoder and, for
 * --device cpu, the network, a few seconds each, and prints predictions; --report writes them.
 * Errors of the called functions; RESR_ERR_USAGE if the number of frames is unknown. */
RESR_MUST_CHECK int resr_dry_run(const ResrDryRun *run);

#endif
