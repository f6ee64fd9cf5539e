#ifndef RESR_NET_SIMULATE_H
#define RESR_NET_SIMULATE_H

#include <stdatomic.h>

#include "net/backend.h"

/* A simulated device, `--backend simulate:SPEC`: takes the time of a device and computes nothing,
 * for planning and for tests of everything around the network. Its frames are the input's pixels
 * repeated, in a numerics class of their own. */
#define RESR_SIMULATION_MAX 16

/* A parsed SPEC. Plain data: sent between ranks as it is. */
typedef struct ResrSimulation {
    double frame_seconds; /* 0: from flops */
    double flops;         /* per second */
    double jitter;        /* largest relative deviation of a frame's time, 0..1 */
    uint64_t seed;        /* of the jitter, combined with the rank */
    double speedup;       /* factor on the speed of everything simulated; 1: real time */
    int32_t slow_count, fail_count;
    struct {
        int32_t rank;
        double value; /* slow: factor on a frame's time; fail: frames before the device fails */
    } slow[RESR_SIMULATION_MAX], fail[RESR_SIMULATION_MAX];
} ResrSimulation;

/* Parses SPEC: SECONDS/FRAMES (a batch of FRAMES takes SECONDS) or XTF (X TFLOP/s), then any of
 * ",jitter=P%", ",seed=N", ",slow=RANK:FACTOR", ",fail=RANK:FRAMES", ",time=FACTOR".
 * RESR_ERR_USAGE. */
RESR_MUST_CHECK int resr_simulation_parse(ResrSimulation *out, const char *spec);

/* Seconds of a frame of `frame_flops` operations on the device of `rank`. */
double resr_simulation_frame_seconds(const ResrSimulation *simulation, int rank,
                                     double frame_flops);

/* Sets this process's device. A frame has `frame_px` input pixels, without context, and
 * `frame_flops` operations, with context. Call before a context is created. */
void resr_simulation_set(const ResrSimulation *simulation, int rank, double frame_px,
                         double frame_flops);

/* Ends an idle period: the device does not catch up on time in which it had no work. Call from the
 * thread that runs the device. */
void resr_simulation_reset_debt(void);

/* Waits of the device end within 0.1 s of *stop being set, with RESR_ERR_STOPPED; NULL: never. Call
 * from the thread that runs the device. */
void resr_simulation_watch(const atomic_bool *stop);

extern const ResrOps resr_ops_simulate;

#endif
