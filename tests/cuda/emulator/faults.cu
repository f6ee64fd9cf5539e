// faults NAME: a kernel with one fault that the emulator has to report; tests/cuda/emulator.cmake
// says the message. `faults none` runs the same kernels without a fault.
#include <cmath>
#include <cstring>
#include <cuda_pipeline.h>

#include "check.cuh"

enum { THREADS = 64 };

static const char *fault;

static bool is_fault(const char *name)
{
    return strcmp(fault, name) == 0;
}

// Each thread reads a value that a thread of another warp wrote.
__global__ void exchange(float *out, bool waits)
{
    __shared__ float values[THREADS];
    int t = threadIdx.x;
    values[t] = (float)t;
    if (waits)
        __syncthreads();
    out[t] = values[THREADS - 1 - t];
}

__global__ void copy_asynchronously(float *out, const float *in, bool waits)
{
    __shared__ float values[THREADS];
    int t = threadIdx.x;
    __pipeline_memcpy_async(&values[t], in + t, sizeof(float));
    __pipeline_commit();
    if (waits)
        __pipeline_wait_prior(0);
    out[t] = values[t];
}

__global__ void write_at(float *out, int offset)
{
    out[threadIdx.x + offset] = 1;
}

__global__ void write_at_byte(char *out)
{
    *(float *)(out + 4 * threadIdx.x) = 1;
}

// All lanes are named, `lanes` of them come.
__global__ void sum_lanes(int *out, int lanes)
{
    if (threadIdx.x < lanes)
        out[threadIdx.x] = __shfl_xor_sync(~0u, (int)threadIdx.x, 1);
}

__global__ void wait_for(int expected)
{
    asm volatile("bar.sync 1, %0;" ::"r"(expected) : "memory");
}

__global__ void use_dynamic_shared(float *out)
{
    extern __shared__ float dynamic[];
    dynamic[threadIdx.x] = 1;
    out[threadIdx.x] = dynamic[threadIdx.x];
}

static void expect_finite(const std::vector<float> &values, const char *what)
{
    for (float value : values)
        if (!std::isfinite(value)) {
            printf("%s: not a number\n", what);
            exit(1);
        }
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 64;
    fault = argv[1];
    DeviceArray<float> out(std::vector<float>(THREADS, 0.f)), in(std::vector<float>(THREADS, 3.f));
    DeviceArray<int> numbers(32);
    exchange<<<1, THREADS>>>(out.data, !is_fault("race"));
    copy_asynchronously<<<1, THREADS>>>(out.data, in.data, !is_fault("copy"));
    expect_finite(out.download(), "cp.async");
    write_at<<<1, THREADS>>>(out.data, is_fault("bounds") ? 1 : 0);
    write_at_byte<<<1, THREADS - 1>>>((char *)out.data + (is_fault("misaligned") ? 2 : 0));
    sum_lanes<<<1, 32>>>(numbers.data, is_fault("lanes") ? 31 : 32);
    wait_for<<<1, THREADS>>>(is_fault("deadlock") ? 2 * THREADS : THREADS);
    use_dynamic_shared<<<1, THREADS, is_fault("shared") ? 64 << 10 : 1 << 10>>>(out.data);
    CHECK(cudaGetLastError());
    float *freed;
    CHECK(cudaMalloc(&freed, THREADS * sizeof *freed));
    if (is_fault("freed"))
        CHECK(cudaFree(freed));
    write_at<<<1, THREADS>>>(freed, 0);
    float *fresh;
    CHECK(cudaMalloc(&fresh, THREADS * sizeof *fresh));
    if (!is_fault("unwritten"))
        CHECK(cudaMemset(fresh, 0, THREADS * sizeof *fresh));
    std::vector<float> values(THREADS);
    CHECK(cudaMemcpy(values.data(), fresh, THREADS * sizeof *fresh, cudaMemcpyDeviceToHost));
    expect_finite(values, "fresh memory");
    printf("no fault\n");
    return 0;
}
