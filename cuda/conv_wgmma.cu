/* Variant wgmma: the convolution for Hopper (sm_90a): TMA, mbarriers, warp-specialised wgmma.
 * No GPU has run it yet.
 *
 * Persistent blocks, one an SM: two warpgroups multiply, a third feeds them. A warpgroup walks
 * down a strip of 64 columns. Of each input row, in slices of 32 channels, one copy brings 72
 * pixels to its ring in shared memory; a tap column is the same pixels shifted by one, and all
 * three tap rows are multiplied at once: row r adds to the output rows r-1, r and r+1, whose sums
 * lie side by side (N = 96, or 192 for 64 outputs where their weights fit). So every activation is
 * fetched once, not nine times, and N is wide enough for the tensor core to be the wall (64 x 32
 * would wait for shared memory a third of the time).
 *
 * After row r output row r-1 is done and its third of the sums belongs to row r+2. The weights lie
 * as [1 0 2 1 0] by tap row, so that the turn of the thirds is an offset into them. They stay in
 * shared memory: 9 * 5/3 * 64 bytes an input channel for 32 outputs, 184,320 of 232,448 bytes for
 * 192 channels; 64 outputs of more than 96 channels are two halves, each with blocks of its own.
 *
 * Tiles lie side by side as columns of one image, with one column of zeros or more between them so
 * that each begins at a multiple of 8; strips of 64 cut that image (tiles of 138 columns fill 96 %
 * of the products, cut one by one they would fill 72 %). A strip's row comes in boxes of 8, 16, 32
 * or 64 pixels that begin in one tile; TMA fills pixels outside the tile with zeros.
 *
 * Enlarged inputs (nearest x2 before the convolution) are computed as their four phases, each a 2 x
 * 2 convolution of the small image with sums of the nine taps: 2.25 times fewer products. A pass
 * has every second column; an input row adds to four output rows (N = 128) and finishes two.
 *
 * Pixels lie 64 bytes apart with TMA's 64-byte swizzle: no bank conflicts for 8 pixels x 16 bytes,
 * for every shift. That a swizzled operand may begin at a pixel that is no multiple of 8 follows
 * from the PTX ISA's text (the swizzle is of the address) but has not been seen on a GPU;
 * variant wgmma-plain takes the second way, 16-byte rows without a swizzle, whose shift is plain
 * address arithmetic.
 *
 * Every pixel's additions come in the same order, wherever a strip or a segment begins: results do
 * not depend on how a frame was cut.
 *
 * Registers: 48, 96 or 64 sums a thread, 16 to 32 of a finished row, of 232, and for 32 outputs
 * bias, slope and the next finished row's residuals (16 + 32), loaded early; the feeding warpgroup
 * has 40. Share of the peak: not measured, no GPU has run this; README.md has counts, the model's
 * prediction and Winograd on paper. Tried before: two feeding warps without setmaxnreg, whose 168
 * registers spilled for 64 outputs. */

#include "conv_wgmma.cuh"
#include "wgmma_kernel.cuh"

#include "base/error.h"

namespace
{

typedef Shape<32, false> Narrow;
typedef Shape<64, false> Wide;
typedef Shape<32, true> Enlarged;

/* Outputs of one pass: 64 where their weights fit beside two rings. */
int pass_outputs(int cin, int cout)
{
    return cout == 64 && cin <= 96 ? 64 : 32;
}

/* Segments of each strip that let the workers end together: a segment reads two rows more. */
int choose_segments(int strips, int height, int workers)
{
    int best = 1;
    double least = 0;
    for (int segments = 1; segments <= height && segments <= 64; segments++) {
        double rounds = (static_cast<double>(strips) * segments + workers - 1) / workers;
        double rows = (height + segments - 1) / segments + (segments > 1 ? 2 : 0) + 0.5;
        double time = static_cast<int>(rounds) * rows;
        if (segments == 1 || time < least) {
            least = time;
            best = segments;
        }
    }
    return best;
}

typedef CUresult (*EncodeTensorMap)(CUtensorMap *, CUtensorMapDataType, cuuint32_t, void *,
                                    const cuuint64_t *, const cuuint64_t *, const cuuint32_t *,
                                    const cuuint32_t *, CUtensorMapInterleave, CUtensorMapSwizzle,
                                    CUtensorMapL2promotion, CUtensorMapFloatOOBfill);

/* The driver's function, without linking the driver. */
int find_encode(EncodeTensorMap *out)
{
    void *entry = nullptr;
    cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
#if CUDART_VERSION >= 12050
    cudaError_t error = cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &entry, 12000,
                                                         cudaEnableDefault, &found);
#else
    cudaError_t error =
        cudaGetDriverEntryPoint("cuTensorMapEncodeTiled", &entry, cudaEnableDefault, &found);
#endif
    int ret = resr_cuda_check(error, "cuTensorMapEncodeTiled");
    if (ret < 0)
        return ret;
    if (found != cudaDriverEntryPointSuccess || !entry)
        return resr_cuda_fail(RESR_ERR_DEVICE, "conv_wgmma: the driver has no tensor maps; update "
                                               "it to CUDA 12 or take --conv mma");
    *out = reinterpret_cast<EncodeTensorMap>(entry);
    return 0;
}

/* Maps of the input for boxes of 8, 16, 32 and 64 pixels: swizzled as (channel, x, y, tile), else
 * as (channel of 8, channels / 8, x, y, tile). */
int encode_boxes(Job *job, bool swizzled)
{
    const ConvCall &call = job->call;
    EncodeTensorMap encode = nullptr;
    int ret = find_encode(&encode);
    if (ret < 0)
        return ret;
    cuuint64_t pixel = static_cast<cuuint64_t>(call.in_pitch) * 2, row = pixel * job->in_width;
    cuuint64_t width = job->in_width, height = job->in_height, tiles = call.tiles;
    cuuint64_t channels = call.cin;
    cuuint64_t size4[] = {channels, width, height, tiles}, step4[] = {pixel, row, row * height};
    cuuint64_t size5[] = {8, channels / 8, width, height, tiles};
    cuuint64_t step5[] = {16, pixel, row, row * height};
    /* No channels behind the last that the call reads: fetched 128 bytes at a time, 96 channels
     * would cost a third more of the memory's rate. */
    CUtensorMapL2promotion promotion =
        call.cin % 64 ? CU_TENSOR_MAP_L2_PROMOTION_L2_64B : CU_TENSOR_MAP_L2_PROMOTION_L2_128B;
    for (int i = 0; i < BOXES; i++) {
        cuuint32_t box4[] = {SLICE, static_cast<cuuint32_t>(BOX_X) << i, 1, 1};
        cuuint32_t box5[] = {8, 1, static_cast<cuuint32_t>(BOX_X) << i, 1, 1};
        cuuint32_t every[] = {1, 1, 1, 1, 1};
        CUresult error =
            encode(&job->boxes[i], CU_TENSOR_MAP_DATA_TYPE_FLOAT16, swizzled ? 4 : 5,
                   const_cast<void *>(call.in), swizzled ? size4 : size5, swizzled ? step4 : step5,
                   swizzled ? box4 : box5, every, CU_TENSOR_MAP_INTERLEAVE_NONE,
                   swizzled ? CU_TENSOR_MAP_SWIZZLE_64B : CU_TENSOR_MAP_SWIZZLE_NONE, promotion,
                   CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
        if (error != CUDA_SUCCESS)
            return resr_cuda_fail(
                RESR_ERR_DEVICE,
                "conv_wgmma: tensor map of %d x %d x %d pixels, %d of %d channels: "
                "CUDA error %d; take --conv mma",
                call.tiles, call.height, call.width, call.cin, call.in_pitch,
                static_cast<int>(error));
    }
    return 0;
}

template <class S, bool SWIZZLED> int launch(Job *job, cudaStream_t stream)
{
    const ConvCall &call = job->call;
    int device = 0, sms = 0, ret;
    if ((ret = resr_cuda_check(cudaGetDevice(&device), "conv_wgmma's device")) < 0)
        return ret;
    ret = resr_cuda_check(cudaDeviceGetAttribute(&sms, cudaDevAttrMultiProcessorCount, device),
                          "conv_wgmma's device");
    if (ret < 0)
        return ret;
    int weights = call.cin / SLICE * S::slice_bytes;
    int stages = (SHARED_BYTES - BARRIER_BYTES - weights) / (GROUPS * STAGE_BYTES);
    job->stages = stages < STAGES_MAX ? stages : STAGES_MAX;
    int bytes = job->stages * GROUPS * STAGE_BYTES + weights + BARRIER_BYTES;
    job->passes = call.cout / S::outputs * S::rows;
    job->in_height = call.height / S::rows;
    job->in_width = call.width / S::rows;
    job->tile_columns = (job->in_width + BOX_X) / BOX_X * BOX_X;
    job->strips = (call.tiles * job->tile_columns + STRIP_X - 1) / STRIP_X;
    int blocks = sms / job->passes > 0 ? sms / job->passes : 1;
    job->segments = choose_segments(job->strips, job->in_height, blocks * GROUPS);
    int items = job->strips * job->segments;
    if (blocks > (items + GROUPS - 1) / GROUPS)
        blocks = (items + GROUPS - 1) / GROUPS;
    if ((ret = encode_boxes(job, SWIZZLED)) < 0)
        return ret;
    ret = resr_cuda_check(cudaFuncSetAttribute(conv_wgmma_kernel<S, SWIZZLED>,
                                               cudaFuncAttributeMaxDynamicSharedMemorySize, bytes),
                          "conv_wgmma's shared memory");
    if (ret < 0)
        return ret;
    conv_wgmma_kernel<S, SWIZZLED><<<blocks * job->passes, THREADS, bytes, stream>>>(*job);
    return resr_cuda_check(cudaGetLastError(), "conv_wgmma");
}

int available(int capability, const char **why)
{
    *why = "wgmma needs compute capability 9.0 (sm_90a)";
    if (capability != 90)
        return 0;
    *why = "this build has no wgmma kernels for sm_90a; configure with 90a in RESR_CUDA_ARCHS";
    cudaFuncAttributes kernel;
    if (cudaFuncGetAttributes(&kernel, conv_wgmma_kernel<Narrow, true>) != cudaSuccess) {
        cudaGetLastError(); /* no kernel for this device at all */
        return 0;
    }
    return kernel.maxThreadsPerBlock >= THREADS;
}

/* Enlarged inputs: conv_up and nothing else in the networks. */
int takes_enlarged(int cin, int cout)
{
    return cin == 64 && cout == 64;
}

int supports(const ConvCall *call)
{
    return (call->cout == 32 || call->cout == 64) && call->cin % SLICE == 0 && call->cin <= 192 &&
           (call->activation < CONV_SILU || pass_outputs(call->cin, call->cout) == 64) &&
           (!call->upsample || takes_enlarged(call->cin, call->cout));
}

size_t whole_halves(int cin, int cout)
{
    return static_cast<size_t>(cin) * cout * 9;
}

/* Of four phases, each 2 x 2 taps: behind the nine taps. */
size_t packed_bytes(int cin, int cout)
{
    size_t enlarged = takes_enlarged(cin, cout) ? static_cast<size_t>(cin) * cout * 4 * 4 : 0;
    return (whole_halves(cin, cout) + enlarged) * sizeof(__half);
}

/* A network's weights [cout][cin][3][3] with the counts they are padded to. */
struct Weights {
    const float *values;
    int cin, cout, padded_cin, padded_cout;
};

/* The sum of taps rows y0..y1, columns x0..x1. */
__half sum_of(const Weights &w, int channel, int k, const int (&y)[2], const int (&x)[2])
{
    float sum = 0;
    if (channel >= w.cout || k >= w.cin)
        return __float2half_rn(0);
    const float *taps = w.values + (static_cast<size_t>(channel) * w.cin + k) * 9;
    for (int ky = y[0]; ky <= y[1]; ky++)
        for (int kx = x[0]; kx <= x[1]; kx++)
            sum += taps[ky * 3 + kx];
    return __float2half_rn(sum);
}

/* One pass: [slice][tap column][8 channels][tap row][output][8]. A lane of a product has the
 * columns 8 * j + lane % 4 * 2 + e: outputs are permuted so that they are neighbours. Rows and
 * columns are given as first and last of the network's taps that they sum. */
template <class S>
__half *pack_pass(__half *to, const Weights &w, int half, const int (*rows)[2],
                  const int (*columns)[2])
{
    for (int k0 = 0; k0 + SLICE <= w.padded_cin; k0 += SLICE)
        for (int column = 0; column < S::columns; column++)
            for (int k8 = k0; k8 < k0 + SLICE; k8 += 8)
                for (int row = 0; row < S::slots; row++)
                    for (int i = 0; i < S::outputs * 8; i++) {
                        int n = i / 8;
                        int channel =
                            half * S::outputs + n % 8 / 2 * (S::outputs / 4) + n / 8 * 2 + n % 2;
                        *to++ = sum_of(w, channel, k8 + i % 8, rows[row], columns[column]);
                    }
    return to;
}

/* The rows an input row meets, in the order of the slots at turn 0: output rows r, r+1, r-1; where
 * the input is enlarged 2r, 2r+1, 2r+2, 2r-1. A phase's tap sums those of the nine that fall on
 * the same pixel of the input. */
void pack(void *out, const float *weights, int cin, int cout, int padded_cin, int padded_cout)
{
    const int each[][2] = {{0, 0}, {1, 1}, {2, 2}}, turned[][2] = {{1, 1}, {0, 0}, {2, 2}};
    const int phases[2][2][2] = {{{0, 0}, {1, 2}}, {{0, 1}, {2, 2}}};
    const int enlarged[][2] = {{1, 2}, {0, 1}, {0, 0}, {2, 2}};
    Weights w = {weights, cin, cout, padded_cin, padded_cout};
    __half *to = static_cast<__half *>(out);
    if (pass_outputs(padded_cin, padded_cout) == 64)
        to = pack_pass<Wide>(to, w, 0, turned, each);
    else
        for (int half = 0; half < padded_cout / 32; half++)
            to = pack_pass<Narrow>(to, w, half, turned, each);
    if (takes_enlarged(padded_cin, padded_cout))
        for (int pass = 0; pass < 4; pass++)
            to = pack_pass<Enlarged>(to, w, pass >> 1, enlarged, phases[pass & 1]);
}

template <bool SWIZZLED> int run(const ConvCall *call, cudaStream_t stream)
{
    Job job = {};
    job.call = *call;
    if (call->upsample) {
        job.call.weights =
            static_cast<const __half *>(call->weights) + whole_halves(call->cin, call->cout);
        return launch<Enlarged, SWIZZLED>(&job, stream);
    }
    if (pass_outputs(call->cin, call->cout) == 64)
        return launch<Wide, SWIZZLED>(&job, stream);
    return launch<Narrow, SWIZZLED>(&job, stream);
}

} // namespace

const ConvVariant conv_variant_wgmma = {"wgmma", available, supports, packed_bytes,
                                        pack,    nullptr,   run<true>};
const ConvVariant conv_variant_wgmma_plain = {"wgmma-plain", available, supports,  packed_bytes,
                                              pack,          nullptr,   run<false>};
