#ifndef RESR_CPU_FORWARD_H
#define RESR_CPU_FORWARD_H

#include "cpu/packed_net.h"
#include "net/backend.h"

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
size_t resr_forward_workspace_bytes(const void *packed, int width_px, int height_px, int threads);
RESR_MUST_CHECK int resr_forward_run_create(void **run, const void *packed, int width_px,
                                            int height_px, int threads);
void resr_forward_run_free(void *run);
int resr_forward_head(void *run, const ResrTileIn *in);
int resr_forward_dense_block(void *run, int block, int dense, int last_of_rrdb);
int resr_forward_body_end(void *run);
int resr_forward_compact_body(void *run);
int resr_forward_upsample(void *run, int step);
int resr_forward_tail(void *run, const ResrTileOut *out);
int resr_forward_submit(void *run);
int resr_forward_wait(void *run); /* computes all that the stages have queued */
void resr_forward_release(void *packed);

#define RESR_FORWARD_OPS(ops_name, ops_class, is_available, do_prepare)                            \
    {                                                                                              \
        .name = (ops_name), .class = (ops_class), .available = (is_available),                     \
        .prepare = (do_prepare), .release = resr_forward_release,                                  \
        .workspace_bytes = resr_forward_workspace_bytes, .run_create = resr_forward_run_create,    \
        .run_free = resr_forward_run_free, .head = resr_forward_head,                              \
        .dense_block = resr_forward_dense_block, .body_end = resr_forward_body_end,                \
        .compact_body = resr_forward_compact_body, .upsample = resr_forward_upsample,              \
        .tail = resr_forward_tail, .submit = resr_forward_submit, .wait = resr_forward_wait,       \
    }

#endif
