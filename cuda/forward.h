#ifndef RESR_CUDA_FORWARD_H
#define RESR_CUDA_FORWARD_H

#include "net/backend.h"
#include "weights.h"

/* The forward pass of a network on a device: the layers of ResrOps (net/backend.h). `packed` is a
 * NetWeights. A run belongs to the thread that uses it. Every call selects the device first. */

size_t resr_cuda_workspace_bytes(const void *packed, int width_px, int height_px, int threads);
RESR_MUST_CHECK int resr_cuda_ctx_create(void **run, const void *packed, int width_px,
                                         int height_px, int threads);
void resr_cuda_ctx_free(void *run);
RESR_MUST_CHECK int resr_cuda_reserve(void *run, int wanted, int context_px, int *tiles);
void resr_cuda_set_tiles(void *run, int tiles);
RESR_MUST_CHECK int resr_cuda_head(void *run, const ResrTileIn *in);
RESR_MUST_CHECK int resr_cuda_dense_block(void *run, int block, int dense, bool last_of_rrdb);
RESR_MUST_CHECK int resr_cuda_body_end(void *run);
RESR_MUST_CHECK int resr_cuda_compact_body(void *run);
RESR_MUST_CHECK int resr_cuda_attention_block(void *run, int block);
RESR_MUST_CHECK int resr_cuda_attention_end(void *run);
RESR_MUST_CHECK int resr_cuda_upsample(void *run, int step);
RESR_MUST_CHECK int resr_cuda_tail(void *run, const ResrTileOut *out);
RESR_MUST_CHECK int resr_cuda_wait(void *run, const atomic_bool *stop);

/* The program's resr_log_warn. */
extern void (*resr_cuda_warn)(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
