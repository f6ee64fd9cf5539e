#ifndef RESR_MPI_GAUGE_H
#define RESR_MPI_GAUGE_H

#include "job/load.h"
#include "mpi/mail.h"
#include "mpi/pipeline.h"
#include "mpi/schedule.h"

/* Finds out what limits the job, from looks at its queues over the last second. Zero is its start.
 * Rank 0's main thread. */
typedef struct ResrGauge {
    int64_t begun_ns, looked_ns;
    int looks;
    ResrLoad sum;
    const char *limit;
} ResrGauge;

/* What is looked at; `mail` and `checkpoint` may be NULL. */
typedef struct ResrGaugeParts {
    const ResrScheduler *scheduler;
    const ResrMail *mail;
    ResrPipeline *pipeline;
    const ResrCheckpoint *checkpoint;
    const ResrRankInfo *ranks; /* threads 0: does not compute */
    const bool *gone;          /* by rank: is left out */
    int n;
} ResrGaugeParts;

/* Call as often as you like; looks when it is time. Returns a word of resr_load_limit(), that of
 * the last whole second; NULL before there is one. */
const char *resr_gauge_look(ResrGauge *gauge, const ResrGaugeParts *parts);

#endif
