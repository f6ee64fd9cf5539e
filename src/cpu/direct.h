#ifndef RESR_CPU_DIRECT_H
#define RESR_CPU_DIRECT_H

#include "cpu/packed_net.h"
#include "net/ops.h"

/* The stages of a network by direct convolutions, for every instruction set: an instruction set
 * brings its `available` and its packed network with kernels (`prepare`, `release`), the rest of
 * its table is here.
 *
 * The dense block's maps lie in one blocked map, in which conv1..4 append their outputs, and conv5
 * writes the next block's input into a second such map. The last three layers run as a wave, so
 * that a map of the full output size never exists. */
size_t resr_direct_workspace_bytes(const void *packed, int width_px, int height_px);
RESR_MUST_CHECK int resr_direct_run_create(void **run, const void *packed, int width_px,
                                           int height_px, int threads);
void resr_direct_run_free(void *run);
int resr_direct_head(void *run, const ResrTileIn *in);
int resr_direct_dense_block(void *run, int block, int dense, int last_of_rrdb);
int resr_direct_body_end(void *run);
int resr_direct_compact_body(void *run);
int resr_direct_upsample(void *run, int step);
int resr_direct_tail(void *run, const ResrTileOut *out);
int resr_direct_submit(void *run);
int resr_direct_wait(void *run); /* computes all that the stages have queued */

#define RESR_DIRECT_OPS(ops_name, is_available, do_prepare, do_release)                            \
    {                                                                                              \
        .name = (ops_name), .class = "exact", .available = (is_available),                         \
        .prepare = (do_prepare), .release = (do_release),                                          \
        .workspace_bytes = resr_direct_workspace_bytes, .run_create = resr_direct_run_create,      \
        .run_free = resr_direct_run_free, .head = resr_direct_head,                                \
        .dense_block = resr_direct_dense_block, .body_end = resr_direct_body_end,                  \
        .compact_body = resr_direct_compact_body, .upsample = resr_direct_upsample,                \
        .tail = resr_direct_tail, .submit = resr_direct_submit, .wait = resr_direct_wait,          \
    }

#endif
