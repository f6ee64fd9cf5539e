#ifndef RESR_CUDA_GPU_CUH
#define RESR_CUDA_GPU_CUH

/* The instructions of sm_80 that CUDA C++ has no names for (PTX ISA 8, "Warp Level Matrix
 * Instructions", "Asynchronous Copy Instructions"). */

#include <cstdint>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

__device__ __forceinline__ uint32_t gpu_shared_address(const void *pointer)
{
    return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

/* 16 bytes from global to shared memory; zeros instead if !inside (nothing is read then). */
__device__ __forceinline__ void gpu_copy16(uint32_t shared, const void *global, bool inside)
{
    int bytes = inside ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(shared), "l"(global),
                 "r"(bytes)
                 : "memory");
}

__device__ __forceinline__ void gpu_copy_commit()
{
    asm volatile("cp.async.commit_group;\n" ::: "memory");
}

/* Waits until at most `groups` of this thread's groups are in flight. */
template <int groups> __device__ __forceinline__ void gpu_copy_wait()
{
    asm volatile("cp.async.wait_group %0;\n" ::"n"(groups) : "memory");
}

/* Four 8x8 matrices of 16-bit values: lane l gives the address of row l % 8 of matrix l / 8. */
__device__ __forceinline__ void gpu_load_matrices(uint32_t (&to)[4], uint32_t shared)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];\n"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(shared)
                 : "memory");
}

__device__ __forceinline__ void gpu_load16(uint32_t (&to)[4], uint32_t shared)
{
    asm volatile("ld.shared.v4.b32 {%0,%1,%2,%3}, [%4];\n"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(shared)
                 : "memory");
}

/* fp16 or bf16: the instruction, and rounding, of two values at once or of one on the host. */
template <typename Element> struct GpuElement;

template <> struct GpuElement<__half> {
    using Pair = __half2;
    static __device__ __forceinline__ Pair pair(float x, float y)
    {
        return __floats2half2_rn(x, y);
    }
    static __host__ __device__ __forceinline__ __half one(float x)
    {
        return __float2half_rn(x);
    }
};

template <> struct GpuElement<__nv_bfloat16> {
    using Pair = __nv_bfloat162;
    static __device__ __forceinline__ Pair pair(float x, float y)
    {
        return __floats2bfloat162_rn(x, y);
    }
    static __host__ __device__ __forceinline__ __nv_bfloat16 one(float x)
    {
        return __float2bfloat16_rn(x);
    }
};

/* d += a * b for a of 16 x 16, b of 16 x 8. */
template <typename Element>
__device__ __forceinline__ void gpu_mma(float (&d)[4], const uint32_t (&a)[4], uint32_t b0,
                                        uint32_t b1);

template <>
__device__ __forceinline__ void gpu_mma<__nv_bfloat16>(float (&d)[4], const uint32_t (&a)[4],
                                                       uint32_t b0, uint32_t b1)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                 "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

template <>
__device__ __forceinline__ void gpu_mma<__half>(float (&d)[4], const uint32_t (&a)[4], uint32_t b0,
                                                uint32_t b1)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
                 "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

#endif
