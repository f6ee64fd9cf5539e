#ifndef RESR_CUDA_PIXELS_CUH
#define RESR_CUDA_PIXELS_CUH

/* Both ends of a network on the device. Valid C and C++. */

#include <cuda_runtime_api.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Limit of the tiles of a pass: their places are parameters of the kernels. */
enum { PIXELS_MAX_TILES = 64, PIXELS_COLOURS = 4 };

/* Findings about a tile, each 0 or 1; zero before the pass. An input that varies (by 1/16 from
 * its first value) and an output of which every value has the same bits do not go together. */
typedef struct PixelFlags {
    uint32_t in_varies, out_varies, not_finite, unused;
} PixelFlags;

/* Planar fp32: gray, RGB, or RGB and alpha. Value (c, x, y) of a tile is planar[base + c * plane +
 * (tile.y + y) * stride + tile.x + x]. Inputs beyond width and height are mirrored at the last
 * pixel, which is not repeated. Either one frame that the tiles are parts of, or tiles one after
 * the other. */
typedef struct PixelsImage {
    float *planar;
    size_t stride, plane;
    int width, height;
    struct {
        size_t base;
        int x, y;
    } tile[PIXELS_MAX_TILES];
} PixelsImage;

typedef struct PixelsIn {
    PixelsImage in;
    void *out;            /* fp16 [pixel][channels] of height / factor x width / factor pixels */
    int bf16;             /* 1: bf16 instead */
    int colours;          /* 1, 3 or 4 */
    int channels, factor; /* pixel_unshuffle; channels: colours * factor^2 rounded up to
                           * 16, zeros behind */
    float mean[PIXELS_COLOURS], scale; /* (value - mean) * scale is stored */
    int tiles, height, width;
    PixelFlags *flags; /* [tiles] */
} PixelsIn;

typedef struct PixelsOut {
    const float *last; /* fp32 [pixel][pitch] of the last convolution, height x width pixels */
    int pitch, factor; /* PixelShuffle (SRVGG); 1: none (RRDB) */
    int colours;
    int add_nearest; /* SRVGG: the input is added */
    PixelsImage in, out;
    int tiles, height, width;
    /* The part of the output (after the shuffle) that is kept: its first pixel is the tile's in
     * `out`. Values are clamped to [0, 1], NaN to 0. */
    int crop_x, crop_y, out_height, out_width;
    PixelFlags *flags;
} PixelsOut;

/* Enqueue; 0 or RESR_ERR_DEVICE. */
int resr_cuda_pixels_in(const PixelsIn *call, cudaStream_t stream);
int resr_cuda_pixels_out(const PixelsOut *call, cudaStream_t stream);

#ifdef __cplusplus
}
#endif

#endif
