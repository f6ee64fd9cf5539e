#ifndef RESR_CUDA_CONV_WGMMA_CUH
#define RESR_CUDA_CONV_WGMMA_CUH

#include "conv.cuh"

/* variant wgmma's second way to lay pixels in shared memory, 16-byte rows without a swizzle (four
 * times the copies): for tests, for bench, and for a GPU that should not take the first. Same
 * results. */
#ifdef __cplusplus
extern "C" {
#endif
extern const ConvVariant conv_variant_wgmma_plain;
#ifdef __cplusplus
}
#endif

#endif
