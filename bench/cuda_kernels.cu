// Speed of every variant of the convolution on every convolution of the networks, with its verdict,
// and the device's own ceilings: cuBLASLt's product of 8192^3 and a copy in its memory. JSON on
// stdout.
//
//   bench_cuda [--quick | --once] [VARIANT]
//
// --quick: one small size, for emulated devices and smoke tests. --once: 8 x 256 x 256, two
// launches a row, for a profiler. VARIANT: that one alone.
//
// Verdict: 256 outputs drawn at random are summed in double precision from the same operands (on
// the device, by the plainest of kernels) and must agree within 2^-9 of the magnitudes that meet. A
// row without "ok" is no result, and the exit status is 1. TFLOP/s are of the network's own
// channels: padding to 16 is not counted. Times are the median of 7 runs of at least 20 ms each.
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "conv.cuh"
#include "conv_wgmma.cuh"
#if defined(RESR_CUDA_CUBLAS)
#include "cublaslt.cuh"
#endif

namespace
{
const int usual_pitch = 192, wide_pitch = 256, samples = 256, runs = 7;
const float run_ms = 20;

struct Layer {
    const char *name;
    int cin, cout, padded_cin, padded_cout, activation, upsample;
    bool trunk, f32;
    int centre_from; // input channels from here on have the centre tap alone; 0: none
};

const Layer layers[] = {
    {"conv_first", 3, 64, 16, 64, CONV_NONE, 0, false, true},
    {"conv1", 64, 32, 64, 32, CONV_LEAKY_RELU, 0, false, false},
    {"conv2", 96, 32, 96, 32, CONV_LEAKY_RELU, 0, false, false},
    {"conv3", 128, 32, 128, 32, CONV_LEAKY_RELU, 0, false, false},
    {"conv4", 160, 32, 160, 32, CONV_LEAKY_RELU, 0, false, false},
    {"conv5", 192, 64, 192, 64, CONV_NONE, 0, true, false},
    {"conv_hr", 64, 64, 64, 64, CONV_LEAKY_RELU, 0, false, false},
    {"conv_up", 64, 64, 64, 64, CONV_LEAKY_RELU, 1, false, false},
    {"conv_last", 64, 3, 64, 16, CONV_NONE, 0, false, true},
    {"SPAN c1_r", 64, 64, 64, 64, CONV_SILU, 0, false, false},
    {"SPAN c3_r", 64, 64, 64, 64, CONV_GATE, 0, true, false},
    {"SPAN conv_cat", 256, 64, 256, 64, CONV_NONE, 0, false, false, 64},
};

// Elements between pixels: those of the network's own buffers.
int pitch_of(const Layer &l)
{
    return l.padded_cin > usual_pitch ? wide_pitch : usual_pitch;
}

bool is_absent(const Layer &l, int ci, int tap)
{
    return l.centre_from && ci >= l.centre_from && tap != 4;
}

struct Size {
    int tiles, height, width;
};

const Size sizes[] = {{8, 256, 256}, {8, 164, 164}, {1, 256, 256}, {1, 540, 960}};
const Size quick_sizes[] = {{1, 16, 24}}, once_sizes[] = {{8, 256, 256}};

void must(cudaError_t error, const char *what)
{
    if (error == cudaSuccess)
        return;
    fprintf(stderr, "bench_cuda: %s: %s\n", what, cudaGetErrorString(error));
    exit(1);
}

__device__ __host__ inline uint32_t mix(uint32_t x)
{
    x ^= x >> 16;
    x *= 0x7feb352du;
    x ^= x >> 15;
    x *= 0x846ca68bu;
    return x ^ x >> 16;
}

__device__ __host__ inline float draw(uint32_t i) // [-1, 1)
{
    return (float)(mix(i) >> 8) / 8388608.0f - 1.0f;
}

// Random pixels: power, and so the clock, depends on the operands. Padded channels are zero.
__global__ void fill_pixels(__half *to, size_t count, int pitch, int channels, int padded)
{
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < count;
         i += (size_t)gridDim.x * blockDim.x) {
        const int channel = (int)(i % pitch);
        to[i] = __float2half_rn(channel >= channels && channel < padded ? 0.0f : draw((uint32_t)i));
    }
}

__global__ void fill_floats(float *to, size_t count)
{
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < count;
         i += (size_t)gridDim.x * blockDim.x)
        to[i] = draw((uint32_t)i);
}

// Sample i: its value by definition, and the sum of magnitudes. `weights`: [cout][cin][3][3].
__global__ void expected_samples(ConvCall c, const __half *weights, int cin, int cout,
                                 const float *trunk, double *value, double *magnitude, long pixels)
{
    const int i = threadIdx.x, co = (int)(mix(i * 2 + 1) % cout);
    const long pixel = (long)(mix(i * 2) % pixels), tile = pixel / c.width / c.height;
    const int x = (int)(pixel % c.width), y = (int)(pixel / c.width % c.height);
    const int width = c.width >> c.upsample, height = c.height >> c.upsample;
    double sum = c.bias[co], total = fabs(sum);
    for (int tap = 0; tap < 9; tap++) {
        const int sx = x + tap % 3 - 1, sy = y + tap / 3 - 1;
        if (sx < 0 || sy < 0 || sx >= c.width || sy >= c.height)
            continue;
        const size_t source =
            (tile * (size_t)height + (sy >> c.upsample)) * width + (sx >> c.upsample);
        for (int k = 0; k < cin; k++) {
            const double product =
                (double)__half2float(static_cast<const __half *>(c.in)[source * c.in_pitch + k]) *
                (double)__half2float(weights[((size_t)co * cin + k) * 9 + tap]);
            sum += product;
            total += fabs(product);
        }
    }
    if (c.activation >= CONV_SILU) { // the sums' error by the largest slope
        const double r = trunk ? trunk[pixel * 64 + co] : 0;
        magnitude[i] = total * (trunk ? 0.5 + fabs(sum + r) / 4 : 1.1) + fabs(sum + r);
        value[i] = (sum + r) * (1 / (1 + exp(-sum)) - (trunk ? 0.5 : 0));
        return;
    }
    if (c.activation == CONV_LEAKY_RELU && sum <= 0)
        sum *= 0.2f;
    if (trunk) {
        sum = 0.2f * sum + trunk[pixel * 64 + co];
        total += fabs((double)trunk[pixel * 64 + co]);
    }
    value[i] = sum;
    magnitude[i] = total;
}

// The values written at the samples' places.
__global__ void written_samples(ConvCall c, int cout, double *value, long pixels)
{
    const int i = threadIdx.x, co = (int)(mix(i * 2 + 1) % cout);
    const long pixel = (long)(mix(i * 2) % pixels);
    if (c.out_f32)
        value[i] = c.out_f32[pixel * c.out_f32_pitch + co];
    else
        value[i] = __half2float(
            static_cast<const __half *>(c.out)[pixel * c.out_pitch + c.out_channel + co]);
}

template <typename T> T *allocate(size_t count)
{
    T *p;
    must(cudaMalloc(&p, std::max<size_t>(count, 1) * sizeof(T)), "cudaMalloc");
    return p;
}

template <typename T> T *uploaded(const std::vector<T> &host)
{
    T *p = allocate<T>(host.size());
    must(cudaMemcpy(p, host.data(), host.size() * sizeof(T), cudaMemcpyHostToDevice), "upload");
    return p;
}

// Device memory of one size, used by all layers and variants.
struct Arena {
    __half *in, *out;
    float *trunk_in, *trunk_out, *out_f32, *bias;
    double *samples[3];
    long pixels;
};

Arena make_arena(const Size &size)
{
    Arena a;
    a.pixels = (long)size.tiles * size.height * size.width;
    a.in = allocate<__half>(a.pixels * wide_pitch);
    a.out = allocate<__half>(a.pixels * wide_pitch);
    for (float **p : {&a.trunk_in, &a.trunk_out, &a.out_f32})
        *p = allocate<float>(a.pixels * 64);
    a.bias = uploaded(std::vector<float>(64, 0.01f));
    for (double *&p : a.samples)
        p = allocate<double>(samples);
    fill_floats<<<256, 256>>>(a.trunk_in, a.pixels * 64);
    must(cudaGetLastError(), "filling");
    return a;
}

void free_arena(const Arena &a)
{
    void *const all[] = {a.in,   a.out,        a.trunk_in,   a.trunk_out, a.out_f32,
                         a.bias, a.samples[0], a.samples[1], a.samples[2]};
    for (void *p : all)
        cudaFree(p);
}

ConvCall make_call(const Layer &l, const Size &s, const Arena &a)
{
    ConvCall call = {};
    call.in = a.in;
    call.in_pitch = call.out_pitch = pitch_of(l);
    call.out = l.f32 && l.cout < 16 ? nullptr : a.out;
    call.cin = l.padded_cin;
    call.cout = l.padded_cout;
    call.bias = a.bias;
    call.activation = l.activation;
    call.trunk_in = l.trunk ? a.trunk_in : nullptr;
    call.trunk_out = l.trunk ? a.trunk_out : nullptr;
    call.out_f32 = l.f32 ? a.out_f32 : nullptr;
    call.out_f32_pitch = 64;
    call.out_f32_count = (l.cout + 3) / 4 * 4;
    call.upsample = l.upsample;
    call.centre_from = l.centre_from;
    call.tiles = s.tiles;
    call.height = s.height;
    call.width = s.width;
    return call;
}

std::vector<double> download(const double *from)
{
    std::vector<double> to(samples);
    must(cudaMemcpy(to.data(), from, samples * sizeof(double), cudaMemcpyDeviceToHost), "samples");
    return to;
}

// The largest error, relative to the explained error: 9 * cin roundings of the sum of magnitudes in
// fp32, the output's own rounding to fp16, and for enlarged inputs the rounding of sums of weights
// (variant wgmma multiplies repeated pixels once). Infinite for a NaN.
double verdict(const ConvCall &call, const Layer &l, const __half *weights, const Arena &a)
{
    expected_samples<<<1, samples>>>(call, weights, l.cin, l.cout, l.trunk ? a.trunk_in : nullptr,
                                     a.samples[0], a.samples[1], a.pixels);
    written_samples<<<1, samples>>>(call, l.cout, a.samples[2], a.pixels);
    must(cudaDeviceSynchronize(), "checking");
    const std::vector<double> value = download(a.samples[0]), magnitude = download(a.samples[1]),
                              got = download(a.samples[2]);
    double worst = 0;
    for (int i = 0; i < samples; i++) {
        const double bound = 9.0 * l.cin * std::ldexp(magnitude[i], -24) +
                             (l.upsample ? std::ldexp(magnitude[i], -10) : 0) +
                             std::ldexp(std::fabs(value[i]), -11) + std::ldexp(1, -25);
        const double error = std::fabs(got[i] - value[i]) / bound;
        worst = error <= worst ? worst : std::isnan(error) ? INFINITY : error;
    }
    return worst;
}

// Median over runs of the time of one call of `work`, which enqueues on the stream.
template <typename Work> double median_us(cudaStream_t stream, bool quick, Work work)
{
    cudaEvent_t begin, end;
    std::vector<double> us;
    must(cudaEventCreate(&begin), "event");
    must(cudaEventCreate(&end), "event");
    int repeat = quick ? 1 : 3;
    for (int run = 0; run <= (quick ? 1 : runs); run++) {
        float ms = 0;
        must(cudaEventRecord(begin, stream), "event");
        for (int i = 0; i < repeat; i++)
            work();
        must(cudaEventRecord(end, stream), "event");
        must(cudaEventSynchronize(end), "timing");
        must(cudaEventElapsedTime(&ms, begin, end), "timing");
        if (run > 0)
            us.push_back(ms * 1e3 / repeat);
        else if (!quick && ms > 0) // the first run warms up and tells how many fill the time
            repeat = std::max(1, (int)(repeat * run_ms / ms) + 1);
    }
    cudaEventDestroy(begin);
    cudaEventDestroy(end);
    std::sort(us.begin(), us.end());
    return us[us.size() / 2];
}

// One row of JSON; false if its result is wrong.
bool bench(const ConvVariant &variant, const Layer &l, const Size &s, const Arena &a, bool quick,
           const char *separator)
{
    std::vector<float> weights((size_t)l.cin * l.cout * 9);
    std::vector<__half> rounded(weights.size());
    for (size_t i = 0; i < weights.size(); i++)
        rounded[i] = __float2half_rn(weights[i] = is_absent(l, (int)(i / 9) % l.cin, (int)(i % 9))
                                                      ? 0.0f
                                                      : 0.05f * draw((uint32_t)i + 77));
    std::vector<unsigned char> packed(variant.packed_bytes(l.padded_cin, l.padded_cout));
    variant.pack(packed.data(), weights.data(), l.cin, l.cout, l.padded_cin, l.padded_cout);
    fill_pixels<<<256, 256>>>(a.in, a.pixels * pitch_of(l), pitch_of(l), l.cin, l.padded_cin);
    must(cudaMemset(a.out, 0xff, a.pixels * wide_pitch * sizeof(__half)), "clearing");
    must(cudaMemset(a.out_f32, 0xff, a.pixels * 64 * sizeof(float)), "clearing");

    ConvCall call = make_call(l, s, a);
    unsigned char *const device_weights = uploaded(packed);
    __half *const plain = uploaded(rounded);
    call.weights = device_weights;
    const size_t scratch = variant.scratch_bytes ? variant.scratch_bytes(&call) : 0;
    if (scratch)
        must(cudaMalloc(&call.scratch, scratch), "scratch");
    cudaStream_t stream;
    must(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "stream");
    must(cudaDeviceSynchronize(), "filling");
    int ret = 0;
    const double us = median_us(stream, quick, [&] { ret |= variant.run(&call, stream); });
    must(cudaStreamSynchronize(stream), variant.name);
    const int full = l.centre_from ? l.centre_from : l.cin; // channels of nine taps
    const double error = verdict(call, l, plain, a),
                 flops = 2.0 * (9 * full + (l.cin - full)) * l.cout * a.pixels;
    const bool ok = ret == 0 && error <= 1;
    printf("%s\n  {\"variant\": \"%s\", \"layer\": \"%s\", \"tiles\": %d, \"height\": %d, "
           "\"width\": %d, \"us\": %.2f, \"tflops\": %.2f, \"error\": %.3g, \"verdict\": \"%s\"}",
           separator, variant.name, l.name, s.tiles, s.height, s.width, us, flops / us / 1e6,
           std::isfinite(error) ? error : 1e30, ok ? "ok" : "WRONG");
    cudaStreamDestroy(stream);
    cudaFree(call.scratch);
    cudaFree(device_weights);
    cudaFree(plain);
    return ok;
}

double copy_gbs(bool quick)
{
    const size_t bytes = quick ? 1 << 16 : (size_t)1 << 30;
    char *const from = allocate<char>(bytes), *const to = allocate<char>(bytes);
    must(cudaMemset(from, 1, bytes), "copying");
    must(cudaDeviceSynchronize(), "copying");
    const double us = median_us(nullptr, quick, [&] {
        must(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, nullptr), "copying");
    });
    cudaFree(from);
    cudaFree(to);
    return 2e-3 * bytes / us; // read and written
}

#if defined(RESR_CUDA_CUBLAS)
// fp16 in and out, fp32 sums, random operands; 0 if the library refuses.
double product_tflops(bool quick)
{
    const CublasLt *lt;
    const int n = quick ? 64 : 8192;
    const size_t space = (size_t)64 << 20;
    const float one = 1, zero = 0;
    const cublasOperation_t transposed = CUBLAS_OP_T;
    cublasLtHandle_t handle;
    cublasLtMatmulDesc_t desc;
    cublasLtMatrixLayout_t matrix;
    cublasLtMatmulPreference_t preference;
    cublasLtMatmulHeuristicResult_t found;
    int count = 0;
    if (resr_cublaslt_open(&lt) < 0 || lt->create(&handle) || // every status of success is 0
        lt->desc_create(&desc, CUBLAS_COMPUTE_32F, CUDA_R_32F) ||
        lt->desc_set(desc, CUBLASLT_MATMUL_DESC_TRANSA, &transposed, sizeof transposed) ||
        lt->layout_create(&matrix, CUDA_R_16F, n, n, n) || lt->preference_create(&preference) ||
        lt->preference_set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &space,
                           sizeof space) ||
        lt->heuristic(handle, desc, matrix, matrix, matrix, matrix, preference, 1, &found,
                      &count) ||
        count < 1)
        return 0;
    __half *const a = allocate<__half>((size_t)n * n), *const b = allocate<__half>((size_t)n * n),
                  *const d = allocate<__half>((size_t)n * n);
    char *const workspace = allocate<char>(space);
    fill_pixels<<<256, 256>>>(a, (size_t)n * n, n, n, n);
    fill_pixels<<<256, 256>>>(b, (size_t)n * n, n, n, n);
    must(cudaDeviceSynchronize(), "filling");
    int status = 0;
    const double us = median_us(nullptr, quick, [&] {
        status |= lt->matmul(handle, desc, &one, a, matrix, b, matrix, &zero, d, matrix, d, matrix,
                             &found.algo, workspace, space, nullptr);
    });
    for (void *p : {(void *)a, (void *)b, (void *)d, (void *)workspace})
        cudaFree(p);
    return status ? 0 : 2.0 * n * n * n / us / 1e6;
}
#else
double product_tflops(bool)
{
    return 0;
}
#endif

const ConvVariant *const variants[] = {
#if defined(RESR_CUDA_CUBLAS)
    &conv_variant_cublas,
#endif
    &conv_variant_mma,
#if defined(RESR_CUDA_WGMMA)
    &conv_variant_wgmma,
    &conv_variant_wgmma_plain,
#endif
};
} // namespace

int main(int argc, char **argv)
{
    const bool once = argc > 1 && strcmp(argv[1], "--once") == 0;
    const bool quick = once || (argc > 1 && strcmp(argv[1], "--quick") == 0);
    const char *const only = argc > 1 && *argv[argc - 1] != '-' ? argv[argc - 1] : nullptr;
    const Size *const first = once ? once_sizes : quick ? quick_sizes : sizes;
    const int n_sizes = quick ? 1 : (int)(sizeof sizes / sizeof *sizes);
    cudaDeviceProp about;
    int wrong = 0, driver = 0, runtime = 0, n_devices = 0;
    if (cudaGetDeviceCount(&n_devices) != cudaSuccess || n_devices == 0) {
        fprintf(stderr, "bench_cuda: no device\n");
        return 77;
    }
    must(cudaGetDeviceProperties(&about, 0), "device");
    cudaDriverGetVersion(&driver);
    cudaRuntimeGetVersion(&runtime);
    printf("{\"device\": \"%s\", \"capability\": %d, \"sms\": %d, \"memory_bytes\": %zu,\n"
           " \"cuda_driver\": %d, \"cuda_runtime\": %d,\n \"copy_gbs\": %.1f, "
           "\"product_8192_tflops\": %.1f,\n \"rows\": [",
           about.name, about.major * 10 + about.minor, about.multiProcessorCount,
           about.totalGlobalMem, driver, runtime, copy_gbs(quick), product_tflops(quick));
    const char *separator = "";
    for (int s = 0; s < n_sizes; s++) {
        const Arena arena = make_arena(first[s]);
        for (const Layer &layer : layers)
            for (const ConvVariant *variant : variants) {
                const char *why;
                const ConvCall call = make_call(layer, first[s], arena);
                if (only && strcmp(only, variant->name) != 0)
                    continue;
                if (!variant->available(about.major * 10 + about.minor, &why) ||
                    !variant->supports(&call))
                    continue;
                wrong += !bench(*variant, layer, first[s], arena, quick, separator);
                separator = ",";
                fflush(stdout);
            }
        free_arena(arena);
    }
    printf("\n ],\n \"wrong\": %d}\n", wrong);
    return wrong != 0;
}
