#include "net/probe.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "net/net.h"

/* A tile that is long enough to be in the kernels' stride and costs x4plus some 80 GFLOP. */
enum { PROBE_PX = 48, PROBE_RUNS = 3 };

int resr_probe_flops(double *flops, const ResrOps *ops, const ResrModel *model, int threads)
{
    ResrNet *net = NULL;
    float *in = NULL, *out = NULL;
    size_t scale = (size_t)model->spec.scale;
    size_t in_px = PROBE_PX * PROBE_PX, out_px = in_px * scale * scale;
    *flops = 0;
    int ret = resr_alloc(&in, in_px, 3 * sizeof *in);
    if (ret == 0)
        ret = resr_alloc(&out, out_px, 3 * sizeof *out);
    if (ret == 0)
        ret = resr_net_create(&net, ops, model, PROBE_PX, PROBE_PX, 0, 0, threads);
    for (int i = 0; ret == 0 && i < PROBE_RUNS; i++) {
        const float *const in_planes[3] = {in, in + in_px, in + 2 * in_px};
        float *const out_planes[3] = {out, out + out_px, out + 2 * out_px};
        int64_t start_ns = resr_clock_ns();
        ret = resr_net_upscale(net, out_planes, PROBE_PX * scale, in_planes, PROBE_PX, NULL);
        double rate = 2 * (double)in_px * resr_spec_macs_per_px(&model->spec) /
                      resr_clock_seconds_since(start_ns);
        *flops = rate > *flops ? rate : *flops;
    }
    resr_net_free(net);
    free(in);
    free(out);
    return ret;
}
