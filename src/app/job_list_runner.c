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

/* A line of the list and its job, as far as it has come. */
typedef struct Item {
    ResrJobLine line;
    ResrJobLineState state; /* what the journal says of it */
    ResrJobResult known;    /* of one that is done */
    bool done;              /* by an earlier launch: there is nothing to do */
    bool early;             /* prepared while another one ran */
    ResrJob *job;           /* NULL: out of memory */
    int status;             /* of the preparation, and its message */
    char error[RESR_ERROR_TEXT_BYTES];
} Item;

/* The output that a line writes. */
typedef struct LineOutput {
    int64_t line;
    char *output, *input;
} LineOutput;

typedef struct Runner {
    ResrSession *session;
    ResrRankContext *context;
    ResrJobList *list;
    const ResrOptions *running; /* NULL: no job is */
    /* The next one, of the preparing thread while `preparing`. */
    Item *next; /* NULL: the list is at its end, or cannot be read: */
    int list_status;
    char list_error[RESR_ERROR_TEXT_BYTES];
    bool overlapping, traced; /* as it was when the thread began: a job runs, with --trace */
    char output[RESR_PATH_BYTES], input[RESR_PATH_BYTES]; /* of it */
    LineOutput *outputs;                                  /* of the lines so far */
    size_t output_count, output_capacity;
    bool asked, preparing;       /* for the next one; by the thread */
    atomic_bool has_line, ready; /* a line was read; the thread has come to its end */
    pthread_t thread;
    int64_t done, failed;
    int first_status;
    char first_error[RESR_ERROR_TEXT_BYTES];
} Runner;

static void save_error(int *status, char *error, int ret)
{
    *status = ret;
    snprintf(error, RESR_ERROR_TEXT_BYTES, "%s", ret < 0 ? resr_error_text() : "");
}

static void free_item(Item *item)
{
    if (!item)
        return;
    free(item->job);
    free(item->line.text);
    free(item);
}

/* The output of a line that was begun when the launch before was killed is its own, if it is there
 * and the job's folder is not: it is published when it is complete, and one that had been there
 * before would have been refused. Not of a folder of images: it is there from the first one on. */
static bool was_published(const Item *item)
{
    const ResrOptions *options = &item->job->options;
    struct stat status;
    return item->state == RESR_JOB_LINE_STARTED && !options->overwrite &&
           !resr_job_was_started(options) && stat(options->output, &status) == 0 &&
           S_ISREG(status.st_mode);
}

/* Done before, and what it made is still there. The name of an image sequence is no file's. */
static bool is_done(const Item *item)
{
    const ResrOptions *options = &item->job->options;
    bool there = resr_outputs_kind(options->output, options->input) == RESR_OUTPUT_PATTERN ||
                 access(options->output, F_OK) == 0;
    return (item->state == RESR_JOB_LINE_DONE && there && !resr_job_was_started(options)) ||
           was_published(item);
}

/* The output may be opened and decoding may begin, unless other ranks have to be asked first, or
 * somebody records, for whom two videos at a time are one too many. */
static int open_early(const Runner *runner, ResrJob *job)
{
    bool known;
    if (job->options.trace[0] || runner->traced)
        return 0;
    int ret = resr_rank_context_choose_class(runner->context, &job->plan, &job->options,
                                             &job->output, &known);
    return ret == 0 && known ? resr_job_open(job) : ret;
}

/* Images appear one by one, and many names lead to them. */
static bool makes_images(const char *output, const char *input)
{
    ResrOutputKind kind = resr_outputs_kind(output, input);
    return kind == RESR_OUTPUT_PATTERN || kind == RESR_OUTPUT_FOLDER;
}

/* It needs what the running job makes, or makes it too, and under the same temporary name. */
static bool must_wait(const Runner *runner, const ResrOptions *options)
{
    return runner->overlapping && (makes_images(runner->output, runner->input) ||
                                   resr_publish_is_same(options->input, runner->output) ||
                                   resr_publish_is_same(options->output, runner->output));
}

/* The last parts of two paths, without slashes at the end: cheap, before folders are compared. */
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

/* Two inputs have two outputs; the same input may be done again, with --overwrite. */
static int reserve_output(Runner *runner, const Item *item)
{
    const ResrOptions *options = &item->job->options;
    for (size_t i = 0; i < runner->output_count; i++) {
        const LineOutput *earlier = &runner->outputs[i];
        if (earlier->line == item->line.number)
            return 0; /* prepared before */
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
    LineOutput earlier = {item->line.number, strdup(options->output), strdup(options->input)};
    runner->outputs[runner->output_count++] = earlier;
    return earlier.output && earlier.input
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
    if (must_wait(runner, &job->options))
        return resr_fail(RESR_ERR_EXISTS, "%s: another job is at work on it", runner->output);
    ret = resr_job_plan(job);
    return ret < 0 || job->finished ? ret : open_early(runner, job);
}

/* The next line of the list, prepared as far as it can be. */
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

/* Also called while a job runs, when its input has come to its end. */
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

/* Waits for the next item; NULL: there is none. A line may be long in coming, but once it is there
 * its preparation must end. */
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

/* An item whose turn does not come. */
static void withdraw(Item *item)
{
    if (!item)
        return;
    resr_collectives_disarm_start_timeout();
    if (item->job) {
        item->job->withdrawn = true;
        resr_fail(0, "it was not begun");
        resr_job_end(item->job, RESR_ERR_STOPPED);
    }
    free_item(item);
}

/* What could not be prepared overlapping the job before may be possible now that it has ended. */
static void prepare_again(Runner *runner, Item *item)
{
    ResrJob *job = item->job;
    job->withdrawn = true;
    resr_fail(0, "%s", item->error);
    resr_job_end(job, item->status);
    free(job);
    item->job = NULL;
    note_running(runner);
    save_error(&item->status, item->error, prepare_job(runner, item));
}

/* The turn of a planned job. */
static int run_job(Runner *runner, Item *item)
{
    ResrJob *job = item->job;
    int64_t safe = job->checkpoint ? resr_checkpoint_frames_safe(job->checkpoint) : 0;
    int ret = resr_job_list_begin(runner->list, &item->line, safe);
    job->decoded = start_preparing;
    job->user = runner;
    return ret < 0 ? ret : resr_job_run(job, false);
}

/* What there is to say of a job that has ended. */
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
    int ret = item->status < 0 ? resr_fail(item->status, "%s", item->error) : 0;
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

/* The list ends here, whatever may still come. *more: something would. */
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
        return resr_fail(ret, "%s", error);
    if (*session->stop_signal)
        return resr_fail(RESR_ERR_STOPPED,
                         "stopped by signal %d; run the same command again to go on",
                         *session->stop_signal);
    if (session->lost && more)
        return resr_fail(RESR_ERR_STOPPED, "a rank was lost; run the same command again to go on "
                                           "with the list");
    return runner->list_status < 0 ? resr_fail(runner->list_status, "%s", runner->list_error) : 0;
}

int resr_job_list_runner_run(ResrSession *session, ResrRankContext *context)
{
    Runner runner = {.session = session, .context = context};
    int ret = resr_job_list_open(&runner.list, session->options.jobs, session->stop_signal);
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
                                : resr_fail(runner.first_status, "%s", runner.first_error);
}
