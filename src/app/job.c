/* The life of one job on rank 0, and the other ranks' part in it.
 *
 *   plan      input, network, output format and job folder; on a resume also the journal
 *   order     rank 0 broadcasts an Order: the other ranks sleep in that broadcast between jobs
 *   ready     collective: the network, the numerics class, compute threads (rank_context.h)
 *   open      checkpoint, output, decoder and encoder threads (io_threads.h)
 *   run       the coordinator's loop; the watchdog observes it
 *   end       the order matters, see end_job()
 *
 * With --jobs the next job is planned, and if no rank has to be asked opened, while another one
 * runs (job_list_runner.c). */

#include "app/job.h"

#include <assert.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/publish.h"
#include "ckpt/jobdir.h"
#include "comm/clock_sync.h"
#include "comm/collectives.h"
#include "media/outputs.h"
#include "net/numerics.h"
#include "run/worker.h"

/* Rank 0's order to the other ranks; plain data. */
typedef struct Order {
    int32_t over; /* no more jobs; else a job: */
    int32_t last, new_model, traced;
    ResrPlan plan;
} Order;

static const ResrModel *model_of(const ResrJob *job)
{
    return job->own_model ? job->own_model : job->context->model;
}

static bool owns_checkpoint(const ResrJob *job)
{
    return job->checkpoint && (job->state == RESR_JOB_STARTED || job->state == RESR_JOB_OPEN ||
                               job->state == RESR_JOB_CLOSING);
}

/* Writes held frames to disk, unless the disk is the reason of the end. */
static int drain_checkpoint(ResrJob *job, int ret)
{
    char error[RESR_ERROR_TEXT_BYTES];
    if (!owns_checkpoint(job) || job->state == RESR_JOB_CLOSING || ret == 0 || ret == RESR_ERR_IO)
        return ret;
    resr_error_save(error);
    if (resr_checkpoint_drain(job->checkpoint) < 0 && ret == RESR_ERR_STOPPED)
        return resr_fail_prefix(RESR_ERR_IO, "not all frames could be saved: ");
    return resr_error_restore(ret, error);
}

/* Finishes or removes the job folder, or records in status.json why it stays. */
static int settle_checkpoint(ResrJob *job, int ret, bool withdrawn)
{
    ResrCheckpoint *checkpoint = job->checkpoint;
    if (!owns_checkpoint(job))
        return ret;
    if (ret == 0)
        ret = resr_checkpoint_finish(checkpoint, job->session->lost && !job->options.jobs[0]);
    else if ((withdrawn || ret != RESR_ERR_STOPPED) && resr_checkpoint_frames_safe(checkpoint) == 0)
        resr_checkpoint_abandon(checkpoint); /* nothing in the folder is worth keeping */
    else
        resr_checkpoint_set_status(checkpoint, ret == RESR_ERR_STOPPED ? "resumable" : "failed",
                                   -ret, resr_error_text());
    return ret;
}

/* The unfinished output is removed first: after a signal there may be little time. Workers are told
 * to stop before frames are saved, which may take longer than their patience with a silent rank 0.
 * A compute thread that hangs still uses the network and frames, which are left to it. */
static int end_job(ResrJob *job, int ret, bool withdrawn)
{
    char error[RESR_ERROR_TEXT_BYTES] = ""; /* of the first error */
    bool hung = job->coordinator && resr_coordinator_root_hangs(job->coordinator);
    if (ret < 0)
        resr_error_save(error);
    job->turn_ns = 0;
    resr_io_threads_stop(job->io_threads);
    resr_sink_close(job->sink);
    if (resr_coordinator_shutdown(job->coordinator, ret < 0) < 0 || hung)
        job->session->lost = true;
    if (ret < 0)
        resr_error_restore(ret, error);
    ret = drain_checkpoint(job, ret);
    resr_watchdog_stop(job->watchdog);
    ret = settle_checkpoint(job, ret, withdrawn);
    ret = resr_trace_collect_finish(job->trace, job->options.trace, job->context->ranks,
                                    job->plan.numerics_class, job->context->compute, ret);
    if (ret < 0)
        resr_error_save(error);
    resr_checkpoint_close(job->checkpoint);
    if (hung)
        resr_rank_context_detach_compute(job->context);
    if (!withdrawn)
        resr_rank_context_end_job(job->context); /* its parts contain frames of the I/O threads */
    if (!hung)
        resr_io_threads_free(job->io_threads);
    if (job->options.trace[0] && !withdrawn && !hung)
        resr_events_clear();
    resr_trace_free(job->trace);
    resr_decoder_close(job->decoder);
    resr_model_free(job->own_model);
    resr_report_free(job->report);
    resr_frame_table_clear(&job->frame_table);
    return ret < 0 ? resr_error_restore(ret, error) : ret;
}

int resr_job_end(ResrJob *job, int ret)
{
    return end_job(job, ret, false);
}

void resr_job_withdraw(ResrJob *job, int ret)
{
    assert(ret < 0);
    end_job(job, ret, true);
}

/* OUTPUT plus `ending`, or the folder of --job-dir. */
static int name_folder(char out[PATH_MAX], const ResrOptions *options, const char *ending)
{
    bool given = options->job_dir[0];
    int used = snprintf(out, PATH_MAX, "%s%s", given ? options->job_dir : options->output,
                        given && strcmp(ending, ".resr") == 0 ? "" : ending);
    return used < PATH_MAX
               ? 0
               : resr_fail(RESR_ERR_USAGE, "%.64s...: the path is too long", options->output);
}

/* A resumed job keeps its numerics class and its tiles; an explicit --precision must agree with it.
 */
static int keep_numerics(ResrJob *job)
{
    const char *class = resr_checkpoint_class(job->checkpoint);
    const char *precision = job->plan.precision;
    if (strcmp(precision, "auto") != 0 && strcmp(precision, resr_numerics_precision(class)) != 0)
        return resr_fail(
            RESR_ERR_MISMATCH,
            "%s: the job was started in numerics class %s; --precision %s would change "
            "its pixels; leave the option out to resume, or remove %s to start over",
            job->options.output, class, precision, job->folder);
    snprintf(job->plan.numerics_class, sizeof job->plan.numerics_class, "%s", class);
    ResrTileSize tile = resr_checkpoint_tile(job->checkpoint);
    if (tile.width_px > 0)
        job->plan.tile = tile;
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

bool resr_job_was_started(const ResrOptions *options)
{
    return options->checkpoint != RESR_CHECKPOINT_OFF && has_manifest(options);
}

/* Opens the job folder and reads its journal. */
static int open_checkpoint(ResrJob *job)
{
    const ResrOptions *options = &job->options;
    ResrManifest *manifest = NULL;
    bool resumed, published;
    if (options->checkpoint == RESR_CHECKPOINT_OFF && has_manifest(options))
        resr_log_warn("%s: a started job exists; with --checkpoint off it is not resumed, and the "
                      "whole input is computed",
                      options->output);
    if (options->checkpoint == RESR_CHECKPOINT_OFF)
        return 0;
    if (!job->output.segmented &&
        (options->checkpoint == RESR_CHECKPOINT_ALWAYS || options->keep_frames))
        return resr_fail(RESR_ERR_USAGE,
                         "%s: --checkpoint always and --keep-frames need a video and an encoder "
                         "that writes its headers first (not %s)",
                         options->output, job->output.encoder);
    if (!job->output.segmented && !resr_decoder_info(job->decoder)->is_image)
        resr_log_warn("%s: with encoder %s nothing of an unfinished output can be kept: the job "
                      "starts over",
                      options->output, job->output.encoder);
    if (!job->output.segmented)
        return 0;
    int ret = name_folder(job->folder, options, ".resr");
    if (ret == 0 && options->keep_frames)
        ret = name_folder(job->frames_folder, options, ".frames");
    if (ret == 0)
        ret = resr_manifest_create(&manifest, options, &job->plan, model_of(job),
                                   job->output.encoder, job->output.library);
    if (ret == 0)
        ret =
            resr_checkpoint_open(&job->checkpoint, job->folder, options->output, job->frames_folder,
                                 manifest, &job->frame_table, &resumed, &published);
    if (ret < 0)
        return ret;
    if (published)
        job->state = RESR_JOB_PUBLISHED;
    resr_publish_remove_stale(options->output);
    if (options->framehash[0])
        resr_publish_remove_stale(options->framehash);
    if (options->report[0])
        resr_publish_remove_stale(options->report);
    if (options->trace[0])
        resr_publish_remove_stale(options->trace);
    return resumed ? keep_numerics(job) : 0;
}

void resr_job_remove_remains(const ResrOptions *options)
{
    char folder[PATH_MAX], error[RESR_ERROR_TEXT_BYTES];
    resr_error_save(error);
    if (options->checkpoint != RESR_CHECKPOINT_OFF && !options->job_dir[0] &&
        name_folder(folder, options, ".resr") == 0)
        resr_jobdir_remove_remains(folder);
    resr_error_restore(0, error);
}

/* A path of the command line and its name in messages. */
typedef struct NamedPath {
    const char *name, *path;
} NamedPath;

static bool is_inside(const char *path, const char *folder)
{
    char copy[PATH_MAX];
    snprintf(copy, sizeof copy, "%s", path);
    return path[0] && resr_publish_is_same(dirname(copy), folder);
}

/* Every file that is written has its own name, which is not the name of a file that is read. */
static int check_paths(const ResrJob *job)
{
    const ResrOptions *o = &job->options;
    char folder[PATH_MAX], frames[PATH_MAX], journal[RESR_PATH_BYTES + 16] = "";
    struct stat status;
    int ret = name_folder(folder, o, ".resr");
    if (ret == 0)
        ret = name_folder(frames, o, ".frames");
    if (ret < 0)
        return ret;
    if (o->jobs[0])
        snprintf(journal, sizeof journal, "%s.journal", o->jobs);
    const NamedPath paths[] = {
        {"--report", o->report},    {"--framehash", o->framehash},
        {"--trace", o->trace},      {"-o", o->output},
        {"the job folder", folder}, {"the folder of --keep-frames", o->keep_frames ? frames : ""},
        {"-i", o->input},           {"-m", o->model_path},
        {"--jobs", o->jobs},        {"the journal of --jobs", journal}};
    enum { TEXTS = 3, WRITTEN = 6, PATHS = sizeof paths / sizeof *paths };
    for (int i = 0; i < WRITTEN; i++) {
        for (int j = i + 1; j < PATHS; j++)
            if ((i < TEXTS || j < WRITTEN) && resr_publish_is_same(paths[i].path, paths[j].path))
                return resr_fail(RESR_ERR_USAGE,
                                 "%s: named by %s and by %s; give each another name", paths[i].path,
                                 paths[i].name, paths[j].name);
        if (i < TEXTS && stat(paths[i].path, &status) == 0 && !S_ISREG(status.st_mode))
            return resr_fail(RESR_ERR_USAGE,
                             "%s: %s replaces regular files only; name another file", paths[i].path,
                             paths[i].name);
        if (i <= TEXTS && is_inside(paths[i].path, folder))
            return resr_fail(RESR_ERR_USAGE,
                             "%s: %s is in the job folder, which is removed at the end; name "
                             "another folder",
                             paths[i].path, paths[i].name);
    }
    const char *const others[] = {o->report, o->framehash, o->trace};
    return resr_outputs_check(o->output, o->input, job->decoder,
                              o->overwrite || o->request == RESR_REQUEST_DRY_RUN, o->max_frames,
                              others, TEXTS);
}

static int check_outputs(const ResrOptions *options)
{
    char frames[PATH_MAX];
    int ret = resr_publish_check(options->output, options->input, options->overwrite);
    if (ret == RESR_ERR_EXISTS && resr_job_was_started(options))
        ret = 0;
    else if (ret == RESR_ERR_EXISTS)
        resr_job_remove_remains(options);
    if (ret == 0 && options->framehash[0])
        ret = resr_publish_check(options->framehash, options->input, true);
    if (ret == 0 && options->report[0])
        ret = resr_publish_check(options->report, options->input, true);
    if (ret == 0 && options->trace[0])
        ret = resr_publish_check(options->trace, options->input, true);
    if (ret == 0 && options->keep_frames && !resr_job_was_started(options)) {
        ret = name_folder(frames, options, ".frames");
        if (ret == 0)
            ret = resr_publish_check(frames, NULL, options->overwrite);
    }
    return ret;
}

int resr_job_plan(ResrJob *job)
{
    assert(job->state == RESR_JOB_NEW);
    ResrOptions *options = &job->options;
    bool dry_run = options->request == RESR_REQUEST_DRY_RUN;
    int width_px, height_px, cpus = job->context->cpus;
    if (options->encode.encoders == 0)
        options->encode.encoders = cpus < RESR_CPUS_PER_ENCODER ? 1 : cpus / RESR_CPUS_PER_ENCODER;
    ResrDecodeOptions decode = {.hwaccel = options->hwaccel,
                                .bridge = options->on_error == RESR_ON_ERROR_CONTINUE};
    int ret = resr_decoder_open(&job->decoder, options->input, &decode);
    if (ret == 0)
        ret = resr_decoder_turn(job->decoder,
                                resr_outputs_hold_rotation(options->output, options->input));
    if (ret == 0)
        ret = check_paths(job);
    if (ret == 0 && !dry_run)
        ret = check_outputs(options);
    if (ret == 0)
        ret = resr_rank_context_find_model(job->context, &job->model_key, &job->own_model, options);
    if (ret < 0)
        return ret;
    /* -s is the scale of the output: the picture of a network of another scale is resized. */
    const ResrNetSpec *spec = &model_of(job)->spec;
    if (options->outscale == 0 && options->scale > 0 &&
        options->scale != spec->scale * spec->resize)
        options->outscale = options->scale;
    const ResrVideoInfo *info = resr_decoder_info(job->decoder);
    if (spec->channels == 1 && info->format.model != RESR_COLOUR_GREY)
        resr_log_warn("%s: the network %s is for gray pictures; the output has no colours",
                      options->input, model_of(job)->name);
    ret = resr_plan_output_size(&width_px, &height_px, options, info, spec);
    if (ret == 0)
        ret = resr_sink_plan(&job->output, options->output, options->input, job->decoder, width_px,
                             height_px, &options->encode);
    if (ret == 0 && job->output.video) /* ranks that encode do not know the output's name */
        snprintf(options->encode.codec, sizeof options->encode.codec, "%s", job->output.encoder);
    if (ret == 0)
        ret = resr_plan_make(&job->plan, options, info, &job->output, model_of(job),
                             job->session->ranks);
    if (ret == 0)
        ret = resr_plan_choose_encode(&job->plan, options, &job->output, NULL, cpus);
    if (ret == 0)
        job->state = RESR_JOB_PLANNED;
    if (ret == 0 && !dry_run)
        ret = open_checkpoint(job);
    if (ret == 0 && !dry_run && job->state != RESR_JOB_PUBLISHED)
        ret = resr_publish_check(options->output, options->input, options->overwrite);
    return ret;
}

/* Starts the checkpoint: from here on the job folder is this attempt's. */
static int start_checkpoint(ResrJob *job)
{
    const ResrOptions *options = &job->options;
    const ResrVideoInfo *info = resr_decoder_info(job->decoder);
    ResrCheckpointPlan plan = {.plan = &job->plan,
                               .info = {.format = &job->plan.output,
                                        .time_base_num = info->time_base_num,
                                        .time_base_den = info->time_base_den,
                                        .model = model_of(job)->name,
                                        .model_sha256 = model_of(job)->sha256,
                                        .numerics_class = job->plan.numerics_class},
                               .always = options->checkpoint == RESR_CHECKPOINT_ALWAYS ||
                                         options->keep_frames,
                               .bridges = options->on_error == RESR_ON_ERROR_CONTINUE,
                               .frames_folder = job->frames_folder};
    int ret = resr_checkpoint_begin(job->checkpoint, &plan);
    if (job->state == RESR_JOB_PUBLISHED)
        resr_log_info("%s: was finished already", options->output);
    if (ret == 0)
        job->state = job->state == RESR_JOB_PUBLISHED ? RESR_JOB_CLOSING : RESR_JOB_STARTED;
    return ret;
}

int resr_job_open(ResrJob *job)
{
    assert(job->state == RESR_JOB_PLANNED);
    const ResrOptions *options = &job->options;
    int ret = job->checkpoint ? start_checkpoint(job) : 0;
    ResrSegmentStore store = {0};
    if (job->checkpoint)
        store = resr_checkpoint_store(job->checkpoint);
    if (ret == 0)
        ret = resr_sink_open(&job->sink, options->output, options->input, job->decoder,
                             &job->plan.output, &options->encode, options->overwrite,
                             job->checkpoint ? &store : NULL);
    if (ret == 0 && job->checkpoint)
        ret = resr_checkpoint_restore(job->checkpoint, job->sink, &job->frame_table);
    if (ret == 0)
        ret = resr_report_create(&job->report);
    if (ret == 0 && options->trace[0])
        ret = resr_trace_create(&job->trace, job->plan.ranks, job->start_ns);
    ResrIoThreadsConfig io = {.decoder = job->decoder,
                              .sink = job->sink,
                              .checkpoint = job->checkpoint,
                              .frame_table = &job->frame_table,
                              .plan = &job->plan,
                              .max_frames = options->max_frames,
                              .framehash = options->framehash};
    if (ret == 0)
        ret = resr_io_threads_start(&job->io_threads, &io);
    if (ret == 0)
        job->state = RESR_JOB_OPEN;
    return ret;
}

/* Runs the coordinator's loop and writes the report. */
static int coordinate(ResrJob *job)
{
    const ResrSession *session = job->session;
    const ResrOptions *options = &job->options;
    int64_t frames_in, frames_out;
    ResrTimes times = {.start_up = resr_clock_seconds_since(job->start_ns)};
    ResrCoordinatorConfig config = {.compute = job->context->compute,
                                    .plan = &job->plan,
                                    .options = options,
                                    .ranks = job->context->ranks,
                                    .report = job->report,
                                    .io = job->io_threads,
                                    .checkpoint = job->checkpoint,
                                    .turn_ns = &job->turn_ns,
                                    .trace = job->trace,
                                    .decoded = job->decoded,
                                    .user = job->user};
    job->turn_ns = resr_clock_ns();
    if (job->checkpoint)
        resr_checkpoint_write_pids(job->checkpoint, job->context->ranks, job->plan.ranks);
    int ret = resr_coordinator_create(&job->coordinator, &config);
    if (ret == 0)
        ret = resr_watchdog_start(&job->watchdog, &job->turn_ns, job->io_threads, job->checkpoint,
                                  job->plan.deadline_seconds);
    if (ret == 0)
        ret = resr_coordinator_run(job->coordinator, session->stop_signal);
    if (job->coordinator)
        resr_coordinator_counters(job->coordinator, &frames_in, &frames_out, &times);
    if (job->coordinator)
        job->frames = frames_out;
    if (ret < 0)
        return ret;
    times.wall = resr_clock_seconds_since(job->start_ns);
    resr_io_threads_seconds(job->io_threads, &times);
    for (int i = 0; i < job->plan.ranks; i++) {
        times.compute += job->context->ranks[i].compute_seconds;
        times.encode += job->context->ranks[i].encode_seconds;
    }
    if (options->progress != RESR_PROGRESS_NONE && options->progress != RESR_PROGRESS_JSON)
        resr_log_info("%s: %" PRId64 " frames in %.1f s, %.2f frames/s", options->output,
                      frames_out, times.wall, (double)frames_out / times.wall);
    if (!options->report[0])
        return 0;
    ResrReportInput input = {.options = options,
                             .plan = &job->plan,
                             .decoder = job->decoder,
                             .model = model_of(job),
                             .encoder = resr_sink_encoder(job->sink),
                             .ranks = job->context->ranks,
                             .frames_in = frames_in,
                             .frames_out = frames_out,
                             .times = &times};
    return resr_report_write(job->report, options->report, &input);
}

int resr_job_run(ResrJob *job, bool last)
{
    const ResrSession *session = job->session;
    ResrRankContext *context = job->context;
    Order order = {.last = last,
                   .new_model = job->own_model != NULL,
                   .traced = job->options.trace[0] != 0,
                   .plan = job->plan};
    int ret = 0;
    assert(job->state == RESR_JOB_PLANNED || job->state == RESR_JOB_OPEN ||
           job->state == RESR_JOB_PUBLISHED);
    if (job->state == RESR_JOB_PUBLISHED) {
        resr_collectives_disarm_start_timeout();
        return start_checkpoint(job);
    }
    resr_collectives_announce(&order, sizeof order);
    if (order.traced)
        resr_events_start();
    if (order.new_model)
        ret = resr_rank_context_set_model(context, job->own_model, &job->model_key);
    job->own_model = NULL;
    if (ret == 0)
        ret = resr_rank_context_start(context, &job->plan, &job->options, &job->output);
    if (ret == 0)
        ret = resr_collectives_share_status(job->state == RESR_JOB_OPEN ? 0 : resr_job_open(job));
    if (ret < 0)
        return ret;
    resr_clock_sync(job->trace, session->rank, session->ranks);
    resr_collectives_disarm_start_timeout();
    return coordinate(job);
}

void resr_job_dismiss(void)
{
    Order order = {.over = true};
    resr_collectives_announce(&order, sizeof order);
}

/* The part of a rank other than 0 in one job. */
static int work(ResrSession *session, ResrRankContext *context, Order *order)
{
    int ret = 0;
    if (order->traced)
        resr_events_start();
    if (order->new_model)
        ret = resr_rank_context_set_model(context, NULL, NULL);
    if (ret == 0)
        ret = resr_rank_context_start(context, &order->plan, NULL, NULL);
    if (ret == 0)
        ret = resr_collectives_share_status(0);
    if (ret == 0) {
        resr_clock_sync(NULL, session->rank, session->ranks);
        resr_collectives_disarm_start_timeout();
        ret = resr_worker_run(context->compute, &order->plan, session->rank, session->stop_signal);
        session->lost = ret < 0;
    }
    resr_rank_context_end_job(context);
    if (order->traced)
        resr_events_clear();
    return ret;
}

int resr_job_run_worker(ResrSession *session, ResrRankContext *context)
{
    Order order;
    int ret;
    do {
        resr_collectives_announce(&order, sizeof order);
        if (order.over)
            return 0;
        resr_collectives_arm_start_timeout(session->start_up_hangs);
        ret = work(session, context, &order);
        resr_collectives_disarm_start_timeout();
    } while (!order.last && !session->lost);
    return ret;
}
