#ifndef RESR_NET_TILE_AUTO_H
#define RESR_NET_TILE_AUTO_H

#include "model/model.h"
#include "net/tile.h"

/* -t auto: the tiles of a frame as a function of the network, the processor of the numerics class,
 * the frame's size and the context. Memory, threads, ranks and devices do not enter, so that every
 * machine, and every resume, computes the same pixels. */

/* Estimated bytes of an evaluation of the network on width_px x height_px input pixels, context
 * included: the feature maps that exist as a whole, the RGB planes of input and output, the packed
 * weights, and an allowance for the rest. CPUs: fp32 maps in blocks of 16 channels; of RRDBNet the
 * trunk, the RRDB's input and the head's output, of SRVGGNetCompact two maps and the head's input,
 * of SPAN also the four inputs of conv_cat. GPUs: the buffers of cuda/forward_memory.h with the
 * layers behind RRDBNet's body in bands. `numerics_class`: a name; all but those of GPUs count as a
 * CPU's. */
int64_t resr_tile_auto_bytes(const ResrNetSpec *spec, const char *numerics_class, int width_px,
                             int height_px);

/* The bound on these bytes: RESR_PLAN_BYTES or RESR_PLAN_GPU_BYTES. */
int64_t resr_tile_auto_limit(const char *numerics_class);

/* Pixels to whose multiples tiles are cut: the unshuffle factor times the grid of the kernels, a
 * multiple of the chroma subsampling. */
int resr_tile_auto_step(const ResrNetSpec *spec);

/* The whole frame if it is within the bound. Otherwise the fewest tiles of the frame's full width
 * that are; if these would be less than RESR_TILE_PX high, the fewest tiles of half the width, and
 * so on. Tiles are as even as resr_tile_auto_step() permits; the last one of a row or column may be
 * smaller. If no tile of RESR_TILE_PX a side is within the bound, tiles of that side. The frame's
 * size must be a multiple of the unshuffle factor. */
ResrTileSize resr_tile_auto(const ResrNetSpec *spec, const char *numerics_class, int frame_width_px,
                            int frame_height_px, int pad_px);

#endif
