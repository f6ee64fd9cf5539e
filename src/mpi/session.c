#include "mpi/session.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/publish.h"
#include "cpu/dispatch.h"
#include "job/info.h"
#include "mpi/coordinator.h"
#include "mpi/launch.h"
#include "mpi/worker.h"
#include "net/probe.h"
#include "net/upscale.h"

/* What a job needs on a rank, in one place so that one function frees it. */
typedef struct Job {
    ResrSession *session;
    ResrPlan plan;
    ResrModel *model;
    ResrCompute *compute;
    /* rank 0 only */
    ResrDecoder *decoder;
    ResrSink *sink;
    ResrPipeline *pipeline;
    ResrCoordinator *coordinator;
    ResrReport *report;
    ResrRankInfo *ranks;
} Job;

/* The unfinished output goes first: after a signal there may be little time. The workers are told
 * to stop before this rank waits for its own compute thread. */
static void free_job(Job *job)
{
    char error[RESR_ERROR_TEXT_BYTES]; /* the first error counts */
    snprintf(error, sizeof error, "%s", resr_error_text());
    resr_pipeline_stop(job->pipeline);
    resr_sink_close(job->sink);
    if (resr_coordinator_dismiss(job->coordinator) < 0)
        job->session->lost = true;
    resr_compute_stop(job->compute);
    resr_decoder_close(job->decoder);
    resr_report_free(job->report);
    resr_model_free(job->model);
    free(job->ranks);
    if (error[0])
        resr_fail(0, "%s", error);
}

/* Rank 0: opens the input and the model, settles the output and the plan. Nothing is written. */
static int plan_job(Job *job)
{
    ResrOptions *options = &job->session->options;
    bool dry_run = options->request == RESR_REQUEST_DRY_RUN;
    ResrFormat output;
    int width_px, height_px;
    int ret = resr_decoder_open(&job->decoder, options->input, 0);
    if (ret == 0 && !dry_run)
        ret = resr_publish_check(options->output, options->input, options->overwrite);
    if (ret == 0)
        ret = resr_model_find(&job->model, options->model_path[0] ? options->model_path : NULL,
                              options->model_name[0] ? options->model_name : NULL,
                              options->scale == 2 ? 2 : 4, options->denoise);
    if (ret < 0)
        return ret;
    /* -s is the delivered scale: the output of a network of another scale is resized to it. */
    const ResrNetSpec *spec = &job->model->spec;
    if (options->outscale == 0 && options->scale > 0 &&
        options->scale != spec->scale * spec->resize)
        options->outscale = options->scale;
    const ResrVideoInfo *info = resr_decoder_info(job->decoder);
    ret = resr_plan_output_size(&width_px, &height_px, options, info, spec);
    if (ret == 0)
        ret = resr_sink_plan(&output, options->output, options->input, info, width_px, height_px,
                             &options->encode);
    if (ret == 0)
        ret = resr_plan_make(&job->plan, options, info, &output, job->model, job->session->ranks);
    return ret;
}

static void describe_rank(ResrRankInfo *info, int rank)
{
    *info = (ResrRankInfo){.rank = rank};
    gethostname(info->host, sizeof info->host - 1);
    snprintf(info->cpu, sizeof info->cpu, "%s", resr_cpu_brand());
}

/* Rank 0 judges what the ranks said: those that failed are left out with a warning. */
static int judge_ranks(Job *job, const int *statuses, const char *texts)
{
    int computing = 0, first = 0;
    for (int i = 0; i < job->plan.ranks; i++) {
        computing += job->ranks[i].threads > 0;
        if (statuses[i] < 0)
            resr_log_warn("rank %d on %s is left out: %s", i, job->ranks[i].host,
                          texts + (size_t)i * RESR_ERROR_TEXT_BYTES);
        if (first == 0)
            first = statuses[i];
    }
    return computing > 0
               ? 0
               : resr_fail(first < 0 ? first : RESR_ERR_DEVICE, "no rank can run the job");
}

/* Rank 0's place for what the ranks say. */
typedef struct Answers {
    int *statuses;
    char *texts;
} Answers;

static int alloc_answers(Job *job, Answers *answers)
{
    size_t ranks = (size_t)job->plan.ranks;
    int ret = resr_alloc(&job->ranks, ranks, sizeof *job->ranks);
    if (ret == 0)
        ret = resr_alloc(&answers->statuses, ranks, sizeof *answers->statuses);
    if (ret == 0)
        ret = resr_alloc(&answers->texts, ranks, RESR_ERROR_TEXT_BYTES);
    return ret;
}

/* Rank 0: the numerics class that the job runs in, from all ranks' probes. */
static int choose_class(Job *job, const Answers *answers)
{
    ResrProbe *probes = NULL;
    int ret = resr_alloc(&probes, (size_t)job->plan.ranks, sizeof *probes);
    if (ret < 0)
        return ret;
    for (int i = 0; i < job->plan.ranks; i++)
        probes[i] = job->ranks[i].probe;
    ret = resr_probe_choose(job->plan.numerics_class, probes, job->plan.ranks);
    free(probes);
    return ret < 0 ? judge_ranks(job, answers->statuses, answers->texts) : 0;
}

/* The compute thread of this rank, with its fastest backend of the class. */
static int start_compute(Job *job, ResrRankInfo *own, int threads)
{
    const ResrPlan *plan = &job->plan;
    const ResrOps *ops = resr_probe_fastest(&own->probe, plan->numerics_class);
    if (!ops)
        return resr_fail(RESR_ERR_DEVICE,
                         "this CPU (%s) cannot run numerics class %s, in which "
                         "the other ranks are fastest; --precision chooses another",
                         own->cpu, plan->numerics_class);
    int ret = resr_compute_start(&job->compute, ops, job->model, plan, threads);
    if (ret < 0)
        return ret;
    snprintf(own->backend, sizeof own->backend, "%s", ops->name);
    own->threads = threads;
    own->workspace_bytes = (int64_t)resr_compute_workspace_bytes(job->compute);
    return 0;
}

/* All ranks: probe what they can compute with, agree on the numerics class, start their compute
 * threads and tell rank 0 how that went. */
static int start_ranks(Job *job)
{
    ResrPlan *plan = &job->plan;
    const ResrSession *session = job->session;
    bool root = session->rank == 0, computes = !root || !session->options.root_dedicated;
    Answers answers = {0};
    ResrRankInfo own;
    describe_rank(&own, session->rank);
    int threads = resr_launch_threads(&own.cpus), status = 0;
    if (plan->threads > 0)
        threads = plan->threads;
    if (computes)
        status = resr_probe_backends(&own.probe, (ResrArch)plan->spec.arch, plan->precision,
                                     plan->backend, plan->cpumask, threads);
    int ret = resr_launch_share_status(root ? alloc_answers(job, &answers) : 0);
    if (ret < 0)
        goto cleanup;
    resr_launch_gather(job->ranks, &own);
    resr_launch_gather_status(answers.statuses, answers.texts, status);
    ret = resr_launch_share_status(root ? choose_class(job, &answers) : 0);
    if (ret < 0)
        goto cleanup;
    resr_launch_broadcast(plan->numerics_class, sizeof plan->numerics_class);
    if (computes && status == 0)
        status = start_compute(job, &own, threads);
    resr_launch_gather(job->ranks, &own);
    resr_launch_gather_status(answers.statuses, answers.texts, status);
    ret = resr_launch_share_status(root ? judge_ranks(job, answers.statuses, answers.texts) : 0);
cleanup:
    free(answers.statuses);
    free(answers.texts);
    return ret;
}

/* Rank 0: opens the output and starts the threads at both ends. */
static int open_ends(Job *job)
{
    const ResrOptions *options = &job->session->options;
    int ret = resr_sink_open(&job->sink, options->output, options->input, job->decoder,
                             &job->plan.output, &options->encode, options->overwrite);
    if (ret == 0)
        ret = resr_report_create(&job->report);
    if (ret == 0)
        ret = resr_pipeline_start(&job->pipeline, job->decoder, job->sink, &job->plan,
                                  options->max_frames, options->framehash);
    return ret;
}

/* Rank 0: the job itself, then its report. */
static int coordinate(Job *job)
{
    const ResrSession *session = job->session;
    const ResrOptions *options = &session->options;
    int64_t frames_in, frames_out;
    ResrTimes times = {.start_up = resr_clock_seconds_since(session->start_ns)};
    int ret = resr_coordinator_create(&job->coordinator, job->compute, &job->plan, options,
                                      job->ranks, job->report);
    if (ret == 0)
        ret = resr_coordinator_run(job->coordinator, job->pipeline, session->stop_signal);
    if (ret < 0)
        return ret;
    resr_coordinator_ledger(job->coordinator, &frames_in, &frames_out);
    times.wall = resr_clock_seconds_since(session->start_ns);
    resr_pipeline_seconds(job->pipeline, &times.decode, &times.encode);
    for (int i = 0; i < job->plan.ranks; i++)
        times.compute += job->ranks[i].compute_seconds;
    if (options->progress != RESR_PROGRESS_NONE && options->progress != RESR_PROGRESS_JSON)
        resr_log_info("%s: %" PRId64 " frames in %.1f s, %.2f frames/s", options->output,
                      frames_out, times.wall, (double)frames_out / times.wall);
    if (!options->report[0])
        return 0;
    return resr_report_write(
        job->report, options->report, options, &job->plan, resr_decoder_info(job->decoder),
        job->model, resr_sink_encoder(job->sink), job->ranks, frames_in, frames_out, &times);
}

static int run_job(Job *job)
{
    bool root = job->session->rank == 0;
    int ret = resr_launch_share_status(root ? plan_job(job) : 0);
    if (ret < 0)
        return ret;
    resr_launch_broadcast(&job->plan, sizeof job->plan);
    ret = resr_launch_broadcast_model(&job->model, job->session->options.transport);
    if (ret == 0)
        ret = start_ranks(job);
    if (ret == 0)
        ret = resr_launch_share_status(root ? open_ends(job) : 0);
    if (ret < 0)
        return ret;
    if (root)
        return coordinate(job);
    ret = resr_worker_run(job->compute, &job->plan);
    job->session->lost = ret < 0;
    return ret;
}

int resr_session_run(ResrSession *session)
{
    Job job = {.session = session};
    int ret = run_job(&job);
    free_job(&job);
    return ret;
}

/* Rank 0's choice and speed, and what a computing rank's workspace takes. */
static int probe(Job *job, int threads, size_t *workspace_bytes, double *flops)
{
    ResrPlan *plan = &job->plan;
    ResrUpscaler *upscaler;
    ResrProbe measured;
    if (plan->threads > 0)
        threads = plan->threads;
    int ret = resr_probe_backends(&measured, (ResrArch)plan->spec.arch, plan->precision,
                                  plan->backend, plan->cpumask, threads);
    if (ret == 0)
        ret = resr_probe_choose(plan->numerics_class, &measured, 1);
    if (ret < 0)
        return ret;
    const ResrOps *ops = resr_probe_fastest(&measured, plan->numerics_class);
    snprintf(plan->backend, sizeof plan->backend, "%s", ops->name);
    ret = resr_upscaler_create(&upscaler, ops, job->model, &plan->input, &plan->output,
                               plan->tile_px, plan->tile_pad_px, threads);
    if (ret < 0)
        return ret;
    *workspace_bytes = resr_upscaler_workspace_bytes(upscaler);
    resr_upscaler_free(upscaler);
    return resr_probe_flops(flops, ops, job->model, threads);
}

int resr_session_dry_run(ResrSession *session)
{
    Job job = {.session = session};
    size_t workspace_bytes;
    double flops;
    int cpus;
    int threads = resr_launch_threads(&cpus);
    int ret = session->rank == 0 ? plan_job(&job) : 0;
    if (ret == 0 && session->rank == 0)
        ret = probe(&job, threads, &workspace_bytes, &flops);
    if (ret == 0 && session->rank == 0)
        resr_plan_print(&job.plan, &session->options, resr_decoder_info(job.decoder), job.model,
                        workspace_bytes, flops);
    free_job(&job);
    return resr_launch_share_status(ret);
}

int resr_session_list_devices(ResrSession *session)
{
    const ResrOptions *options = &session->options;
    ResrRankInfo own, *all = NULL;
    const char *precision = strcmp(options->precision, "auto") == 0 ? "all" : options->precision;
    describe_rank(&own, session->rank);
    own.threads = resr_launch_threads(&own.cpus);
    if (options->threads > 0)
        own.threads = options->threads;
    int status = resr_probe_backends(&own.probe, RESR_ARCH_RRDB, precision, options->backend,
                                     options->cpumask, own.threads);
    int ret = session->rank == 0 ? resr_alloc(&all, (size_t)session->ranks, sizeof *all) : 0;
    ret = resr_launch_share_status(ret);
    if (ret == 0)
        resr_launch_gather(all, &own);
    if (ret == 0 && session->rank == 0)
        resr_info_print_devices(all, session->ranks);
    free(all);
    return ret < 0 ? ret : resr_launch_share_status(status);
}
