#ifndef RESR_CUDA_GPU_HOPPER_CUH
#define RESR_CUDA_GPU_HOPPER_CUH

/* The instructions of sm_90a: mbarriers, bulk and tensor-map copies (TMA), wgmma (PTX ISA 8,
 * "Parallel Synchronization", "Data Movement", "Asynchronous Warpgroup Level Matrix
 * Instructions"). */

#include "gpu.cuh"

#include <cuda.h>

__device__ __forceinline__ void gpu_barrier_init(uint32_t barrier, int arrivals)
{
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;\n" ::"r"(barrier), "r"(arrivals)
                 : "memory");
}

/* After gpu_barrier_init: makes the barriers known to copies. */
__device__ __forceinline__ void gpu_barrier_publish()
{
    asm volatile("fence.mbarrier_init.release.cluster;\nfence.proxy.async.shared::cta;\n" ::
                     : "memory");
}

__device__ __forceinline__ void gpu_barrier_arrive(uint32_t barrier)
{
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];\n" ::"r"(barrier) : "memory");
}

/* Arrives, and lets the phase end only when copies have brought `bytes`. */
__device__ __forceinline__ void gpu_barrier_expect(uint32_t barrier, int bytes)
{
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;\n" ::"r"(barrier),
                 "r"(bytes)
                 : "memory");
}

/* Until the phase of this parity has ended. */
__device__ __forceinline__ void gpu_barrier_wait(uint32_t barrier, uint32_t parity)
{
    uint32_t done = 0;
    while (!done)
        asm volatile("{\n.reg .pred p;\n"
                     "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n"
                     "selp.u32 %0, 1, 0, p;\n}\n"
                     : "=r"(done)
                     : "r"(barrier), "r"(parity)
                     : "memory");
}

/* A multiple of 16 bytes that lie together. */
__device__ __forceinline__ void gpu_bulk_copy(uint32_t shared, const void *global, int bytes,
                                              uint32_t barrier)
{
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes "
                 "[%0], [%1], %2, [%3];\n" ::"r"(shared),
                 "l"(global), "r"(bytes), "r"(barrier)
                 : "memory");
}

__device__ __forceinline__ void gpu_tensor_copy(uint32_t shared, const CUtensorMap *map, int c0,
                                                int c1, int c2, int c3, uint32_t barrier)
{
    asm volatile("cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
                 "[%0], [%1, {%2, %3, %4, %5}], [%6];\n" ::"r"(shared),
                 "l"(map), "r"(c0), "r"(c1), "r"(c2), "r"(c3), "r"(barrier)
                 : "memory");
}

__device__ __forceinline__ void gpu_tensor_copy(uint32_t shared, const CUtensorMap *map, int c0,
                                                int c1, int c2, int c3, int c4, uint32_t barrier)
{
    asm volatile("cp.async.bulk.tensor.5d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
                 "[%0], [%1, {%2, %3, %4, %5, %6}], [%7];\n" ::"r"(shared),
                 "l"(map), "r"(c0), "r"(c1), "r"(c2), "r"(c3), "r"(c4), "r"(barrier)
                 : "memory");
}

/* Before the first gpu_wgmma, and before the next after other code has touched the sums. */
__device__ __forceinline__ void gpu_wgmma_fence()
{
    asm volatile("wgmma.fence.sync.aligned;\n" ::: "memory");
}

__device__ __forceinline__ void gpu_wgmma_commit()
{
    asm volatile("wgmma.commit_group.sync.aligned;\n" ::: "memory");
}

/* Waits until at most `groups` of this warpgroup's groups are in flight. */
template <int groups> __device__ __forceinline__ void gpu_wgmma_wait()
{
    asm volatile("wgmma.wait_group.sync.aligned %0;\n" ::"n"(groups) : "memory");
}

/* Makes the sums pass here: the compiler may neither read them before a wait nor write them after
 * a fence that this stands beside. No instruction. */
template <int n> __device__ __forceinline__ void gpu_pin(float (&sums)[n])
{
#pragma unroll
    for (int i = 0; i < n; i++)
        asm volatile("" : "+f"(sums[i])::"memory");
}

/* Registers of each thread of a warpgroup, which all its warps must ask for. */
template <int registers> __device__ __forceinline__ void gpu_registers_up()
{
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;\n" ::"n"(registers));
}

template <int registers> __device__ __forceinline__ void gpu_registers_down()
{
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;\n" ::"n"(registers));
}

enum { GPU_PLAIN = 0, GPU_SWIZZLE_64 = 2 }; /* how 16-byte pieces lie in shared memory */

/* A K-major operand: 8 rows x 16 bytes are one core matrix; `lead` bytes to the next one along K
 * (not used with a swizzle), `stride` bytes to the next 8 rows. */
__device__ __forceinline__ uint64_t gpu_operand(uint32_t shared, int lead, int stride, int swizzle)
{
    return static_cast<uint64_t>(shared >> 4) | static_cast<uint64_t>(lead >> 4) << 16 |
           static_cast<uint64_t>(stride >> 4) << 32 | static_cast<uint64_t>(swizzle) << 62;
}

/* d[] of lane l in warp w of the warpgroup: d[4 * j + 2 * h + e] is row 16 * w + l / 4 + 8 * h,
 * column 8 * j + l % 4 * 2 + e. */
#define GPU_SUMS8(d, i)                                                                            \
    "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]),    \
        "+f"(d[i + 6]), "+f"(d[i + 7])

/* N = 96: d += a * b for a of 64 x 16 pixels and channels, b of 16 x 96. */
__device__ __forceinline__ void gpu_wgmma(float (&d)[48], uint64_t a, uint64_t b)
{
    asm volatile("{\n.reg .pred add;\nsetp.eq.u32 add, 1, 1;\n"
                 "wgmma.mma_async.sync.aligned.m64n96k16.f32.f16.f16 {"
                 "%0,%1,%2,%3,%4,%5,%6,%7,"
                 "%8,%9,%10,%11,%12,%13,%14,%15,"
                 "%16,%17,%18,%19,%20,%21,%22,%23,"
                 "%24,%25,%26,%27,%28,%29,%30,%31,"
                 "%32,%33,%34,%35,%36,%37,%38,%39,"
                 "%40,%41,%42,%43,%44,%45,%46,%47"
                 "}, %48, %49, add, 1, 1, 0, 0;\n}\n"
                 : GPU_SUMS8(d, 0), GPU_SUMS8(d, 8), GPU_SUMS8(d, 16), GPU_SUMS8(d, 24),
                   GPU_SUMS8(d, 32), GPU_SUMS8(d, 40)
                 : "l"(a), "l"(b));
}

/* N = 128: d += a * b for a of 64 x 16 pixels and channels, b of 16 x 128. */
__device__ __forceinline__ void gpu_wgmma(float (&d)[64], uint64_t a, uint64_t b)
{
    asm volatile("{\n.reg .pred add;\nsetp.eq.u32 add, 1, 1;\n"
                 "wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 {"
                 "%0,%1,%2,%3,%4,%5,%6,%7,"
                 "%8,%9,%10,%11,%12,%13,%14,%15,"
                 "%16,%17,%18,%19,%20,%21,%22,%23,"
                 "%24,%25,%26,%27,%28,%29,%30,%31,"
                 "%32,%33,%34,%35,%36,%37,%38,%39,"
                 "%40,%41,%42,%43,%44,%45,%46,%47,"
                 "%48,%49,%50,%51,%52,%53,%54,%55,"
                 "%56,%57,%58,%59,%60,%61,%62,%63"
                 "}, %64, %65, add, 1, 1, 0, 0;\n}\n"
                 : GPU_SUMS8(d, 0), GPU_SUMS8(d, 8), GPU_SUMS8(d, 16), GPU_SUMS8(d, 24),
                   GPU_SUMS8(d, 32), GPU_SUMS8(d, 40), GPU_SUMS8(d, 48), GPU_SUMS8(d, 56)
                 : "l"(a), "l"(b));
}

/* N = 192: d += a * b for a of 64 x 16 pixels and channels, b of 16 x 192. */
__device__ __forceinline__ void gpu_wgmma(float (&d)[96], uint64_t a, uint64_t b)
{
    asm volatile("{\n.reg .pred add;\nsetp.eq.u32 add, 1, 1;\n"
                 "wgmma.mma_async.sync.aligned.m64n192k16.f32.f16.f16 {"
                 "%0,%1,%2,%3,%4,%5,%6,%7,"
                 "%8,%9,%10,%11,%12,%13,%14,%15,"
                 "%16,%17,%18,%19,%20,%21,%22,%23,"
                 "%24,%25,%26,%27,%28,%29,%30,%31,"
                 "%32,%33,%34,%35,%36,%37,%38,%39,"
                 "%40,%41,%42,%43,%44,%45,%46,%47,"
                 "%48,%49,%50,%51,%52,%53,%54,%55,"
                 "%56,%57,%58,%59,%60,%61,%62,%63,"
                 "%64,%65,%66,%67,%68,%69,%70,%71,"
                 "%72,%73,%74,%75,%76,%77,%78,%79,"
                 "%80,%81,%82,%83,%84,%85,%86,%87,"
                 "%88,%89,%90,%91,%92,%93,%94,%95"
                 "}, %96, %97, add, 1, 1, 0, 0;\n}\n"
                 : GPU_SUMS8(d, 0), GPU_SUMS8(d, 8), GPU_SUMS8(d, 16), GPU_SUMS8(d, 24),
                   GPU_SUMS8(d, 32), GPU_SUMS8(d, 40), GPU_SUMS8(d, 48), GPU_SUMS8(d, 56),
                   GPU_SUMS8(d, 64), GPU_SUMS8(d, 72), GPU_SUMS8(d, 80), GPU_SUMS8(d, 88)
                 : "l"(a), "l"(b));
}

#undef GPU_SUMS8

#endif
