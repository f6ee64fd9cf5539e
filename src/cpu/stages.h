#ifndef RESR_CPU_STAGES_H
#define RESR_CPU_STAGES_H

#include "cpu/packed_net.h"
#include "net/ops.h"

/* The stages of a network for every instruction set and way to convolve: a backend brings its
 * `available` and its packed network with kernels (`prepare`, `release`), the rest of its table is
 * here.
 *
 * A dense block runs as a wave. Its maps lie in one blocked map, in which conv1..4 append their
 * outputs, and conv5 writes the next block's input into a second such map. Where kernels share
 * transformed inputs (ResrWinogradKernels.shared), those lie in a ring of rows instead, each map
 * being transformed once for all the convolutions that read it; conv1..4 then write rings of rows,
 * and conv5 updates the trunk in place, some rows behind conv1. The last three layers run as a wave
 * too, so that a map of the full output size never exists. */
size_t resr_stages_workspace_bytes(const void *packed, int width_px, int height_px, int threads);
RESR_MUST_CHECK int resr_stages_run_create(void **run, const void *packed, int width_px,
                                           int height_px, int threads);
void resr_stages_run_free(void *run);
int resr_stages_head(void *run, const ResrTileIn *in);
int resr_stages_dense_block(void *run, int block, int dense, int last_of_rrdb);
int resr_stages_body_end(void *run);
int resr_stages_compact_body(void *run);
int resr_stages_upsample(void *run, int step);
int resr_stages_tail(void *run, const ResrTileOut *out);
int resr_stages_submit(void *run);
int resr_stages_wait(void *run); /* computes all that the stages have queued */
void resr_stages_release(void *packed);

#define RESR_STAGES_OPS(ops_name, ops_class, is_available, do_prepare)                             \
    {                                                                                              \
        .name = (ops_name), .class = (ops_class), .available = (is_available),                     \
        .prepare = (do_prepare), .release = resr_stages_release,                                   \
        .workspace_bytes = resr_stages_workspace_bytes, .run_create = resr_stages_run_create,      \
        .run_free = resr_stages_run_free, .head = resr_stages_head,                                \
        .dense_block = resr_stages_dense_block, .body_end = resr_stages_body_end,                  \
        .compact_body = resr_stages_compact_body, .upsample = resr_stages_upsample,                \
        .tail = resr_stages_tail, .submit = resr_stages_submit, .wait = resr_stages_wait,          \
    }

#endif
