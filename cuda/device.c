#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "conv.cuh"
#include "device.h"

/* The default, used by the kernels' own tests: to stderr. */
static int fail_on_stderr(int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return code;
}

int (*resr_cuda_fail)(int code, const char *format, ...) = fail_on_stderr;

int resr_cuda_check(cudaError_t error, const char *what)
{
    int device = -1;
    if (error == cudaSuccess)
        return 0;
    cudaGetLastError(); /* errors that do not last are not left for the next call */
    cudaGetDevice(&device);
    int code = error == cudaErrorMemoryAllocation ? RESR_CUDA_NO_MEMORY : RESR_ERR_DEVICE;
    return resr_cuda_fail(code, "CUDA device %d: %s: %s (%s)", device, what,
                          cudaGetErrorString(error), cudaGetErrorName(error));
}

int resr_cuda_device_error(int code)
{
    return code == RESR_CUDA_NO_MEMORY ? RESR_ERR_DEVICE : code;
}

int resr_cuda_device_count(void)
{
    int count = 0;
    return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

static void write_uuid(char *out, size_t bytes, const cudaUUID_t *uuid)
{
    const unsigned char *b = (const unsigned char *)uuid->bytes;
    snprintf(out, bytes, "GPU-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
             b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13],
             b[14], b[15]);
}

int resr_cuda_describe(ResrCudaDevice *out, int device)
{
    struct cudaDeviceProp properties;
    *out = (ResrCudaDevice){.index = device};
    int ret = resr_cuda_check(cudaGetDeviceProperties(&properties, device), "its properties");
    if (ret == 0)
        ret = resr_cuda_check(cudaSetDevice(device), "choosing it");
    if (ret == 0)
        ret = resr_cuda_check(cudaMemGetInfo(&out->free_bytes, &out->total_bytes), "its memory");
    if (ret < 0)
        return ret;
    snprintf(out->name, sizeof out->name, "%s", properties.name);
    write_uuid(out->uuid, sizeof out->uuid, &properties.uuid);
    out->sms = properties.multiProcessorCount;
    out->capability = properties.major * 10 + properties.minor;
    return 0;
}
