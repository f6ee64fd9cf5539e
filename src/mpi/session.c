#include "mpi/session.h"

#include <inttypes.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/publish.h"
#include "ckpt/jobdir.h"
#include "cpu/dispatch.h"
#include "job/dry_run.h"
#include "job/info.h"
#include "mpi/coordinator.h"
#include "mpi/launch.h"
#include "mpi/watchdog.h"
#include "mpi/worker.h"
#include "net/probe.h"

/* What a job needs on a rank, in one place so that one function ends it. */
typedef struct Job {
    ResrSession *session;
    ResrPlan plan;
    ResrModel *model;
    ResrCompute *compute;
    int threads, cpus; /* this rank's share, and what it may run on */
    /* rank 0 only */
    ResrDecoder *decoder;
    ResrSinkPlan output;
    ResrSink *sink;
    ResrCheckpoint *checkpoint;   /* NULL: none */
    bool finished;                /* an earlier attempt published the output */
    char folder[PATH_MAX];        /* the job's */
    char frames_folder[PATH_MAX]; /* where batch files that are to stay end; empty: they go */
    bool begun;                   /* the checkpoint is this attempt's */
    ResrLedger ledger;
    ResrPipeline *pipeline;
    ResrCoordinator *coordinator;
    ResrWatchdog *watchdog;
    atomic_llong turn_ns;
    ResrReport *report;
    ResrTrace *trace; /* NULL: none */
    ResrRankInfo *ranks;
} Job;

/* Rank 0: frames that are held go to disk, unless it is the disk that failed. */
static int drain_checkpoint(Job *job, int ret)
{
    char error[RESR_ERROR_TEXT_BYTES];
    if (!job->begun || job->finished || ret == 0 || ret == RESR_ERR_IO)
        return ret;
    snprintf(error, sizeof error, "%s", resr_error_text());
    if (resr_checkpoint_drain(job->checkpoint) < 0 && ret == RESR_ERR_STOPPED)
        return resr_fail_prefix(RESR_ERR_IO, "not all frames could be saved: ");
    return resr_fail(ret, "%s", error);
}

/* What is on disk is settled, and status.json says how. */
static int settle_checkpoint(Job *job, int ret)
{
    ResrCheckpoint *checkpoint = job->checkpoint;
    if (!job->begun)
        return ret;
    if (ret == 0)
        ret = resr_checkpoint_finish(checkpoint, job->session->lost);
    else if (ret != RESR_ERR_STOPPED && ret != RESR_ERR_IO &&
             resr_checkpoint_frames_safe(checkpoint) == 0)
        resr_checkpoint_abandon(checkpoint); /* it failed before anything was made of it */
    else
        resr_checkpoint_tell(checkpoint, ret == RESR_ERR_STOPPED ? "resumable" : "failed", -ret,
                             resr_error_text());
    return ret;
}

/* The unfinished output goes first: after a signal there may be little time. Workers that answer
 * are told to stop before frames are saved, which may take longer than they wait for rank 0. A
 * compute thread that hangs is left to the abort. */
static int end_job(Job *job, int ret)
{
    char error[RESR_ERROR_TEXT_BYTES]; /* the first error counts */
    bool hung = job->coordinator && resr_coordinator_gave_up_root(job->coordinator);
    snprintf(error, sizeof error, "%s", ret < 0 ? resr_error_text() : "");
    job->turn_ns = 0;
    resr_pipeline_stop(job->pipeline);
    resr_sink_close(job->sink);
    if (resr_coordinator_dismiss(job->coordinator, ret < 0) < 0 || hung)
        job->session->lost = true;
    if (error[0])
        resr_fail(0, "%s", error);
    ret = drain_checkpoint(job, ret);
    resr_watchdog_stop(job->watchdog);
    ret = settle_checkpoint(job, ret);
    ret = resr_tracing_finish(job->trace, job->session->options.trace, job->ranks,
                              job->plan.numerics_class, job->compute, ret);
    snprintf(error, sizeof error, "%s", ret < 0 ? resr_error_text() : "");
    resr_checkpoint_close(job->checkpoint);
    if (!hung) {
        resr_compute_stop(job->compute);
        resr_pipeline_free(job->pipeline);
        resr_model_free(job->model);
        resr_events_clear();
    }
    resr_trace_free(job->trace);
    resr_decoder_close(job->decoder);
    resr_report_free(job->report);
    resr_ledger_clear(&job->ledger);
    free(job->ranks);
    if (error[0])
        resr_fail(0, "%s", error);
    return ret;
}

/* OUTPUT.resr, unless --job-dir says else. */
static int name_folder(char out[PATH_MAX], const ResrOptions *options, const char *ending)
{
    bool given = options->job_dir[0];
    int used = snprintf(out, PATH_MAX, "%s%s", given ? options->job_dir : options->output,
                        given && strcmp(ending, ".resr") == 0 ? "" : ending);
    return used < PATH_MAX
               ? 0
               : resr_fail(RESR_ERR_USAGE, "%.64s...: the path is too long", options->output);
}

/* A class that an earlier attempt ran in holds; an explicit --precision must agree with it. */
static int adopt_class(Job *job)
{
    const char *class = resr_checkpoint_class(job->checkpoint);
    const char *precision = job->plan.precision;
    size_t length = strlen(precision);
    if (strcmp(precision, "auto") != 0 &&
        !(strncmp(class, precision, length) == 0 && (!class[length] || class[length] == '-')))
        return resr_fail(RESR_ERR_MISMATCH,
                         "%s: the job was begun in numerics class %s; --precision %s would give "
                         "other pixels. Leave the option out to go on, or remove %s to start over",
                         job->session->options.output, class, precision, job->folder);
    snprintf(job->plan.numerics_class, sizeof job->plan.numerics_class, "%s", class);
    return 0;
}

static bool has_manifest(const ResrOptions *options)
{
    char folder[PATH_MAX], path[PATH_MAX + 16];
    if (name_folder(folder, options, ".resr") < 0)
        return false;
    snprintf(path, sizeof path, "%s/manifest.json", folder);
    return access(path, F_OK) == 0;
}

/* Then an output that exists may be the job's own. */
static bool was_begun(const ResrOptions *options)
{
    return options->checkpoint != RESR_CHECKPOINT_OFF && has_manifest(options);
}

/* Rank 0: opens the job folder and finds out what is done. */
static int open_checkpoint(Job *job)
{
    const ResrOptions *options = &job->session->options;
    ResrManifest *manifest = NULL;
    bool resumed;
    if (options->checkpoint == RESR_CHECKPOINT_OFF && has_manifest(options))
        resr_log_warn("%s: a job was begun; with --checkpoint off all is done anew beside it",
                      options->output);
    if (options->checkpoint == RESR_CHECKPOINT_OFF)
        return 0;
    if (!job->output.segmented &&
        (options->checkpoint == RESR_CHECKPOINT_ALWAYS || options->keep_frames))
        return resr_fail(RESR_ERR_USAGE,
                         "%s: --checkpoint always and --keep-frames work for videos, with encoders "
                         "that give their headers at once (not %s)",
                         options->output, job->output.encoder);
    if (!job->output.segmented && !resr_decoder_info(job->decoder)->is_image)
        resr_log_warn("%s: with encoder %s nothing of an unfinished output can be kept: the job "
                      "starts over after a kill",
                      options->output, job->output.encoder);
    if (!job->output.segmented)
        return 0;
    int ret = name_folder(job->folder, options, ".resr");
    if (ret == 0 && options->keep_frames)
        ret = name_folder(job->frames_folder, options, ".frames");
    if (ret == 0)
        ret = resr_manifest_create(&manifest, options, &job->plan, job->model, job->output.encoder,
                                   job->output.library);
    if (ret == 0)
        ret =
            resr_checkpoint_open(&job->checkpoint, job->folder, options->output, job->frames_folder,
                                 manifest, &job->ledger, &resumed, &job->finished);
    if (ret < 0)
        return ret;
    resr_publish_sweep(options->output);
    if (options->framehash[0])
        resr_publish_sweep(options->framehash);
    if (options->report[0])
        resr_publish_sweep(options->report);
    if (options->trace[0])
        resr_publish_sweep(options->trace);
    return resumed ? adopt_class(job) : 0;
}

/* The output is there and its folder has no manifest: the job was done, and a kill cut the removal
 * of the folder short. A folder that the user named is left to him. */
static void discard_rest(const ResrOptions *options)
{
    char folder[PATH_MAX], error[RESR_ERROR_TEXT_BYTES];
    snprintf(error, sizeof error, "%s", resr_error_text());
    if (options->checkpoint != RESR_CHECKPOINT_OFF && !options->job_dir[0] &&
        name_folder(folder, options, ".resr") == 0)
        resr_jobdir_discard(folder);
    resr_fail(0, "%s", error);
}

static int check_outputs(const ResrOptions *options)
{
    char frames[PATH_MAX];
    int ret = resr_publish_check(options->output, options->input, options->overwrite);
    if (ret == RESR_ERR_EXISTS && was_begun(options))
        ret = 0;
    else if (ret == RESR_ERR_EXISTS)
        discard_rest(options);
    if (ret == 0 && options->framehash[0])
        ret = resr_publish_check(options->framehash, options->input, true);
    if (ret == 0 && options->report[0])
        ret = resr_publish_check(options->report, options->input, true);
    if (ret == 0 && options->trace[0])
        ret = resr_publish_check(options->trace, options->input, true);
    if (ret == 0 && options->keep_frames && !was_begun(options)) {
        ret = name_folder(frames, options, ".frames");
        if (ret == 0)
            ret = resr_publish_check(frames, NULL, options->overwrite);
    }
    return ret;
}

/* Rank 0: opens the input and the model, settles the output and the plan, and finds what an earlier
 * attempt has done. */
static int plan_job(Job *job)
{
    ResrOptions *options = &job->session->options;
    bool dry_run = options->request == RESR_REQUEST_DRY_RUN;
    int width_px, height_px;
    if (options->encode.encoders == 0)
        options->encode.encoders =
            job->cpus < RESR_CPUS_PER_ENCODER ? 1 : job->cpus / RESR_CPUS_PER_ENCODER;
    int ret = resr_decoder_open(&job->decoder, options->input, options->hwaccel, 0);
    if (ret == 0 && !dry_run)
        ret = check_outputs(options);
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
        ret = resr_sink_plan(&job->output, options->output, options->input, job->decoder, width_px,
                             height_px, &options->encode);
    if (ret == 0)
        ret = resr_plan_make(&job->plan, options, info, &job->output, job->model,
                             job->session->ranks);
    if (ret == 0)
        ret = resr_plan_choose_encode(&job->plan, options, &job->output, NULL, job->cpus);
    if (ret == 0 && !dry_run)
        ret = open_checkpoint(job);
    if (ret == 0 && !dry_run && !job->finished)
        ret = resr_publish_check(options->output, options->input, options->overwrite);
    return ret;
}

static void describe_rank(ResrRankInfo *info, int rank)
{
    *info = (ResrRankInfo){.rank = rank, .pid = (int32_t)getpid()};
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

/* Rank 0: the numerics class that the job runs in, from all ranks' probes, unless an earlier
 * attempt has chosen it. */
static int choose_class(Job *job, const Answers *answers)
{
    char *class = job->plan.numerics_class;
    for (int i = 0; i < job->plan.ranks && class[0]; i++)
        if (resr_probe_fastest(&job->ranks[i].probe, class))
            return 0;
    if (class[0])
        return resr_fail(RESR_ERR_DEVICE,
                         "%s: the job was begun in numerics class %s, which no rank here can run; "
                         "go on where it was begun, or remove the job's folder to start over",
                         job->session->options.output, class);
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
    resr_plan_simulate(plan, &job->session->options, job->session->rank);
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
    own.cpus = job->cpus;
    int threads = plan->threads > 0 ? plan->threads : job->threads, status = 0;
    if (computes)
        status = resr_probe_backends(&own.probe, (ResrArch)plan->spec.arch, plan->precision,
                                     plan->backend, plan->cpumask, threads);
    int ret = resr_launch_share_status(root ? alloc_answers(job, &answers) : 0);
    if (ret < 0)
        goto cleanup;
    resr_launch_gather(job->ranks, &own);
    resr_launch_gather_status(answers.statuses, answers.texts, status);
    if (root)
        ret = choose_class(job, &answers);
    if (root && ret == 0)
        ret = resr_plan_choose_encode(plan, &session->options, &job->output, job->ranks, job->cpus);
    ret = resr_launch_share_status(ret);
    if (ret < 0)
        goto cleanup;
    resr_launch_broadcast(plan, sizeof *plan);
    if (computes && status == 0)
        status = start_compute(job, &own, threads);
    resr_launch_gather(job->ranks, &own);
    resr_launch_gather_status(answers.statuses, answers.texts, status);
    ret = resr_launch_share_status(root ? judge_ranks(job, answers.statuses, answers.texts) : 0);
    for (int i = 0; root && ret == 0 && i < plan->ranks; i++)
        if (resr_report_device(&job->ranks[i]))
            resr_log_info("rank %d on %s: %s", i, job->ranks[i].host, job->ranks[i].probe.device);
cleanup:
    free(answers.statuses);
    free(answers.texts);
    return ret;
}

static void segment_path(void *user, char *out, int64_t number)
{
    resr_checkpoint_segment_path(((Job *)user)->checkpoint, out, number);
}

static int commit_segment(void *user, const ResrSegmentInfo *info)
{
    Job *job = user;
    return resr_checkpoint_commit(job->checkpoint, info, &job->ledger);
}

static int publishing(void *user, const char *temporary)
{
    return resr_checkpoint_publishing(((Job *)user)->checkpoint, temporary);
}

/* Rank 0: the checkpoint begins, or the output's finished segments are taken over. */
static int begin_checkpoint(Job *job)
{
    const ResrOptions *options = &job->session->options;
    const ResrVideoInfo *info = resr_decoder_info(job->decoder);
    ResrCheckpointPlan plan = {
        .plan = &job->plan,
        .info = {&job->plan.output, info->time_base_num, info->time_base_den, job->model->name,
                 job->model->sha256, job->plan.numerics_class},
        .always = options->checkpoint == RESR_CHECKPOINT_ALWAYS || options->keep_frames,
        .frames_folder = job->frames_folder};
    int ret = resr_checkpoint_begin(job->checkpoint, &plan);
    job->begun = ret == 0;
    if (job->finished)
        resr_log_info("%s: was finished already", options->output);
    return ret;
}

/* Rank 0: opens the output and starts the threads at both ends. */
static int open_ends(Job *job)
{
    const ResrOptions *options = &job->session->options;
    ResrSegmentStore store = {job, job->folder, segment_path, commit_segment, publishing};
    int ret = job->checkpoint ? begin_checkpoint(job) : 0;
    if (ret == 0)
        ret = resr_sink_open(&job->sink, options->output, options->input, job->decoder,
                             &job->plan.output, &options->encode, options->overwrite,
                             job->checkpoint ? &store : NULL);
    if (ret == 0 && job->checkpoint)
        ret = resr_checkpoint_restore(job->checkpoint, job->sink, &job->ledger);
    if (ret == 0)
        ret = resr_report_create(&job->report);
    if (ret == 0 && options->trace[0])
        ret = resr_trace_create(&job->trace, job->plan.ranks, job->session->start_ns);
    ResrPipelineParts parts = {.decoder = job->decoder,
                               .sink = job->sink,
                               .checkpoint = job->checkpoint,
                               .ledger = &job->ledger,
                               .plan = &job->plan,
                               .max_frames = options->max_frames,
                               .framehash = options->framehash};
    return ret < 0 ? ret : resr_pipeline_start(&job->pipeline, &parts);
}

/* Rank 0: the job itself, then its report. */
static int coordinate(Job *job)
{
    const ResrSession *session = job->session;
    const ResrOptions *options = &session->options;
    int64_t frames_in, frames_out;
    ResrTimes times = {.start_up = resr_clock_seconds_since(session->start_ns)};
    ResrCoordinatorParts parts = {job->compute,    &job->plan,    options,
                                  job->ranks,      job->report,   job->pipeline,
                                  job->checkpoint, &job->turn_ns, job->trace};
    job->turn_ns = resr_clock_ns();
    if (job->checkpoint)
        resr_checkpoint_write_pids(job->checkpoint, job->ranks, job->plan.ranks);
    int ret = resr_coordinator_create(&job->coordinator, &parts);
    if (ret == 0)
        ret = resr_watchdog_start(&job->watchdog, &job->turn_ns, job->pipeline, job->checkpoint,
                                  job->plan.deadline_seconds);
    if (ret == 0)
        ret = resr_coordinator_run(job->coordinator, session->stop_signal);
    if (ret < 0)
        return ret;
    resr_coordinator_ledger(job->coordinator, &frames_in, &frames_out, &times);
    times.wall = resr_clock_seconds_since(session->start_ns);
    resr_pipeline_seconds(job->pipeline, &times);
    for (int i = 0; i < job->plan.ranks; i++) {
        times.compute += job->ranks[i].compute_seconds;
        times.encode += job->ranks[i].encode_seconds;
    }
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
    job->threads = resr_launch_threads(&job->cpus);
    int ret = resr_launch_share_status(root ? plan_job(job) : 0);
    if (ret < 0)
        return ret;
    resr_launch_broadcast(&job->finished, sizeof job->finished);
    if (job->finished) {
        resr_launch_started();
        return root ? begin_checkpoint(job) : 0;
    }
    if (job->session->options.trace[0])
        resr_events_start();
    resr_launch_broadcast(&job->plan, sizeof job->plan);
    ret = resr_launch_broadcast_model(&job->model, job->session->options.transport);
    if (ret == 0)
        ret = start_ranks(job);
    if (ret == 0)
        ret = resr_launch_share_status(root ? open_ends(job) : 0);
    if (ret < 0)
        return ret;
    resr_tracing_align(job->trace);
    resr_launch_started();
    if (root)
        return coordinate(job);
    ret = resr_worker_run(job->compute, &job->plan, job->session->stop_signal);
    job->session->lost = ret < 0;
    return ret;
}

int resr_session_run(ResrSession *session)
{
    Job job = {.session = session};
    return end_job(&job, run_job(&job));
}

int resr_session_dry_run(ResrSession *session)
{
    Job job = {.session = session};
    int threads = resr_launch_threads(&job.cpus);
    int ret = session->rank == 0 ? plan_job(&job) : 0;
    ResrDryRun run = {&session->options, &job.plan, &job.output, job.decoder,
                      job.model,         threads,   job.cpus,    session->start_ns};
    if (ret == 0 && session->rank == 0)
        ret = resr_dry_run(&run);
    return resr_launch_share_status(end_job(&job, ret));
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
