#ifndef RESR_CUDA_DEVICE_H
#define RESR_CUDA_DEVICE_H

#include "resr_cuda.h"

int resr_cuda_device_count(void); /* 0: no device, or no driver */

/* Also makes it the calling thread's device. RESR_ERR_DEVICE. */
RESR_MUST_CHECK int resr_cuda_describe(ResrCudaDevice *out, int device);

#endif
