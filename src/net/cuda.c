#include "net/cuda.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../cuda/resr_cuda.h"
#include "base/file.h"
#include "base/log.h"
#include "version.h"

static struct {
    bool tried;
    int node_rank, node_ranks;
    const ResrCuda *cuda;
    const ResrCudaNccl *nccl;
    char missing[RESR_ERROR_TEXT_BYTES], device[512];
} backend = {.node_ranks = 1};

void resr_cuda_backend_set_place(int node_rank, int node_ranks)
{
    backend.node_rank = node_rank;
    backend.node_ranks = node_ranks;
}

/* The kernels of the table "cuda": those of the last one, "cuda-wgmma", without the prefix. */
static const char *best_kernels(const ResrCuda *cuda)
{
    static const char prefix[] = "cuda-";
    const char *name = "";
    for (int i = 0; cuda->ops(i); i++)
        name = cuda->ops(i)->name;
    return strncmp(name, prefix, strlen(prefix)) == 0 ? name + strlen(prefix) : name;
}

/* The shared object's path: $REALESRGAN_CUDA, or the file beside the program, or the installed one.
 * False if it does not exist. */
static bool find_object(char path[PATH_MAX])
{
    static const char *const names[] = {"realesrgan-cuda.so",
                                        RESR_OBJECT_FOLDER "/realesrgan-cuda.so"};
    const char *asked = getenv("REALESRGAN_CUDA");
    if (asked && asked[0]) {
        snprintf(path, PATH_MAX, "%s", asked);
        if (access(path, R_OK) == 0)
            return true;
        snprintf(backend.missing, sizeof backend.missing, "%.900s does not exist", path);
        return false;
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (resr_file_beside_program(path, PATH_MAX, names[i]) == 0 && access(path, R_OK) == 0)
            return true;
    snprintf(backend.missing, sizeof backend.missing,
             "there is no %s and no %s, relative to the program's folder", names[0], names[1]);
    return false;
}

static const ResrCuda *open_object(const char *path)
{
    static const ResrCudaHost host = {.fail = resr_fail, .warn = resr_log_warn};
    ResrCudaOpen *open_cuda = NULL;
    void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (object)
        *(void **)&open_cuda = dlsym(object, "resr_cuda_open");
    if (!open_cuda) {
        snprintf(backend.missing, sizeof backend.missing, "%s", dlerror());
        return NULL;
    }
    const ResrCuda *cuda = open_cuda(RESR_CUDA_ABI, &host);
    if (!cuda)
        snprintf(backend.missing, sizeof backend.missing, "%.900s is of another version", path);
    return cuda;
}

static int choose_device(const ResrCuda *cuda)
{
    ResrCudaDevice about;
    int devices = cuda->device_count();
    if (devices == 0)
        return resr_fail(RESR_ERR_DEVICE, "the CUDA driver shows no device (nvidia-smi -L)");
    if (backend.node_ranks > devices && backend.node_rank == 0)
        resr_log_warn("%d ranks of this node share %d GPU%s; one rank for each is faster",
                      backend.node_ranks, devices, devices == 1 ? "" : "s");
    int device = backend.node_rank % devices;
    int ret = cuda->select(device);
    if (ret == 0)
        ret = cuda->describe(&about, device);
    if (ret == 0)
        snprintf(
            backend.device, sizeof backend.device,
            "GPU %d: %s (%s), %d SMs, %zu of %zu MB free, compute capability %d.%d, kernels %s",
            device, about.name, about.uuid, about.sms, about.free_bytes >> 20,
            about.total_bytes >> 20, about.capability / 10, about.capability % 10,
            best_kernels(cuda));
    return ret;
}

static void open_once(void)
{
    char path[PATH_MAX];
    if (backend.tried)
        return;
    backend.tried = true;
    if (!find_object(path))
        return;
    const ResrCuda *cuda = open_object(path);
    if (cuda && choose_device(cuda) < 0)
        snprintf(backend.missing, sizeof backend.missing, "%s", resr_error_text());
    else
        backend.cuda = cuda;
}

const ResrOps *resr_cuda_backend_ops(int index)
{
    open_once();
    return backend.cuda ? backend.cuda->ops(index) : NULL;
}

const char *resr_cuda_backend_missing(void)
{
    open_once();
    return backend.missing;
}

const char *resr_cuda_backend_device(void)
{
    open_once();
    return backend.device;
}

int resr_cuda_backend_open_nccl(void)
{
    open_once();
    if (!backend.cuda)
        return resr_fail(RESR_ERR_DEVICE,
                         "--transport nccl: no GPU: %s; --transport mpi does without",
                         backend.missing);
    if (!backend.nccl)
        backend.nccl = backend.cuda->nccl();
    return backend.nccl ? 0 : RESR_ERR_DEVICE;
}

int resr_cuda_backend_nccl_id(unsigned char id[RESR_CUDA_BACKEND_ID_BYTES])
{
    _Static_assert((int)RESR_CUDA_BACKEND_ID_BYTES == RESR_CUDA_NCCL_ID_BYTES, "one size");
    return backend.nccl->unique_id(id);
}

static double timeout_seconds(void)
{
    const char *text = getenv("RESR_NCCL_TIMEOUT_S");
    double seconds = text ? atof(text) : 0;
    return seconds > 0 ? seconds : 60;
}

int resr_cuda_backend_nccl_broadcast(void *data, size_t bytes,
                                     const unsigned char id[RESR_CUDA_BACKEND_ID_BYTES], int ranks,
                                     int rank)
{
    return backend.nccl->broadcast(data, bytes, id, ranks, rank, timeout_seconds());
}
