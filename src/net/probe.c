#include "net/probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "cpu/dispatch.h"
#include "net/net.h"

/* Tiles that are long enough to be in the kernels' stride: x4plus costs some 80 GFLOP, the small
 * networks that backends are chosen with 1 to 4. */
enum { PROBE_PX = 48, PROBE_RUNS = 3, CHOICE_RRDB_PX = 24, CHOICE_SRVGG_PX = 64 };

static int measure(double *flops, const ResrOps *ops, const ResrModel *model, int side_px,
                   int threads)
{
    ResrNet *net = NULL;
    float *in = NULL, *out = NULL;
    size_t scale = (size_t)model->spec.scale, side = (size_t)side_px;
    size_t in_px = side * side, out_px = in_px * scale * scale;
    *flops = 0;
    int ret = resr_alloc(&in, in_px, 3 * sizeof *in);
    if (ret == 0)
        ret = resr_alloc(&out, out_px, 3 * sizeof *out);
    if (ret == 0)
        ret = resr_net_create(&net, ops, model, side_px, side_px, 0, 0, threads);
    for (int i = 0; ret == 0 && i < PROBE_RUNS; i++) {
        const float *const in_planes[3] = {in, in + in_px, in + 2 * in_px};
        float *const out_planes[3] = {out, out + out_px, out + 2 * out_px};
        int64_t start_ns = resr_clock_ns();
        ret = resr_net_upscale(net, out_planes, side * scale, in_planes, side, NULL);
        double rate = 2 * (double)in_px * resr_spec_macs_per_px(&model->spec) /
                      resr_clock_seconds_since(start_ns);
        *flops = rate > *flops ? rate : *flops;
    }
    resr_net_free(net);
    free(in);
    free(out);
    return ret;
}

int resr_probe_flops(double *flops, const ResrOps *ops, const ResrModel *model, int threads)
{
    return measure(flops, ops, model, PROBE_PX, threads);
}

/* A network of the real channel counts, as short as can be. */
static int small_model(ResrModel **out, ResrArch arch)
{
    ResrNetSpec spec = {.arch = RESR_ARCH_RRDB,
                        .scale = 4,
                        .unshuffle = 1,
                        .num_blocks = 1,
                        .nf = 64,
                        .gc = 32,
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

static int allowed(const char *precision, const char *class)
{
    if (strcmp(precision, "bf16") == 0)
        return strncmp(class, "bf16", 4) == 0;
    return strcmp(precision, "auto") == 0 || strcmp(precision, "all") == 0 ||
           strcmp(precision, class) == 0;
}

/* `exact` is not timed where the choice cannot fall on it; `c` never, it would take seconds. */
static int add_candidate(ResrProbe *probe, const ResrOps *ops, const ResrModel *model, int timed)
{
    ResrCandidate *candidate = &probe->candidates[probe->count++];
    int side_px = model->spec.arch == RESR_ARCH_RRDB ? CHOICE_RRDB_PX : CHOICE_SRVGG_PX;
    *candidate = (ResrCandidate){.flops = 0};
    snprintf(candidate->backend, sizeof candidate->backend, "%s", ops->name);
    snprintf(candidate->class, sizeof candidate->class, "%s", ops->class);
    if (!timed || strcmp(ops->name, "c") == 0)
        return 0;
    return measure(&candidate->flops, ops, model, side_px, probe->threads);
}

static int none_found(const char *precision, const char *backend, int name_known)
{
    if (!name_known)
        return resr_fail(RESR_ERR_USAGE, "--backend %s: there is no such CPU backend", backend);
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

int resr_probe_backends(ResrProbe *out, ResrArch arch, const char *precision, const char *backend,
                        unsigned cpumask, int threads)
{
    ResrModel *model = NULL;
    const ResrOps *ops;
    int any_name = strcmp(backend, "auto") == 0, name_known = any_name, others = 0;
    *out = (ResrProbe){.threads = threads};
    int ret = small_model(&model, arch);
    for (int i = 0; ret == 0 && (ops = resr_cpu_ops(i)); i++) {
        int named = any_name || strcmp(ops->name, backend) == 0;
        name_known |= named;
        others += named && ops->available(cpumask) && strcmp(ops->class, "exact") != 0;
    }
    for (int i = 0; ret == 0 && (ops = resr_cpu_ops(i)) && out->count < RESR_MAX_CANDIDATES; i++) {
        int named = any_name || strcmp(ops->name, backend) == 0;
        int exact = strcmp(ops->class, "exact") == 0, automatic = strcmp(precision, "auto") == 0;
        if (named && allowed(precision, ops->class) && ops->available(cpumask))
            ret = add_candidate(out, ops, model, !(exact && automatic && others > 0));
    }
    resr_model_free(model);
    if (ret == 0 && out->count == 0)
        ret = none_found(precision, backend, name_known);
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

/* Of all ranks, in operations per second; `exact` and what was not measured come last. */
static double worth(const char *class, const ResrProbe *probes, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) {
        const ResrCandidate *best = best_in(&probes[i], class);
        sum += best ? 1 + best->flops : 0;
    }
    return strcmp(class, "exact") == 0      ? sum * 1e-12
           : strncmp(class, "bf16", 4) == 0 ? sum / 1.05
                                            : sum;
}

int resr_probe_choose(char class[16], const ResrProbe *probes, int n)
{
    double most = 0;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < probes[i].count; k++) {
            const char *candidate = probes[i].candidates[k].class;
            double value = worth(candidate, probes, n);
            if (value > most) {
                most = value;
                snprintf(class, 16, "%s", candidate);
            }
        }
    return most > 0 ? 0 : resr_fail(RESR_ERR_DEVICE, "no rank has a backend that can run the job");
}

const ResrOps *resr_probe_fastest(const ResrProbe *probe, const char *class)
{
    const ResrCandidate *best = best_in(probe, class);
    const ResrOps *ops;
    for (int i = 0; best && (ops = resr_cpu_ops(i)); i++)
        if (strcmp(ops->name, best->backend) == 0 && strcmp(ops->class, class) == 0)
            return ops;
    return NULL;
}
