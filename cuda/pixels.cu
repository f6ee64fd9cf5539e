/* Pixels in and out of a network. A thread per pixel of the network's grid; memory-bound, and less
 * than a hundredth of the convolutions' time. */

#include "pixels.cuh"

#include "base/error.h"
#include "conv.cuh"
#include "gpu.cuh"

namespace
{

enum { THREADS = 128, GROUP = 16 };

/* The pixel of this thread; false behind the last. */
__device__ bool own_pixel(size_t *px, int tiles, int height, int width)
{
    *px = static_cast<size_t>(blockIdx.x) * THREADS + threadIdx.x;
    return *px < static_cast<size_t>(tiles) * height * width;
}

__device__ __forceinline__ int mirrored(int position, int size)
{
    if (position < size)
        return position;
    int back = 2 * (size - 1) - position;
    return back > 0 ? back : 0;
}

__device__ __forceinline__ float pixel_of(const PixelsImage &image, size_t tile, int colour, int x,
                                          int y)
{
    x = mirrored(image.tile[tile].x + x, image.width);
    y = mirrored(image.tile[tile].y + y, image.height);
    return image.planar[image.tile[tile].base + colour * image.plane + y * image.stride + x];
}

template <typename Element>
__global__ void __launch_bounds__(THREADS) pixels_in_kernel(const __grid_constant__ PixelsIn call)
{
    size_t px;
    int factor = call.factor, width = call.width / factor, height = call.height / factor;
    if (!own_pixel(&px, call.tiles, height, width))
        return;
    size_t tile = px / (static_cast<size_t>(height) * width);
    int x = static_cast<int>(px % width), y = static_cast<int>(px / width % height);
    float first = pixel_of(call.in, tile, 0, 0, 0);
    bool varies = false;
    for (int group = 0; group < call.channels; group += GROUP) {
        __align__(16) Element out[GROUP];
#pragma unroll
        for (int i = 0; i < GROUP; i++) {
            int channel = group + i, colour = channel / (factor * factor);
            int dy = channel / factor % factor, dx = channel % factor;
            float v = 0.0f;
            if (colour < call.colours) {
                v = pixel_of(call.in, tile, colour, x * factor + dx, y * factor + dy);
                varies |= fabsf(v - first) > 0.0625f;
                v = (v - call.mean[colour]) * call.scale;
            }
            out[i] = GpuElement<Element>::one(v);
        }
        uint4 *to = reinterpret_cast<uint4 *>(static_cast<Element *>(call.out) +
                                              px * call.channels + group);
        to[0] = *reinterpret_cast<const uint4 *>(&out[0]);
        to[1] = *reinterpret_cast<const uint4 *>(&out[8]);
    }
    if (varies)
        atomicOr(&call.flags[tile].in_varies, 1u);
}

__global__ void __launch_bounds__(THREADS) pixels_out_kernel(const __grid_constant__ PixelsOut call)
{
    size_t px;
    if (!own_pixel(&px, call.tiles, call.height, call.width))
        return;
    size_t tile_px = static_cast<size_t>(call.height) * call.width, tile = px / tile_px;
    int x = static_cast<int>(px % call.width), y = static_cast<int>(px / call.width % call.height);
    int factor = call.factor;
    const float *from = call.last + px * call.pitch;
    float first = call.last[tile * tile_px * call.pitch];
    if (call.add_nearest)
        first += pixel_of(call.in, tile, 0, 0, 0);
    bool varies = false, not_finite = false;
    for (int colour = 0; colour < call.colours; colour++) {
        float nearest = call.add_nearest ? pixel_of(call.in, tile, colour, x, y) : 0.0f;
        float *to = call.out.planar + call.out.tile[tile].base + colour * call.out.plane;
        for (int dy = 0; dy < factor; dy++)
            for (int dx = 0; dx < factor; dx++) {
                float v = from[(colour * factor + dy) * factor + dx];
                if (call.add_nearest)
                    v += nearest;
                varies |= v != first;
                not_finite |= !isfinite(v);
                v = v > 0.0f ? (v < 1.0f ? v : 1.0f) : 0.0f;
                int out_x = x * factor + dx - call.crop_x, out_y = y * factor + dy - call.crop_y;
                if (out_x >= 0 && out_x < call.out_width && out_y >= 0 && out_y < call.out_height)
                    to[(call.out.tile[tile].y + out_y) * call.out.stride + call.out.tile[tile].x +
                       out_x] = v;
            }
    }
    if (varies)
        atomicOr(&call.flags[tile].out_varies, 1u);
    if (not_finite)
        atomicOr(&call.flags[tile].not_finite, 1u);
}

unsigned blocks_for(int tiles, int height, int width)
{
    size_t px = static_cast<size_t>(tiles) * height * width;
    return static_cast<unsigned>((px + THREADS - 1) / THREADS);
}

} // namespace

int resr_cuda_pixels_in(const PixelsIn *call, cudaStream_t stream)
{
    unsigned blocks =
        blocks_for(call->tiles, call->height / call->factor, call->width / call->factor);
    if (call->bf16)
        pixels_in_kernel<__nv_bfloat16><<<blocks, THREADS, 0, stream>>>(*call);
    else
        pixels_in_kernel<__half><<<blocks, THREADS, 0, stream>>>(*call);
    return resr_cuda_check(cudaGetLastError(), "pixels_in");
}

int resr_cuda_pixels_out(const PixelsOut *call, cudaStream_t stream)
{
    unsigned blocks = blocks_for(call->tiles, call->height, call->width);
    pixels_out_kernel<<<blocks, THREADS, 0, stream>>>(*call);
    return resr_cuda_check(cudaGetLastError(), "pixels_out");
}
