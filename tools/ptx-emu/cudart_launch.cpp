#include "cudart.h"

#include <dlfcn.h>

// By the host's handle: nvcc registers a name for each kernel and variable.
static std::map<const void *, std::string> kernel_names, variable_names;
// By name: one for each target, or each translated file.
static std::map<std::string, std::vector<const emu::Kernel *>> kernels;
static std::map<std::string, std::vector<emu::Variable>> variables;
static std::map<const void *, int> max_dynamic_shared; // cudaFuncSetAttribute

enum { DEFAULT_SHARED = 48 << 10, RESERVED_SHARED = 1024 };

static void load_file(const std::string &path)
{
    void *object = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
    if (!object) {
        fprintf(stderr, "EMU_KERNELS: %s\n", dlerror());
        exit(3);
    }
    for (auto *k = (const emu::Kernel *)dlsym(object, "emu_kernels"); k->name; k++)
        kernels[k->name].push_back(k);
    for (auto *v = (const emu::Variable *)dlsym(object, "emu_variables"); v->name; v++) {
        uintptr_t begin = (uintptr_t)v->data;
        variables[v->name].push_back(*v);
        emu::add_allocation({begin, begin + v->bytes, 0, emu::Allocation::GLOBAL, true});
    }
}

// The files of $EMU_KERNELS, separated by colons.
void load_kernels()
{
    static bool is_loaded;
    Dl_info self;
    if (is_loaded)
        return;
    is_loaded = true;
    // Makes this library's symbols visible to the kernels, also where a program opened it locally.
    if (dladdr((void *)load_kernels, &self))
        dlopen(self.dli_fname, RTLD_NOW | RTLD_GLOBAL | RTLD_NOLOAD);
    std::string paths = getenv("EMU_KERNELS") ? getenv("EMU_KERNELS") : "";
    for (size_t at = 0; at < paths.size();) {
        size_t end = std::min(paths.find(':', at), paths.size());
        if (end > at)
            load_file(paths.substr(at, end - at));
        at = end + 1;
    }
}

std::vector<emu::Variable> *find_variable(const void *symbol)
{
    load_kernels();
    auto found = variables.find(variable_names[symbol]);
    return found == variables.end() ? nullptr : &found->second;
}

int device_arch()
{
    static int arch = (int)environment("EMU_ARCH", 0);
    load_kernels();
    if (!arch) {
        for (auto &named : kernels)
            for (auto *k : named.second)
                arch = std::max(arch, abs(k->target));
        arch = arch ? arch : 90;
    }
    return arch;
}

// As a driver chooses: sm_90a code runs on 90 only, other code on its architecture and later ones.
static const emu::Kernel *best_kernel(const std::vector<const emu::Kernel *> &candidates)
{
    const emu::Kernel *best = nullptr;
    int arch = device_arch();
    for (auto *k : candidates) {
        bool runs = k->target < 0 ? -k->target == arch : k->target <= arch;
        if (runs && (!best || abs(k->target) > abs(best->target) ||
                     (abs(k->target) == abs(best->target) && k->target < 0)))
            best = k;
    }
    return best;
}

static Error find_kernel(const emu::Kernel **out, const void *handle)
{
    load_kernels();
    auto name = kernel_names.find(handle);
    if (name == kernel_names.end()) {
        fprintf(stderr, "emulated CUDA runtime: unknown kernel handle\n");
        return cudaErrorInvalidDeviceFunction;
    }
    auto found = kernels.find(name->second);
    if (found == kernels.end()) {
        fprintf(stderr, "emulated CUDA runtime: %s is not in EMU_KERNELS\n", name->second.c_str());
        return cudaErrorInvalidDeviceFunction;
    }
    *out = best_kernel(found->second);
    return *out ? cudaSuccess : cudaErrorNoKernelImageForDevice;
}

static double seconds_between(const timespec &from, const timespec &to)
{
    return (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) * 1e-9;
}

// EMU_LOST=k: the k-th launch on a device loses it.
static bool loses_device(Device &device)
{
    long at = environment("EMU_LOST", 0);
    if (!at || ++device.launches < at)
        return false;
    device.sticky_error = (int)environment("EMU_LOST_ERROR", cudaErrorLaunchFailure);
    return true;
}

static void run_kernel(const emu::Kernel *kernel, dim3 grid, dim3 block, const char *params,
                       size_t dynamic_shared)
{
    Device &device = devices()[current_device];
    emu::Context &ctx = emu::context();
    if (device.sticky_error || loses_device(device))
        return;
    ctx.device = current_device;
    ctx.peers = device.peers;
    ctx.params = params;
    ctx.param_bytes = kernel->param_bytes;
    emu::Stats before = ctx.stats, &after = ctx.stats;
    timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    int error = emu::emulate_grid(
        kernel->name, {grid.x, grid.y, grid.z}, {block.x, block.y, block.z},
        dynamic_shared + kernel->dynamic_offset, [=] { kernel->function(params); });
    clock_gettime(CLOCK_MONOTONIC, &end);
    if (error)
        device.sticky_error = error;
    if (getenv("EMU_VERBOSE"))
        fprintf(stderr,
                "EMU %s device %d grid %u,%u,%u block %u smem %zu: %.3f s, threads %lu mma %lu "
                "cp.async %lu barriers %lu switches %lu\n",
                kernel->name, current_device, grid.x, grid.y, grid.z, block.x * block.y * block.z,
                dynamic_shared, seconds_between(start, end), after.threads - before.threads,
                after.products - before.products, after.copies - before.copies,
                after.barriers - before.barriers, after.switches - before.switches);
}

static Error launch(const void *handle, dim3 grid, dim3 block, void **args, size_t dynamic_shared,
                    cudaStream_t stream)
{
    ENTER;
    const emu::Kernel *kernel = nullptr;
    Error error = find_kernel(&kernel, handle);
    REJECT(error, error);
    size_t threads = (size_t)block.x * block.y * block.z;
    REJECT(threads > kernel->max_threads && threads <= emu::MAX_THREADS,
           cudaErrorLaunchOutOfResources);
    REJECT(threads == 0 || threads > emu::MAX_THREADS || block.z > 64,
           cudaErrorInvalidConfiguration);
    REJECT(!grid.x || !grid.y || !grid.z || grid.y > 65535 || grid.z > 65535,
           cudaErrorInvalidConfiguration);
    auto granted = max_dynamic_shared.find(handle);
    size_t limit = granted != max_dynamic_shared.end()      ? (size_t)granted->second
                   : kernel->static_shared < DEFAULT_SHARED ? DEFAULT_SHARED - kernel->static_shared
                                                            : 0;
    if (dynamic_shared > limit || dynamic_shared + kernel->static_shared > max_block_shared()) {
        fprintf(stderr,
                "emulated CUDA runtime: %s asks %zu bytes of dynamic shared memory, allowed %zu "
                "(cudaFuncSetAttribute?)\n",
                kernel->name, dynamic_shared, limit);
        return fail(cudaErrorInvalidValue);
    }
    Stream *on = find_stream(stream);
    REJECT(on->device != current_device, cudaErrorInvalidResourceHandle);
    auto params = std::make_shared<std::vector<char>>(kernel->param_bytes + 16);
    for (unsigned i = 0; i < kernel->n_params; i++) {
        unsigned begin = kernel->param_offsets[i];
        unsigned end =
            i + 1 < kernel->n_params ? kernel->param_offsets[i + 1] : kernel->param_bytes;
        memcpy(params->data() + begin, args[i], end - begin);
    }
    return enqueue(on, [=] { run_kernel(kernel, grid, block, params->data(), dynamic_shared); });
}

// The functions that nvcc's host code calls to register and launch kernels.
static thread_local struct {
    dim3 grid, block;
    size_t dynamic_shared;
    cudaStream_t stream;
} pushed;

API void **__cudaRegisterFatBinary(void *binary)
{
    return new void *(binary);
}

API void __cudaRegisterFatBinaryEnd(void **)
{
}

API void __cudaUnregisterFatBinary(void **)
{
}

API char __cudaInitModule(void **)
{
    return 0;
}

API void __cudaRegisterFunction(void **, const char *handle, char *, const char *name, int, uint3 *,
                                uint3 *, dim3 *, dim3 *, int *)
{
    kernel_names[handle] = name;
}

API void __cudaRegisterVar(void **, char *handle, char *, const char *name, int, size_t, int, int)
{
    variable_names[handle] = name;
}

API unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t dynamic_shared,
                                         struct CUstream_st *stream)
{
    pushed = {grid, block, dynamic_shared, stream};
    return 0;
}

API Error __cudaPopCallConfiguration(dim3 *grid, dim3 *block, size_t *dynamic_shared, void *stream)
{
    *grid = pushed.grid;
    *block = pushed.block;
    *dynamic_shared = pushed.dynamic_shared;
    *(cudaStream_t *)stream = pushed.stream;
    return cudaSuccess;
}

API Error __cudaGetKernel(cudaKernel_t *kernel, const void *handle)
{
    *kernel = (cudaKernel_t)handle;
    return cudaSuccess;
}

API Error __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void **args,
                             size_t dynamic_shared, cudaStream_t stream)
{
    return launch((const void *)kernel, grid, block, args, dynamic_shared, stream);
}

API Error __cudaLaunchKernel_ptsz(cudaKernel_t kernel, dim3 grid, dim3 block, void **args,
                                  size_t dynamic_shared, cudaStream_t stream)
{
    return launch((const void *)kernel, grid, block, args, dynamic_shared,
                  stream ? stream : cudaStreamPerThread);
}

API Error cudaLaunchKernel(const void *handle, dim3 grid, dim3 block, void **args,
                           size_t dynamic_shared, cudaStream_t stream)
{
    return launch(handle, grid, block, args, dynamic_shared, stream);
}

API Error cudaLaunchCooperativeKernel(const void *, dim3, dim3, void **, size_t, cudaStream_t)
{
    return fail(cudaErrorNotSupported);
}

API Error cudaLaunchKernelExC(const cudaLaunchConfig_t *config, const void *handle, void **args)
{
    for (unsigned i = 0; i < config->numAttrs; i++) {
        auto &attribute = config->attrs[i];
        auto &cluster = attribute.val.clusterDim;
        if (attribute.id == cudaLaunchAttributeClusterDimension)
            REJECT(cluster.x * cluster.y * cluster.z > 1, cudaErrorNotSupported);
        if (attribute.id == cudaLaunchAttributeCooperative)
            REJECT(attribute.val.cooperative, cudaErrorNotSupported);
    }
    return launch(handle, config->gridDim, config->blockDim, args, config->dynamicSmemBytes,
                  config->stream);
}

API Error cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void *user)
{
    ENTER;
    return enqueue(find_stream(stream), [=] { function(user); });
}

API Error cudaFuncSetAttribute(const void *handle, cudaFuncAttribute attribute, int value)
{
    ENTER;
    const emu::Kernel *kernel = nullptr;
    Error error = find_kernel(&kernel, handle);
    REJECT(error, error);
    if (attribute == cudaFuncAttributeMaxDynamicSharedMemorySize) {
        REJECT(value < 0 || (size_t)value + kernel->static_shared > max_block_shared(),
               cudaErrorInvalidValue);
        max_dynamic_shared[handle] = value;
    }
    return cudaSuccess;
}

API Error cudaFuncSetCacheConfig(const void *, cudaFuncCache)
{
    return cudaSuccess;
}

API Error cudaFuncGetAttributes(cudaFuncAttributes *attributes, const void *handle)
{
    ENTER;
    const emu::Kernel *kernel = nullptr;
    Error error = find_kernel(&kernel, handle);
    REJECT(error, error);
    memset(attributes, 0, sizeof *attributes);
    attributes->sharedSizeBytes = kernel->static_shared;
    attributes->localSizeBytes = kernel->local;
    attributes->maxThreadsPerBlock = (int)kernel->max_threads;
    attributes->ptxVersion = attributes->binaryVersion = abs(kernel->target);
    attributes->maxDynamicSharedSizeBytes = max_dynamic_shared.count(handle)
                                                ? max_dynamic_shared[handle]
                                                : DEFAULT_SHARED - (int)kernel->static_shared;
    return cudaSuccess;
}

// By threads and shared memory: registers are not known.
API Error cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *blocks, const void *handle,
                                                                 int threads, size_t dynamic_shared,
                                                                 unsigned)
{
    ENTER;
    const emu::Kernel *kernel = nullptr;
    Error error = find_kernel(&kernel, handle);
    REJECT(error, error);
    REJECT(threads <= 0, cudaErrorInvalidValue);
    size_t whole_warps = (threads + emu::WARP_LANES - 1) / emu::WARP_LANES * emu::WARP_LANES;
    *blocks = (int)std::min<size_t>(max_sm_threads() / whole_warps,
                                    max_sm_shared() /
                                        (dynamic_shared + kernel->static_shared + RESERVED_SHARED));
    return cudaSuccess;
}

API Error cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, const void *handle,
                                                        int threads, size_t dynamic_shared)
{
    return cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, handle, threads,
                                                                  dynamic_shared, 0);
}
