#ifndef RESR_NET_SELECT_BACKEND_H
#define RESR_NET_SELECT_BACKEND_H

#include "net/backend.h"

/* The choice of a numerics class for a job and of a backend for each rank, by measurement.
 *
 * Each rank measures its candidates: every backend that the options allow, in every class. Rank 0
 * chooses one class for all ranks from these probes, since the pixels depend on it. Each rank then
 * takes its fastest backend in this class. net/numerics.c has the rules of preference. */
#define RESR_MAX_CANDIDATES 16

typedef struct ResrCandidate {
    char backend[16], class[16];
    double flops;     /* direct convolution's operations per second; 0: not measured */
    int32_t numerics; /* ResrNumerics */
} ResrCandidate;

/* Plain data: sent between ranks as it is. */
typedef struct ResrProbe {
    int32_t count, threads;
    char device[256]; /* this rank's GPU, for reports; empty without one */
    ResrCandidate candidates[RESR_MAX_CANDIDATES];
} ResrProbe;

/* Measures the backends on a small network of `arch` with made-up weights. CPU backends run for a
 * few milliseconds each and are rated by one thread's processor time, multiplied by `threads`, so
 * that other programs on the machine do not affect the choice.
 *
 * `precision`: "bf16", "fp16", "fp32" or "exact": the classes of this precision; "all": all
 * classes; "auto": all but bf16 on GPUs, with `exact` measured only if there is nothing else.
 * `backend`: "auto" or a name. `cpumask`: bits of base/cpu_features.h. The scalar reference is a
 * candidate, but never measured. RESR_ERR_USAGE (unknown backend), RESR_ERR_DEVICE (none can run
 * here), RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_select_backend_probe(ResrProbe *out, ResrArch arch, const char *precision,
                                              const char *backend, unsigned cpumask, int threads);

/* Writes the class in which these ranks are fastest to `class`: the sum over ranks of each one's
 * best backend, divided by the class's handicap (net/numerics.c). RESR_ERR_DEVICE if no rank has a
 * candidate. */
RESR_MUST_CHECK int resr_select_backend_class(char class[16], const ResrProbe *probes, int n);

/* A probe's fastest backend in a class; NULL if there is none. */
const ResrOps *resr_select_backend_fastest(const ResrProbe *probe, const char *class);

/* Operations per second of this backend; 0: none, or not measured. */
double resr_select_backend_speed(const ResrProbe *probe, const char *class);

/* Measures the floating-point operations per second of `ops` on a small tile of `model`, the best
 * of a few runs, for estimates. RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_select_backend_flops(double *flops, const ResrOps *ops,
                                              const ResrModel *model, int threads);

#endif
