#ifndef RESR_APP_JOB_H
#define RESR_APP_JOB_H

#include <limits.h>
#include <stdatomic.h>

#include "app/rank_context.h"
#include "app/session.h"
#include "run/coordinator.h"
#include "run/watchdog.h"

/* One video on rank 0, from its plan to the published output, and what the other ranks do
 * meanwhile. Everything it needs is in one place so that one function ends it. */
typedef struct ResrJob {
    ResrSession *session;
    ResrRankContext *context;
    ResrOptions options; /* its own */
    int64_t start_ns;    /* its turn began */
    ResrPlan plan;
    ResrModel *own_model; /* its network, if it is not the context's yet */
    ResrModelKey model_key;
    ResrDecoder *decoder;
    ResrSinkPlan output;
    ResrSink *sink;
    ResrCheckpoint *checkpoint;   /* NULL: none */
    bool finished;                /* an earlier attempt published the output */
    char folder[PATH_MAX];        /* the job's */
    char frames_folder[PATH_MAX]; /* where batch files that are to stay end; empty: they go */
    bool begun;                   /* the checkpoint is this attempt's */
    bool open;                    /* resr_job_open() was done */
    bool withdrawn;               /* it ends before its turn came */
    ResrFrameTable frame_table;
    ResrIoThreads *io_threads;
    ResrCoordinator *coordinator;
    ResrWatchdog *watchdog;
    atomic_llong turn_ns;
    ResrReport *report;
    ResrTrace *trace; /* NULL: none */
    int64_t frames;   /* encoded, when it has ended */
    /* Called when the input has been decoded to its end; NULL: nobody. */
    void (*decoded)(void *user);
    void *user;
} ResrJob;

/* Rank 0, any thread. Opens input, network and job folder, settles the plan, and finds what an
 * earlier attempt has done. Needs session, context and options. The context's network is used where
 * it is the one that the options name. Errors: those of what it opens. */
RESR_MUST_CHECK int resr_job_plan(ResrJob *job);

/* Rank 0, any thread. Once the numerics class is settled: the checkpoint begins, the output is
 * opened, decoding begins. */
RESR_MUST_CHECK int resr_job_open(ResrJob *job);

/* Rank 0, main thread: the turn of a planned job. Wakes the other ranks from resr_job_run_worker()
 * and runs the job with them; `last`: they leave afterwards. One that was finished needs none of
 * them.
 */
RESR_MUST_CHECK int resr_job_run(ResrJob *job, bool last);

/* Rank 0, main thread: ends a job however far it came, with the status of what was done, and
 * returns the status of both. session->lost is set where ranks cannot be spoken to any more. */
int resr_job_end(ResrJob *job, int ret);

/* Rank 0: there are no more jobs. */
void resr_job_dismiss(void);

/* Every other rank: takes part in jobs until rank 0 has no more. */
RESR_MUST_CHECK int resr_job_run_worker(ResrSession *session, ResrRankContext *context);

/* The job folder of `options` holds a job that was begun: an output that is there may be its own.
 */
bool resr_job_was_started(const ResrOptions *options);

/* What is left of the job folder, beside its output, goes: a kill cut its removal short. */
void resr_job_remove_remains(const ResrOptions *options);

#endif
