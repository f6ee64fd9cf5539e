#ifndef RESR_CUDA_PIXELS_CUH
#define RESR_CUDA_PIXELS_CUH

/* Both ends of a network on the device. Valid C and C++. Planar images are fp32 RGB: per tile three
 * planes of height x width without gaps. */

#include <cuda_runtime_api.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What was seen of a tile, each 0 or 1; zero before the walk. An input that varies (by 1/16 from
 * its first value) and an output of which every value has the same bits do not go together. */
typedef struct PixelFlags {
    uint32_t in_varies, out_varies, not_finite, unused;
} PixelFlags;

typedef struct PixelsIn {
    const float *planar; /* [tiles][3][height][width] */
    void *out;           /* fp16 [pixel][channels] of height / factor x width / factor pixels */
    int channels,
        factor; /* pixel_unshuffle; channels: 3 * factor^2 rounded up to 16, zeros behind */
    int tiles, height, width;
    PixelFlags *flags; /* [tiles] */
} PixelsIn;

typedef struct PixelsOut {
    const float *last;    /* fp32 [pixel][pitch] of the last convolution, height x width pixels */
    int pitch, factor;    /* PixelShuffle (SRVGG); 1: none (RRDB) */
    const float *nearest; /* SRVGG: the input's planar [tiles][3][height][width], added; or NULL */
    int tiles, height, width;
    /* The part of the output (after the shuffle) that is kept, and where it goes: clamped to [0,
     * 1], NaN to 0. Per tile three planes of out_height x out_width. */
    int crop_x, crop_y, out_height, out_width;
    float *planar;
    PixelFlags *flags;
} PixelsOut;

/* Enqueue; 0 or RESR_ERR_DEVICE. */
int resr_cuda_pixels_in(const PixelsIn *call, cudaStream_t stream);
int resr_cuda_pixels_out(const PixelsOut *call, cudaStream_t stream);

#ifdef __cplusplus
}
#endif

#endif
