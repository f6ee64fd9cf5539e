#ifndef RESR_NET_NET_H
#define RESR_NET_NET_H

#include <stdatomic.h>

#include "net/backend.h"

/* A network ready to run on one backend: packed weights and one run. One thread uses it; inside,
 * the backend's own threads (OpenMP) work. */
typedef struct ResrNet ResrNet;

/* `tile_px`, `tile_pad_px`: as in resr_tile_plan(); they bound the workspace together with the
 * frame's size. `threads` >= 1. The model is not needed afterwards. RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_net_create(ResrNet **out, const ResrOps *ops, const ResrModel *model,
                                    int frame_width_px, int frame_height_px, int tile_px,
                                    int tile_pad_px, int threads);
void resr_net_free(ResrNet *net);
size_t resr_net_workspace_bytes(const ResrNet *net);

/* Takes the memory for several tiles at once, where the backend does that; otherwise it is taken
 * when a frame first needs it. RESR_ERR_DEVICE: there is too little. */
RESR_MUST_CHECK int resr_net_reserve(ResrNet *net);

/* Upscales one frame of planar float RGB (frame_width_px x frame_height_px as given above) by the
 * network's scale, tile by tile: `out` planes of width*scale x height*scale. Odd sizes are extended
 * by reflection to a multiple of the unshuffle factor and cropped again, as the official scripts
 * do. `stop` (may be NULL) is polled between tiles: if it becomes non-zero, RESR_ERR_STOPPED.
 * RESR_ERR_DATA: the network's output has infinite values or NaN. */
RESR_MUST_CHECK int resr_net_upscale(ResrNet *net, float *const out[3], size_t out_stride,
                                     const float *const in[3], size_t in_stride,
                                     const atomic_bool *stop);

/* Frames whose colours the backend converts itself: how many it takes at once (up to
 * RESR_MAX_GROUP_FRAMES), 0 if it does not do that for these formats. `setup` without its tiles.
 * Then, for each group of frames: resr_net_submit_frames(), and, at most one group later,
 * resr_net_collect_frames(), which waits for the oldest and fills as many frames as it has.
 * RESR_ERR_DATA as above. */
RESR_MUST_CHECK int resr_net_begin_frames(ResrNet *net, const ResrFrameSetup *setup);
RESR_MUST_CHECK int resr_net_submit_frames(ResrNet *net, ResrFrame *const *in, int count);
RESR_MUST_CHECK int resr_net_collect_frames(ResrNet *net, ResrFrame *const *out);

#endif
