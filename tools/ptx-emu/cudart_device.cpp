#include "cudart.h"

#include <algorithm>

std::recursive_mutex runtime_lock;
thread_local int current_device;
static thread_local Error last_error;

long environment(const char *name, long otherwise)
{
    const char *value = getenv(name);
    return value && *value ? strtol(value, nullptr, 0) : otherwise;
}

int device_count()
{
    static const int count = (int)std::max(0L, std::min(64L, environment("EMU_DEVICES", 1)));
    return count;
}

std::vector<Device> &devices()
{
    static std::vector<Device> all(device_count());
    return all;
}

size_t device_bytes()
{
    static const size_t bytes = environment("EMU_MEM", 8L << 30);
    return bytes;
}

int sticky_error()
{
    return device_count() ? devices()[current_device].sticky_error : cudaErrorNoDevice;
}

Error fail(int error)
{
    return last_error = (Error)error;
}

// sm_86, sm_89 and sm_12x have less shared memory and fewer threads than sm_80, sm_90 and sm_100.
static bool is_small()
{
    int arch = device_arch();
    return arch == 86 || arch == 89 || arch >= 120;
}

size_t max_block_shared()
{
    int arch = device_arch();
    if (is_small())
        return 99 << 10;
    return arch >= 90 ? 227 << 10 : arch == 80 || arch == 87 ? 163 << 10 : 96 << 10;
}

size_t max_sm_shared()
{
    return max_block_shared() + 1024;
}

unsigned max_sm_threads()
{
    return is_small() ? 1536 : 2048;
}

int sm_count()
{
    static const struct {
        int arch, sms;
    } known[] = {{80, 108}, {86, 84}, {89, 128}, {100, 148}};
    int arch = device_arch(), sms = arch >= 120 ? 170 : 132;
    for (auto &k : known)
        if (k.arch == arch)
            sms = k.sms;
    return (int)environment("EMU_SMS", sms);
}

API Error cudaGetDeviceCount(int *count)
{
    *count = device_count();
    return *count ? cudaSuccess : fail(cudaErrorNoDevice);
}

API Error cudaGetDevice(int *device)
{
    *device = current_device;
    return cudaSuccess;
}

static bool is_no_device(int device)
{
    return device < 0 || device >= device_count();
}

API Error cudaSetDevice(int device)
{
    REJECT(is_no_device(device), cudaErrorInvalidDevice);
    current_device = device;
    return fail(sticky_error());
}

API Error cudaInitDevice(int device, unsigned, unsigned)
{
    REJECT(is_no_device(device), cudaErrorInvalidDevice);
    return cudaSuccess;
}

API Error cudaSetDeviceFlags(unsigned)
{
    return cudaSuccess;
}

API Error cudaDeviceSetLimit(cudaLimit, size_t)
{
    return cudaSuccess;
}

API Error cudaDeviceReset()
{
    typedef emu::Allocation A;
    std::lock_guard<std::recursive_mutex> lock(runtime_lock);
    if (!device_count())
        return fail(cudaErrorNoDevice);
    drain_device(current_device);
    for (auto &a : emu::allocations())
        if (a.live && a.device == current_device && a.kind <= A::MANAGED) {
            free((void *)a.begin);
            a.live = false;
        }
    devices()[current_device] = Device();
    return cudaSuccess;
}

API Error cudaDeviceGetStreamPriorityRange(int *least, int *greatest)
{
    *least = 0;
    *greatest = -5;
    return cudaSuccess;
}

API Error cudaDeviceGetPCIBusId(char *text, int bytes, int device)
{
    snprintf(text, bytes, "0000:%02x:00.0", device + 1);
    return cudaSuccess;
}

API Error cudaDeviceCanAccessPeer(int *can, int device, int peer)
{
    REJECT(is_no_device(device) || is_no_device(peer), cudaErrorInvalidDevice);
    *can = device != peer && environment("EMU_PEER", 1);
    return cudaSuccess;
}

API Error cudaDeviceEnablePeerAccess(int peer, unsigned)
{
    ENTER;
    Device &device = devices()[current_device];
    REJECT(is_no_device(peer) || peer == current_device || !environment("EMU_PEER", 1),
           cudaErrorInvalidDevice);
    REJECT(device.peers >> peer & 1, cudaErrorPeerAccessAlreadyEnabled);
    device.peers |= 1ull << peer;
    return cudaSuccess;
}

API Error cudaDeviceDisablePeerAccess(int peer)
{
    ENTER;
    Device &device = devices()[current_device];
    REJECT(is_no_device(peer) || !(device.peers >> peer & 1), cudaErrorPeerAccessNotEnabled);
    device.peers &= ~(1ull << peer);
    return cudaSuccess;
}

enum { BLOCK_SHARED = 48 << 10, REGISTERS = 65536, L2_BYTES = 50 << 20, MAX_GRID_YZ = 65535 };

API Error cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device)
{
    const struct {
        cudaDeviceAttr attribute;
        int value;
    } known[] = {
        {cudaDevAttrMultiProcessorCount, sm_count()},
        {cudaDevAttrComputeCapabilityMajor, device_arch() / 10},
        {cudaDevAttrComputeCapabilityMinor, device_arch() % 10},
        {cudaDevAttrMaxSharedMemoryPerBlock, BLOCK_SHARED},
        {cudaDevAttrMaxSharedMemoryPerBlockOptin, (int)max_block_shared()},
        {cudaDevAttrMaxSharedMemoryPerMultiprocessor, (int)max_sm_shared()},
        {cudaDevAttrMaxThreadsPerBlock, emu::MAX_THREADS},
        {cudaDevAttrMaxThreadsPerMultiProcessor, (int)max_sm_threads()},
        {cudaDevAttrMaxRegistersPerBlock, REGISTERS},
        {cudaDevAttrMaxRegistersPerMultiprocessor, REGISTERS},
        {cudaDevAttrMaxGridDimX, 0x7fffffff},
        {cudaDevAttrMaxGridDimY, MAX_GRID_YZ},
        {cudaDevAttrMaxGridDimZ, MAX_GRID_YZ},
        {cudaDevAttrWarpSize, emu::WARP_LANES},
        {cudaDevAttrL2CacheSize, L2_BYTES},
        {cudaDevAttrClockRate, 1 << 20},
        {cudaDevAttrPciBusId, device + 1},
        {cudaDevAttrCooperativeLaunch, 0},
        {cudaDevAttrPciDeviceId, 0},
        {cudaDevAttrPciDomainId, 0},
        {cudaDevAttrComputeMode, 0},
        {cudaDevAttrIntegrated, 0},
    };
    REJECT(is_no_device(device), cudaErrorInvalidDevice);
    *value = 1; // abilities
    for (auto &k : known)
        if (k.attribute == attribute)
            *value = k.value;
    return cudaSuccess;
}

API Error cudaGetDeviceProperties(cudaDeviceProp *p, int device)
{
    REJECT(is_no_device(device), cudaErrorInvalidDevice);
    memset(p, 0, sizeof *p);
    snprintf(p->name, sizeof p->name, "emulated sm_%d", device_arch());
    memcpy(&p->uuid, "ptx-emu-device-", 15);
    ((char *)&p->uuid)[15] = (char)device;
    p->major = device_arch() / 10;
    p->minor = device_arch() % 10;
    p->multiProcessorCount = sm_count();
    p->warpSize = emu::WARP_LANES;
    p->maxThreadsPerBlock = emu::MAX_THREADS;
    p->maxThreadsDim[0] = p->maxThreadsDim[1] = emu::MAX_THREADS;
    p->maxThreadsDim[2] = 64;
    p->maxGridSize[0] = 0x7fffffff;
    p->maxGridSize[1] = p->maxGridSize[2] = MAX_GRID_YZ;
    p->sharedMemPerBlock = BLOCK_SHARED;
    p->sharedMemPerBlockOptin = max_block_shared();
    p->sharedMemPerMultiprocessor = max_sm_shared();
    p->reservedSharedMemPerBlock = 1024;
    p->regsPerBlock = p->regsPerMultiprocessor = REGISTERS;
    p->maxThreadsPerMultiProcessor = (int)max_sm_threads();
    p->totalGlobalMem = device_bytes();
    p->l2CacheSize = L2_BYTES;
    p->asyncEngineCount = 2;
    p->concurrentKernels = 1;
    p->unifiedAddressing = 1;
    p->canMapHostMemory = 1;
    p->pciBusID = device + 1;
    p->memoryPoolsSupported = 1;
    return cudaSuccess;
}

API Error cudaRuntimeGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return cudaSuccess;
}

API Error cudaDriverGetVersion(int *version)
{
    *version = device_count() ? CUDART_VERSION : 0;
    return cudaSuccess;
}

API Error cudaGetLastError()
{
    Error error = last_error;
    last_error = (Error)(device_count() ? sticky_error() : 0);
    return error;
}

API Error cudaPeekAtLastError()
{
    return last_error;
}

API const char *cudaGetErrorName(Error error)
{
// clang-format off
#define NAME(n) {cudaError##n, "cudaError" #n}
    static const struct {
        Error error;
        const char *name;
    } names[] = {
        {cudaSuccess, "cudaSuccess"},
        NAME(InvalidValue), NAME(MemoryAllocation), NAME(InitializationError),
        NAME(InvalidConfiguration), NAME(InvalidSymbol), NAME(InsufficientDriver), NAME(NoDevice),
        NAME(InvalidDevice), NAME(InvalidDeviceFunction), NAME(NoKernelImageForDevice),
        NAME(ECCUncorrectable), NAME(InvalidResourceHandle), NAME(IllegalState), NAME(NotReady),
        NAME(IllegalAddress), NAME(LaunchOutOfResources), NAME(LaunchTimeout),
        NAME(PeerAccessAlreadyEnabled), NAME(PeerAccessNotEnabled), NAME(Assert),
        NAME(HostMemoryAlreadyRegistered), NAME(HostMemoryNotRegistered), NAME(MisalignedAddress),
        NAME(LaunchFailure), NAME(NotSupported), NAME(DevicesUnavailable),
        NAME(StreamCaptureUnsupported), NAME(StreamCaptureInvalidated), NAME(StreamCaptureMerge),
        NAME(StreamCaptureUnmatched), NAME(StreamCaptureUnjoined), NAME(StreamCaptureIsolation),
        NAME(StreamCaptureImplicit), NAME(CapturedEvent), NAME(GraphExecUpdateFailure),
        NAME(Unknown),
    };
#undef NAME
    // clang-format on
    for (auto &n : names)
        if (n.error == error)
            return n.name;
    return "unrecognized error code";
}

API const char *cudaGetErrorString(Error error)
{
    return error == cudaSuccess ? "no error" : cudaGetErrorName(error);
}

// The driver's function. A map that a program makes holds a pointer to a TensorMap, which lasts as
// long as the process.
static int encode_tensor_map(void *map, int type, uint32_t rank, void *base, const uint64_t *size,
                             const uint64_t *stride_bytes, const uint32_t *box,
                             const uint32_t *element_stride, int interleave, int swizzle, int,
                             int fills_nan)
{
    enum { OK, INVALID_VALUE, TYPES = 13, SWIZZLES = 4, MAX_RANK = 5, MAP_BYTES = 128 };
    static const uint32_t element_bytes[TYPES] = {1, 2, 4, 4, 8, 8, 2, 4, 8, 2, 4, 4, 4};
    static const uint32_t max_row_bytes[SWIZZLES] = {1u << 30, 32, 64, 128};
    static std::deque<emu::TensorMap> all;
    std::lock_guard<std::recursive_mutex> lock(runtime_lock);
    if (type < 0 || type >= TYPES || (uint64_t)base % 16 || (uint64_t)map % 64 || rank < 1 ||
        rank > MAX_RANK || interleave || swizzle < 0 || swizzle >= SWIZZLES)
        return INVALID_VALUE;
    emu::TensorMap t{};
    t.magic = emu::TENSOR_MAP_MAGIC;
    t.base = (uint64_t)base;
    t.rank = rank;
    t.element_bytes = element_bytes[type];
    t.swizzle = (uint32_t)swizzle;
    t.fills_nan = (uint32_t)fills_nan;
    for (uint32_t d = 0; d < rank; d++) {
        t.size[d] = size[d];
        t.stride_bytes[d] = d ? stride_bytes[d - 1] : t.element_bytes;
        t.box[d] = box[d];
        if (!size[d] || size[d] > 1ull << 32 || !box[d] || box[d] > 256 || element_stride[d] != 1 ||
            (d && (t.stride_bytes[d] % 16 || t.stride_bytes[d] >= 1ull << 40)))
            return INVALID_VALUE;
    }
    uint32_t row_bytes = box[0] * t.element_bytes;
    if (row_bytes > max_row_bytes[swizzle] || row_bytes % 16)
        return INVALID_VALUE;
    all.push_back(t);
    memset(map, 0, MAP_BYTES);
    *(emu::TensorMap **)map = &all.back();
    return OK;
}

API Error cudaGetDriverEntryPointByVersion(const char *name, void **function, unsigned,
                                           unsigned long long,
                                           cudaDriverEntryPointQueryResult *result)
{
    bool is_known = strcmp(name, "cuTensorMapEncodeTiled") == 0;
    *function = is_known ? (void *)encode_tensor_map : nullptr;
    if (result)
        *result = is_known ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
    return cudaSuccess;
}

API Error cudaGetDriverEntryPoint(const char *name, void **function, unsigned long long flags,
                                  cudaDriverEntryPointQueryResult *result)
{
    return cudaGetDriverEntryPointByVersion(name, function, 0, flags, result);
}
