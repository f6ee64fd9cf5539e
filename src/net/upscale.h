#ifndef RESR_NET_UPSCALE_H
#define RESR_NET_UPSCALE_H

#include <stdatomic.h>

#include "base/frame.h"
#include "net/net.h"

/* The engine of a rank: frames in the decoder's format to frames in the encoder's, with colour
 * conversion before and after the network. One thread at a time may use it. Frames are submitted in
 * groups and collected one by one, in order:
 *
 *   while frames are left or in flight:
 *       submit a group while fewer than resr_upscaler_depth() groups are in flight
 *       collect the frames of the oldest group
 */
typedef struct ResrUpscaler ResrUpscaler;

/* `tile`, `threads`: as in resr_net_create(). The model is not needed afterwards.
 * RESR_ERR_DATA (formats that cannot be converted), RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_upscaler_create(ResrUpscaler **out, const ResrOps *ops,
                                         const ResrModel *model, const ResrFormat *input,
                                         const ResrFormat *output, ResrTileSize tile, int threads);
void resr_upscaler_free(ResrUpscaler *upscaler);

/* Bytes of the network and of the RGB images. */
size_t resr_upscaler_workspace_bytes(const ResrUpscaler *upscaler);

/* As resr_net_computed_macs(). */
double resr_upscaler_computed_macs(const ResrUpscaler *upscaler);

/* Best number of frames in a group, 1 to RESR_MAX_GROUP_FRAMES: the tiles of several frames fill a
 * GPU better than those of one. */
int resr_upscaler_group(const ResrUpscaler *upscaler);

/* Most groups in flight: one is computed while another is copied to or from a GPU. */
#define RESR_GROUPS_IN_FLIGHT 2

/* Best number of groups in flight: RESR_GROUPS_IN_FLIGHT; 1 if resr_upscaler_submit() itself
 * computes. */
int resr_upscaler_depth(const ResrUpscaler *upscaler);

/* Starts a group of `count` frames, 1 to resr_upscaler_group(), which are not needed afterwards. At
 * most RESR_GROUPS_IN_FLIGHT groups may be in flight. `stop` (may be NULL) is polled between tiles,
 * or between groups if a GPU computes: RESR_ERR_STOPPED once it is set. RESR_ERR_DATA: the
 * network's output has infinite values or NaN. */
RESR_MUST_CHECK int resr_upscaler_submit(ResrUpscaler *upscaler, ResrFrame *const *in, int count,
                                         const atomic_bool *stop);

/* Waits for the oldest group and returns its next frame in *out: a new frame, owned by the caller,
 * with the index, pts and duration of the input frame; NULL if no group is in flight. An error
 * discards the group. RESR_ERR_DATA as above. */
RESR_MUST_CHECK int resr_upscaler_collect(ResrUpscaler *upscaler, ResrFrame **out);

#endif
