#include "net/select_backend.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/cpu_features.h"
#include "base/memory.h"
#include "cpu/dispatch.h"
#include "net/cuda.h"
#include "net/net.h"
#include "net/simulate.h"

/* Tiles on which kernels reach their usual speed: about 80 GFLOP for x4plus, 1 to 4 GFLOP for the
 * small networks of the choice. */
enum { PROBE_PX = 48, PROBE_RUNS = 3, CHOICE_RRDB_PX = 24, CHOICE_SRVGG_PX = 64, CHOICE_RUNS = 5 };

/* A backend that takes longer in one run, an emulated device, is not run again.
 */
#define CHOICE_MAX_SECONDS 0.5

/* A network on one tile and its best times so far: elapsed, and processor time of all threads. */
typedef struct Timing {
    ResrNet *net;
    float *in, *out;
    size_t side_px, scale;
    double seconds, cpu_seconds;
} Timing;

static void end_timing(Timing *timing)
{
    resr_net_free(timing->net);
    free(timing->in);
    free(timing->out);
    *timing = (Timing){0};
}

static int start_timing(Timing *timing, const ResrOps *ops, const ResrModel *model, int side_px,
                        int threads)
{
    size_t scale = (size_t)model->spec.scale, side = (size_t)side_px;
    *timing = (Timing){.side_px = side, .scale = scale};
    timing->seconds = timing->cpu_seconds = INFINITY;
    int ret = resr_alloc(&timing->in, 3 * side * side, sizeof(float));
    if (ret == 0)
        ret = resr_alloc(&timing->out, 3 * side * side * scale * scale, sizeof(float));
    if (ret == 0)
        ret =
            resr_net_create(&timing->net, ops, model, side_px, side_px, (ResrTileSize){0}, threads);
    return ret;
}

static int run_timing(Timing *timing)
{
    size_t in_px = timing->side_px * timing->side_px,
           out_px = in_px * timing->scale * timing->scale;
    const float *const in[4] = {timing->in, timing->in + in_px, timing->in + 2 * in_px};
    float *const out[4] = {timing->out, timing->out + out_px, timing->out + 2 * out_px};
    int64_t start_ns = resr_clock_ns(), start_cpu_ns = resr_clock_cpu_ns();
    int ret = resr_net_upscale(timing->net, out, timing->side_px * timing->scale, in,
                               timing->side_px, NULL);
    double seconds = resr_clock_seconds_since(start_ns);
    timing->seconds = fmin(timing->seconds, seconds);
    timing->cpu_seconds =
        fmin(timing->cpu_seconds, (double)(resr_clock_cpu_ns() - start_cpu_ns) * 1e-9);
    return ret;
}

static double flops_in(const Timing *timing, const ResrNetSpec *spec, double seconds)
{
    return 2.0 * (double)(timing->side_px * timing->side_px) * resr_spec_macs_per_px(spec) /
           seconds;
}

int resr_select_backend_flops(double *flops, const ResrOps *ops, const ResrModel *model,
                              int threads)
{
    Timing timing;
    int ret = start_timing(&timing, ops, model, PROBE_PX, threads);
    for (int i = 0; ret == 0 && i < PROBE_RUNS; i++)
        ret = run_timing(&timing);
    *flops = ret == 0 ? flops_in(&timing, &model->spec, timing.seconds) : 0;
    end_timing(&timing);
    return ret;
}

/* A short network with the channel counts of the official ones. */
static int small_model(ResrModel **out, ResrArch arch)
{
    ResrNetSpec spec = {.arch = RESR_ARCH_RRDB,
                        .scale = 4,
                        .unshuffle = 1,
                        .num_blocks = 1,
                        .nf = 64,
                        .gc = 32,
                        .channels = 3,
                        .resize = 1};
    if (arch == RESR_ARCH_SRVGG) {
        spec.arch = RESR_ARCH_SRVGG;
        spec.num_blocks = 4;
        spec.gc = 0;
    }
    int ret = resr_model_create(out, &spec);
    for (size_t i = 0; ret == 0 && i < (*out)->arena_floats; i++)
        (*out)->arena[i] = 0.01f * (float)((int)(i * 7 % 13) - 6);
    return ret;
}

/* The simulated backend, the CPU's, then the GPU's; NULL past the end. */
static const ResrOps *ops_at(int index)
{
    int cpus = 0;
    if (index-- == 0)
        return &resr_ops_simulate;
    while (resr_cpu_ops(cpus))
        cpus++;
    return index < cpus ? resr_cpu_ops(index) : resr_cuda_backend_ops(index - cpus);
}

static bool allowed(const char *precision, const ResrOps *ops)
{
    const ResrNumericsInfo *info = resr_numerics(ops->numerics);
    if (strcmp(precision, "auto") == 0) /* a GPU's fp16 is as fast as its bf16, and more precise */
        return ops->numerics != RESR_NUMERICS_BF16_GPU;
    return strcmp(precision, "all") == 0 || strcmp(precision, info->precision) == 0;
}

static bool named(const char *backend, const ResrOps *ops)
{
    return strcmp(backend, ops->name) == 0 || (strcmp(backend, "auto") == 0 && !ops->by_name_only);
}

static const ResrOps *find_ops(const ResrCandidate *candidate)
{
    const ResrOps *ops;
    for (int i = 0; (ops = ops_at(i)); i++)
        if (strcmp(ops->name, candidate->backend) == 0 &&
            strcmp(resr_ops_class(ops), candidate->class) == 0)
            break;
    return ops;
}

/* Seconds of a run on cores without other load. CPU backends were measured with one thread and by
 * processor time, since other programs on the machine must not choose the class and with it the
 * pixels. (On two cores with 30 competing processes, two threads chose fp32 instead of bf16 in 15
 * of 32 cases by elapsed time, in 15 of 32 by processor time, since they wait for each other; one
 * thread chose it in none.) */
static double undisturbed_seconds(const Timing *timing, const ResrCandidate *candidate, int threads)
{
    bool on_cpu = resr_numerics((ResrNumerics)candidate->numerics)->needs == RESR_ON_CPU;
    return on_cpu ? timing->cpu_seconds / threads : timing->seconds;
}

static void add_candidate(ResrProbe *probe, const ResrOps *ops)
{
    ResrCandidate *candidate = &probe->candidates[probe->count++];
    *candidate = (ResrCandidate){.numerics = (int32_t)ops->numerics};
    snprintf(candidate->backend, sizeof candidate->backend, "%s", ops->name);
    snprintf(candidate->class, sizeof candidate->class, "%s", resr_ops_class(ops));
}

/* Whether a candidate is measured: not the scalar reference, which would take seconds, not a
 * simulated device, and `exact` only where the choice can fall on it. */
static bool is_timed(const ResrOps *ops, bool with_exact)
{
    return ops != resr_cpu_ops(0) && ops->numerics != RESR_NUMERICS_SIMULATED &&
           (with_exact || ops->numerics != RESR_NUMERICS_EXACT);
}

/* Measures the candidates in turns, so that a disturbance affects all of them; each one's best run
 * counts. With one thread: undisturbed_seconds() says why. */
static int time_candidates(ResrProbe *probe, const ResrModel *model, bool with_exact)
{
    Timing timings[RESR_MAX_CANDIDATES] = {{0}};
    int side_px = model->spec.arch == RESR_ARCH_RRDB ? CHOICE_RRDB_PX : CHOICE_SRVGG_PX, ret = 0;
    for (int i = 0; ret == 0 && i < probe->count; i++) {
        const ResrOps *ops = find_ops(&probe->candidates[i]);
        if (is_timed(ops, with_exact))
            ret = start_timing(&timings[i], ops, model, side_px, 1);
    }
    for (int run = 0; run < CHOICE_RUNS; run++)
        for (int i = 0; ret == 0 && i < probe->count; i++)
            if (timings[i].net && (run == 0 || timings[i].seconds < CHOICE_MAX_SECONDS))
                ret = run_timing(&timings[i]);
    for (int i = 0; i < probe->count; i++) {
        if (ret == 0 && timings[i].net)
            probe->candidates[i].flops =
                flops_in(&timings[i], &model->spec,
                         undisturbed_seconds(&timings[i], &probe->candidates[i], probe->threads));
        end_timing(&timings[i]);
    }
    return ret;
}

/* Reports why there is no candidate. */
static int none_found(const char *precision, const char *backend, bool name_known)
{
    bool is_cuda = strncmp(backend, "cuda", 4) == 0;
    bool wants_cuda = is_cuda || strcmp(precision, "fp16") == 0;
    if (wants_cuda && resr_cuda_backend_missing()[0])
        return resr_fail(RESR_ERR_DEVICE, "--backend cuda: %s", resr_cuda_backend_missing());
    if (!name_known && strncmp(backend, "cuda-", 5) == 0)
        return resr_fail(
            RESR_ERR_DEVICE,
            "--conv %s: this GPU does not run it (wgmma needs capability 9.0), or its "
            "library (cuBLASLt 12 or 13) was not found; leave the choice to --conv auto",
            backend + 5);
    if (!name_known)
        return resr_fail(RESR_ERR_USAGE,
                         "--backend %s: not a backend of this program; see --list-devices",
                         backend);
    if (is_cuda)
        return resr_fail(
            RESR_ERR_DEVICE,
            "--backend %s: it computes in fp16 (\"cuda\" and \"cuda-mma\" in bf16 too), not in "
            "--precision %s",
            backend, precision);
    if (strcmp(backend, "auto") != 0)
        return resr_fail(RESR_ERR_DEVICE,
                         "--backend %s: this CPU (%s) cannot run it with "
                         "--precision %s and this --cpumask",
                         backend, resr_cpu_brand(), precision);
    return resr_fail(RESR_ERR_DEVICE,
                     "--precision %s: this CPU (%s) has no instructions for it, or --cpumask "
                     "excludes them; give auto",
                     precision, resr_cpu_brand());
}

int resr_select_backend_probe(ResrProbe *out, ResrArch arch, const char *precision,
                              const char *backend, unsigned cpumask, int threads)
{
    ResrModel *model = NULL;
    const ResrOps *ops;
    bool automatic = strcmp(precision, "auto") == 0, only_exact = true;
    bool name_known = strcmp(backend, "auto") == 0;
    *out = (ResrProbe){.threads = threads};
    for (int i = 0; (ops = ops_at(i)) && out->count < RESR_MAX_CANDIDATES; i++) {
        name_known |= strcmp(ops->name, backend) == 0;
        if (!named(backend, ops) || !allowed(precision, ops) || !resr_cpu_can_run(ops, cpumask))
            continue;
        only_exact &= ops->numerics == RESR_NUMERICS_EXACT;
        add_candidate(out, ops);
    }
    snprintf(out->device, sizeof out->device, "%s", resr_cuda_backend_device());
    if (out->count == 0)
        return none_found(precision, backend, name_known);
    int ret = small_model(&model, arch);
    if (ret == 0)
        ret = time_candidates(out, model, !automatic || only_exact);
    resr_model_free(model);
    return ret;
}

static const ResrCandidate *best_in(const ResrProbe *probe, const char *class)
{
    const ResrCandidate *best = NULL;
    for (int i = 0; i < probe->count; i++) {
        const ResrCandidate *candidate = &probe->candidates[i];
        if (strcmp(candidate->class, class) == 0 && (!best || candidate->flops >= best->flops))
            best = candidate;
    }
    return best;
}

/* A rank's speed in a class. bf16 emulated with fp32 instructions is not faster than fp32, only
 * there for ranks among others with real bf16; a disturbed measurement must not make it faster. */
static double speed_in(const ResrProbe *probe, const char *class)
{
    const ResrCandidate *best = best_in(probe, class);
    const ResrCandidate *fp32 = best_in(probe, resr_numerics(RESR_NUMERICS_FP32)->name);
    bool same_instructions = best && fp32 && strcmp(best->backend, fp32->backend) == 0;
    return !best ? 0 : 1 + (same_instructions ? fmin(best->flops, fp32->flops) : best->flops);
}

/* Value of a candidate's class to all ranks together, in operations per second. */
static double worth(const ResrCandidate *candidate, const ResrProbe *probes, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += speed_in(&probes[i], candidate->class);
    return sum / resr_numerics((ResrNumerics)candidate->numerics)->handicap;
}

int resr_select_backend_class(char class[16], const ResrProbe *probes, int n)
{
    double most = 0;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < probes[i].count; k++) {
            const ResrCandidate *candidate = &probes[i].candidates[k];
            double value = worth(candidate, probes, n);
            if (value > most) {
                most = value;
                snprintf(class, 16, "%s", candidate->class);
            }
        }
    return most > 0 ? 0 : resr_fail(RESR_ERR_DEVICE, "no rank has a backend that can run the job");
}

double resr_select_backend_speed(const ResrProbe *probe, const char *class)
{
    const ResrCandidate *best = best_in(probe, class);
    return best ? best->flops : 0;
}

const ResrOps *resr_select_backend_fastest(const ResrProbe *probe, const char *class)
{
    const ResrCandidate *best = best_in(probe, class);
    return best ? find_ops(best) : NULL;
}
