#ifndef RESR_APP_JOB_LIST_RUNNER_H
#define RESR_APP_JOB_LIST_RUNNER_H

#include "app/job.h"

/* --jobs on rank 0: runs the jobs of a list one after the other with the same context. When the
 * input of one has been decoded to its end, a thread prepares the next: it is planned, and where
 * nothing has to be asked of other ranks its output is opened and its decoding begins. At most two
 * videos' pools of frames exist at a time. The other ranks are in resr_job_run_worker().
 *
 * A job that fails does not stop the others. Returns 0 if none did, else the status of the first
 * that failed; RESR_ERR_STOPPED after a signal, or when a rank was lost and a job is left to do. */
RESR_MUST_CHECK int resr_job_list_runner_run(ResrSession *session, ResrRankContext *context);

#endif
