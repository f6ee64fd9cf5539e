#ifndef RESR_NET_UPSCALE_H
#define RESR_NET_UPSCALE_H

#include "media/frame.h"
#include "net/net.h"

/* The engine: one frame in the decoder's format to one frame in the encoder's, with colour
 * conversion on both sides of the network. Knows no MPI. One thread uses it. */
typedef struct ResrUpscaler ResrUpscaler;

/* `tile_px`, `tile_pad_px`, `threads`: as in resr_net_create(). The model is not needed afterwards.
 * RESR_ERR_DATA (formats that cannot be converted), RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_upscaler_create(ResrUpscaler **out, const ResrOps *ops,
                                         const ResrModel *model, const ResrFormat *input,
                                         const ResrFormat *output, int tile_px, int tile_pad_px,
                                         int threads);
void resr_upscaler_free(ResrUpscaler *upscaler);
size_t resr_upscaler_workspace_bytes(const ResrUpscaler *upscaler);

/* Upscales `in` into a new frame (the caller's) with the same index, pts and duration. `stop` (may
 * be NULL) is polled between tiles: RESR_ERR_STOPPED. */
RESR_MUST_CHECK int resr_upscaler_run(ResrUpscaler *upscaler, ResrFrame **out, const ResrFrame *in,
                                      const volatile int *stop);

#endif
