#ifndef RESR_CPU_PACK_H
#define RESR_CPU_PACK_H

#include "cpu/conv.h"

/* Packs a convolution's weights, bias and slopes.
 *
 * Direct: output channels in tiles of two vectors, the last tile of one where that is enough:
 * [tile][ky][kx][ci][lanes of the tile], zero where there is no output channel. ci runs over the
 * real input channels; in_lanes[b] of them come from input block b.
 *
 * Winograd: U = G g G^T (Lavin and Gray, arXiv 1509.09308), in double, rounded once. Output
 * channels in tiles of tile_lanes, the last tile as many blocks as are needed:
 * [tile][frequency][cell][k] [lanes of the tile], k over the 16 channels of a cell in fp32; in bf16
 * [k / 2][lanes][k % 2] over its 32; in widened bf16 [k ^ 1] over its 16. Zero where there is no
 * channel.
 *
 * `groups`: the input channels as groups that begin a block (a cell) each, ended by 0, summing up
 * to cin. `leaky`: LeakyReLU follows. `memory`: 64-byte aligned and zeroed,
 * resr_conv_packed_bytes(). */
void resr_conv_pack(ResrPackedConv *out, const ResrConv *conv, const int *groups, int leaky,
                    const ResrConvKernels *kernels, void *memory);

/* A multiple of 64. */
size_t resr_conv_packed_bytes(const ResrConv *conv, const int *groups,
                              const ResrConvKernels *kernels);

#endif
