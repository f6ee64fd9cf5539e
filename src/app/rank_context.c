/* The state of a rank between jobs, and the collective calls that get all ranks ready.
 *
 *   find_model  rank 0 identifies the network of a job by path, name, scale, strength, inode, size
 *               and time of change; an equal key means that the loaded network is still valid
 *   set_model   a new network is broadcast (comm/weights.h); compute threads stop before
 *   start       1. measure: each rank probes its backends, once per kind of network
 *               2. rank 0 chooses the numerics class and who encodes, and broadcasts the plan
 *               3. each rank starts a compute thread, unless its thread fits the plan
 *               4. rank 0 excludes ranks whose probe or start failed, with a warning
 *   end_job     stops a compute thread that still has work of the ended job
 *
 * Each step ends with resr_collectives_share_status(), so that all ranks take the same branch. */

#include "app/rank_context.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cpu_features.h"
#include "base/log.h"
#include "base/memory.h"
#include "comm/collectives.h"
#include "comm/weights.h"

void resr_rank_context_describe(ResrRankInfo *info, int rank)
{
    *info = (ResrRankInfo){.rank = rank, .pid = (int32_t)getpid()};
    gethostname(info->host, sizeof info->host - 1);
    snprintf(info->cpu, sizeof info->cpu, "%s", resr_cpu_brand());
}

void resr_rank_context_create(ResrRankContext *context, int rank, int size,
                              const ResrOptions *options)
{
    *context = (ResrRankContext){.rank = rank, .size = size, .options = options};
    context->threads = resr_collectives_threads(&context->cpus);
    if (options->threads > 0)
        context->threads = options->threads;
    resr_collectives_share_memory(rank > 0 || !options->root_dedicated, &context->beside_root);
}

static const ResrRankContextProbe *probe_of(const ResrRankContext *context, const ResrPlan *plan)
{
    return &context->probes[plan->spec.arch == RESR_ARCH_SRVGG];
}

/* Rank 0: status and error text of every rank. */
typedef struct RankStatuses {
    int *codes;
    char *texts;
} RankStatuses;

static int alloc_statuses(ResrRankContext *context, RankStatuses *statuses)
{
    size_t ranks = (size_t)context->size;
    int ret = context->ranks ? 0 : resr_alloc(&context->ranks, ranks, sizeof *context->ranks);
    if (ret == 0)
        ret = resr_alloc(&statuses->codes, ranks, sizeof *statuses->codes);
    if (ret == 0)
        ret = resr_alloc(&statuses->texts, ranks, RESR_ERROR_TEXT_BYTES);
    return ret;
}

/* Rank 0: warns of each rank that failed; an error if no rank computes. */
static int check_ranks(const ResrRankContext *context, const RankStatuses *statuses)
{
    int computing = 0, first = 0;
    const char *text = "";
    for (int i = 0; i < context->size; i++) {
        computing += context->ranks[i].threads > 0;
        if (statuses->codes[i] < 0 && context->size > 1)
            resr_log_warn("rank %d on %s is left out: %s", i, context->ranks[i].host,
                          statuses->texts + (size_t)i * RESR_ERROR_TEXT_BYTES);
        if (first == 0 && statuses->codes[i] < 0) {
            first = statuses->codes[i];
            text = statuses->texts + (size_t)i * RESR_ERROR_TEXT_BYTES;
        }
    }
    if (computing > 0)
        return 0;
    return first < 0 ? resr_fail(first, "no rank can run the job: %s", text)
                     : resr_fail(RESR_ERR_DEVICE, "no rank can run the job");
}

/* The numerics class with the highest total speed of all ranks. */
static int choose_class(char class[16], const ResrRankInfo *all, int n)
{
    ResrProbe *probes = NULL;
    int ret = resr_alloc(&probes, (size_t)n, sizeof *probes);
    for (int i = 0; ret == 0 && i < n; i++)
        probes[i] = all[i].probe;
    if (ret == 0)
        ret = resr_select_backend_class(class, probes, n);
    free(probes);
    return ret;
}

int resr_rank_context_choose_class(const ResrRankContext *context, ResrPlan *plan,
                                   const ResrOptions *options, const ResrSinkPlan *output,
                                   bool *known)
{
    const ResrRankInfo *all = probe_of(context, plan)->all;
    char *class = plan->numerics_class;
    bool can_run = false;
    int ret = 0;
    *known = all != NULL;
    if (!all)
        return 0;
    for (int i = 0; i < context->size && class[0] && !can_run; i++)
        can_run = resr_select_backend_fastest(&all[i].probe, class) != NULL;
    if (class[0] && !can_run)
        return resr_fail(
            RESR_ERR_DEVICE,
            "%s: the job was started in numerics class %s, which no rank here can run; "
            "resume it on the machines where it was started, or remove the job's "
            "folder to start over",
            options->output, class);
    if (!class[0])
        ret = choose_class(class, all, context->size);
    if (ret == 0)
        resr_plan_choose_tile(plan, options);
    return ret < 0 ? ret : resr_plan_choose_encode(plan, options, output, all, context->cpus);
}

static void stat_model_file(ResrModelKey *key, const char *path)
{
    struct stat file = {0};
    if (stat(path, &file) != 0)
        return;
    key->inode = (int64_t)file.st_ino;
    key->bytes = file.st_size;
    key->changed_ns = (int64_t)file.st_mtim.tv_sec * 1000000000 + file.st_mtim.tv_nsec;
}

static bool is_same(const ResrModelKey *a, const ResrModelKey *b)
{
    return strcmp(a->path, b->path) == 0 && strcmp(a->name, b->name) == 0 && a->scale == b->scale &&
           a->denoise == b->denoise && a->inode == b->inode && a->bytes == b->bytes &&
           a->changed_ns == b->changed_ns;
}

int resr_rank_context_find_model(const ResrRankContext *context, ResrModelKey *key,
                                 ResrModel **own_model, const ResrOptions *options)
{
    const char *path = options->model_path[0] ? options->model_path : NULL;
    const char *name = options->model_name[0] ? options->model_name : NULL;
    int scale = options->scale == 2 ? 2 : 4;
    *own_model = NULL;
    *key = (ResrModelKey){.scale = name ? 0 : scale, .denoise = options->denoise};
    memcpy(key->path, options->model_path, sizeof key->path);
    memcpy(key->name, options->model_name, sizeof key->name);
    if (context->model)
        stat_model_file(key, context->model->path);
    if (context->model && is_same(key, &context->key))
        return 0;
    int ret = resr_model_find(own_model, path, name, scale, options->denoise);
    if (ret == 0)
        stat_model_file(key, (*own_model)->path);
    return ret;
}

int resr_rank_context_set_model(ResrRankContext *context, ResrModel *model, const ResrModelKey *key)
{
    if (key)
        context->key = *key;
    resr_compute_stop(context->compute);
    context->compute = NULL;
    resr_model_free(context->model);
    context->model = model;
    int ret = resr_weights_broadcast(&context->model, context->options->transport);
    if (ret < 0) {
        resr_model_free(context->model);
        context->model = NULL;
    }
    return ret;
}

/* Rank 0: copies the gathered probes. */
static int store_probes(const ResrRankContext *context, ResrRankContextProbe *probe)
{
    int ret = resr_alloc(&probe->all, (size_t)context->size, sizeof *probe->all);
    if (ret == 0)
        memcpy(probe->all, context->ranks, (size_t)context->size * sizeof *probe->all);
    return ret;
}

/* Collective. Probes the backends for the plan's kind of network, unless they were probed before.
 */
static int measure(ResrRankContext *context, const ResrPlan *plan, ResrRankInfo *own,
                   RankStatuses *statuses)
{
    bool root = context->rank == 0, computes = !root || !context->options->root_dedicated;
    ResrRankContextProbe *probe = &context->probes[plan->spec.arch == RESR_ARCH_SRVGG];
    if (probe->measured)
        return 0;
    probe->status = computes ? resr_select_backend_probe(&probe->own, (ResrArch)plan->spec.arch,
                                                         plan->precision, plan->backend,
                                                         plan->cpumask, context->threads)
                             : 0;
    if (probe->status < 0)
        resr_error_save(probe->error);
    own->probe = probe->own;
    resr_collectives_gather(context->ranks, own);
    resr_collectives_gather_status(statuses->codes, statuses->texts, probe->status);
    int ret = resr_collectives_share_status(root ? store_probes(context, probe) : 0);
    probe->measured = ret == 0;
    return ret;
}

/* Rank 0: sets the class and who encodes, or explains why no class is possible. */
static int choose(const ResrRankContext *context, ResrPlan *plan, const ResrOptions *options,
                  const ResrSinkPlan *output, const RankStatuses *statuses)
{
    bool known;
    int ret = resr_rank_context_choose_class(context, plan, options, output, &known);
    return ret < 0 && !plan->numerics_class[0] ? check_ranks(context, statuses) : ret;
}

/* Can the existing compute thread run the plan? */
static bool compute_fits(const ResrRankContext *context, const ResrOps *ops, const ResrPlan *plan)
{
    const ResrPlan *last = &context->plan;
    return context->compute && context->ops == ops &&
           memcmp(&last->tile, &plan->tile, sizeof plan->tile) == 0 &&
           memcmp(&last->input, &plan->input, sizeof plan->input) == 0 &&
           memcmp(&last->output, &plan->output, sizeof plan->output) == 0;
}

/* Starts this rank's compute thread with its fastest backend of the class, unless it fits. */
static int start_compute(ResrRankContext *context, const ResrPlan *plan, ResrRankInfo *own)
{
    const ResrOps *ops = resr_select_backend_fastest(&own->probe, plan->numerics_class);
    int ret = 0;
    resr_plan_expect_memory(plan, context->beside_root);
    if (!ops)
        return resr_fail(RESR_ERR_DEVICE,
                         "this CPU (%s) cannot run numerics class %s, in which "
                         "the other ranks are fastest; --precision chooses another",
                         own->cpu, plan->numerics_class);
    if (!compute_fits(context, ops, plan)) {
        resr_compute_stop(context->compute);
        context->compute = NULL;
        context->plan = *plan;
        context->ops = ops;
        resr_plan_simulate(plan, context->options, context->rank);
        ret = resr_compute_start(&context->compute, ops, context->model, &context->plan,
                                 context->threads);
    }
    if (ret < 0)
        return ret;
    snprintf(own->backend, sizeof own->backend, "%s", ops->name);
    own->threads = context->threads;
    own->workspace_bytes = (int64_t)resr_compute_workspace_bytes(context->compute);
    return 0;
}

int resr_rank_context_start(ResrRankContext *context, ResrPlan *plan, const ResrOptions *options,
                            const ResrSinkPlan *output)
{
    bool root = context->rank == 0, computes = !root || !context->options->root_dedicated;
    const ResrRankContextProbe *probe = probe_of(context, plan);
    RankStatuses statuses = {0};
    ResrRankInfo own;
    resr_rank_context_describe(&own, context->rank);
    own.cpus = context->cpus;
    int ret = resr_collectives_share_status(root ? alloc_statuses(context, &statuses) : 0);
    if (ret == 0)
        ret = measure(context, plan, &own, &statuses);
    if (ret == 0)
        ret = resr_collectives_share_status(root ? choose(context, plan, options, output, &statuses)
                                                 : 0);
    if (ret < 0)
        goto cleanup;
    resr_collectives_broadcast(plan, sizeof *plan);
    own.probe = probe->own;
    int status = probe->status < 0 ? resr_error_restore(probe->status, probe->error) : 0;
    if (computes && status == 0)
        status = start_compute(context, plan, &own);
    resr_collectives_gather(context->ranks, &own);
    resr_collectives_gather_status(statuses.codes, statuses.texts, status);
    ret = resr_collectives_share_status(root ? check_ranks(context, &statuses) : 0);
    for (int i = 0; root && ret == 0 && i < plan->ranks; i++)
        if (resr_report_device(&context->ranks[i]))
            resr_log_info("rank %d on %s: %s", i, context->ranks[i].host,
                          context->ranks[i].probe.device);
cleanup:
    free(statuses.codes);
    free(statuses.texts);
    return ret;
}

void resr_rank_context_end_job(ResrRankContext *context)
{
    if (!context->compute || !resr_compute_busy(context->compute))
        return;
    resr_compute_stop(context->compute);
    context->compute = NULL;
}

void resr_rank_context_detach_compute(ResrRankContext *context)
{
    context->compute = NULL;
    context->detached = true;
}

void resr_rank_context_end(ResrRankContext *context)
{
    resr_compute_stop(context->compute);
    if (!context->detached)
        resr_model_free(context->model);
    for (int i = 0; i < 2; i++)
        free(context->probes[i].all);
    free(context->ranks);
}
