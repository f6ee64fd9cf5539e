#ifndef RESR_NET_SIMULATE_H
#define RESR_NET_SIMULATE_H

#include <stdatomic.h>

#include "net/backend.h"

/* A device that takes its time and computes nothing, for planning and for tests of everything
 * around the network: `--backend simulate:SPEC`. Its frames are the input's pixels repeated, in a
 * numerics class of their own. Plain data: sent between ranks as it is. */
#define RESR_SIMULATION_MAX 16

typedef struct ResrSimulation {
    double frame_seconds; /* 0: from flops */
    double flops;         /* per second */
    double jitter;        /* a frame takes up to this part more or less, 0..1 */
    uint64_t seed;        /* of the jitter, with the rank's number */
    double speedup;       /* everything simulated is so many times faster; 1: real time */
    int32_t slow_count, fail_count;
    struct {
        int32_t rank;
        double value; /* slow: times as long; fail: after so many frames the device is gone */
    } slow[RESR_SIMULATION_MAX], fail[RESR_SIMULATION_MAX];
} ResrSimulation;

/* SPEC: SECONDS/FRAMES (a batch of FRAMES takes SECONDS) or XTF (X TFLOP/s), then any of
 * ",jitter=P%", ",seed=N", ",slow=RANK:FACTOR", ",fail=RANK:FRAMES", ",time=FACTOR".
 * RESR_ERR_USAGE. */
RESR_MUST_CHECK int resr_simulation_parse(ResrSimulation *out, const char *spec);

/* What a frame of so many operations takes on `rank`'s device. */
double resr_simulation_frame_seconds(const ResrSimulation *simulation, int rank,
                                     double frame_flops);

/* What this process's device is from now on: `frame_px` input pixels a frame, context left out, and
 * `frame_flops` with it. Before a run is created. */
void resr_simulation_set(const ResrSimulation *simulation, int rank, double frame_px,
                         double frame_flops);

/* There was no work for this process's device until now: what it did not do since its last frame is
 * not made up for. Called by the thread that runs it. */
void resr_simulation_idled(void);

/* Waits end within 0.1 s once *stop is set, with RESR_ERR_STOPPED. NULL: they do not. Called by the
 * thread that runs the device. */
void resr_simulation_watch(const atomic_bool *stop);

extern const ResrOps resr_ops_simulate;

#endif
