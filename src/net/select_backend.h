#ifndef RESR_NET_SELECT_BACKEND_H
#define RESR_NET_SELECT_BACKEND_H

#include "net/backend.h"

/* What a rank can compute with, measured: every backend that the options allow, in every numerics
 * class, with its speed. Plain data: sent between ranks as it is. */
#define RESR_MAX_CANDIDATES 16

typedef struct ResrCandidate {
    char backend[16], class[16];
    double flops; /* direct convolution's operations per second: those of one thread, times the
                     threads; 0: not measured (the scalar `c`) */
} ResrCandidate;

typedef struct ResrProbe {
    int32_t count, threads;
    char device[256]; /* this rank's GPU, for people; empty without one */
    ResrCandidate candidates[RESR_MAX_CANDIDATES];
} ResrProbe;

/* Times the backends on a small network of `arch` with made-up weights; a few milliseconds each, of
 * one thread's processor time on CPUs, so that other programs on the machine do not change the
 * choice. `precision`: "bf16", "fp16", "fp32" or "exact": which classes; "auto": all, but `exact`
 * is timed only if there is nothing else; "all": all are timed. `backend`: "auto" or a name;
 * `cpumask`: bits of cpu/dispatch.h. RESR_ERR_USAGE (no such backend), RESR_ERR_DEVICE (none can
 * run here),
 * RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_probe_backends(ResrProbe *out, ResrArch arch, const char *precision,
                                        const char *backend, unsigned cpumask, int threads);

/* The class that a job of these ranks runs fastest in, to `class`: the sum over ranks of each one's
 * best backend. For "auto" a class with bf16 operands must beat fp32 by a twentieth, so that
 * measurements that differ by noise do not change pixels, and `exact` is taken only where there is
 * nothing else. RESR_ERR_DEVICE if no rank has a candidate. */
RESR_MUST_CHECK int resr_probe_choose(char class[16], const ResrProbe *probes, int n);

/* The fastest of a probe's backends in a class; NULL if there is none. */
const ResrOps *resr_probe_fastest(const ResrProbe *probe, const char *class);

/* Its operations per second; 0: none, or not measured. */
double resr_probe_speed(const ResrProbe *probe, const char *class);

/* Floating-point operations per second of this process on a small tile of the model (best of a few
 * runs), for estimates. RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_probe_flops(double *flops, const ResrOps *ops, const ResrModel *model,
                                     int threads);

#endif
