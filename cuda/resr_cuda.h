#ifndef RESR_CUDA_H
#define RESR_CUDA_H

/* The interface of the shared object realesrgan-cuda.so, which the program opens at run time
 * (net/cuda.h): one binary runs on machines with and without CUDA. Contains no type of CUDA. */

#include <stddef.h>
#include <stdint.h>

#include "net/backend.h"

/* Raised with every change of these types or of ResrOps and ResrModel. */
#define RESR_CUDA_ABI 8

/* The program's functions, for the shared object. */
typedef struct ResrCudaHost {
    int (*fail)(int code, const char *format, ...); /* base/error.h */
    void (*warn)(const char *format, ...);          /* base/log.h */
} ResrCudaHost;

typedef struct ResrCudaDevice {
    int32_t index, sms, capability; /* 10 * major + minor */
    char name[256], uuid[48];
    size_t total_bytes, free_bytes;
} ResrCudaDevice;

#define RESR_CUDA_NCCL_ID_BYTES 128

/* NCCL between the ranks' selected devices. Errors of other ranks, of links and time running out
 * are RESR_ERR_STOPPED: starting again may help. */
typedef struct ResrCudaNccl {
    /* Where the ranks meet: made by rank 0, given to all. */
    int (*unique_id)(unsigned char id[RESR_CUDA_NCCL_ID_BYTES]);

    /* Rank 0's bytes of host memory to all ranks' host memory, through the devices. Collective: all
     * ranks with the same id, which serves once. */
    int (*broadcast)(void *data, size_t bytes, const unsigned char id[RESR_CUDA_NCCL_ID_BYTES],
                     int ranks, int rank, double timeout_s);
} ResrCudaNccl;

typedef struct ResrCuda {
    /* Devices that the driver shows; 0 also where there is no driver. */
    int (*device_count)(void);

    /* RESR_ERR_DEVICE. */
    int (*describe)(ResrCudaDevice *out, int device);

    /* Chooses the process's device. RESR_ERR_DEVICE: there is no such device, or none of the
     * kernels runs on it. Before ops(). */
    int (*select)(int device);

    /* The selected device's tables: "cuda" with its best kernels, "cuda" with mma's of bf16, then
     * "cuda-mma" (fp16, then bf16) and so on, each with the kernels of that name, the best ones
     * last; no two have the same name and numerics class. NULL past the end. */
    const ResrOps *(*ops)(int index);

    /* NULL where NCCL is not installed; the reason is in the host's fail(). */
    const ResrCudaNccl *(*nccl)(void);
} ResrCuda;

/* The one symbol that is looked up: "resr_cuda_open". NULL if `abi` is not RESR_CUDA_ABI. `host`
 * must outlive all calls. */
typedef const ResrCuda *ResrCudaOpen(int abi, const ResrCudaHost *host);
ResrCudaOpen resr_cuda_open;

#endif
