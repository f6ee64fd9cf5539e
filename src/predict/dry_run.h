#ifndef RESR_PREDICT_DRY_RUN_H
#define RESR_PREDICT_DRY_RUN_H

#include "job/plan.h"
#include "media/sink.h"

/* What a dry run says of a job that is planned; rank 0 only. */
typedef struct ResrDryRun {
    const ResrOptions *options;
    ResrPlan *plan; /* its class and backend are filled in */
    const ResrSinkPlan *output;
    ResrDecoder *decoder; /* at the first frame; frames are read from it */
    const ResrModel *model;
    int threads, cpus; /* of this rank */
    int64_t start_ns;  /* of the program, by resr_clock_ns() */
} ResrDryRun;

/* Probes this rank, prints the plan, and what --plan asks for: measures decoder, encoder and, for
 * --device cpu, the network, each for a few seconds, and prints predictions; --report writes them.
 * Errors of what it calls; RESR_ERR_USAGE where the number of frames is unknown. */
RESR_MUST_CHECK int resr_dry_run(const ResrDryRun *run);

#endif
