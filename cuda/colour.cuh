#ifndef RESR_CUDA_COLOUR_CUH
#define RESR_CUDA_COLOUR_CUH

/* YUV to planar fp32 RGB and back on the device, as media/colour.h does it with zimg: the tagged
 * matrix and range, chroma by bicubic (b = 0, c = 0.5) at its position, mirrored at the edges with
 * the last sample repeated; no dither, integers rounded once, half to even. Valid C and C++. */

#include <cuda_runtime_api.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { COLOUR_UP_TAPS = 4, COLOUR_DOWN_TAPS = 8 };

/* One axis of chroma: for an even and an odd luma position, the first sample (from position / 2)
 * and the weights; for a chroma position, the first luma sample (from 2 * position) and the
 * weights. Not subsampled: `shift` 0, one sample. */
typedef struct ColourAxis {
    int shift;
    int up_first[2], down_first;
    float up[2][COLOUR_UP_TAPS], down[COLOUR_DOWN_TAPS];
} ColourAxis;

/* A frame's samples and their meaning. */
typedef struct ColourFrame {
    uint8_t *data;
    size_t offset[3], stride[3];                                /* bytes */
    int width, height;                                          /* luma */
    int sample_bytes, most;                                     /* 1 or 2; largest code value */
    float luma_offset, luma_scale, chroma_offset, chroma_scale; /* code = offset + scale * value */
    float kr, kb;                                               /* H.273's matrix */
    ColourAxis x, y;
} ColourFrame;

typedef struct ColourRgb {
    float *planar;
    size_t stride, plane; /* floats */
} ColourRgb;

/* Chroma weights of an axis; `position`: of a chroma sample among its two luma samples, in units of
 * half a luma sample: 0 on the first one, 1 between them. */
void resr_cuda_colour_axis(ColourAxis *axis, int shift, int position);

/* Enqueue; 0 or RESR_ERR_DEVICE. */
int resr_cuda_to_rgb(const ColourRgb *out, const ColourFrame *in, cudaStream_t stream);
int resr_cuda_from_rgb(const ColourFrame *out, const ColourRgb *in, cudaStream_t stream);

#ifdef __cplusplus
}
#endif

#endif
