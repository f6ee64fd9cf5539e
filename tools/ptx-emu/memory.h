// Checked access to the address spaces of a kernel.
//
// global_at(), shared_at() and so on return a host pointer for an address, or end the kernel: out
// of bounds, freed, another device's, misaligned. Shared memory is also checked for two kinds of
// races, each by a record for every two bytes: between warps within one barrier interval
// (check_race), and between ordinary stores and the asynchronous proxy of wgmma and bulk stores
// (proxy_*).
#ifndef PTX_EMU_MEMORY_H
#define PTX_EMU_MEMORY_H

#include <algorithm>

#include "fiber.h"

namespace emu
{
struct Allocation {
    enum Kind { DEVICE, POOL, MANAGED, PINNED, REGISTERED, GLOBAL };
    uintptr_t begin, end;
    int device;
    Kind kind;
    bool live; // freed ones stay until their addresses are used again
};

// Sorted by address.
inline std::vector<Allocation> &allocations()
{
    static std::vector<Allocation> all;
    return all;
}

inline std::vector<Allocation>::iterator allocation_after(uintptr_t address)
{
    auto &all = allocations();
    return std::upper_bound(all.begin(), all.end(), address,
                            [](uintptr_t a, const Allocation &x) { return a < x.begin; });
}

inline Allocation *find_allocation(uintptr_t address)
{
    auto next = allocation_after(address);
    return next == allocations().begin() || address >= next[-1].end ? nullptr : &next[-1];
}

inline void add_allocation(const Allocation &allocation)
{
    allocations().insert(allocation_after(allocation.begin), allocation);
}

// The target of a CUtensorMap (cuTensorMapEncodeTiled).
constexpr uint64_t TENSOR_MAP_MAGIC = 0x544d41504d415031ull;
struct TensorMap {
    uint64_t magic, base;
    uint32_t rank, element_bytes, swizzle, fills_nan;
    uint64_t size[5], stride_bytes[5];
    uint32_t box[5];
};
} // namespace emu

// Errors of cudaError_t that faults of memory end with.
enum { ILLEGAL_ADDRESS = 700, MISALIGNED_ADDRESS = 716 };

// Kinds of access. An atomic is not part of a race.
enum { READ, WRITE, ATOMIC };

// The block that used an mbarrier or the asynchronous proxy: such a block is not checked for races,
// since mbarriers order accesses, too.
static thread_local uint64_t unchecked_block = ~0ull;

static inline void skip_race_check()
{
    unchecked_block = emu::context().stats.blocks;
}

// The last write and read of two bytes of shared memory: the barrier interval and the warp.
struct Access {
    uint32_t write_interval, read_interval;
    uint8_t writer, reader;
};

[[noreturn]] static inline void race(const char *what, int warp, uint64_t address, int line)
{
    fprintf(stderr, "[%s by warp %d, offset %lu] ", what, warp, (unsigned long)address);
    emu::fault("shared-memory race between warps (no barrier between)", line);
}

static void check_race(emu::Context &ctx, uint64_t address, unsigned bytes, int kind, int line)
{
    enum { SEVERAL_WARPS = 255 };
    static thread_local std::vector<Access> accesses;
    if (unchecked_block == ctx.stats.blocks)
        return;
    if (accesses.size() < ctx.shared_bytes / 2 + 1)
        accesses.resize(ctx.shared_bytes / 2 + 1);
    uint32_t interval = (uint32_t)(ctx.stats.barriers + ctx.stats.blocks) + 1;
    uint8_t warp = ctx.thread->linear / emu::WARP_LANES;
    for (uint64_t i = address / 2; i <= (address + bytes - 1) / 2; i++) {
        Access &last = accesses[i];
        bool was_read = last.read_interval == interval && last.reader != warp;
        if (last.write_interval == interval && last.writer != warp && kind != ATOMIC)
            race(kind == WRITE ? "write-after-write" : "read-after-write", last.writer, address,
                 line);
        if (kind == WRITE && was_read)
            race("write-after-read", last.reader, address, line);
        if (kind != READ) {
            last.write_interval = interval;
            last.writer = warp;
        } else {
            last.read_interval = interval;
            last.reader = was_read ? (uint8_t)SEVERAL_WARPS : warp;
        }
    }
}

#ifndef USES_ASYNC_PROXY // set by ptx2cpp.py
#define USES_ASYNC_PROXY 0
#endif

// The last ordinary store to two bytes of shared memory: its thread, and how many times that thread
// had executed fence.proxy.async.
struct ProxyStore {
    uint64_t block = 0;
    uint16_t thread = 0, fences = 0;
};

struct ProxyRecord {
    uint64_t block = ~0ull;
    uint16_t fences[emu::MAX_THREADS];
    std::vector<ProxyStore> stores;
};

static ProxyRecord &proxy_record()
{
    static thread_local ProxyRecord record;
    emu::Context &ctx = emu::context();
    if (record.block != ctx.stats.blocks) {
        record.block = ctx.stats.blocks;
        memset(record.fences, 0, sizeof record.fences);
        if (record.stores.size() < ctx.shared_bytes / 2 + 1)
            record.stores.resize(ctx.shared_bytes / 2 + 1);
    }
    return record;
}

static inline void proxy_fence()
{
    proxy_record().fences[emu::context().thread->linear]++;
}

static inline void proxy_record_store(uint64_t address, unsigned bytes)
{
    ProxyRecord &record = proxy_record();
    uint16_t thread = (uint16_t)emu::context().thread->linear;
    for (uint64_t i = address / 2; i <= (address + bytes - 1) / 2; i++)
        record.stores[i] = {record.block, thread, record.fences[thread]};
}

static inline void proxy_check_read(uint64_t address, unsigned bytes)
{
    ProxyRecord &record = proxy_record();
    for (uint64_t i = address / 2; i <= (address + bytes - 1) / 2; i++) {
        const ProxyStore &last = record.stores[i];
        if (last.block == record.block && last.fences == record.fences[last.thread]) {
            fprintf(stderr, "[offset %lu, written by thread %u] ", (unsigned long)address,
                    last.thread);
            emu::fault(
                "ordinary store read by wgmma or a bulk store with no fence.proxy.async between");
        }
    }
}

static inline char *shared_at(emu::Context &ctx, uint64_t address, unsigned bytes, int kind,
                              int line)
{
    address &= 0xffffffffu;
    if (address + bytes > ctx.shared_bytes) {
        fprintf(stderr, "[offset %lu + %u > %zu] ", (unsigned long)address, bytes,
                ctx.shared_bytes);
        emu::fault("shared-memory access out of bounds", line, ILLEGAL_ADDRESS);
    }
    if (address & (bytes - 1))
        emu::fault("misaligned shared-memory access", line, MISALIGNED_ADDRESS);
    static const bool checks_races = !emu::environment_is("EMU_RACE", '0');
    if (checks_races)
        check_race(ctx, address, bytes, kind, line);
    if (USES_ASYNC_PROXY && kind == WRITE)
        proxy_record_store(address, bytes);
    return ctx.shared + address;
}

static inline char *global_at(emu::Context &ctx, uint64_t address, unsigned bytes, int, int line)
{
    typedef emu::Allocation A;
    static thread_local struct {
        uintptr_t begin, end;
        uint64_t launch;
    } last{0, 0, 0};
    if (address & (bytes - 1))
        emu::fault("misaligned global access", line, MISALIGNED_ADDRESS);
    if (address >= last.begin && address + bytes <= last.end && last.launch == ctx.launches)
        return (char *)address;
    const A *a = emu::find_allocation(address);
    const char *why =
        !a                         ? "global access out of bounds (stray, or a host pointer)"
        : !a->live                 ? "global access to freed memory"
        : address + bytes > a->end ? "global access out of bounds"
        : a->kind <= A::POOL && a->device != ctx.device && !(ctx.peers >> a->device & 1)
            ? "global access to another device's memory"
            : nullptr;
    if (why) {
        fprintf(stderr, "[address %lx + %u] ", (unsigned long)address, bytes);
        emu::fault(why, line, ILLEGAL_ADDRESS);
    }
    last = {a->begin, a->end, ctx.launches};
    return (char *)address;
}

static inline char *const_at(emu::Context &ctx, uint64_t address, unsigned bytes, int kind,
                             int line)
{
    return global_at(ctx, address, bytes, kind, line);
}

static inline bool is_in(uint64_t address, unsigned bytes, const char *begin, size_t size)
{
    return address >= (uint64_t)begin && address + bytes <= (uint64_t)begin + size;
}

static inline char *param_at(emu::Context &ctx, uint64_t address, unsigned bytes, int, int line)
{
    if (!is_in(address, bytes, ctx.params, ctx.param_bytes))
        emu::fault("access outside the kernel's parameters", line, ILLEGAL_ADDRESS);
    return (char *)address;
}

static inline char *local_at(emu::Context &ctx, uint64_t address, unsigned bytes, int, int line)
{
    if (!is_in(address, bytes, ctx.thread->stack, emu::STACK_BYTES))
        emu::fault("local access out of bounds", line, ILLEGAL_ADDRESS);
    return (char *)address;
}

static inline char *generic_at(emu::Context &ctx, uint64_t address, unsigned bytes, int kind,
                               int line)
{
    if (is_in(address, 0, ctx.shared, ctx.shared_bytes) &&
        address != (uint64_t)ctx.shared + ctx.shared_bytes)
        return shared_at(ctx, address - (uint64_t)ctx.shared, bytes, kind, line);
    if (is_in(address, bytes, ctx.thread->stack, emu::STACK_BYTES))
        return (char *)address;
    if (kind == READ && is_in(address, bytes, ctx.params, ctx.param_bytes))
        return (char *)address;
    return global_at(ctx, address, bytes, kind, line);
}

static inline void async_copy(emu::Context &ctx, uint64_t dst, uint64_t src, unsigned bytes,
                              unsigned filled, int site)
{
    if (filled > bytes)
        filled = bytes;
    char *to = shared_at(ctx, dst, bytes, WRITE, site);
    const char *from =
        filled ? global_at(ctx, src, filled == bytes ? bytes : 1, READ, site) : nullptr;
    emu::async_copy(to, from, bytes, filled, site);
}

#endif
