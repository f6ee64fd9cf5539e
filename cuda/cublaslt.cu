#include "cublaslt.cuh"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "conv.cuh"

static void *open_library(const char **name)
{
    static const char *const names[] = {"libcublasLt.so.13", "libcublasLt.so.12"};
    *name = getenv("RESR_CUBLASLT");
    if (*name && **name)
        return dlopen(*name, RTLD_NOW | RTLD_LOCAL);
    for (const char *candidate : names) {
        *name = candidate;
        void *library = dlopen(candidate, RTLD_NOW | RTLD_LOCAL);
        if (library)
            return library;
    }
    *name = "libcublasLt.so.13 and libcublasLt.so.12";
    return NULL;
}

template <typename Function>
static bool find(Function &out, void *library, const char *symbol, const char **missing)
{
    out = reinterpret_cast<Function>(dlsym(library, symbol));
    if (!out)
        *missing = symbol;
    return out != NULL;
}

int resr_cublaslt_open(const CublasLt **out)
{
    static CublasLt table;
    static bool open;
    const char *name, *missing = NULL;
    *out = &table;
    if (open)
        return 0;
    void *library = open_library(&name);
    if (!library)
        return resr_cuda_fail(
            RESR_ERR_DEVICE,
            "--conv cublas: %s cannot be opened: %s; install cuBLAS, put its folder "
            "into LD_LIBRARY_PATH, or leave the choice to --conv auto",
            name, dlerror());
    open = find(table.create, library, "cublasLtCreate", &missing) &&
           find(table.destroy, library, "cublasLtDestroy", &missing) &&
           find(table.desc_create, library, "cublasLtMatmulDescCreate", &missing) &&
           find(table.desc_destroy, library, "cublasLtMatmulDescDestroy", &missing) &&
           find(table.desc_set, library, "cublasLtMatmulDescSetAttribute", &missing) &&
           find(table.layout_create, library, "cublasLtMatrixLayoutCreate", &missing) &&
           find(table.layout_destroy, library, "cublasLtMatrixLayoutDestroy", &missing) &&
           find(table.preference_create, library, "cublasLtMatmulPreferenceCreate", &missing) &&
           find(table.preference_destroy, library, "cublasLtMatmulPreferenceDestroy", &missing) &&
           find(table.preference_set, library, "cublasLtMatmulPreferenceSetAttribute", &missing) &&
           find(table.heuristic, library, "cublasLtMatmulAlgoGetHeuristic", &missing) &&
           find(table.matmul, library, "cublasLtMatmul", &missing);
    if (!open)
        return resr_cuda_fail(RESR_ERR_DEVICE,
                              "--conv cublas: %s has no %s; cuBLAS 12 or 13 is needed", name,
                              missing);
    return 0;
}
