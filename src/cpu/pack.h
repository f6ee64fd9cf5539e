#ifndef RESR_CPU_PACK_H
#define RESR_CPU_PACK_H

#include "cpu/conv.h"

/* Packs a convolution's weights, bias and slopes.
 *
 * Direct: [tile][ky][kx][ci][lanes of the tile]. A tile is two vectors of output channels; the last
 * tile is one vector if that is enough. Lanes without an output channel are zero. ci counts real
 * input channels; in_lanes[b] of them come from input block b.
 *
 * Winograd: U = G g G^T (cpu/winograd.c), computed in double and rounded once, as
 * [tile][frequency][cell][k][lanes of the tile]. A tile is tile_lanes output channels; the last
 * tile has as many blocks as are needed. k is the channel in the cell: 16 in fp32; 32 in bf16,
 * stored as [k / 2][lanes][k % 2]; 16 in emulated bf16, stored at [k ^ 1]. Places without a channel
 * are zero.
 *
 * `groups`: numbers of input channels that start a new block (or cell) each, ended by 0; their sum
 * is cin. `leaky`: LeakyReLU follows. `memory`: resr_conv_packed_bytes() bytes, 64-byte aligned and
 * zeroed; it must outlive `out`. */
void resr_conv_pack(ResrPackedConv *out, const ResrConv *conv, const int *groups, bool leaky,
                    const ResrConvKernels *kernels, void *memory);

/* Bytes of a packed convolution, a multiple of 64. */
size_t resr_conv_packed_bytes(const ResrConv *conv, const int *groups,
                              const ResrConvKernels *kernels);

#endif
