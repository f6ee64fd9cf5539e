// A fake of cuBLASLt for emulated devices: the entry points that variant cublas uses, as a
// plain product in fp32, run in stream order on memory that the CPU can read. It rejects the same
// arguments as the real library (attributes out of place, foreign pointers, less alignment than a
// kernel was chosen for, a kernel chosen for another shape, a workspace too small). It says nothing
// about the library's speed, its choice of kernels, and whether fp16 in, fp32 out with an fp32 bias
// is available for every shape.
//
// RESR_FAKE_NO_BIAS=1: no kernel has the bias. RESR_FAKE_FAIL=K: the K-th product fails.
#include <cublasLt.h>
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#define API extern "C" __attribute__((visibility("default")))

namespace
{
const uint64_t alive = 0x416c697665; // in handles and descriptors that were not destroyed
const size_t wanted_bytes = 4 << 20; // workspace of the one kernel

struct Handle {
    uint64_t mark;
    int device;
};

struct Desc {
    uint64_t mark;
    cublasOperation_t trans_a, trans_b;
    cublasLtEpilogue_t epilogue;
    const float *bias;
};

struct Layout {
    uint64_t mark;
    cudaDataType type;
    uint64_t rows, columns;
    int64_t ld;
};

struct Preference {
    uint64_t mark;
    size_t workspace_bytes;
    uint32_t alignment[4]; // of A, B, C, D
};

struct Product {
    const __half *weights, *rows;
    const float *bias;
    float *out;
    int64_t depth, channels, pixels, ld_weights, ld_rows, ld_out;
    float alpha;
};

template <typename T> T *cast(const void *p)
{
    T *t = static_cast<T *>(const_cast<void *>(p));
    return t && t->mark == alive ? t : nullptr;
}

cublasStatus_t complain(cublasStatus_t status, const char *why)
{
    fprintf(stderr, "fake_cublaslt: %s\n", why);
    return status;
}

// `first` .. of `bytes` lies in one allocation of the current device, aligned to 16 bytes.
bool on_device(const void *first, size_t bytes)
{
    cudaPointerAttributes a, b;
    const char *p = static_cast<const char *>(first);
    return reinterpret_cast<uintptr_t>(p) % 16 == 0 && bytes > 0 &&
           cudaPointerGetAttributes(&a, p) == cudaSuccess && a.type == cudaMemoryTypeDevice &&
           cudaPointerGetAttributes(&b, p + bytes - 1) == cudaSuccess &&
           b.type == cudaMemoryTypeDevice;
}

uint64_t shape_of(const Desc &desc, const Layout &a, const Layout &b, const Layout &d)
{
    uint64_t mix = 1469598103934665603u;
    for (uint64_t v : {a.rows, a.columns, b.columns, d.rows, (uint64_t)desc.epilogue})
        mix = (mix ^ v) * 1099511628211u;
    return mix;
}

// The rules that cuBLASLt documents for fp16 in, fp32 accumulation and output, A transposed.
cublasStatus_t check_shape(const Desc *desc, const Layout *a, const Layout *b, const Layout *d)
{
    if (!desc || !a || !b || !d)
        return complain(CUBLAS_STATUS_INVALID_VALUE, "a descriptor is missing or was destroyed");
    if (desc->trans_a != CUBLAS_OP_T || desc->trans_b != CUBLAS_OP_N)
        return complain(CUBLAS_STATUS_NOT_SUPPORTED, "only A transposed and B as it is");
    if (a->type != CUDA_R_16F || b->type != CUDA_R_16F || d->type != CUDA_R_32F)
        return complain(CUBLAS_STATUS_NOT_SUPPORTED, "types other than fp16, fp16, fp32");
    if (a->rows != b->rows || a->columns != d->rows || b->columns != d->columns)
        return complain(CUBLAS_STATUS_INVALID_VALUE, "the matrices' sizes do not fit");
    if (a->ld < (int64_t)a->rows || b->ld < (int64_t)b->rows || d->ld < (int64_t)d->rows)
        return complain(CUBLAS_STATUS_INVALID_VALUE, "a leading dimension is below the rows");
    if (a->ld % 8 || b->ld % 8 || d->ld % 4)
        return complain(CUBLAS_STATUS_NOT_SUPPORTED,
                        "leading dimensions are not 16-byte multiples");
    return CUBLAS_STATUS_SUCCESS;
}

// `data` is kept: a captured graph comes here again.
void CUDART_CB multiply(void *data)
{
    Product *p = static_cast<Product *>(data);
    const int64_t channels = p->channels;
    std::vector<float> weights((size_t)channels * p->depth), sums(channels);
    for (int64_t o = 0; o < channels; o++)
        for (int64_t k = 0; k < p->depth; k++)
            weights[k * channels + o] = __half2float(p->weights[o * p->ld_weights + k]);
    for (int64_t i = 0; i < p->pixels; i++) {
        std::fill(sums.begin(), sums.end(), 0.0f);
        for (int64_t k = 0; k < p->depth; k++) {
            const float value = __half2float(p->rows[i * p->ld_rows + k]);
            for (int64_t o = 0; o < channels; o++)
                sums[o] += value * weights[k * channels + o];
        }
        for (int64_t o = 0; o < channels; o++)
            p->out[i * p->ld_out + o] = p->alpha * sums[o] + (p->bias ? p->bias[o] : 0);
    }
}
} // namespace

API cublasStatus_t cublasLtCreate(cublasLtHandle_t *out)
{
    Handle *handle = new Handle{alive, 0};
    if (cudaGetDevice(&handle->device) != cudaSuccess) {
        delete handle;
        return CUBLAS_STATUS_NOT_INITIALIZED;
    }
    *out = reinterpret_cast<cublasLtHandle_t>(handle);
    return CUBLAS_STATUS_SUCCESS;
}

API cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle)
{
    Handle *h = cast<Handle>(handle);
    if (!h)
        return CUBLAS_STATUS_INVALID_VALUE;
    h->mark = 0;
    delete h;
    return CUBLAS_STATUS_SUCCESS;
}

API cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *out, cublasComputeType_t compute,
                                            cudaDataType_t scale)
{
    if (compute != CUBLAS_COMPUTE_32F || scale != CUDA_R_32F)
        return complain(CUBLAS_STATUS_NOT_SUPPORTED, "another type of sums than fp32");
    *out = reinterpret_cast<cublasLtMatmulDesc_t>(
        new Desc{alive, CUBLAS_OP_N, CUBLAS_OP_N, CUBLASLT_EPILOGUE_DEFAULT, nullptr});
    return CUBLAS_STATUS_SUCCESS;
}

template <typename T> static cublasStatus_t destroy(void *p)
{
    T *t = cast<T>(p);
    if (!t)
        return CUBLAS_STATUS_INVALID_VALUE;
    t->mark = 0;
    delete t;
    return CUBLAS_STATUS_SUCCESS;
}

API cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc)
{
    return destroy<Desc>(desc);
}

template <typename T> static cublasStatus_t set(T *out, const void *value, size_t bytes)
{
    if (bytes != sizeof *out)
        return complain(CUBLAS_STATUS_INVALID_VALUE, "an attribute of another size");
    memcpy(out, value, bytes);
    return CUBLAS_STATUS_SUCCESS;
}

API cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc,
                                                  cublasLtMatmulDescAttributes_t attribute,
                                                  const void *value, size_t bytes)
{
    Desc *d = cast<Desc>(desc);
    if (!d || !value)
        return CUBLAS_STATUS_INVALID_VALUE;
    switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
        return set(&d->trans_a, value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSB:
        return set(&d->trans_b, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
        return set(&d->epilogue, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
        return set(&d->bias, value, bytes);
    default:
        return complain(CUBLAS_STATUS_INVALID_VALUE, "an attribute that it does not know");
    }
}

API cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *out, cudaDataType type,
                                              uint64_t rows, uint64_t columns, int64_t ld)
{
    if (rows == 0 || columns == 0)
        return complain(CUBLAS_STATUS_INVALID_VALUE, "an empty matrix");
    *out = reinterpret_cast<cublasLtMatrixLayout_t>(new Layout{alive, type, rows, columns, ld});
    return CUBLAS_STATUS_SUCCESS;
}

API cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout)
{
    return destroy<Layout>(layout);
}

API cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *out)
{
    *out = reinterpret_cast<cublasLtMatmulPreference_t>(
        new Preference{alive, 0, {256, 256, 256, 256}});
    return CUBLAS_STATUS_SUCCESS;
}

API cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference)
{
    return destroy<Preference>(preference);
}

API cublasStatus_t cublasLtMatmulPreferenceSetAttribute(
    cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t attribute,
    const void *value, size_t bytes)
{
    Preference *p = cast<Preference>(preference);
    if (p && attribute == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES)
        return set(&p->workspace_bytes, value, bytes);
    if (p && attribute >= CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES &&
        attribute <= CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES)
        return set(&p->alignment[attribute - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES], value,
                   bytes);
    return complain(CUBLAS_STATUS_INVALID_VALUE, "a preference that it does not know");
}

API cublasStatus_t cublasLtMatmulAlgoGetHeuristic(
    cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, cublasLtMatrixLayout_t a,
    cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
    cublasLtMatmulPreference_t preference, int wanted, cublasLtMatmulHeuristicResult_t *results,
    int *count)
{
    const Desc *dd = cast<Desc>(desc);
    const Layout *la = cast<Layout>(a), *lb = cast<Layout>(b), *ld = cast<Layout>(d);
    const Preference *p = cast<Preference>(preference);
    *count = 0;
    if (!cast<Handle>(handle) || !cast<Layout>(c) || !p || wanted < 1)
        return complain(CUBLAS_STATUS_INVALID_VALUE, "the choice of a kernel lacks something");
    cublasStatus_t status = check_shape(dd, la, lb, ld);
    if (status != CUBLAS_STATUS_SUCCESS)
        return status;
    const char *no_bias = getenv("RESR_FAKE_NO_BIAS");
    if ((dd->epilogue != CUBLASLT_EPILOGUE_DEFAULT && dd->epilogue != CUBLASLT_EPILOGUE_BIAS) ||
        (dd->epilogue == CUBLASLT_EPILOGUE_BIAS && no_bias && *no_bias) ||
        p->workspace_bytes < wanted_bytes)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    *results = {};
    results->algo.data[0] = shape_of(*dd, *la, *lb, *ld);
    for (int i = 0; i < 4; i++) // guaranteed to the kernel
        results->algo.data[1 + i] = p->alignment[i];
    results->workspaceSize = wanted_bytes;
    *count = 1;
    return CUBLAS_STATUS_SUCCESS;
}

API cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                  const void *alpha, const void *A, cublasLtMatrixLayout_t a,
                                  const void *B, cublasLtMatrixLayout_t b, const void *beta,
                                  const void *C, cublasLtMatrixLayout_t c, void *D,
                                  cublasLtMatrixLayout_t d, const cublasLtMatmulAlgo_t *algo,
                                  void *workspace, size_t workspace_bytes, cudaStream_t stream)
{
    static long calls;
    const Handle *h = cast<Handle>(handle);
    const Desc *dd = cast<Desc>(desc);
    const Layout *la = cast<Layout>(a), *lb = cast<Layout>(b), *ld = cast<Layout>(d);
    const char *failing = getenv("RESR_FAKE_FAIL");
    int device = -1;
    if (failing && ++calls == atol(failing))
        return CUBLAS_STATUS_EXECUTION_FAILED;
    cublasStatus_t status = check_shape(dd, la, lb, ld);
    if (status != CUBLAS_STATUS_SUCCESS)
        return status;
    if (!h || cudaGetDevice(&device) != cudaSuccess || device != h->device)
        return complain(CUBLAS_STATUS_INVALID_VALUE, "a handle of another device");
    if (c != d || C != D || *static_cast<const float *>(beta) != 0)
        return complain(CUBLAS_STATUS_NOT_SUPPORTED, "C other than D, or beta other than 0");
    if (!algo || algo->data[0] != shape_of(*dd, *la, *lb, *ld))
        return complain(CUBLAS_STATUS_INVALID_VALUE, "a kernel that was chosen for another shape");
    if (workspace_bytes < wanted_bytes || !on_device(workspace, workspace_bytes))
        return complain(CUBLAS_STATUS_INVALID_VALUE, "a workspace too small or not on the device");
    const void *const matrices[] = {A, B, C, D};
    for (int i = 0; i < 4; i++)
        if (reinterpret_cast<uintptr_t>(matrices[i]) % algo->data[1 + i] != 0)
            return complain(CUBLAS_STATUS_INVALID_VALUE,
                            "a matrix is less aligned than the kernel was chosen for");
    const bool bias = dd->epilogue == CUBLASLT_EPILOGUE_BIAS;
    if (!on_device(A, (la->columns - 1) * la->ld * 2 + la->rows * 2) ||
        !on_device(B, (lb->columns - 1) * lb->ld * 2 + lb->rows * 2) ||
        !on_device(D, (ld->columns - 1) * ld->ld * 4 + ld->rows * 4) ||
        (bias && !on_device(dd->bias, ld->rows * 4)))
        return complain(CUBLAS_STATUS_INVALID_VALUE,
                        "a matrix is not on the device, or misaligned");
    Product *product = new Product{static_cast<const __half *>(A),
                                   static_cast<const __half *>(B),
                                   bias ? dd->bias : nullptr,
                                   static_cast<float *>(D),
                                   (int64_t)la->rows,
                                   (int64_t)la->columns,
                                   (int64_t)lb->columns,
                                   la->ld,
                                   lb->ld,
                                   ld->ld,
                                   *static_cast<const float *>(alpha)};
    return cudaLaunchHostFunc(stream, multiply, product) == cudaSuccess
               ? CUBLAS_STATUS_SUCCESS
               : CUBLAS_STATUS_EXECUTION_FAILED;
}
