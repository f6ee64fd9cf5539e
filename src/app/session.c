#include "app/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/job.h"
#include "app/job_list_runner.h"
#include "base/memory.h"
#include "comm/collectives.h"
#include "job/info.h"
#include "net/select_backend.h"
#include "predict/dry_run.h"

static int run_one(ResrSession *session, ResrRankContext *context)
{
    ResrJob *job;
    int ret = resr_alloc(&job, 1, sizeof *job);
    if (ret == 0) {
        job->session = session;
        job->context = context;
        job->options = session->options;
        job->start_ns = session->start_ns;
        ret = resr_job_plan(job);
    }
    bool ranks_needed = ret == 0 && job->state != RESR_JOB_PUBLISHED;
    if (ret == 0)
        ret = resr_job_run(job, true);
    if (job)
        ret = resr_job_end(job, ret);
    if (!ranks_needed)
        resr_job_dismiss();
    free(job);
    return ret;
}

int resr_session_run(ResrSession *session)
{
    static ResrRankContext context; /* a compute thread that hangs uses it until the process ends */
    int ret;
    resr_rank_context_create(&context, session->rank, session->ranks, &session->options);
    if (session->options.jobs[0])
        resr_collectives_disarm_start_timeout(); /* a list may arrive later */
    if (session->rank > 0)
        ret = resr_job_run_worker(session, &context);
    else if (session->options.jobs[0])
        ret = resr_job_list_runner_run(session, &context);
    else
        ret = run_one(session, &context);
    resr_rank_context_end(&context);
    return ret;
}

int resr_session_dry_run(ResrSession *session)
{
    ResrRankContext context;
    ResrJob *job;
    resr_rank_context_create(&context, session->rank, session->ranks, &session->options);
    if (session->rank > 0)
        return resr_collectives_share_status(0);
    int ret = resr_alloc(&job, 1, sizeof *job);
    if (ret < 0)
        return resr_collectives_share_status(ret);
    job->session = session;
    job->context = &context;
    job->options = session->options;
    ret = resr_job_plan(job);
    ResrDryRun run = {.options = &job->options,
                      .plan = &job->plan,
                      .output = &job->output,
                      .decoder = job->decoder,
                      .model = job->own_model,
                      .threads = context.threads,
                      .cpus = context.cpus,
                      .start_ns = session->start_ns};
    if (ret == 0)
        ret = resr_dry_run(&run);
    ret = resr_job_end(job, ret);
    free(job);
    return resr_collectives_share_status(ret);
}

int resr_session_list_devices(ResrSession *session)
{
    const ResrOptions *options = &session->options;
    ResrRankInfo own, *all = NULL;
    const char *precision = strcmp(options->precision, "auto") == 0 ? "all" : options->precision;
    resr_rank_context_describe(&own, session->rank);
    own.threads = resr_collectives_threads(&own.cpus);
    if (options->threads > 0)
        own.threads = options->threads;
    int status = resr_select_backend_probe(&own.probe, RESR_ARCH_RRDB, precision, options->backend,
                                           options->cpumask, own.threads);
    int ret = session->rank == 0 ? resr_alloc(&all, (size_t)session->ranks, sizeof *all) : 0;
    ret = resr_collectives_share_status(ret);
    if (ret == 0)
        resr_collectives_gather(all, &own);
    if (ret == 0 && session->rank == 0)
        resr_info_print_devices(all, session->ranks);
    free(all);
    return ret < 0 ? ret : resr_collectives_share_status(status);
}
