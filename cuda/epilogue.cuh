#ifndef RESR_CUDA_EPILOGUE_CUH
#define RESR_CUDA_EPILOGUE_CUH

/* The epilogue of conv_mma.cu and wgmma_kernel.cuh: from a convolution's sums to its outputs. */

#include "conv.cuh"
#include "gpu.cuh"

__device__ __forceinline__ float4 load4(const float *from)
{
    return *reinterpret_cast<const float4 *>(from);
}

__device__ __forceinline__ float4 load_slope(const ConvCall &call, int channel)
{
    return call.activation == CONV_PRELU ? load4(call.slope + channel)
                                         : make_float4(0.2f, 0.2f, 0.2f, 0.2f);
}

__device__ __forceinline__ float4 add_residual(float4 v, float4 r)
{
    return make_float4(fmaf(0.2f, v.x, r.x), fmaf(0.2f, v.y, r.y), fmaf(0.2f, v.z, r.z),
                       fmaf(0.2f, v.w, r.w));
}

__device__ __forceinline__ float activate(float v, float slope)
{
    return v > 0.0f ? v : slope * v;
}

/* 1 / (1 + e^-v) by ex2.approx and div.approx: within 2^-21, and for v < 0 within a factor of
 * 1 + (8 + |v|) * 2^-23 (CUDA C++ Programming Guide, "Intrinsic Functions": e^v within 2 + 1.173
 * |v| ulp, the quotient within 2). Below v = -87 it may be 0. */
__device__ __forceinline__ float sigmoid(float v)
{
    return __fdividef(1.0f, 1.0f + __expf(-v));
}

/* SPAN's gate with an attention block's input and 0.5; SiLU with two zeros. */
__device__ __forceinline__ float4 gate(float4 v, float4 r, float less)
{
    return make_float4((v.x + r.x) * (sigmoid(v.x) - less), (v.y + r.y) * (sigmoid(v.y) - less),
                       (v.z + r.z) * (sigmoid(v.z) - less), (v.w + r.w) * (sigmoid(v.w) - less));
}

/* The operands of four channels of a pixel, each loaded where it is used. A kernel that has them in
 * registers passes a type of its own. */
struct EpilogueOperands {
    const ConvCall &call;
    size_t at; /* of the residuals */
    int channel;

    __device__ __forceinline__ float4 bias() const
    {
        return load4(call.bias + channel);
    }
    __device__ __forceinline__ float4 slope() const
    {
        return load_slope(call, channel);
    }
    __device__ __forceinline__ float4 trunk() const
    {
        return load4(call.trunk_in + at);
    }
    __device__ __forceinline__ float4 base() const
    {
        return load4(call.base + at);
    }
};

/* Elements of a pixel in the residuals and in trunk_out. */
enum { EPILOGUE_PITCH = 64 };

/* Applies bias, activation and residuals to four channels of a pixel and stores all outputs but the
 * 16-bit one, which is returned. SMOOTH: with SiLU and the gate, for which kernels of few outputs
 * have no registers left. __stcg: nvcc 13.0 splits a plain store of the trunk into four of 4 bytes,
 * a quarter of the memory's rate. */
template <typename Element, bool SMOOTH, class Operands>
__device__ __forceinline__ uint2 epilogue(const ConvCall &call, float4 v, size_t px, int channel,
                                          const Operands &operands)
{
    float4 bias = operands.bias();
    v = make_float4(v.x + bias.x, v.y + bias.y, v.z + bias.z, v.w + bias.w);
    if (call.activation == CONV_LEAKY_RELU || call.activation == CONV_PRELU) {
        float4 slope = operands.slope();
        v = make_float4(activate(v.x, slope.x), activate(v.y, slope.y), activate(v.z, slope.z),
                        activate(v.w, slope.w));
    }
    size_t at = px * EPILOGUE_PITCH + channel;
    if (SMOOTH && call.activation >= CONV_SILU)
        v = call.activation == CONV_GATE ? gate(v, operands.trunk(), 0.5f)
                                         : gate(v, make_float4(0.0f, 0.0f, 0.0f, 0.0f), 0.0f);
    else if (call.trunk_in)
        v = add_residual(v, operands.trunk());
    if (call.base)
        v = add_residual(v, operands.base());
    if (call.add) {
        float4 r = load4(call.add + at);
        v = make_float4(v.x + r.x, v.y + r.y, v.z + r.z, v.w + r.w);
    }
    if (call.trunk_out)
        __stcg(reinterpret_cast<float4 *>(call.trunk_out + at), v);
    if (call.out_f32 && channel < call.out_f32_count)
        *reinterpret_cast<float4 *>(call.out_f32 + px * call.out_f32_pitch + channel) = v;
    typename GpuElement<Element>::Pair low = GpuElement<Element>::pair(v.x, v.y);
    typename GpuElement<Element>::Pair high = GpuElement<Element>::pair(v.z, v.w);
    return make_uint2(*reinterpret_cast<uint32_t *>(&low), *reinterpret_cast<uint32_t *>(&high));
}

#endif
