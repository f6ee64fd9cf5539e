// The assumptions of variant wgmma about sm_90a, one question at a time, so that a wrong answer
// names the remedy: TMA's swizzle and zero fill, the strides and base offset of operands at shifted
// pixels, then clocks a product.
//
//   bench_cuda_probe [--quick]    --quick: without the clocks, for emulated devices
//
// Exit status: 0, 1 where conv_wgmma.cu's way is not the hardware's, 77 without an sm_90 device.
// Lines of another way ("base offset", "exchanged") are for information.
#include "gpu_hopper.cuh"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace
{
enum {
    IMAGE_PX = 80,
    IMAGE_PITCH = 192, // channels; those behind CHANNELS must not be read
    PX = 72,           // of a box
    CHANNELS = 32,
    NARROW_PX = 5, // width of the image that the third box is wider than
    NARROW_BOX = 64,
    M = 64,
    N = 96,
    K = 16,
    PLAIN_AT = 5 * 1024, // in shared memory; the swizzled box lies at 0
    WEIGHTS_AT = 10 * 1024,
    NARROW_AT = 20 * 1024,
    BARRIER_AT = 25 * 1024,
    ASK_BYTES = 48 * 1024,
    DUMP_HALVES = BARRIER_AT / 2,
    ROUNDS = 2048,
    TIMED_BYTES = 220 * 1024,
    TIMED_WEIGHTS_AT = 40 * 1024,
};

struct Maps {
    CUtensorMap swizzled, plain, narrow;
};

// One product: the operands' place, strides and base offset.
struct Question {
    const char *what;
    bool ours, plain;
    int shift, k, base_offset;
    int a_lead, a_stride, b_lead, b_stride, b_row;
};

void must(cudaError_t error, const char *what)
{
    if (error == cudaSuccess)
        return;
    printf("%s: %s\n", what, cudaGetErrorString(error));
    exit(1);
}

__device__ void fill_shared(uint32_t *words, int count, uint32_t factor, uint32_t mask)
{
    for (int i = threadIdx.x; i < count; i += blockDim.x)
        words[i] = (i * factor) & mask;
    asm volatile("fence.proxy.async.shared::cta;\n" ::: "memory");
    __syncthreads();
}

// The sums of one product, and a dump of the memory that TMA has written.
__global__ void __launch_bounds__(128)
    ask_kernel(const __grid_constant__ Maps maps, const __half *weights, Question q, float *out,
               __half *dump)
{
    extern __shared__ __align__(1024) unsigned char shared[];
    uint32_t base = gpu_shared_address(shared), full = base + BARRIER_AT;
    fill_shared(reinterpret_cast<uint32_t *>(shared), ASK_BYTES / 4, 0, 0);
    if (threadIdx.x == 0) {
        gpu_barrier_init(full, 1);
        gpu_barrier_publish();
        gpu_barrier_expect(full, 2 * PX * CHANNELS * 2 + N * K * 2 + NARROW_BOX * CHANNELS * 2);
        gpu_tensor_copy(base, &maps.swizzled, 0, -1, 0, 0, full);
        for (int k8 = 0; k8 < CHANNELS / 8; k8++)
            gpu_tensor_copy(base + PLAIN_AT + k8 * PX * 16, &maps.plain, 0, k8, -1, 0, 0, full);
        gpu_bulk_copy(base + WEIGHTS_AT, weights, N * K * 2, full);
        gpu_tensor_copy(base + NARROW_AT, &maps.narrow, 0, -1, 1, 0, full);
    }
    __syncthreads();
    gpu_barrier_wait(full, 0);
    for (int i = threadIdx.x; i < DUMP_HALVES; i += blockDim.x)
        dump[i] = reinterpret_cast<const __half *>(shared)[i];
    __syncthreads();
    float sums[N / 2];
    for (int i = 0; i < N / 2; i++)
        sums[i] = 0;
    uint64_t a =
        q.plain ? gpu_operand(base + PLAIN_AT + q.shift * 16 + q.k * 2 * PX * 16, q.a_lead,
                              q.a_stride, GPU_PLAIN)
                : gpu_operand(base + q.shift * 64 + q.k * 32, q.a_lead, q.a_stride, GPU_SWIZZLE_64);
    uint64_t b = gpu_operand(base + WEIGHTS_AT + q.b_row * 16, q.b_lead, q.b_stride, GPU_PLAIN);
    gpu_pin(sums);
    gpu_wgmma_fence();
    gpu_wgmma(sums, a | static_cast<uint64_t>(q.base_offset) << 49, b);
    gpu_wgmma_commit();
    gpu_wgmma_wait<0>();
    gpu_pin(sums);
    int row = threadIdx.x / 32 * 16 + threadIdx.x % 32 / 4;
    for (int i = 0; i < N / 2; i++)
        out[(row + i / 2 % 2 * 8) * N + i / 4 * 8 + threadIdx.x % 4 * 2 + i % 2] = sums[i];
}

enum Way { TAP_COLUMNS, UNSHIFTED, PLAIN_PIXELS };

// Clocks of ROUNDS stages of six products as variant wgmma has them, by every warpgroup of the
// block.
template <int n, Way way> __global__ void __launch_bounds__(512, 1) time_kernel(long long *clocks)
{
    extern __shared__ __align__(1024) unsigned char shared[];
    const int lead = n / 3 * 5 * 16, stage = PX * CHANNELS * 2;
    uint32_t base = gpu_shared_address(shared);
    fill_shared(reinterpret_cast<uint32_t *>(shared), TIMED_BYTES / 4, 2654435761u, 0x3bff3bff);
    float sums[n / 2], sum = 0;
    for (int i = 0; i < n / 2; i++)
        sums[i] = 0;
    uint32_t pixels = base + threadIdx.x / 128 * stage * 2;
    uint64_t a = way == PLAIN_PIXELS ? gpu_operand(pixels, PX * 16, 128, GPU_PLAIN)
                                     : gpu_operand(pixels, 16, 512, GPU_SWIZZLE_64);
    uint64_t b = gpu_operand(base + TIMED_WEIGHTS_AT, lead, 128, GPU_PLAIN);
    const int shift = way == PLAIN_PIXELS ? 1 : way == TAP_COLUMNS ? 4 : 0;
    const int deeper = way == PLAIN_PIXELS ? 2 * PX : 2;
    long long start = clock64();
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t from = a + (round & 1) * (stage >> 4);
        gpu_pin(sums);
        gpu_wgmma_fence();
#pragma unroll
        for (int dx = 0; dx < 3; dx++)
#pragma unroll
            for (int k = 0; k < 2; k++)
                gpu_wgmma(sums, from + dx * shift + k * deeper,
                          b + ((dx * 4 * lead + k * 2 * lead) >> 4));
        gpu_wgmma_commit();
        gpu_wgmma_wait<1>();
        gpu_pin(sums);
    }
    gpu_wgmma_wait<0>();
    gpu_pin(sums);
    for (int i = 0; i < n / 2; i++)
        sum += sums[i];
    __syncthreads();
    if (threadIdx.x == 0) // the sum's use keeps the products
        clocks[blockIdx.x] = clock64() - start + (sum == 12345.678f);
}

// Values are multiples of 1/32: sums are exact in any order.
float pixel_value(int px, int channel)
{
    return px < 0 || px >= IMAGE_PX ? 0.0f
                                    : static_cast<float>((px * 37 + channel * 11) % 61 - 30) / 32;
}

float weight_value(int n, int k)
{
    return static_cast<float>((n * 13 + k * 29) % 47 - 23) / 32;
}

struct Device {
    Maps maps;
    __half *pixels, *weights, *dump;
    float *sums;
    long long *clocks;
};

typedef CUresult (*EncodeTensorMap)(CUtensorMap *, CUtensorMapDataType, cuuint32_t, void *,
                                    const cuuint64_t *, const cuuint64_t *, const cuuint32_t *,
                                    const cuuint32_t *, CUtensorMapInterleave, CUtensorMapSwizzle,
                                    CUtensorMapL2promotion, CUtensorMapFloatOOBfill);

bool encode(Device *device)
{
    void *entry = nullptr;
    cudaDriverEntryPointQueryResult found;
#if CUDART_VERSION >= 12050
    must(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &entry, 12000,
                                          cudaEnableDefault, &found),
         "cuTensorMapEncodeTiled");
#else
    must(cudaGetDriverEntryPoint("cuTensorMapEncodeTiled", &entry, cudaEnableDefault, &found),
         "cuTensorMapEncodeTiled");
#endif
    EncodeTensorMap make = reinterpret_cast<EncodeTensorMap>(entry);
    auto map = [&](CUtensorMap *to, int rank, const cuuint64_t *size, const cuuint64_t *step,
                   const cuuint32_t *box, CUtensorMapSwizzle swizzle) {
        const cuuint32_t every[] = {1, 1, 1, 1, 1};
        return static_cast<int>(make(to, CU_TENSOR_MAP_DATA_TYPE_FLOAT16, rank, device->pixels,
                                     size, step, box, every, CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle,
                                     CU_TENSOR_MAP_L2_PROMOTION_L2_128B,
                                     CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE));
    };
    const cuuint64_t pixel = IMAGE_PITCH * 2, row = pixel * IMAGE_PX;
    const cuuint64_t size[] = {CHANNELS, IMAGE_PX, 1, 1}, step[] = {pixel, row, row};
    const cuuint64_t size5[] = {8, CHANNELS / 8, IMAGE_PX, 1, 1}, step5[] = {16, pixel, row, row};
    const cuuint64_t narrow[] = {CHANNELS, NARROW_PX, IMAGE_PX / NARROW_PX, 1};
    const cuuint64_t narrow_step[] = {pixel, pixel * NARROW_PX, row};
    const cuuint32_t box[] = {CHANNELS, PX, 1, 1}, box5[] = {8, 1, PX, 1, 1};
    const cuuint32_t narrow_box[] = {CHANNELS, NARROW_BOX, 1, 1};
    Maps *maps = &device->maps;
    int swizzled = map(&maps->swizzled, 4, size, step, box, CU_TENSOR_MAP_SWIZZLE_64B);
    int plain = map(&maps->plain, 5, size5, step5, box5, CU_TENSOR_MAP_SWIZZLE_NONE);
    int wide = map(&maps->narrow, 4, narrow, narrow_step, narrow_box, CU_TENSOR_MAP_SWIZZLE_64B);
    printf("tensor maps (0: accepted): swizzled %d, plain %d, box wider than the image %d\n",
           swizzled, plain, wide);
    return !swizzled && !plain && !wide;
}

void upload(Device *device)
{
    std::vector<__half> pixels(IMAGE_PX * IMAGE_PITCH), weights(N * K);
    for (int px = 0; px < IMAGE_PX; px++)
        for (int c = 0; c < IMAGE_PITCH; c++)
            pixels[px * IMAGE_PITCH + c] = __float2half(c < CHANNELS ? pixel_value(px, c) : 99.0f);
    for (int n = 0; n < N; n++)
        for (int k = 0; k < K; k++) // [8 channels][output][16 bytes]
            weights[(k / 8 * N + n) * 8 + k % 8] = __float2half(weight_value(n, k));
    must(cudaMalloc(&device->pixels, pixels.size() * 2), "memory");
    must(cudaMalloc(&device->weights, weights.size() * 2), "memory");
    must(cudaMalloc(&device->dump, DUMP_HALVES * 2), "memory");
    must(cudaMalloc(&device->sums, M * N * sizeof(float)), "memory");
    must(cudaMalloc(&device->clocks, 1024 * sizeof(long long)), "memory");
    must(cudaMemcpy(device->pixels, pixels.data(), pixels.size() * 2, cudaMemcpyHostToDevice),
         "upload");
    must(cudaMemcpy(device->weights, weights.data(), weights.size() * 2, cudaMemcpyHostToDevice),
         "upload");
}

// Whether the answer is right.
bool ask(const Device &device, const Question &q)
{
    std::vector<float> sums(M * N);
    must(cudaMemset(device.sums, 0xff, M * N * sizeof(float)), q.what);
    ask_kernel<<<1, 128, ASK_BYTES>>>(device.maps, device.weights, q, device.sums, device.dump);
    must(cudaGetLastError(), q.what);
    must(cudaMemcpy(sums.data(), device.sums, M * N * sizeof(float), cudaMemcpyDeviceToHost),
         q.what);
    int wrong = 0;
    for (int m = 0; m < M; m++)
        for (int n = 0; n + q.b_row < N; n++) {
            double sum = 0;
            for (int k = 0; k < K; k++)
                sum += static_cast<double>(pixel_value(m + q.shift - 1, q.k * K + k)) *
                       weight_value(n + q.b_row, k);
            wrong += !(fabs(sum - sums[m * N + n]) < 1e-3);
        }
    if (q.ours || !wrong)
        printf("%-38s shift %d, channels %2d..: %s (%d wrong)\n", q.what, q.shift, q.k * K,
               !q.ours ? "also right"
               : wrong ? "NO"
                       : "yes",
               wrong);
    return wrong == 0;
}

// All questions; how many of ours had a wrong answer.
int ask_all(const Device &device)
{
    const int apart = N * 16, box = PX * 16; // bytes to the next 8 channels: of weights, of pixels
    int wrong = 0;
    must(cudaFuncSetAttribute(ask_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, ASK_BYTES),
         "shared memory");
    for (int shift = 0; shift <= 8; shift++)
        for (int k = 0; k < 2; k++) {
            wrong += !ask(device, {"64-byte swizzle, base offset 0", true, false, shift, k, 0, 16,
                                   512, apart, 128, 0});
            if (shift & 7)
                ask(device, {"64-byte swizzle, base offset of the start", false, false, shift, k,
                             shift * 64 >> 7 & 7, 16, 512, apart, 128, 0});
        }
    for (int shift = 0; shift <= 2; shift++)
        for (int k = 0; k < 2; k++) {
            wrong +=
                !ask(device, {"plain pixels", true, true, shift, k, 0, box, 128, apart, 128, 0});
            ask(device, {"plain pixels, strides exchanged", false, true, shift, k, 0, 128, box,
                         apart, 128, 0});
        }
    ask(device,
        {"plain weights, strides exchanged", false, false, 0, 0, 0, 16, 512, 128, apart, 0});
    wrong += !ask(device, {"weights from the second tap row on", true, false, 0, 1, 0, 16, 512,
                           apart, 128, 32});
    return wrong;
}

// The number of boxes that TMA wrote wrongly for the last question.
int check_copies(const Device &device)
{
    std::vector<__half> dump(DUMP_HALVES);
    must(cudaMemcpy(dump.data(), device.dump, DUMP_HALVES * 2, cudaMemcpyDeviceToHost), "dump");
    auto at = [&](int bytes) { return __half2float(dump[bytes / 2]); };
    int swizzled = 0, plain = 0, zeros = 0;
    for (int px = 0; px < PX; px++)
        for (int c = 0; c < CHANNELS; c++) {
            int place = px * 64 + c * 2;
            place ^= (place >> 7 & 3) << 4;
            swizzled += at(place) != pixel_value(px - 1, c);
            plain += at(PLAIN_AT + c / 8 * PX * 16 + px * 16 + c % 8 * 2) != pixel_value(px - 1, c);
            bool inside = px >= 1 && px - 1 < NARROW_PX;
            if (px < NARROW_BOX)
                zeros +=
                    at(NARROW_AT + place) != (inside ? pixel_value(NARROW_PX + px - 1, c) : 0.0f);
        }
    printf("TMA: swizzled %d, plain %d, around a narrow image %d values wrong\n", swizzled, plain,
           zeros);
    return (swizzled > 0) + (plain > 0) + (zeros > 0);
}

template <int n, Way way> void time_products(const Device &device, int groups, const char *what)
{
    int sms = 0;
    float ms = 0;
    cudaEvent_t start, end;
    long long clocks = 0;
    must(cudaDeviceGetAttribute(&sms, cudaDevAttrMultiProcessorCount, 0), what);
    sms = sms < 1024 ? sms : 1024;
    must(cudaFuncSetAttribute(time_kernel<n, way>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                              TIMED_BYTES),
         what);
    must(cudaEventCreate(&start), what);
    must(cudaEventCreate(&end), what);
    for (int i = 0; i < 3; i++) { // the last one counts
        must(cudaEventRecord(start), what);
        time_kernel<n, way><<<sms, groups * 128, TIMED_BYTES>>>(device.clocks);
        must(cudaGetLastError(), what);
        must(cudaEventRecord(end), what);
        must(cudaEventSynchronize(end), what);
        must(cudaEventElapsedTime(&ms, start, end), what);
    }
    must(cudaMemcpy(&clocks, device.clocks, sizeof clocks, cudaMemcpyDeviceToHost), what);
    cudaEventDestroy(start);
    cudaEventDestroy(end);
    double products = 6.0 * ROUNDS * groups;
    printf("N = %3d, %d warpgroups, %-12s: %6.1f clocks a product (%4.1f at the peak), %.0f "
           "TFLOP/s\n",
           n, groups, what, static_cast<double>(clocks) / products, n / 2.0,
           products * sms * 2 * M * n * K / ms / 1e9);
}
} // namespace

int main(int argc, char **argv)
{
    const bool quick = argc > 1 && strcmp(argv[1], "--quick") == 0;
    int devices = 0, major = 0, minor = 0;
    Device device = {};
    if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
        printf("skipped: no device\n");
        return 77;
    }
    must(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0), "device");
    must(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, 0), "device");
    if (major != 9 || minor != 0) {
        printf("skipped: compute capability %d.%d, not 9.0\n", major, minor);
        return 77;
    }
    upload(&device);
    if (!encode(&device))
        return 1;
    int wrong = ask_all(device);
    wrong += check_copies(device);
    for (int groups = 1; groups <= 3 && !quick; groups++) {
        time_products<N, TAP_COLUMNS>(device, groups, "tap columns");
        time_products<N, UNSHIFTED>(device, groups, "unshifted");
        time_products<N, PLAIN_PIXELS>(device, groups, "plain pixels");
    }
    if (!quick)
        time_products<2 * N, TAP_COLUMNS>(device, 2, "tap columns");
    printf("%d of variant wgmma's assumptions wrong\n", wrong);
    return wrong != 0;
}
