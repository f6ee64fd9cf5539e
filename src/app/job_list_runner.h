#ifndef RESR_APP_JOB_LIST_RUNNER_H
#define RESR_APP_JOB_LIST_RUNNER_H

#include "app/job.h"

/* --jobs on rank 0: runs the jobs of a list in order with one rank context. While one job computes,
 * the next is prepared, so that at most two videos' pools of frames exist. The other ranks are in
 * resr_job_run_worker().
 *
 * A job that fails does not stop the others. Returns 0 if none failed, else the status of the first
 * failed job; RESR_ERR_STOPPED after a signal, or if a rank was lost and jobs are left. */
RESR_MUST_CHECK int resr_job_list_runner_run(ResrSession *session, ResrRankContext *context);

/* Must a job with `options` wait for the running job? Yes if it reads or writes the running job's
 * output, whose temporary name would be the same, or if that output consists of images. */
bool resr_job_list_runner_must_wait(const ResrOptions *options, const char *running_output,
                                    const char *running_input);

#endif
