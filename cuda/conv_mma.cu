/* Variant mma: the convolution as an implicit GEMM of mma.sync.m16n8k16, sm_80 and later; of fp16,
 * and of bf16 as a variant of its own (--precision bf16), which differs in Element alone.
 *
 * A block of 8 warps computes 32 x 16 pixels (16 x 16 where there are 64 outputs), a warp 16 x 4
 * pixels x 32 outputs in 64 registers. Input channels come in slices of 16: the pixels with a
 * border of one, and the slice's weights, are copied to shared memory while the slice before is
 * multiplied (two stages of 34 to 39 KB, 68 to 77 KB a block: two blocks fit an SM with 164 KB and
 * more (sm_80, 90, 100), one an SM with 100 KB (sm_86, 89, 120), which then hides neither its first
 * copies nor its last stores behind another).
 *
 * The nine taps are shifted addresses of the same pixels. For one tap column a warp reads each of
 * its six input rows once and multiplies it with the weights of up to three tap rows, which stay in
 * registers: 36 reads of 512 bytes for 144 products, half of the rate of shared memory while
 * the tensor cores of an A100 are busy. Pixels lie 48 bytes apart, which is 3 x 16 bytes, so that 8
 * neighbours hit all 32 banks for every tap.
 *
 * Outputs are permuted within a warp's 32 (the packing does it), so that a lane ends up with 8
 * consecutive channels of a pixel and writes them at once (by __stcg: nvcc 13.0 splits a plain
 * store into four of 4 bytes). A call has fewer than 2^32 pixels, 128 bytes each or more. The order
 * of additions is the same for every pixel: results do not depend on how a frame was cut. */

#include "conv.cuh"
#include "epilogue.cuh"
#include "gpu.cuh"

#include "base/error.h"

namespace
{

enum {
    SLICE = 16,       /* input channels */
    PIXEL_BYTES = 48, /* of a slice in shared memory: 32 and the gap */
    WARP_X = 16,      /* pixels of a warp */
    WARP_Y = 4,
    WARPS = 8,
    THREADS = 32 * WARPS,
    TAPS = 9,
};

template <int N> struct Shape {
    static constexpr int warp_n = N < 32 ? N : 32, warps_n = N / warp_n;
    static constexpr int blocks_n = warp_n / 8; /* n8 products side by side */
    static constexpr int warps_x = 2 / warps_n, warps_y = WARPS / warps_n / warps_x;
    static constexpr int tile_x = warps_x * WARP_X, tile_y = warps_y * WARP_Y;
    static constexpr int halo_x = tile_x + 2, halo_y = tile_y + 2, halo_px = halo_x * halo_y;
    static constexpr int pixel_bytes = halo_px * PIXEL_BYTES;
    static constexpr int weight_bytes = TAPS * SLICE * N * 2;
    static constexpr int stage_bytes = pixel_bytes + weight_bytes;
    static constexpr int copies = (halo_px * 2 + THREADS - 1) / THREADS; /* of 16 bytes, a thread */
};

/* Where each of a thread's copies comes from, in units of 8 elements from the tile's first pixel;
 * -1: outside, zeros. */
template <int N> struct Sources {
    int offset[Shape<N>::copies];
};

template <int N>
__device__ __forceinline__ void find_sources(Sources<N> &sources, const ConvCall &call, int x0,
                                             int y0)
{
    using S = Shape<N>;
    int in_width = call.width >> call.upsample;
#pragma unroll
    for (int i = 0; i < S::copies; i++) {
        int piece = static_cast<int>(threadIdx.x) + i * THREADS, px = piece >> 1;
        int x = x0 - 1 + px % S::halo_x, y = y0 - 1 + px / S::halo_x;
        bool inside = px < S::halo_px && x >= 0 && x < call.width && y >= 0 && y < call.height;
        int from = (y >> call.upsample) * in_width + (x >> call.upsample);
        sources.offset[i] = inside ? from * (call.in_pitch >> 3) + (piece & 1) : -1;
    }
}

template <int N>
__device__ __forceinline__ void copy_slice(uint32_t stage, const Sources<N> &sources,
                                           const uint4 *pixels, const uint4 *weights)
{
    using S = Shape<N>;
#pragma unroll
    for (int i = 0; i < S::copies; i++) {
        int piece = static_cast<int>(threadIdx.x) + i * THREADS;
        int offset = sources.offset[i];
        if (piece < S::halo_px * 2)
            gpu_copy16(stage + (piece >> 1) * PIXEL_BYTES + (piece & 1) * 16,
                       pixels + (offset < 0 ? 0 : offset), offset >= 0);
    }
    for (int piece = static_cast<int>(threadIdx.x); piece < S::weight_bytes / 16; piece += THREADS)
        gpu_copy16(stage + S::pixel_bytes + piece * 16, weights + piece, true);
    gpu_copy_commit();
}

template <int N> using Sums = float[WARP_Y][Shape<N>::blocks_n][4];

/* One slice's products. `pixels`: of this lane's row of the warp's first pixels; `weights`: of this
 * lane and the warp's outputs. */
template <typename Element, int N>
__device__ __forceinline__ void multiply_slice(Sums<N> &sums, uint32_t pixels, uint32_t weights)
{
    using S = Shape<N>;
    constexpr int pairs = S::blocks_n / 2; /* a lane's 16 bytes of weights serve two n8 products */
#pragma unroll
    for (int dx = 0; dx < 3; dx++) {
        uint32_t b[3][pairs][4];
#pragma unroll
        for (int dy = 0; dy < 3; dy++)
#pragma unroll
            for (int pair = 0; pair < pairs; pair++)
                gpu_load16(b[dy][pair],
                           weights + (((dy * 3 + dx) * S::warps_n) * pairs + pair) * 512);
#pragma unroll
        for (int row = 0; row < WARP_Y + 2; row++) {
            uint32_t a[4];
            gpu_load_matrices(a, pixels + (row * S::halo_x + dx) * PIXEL_BYTES);
#pragma unroll
            for (int dy = 0; dy < 3; dy++) {
                int y = row - dy;
                if (y < 0 || y >= WARP_Y)
                    continue;
#pragma unroll
                for (int n = 0; n < S::blocks_n; n++)
                    gpu_mma<Element>(sums[y][n], a, b[dy][n / 2][n % 2 * 2],
                                     b[dy][n / 2][n % 2 * 2 + 1]);
            }
        }
    }
}

/* The centre tap's products of a slice. */
template <typename Element, int N>
__device__ __forceinline__ void multiply_centre(Sums<N> &sums, uint32_t pixels, uint32_t weights)
{
    using S = Shape<N>;
    constexpr int pairs = S::blocks_n / 2, centre = TAPS / 2;
    uint32_t b[pairs][4];
#pragma unroll
    for (int pair = 0; pair < pairs; pair++)
        gpu_load16(b[pair], weights + (centre * S::warps_n * pairs + pair) * 512);
#pragma unroll
    for (int y = 0; y < WARP_Y; y++) {
        uint32_t a[4];
        gpu_load_matrices(a, pixels + ((y + 1) * S::halo_x + 1) * PIXEL_BYTES);
#pragma unroll
        for (int n = 0; n < S::blocks_n; n++)
            gpu_mma<Element>(sums[y][n], a, b[n / 2][n % 2 * 2], b[n / 2][n % 2 * 2 + 1]);
    }
}

/* A lane holds, of 8 pixels, channels first.. in groups of four. */
template <typename Element, int N>
__device__ __forceinline__ void store_sums(const ConvCall &call, const Sums<N> &sums, int x0,
                                           int y0, int first)
{
    constexpr int quads = Shape<N>::blocks_n / 2;
    if (first >= call.cout)
        return;
    uint32_t first_px = (blockIdx.z * call.height + y0) * call.width + x0;
#pragma unroll
    for (int y = 0; y < WARP_Y; y++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            if (x0 + half * 8 >= call.width || y0 + y >= call.height)
                continue;
            uint32_t px = first_px + y * call.width + half * 8;
            uint2 out[quads];
#pragma unroll
            for (int q = 0; q < quads; q++) {
                const float *even = &sums[y][q * 2][half * 2], *odd = &sums[y][q * 2 + 1][half * 2];
                int channel = first + q * 4;
                size_t at = static_cast<size_t>(px) * EPILOGUE_PITCH + channel;
                out[q] =
                    epilogue<Element, N == 64>(call, make_float4(even[0], even[1], odd[0], odd[1]),
                                               px, channel, EpilogueOperands{call, at, channel});
            }
            if (!call.out)
                continue;
            Element *to = static_cast<Element *>(call.out) +
                          static_cast<size_t>(px) * call.out_pitch + call.out_channel + first;
            if constexpr (quads == 2)
                __stcg(reinterpret_cast<uint4 *>(to),
                       make_uint4(out[0].x, out[0].y, out[1].x, out[1].y));
            else
                __stcg(reinterpret_cast<uint2 *>(to), out[0]);
        }
}

template <typename Element, int N>
__global__ void __launch_bounds__(THREADS, 2) conv_mma_kernel(ConvCall call)
{
    using S = Shape<N>;
    extern __shared__ __align__(128) unsigned char shared[];
    uint32_t stages = gpu_shared_address(shared);
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    int group = warp % S::warps_n, place = warp / S::warps_n;
    int warp_x = place % S::warps_x * WARP_X, warp_y = place / S::warps_x * WARP_Y;
    int x0 = blockIdx.x * S::tile_x, y0 = blockIdx.y * S::tile_y;

    size_t in_px =
        static_cast<size_t>(call.height >> call.upsample) * (call.width >> call.upsample);
    const uint4 *pixels =
        static_cast<const uint4 *>(call.in) + blockIdx.z * in_px * (call.in_pitch >> 3);
    const uint4 *weights = static_cast<const uint4 *>(call.weights);
    Sources<N> sources;
    find_sources<N>(sources, call, x0, y0);
    Sums<N> sums;
#pragma unroll
    for (int y = 0; y < WARP_Y; y++)
#pragma unroll
        for (int n = 0; n < S::blocks_n; n++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                sums[y][n][i] = 0.0f;

    uint32_t row =
        stages + (warp_y * S::halo_x + warp_x + (lane & 15)) * PIXEL_BYTES + (lane >> 4) * 16;
    uint32_t part = stages + S::pixel_bytes + group * (S::blocks_n / 2) * 512 + lane * 16;
    bool useful = x0 + warp_x < call.width && y0 + warp_y < call.height;
    int slices = call.cin / SLICE;
    int full_slices = call.centre_from > 0 ? call.centre_from / SLICE : slices;
    copy_slice<N>(stages, sources, pixels, weights);
    for (int slice = 0; slice < slices; slice++) {
        uint32_t stage = (slice & 1) * S::stage_bytes;
        if (slice + 1 < slices) {
            copy_slice<N>(stages + (~slice & 1) * S::stage_bytes, sources, pixels + (slice + 1) * 2,
                          weights + static_cast<size_t>(slice + 1) * (S::weight_bytes / 16));
            gpu_copy_wait<1>();
        } else {
            gpu_copy_wait<0>();
        }
        __syncthreads();
        if (N == 64 && useful && slice >= full_slices)
            multiply_centre<Element, N>(sums, stage + row, stage + part);
        else if (useful)
            multiply_slice<Element, N>(sums, stage + row, stage + part);
        __syncthreads();
    }
    if (useful)
        store_sums<Element, N>(call, sums, x0 + warp_x + (lane >> 2), y0 + warp_y,
                               group * S::warp_n + (lane & 3) * (2 * S::blocks_n));
}

/* The kernel's number of outputs for a padded count. */
int kernel_outputs(int cout)
{
    return cout > 32 ? 64 : cout > 16 ? 32 : 16;
}

template <typename Element, int N> int launch(const ConvCall *call, cudaStream_t stream)
{
    using S = Shape<N>;
    int ret = resr_cuda_check(cudaFuncSetAttribute(conv_mma_kernel<Element, N>,
                                                   cudaFuncAttributeMaxDynamicSharedMemorySize,
                                                   2 * S::stage_bytes),
                              "conv_mma's shared memory");
    if (ret < 0)
        return ret;
    dim3 grid((call->width + S::tile_x - 1) / S::tile_x, (call->height + S::tile_y - 1) / S::tile_y,
              call->tiles);
    conv_mma_kernel<Element, N><<<grid, THREADS, 2 * S::stage_bytes, stream>>>(*call);
    return resr_cuda_check(cudaGetLastError(), "conv_mma");
}

int available(int capability, const char **why)
{
    *why = "mma.sync of fp16 needs compute capability 8.0";
    return capability >= 80;
}

int supports(const ConvCall *)
{
    return 1;
}

size_t packed_bytes(int cin, int cout)
{
    return static_cast<size_t>(cin / SLICE) * TAPS * SLICE * kernel_outputs(cout) * 2;
}

/* The input channel (of 16) and the output (of a warp's) of a lane's value `i` of 8: two n8
 * products side by side, each with the 2 x 2 rows of B that the instruction gives to a lane. */
void place_of(int *k, int *n, int lane, int i, int pair, int blocks_n)
{
    int block = pair * 2 + i / 4, column = lane / 4;
    *k = lane % 4 * 2 + i % 2 + i / 2 % 2 * 8;
    *n = column / 2 * (2 * blocks_n) + block * 2 + column % 2;
}

/* [slice][tap][group of a warp's outputs][pair of n8 products][lane][8]. */
template <typename Element>
void pack(void *out, const float *weights, int cin, int cout, int padded_cin, int padded_cout)
{
    int outputs = kernel_outputs(padded_cout), warp_n = outputs < 32 ? outputs : 32;
    int blocks_n = warp_n / 8;
    Element *to = static_cast<Element *>(out);
    for (int slice = 0; slice < padded_cin / SLICE; slice++)
        for (int tap = 0; tap < TAPS; tap++)
            for (int group = 0; group < outputs / warp_n; group++)
                for (int pair = 0; pair < blocks_n / 2; pair++)
                    for (int i = 0; i < 32 * 8; i++) {
                        int k, n;
                        place_of(&k, &n, i / 8, i % 8, pair, blocks_n);
                        k += slice * SLICE;
                        n += group * warp_n;
                        bool real = k < cin && n < cout;
                        size_t at = (static_cast<size_t>(n) * cin + k) * TAPS + tap;
                        *to++ = GpuElement<Element>::one(real ? weights[at] : 0.0f);
                    }
}

template <typename Element> int run(const ConvCall *call, cudaStream_t stream)
{
    switch (kernel_outputs(call->cout)) {
    case 16:
        return launch<Element, 16>(call, stream);
    case 32:
        return launch<Element, 32>(call, stream);
    default:
        return launch<Element, 64>(call, stream);
    }
}

} // namespace

const ConvVariant conv_variant_mma = {"mma",        available, supports,    packed_bytes,
                                      pack<__half>, nullptr,   run<__half>, 0};
const ConvVariant conv_variant_mma_bf16 = {
    "mma-bf16",          available, supports,           packed_bytes,
    pack<__nv_bfloat16>, nullptr,   run<__nv_bfloat16>, 1};
