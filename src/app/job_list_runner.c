/* Runs the jobs of a list, of which two may overlap:
 *
 *   job n      decode ------------|
 *              compute, encode ---------------|end
 *   job n + 1                     |prepare|...|run: decode, compute, encode
 *
 * When the input of a job has been decoded, its coordinator calls start_preparing(): a thread reads
 * the next line, plans its job and, if no other rank has to be asked, opens its output and starts
 * decoding. So compute threads rarely wait between two videos. A preparation fails without harm:
 * the job is prepared again when the running one has ended, with its own error if there is one. A
 * job that reads or writes the output of the running one waits in this way.
 *
 * The list's journal (job_list.h) has a record when a job starts and one when it ends. A line that
 * is done, or whose complete output exists, is skipped.
 *
 * Other ranks wait for the next order without a time limit; rank 0 arms the start's time limit as
 * soon as a line has been read. */

#include "app/job_list_runner.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/publish.h"
#include "comm/backoff.h"
#include "comm/collectives.h"
#include "job/job_list.h"
#include "media/outputs.h"

/* A line of the list and its job. */
typedef struct Item {
    ResrJobLine line;
    ResrJobLineState state; /* of the line in the list's journal */
    ResrJobResult known;    /* of a line whose job is done */
    bool done;              /* by an earlier launch: the job does not run */
    bool early;             /* prepared while another job ran */
    ResrJob *job;           /* NULL: out of memory */
    int status;             /* of the preparation, with its message in `error` */
    char error[RESR_ERROR_TEXT_BYTES];
} Item;

/* The output of a line, and its input. */
typedef struct LineOutput {
    int64_t line;
    char *output, *input;
} LineOutput;

typedef struct Runner {
    ResrSession *session;
    ResrRankContext *context;
    ResrJobList *list;
    const ResrOptions *running; /* of the running job; NULL: none */
    /* Written by prepare_main(), read after `ready`. */
    Item *next; /* NULL: end of the list, or list_status < 0 */
    int list_status;
    char list_error[RESR_ERROR_TEXT_BYTES];
    /* Of the job that runs beside the preparation, copied when the preparation starts. */
    bool overlapping, traced;
    char output[RESR_PATH_BYTES], input[RESR_PATH_BYTES];
    LineOutput *outputs; /* of the lines so far */
    size_t output_count, output_capacity;
    bool asked;                  /* a preparation was started and not yet waited for */
    bool preparing;              /* by `thread`; else start_preparing() has done it */
    atomic_bool has_line, ready; /* a line was read; the preparation is complete */
    pthread_t thread;
    int64_t done, failed;
    int first_status;
    char first_error[RESR_ERROR_TEXT_BYTES];
} Runner;

static void save_error(int *status, char error[RESR_ERROR_TEXT_BYTES], int ret)
{
    *status = ret;
    error[0] = 0;
    if (ret < 0)
        resr_error_save(error);
}

static void free_item(Item *item)
{
    if (!item)
        return;
    free(item->job);
    free(item->line.text);
    free(item);
}

/* Was the output published by a launch that was killed before the journal said so? Yes if it exists
 * and the job folder does not: only a complete output gets its name, and an older file would have
 * been refused. A folder of images exists from its first image on and proves nothing. */
static bool was_published(const Item *item)
{
    const ResrOptions *options = &item->job->options;
    struct stat status;
    return item->state == RESR_JOB_LINE_STARTED && !options->overwrite &&
           !resr_job_was_started(options) && stat(options->output, &status) == 0 &&
           S_ISREG(status.st_mode);
}

/* Is the line done, with its output still in place? The name of an image sequence names no file. */
static bool is_done(const Item *item)
{
    const ResrOptions *options = &item->job->options;
    bool there = resr_outputs_kind(options->output, options->input) == RESR_OUTPUT_PATTERN ||
                 access(options->output, F_OK) == 0;
    return (item->state == RESR_JOB_LINE_DONE && there && !resr_job_was_started(options)) ||
           was_published(item);
}

/* Opens the output and starts decoding, unless the ranks must agree first or a trace is recorded,
 * which supports one job at a time. */
static int open_early(const Runner *runner, ResrJob *job)
{
    bool known;
    if (job->options.trace[0] || runner->traced)
        return 0;
    int ret = resr_rank_context_choose_class(runner->context, &job->plan, &job->options,
                                             &job->output, &known);
    return ret == 0 && known ? resr_job_open(job) : ret;
}

/* Does the output consist of images, which appear one by one under many names? */
static bool makes_images(const char *output, const char *input)
{
    ResrOutputKind kind = resr_outputs_kind(output, input);
    return kind == RESR_OUTPUT_PATTERN || kind == RESR_OUTPUT_FOLDER;
}

bool resr_job_list_runner_must_wait(const ResrOptions *options, const char *running_output,
                                    const char *running_input)
{
    return makes_images(running_output, running_input) ||
           resr_publish_is_same(options->input, running_output) ||
           resr_publish_is_same(options->output, running_output);
}

/* Compares the last components of two paths, a cheap test before folders are compared. */
static bool same_name(const char *a, const char *b)
{
    const char *paths[] = {a, b}, *names[2];
    size_t lengths[2];
    for (int i = 0; i < 2; i++) {
        lengths[i] = strlen(paths[i]);
        while (lengths[i] > 1 && paths[i][lengths[i] - 1] == '/')
            lengths[i]--;
        const char *slash = memrchr(paths[i], '/', lengths[i]);
        names[i] = slash ? slash + 1 : paths[i];
        lengths[i] -= (size_t)(names[i] - paths[i]);
    }
    return lengths[0] == lengths[1] && memcmp(names[0], names[1], lengths[0]) == 0;
}

/* Two inputs need two outputs; one input may be computed twice, with --overwrite. */
static int reserve_output(Runner *runner, const Item *item)
{
    const ResrOptions *options = &item->job->options;
    for (size_t i = 0; i < runner->output_count; i++) {
        const LineOutput *earlier = &runner->outputs[i];
        if (earlier->line == item->line.number)
            return 0; /* reserved by the first preparation */
        if (!item->done && same_name(earlier->output, options->output) &&
            resr_publish_is_same(earlier->output, options->output) &&
            !resr_publish_is_same(earlier->input, options->input))
            return resr_fail(RESR_ERR_USAGE,
                             "%s: line %" PRId64
                             " of the list already writes this output from %s; name another output",
                             options->output, earlier->line, earlier->input);
    }
    int ret = resr_grow(&runner->outputs, &runner->output_capacity, runner->output_count,
                        sizeof *runner->outputs);
    if (ret < 0)
        return ret;
    LineOutput own = {item->line.number, strdup(options->output), strdup(options->input)};
    runner->outputs[runner->output_count++] = own;
    return own.output && own.input
               ? 0
               : resr_fail(RESR_ERR_INTERNAL, "out of memory: the outputs of a list");
}

static void free_outputs(Runner *runner)
{
    for (size_t i = 0; i < runner->output_count; i++) {
        free(runner->outputs[i].output);
        free(runner->outputs[i].input);
    }
    free(runner->outputs);
}

static int prepare_job(Runner *runner, Item *item)
{
    int ret = resr_alloc(&item->job, 1, sizeof *item->job);
    if (ret < 0)
        return ret;
    ResrJob *job = item->job;
    job->session = runner->session;
    job->context = runner->context;
    item->early = runner->overlapping;
    ret = runner->session->parse_line(&job->options, item->line.text);
    if (ret < 0)
        return ret;
    item->state = resr_job_list_find(runner->list, &item->line, &item->known);
    item->done = is_done(item);
    ret = reserve_output(runner, item);
    if (ret < 0)
        return ret;
    if (item->done)
        resr_job_remove_remains(&job->options);
    if (item->done)
        return 0;
    if (runner->overlapping &&
        resr_job_list_runner_must_wait(&job->options, runner->output, runner->input))
        return resr_fail(RESR_ERR_EXISTS, "%s: another job writes this output", runner->output);
    ret = resr_job_plan(job);
    return ret < 0 || job->state == RESR_JOB_PUBLISHED ? ret : open_early(runner, job);
}

/* Reads the next line of the list and prepares its job. */
static void *prepare_main(void *argument)
{
    Runner *runner = argument;
    Item *item;
    int ret = resr_alloc(&item, 1, sizeof *item);
    if (ret == 0)
        ret = resr_job_list_next(runner->list, &item->line);
    save_error(&runner->list_status, runner->list_error, ret);
    if (ret < 0 || !item->line.text) {
        free_item(item);
        item = NULL;
    }
    runner->has_line = item != NULL;
    if (item)
        save_error(&item->status, item->error, prepare_job(runner, item));
    runner->next = item;
    runner->ready = true;
    return NULL;
}

static void note_running(Runner *runner)
{
    runner->overlapping = runner->running != NULL;
    runner->traced = runner->overlapping && runner->running->trace[0];
    snprintf(runner->output, sizeof runner->output, "%s",
             runner->overlapping ? runner->running->output : "");
    snprintf(runner->input, sizeof runner->input, "%s",
             runner->overlapping ? runner->running->input : "");
}

/* Called between jobs, and by the running job when its input has been decoded. */
static void start_preparing(void *user)
{
    Runner *runner = user;
    note_running(runner);
    runner->asked = true;
    runner->ready = runner->has_line = false;
    runner->preparing = pthread_create(&runner->thread, NULL, prepare_main, runner) == 0;
    if (!runner->preparing)
        prepare_main(runner);
}

/* Waits for the next item; NULL: end of the list. A line may arrive late, but from its arrival on
 * the preparation has the time limit of a start. */
static Item *wait_for_next(Runner *runner)
{
    ResrBackoff backoff = {0};
    bool limited = false;
    while (!runner->ready) {
        if (runner->has_line && !limited) {
            limited = true;
            resr_collectives_arm_start_timeout(runner->session->start_up_hangs);
        }
        resr_backoff_wait(&backoff, false, true);
    }
    if (runner->preparing)
        pthread_join(runner->thread, NULL);
    runner->asked = runner->preparing = false;
    Item *item = runner->next;
    runner->next = NULL;
    if (item && !limited)
        resr_collectives_arm_start_timeout(runner->session->start_up_hangs);
    return item;
}

/* Ends an item that will not run. */
static void withdraw(Item *item)
{
    if (!item)
        return;
    resr_collectives_disarm_start_timeout();
    if (item->job) {
        resr_job_withdraw(item->job, resr_fail(RESR_ERR_STOPPED, "not started"));
    }
    free_item(item);
}

/* Prepares an item again that could not be prepared while the previous job ran. */
static void prepare_again(Runner *runner, Item *item)
{
    resr_job_withdraw(item->job, resr_error_restore(item->status, item->error));
    free(item->job);
    item->job = NULL;
    note_running(runner);
    save_error(&item->status, item->error, prepare_job(runner, item));
}

/* Journals the start of a planned job and runs it. */
static int run_job(Runner *runner, Item *item)
{
    ResrJob *job = item->job;
    int64_t safe = job->checkpoint ? resr_checkpoint_frames_safe(job->checkpoint) : 0;
    int ret = resr_job_list_begin(runner->list, &item->line, safe);
    job->decoded = start_preparing;
    job->user = runner;
    return ret < 0 ? ret : resr_job_run(job, false);
}

/* Reports the result of a job that has ended. */
static int report_result(Runner *runner, const Item *item, double seconds)
{
    const ResrOptions *options = item->job ? &item->job->options : NULL;
    ResrJobResult result = {.input = options ? options->input : NULL,
                            .output = options ? options->output : NULL,
                            .error = item->error,
                            .status = resr_error_exit_status(item->status),
                            .frames = item->job ? item->job->frames : 0,
                            .seconds = seconds};
    if (item->done) {
        result.frames = item->known.frames;
        result.seconds = item->known.seconds;
    }
    if (item->status < 0) {
        const char *list = runner->session->options.jobs;
        char text[RESR_ERROR_TEXT_BYTES];
        snprintf(text, sizeof text, "%.200s:%" PRId64 ": %.800s", list, item->line.number,
                 item->error);
        resr_log_error("%s", text);
        if (runner->failed == 0)
            save_error(&runner->first_status, runner->first_error,
                       resr_fail(item->status, "%s", text));
    }
    runner->failed += item->status < 0;
    runner->done += item->status == 0;
    return resr_job_list_end(runner->list, &item->line, &result);
}

static int run_item(Runner *runner, Item *item)
{
    ResrSession *session = runner->session;
    int64_t start_ns = runner->done + runner->failed == 0 ? session->start_ns : resr_clock_ns();
    if (item->status < 0 && item->early && item->job)
        prepare_again(runner, item);
    int ret = item->status < 0 ? resr_error_restore(item->status, item->error) : 0;
    ResrJob *job = item->job;
    if (job) {
        job->start_ns = start_ns;
        runner->running = &job->options;
        if (ret == 0 && !item->done)
            ret = run_job(runner, item);
        runner->running = NULL;
        ret = resr_job_end(job, ret);
    }
    save_error(&item->status, item->error, ret);
    resr_collectives_disarm_start_timeout();
    return report_result(runner, item, resr_clock_seconds_since(start_ns));
}

/* Ends the list, also one with more lines. *more: lines are left. */
static void end_list(Runner *runner, bool at_once, bool *more)
{
    *more = at_once;
    if (at_once)
        resr_job_list_stop(runner->list);
    Item *item = runner->asked ? wait_for_next(runner) : NULL;
    *more = *more || item;
    withdraw(item);
}

static int run_list(Runner *runner)
{
    ResrSession *session = runner->session;
    bool more;
    Item *item;
    int ret = 0;
    start_preparing(runner);
    while (ret == 0 && !session->lost && !*session->stop_signal && (item = wait_for_next(runner))) {
        ret = run_item(runner, item);
        if (!runner->asked && !*session->stop_signal)
            start_preparing(runner);
        free_item(item);
    }
    char error[RESR_ERROR_TEXT_BYTES];
    save_error(&ret, error, ret);
    end_list(runner, ret < 0 || resr_job_list_is_open_ended(runner->list), &more);
    if (ret < 0)
        return resr_error_restore(ret, error);
    if (*session->stop_signal)
        return resr_fail(RESR_ERR_STOPPED,
                         "stopped by signal %d; run the same command again to resume",
                         *session->stop_signal);
    if (session->lost && more)
        return resr_fail(RESR_ERR_STOPPED, "a rank was lost; run the same command again to resume "
                                           "the list");
    return runner->list_status < 0 ? resr_error_restore(runner->list_status, runner->list_error)
                                   : 0;
}

int resr_job_list_runner_run(ResrSession *session, ResrRankContext *context)
{
    Runner runner = {.session = session, .context = context};
    int ret = resr_job_list_open(&runner.list, session->options.jobs);
    if (ret == 0)
        ret = run_list(&runner);
    if (!session->lost)
        resr_job_dismiss();
    if (runner.done + runner.failed > 0)
        resr_log_info("%s: %" PRId64 " videos done, %" PRId64 " failed, in %.1f s",
                      session->options.jobs, runner.done, runner.failed,
                      resr_clock_seconds_since(session->start_ns));
    resr_job_list_close(runner.list);
    free_outputs(&runner);
    return ret < 0              ? ret
           : runner.failed == 0 ? 0
                                : resr_error_restore(runner.first_status, runner.first_error);
}
