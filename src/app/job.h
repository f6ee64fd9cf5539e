#ifndef RESR_APP_JOB_H
#define RESR_APP_JOB_H

#include <limits.h>
#include <stdatomic.h>

#include "app/rank_context.h"
#include "app/session.h"
#include "run/coordinator.h"
#include "run/watchdog.h"

/* Life of a job on rank 0:
 *
 *   NEW --plan--> PLANNED --open--> STARTED --> OPEN --run--> end
 *            \--> PUBLISHED --run--> CLOSING --> end
 *
 * A job may end in any state. Without a checkpoint STARTED is skipped. */
typedef enum ResrJobState {
    RESR_JOB_NEW,       /* session, context, options and start_ns are set, the rest is zero */
    RESR_JOB_PLANNED,   /* input, network, plan and job folder are known */
    RESR_JOB_STARTED,   /* the checkpoint belongs to this attempt */
    RESR_JOB_OPEN,      /* the output is open and decoding runs */
    RESR_JOB_PUBLISHED, /* planned: an earlier attempt has published the output */
    RESR_JOB_CLOSING,   /* published, and the checkpoint belongs to this attempt */
} ResrJobState;

/* One video on rank 0, from its plan to the published output. All that the job owns is in one
 * place, so that one function ends it in any state. */
typedef struct ResrJob {
    ResrSession *session;
    ResrRankContext *context;
    ResrOptions options; /* the job's own */
    int64_t start_ns;
    ResrJobState state;
    ResrPlan plan;
    ResrModel *own_model; /* its network, if it is not the one of `context` yet */
    ResrModelKey model_key;
    ResrDecoder *decoder;
    ResrSinkPlan output;
    ResrSink *sink;
    ResrCheckpoint *checkpoint;   /* NULL: none */
    char folder[PATH_MAX];        /* the job folder */
    char frames_folder[PATH_MAX]; /* final folder of kept batch files; empty: none are kept */
    ResrFrameTable frame_table;
    ResrIoThreads *io_threads;
    ResrCoordinator *coordinator;
    ResrWatchdog *watchdog;
    atomic_llong turn_ns; /* of the main loop, for the watchdog */
    ResrReport *report;
    ResrTrace *trace; /* NULL: none */
    int64_t frames;   /* encoded, when the job has ended */
    /* Called by the main thread when all of the input is decoded; NULL: none. */
    void (*decoded)(void *user);
    void *user;
} ResrJob;

/* Opens input, network and job folder, makes the plan, and reads the work of earlier
 * attempts: the state becomes PLANNED or PUBLISHED. A network equal to that of `context` is not
 * read again. Rank 0; call from any thread. Errors: those of the functions that open. */
RESR_MUST_CHECK int resr_job_plan(ResrJob *job);

/* Starts the checkpoint, opens the output and starts decoding: the state becomes OPEN. The plan
 * must have its numerics class. Rank 0; call from any thread. */
RESR_MUST_CHECK int resr_job_open(ResrJob *job);

/* Runs a planned (or open) job with all ranks, which wait in resr_job_run_worker(); `last`: they
 * leave afterwards. A published job needs no other rank. Rank 0, main thread. */
RESR_MUST_CHECK int resr_job_run(ResrJob *job, bool last);

/* Ends a job in any state. `ret` is the status so far; returns the first error of both and sets
 * status.json. Sets session->lost if ranks can no longer be reached. Rank 0, main thread. */
int resr_job_end(ResrJob *job, int ret);

/* Ends a job that does not run, while another may: its folder stays only if frames are safe in it.
 * Rank 0, main thread. */
void resr_job_withdraw(ResrJob *job, int ret);

/* Tells the other ranks that no more jobs come. Rank 0, main thread. */
void resr_job_dismiss(void);

/* Takes part in jobs until rank 0 has no more. Other ranks, main thread. */
RESR_MUST_CHECK int resr_job_run_worker(ResrSession *session, ResrRankContext *context);

/* Does the job folder of `options` contain a started job? An existing output may then be its own.
 */
bool resr_job_was_started(const ResrOptions *options);

/* Removes the remains of a job folder whose output exists: a kill interrupted its removal. A folder
 * named by --job-dir stays. Keeps the calling thread's message. */
void resr_job_remove_remains(const ResrOptions *options);

#endif
