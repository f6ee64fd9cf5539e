// The emulator's arithmetic and warp operations against the host's: equal bits, and for approximate
// functions an error below 1e-5.
#include <cmath>
#include <cooperative_groups.h>
#include <cstring>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_pipeline.h>

#include "check.cuh"

enum { N = 1000, THREADS = 128, BLOCKS = (N + THREADS - 1) / THREADS };
enum { SCALARS = 42, FUNCTIONS = 8, HALVES = 4, WARP_RESULTS = 8 };

__constant__ float table[8] = {1, 2, 3, 4, 5, 6, 7, 8.5f};
__device__ int total;

__host__ __device__ uint32_t bits(float value)
{
    uint32_t result;
    memcpy(&result, &value, sizeof result);
    return result;
}

__host__ __device__ uint32_t branches(int i, uint32_t x, uint32_t y)
{
    switch (i % 7) {
    case 0:
        return x;
    case 1:
        return y + 5;
    case 2:
        return x ^ y;
    case 3:
        return 77;
    case 4:
        return x * 3;
    case 5:
        return ~x;
    default:
        return 9;
    }
}

// A local array with indices that are not constant.
__host__ __device__ uint32_t local_array(uint32_t x, uint32_t y)
{
    int values[8], sum = 0;
    for (int k = 0; k < 8; k++)
        values[k] = (int)(x >> k);
    for (int k = 0; k < 8; k++)
        sum += values[(y >> k) & 7] * k;
    return (uint32_t)sum;
}

__host__ __device__ uint32_t ones_up_to(uint32_t x, uint32_t most)
{
    uint32_t n = 0;
    for (; x && n < most; x >>= 1)
        n += x & 1;
    return n;
}

__host__ __device__ void scalars(int i, uint32_t x, uint32_t y, float a, float b, uint32_t *out)
{
    int sx = (int)x, sy = (int)y | 1;
    uint64_t wide_x = (uint64_t)x << 13 ^ y, wide_y = (uint64_t)y << 17 | x | 1;
    __half h = __float2half(a), g = __float2half(b);
    __nv_bfloat16 p = __float2bfloat16(a), q = __float2bfloat16(b);
    float clamped = fminf(fmaxf(a * 40.f + 128.f, 0.f), 255.f);
    const uint32_t values[SCALARS] = {
        x / (y | 1),
        x % (y | 1),
        (uint32_t)(sx / sy),
        (uint32_t)(sx % 77),
        (uint32_t)(wide_x / wide_y),
        (uint32_t)(wide_x % wide_y),
        (uint32_t)((int64_t)wide_x >> 5),
        x << (y & 31),
        (uint32_t)(sx >> (y & 31)),
        x << 7 | x >> 25,
        (uint32_t)((uint64_t)x * y >> 32),
        (uint32_t)(((int64_t)sx * sy) >> 32),
        x * 2654435761u + y,
        (x & y) | ((~x & 0x0f0f0f0f) ^ y),
        sx < sy ? 3u : 4u,
        x > y ? x : y,
        (uint32_t)(int8_t)x,
        (uint32_t)(int16_t)y,
        x >> 8 & 0xff,
        (uint32_t)(sx << 9 >> 13), // a signed bit field
        (x & ~0xff00u) | (y & 0xff) << 8,
        bits(a + b),
        bits(a * b),
        bits(a / (b + 3.f)),
        bits(sqrtf(fabsf(a))),
        bits(fmaf(a, b, 1.5f)),
        bits(fmaxf(a, b)),
        bits(fminf(a, -b)),
        (uint32_t)(int)a,
        (uint32_t)(int)rintf(b * 17.f),
        (uint32_t)(int)floorf(a * 3.f),
        bits((float)sx),
        bits((float)x),
        bits((float)((double)a * 1.0000001 + b)),
        bits(a > b ? a : 0.2f * b),
        branches(i, x, y),
        local_array(x, y),
        ones_up_to(x, 10),
        (uint32_t)__half_as_ushort(h) << 16 |
            __half_as_ushort(__float2half(__half2float(h) * __half2float(g))),
        (uint32_t)__bfloat16_as_ushort(p) << 16 |
            __bfloat16_as_ushort(__float2bfloat16(__bfloat162float(p) + __bfloat162float(q))),
        (uint32_t)(unsigned char)(clamped + 0.5f),
        (uint32_t)(wide_x * wide_y >> 32),
    };
    memcpy(out, values, sizeof values);
}

__global__ void run_scalars(const uint32_t *x, const uint32_t *y, const float *a, const float *b,
                            uint32_t *out)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < N)
        scalars(i, x[i], y[i], a[i], b[i], out + i * SCALARS);
}

__global__ void run_functions(const float *a, float *out)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= N)
        return;
    float x = a[i], *o = out + i * FUNCTIONS;
    o[0] = __expf(x);
    o[1] = expf(x);
    o[2] = tanhf(x);
    o[3] = rsqrtf(fabsf(x) + 1);
    o[4] = logf(fabsf(x) + 0.1f);
    o[5] = __fdividef(x, 3.f);
    o[6] = sinf(x);
    o[7] = table[i & 7] * powf(fabsf(x), 1.7f);
}

template <class Pair> __global__ void run_pairs(const Pair *a, const Pair *b, Pair fifth, Pair *out)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= N)
        return;
    out[i * HALVES] = __hadd2(a[i], b[i]);
    out[i * HALVES + 1] = __hfma2(a[i], b[i], a[i]);
    out[i * HALVES + 2] = __hmax2(a[i], b[i]);
    out[i * HALVES + 3] = __hmul2(a[i], fifth);
}

// One block: sums[0] all values, sums[1] their maximum.
__global__ void run_warps(const int *values, int *sums, float *halves, int *out)
{
    __shared__ int warp_sums[THREADS / 32];
    int t = threadIdx.x, v = values[t], sum = v;
    for (int distance = 16; distance; distance >>= 1)
        sum += __shfl_down_sync(~0u, sum, distance);
    int *o = out + t * WARP_RESULTS;
    o[0] = (int)__ballot_sync(~0u, v & 1);
    o[1] = __reduce_max_sync(~0u, v);
    o[2] = __any_sync(~0u, v > 1000);
    o[3] = __all_sync(~0u, v >= 0);
    o[4] = __shfl_up_sync(~0u, v, 3);
    o[5] = __shfl_sync(~0u, v, 5, 8);
    o[6] = __shfl_xor_sync(~0u, v, 9);
    o[7] = __popc(o[0]) + __clz(v) + __ffs(v) + (int)__brev(v);
    if (t % 32 == 0)
        warp_sums[t / 32] = sum;
    __syncthreads();
    for (int i = 0; t == 0 && i < THREADS / 32; i++)
        sums[0] += warp_sums[i];
    atomicAdd(&total, v);
    atomicMax(&sums[1], v);
    atomicAdd(halves, 0.5f);
    auto block = cooperative_groups::this_thread_block();
    cooperative_groups::tiled_partition<32>(block).sync();
    block.sync();
}

enum { PIPE_THREADS = 64, PIPE_STEPS = 4 };

// Reverses each step's values through two buffers of cp.async.
__global__ void run_pipeline(const float4 *in, float4 *out)
{
    __shared__ float4 buffers[2][PIPE_THREADS];
    int t = threadIdx.x;
    __pipeline_memcpy_async(&buffers[0][t], in + t, 16);
    __pipeline_commit();
    for (int k = 0; k < PIPE_STEPS; k++) {
        if (k + 1 < PIPE_STEPS)
            __pipeline_memcpy_async(&buffers[(k + 1) & 1][t], in + (k + 1) * PIPE_THREADS + t, 16);
        __pipeline_commit();
        __pipeline_wait_prior(1);
        __syncthreads();
        out[k * PIPE_THREADS + t] = buffers[k & 1][PIPE_THREADS - 1 - t];
        __syncthreads();
    }
}

struct Inputs {
    std::vector<uint32_t> x, y;
    std::vector<float> a, b;
};

static Inputs make_inputs()
{
    Random random{12345};
    Inputs in;
    for (int i = 0; i < N; i++) {
        uint32_t x = random.bits();
        in.x.push_back(i < 3 ? i : i < 6 ? 0x80000000u + i : x);
        in.y.push_back(random.bits() >> (i % 20));
        in.a.push_back(random.unit() * 5.4f);
        in.b.push_back(random.unit() * 7.2f);
    }
    return in;
}

static int check_scalars(const Inputs &in)
{
    DeviceArray<uint32_t> x(in.x), y(in.y), out(N * SCALARS);
    DeviceArray<float> a(in.a), b(in.b);
    run_scalars<<<BLOCKS, THREADS>>>(x.data, y.data, a.data, b.data, out.data);
    std::vector<uint32_t> got = out.download();
    int wrong = 0, first[SCALARS] = {0};
    for (int i = 0; i < N; i++) {
        uint32_t wanted[SCALARS];
        scalars(i, in.x[i], in.y[i], in.a[i], in.b[i], wanted);
        for (int k = 0; k < SCALARS; k++) {
            if (got[i * SCALARS + k] == wanted[k])
                continue;
            wrong++;
            if (!first[k]++)
                printf("scalar %d of x %08x y %08x a %g b %g: %08x instead of %08x\n", k, in.x[i],
                       in.y[i], in.a[i], in.b[i], got[i * SCALARS + k], wanted[k]);
        }
    }
    printf("scalars: %d of %d wrong\n", wrong, N * SCALARS);
    return wrong;
}

static int check_functions(const Inputs &in)
{
    static const double factors[8] = {1, 2, 3, 4, 5, 6, 7, 8.5};
    DeviceArray<float> a(in.a), out(N * FUNCTIONS);
    run_functions<<<BLOCKS, THREADS>>>(a.data, out.data);
    std::vector<float> got = out.download();
    int wrong = 0;
    for (int i = 0; i < N; i++) {
        double v = in.a[i];
        const double wanted[FUNCTIONS] = {exp(v),
                                          exp(v),
                                          tanh(v),
                                          1 / sqrt(fabs(v) + 1),
                                          log(fabs(v) + 0.1f),
                                          v / 3,
                                          sin(v),
                                          factors[i & 7] * pow(fabs(v), 1.7)};
        for (int k = 0; k < FUNCTIONS; k++) {
            double error = fabs(got[i * FUNCTIONS + k] - wanted[k]) / (fabs(wanted[k]) + 1e-2);
            if (!(error < 1e-5))
                printf("function %d of %g: error %g\n", k, v, error);
            wrong += !(error < 1e-5);
        }
    }
    printf("functions: %d of %d wrong\n", wrong, N * FUNCTIONS);
    return wrong;
}

template <class Pair, class One>
static int check_pairs(const Inputs &in, Pair (*make)(float, float), float (*low)(Pair),
                       float (*high)(Pair), One (*round)(float), float (*widen)(One))
{
    std::vector<Pair> a, b;
    for (int i = 0; i < N; i++) {
        a.push_back(make(in.a[i], in.b[i]));
        b.push_back(make(in.b[i], in.a[(i + 1) % N]));
    }
    DeviceArray<Pair> device_a(a), device_b(b), out(N * HALVES);
    run_pairs<<<BLOCKS, THREADS>>>(device_a.data, device_b.data, make(0.2f, 0.2f), out.data);
    std::vector<Pair> got = out.download();
    int wrong = 0;
    for (int i = 0; i < N; i++)
        for (auto half : {low, high}) {
            float x = half(a[i]), y = half(b[i]), fifth = widen(round(0.2f));
            const float wanted[HALVES] = {x + y, fmaf(x, y, x), fmaxf(x, y), x * fifth};
            for (int k = 0; k < HALVES; k++)
                wrong += bits(half(got[i * HALVES + k])) != bits(widen(round(wanted[k])));
        }
    printf("pairs: %d of %d wrong\n", wrong, N * HALVES * 2);
    return wrong;
}

static uint32_t reversed(uint32_t x)
{
    uint32_t result = 0;
    for (int i = 0; i < 32; i++)
        result |= (x >> i & 1) << (31 - i);
    return result;
}

static int check_warps()
{
    Random random{7};
    std::vector<int> values;
    for (int i = 0; i < THREADS; i++)
        values.push_back((int)(random.bits() % 900) + 1);
    DeviceArray<int> device_values(values), sums(std::vector<int>(2, 0)),
        out(THREADS * WARP_RESULTS);
    DeviceArray<float> halves(std::vector<float>(1, 0.f));
    int zero = 0, on_device = 0, sum = 0, most = 0, wrong = 0;
    CHECK(cudaMemcpyToSymbol(total, &zero, sizeof zero));
    run_warps<<<1, THREADS>>>(device_values.data, sums.data, halves.data, out.data);
    std::vector<int> got = out.download(), got_sums = sums.download();
    CHECK(cudaMemcpyFromSymbol(&on_device, total, sizeof on_device));
    for (int v : values) {
        sum += v;
        most = v > most ? v : most;
    }
    wrong += got_sums[0] != sum || got_sums[1] != most || on_device != sum ||
             halves.download()[0] != THREADS * 0.5f;
    for (int t = 0; t < THREADS; t++) {
        int first = t / 32 * 32, lane = t % 32, ballot = 0, warp_most = 0, v = values[t];
        for (int i = 0; i < 32; i++) {
            ballot |= (int)((unsigned)(values[first + i] & 1) << i);
            warp_most = values[first + i] > warp_most ? values[first + i] : warp_most;
        }
        const int wanted[WARP_RESULTS] = {ballot,
                                          warp_most,
                                          0,
                                          1,
                                          lane >= 3 ? values[t - 3] : v,
                                          values[first + (lane & 24) + 5],
                                          values[first + (lane ^ 9)],
                                          __builtin_popcount(ballot) + __builtin_clz(v) +
                                              __builtin_ffs(v) + (int)reversed(v)};
        for (int k = 0; k < WARP_RESULTS; k++)
            wrong += got[t * WARP_RESULTS + k] != wanted[k];
    }
    printf("warp operations: %d of %d wrong\n", wrong, THREADS * WARP_RESULTS + 1);
    return wrong;
}

static int check_pipeline()
{
    std::vector<float4> values;
    for (int i = 0; i < PIPE_THREADS * PIPE_STEPS; i++)
        values.push_back(make_float4(4 * i, 4 * i + 1, 4 * i + 2, 4 * i + 3));
    DeviceArray<float4> in(values), out(values.size());
    run_pipeline<<<1, PIPE_THREADS>>>(in.data, out.data);
    std::vector<float4> got = out.download();
    int wrong = 0;
    for (int k = 0; k < PIPE_STEPS; k++)
        for (int t = 0; t < PIPE_THREADS; t++)
            wrong += memcmp(&got[k * PIPE_THREADS + t],
                            &values[k * PIPE_THREADS + PIPE_THREADS - 1 - t], sizeof(float4)) != 0;
    printf("cp.async: %d of %d wrong\n", wrong, PIPE_THREADS * PIPE_STEPS);
    return wrong;
}

int main()
{
    Inputs in = make_inputs();
    int wrong = check_scalars(in) + check_functions(in) + check_warps() + check_pipeline();
    wrong += check_pairs<__half2, __half>(in, __floats2half2_rn, __low2float, __high2float,
                                          __float2half, __half2float);
    wrong += check_pairs<__nv_bfloat162, __nv_bfloat16>(
        in, __floats2bfloat162_rn, __low2float, __high2float, __float2bfloat16, __bfloat162float);
    return wrong != 0;
}
