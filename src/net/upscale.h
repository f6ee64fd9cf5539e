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

/* Frames that may be under way at once: one is computed while another one goes to or from a GPU. */
#define RESR_FRAMES_UNDER_WAY 2

/* Begins to upscale `in`, which is not needed afterwards. At most RESR_FRAMES_UNDER_WAY are
 * submitted and not collected. `stop` (may be NULL) is polled between tiles, or between frames
 * where a GPU computes: RESR_ERR_STOPPED. */
RESR_MUST_CHECK int resr_upscaler_submit(ResrUpscaler *upscaler, const ResrFrame *in,
                                         const volatile int *stop);

/* Waits for the frame submitted first: a new frame (the caller's) with the same index, pts and
 * duration. NULL if none is under way. */
RESR_MUST_CHECK int resr_upscaler_collect(ResrUpscaler *upscaler, ResrFrame **out);

#endif
