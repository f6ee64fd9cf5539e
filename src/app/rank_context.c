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

void resr_rank_context_create(ResrRankContext *crew, int rank, int size, const ResrOptions *options)
{
    *crew = (ResrRankContext){.rank = rank, .size = size, .options = options};
    crew->threads = resr_collectives_threads(&crew->cpus);
    if (options->threads > 0)
        crew->threads = options->threads;
    resr_collectives_share_memory(rank > 0 || !options->root_dedicated);
}

static const ResrRankContextProbe *probe_of(const ResrRankContext *crew, const ResrPlan *plan)
{
    return &crew->probes[plan->spec.arch == RESR_ARCH_SRVGG];
}

/* Rank 0's place for what the ranks say. */
typedef struct Answers {
    int *statuses;
    char *texts;
} Answers;

static int alloc_answers(ResrRankContext *crew, Answers *answers)
{
    size_t ranks = (size_t)crew->size;
    int ret = crew->ranks ? 0 : resr_alloc(&crew->ranks, ranks, sizeof *crew->ranks);
    if (ret == 0)
        ret = resr_alloc(&answers->statuses, ranks, sizeof *answers->statuses);
    if (ret == 0)
        ret = resr_alloc(&answers->texts, ranks, RESR_ERROR_TEXT_BYTES);
    return ret;
}

/* Rank 0 judges what the ranks said: those that failed are left out with a warning. */
static int judge_ranks(const ResrRankContext *crew, const Answers *answers)
{
    int computing = 0, first = 0;
    const char *text = "";
    for (int i = 0; i < crew->size; i++) {
        computing += crew->ranks[i].threads > 0;
        if (answers->statuses[i] < 0 && crew->size > 1)
            resr_log_warn("rank %d on %s is left out: %s", i, crew->ranks[i].host,
                          answers->texts + (size_t)i * RESR_ERROR_TEXT_BYTES);
        if (first == 0 && answers->statuses[i] < 0) {
            first = answers->statuses[i];
            text = answers->texts + (size_t)i * RESR_ERROR_TEXT_BYTES;
        }
    }
    if (computing > 0)
        return 0;
    return first < 0 ? resr_fail(first, "no rank can run the job: %s", text)
                     : resr_fail(RESR_ERR_DEVICE, "no rank can run the job");
}

/* The class that the ranks run fastest in. */
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

int resr_rank_context_choose(const ResrRankContext *crew, ResrPlan *plan,
                             const ResrOptions *options, const ResrSinkPlan *output, bool *known)
{
    const ResrRankInfo *all = probe_of(crew, plan)->all;
    char *class = plan->numerics_class;
    bool can_run = false;
    int ret = 0;
    *known = all != NULL;
    if (!all)
        return 0;
    for (int i = 0; i < crew->size && class[0] && !can_run; i++)
        can_run = resr_select_backend_fastest(&all[i].probe, class) != NULL;
    if (class[0] && !can_run)
        return resr_fail(RESR_ERR_DEVICE,
                         "%s: the job was begun in numerics class %s, which no rank here can run; "
                         "go on where it was begun, or remove the job's folder to start over",
                         options->output, class);
    if (!class[0])
        ret = choose_class(class, all, crew->size);
    return ret < 0 ? ret : resr_plan_choose_encode(plan, options, output, all, crew->cpus);
}

static void look_at_file(ResrModelKey *key, const char *path)
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

int resr_rank_context_find_model(const ResrRankContext *crew, ResrModelKey *key,
                                 ResrModel **own_model, const ResrOptions *options)
{
    const char *path = options->model_path[0] ? options->model_path : NULL;
    const char *name = options->model_name[0] ? options->model_name : NULL;
    int scale = options->scale == 2 ? 2 : 4;
    *own_model = NULL;
    *key = (ResrModelKey){.scale = name ? 0 : scale, .denoise = options->denoise};
    memcpy(key->path, options->model_path, sizeof key->path);
    memcpy(key->name, options->model_name, sizeof key->name);
    if (crew->model)
        look_at_file(key, crew->model->path);
    if (crew->model && is_same(key, &crew->key))
        return 0;
    int ret = resr_model_find(own_model, path, name, scale, options->denoise);
    if (ret == 0)
        look_at_file(key, (*own_model)->path);
    return ret;
}

int resr_rank_context_adopt(ResrRankContext *crew, ResrModel *model, const ResrModelKey *key)
{
    if (key)
        crew->key = *key;
    resr_compute_stop(crew->compute);
    crew->compute = NULL;
    resr_model_free(crew->model);
    crew->model = model;
    int ret = resr_weights_broadcast(&crew->model, crew->options->transport);
    if (ret < 0) {
        resr_model_free(crew->model);
        crew->model = NULL;
    }
    return ret;
}

/* Rank 0: keeps what was gathered. */
static int keep_probes(const ResrRankContext *crew, ResrRankContextProbe *probe)
{
    int ret = resr_alloc(&probe->all, (size_t)crew->size, sizeof *probe->all);
    if (ret == 0)
        memcpy(probe->all, crew->ranks, (size_t)crew->size * sizeof *probe->all);
    return ret;
}

/* All ranks: what can they compute this kind of network with? */
static int measure(ResrRankContext *crew, const ResrPlan *plan, ResrRankInfo *own, Answers *answers)
{
    bool root = crew->rank == 0, computes = !root || !crew->options->root_dedicated;
    ResrRankContextProbe *probe = &crew->probes[plan->spec.arch == RESR_ARCH_SRVGG];
    if (probe->measured)
        return 0;
    probe->status = computes ? resr_select_backend_probe(&probe->own, (ResrArch)plan->spec.arch,
                                                         plan->precision, plan->backend,
                                                         plan->cpumask, crew->threads)
                             : 0;
    if (probe->status < 0)
        snprintf(probe->error, sizeof probe->error, "%s", resr_error_text());
    own->probe = probe->own;
    resr_collectives_gather(crew->ranks, own);
    resr_collectives_gather_status(answers->statuses, answers->texts, probe->status);
    int ret = resr_collectives_share_status(root ? keep_probes(crew, probe) : 0);
    probe->measured = ret == 0;
    return ret;
}

/* Rank 0: the class and who encodes, or why there is none. */
static int choose(const ResrRankContext *crew, ResrPlan *plan, const ResrOptions *options,
                  const ResrSinkPlan *output, const Answers *answers)
{
    bool known;
    int ret = resr_rank_context_choose(crew, plan, options, output, &known);
    return ret < 0 && !plan->numerics_class[0] ? judge_ranks(crew, answers) : ret;
}

/* Can the compute thread go on as it is? */
static bool fits(const ResrRankContext *crew, const ResrOps *ops, const ResrPlan *plan)
{
    const ResrPlan *then = &crew->plan;
    return crew->compute && crew->ops == ops && then->tile_px == plan->tile_px &&
           then->tile_pad_px == plan->tile_pad_px &&
           memcmp(&then->input, &plan->input, sizeof plan->input) == 0 &&
           memcmp(&then->output, &plan->output, sizeof plan->output) == 0;
}

/* The compute thread of this rank, with its fastest backend of the class. */
static int start_compute(ResrRankContext *crew, const ResrPlan *plan, ResrRankInfo *own)
{
    const ResrOps *ops = resr_select_backend_fastest(&own->probe, plan->numerics_class);
    int ret = 0;
    if (crew->rank == 0)
        resr_memory_expect(resr_plan_pool_bytes(plan));
    if (!ops)
        return resr_fail(RESR_ERR_DEVICE,
                         "this CPU (%s) cannot run numerics class %s, in which "
                         "the other ranks are fastest; --precision chooses another",
                         own->cpu, plan->numerics_class);
    if (!fits(crew, ops, plan)) {
        resr_compute_stop(crew->compute);
        crew->compute = NULL;
        crew->plan = *plan;
        crew->ops = ops;
        resr_plan_simulate(plan, crew->options, crew->rank);
        ret = resr_compute_start(&crew->compute, ops, crew->model, &crew->plan, crew->threads);
    }
    if (ret < 0)
        return ret;
    snprintf(own->backend, sizeof own->backend, "%s", ops->name);
    own->threads = crew->threads;
    own->workspace_bytes = (int64_t)resr_compute_workspace_bytes(crew->compute);
    return 0;
}

int resr_rank_context_start(ResrRankContext *crew, ResrPlan *plan, const ResrOptions *options,
                            const ResrSinkPlan *output)
{
    bool root = crew->rank == 0, computes = !root || !crew->options->root_dedicated;
    const ResrRankContextProbe *probe = probe_of(crew, plan);
    Answers answers = {0};
    ResrRankInfo own;
    resr_rank_context_describe(&own, crew->rank);
    own.cpus = crew->cpus;
    int ret = resr_collectives_share_status(root ? alloc_answers(crew, &answers) : 0);
    if (ret == 0)
        ret = measure(crew, plan, &own, &answers);
    if (ret == 0)
        ret =
            resr_collectives_share_status(root ? choose(crew, plan, options, output, &answers) : 0);
    if (ret < 0)
        goto cleanup;
    resr_collectives_broadcast(plan, sizeof *plan);
    own.probe = probe->own;
    int status = probe->status < 0 ? resr_fail(probe->status, "%s", probe->error) : 0;
    if (computes && status == 0)
        status = start_compute(crew, plan, &own);
    resr_collectives_gather(crew->ranks, &own);
    resr_collectives_gather_status(answers.statuses, answers.texts, status);
    ret = resr_collectives_share_status(root ? judge_ranks(crew, &answers) : 0);
    for (int i = 0; root && ret == 0 && i < plan->ranks; i++)
        if (resr_report_device(&crew->ranks[i]))
            resr_log_info("rank %d on %s: %s", i, crew->ranks[i].host, crew->ranks[i].probe.device);
cleanup:
    free(answers.statuses);
    free(answers.texts);
    return ret;
}

void resr_rank_context_rest(ResrRankContext *crew)
{
    if (!crew->compute || !resr_compute_busy(crew->compute))
        return;
    resr_compute_stop(crew->compute);
    crew->compute = NULL;
}

void resr_rank_context_forsake(ResrRankContext *crew)
{
    crew->compute = NULL;
    crew->forsaken = true;
}

void resr_rank_context_end(ResrRankContext *crew)
{
    resr_compute_stop(crew->compute);
    if (!crew->forsaken)
        resr_model_free(crew->model);
    for (int i = 0; i < 2; i++)
        free(crew->probes[i].all);
    free(crew->ranks);
}
