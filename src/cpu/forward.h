#ifndef RESR_CPU_FORWARD_H
#define RESR_CPU_FORWARD_H

#include "cpu/packed_net.h"
#include "net/backend.h"

/* The functions of a backend with kernels (ResrOps.kernels: a ResrNetKernels), for all instruction
 * sets and both ways to convolve; forward.c says how they work. net/backend.h has their contracts.
 */
RESR_MUST_CHECK int resr_forward_prepare(const ResrOps *self, void **packed,
                                         const ResrModel *model);
void resr_forward_release(void *packed);
size_t resr_forward_workspace_bytes(const void *packed, int width_px, int height_px, int threads);
RESR_MUST_CHECK int resr_forward_ctx_create(void **ctx, const void *packed, int width_px,
                                            int height_px, int threads);
void resr_forward_ctx_free(void *ctx);

/* Width of a panel (cpu/wavefront.h): the transformed inputs of a dense block of 64 and 32 features
 * then take 6 MB, with two threads. The second function, for tests and measurements, takes any
 * width; no bit of the result depends on it. */
#define RESR_PANEL_PX 256
RESR_MUST_CHECK int resr_forward_ctx_create_panels(void **ctx, const void *packed, int width_px,
                                                   int height_px, int threads, int panel_px);

int resr_forward_head(void *ctx, const ResrTileIn *in);
int resr_forward_dense_block(void *ctx, int block, int dense, bool last_of_rrdb);
int resr_forward_body_end(void *ctx);
int resr_forward_compact_body(void *ctx);
int resr_forward_upsample(void *ctx, int step);
int resr_forward_attention_block(void *ctx, int block);
int resr_forward_attention_end(void *ctx);
int resr_forward_tail(void *ctx, const ResrTileOut *out);
int resr_forward_wait(void *ctx, const atomic_bool *stop);
double resr_forward_computed_macs(const void *ctx);

/* These functions as initialisers of a ResrOps. */
#define RESR_FORWARD_OPS                                                                           \
    .prepare = resr_forward_prepare, .release = resr_forward_release,                              \
    .workspace_bytes = resr_forward_workspace_bytes, .ctx_create = resr_forward_ctx_create,        \
    .ctx_free = resr_forward_ctx_free, .head = resr_forward_head,                                  \
    .dense_block = resr_forward_dense_block, .body_end = resr_forward_body_end,                    \
    .compact_body = resr_forward_compact_body, .upsample = resr_forward_upsample,                  \
    .attention_block = resr_forward_attention_block, .attention_end = resr_forward_attention_end,  \
    .tail = resr_forward_tail, .wait = resr_forward_wait,                                          \
    .computed_macs = resr_forward_computed_macs

/* Defines the backend of a class; the other arguments are its kernels, a ResrNetKernels. */
#define RESR_FORWARD_BACKEND(ops, label, class, needs, ...)                                        \
    const ResrOps ops = {.name = label,                                                            \
                         .numerics = class,                                                        \
                         .cpu_needs = needs,                                                       \
                         .kernels = &(const ResrNetKernels){__VA_ARGS__},                          \
                         RESR_FORWARD_OPS}

#endif
