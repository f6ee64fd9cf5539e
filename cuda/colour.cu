/* Colour conversion. A thread per pixel, or, from RGB, per chroma sample (8 x 8 pixels each);
 * neighbours share their samples through the L1 cache. About 1 % of a frame's time. */

#include "colour.cuh"

#include "base/error.h"
#include "conv.cuh"

#include <cmath>

namespace
{

enum { THREADS_X = 32, THREADS_Y = 8, DOWN = COLOUR_DOWN_TAPS };

/* Keys' cubic with a = -0.5 (b = 0, c = 0.5). */
double bicubic(double x)
{
    x = std::fabs(x);
    if (x < 1)
        return 1 + x * x * (1.5 * x - 2.5);
    return x < 2 ? 2 - x * (4 - x * (2.5 - 0.5 * x)) : 0;
}

/* The samples round `position` (of which sample i is at i + 0.5), `step` times as wide as the
 * filter has it: their first, and their weights, which add up to one. */
int filter_weights(float *weights, int taps, double position, double step)
{
    double first = std::floor(position - taps / 2.0 + 0.5), sum = 0;
    for (int i = 0; i < taps; i++)
        sum += bicubic((first + i + 0.5 - position) * step);
    for (int i = 0; i < taps; i++)
        weights[i] = static_cast<float>(bicubic((first + i + 0.5 - position) * step) / sum);
    return static_cast<int>(first);
}

__device__ __forceinline__ int mirrored(int position, int size)
{
    position = position < 0 ? -1 - position : position;
    position = position >= size ? 2 * size - 1 - position : position;
    return min(max(position, 0), size - 1);
}

__device__ __forceinline__ float sample_of(const ColourFrame &frame, int plane, int x, int y)
{
    const uint8_t *row = frame.data + frame.offset[plane] + y * frame.stride[plane];
    return frame.sample_bytes == 1 ? static_cast<float>(row[x])
                                   : static_cast<float>(reinterpret_cast<const uint16_t *>(row)[x]);
}

/* Chroma at a luma position, as a code value. */
__device__ float chroma_at(const ColourFrame &frame, int plane, int x, int y)
{
    int width = (frame.width + frame.x.shift) >> frame.x.shift;
    int height = (frame.height + frame.y.shift) >> frame.y.shift;
    int taps_x = frame.x.shift ? COLOUR_UP_TAPS : 1, taps_y = frame.y.shift ? COLOUR_UP_TAPS : 1;
    int phase_x = x & frame.x.shift, phase_y = y & frame.y.shift;
    int first_x = (x >> frame.x.shift) + frame.x.up_first[phase_x];
    int first_y = (y >> frame.y.shift) + frame.y.up_first[phase_y];
    float sum = 0.0f;
    for (int i = 0; i < taps_y; i++) {
        float row = 0.0f;
        for (int k = 0; k < taps_x; k++)
            row = fmaf(frame.x.up[phase_x][k],
                       sample_of(frame, plane, mirrored(first_x + k, width),
                                 mirrored(first_y + i, height)),
                       row);
        sum = fmaf(frame.y.up[phase_y][i], row, sum);
    }
    return sum;
}

__global__ void __launch_bounds__(THREADS_X *THREADS_Y)
    to_rgb_kernel(const __grid_constant__ ColourRgb out, const __grid_constant__ ColourFrame in)
{
    int x = blockIdx.x * THREADS_X + threadIdx.x, y = blockIdx.y * THREADS_Y + threadIdx.y;
    if (x >= in.width || y >= in.height)
        return;
    float luma = (sample_of(in, 0, x, y) - in.luma_offset) / in.luma_scale;
    float u = (chroma_at(in, 1, x, y) - in.chroma_offset) / in.chroma_scale;
    float v = (chroma_at(in, 2, x, y) - in.chroma_offset) / in.chroma_scale;
    float kg = 1.0f - in.kr - in.kb;
    float *to = out.planar + y * out.stride + x;
    to[0] = luma + 2.0f * (1.0f - in.kr) * v;
    to[out.plane] =
        luma - 2.0f * in.kb * (1.0f - in.kb) / kg * u - 2.0f * in.kr * (1.0f - in.kr) / kg * v;
    to[2 * out.plane] = luma + 2.0f * (1.0f - in.kb) * u;
}

__device__ __forceinline__ float luma_of(const ColourFrame &frame, const float (&rgb)[3])
{
    return frame.kr * rgb[0] + (1.0f - frame.kr - frame.kb) * rgb[1] + frame.kb * rgb[2];
}

__device__ __forceinline__ void store_code(const ColourFrame &frame, int plane, int x, int y,
                                           float code)
{
    int value = min(max(__float2int_rn(code), 0), frame.most);
    uint8_t *row = frame.data + frame.offset[plane] + y * frame.stride[plane];
    if (frame.sample_bytes == 1)
        row[x] = static_cast<uint8_t>(value);
    else
        reinterpret_cast<uint16_t *>(row)[x] = static_cast<uint16_t>(value);
}

__global__ void __launch_bounds__(THREADS_X *THREADS_Y)
    luma_kernel(const __grid_constant__ ColourFrame out, const __grid_constant__ ColourRgb in)
{
    int x = blockIdx.x * THREADS_X + threadIdx.x, y = blockIdx.y * THREADS_Y + threadIdx.y;
    if (x >= out.width || y >= out.height)
        return;
    const float *from = in.planar + y * in.stride + x;
    float rgb[3] = {from[0], from[in.plane], from[2 * in.plane]};
    store_code(out, 0, x, y, fmaf(luma_of(out, rgb), out.luma_scale, out.luma_offset));
}

/* The image is taken to end with whole chroma samples, its last column and row repeated. */
__global__ void __launch_bounds__(THREADS_X *THREADS_Y)
    chroma_kernel(const __grid_constant__ ColourFrame out, const __grid_constant__ ColourRgb in)
{
    int x = blockIdx.x * THREADS_X + threadIdx.x, y = blockIdx.y * THREADS_Y + threadIdx.y;
    int width = (out.width + out.x.shift) >> out.x.shift;
    int height = (out.height + out.y.shift) >> out.y.shift;
    if (x >= width || y >= height)
        return;
    int taps_x = out.x.shift ? DOWN : 1, taps_y = out.y.shift ? DOWN : 1;
    int first_x = (x << out.x.shift) + out.x.down_first;
    int first_y = (y << out.y.shift) + out.y.down_first;
    float rgb[3] = {0.0f, 0.0f, 0.0f};
    for (int i = 0; i < taps_y; i++) {
        int from_y = min(mirrored(first_y + i, height << out.y.shift), out.height - 1);
        float row[3] = {0.0f, 0.0f, 0.0f};
        for (int k = 0; k < taps_x; k++) {
            int from_x = min(mirrored(first_x + k, width << out.x.shift), out.width - 1);
            const float *from = in.planar + from_y * in.stride + from_x;
            for (int c = 0; c < 3; c++)
                row[c] = fmaf(out.x.down[k], from[c * in.plane], row[c]);
        }
        for (int c = 0; c < 3; c++)
            rgb[c] = fmaf(out.y.down[i], row[c], rgb[c]);
    }
    float luma = luma_of(out, rgb);
    float u = (rgb[2] - luma) / (2.0f * (1.0f - out.kb));
    float v = (rgb[0] - luma) / (2.0f * (1.0f - out.kr));
    store_code(out, 1, x, y, fmaf(u, out.chroma_scale, out.chroma_offset));
    store_code(out, 2, x, y, fmaf(v, out.chroma_scale, out.chroma_offset));
}

dim3 blocks_for(int width, int height)
{
    return dim3((width + THREADS_X - 1) / THREADS_X, (height + THREADS_Y - 1) / THREADS_Y);
}

} // namespace

void resr_cuda_colour_axis(ColourAxis *axis, int shift, int position)
{
    *axis = {};
    axis->shift = shift;
    axis->up[0][0] = axis->down[0] = 1.0f;
    if (!shift)
        return;
    /* A chroma sample lies (position + 1) / 2 luma samples behind its pair's beginning. */
    double behind = (position + 1) / 2.0;
    for (int phase = 0; phase < 2; phase++)
        axis->up_first[phase] =
            filter_weights(axis->up[phase], COLOUR_UP_TAPS, (phase + 0.5 - behind) / 2 + 0.5, 1);
    axis->down_first = filter_weights(axis->down, DOWN, behind, 0.5);
}

int resr_cuda_to_rgb(const ColourRgb *out, const ColourFrame *in, cudaStream_t stream)
{
    to_rgb_kernel<<<blocks_for(in->width, in->height), dim3(THREADS_X, THREADS_Y), 0, stream>>>(
        *out, *in);
    return resr_cuda_check(cudaGetLastError(), "to_rgb");
}

int resr_cuda_from_rgb(const ColourFrame *out, const ColourRgb *in, cudaStream_t stream)
{
    dim3 threads(THREADS_X, THREADS_Y);
    luma_kernel<<<blocks_for(out->width, out->height), threads, 0, stream>>>(*out, *in);
    int ret = resr_cuda_check(cudaGetLastError(), "luma");
    if (ret < 0)
        return ret;
    int width = (out->width + out->x.shift) >> out->x.shift;
    int height = (out->height + out->y.shift) >> out->y.shift;
    chroma_kernel<<<blocks_for(width, height), threads, 0, stream>>>(*out, *in);
    return resr_cuda_check(cudaGetLastError(), "chroma");
}
