#ifndef RESR_CUDA_FORWARD_PIXELS_H
#define RESR_CUDA_FORWARD_PIXELS_H

#include "forward_memory.h"

/* The pass's tiles, run->tiles of them, to the first convolution's input. */
RESR_MUST_CHECK int resr_cuda_put_tiles(Run *run, const ResrTileIn *in);

/* The body's rows first..first+rows-1 of the last convolution's output, which begins with its row
 * `top`, to where the tiles belong. */
RESR_MUST_CHECK int resr_cuda_finish_rows(const Run *run, int first, int rows, int top);

/* Enqueues the copy of results and flags to pinned memory; in a frame on the device they stay. */
RESR_MUST_CHECK int resr_cuda_get_tiles(Run *run);

#endif
