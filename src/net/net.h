#ifndef RESR_NET_NET_H
#define RESR_NET_NET_H

#include <stdatomic.h>

#include "net/backend.h"
#include "net/tile.h"

/* A network on one backend: packed weights and a context. One thread at a time may use it; the
 * backend has threads of its own (OpenMP). */
typedef struct ResrNet ResrNet;

/* `tile`: with the frame's size it determines the memory. `threads` >= 1. The model is not needed
 * afterwards. RESR_ERR_USAGE (tile sizes), RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_net_create(ResrNet **out, const ResrOps *ops, const ResrModel *model,
                                    int frame_width_px, int frame_height_px, ResrTileSize tile,
                                    int threads);
void resr_net_free(ResrNet *net);

/* Bytes of packed weights, context and extended frame. */
size_t resr_net_workspace_bytes(const ResrNet *net);

/* Multiply-accumulates of all pixels computed so far, counted as direct convolutions: by the
 * backend where it counts, else from the sizes of the tiles. */
double resr_net_computed_macs(const ResrNet *net);

/* Allocates for as many tiles together as the backend has memory for. Otherwise the first frame
 * does so. RESR_ERR_DEVICE: too little memory on the device. */
RESR_MUST_CHECK int resr_net_reserve(ResrNet *net);

/* Upscales one frame of planar float RGB, nominally 0..1, by the network's scale, in tiles. `in`:
 * planes of frame_width_px x frame_height_px; `out`: planes of these sizes times the scale, in
 * 0..1; strides in floats. Plane 3 is alpha and may be NULL; only networks with four channels use
 * it (NULL: opaque). A network with one channel computes the picture's luminance (0.299 R + 0.587 G
 * + 0.114 B), which becomes all three planes. As in the official scripts, a frame whose size is not
 * a multiple of the unshuffle factor is extended by reflection and cropped again. `stop` (may be
 * NULL) is polled between tiles: RESR_ERR_STOPPED once it is set. RESR_ERR_DATA: the network's
 * output has infinite values or NaN. */
RESR_MUST_CHECK int resr_net_upscale(ResrNet *net, float *const out[4], size_t out_stride,
                                     const float *const in[4], size_t in_stride,
                                     const atomic_bool *stop);

/* For backends that convert colours. resr_net_begin_frames() returns the largest group of frames,
 * up to RESR_MAX_GROUP_FRAMES, or 0 if the backend does not convert these formats; it sets `tiles`
 * of the setup itself. Then, for each group, resr_net_submit_frames() and, at most one group later,
 * resr_net_collect_frames(), which waits for the oldest group and fills as many frames as were
 * submitted. RESR_ERR_DATA as above. */
RESR_MUST_CHECK int resr_net_begin_frames(ResrNet *net, const ResrFrameSetup *setup);
RESR_MUST_CHECK int resr_net_submit_frames(ResrNet *net, ResrFrame *const *in, int count);
RESR_MUST_CHECK int resr_net_collect_frames(ResrNet *net, ResrFrame *const *out);

#endif
