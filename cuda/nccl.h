#ifndef RESR_CUDA_NCCL_H
#define RESR_CUDA_NCCL_H

#include "resr_cuda.h"

/* NCCL, opened at run time: $RESR_NCCL names the library, else libnccl.so.2 (2.14 or later, for
 * communicators that do not block). NULL with resr_cuda_fail's message where there is none. */
const ResrCudaNccl *resr_cuda_nccl(void);

#endif
