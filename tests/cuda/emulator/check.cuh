// Shared by the emulator's tests.
#ifndef RESR_TESTS_EMULATOR_CHECK_CUH
#define RESR_TESTS_EMULATOR_CHECK_CUH

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cuda_runtime.h>
#include <vector>

#define CHECK(call)                                                                                \
    do {                                                                                           \
        cudaError_t error_ = (call);                                                               \
        if (error_ != cudaSuccess) {                                                               \
            printf("line %d: %s: %s\n", __LINE__, #call, cudaGetErrorName(error_));                \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

// Seeded numbers; the same on every machine.
struct Random {
    uint32_t state;

    uint32_t bits()
    {
        state = state * 1664525u + 1013904223u;
        return state ^ state >> 15;
    }

    float unit() // -1 .. 1
    {
        return (float)(int32_t)bits() / 2147483648.f;
    }
};

// Device memory, freed with the object.
template <class T> struct DeviceArray {
    T *data = nullptr;
    size_t count;

    explicit DeviceArray(size_t n) : count(n)
    {
        CHECK(cudaMalloc(&data, n * sizeof(T)));
    }

    explicit DeviceArray(const std::vector<T> &host) : DeviceArray(host.size())
    {
        CHECK(cudaMemcpy(data, host.data(), count * sizeof(T), cudaMemcpyHostToDevice));
    }

    DeviceArray(const DeviceArray &) = delete;

    ~DeviceArray()
    {
        cudaFree(data);
    }

    std::vector<T> download() const
    {
        std::vector<T> host(count);
        CHECK(cudaDeviceSynchronize());
        CHECK(cudaMemcpy(host.data(), data, count * sizeof(T), cudaMemcpyDeviceToHost));
        return host;
    }
};

#endif
