// The few entry points of cuBLASLt that variant cublas uses, found at run time: the backend must
// load on machines without the library, so nothing of it is linked.
#ifndef RESR_CUDA_CUBLASLT_CUH
#define RESR_CUDA_CUBLASLT_CUH

#include <cublasLt.h>

struct CublasLt {
    decltype(&cublasLtCreate) create;
    decltype(&cublasLtDestroy) destroy;
    decltype(&cublasLtMatmulDescCreate) desc_create;
    decltype(&cublasLtMatmulDescDestroy) desc_destroy;
    decltype(&cublasLtMatmulDescSetAttribute) desc_set;
    decltype(&cublasLtMatrixLayoutCreate) layout_create;
    decltype(&cublasLtMatrixLayoutDestroy) layout_destroy;
    decltype(&cublasLtMatmulPreferenceCreate) preference_create;
    decltype(&cublasLtMatmulPreferenceDestroy) preference_destroy;
    decltype(&cublasLtMatmulPreferenceSetAttribute) preference_set;
    decltype(&cublasLtMatmulAlgoGetHeuristic) heuristic;
    decltype(&cublasLtMatmul) matmul;
};

// Opens the library that the environment variable RESR_CUBLASLT names, else libcublasLt.so.13 or
// .12, and finds the entry points. It stays open until the process ends (unloading a CUDA library
// under a live context is unsafe). Returns 0 or RESR_ERR_DEVICE; the message names the libraries
// tried. One thread at a time.
int resr_cublaslt_open(const CublasLt **out);

// Bytes of im2col rows and products that conv_variant_cublas keeps at once; a call of more pixels
// goes in several pieces. A variable so that tests see pieces with small tiles.
extern size_t resr_cublas_piece_bytes;

#endif
