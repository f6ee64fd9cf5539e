#include "cudart.h"

typedef emu::Allocation A;

enum { ALIGN_BYTES = 512 };

static size_t padded(size_t bytes)
{
    return (bytes + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES;
}

static bool is_device_memory(const A *a)
{
    return a && a->live && a->kind != A::PINNED && a->kind != A::REGISTERED;
}

// Removes entries of freed memory whose addresses are used again.
static void forget(uintptr_t begin, uintptr_t end)
{
    auto &all = emu::allocations();
    auto is_reused = [&](const A &a) { return !a.live && a.begin < end && begin < a.end; };
    all.erase(std::remove_if(all.begin(), all.end(), is_reused), all.end());
}

static void add(void *p, size_t bytes, A::Kind kind)
{
    uintptr_t begin = (uintptr_t)p;
    forget(begin, begin + padded(bytes) + ALIGN_BYTES);
    emu::add_allocation({begin, begin + bytes, current_device, kind, true});
}

static Error allocate(void **p, size_t bytes, A::Kind kind)
{
    static long count;
    REJECT(!p || !bytes, cudaErrorInvalidValue);
    *p = nullptr;
    bool on_device = kind <= A::MANAGED;
    Device &device = devices()[current_device];
    if (on_device && ++count == environment("EMU_FAIL_MALLOC", 0))
        return fail(cudaErrorMemoryAllocation);
    if (on_device && device.used_bytes + padded(bytes) > device_bytes())
        return fail(cudaErrorMemoryAllocation);
    if (!(*p = aligned_alloc(ALIGN_BYTES, padded(bytes) + ALIGN_BYTES)))
        return fail(cudaErrorMemoryAllocation);
    if (on_device) {
        device.used_bytes += padded(bytes);
        memset(*p, 0xFF, padded(bytes)); // NaN
    }
    add(*p, bytes, kind);
    return cudaSuccess;
}

static Error release(void *p, bool pinned)
{
    if (!p)
        return cudaSuccess;
    A *a = emu::find_allocation((uintptr_t)p);
    REJECT(!a || a->begin != (uintptr_t)p || !a->live || (a->kind == A::PINNED) != pinned ||
               a->kind >= A::REGISTERED,
           cudaErrorInvalidValue);
    if (!pinned)
        devices()[a->device].used_bytes -= padded(a->end - a->begin);
    memset(p, 0xFF, a->end - a->begin);
    a->live = false;
    free(p);
    return cudaSuccess;
}

static bool is_on_device(const void *p, size_t bytes)
{
    const A *a = emu::find_allocation((uintptr_t)p);
    return is_device_memory(a) && (uintptr_t)p + bytes <= a->end;
}

static bool is_pageable(const void *p)
{
    const A *a = emu::find_allocation((uintptr_t)p);
    return !a || !a->live;
}

// True for host memory; if it is pinned, only within its block.
static bool is_on_host(const void *p, size_t bytes)
{
    const A *a = emu::find_allocation((uintptr_t)p);
    return is_pageable(p) || a->kind == A::MANAGED ||
           (!is_device_memory(a) && (uintptr_t)p + bytes <= a->end);
}

struct Rows {
    void *dst;
    size_t dst_pitch;
    const void *src;
    size_t src_pitch, width, height; // bytes, rows
};

static void copy_rows(const Rows &rows)
{
    for (size_t y = 0; y < rows.height; y++)
        memmove((char *)rows.dst + y * rows.dst_pitch, (const char *)rows.src + y * rows.src_pitch,
                rows.width);
}

static Error copy(Rows rows, cudaMemcpyKind kind, Stream *stream, bool waits)
{
    if (!rows.width || !rows.height)
        return cudaSuccess;
    size_t dst_bytes = rows.dst_pitch * (rows.height - 1) + rows.width;
    size_t src_bytes = rows.src_pitch * (rows.height - 1) + rows.width;
    load_kernels();
    bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
    bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
    if (kind == cudaMemcpyDefault) {
        to_device = is_on_device(rows.dst, 1);
        from_device = is_on_device(rows.src, 1);
    }
    REJECT(!rows.dst || !rows.src || rows.dst_pitch < rows.width || rows.src_pitch < rows.width ||
               !(to_device ? is_on_device : is_on_host)(rows.dst, dst_bytes) ||
               !(from_device ? is_on_device : is_on_host)(rows.src, src_bytes),
           cudaErrorInvalidValue);
    if (!waits && !from_device && is_pageable(rows.src) && !stream->capture) {
        // As CUDA does: a pageable source is copied before the call returns.
        const char *src = (const char *)rows.src;
        auto staged = std::make_shared<std::vector<char>>(src, src + src_bytes);
        return enqueue(stream, [=] {
            Rows from_staged = rows;
            from_staged.src = staged->data();
            copy_rows(from_staged);
        });
    }
    waits |= !to_device && is_pageable(rows.dst) && !stream->capture;
    return enqueue(
        stream, [=] { copy_rows(rows); }, waits);
}

static Error set(void *p, size_t pitch, int value, size_t width, size_t height, Stream *stream,
                 bool waits)
{
    if (!width || !height)
        return cudaSuccess;
    REJECT(pitch < width || !is_on_device(p, pitch * (height - 1) + width), cudaErrorInvalidValue);
    auto work = [=] {
        for (size_t y = 0; y < height; y++)
            memset((char *)p + y * pitch, value, width);
    };
    return enqueue(stream, work, waits);
}

API Error cudaMalloc(void **p, size_t bytes)
{
    ENTER;
    NOT_CAPTURING;
    return allocate(p, bytes, A::DEVICE);
}

API Error cudaMallocManaged(void **p, size_t bytes, unsigned)
{
    ENTER;
    NOT_CAPTURING;
    return allocate(p, bytes, A::MANAGED);
}

API Error cudaMallocPitch(void **p, size_t *pitch, size_t width, size_t height)
{
    ENTER;
    NOT_CAPTURING;
    *pitch = padded(width);
    return allocate(p, *pitch * height, A::DEVICE);
}

API Error cudaMallocAsync(void **p, size_t bytes, cudaStream_t stream)
{
    ENTER;
    REJECT(find_stream(stream)->capture, cudaErrorNotSupported);
    return allocate(p, bytes, A::POOL);
}

API Error cudaMallocFromPoolAsync(void **p, size_t bytes, cudaMemPool_t, cudaStream_t stream)
{
    return cudaMallocAsync(p, bytes, stream);
}

API Error cudaFree(void *p)
{
    ENTER;
    NOT_CAPTURING;
    drain_device(current_device);
    return release(p, false);
}

API Error cudaFreeAsync(void *p, cudaStream_t stream)
{
    ENTER;
    REJECT(!is_on_device(p, 1) || find_stream(stream)->capture, cudaErrorInvalidValue);
    return enqueue(find_stream(stream), [=] { release(p, false); });
}

API Error cudaHostAlloc(void **p, size_t bytes, unsigned)
{
    ENTER;
    NOT_CAPTURING;
    return allocate(p, bytes, A::PINNED);
}

API Error cudaMallocHost(void **p, size_t bytes)
{
    return cudaHostAlloc(p, bytes, 0);
}

API Error cudaFreeHost(void *p)
{
    ENTER;
    NOT_CAPTURING;
    drain_device(current_device);
    return release(p, true);
}

API Error cudaHostRegister(void *p, size_t bytes, unsigned)
{
    ENTER;
    REJECT(!p || !bytes, cudaErrorInvalidValue);
    REJECT(!is_pageable(p), cudaErrorHostMemoryAlreadyRegistered);
    forget((uintptr_t)p, (uintptr_t)p + bytes);
    emu::add_allocation({(uintptr_t)p, (uintptr_t)p + bytes, current_device, A::REGISTERED, true});
    return cudaSuccess;
}

API Error cudaHostUnregister(void *p)
{
    ENTER;
    A *a = emu::find_allocation((uintptr_t)p);
    REJECT(!a || a->begin != (uintptr_t)p || !a->live || a->kind != A::REGISTERED,
           cudaErrorHostMemoryNotRegistered);
    drain_device(current_device);
    emu::allocations().erase(emu::allocations().begin() + (a - emu::allocations().data()));
    return cudaSuccess;
}

API Error cudaHostGetDevicePointer(void **device, void *host, unsigned)
{
    ENTER;
    REJECT(is_pageable(host), cudaErrorInvalidValue);
    *device = host;
    return cudaSuccess;
}

API Error cudaPointerGetAttributes(cudaPointerAttributes *attributes, const void *p)
{
    enum { UNREGISTERED = -2 };
    ENTER;
    const A *a = emu::find_allocation((uintptr_t)p);
    memset(attributes, 0, sizeof *attributes);
    if (is_pageable(p)) {
        attributes->type = cudaMemoryTypeUnregistered;
        attributes->device = UNREGISTERED;
        attributes->hostPointer = (void *)p;
        return cudaSuccess;
    }
    attributes->device = a->device;
    attributes->devicePointer = (void *)p;
    attributes->type = a->kind == A::MANAGED ? cudaMemoryTypeManaged
                       : is_device_memory(a) ? cudaMemoryTypeDevice
                                             : cudaMemoryTypeHost;
    if (attributes->type != cudaMemoryTypeDevice)
        attributes->hostPointer = (void *)p;
    return cudaSuccess;
}

API Error cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes)
{
    ENTER;
    *total_bytes = device_bytes();
    *free_bytes = *total_bytes - devices()[current_device].used_bytes;
    return cudaSuccess;
}

API Error cudaMemcpy(void *dst, const void *src, size_t bytes, cudaMemcpyKind kind)
{
    ENTER;
    return copy({dst, bytes, src, bytes, bytes, 1}, kind, legacy_stream(), true);
}

API Error cudaMemcpyAsync(void *dst, const void *src, size_t bytes, cudaMemcpyKind kind,
                          cudaStream_t stream)
{
    ENTER;
    return copy({dst, bytes, src, bytes, bytes, 1}, kind, find_stream(stream), false);
}

API Error cudaMemcpy2D(void *dst, size_t dst_pitch, const void *src, size_t src_pitch, size_t width,
                       size_t height, cudaMemcpyKind kind)
{
    ENTER;
    return copy({dst, dst_pitch, src, src_pitch, width, height}, kind, legacy_stream(), true);
}

API Error cudaMemcpy2DAsync(void *dst, size_t dst_pitch, const void *src, size_t src_pitch,
                            size_t width, size_t height, cudaMemcpyKind kind, cudaStream_t stream)
{
    ENTER;
    return copy({dst, dst_pitch, src, src_pitch, width, height}, kind, find_stream(stream), false);
}

API Error cudaMemcpyPeerAsync(void *dst, int, const void *src, int, size_t bytes,
                              cudaStream_t stream)
{
    return cudaMemcpyAsync(dst, src, bytes, cudaMemcpyDeviceToDevice, stream);
}

API Error cudaMemcpyPeer(void *dst, int, const void *src, int, size_t bytes)
{
    return cudaMemcpy(dst, src, bytes, cudaMemcpyDeviceToDevice);
}

// To all variables of that name: each translated file has its own.
static Error copy_to_symbol(const void *symbol, const void *src, size_t bytes, size_t offset,
                            Stream *stream, bool waits)
{
    auto *variables = find_variable(symbol);
    REJECT(!variables, cudaErrorInvalidSymbol);
    Error error = cudaSuccess;
    for (auto &v : *variables)
        if (error == cudaSuccess)
            error = copy({(char *)v.data + offset, bytes, src, bytes, bytes, 1},
                         cudaMemcpyHostToDevice, stream, waits);
    return error;
}

API Error cudaMemcpyToSymbol(const void *symbol, const void *src, size_t bytes, size_t offset,
                             cudaMemcpyKind)
{
    ENTER;
    return copy_to_symbol(symbol, src, bytes, offset, legacy_stream(), true);
}

API Error cudaMemcpyToSymbolAsync(const void *symbol, const void *src, size_t bytes, size_t offset,
                                  cudaMemcpyKind, cudaStream_t stream)
{
    ENTER;
    return copy_to_symbol(symbol, src, bytes, offset, find_stream(stream), false);
}

API Error cudaGetSymbolAddress(void **address, const void *symbol)
{
    ENTER;
    auto *variables = find_variable(symbol);
    REJECT(!variables, cudaErrorInvalidSymbol);
    *address = variables->front().data;
    return cudaSuccess;
}

API Error cudaMemcpyFromSymbol(void *dst, const void *symbol, size_t bytes, size_t offset,
                               cudaMemcpyKind)
{
    void *address;
    Error error = cudaGetSymbolAddress(&address, symbol);
    return error ? error : cudaMemcpy(dst, (char *)address + offset, bytes, cudaMemcpyDeviceToHost);
}

API Error cudaGetSymbolSize(size_t *bytes, const void *symbol)
{
    ENTER;
    auto *variables = find_variable(symbol);
    REJECT(!variables, cudaErrorInvalidSymbol);
    *bytes = variables->front().bytes;
    return cudaSuccess;
}

API Error cudaMemset(void *p, int value, size_t bytes)
{
    ENTER;
    return set(p, bytes, value, bytes, 1, legacy_stream(), true);
}

API Error cudaMemsetAsync(void *p, int value, size_t bytes, cudaStream_t stream)
{
    ENTER;
    return set(p, bytes, value, bytes, 1, find_stream(stream), false);
}

API Error cudaMemset2D(void *p, size_t pitch, int value, size_t width, size_t height)
{
    ENTER;
    return set(p, pitch, value, width, height, legacy_stream(), true);
}

API Error cudaMemset2DAsync(void *p, size_t pitch, int value, size_t width, size_t height,
                            cudaStream_t stream)
{
    ENTER;
    return set(p, pitch, value, width, height, find_stream(stream), false);
}

API Error cudaDeviceGetDefaultMemPool(cudaMemPool_t *pool, int)
{
    *pool = (cudaMemPool_t)8; // any value but NULL
    return cudaSuccess;
}

API Error cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void *)
{
    return cudaSuccess;
}

API Error cudaMemPoolTrimTo(cudaMemPool_t, size_t)
{
    return cudaSuccess;
}
