// Variant cublas: a convolution as three steps that are easy to believe, the oracle and the
// fallback.
//
//   im2col    rows[pixel][9][cin] fp16     the nine taps of a pixel side by side, 16 bytes a thread
//   cuBLASLt  products[pixel][cout] fp32   rows x weights, bias where the library offers it
//   finish    activation, residuals, rounding, one thread per four channels
//
// The rows are nine times the activations, so the pixels go in pieces small enough for an L2 cache
// (48 MiB: H100 50 MB, B200 126 MB, A100 40 MB) instead of through memory. No LeakyReLU, no PReLU
// and no residual in fp32 is among cuBLASLt's epilogues: only the bias fits.
// Expected: 20 to 60 TFLOP/s (README.md); the other variants are five to ten times as fast.
#include <cuda_fp16.h>
#include <stdint.h>
#include <string.h>

#include "base/error.h"
#include "conv.cuh"
#include "cublaslt.cuh"

static const size_t workspace_bytes = (size_t)32 << 20; // as cuBLASLt recommends for Hopper
size_t resr_cublas_piece_bytes = (size_t)48 << 20;

static const int threads = 256;

// Thread i copies 8 channels of one tap: consecutive threads write consecutive 16 bytes.
static __global__ void __launch_bounds__(256)
    cublas_im2col(uint4 *__restrict__ rows, const __half *__restrict__ in, int in_pitch, int cin,
                  int upsample, int height, int width, unsigned first, unsigned copies)
{
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x, octets = (unsigned)cin / 8;
    if (i >= copies)
        return;
    const unsigned octet = i % octets, tap = i / octets % 9, pixel = first + i / octets / 9;
    const unsigned row = pixel / width, tile = row / height;
    const int x = (int)(pixel % width + tap % 3) - 1, y = (int)(row % height + tap / 3) - 1;
    uint4 value = make_uint4(0, 0, 0, 0);
    if (x >= 0 && x < width && y >= 0 && y < height) {
        const size_t line = tile * (size_t)(height >> upsample) + (y >> upsample);
        const size_t source = line * (width >> upsample) + (x >> upsample);
        value = *reinterpret_cast<const uint4 *>(in + source * in_pitch + octet * 8);
    }
    rows[i] = value;
}

static __device__ float sigmoid(float v)
{
    return 1 / (1 + expf(-v));
}

static __device__ float activate(float v, int activation, const float *slope, int channel)
{
    if (activation == CONV_SILU)
        return v * sigmoid(v);
    if (v > 0 || activation == CONV_NONE || activation == CONV_GATE)
        return v;
    return (activation == CONV_LEAKY_RELU ? 0.2f : slope[channel]) * v;
}

static __device__ float4 pass_gate(float4 v, float4 trunk)
{
    return make_float4(
        (v.x + trunk.x) * (sigmoid(v.x) - 0.5f), (v.y + trunk.y) * (sigmoid(v.y) - 0.5f),
        (v.z + trunk.z) * (sigmoid(v.z) - 0.5f), (v.w + trunk.w) * (sigmoid(v.w) - 0.5f));
}

static __device__ float4 fma4(float factor, float4 v, float4 to)
{
    return make_float4(fmaf(factor, v.x, to.x), fmaf(factor, v.y, to.y), fmaf(factor, v.z, to.z),
                       fmaf(factor, v.w, to.w));
}

static __device__ float4 load4(const float *p)
{
    return *reinterpret_cast<const float4 *>(p);
}

// Thread i finishes four channels of one pixel; `bias` is NULL where cuBLASLt has added it.
static __global__ void __launch_bounds__(256)
    cublas_finish(ConvCall c, const float *bias, const float *products, unsigned first,
                  unsigned count)
{
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x, quads = (unsigned)c.cout / 4;
    if (i >= count * quads)
        return;
    const int channel = (int)(i % quads) * 4;
    const size_t pixel = first + i / quads, wide = pixel * 64 + channel;
    float4 v = load4(products + (size_t)i * 4);
    if (bias)
        v = fma4(1, v, load4(bias + channel));
    v.x = activate(v.x, c.activation, c.slope, channel);
    v.y = activate(v.y, c.activation, c.slope, channel + 1);
    v.z = activate(v.z, c.activation, c.slope, channel + 2);
    v.w = activate(v.w, c.activation, c.slope, channel + 3);
    if (c.activation == CONV_GATE)
        v = pass_gate(v, load4(c.trunk_in + wide));
    else if (c.trunk_in)
        v = fma4(0.2f, v, load4(c.trunk_in + wide));
    if (c.base)
        v = fma4(0.2f, v, load4(c.base + wide));
    if (c.add)
        v = fma4(1, v, load4(c.add + wide));
    if (c.trunk_out)
        *reinterpret_cast<float4 *>(c.trunk_out + wide) = v;
    if (c.out_f32 && channel < c.out_f32_count)
        *reinterpret_cast<float4 *>(c.out_f32 + pixel * c.out_f32_pitch + channel) = v;
    if (c.out) {
        const __half2 pair[2] = {__floats2half2_rn(v.x, v.y), __floats2half2_rn(v.z, v.w)};
        uint2 bits;
        memcpy(&bits, pair, sizeof bits);
        __half *out = static_cast<__half *>(c.out) + pixel * c.out_pitch + c.out_channel + channel;
        *reinterpret_cast<uint2 *>(out) = bits;
    }
}

// One product shape on one device: descriptors and cuBLASLt's choice of a kernel, kept because the
// search costs more than a launch and the same few shapes come back for every layer.
struct Product {
    int device, depth, channels;
    long pixels;
    bool adds_bias;
    cublasLtMatmulDesc_t desc;
    cublasLtMatrixLayout_t weights, rows, out;
    cublasLtMatmulAlgo_t algo;
};

static const int max_products = 64, max_devices = 64;
static Product products[max_products];
static int product_count;
static cublasLtHandle_t handles[max_devices];
static const CublasLt *lt;

static int check(cublasStatus_t status, const char *what)
{
    if (status == CUBLAS_STATUS_SUCCESS)
        return 0;
    return resr_cuda_fail(RESR_ERR_DEVICE, "--conv cublas: %s failed with cuBLAS status %d", what,
                          (int)status);
}

static int get_handle(cublasLtHandle_t *out, int *device)
{
    int ret = resr_cublaslt_open(&lt);
    if (ret == 0)
        ret = resr_cuda_check(cudaGetDevice(device), "cudaGetDevice");
    if (ret == 0 && (*device < 0 || *device >= max_devices))
        ret = resr_cuda_fail(RESR_ERR_DEVICE, "--conv cublas: device %d of at most %d", *device,
                             max_devices);
    if (ret == 0 && !handles[*device])
        ret = check(lt->create(&handles[*device]), "cublasLtCreate");
    if (ret == 0)
        *out = handles[*device];
    return ret;
}

static void drop(Product *p)
{
    if (p->desc)
        lt->desc_destroy(p->desc);
    if (p->weights)
        lt->layout_destroy(p->weights);
    if (p->rows)
        lt->layout_destroy(p->rows);
    if (p->out)
        lt->layout_destroy(p->out);
    *p = {};
}

// conv.cuh promises 16 bytes; unless told, cuBLASLt chooses kernels that may want 256.
static const uint32_t alignment = 16;
static const cublasLtMatmulPreferenceAttributes_t alignments[] = {
    CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
    CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};

// Sets the epilogue and asks for a kernel. The bias's address is replaced at each call; it counts
// here only for its alignment.
static cublasStatus_t choose(Product *p, cublasLtHandle_t handle, const float *bias)
{
    const cublasLtEpilogue_t epilogue =
        p->adds_bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT;
    cublasLtMatmulPreference_t preference = NULL;
    cublasLtMatmulHeuristicResult_t found;
    int count = 0;
    cublasStatus_t status =
        lt->desc_set(p->desc, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue);
    if (status == CUBLAS_STATUS_SUCCESS && p->adds_bias)
        status = lt->desc_set(p->desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = lt->preference_create(&preference);
    if (status != CUBLAS_STATUS_SUCCESS)
        return status;
    status = lt->preference_set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                &workspace_bytes, sizeof workspace_bytes);
    for (cublasLtMatmulPreferenceAttributes_t side : alignments)
        if (status == CUBLAS_STATUS_SUCCESS)
            status = lt->preference_set(preference, side, &alignment, sizeof alignment);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = lt->heuristic(handle, p->desc, p->weights, p->rows, p->out, p->out, preference, 1,
                               &found, &count);
    lt->preference_destroy(preference);
    if (status == CUBLAS_STATUS_SUCCESS && count < 1)
        status = CUBLAS_STATUS_NOT_SUPPORTED;
    if (status == CUBLAS_STATUS_SUCCESS)
        p->algo = found.algo;
    return status;
}

// cuBLAS counts columns first: weights [cout][9 * cin] are a matrix of 9 * cin rows, used
// transposed; rows [pixel][9 * cin] one of 9 * cin rows; the products come out as [pixel][cout].
static int create(Product *p, cublasLtHandle_t handle, const float *bias)
{
    const cublasOperation_t transposed = CUBLAS_OP_T;
    cublasStatus_t status = lt->desc_create(&p->desc, CUBLAS_COMPUTE_32F, CUDA_R_32F);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = lt->desc_set(p->desc, CUBLASLT_MATMUL_DESC_TRANSA, &transposed, sizeof transposed);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = lt->layout_create(&p->weights, CUDA_R_16F, p->depth, p->channels, p->depth);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = lt->layout_create(&p->rows, CUDA_R_16F, p->depth, p->pixels, p->depth);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = lt->layout_create(&p->out, CUDA_R_32F, p->channels, p->pixels, p->channels);
    if (status != CUBLAS_STATUS_SUCCESS)
        return check(status, "making the descriptors of a product");
    p->adds_bias = true;
    status = choose(p, handle, bias);
    if (status == CUBLAS_STATUS_NOT_SUPPORTED) {
        p->adds_bias = false;
        status = choose(p, handle, bias);
    }
    return check(status, "cublasLtMatmulAlgoGetHeuristic");
}

static int find_product(Product **out, cublasLtHandle_t handle, int device, const ConvCall *call,
                        long pixels)
{
    static int oldest;
    const int depth = 9 * call->cin;
    for (int i = 0; i < product_count; i++) {
        Product *p = &products[i];
        if (p->device == device && p->depth == depth && p->channels == call->cout &&
            p->pixels == pixels) {
            *out = p;
            return 0;
        }
    }
    Product *p = product_count < max_products ? &products[product_count++]
                                              : &products[oldest++ % max_products];
    drop(p);
    p->device = device;
    p->depth = depth;
    p->channels = call->cout;
    p->pixels = pixels;
    int ret = create(p, handle, call->bias);
    if (ret < 0)
        drop(p); // a shape of zeros is never asked for
    *out = p;
    return ret;
}

static long pixels_of(const ConvCall *call)
{
    return (long)call->tiles * call->height * call->width;
}

static size_t pixel_bytes(const ConvCall *call)
{
    return (size_t)call->cin * 9 * sizeof(__half) + (size_t)call->cout * sizeof(float);
}

static long piece_pixels(const ConvCall *call)
{
    const long most = (long)(resr_cublas_piece_bytes / pixel_bytes(call)), all = pixels_of(call);
    return most < 1 ? 1 : most < all ? most : all;
}

// The three steps for pixels first .. first + count - 1. Both parts of the scratch begin at
// multiples of 16 bytes: a row is a multiple of 288.
static int run_piece(const ConvCall *call, cublasLtHandle_t handle, int device, long first,
                     long count, cudaStream_t stream)
{
    const float one = 1, zero = 0;
    uint4 *rows = static_cast<uint4 *>(call->scratch);
    const long row_units = (long)call->cin * 9 / 8, copies = count * row_units;
    float *sums = reinterpret_cast<float *>(rows + copies);
    char *workspace =
        static_cast<char *>(call->scratch) + (size_t)piece_pixels(call) * pixel_bytes(call);
    workspace += -reinterpret_cast<uintptr_t>(workspace) & 255;
    Product *p;
    int ret = find_product(&p, handle, device, call, count);
    if (ret < 0)
        return ret;
    cublas_im2col<<<(unsigned)((copies + threads - 1) / threads), threads, 0, stream>>>(
        rows, static_cast<const __half *>(call->in), call->in_pitch, call->cin, call->upsample,
        call->height, call->width, (unsigned)first, (unsigned)copies);
    ret = resr_cuda_check(cudaGetLastError(), "launching im2col");
    if (ret == 0 && p->adds_bias)
        ret = check(lt->desc_set(p->desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &call->bias,
                                 sizeof call->bias),
                    "setting a product's bias");
    if (ret == 0)
        ret = check(lt->matmul(handle, p->desc, &one, call->weights, p->weights, rows, p->rows,
                               &zero, sums, p->out, sums, p->out, &p->algo, workspace,
                               workspace_bytes, stream),
                    "cublasLtMatmul");
    if (ret < 0)
        return ret;
    const long quads = count * (call->cout / 4);
    cublas_finish<<<(unsigned)((quads + threads - 1) / threads), threads, 0, stream>>>(
        *call, p->adds_bias ? NULL : call->bias, sums, (unsigned)first, (unsigned)count);
    return resr_cuda_check(cudaGetLastError(), "launching the end of a convolution");
}

static int run(const ConvCall *call, cudaStream_t stream)
{
    cublasLtHandle_t handle;
    int device, ret = get_handle(&handle, &device);
    const long all = pixels_of(call), piece = piece_pixels(call);
    if (all > INT32_MAX) // the kernels count pixels in 32 bits
        return resr_cuda_fail(RESR_ERR_INTERNAL, "--conv cublas: %ld pixels in one launch", all);
    for (long first = 0; ret == 0 && first < all; first += piece)
        ret = run_piece(call, handle, device, first, first + piece < all ? piece : all - first,
                        stream);
    return ret;
}

static int available(int capability, const char **why)
{
    (void)capability;
    *why = "cuBLASLt 12 or 13 was not found";
    return resr_cublaslt_open(&lt) == 0;
}

static int supports(const ConvCall *call)
{
    return call->cin % 16 == 0 && call->cout % 16 == 0 && call->cout <= 64;
}

// Asked before the pass, so the handle is made here: a pass that is being captured may not
// allocate. run() reports the error.
static size_t scratch_bytes(const ConvCall *call)
{
    cublasLtHandle_t handle;
    int device;
    (void)get_handle(&handle, &device);
    return (size_t)piece_pixels(call) * pixel_bytes(call) + workspace_bytes + 256;
}

static size_t packed_bytes(int padded_cin, int padded_cout)
{
    return (size_t)padded_cin * 9 * padded_cout * sizeof(__half);
}

// [cout][tap][cin], the order of an im2col row.
static void pack(void *out, const float *weights, int cin, int cout, int padded_cin,
                 int padded_cout)
{
    __half *packed = static_cast<__half *>(out);
    for (int o = 0; o < padded_cout; o++)
        for (int tap = 0; tap < 9; tap++)
            for (int i = 0; i < padded_cin; i++) {
                const bool real = o < cout && i < cin;
                const float value = real ? weights[((size_t)o * cin + i) * 9 + tap] : 0.0f;
                packed[((size_t)o * 9 + tap) * padded_cin + i] = __float2half_rn(value);
            }
}

extern "C" const ConvVariant conv_variant_cublas = {
    "cublas", available, supports, packed_bytes, pack, scratch_bytes, run,
};
