#ifndef RESR_NET_UPSCALE_H
#define RESR_NET_UPSCALE_H

#include <stdatomic.h>

#include "base/frame.h"
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

/* Frames that are best submitted together: their tiles fill a GPU where those of one do not; 1
 * where that gains nothing. At most RESR_MAX_GROUP_FRAMES. */
int resr_upscaler_group(const ResrUpscaler *upscaler);

/* Groups that may be under way: one is computed while another one goes to or from a GPU. */
#define RESR_GROUPS_UNDER_WAY 2

/* Groups that should be: as many; 1 where resr_upscaler_submit() itself computes. */
int resr_upscaler_depth(const ResrUpscaler *upscaler);

/* Begins to upscale `count` frames, at most resr_upscaler_group(); they are not needed afterwards.
 * At most RESR_GROUPS_UNDER_WAY groups are submitted and not collected. `stop` (may be NULL) is
 * polled between tiles, or between groups where a GPU computes: RESR_ERR_STOPPED. */
RESR_MUST_CHECK int resr_upscaler_submit(ResrUpscaler *upscaler, ResrFrame *const *in, int count,
                                         const atomic_bool *stop);

/* Waits for the group submitted first and gives its next frame: a new one (the caller's) with the
 * same index, pts and duration as the input's. NULL if none is under way. An error drops the group.
 * RESR_ERR_DATA, here or at submission: the network's output has infinite values or NaN. */
RESR_MUST_CHECK int resr_upscaler_collect(ResrUpscaler *upscaler, ResrFrame **out);

#endif
