// Hopper's asynchronous operations: mbarriers, bulk copies (TMA) and wgmma, after the PTX ISA's
// text and the layouts that CUTLASS documents. Never compared with a GPU.
//
// Each takes effect as late as a correct program allows, so that a missing wait shows: a bulk copy
// lands when its mbarrier is waited for (before, its target reads NaN), a bulk store reads shared
// memory at its wait, and wgmma multiplies at its wait (before, its accumulators read NaN and its
// operands can still be overwritten). EMU_CPASYNC=eager and EMU_WGMMA=eager do so at issue.
#ifndef PTX_EMU_HOPPER_H
#define PTX_EMU_HOPPER_H

#include <unordered_map>

#include "memory.h"
#include "warp.h"

struct MBarrier {
    int count = 0, pending = 0; // arrivals of a phase, and those still missing
    int64_t bytes = 0;          // that bulk copies still have to bring
    uint32_t phase = 0;
};

// A copy between global memory at `global` (a TensorMap if `is_tensor`) and shared memory.
struct BulkCopy {
    uint32_t mbarrier, shared;
    uint64_t global;
    uint32_t bytes; // not of a tensor
    bool is_tensor;
    int coordinates[5];
};

struct BulkStores {
    std::vector<BulkCopy> pending;
    std::vector<size_t> groups; // ends of committed groups in `pending`
};

// State of the running block.
struct AsyncState {
    uint64_t block = ~0ull;
    std::unordered_map<uint32_t, MBarrier> mbarriers; // by shared address
    std::vector<BulkCopy> loads;
    std::unordered_map<unsigned, BulkStores> stores; // by thread
    uint64_t polls = 0;                              // of mbarriers since one changed
};

static AsyncState &async_state()
{
    static thread_local AsyncState state;
    uint64_t block = emu::context().stats.blocks;
    if (state.block != block) {
        state = AsyncState();
        state.block = block;
    }
    return state;
}

static MBarrier &mbarrier_at(uint32_t address, int line)
{
    skip_race_check();
    auto found = async_state().mbarriers.find(address);
    if (found == async_state().mbarriers.end())
        emu::fault("mbarrier used before mbarrier.init", line);
    return found->second;
}

static void mbarrier_init(uint32_t address, uint32_t count)
{
    skip_race_check();
    if (address & 7)
        emu::fault("mbarrier: misaligned");
    MBarrier barrier;
    barrier.count = barrier.pending = (int)count;
    async_state().mbarriers[address] = barrier;
}

static void mbarrier_changed(MBarrier &barrier)
{
    async_state().polls = 0;
    if (barrier.pending == 0 && barrier.bytes == 0) {
        barrier.phase++;
        barrier.pending = barrier.count;
    }
}

// Returns the phase before the arrivals.
static uint64_t mbarrier_arrive(uint32_t address, uint32_t arrivals, uint32_t bytes, int line)
{
    MBarrier &barrier = mbarrier_at(address, line);
    uint64_t phase = barrier.phase;
    if ((int)arrivals > barrier.pending)
        emu::fault("mbarrier: more arrivals than its count", line);
    barrier.bytes += bytes;
    barrier.pending -= (int)arrivals;
    mbarrier_changed(barrier);
    return phase;
}

// TMA's swizzle of shared addresses; modes as of CUtensorMapSwizzle: none, 32, 64 and 128 bytes.
static uint32_t swizzled(uint32_t address, uint32_t mode)
{
    static const uint32_t masks[] = {0, 1, 3, 7};
    return address ^ (address >> 7 & masks[mode]) << 4;
}

enum BulkAction { LOAD, POISON, STORE }; // POISON: NaN to the target of a load

static void bulk_move(BulkAction action, char *shared, uint64_t global, uint32_t bytes)
{
    emu::Context &ctx = emu::context();
    if (action == POISON)
        memset(shared, 0xFF, bytes);
    else if (action == LOAD)
        memcpy(shared, global_at(ctx, global, 1, READ, 0), bytes);
    else
        memcpy(global_at(ctx, global, 1, WRITE, 0), shared, bytes);
}

static void bulk_apply_linear(const BulkCopy &copy, BulkAction action)
{
    emu::Context &ctx = emu::context();
    if ((copy.shared | copy.global | copy.bytes) & 15)
        emu::fault("bulk copy: address or size not a multiple of 16", 0, MISALIGNED_ADDRESS);
    if ((uint64_t)copy.shared + copy.bytes > ctx.shared_bytes)
        emu::fault("bulk copy beyond shared memory", 0, ILLEGAL_ADDRESS);
    if (copy.bytes)
        global_at(ctx, copy.global + copy.bytes - 1, 1, READ, 0);
    if (action == STORE && copy.bytes)
        proxy_check_read(copy.shared, copy.bytes);
    bulk_move(action, ctx.shared + copy.shared, copy.global, copy.bytes);
}

static uint32_t box_elements(const emu::TensorMap *map)
{
    uint32_t elements = 1;
    for (unsigned d = 0; d < map->rank; d++)
        elements *= map->box[d];
    return elements;
}

// The global address of element `index` of the box at `corner`; false outside the tensor.
static bool tensor_address(uint64_t *address, const emu::TensorMap *map, const int *corner,
                           uint32_t index)
{
    bool is_inside = true;
    *address = map->base;
    for (unsigned d = 0; d < map->rank; d++) {
        int64_t x = (int64_t)corner[d] + index % map->box[d];
        index /= map->box[d];
        if (x < 0 || x >= (int64_t)map->size[d])
            is_inside = false;
        else
            *address += x * map->stride_bytes[d];
    }
    return is_inside;
}

static void bulk_apply_tensor(const BulkCopy &copy, BulkAction action)
{
    emu::Context &ctx = emu::context();
    const emu::TensorMap *map = *(const emu::TensorMap **)copy.global;
    if (map->magic != emu::TENSOR_MAP_MAGIC)
        emu::fault("not a tensor map made by the emulator");
    uint32_t bytes = map->element_bytes, elements = box_elements(map);
    if (copy.shared & 127)
        emu::fault("TMA: shared address not 128-byte aligned", 0, MISALIGNED_ADDRESS);
    if (copy.shared + (uint64_t)elements * bytes > ctx.shared_bytes)
        emu::fault("TMA box beyond shared memory", 0, ILLEGAL_ADDRESS);
    for (uint32_t i = 0; i < elements; i++) {
        uint64_t global;
        bool is_inside = tensor_address(&global, map, copy.coordinates, i);
        uint32_t shared = swizzled(copy.shared + i * bytes, map->swizzle);
        if (action == STORE)
            proxy_check_read(shared, bytes);
        if (is_inside || action == POISON)
            bulk_move(action, ctx.shared + shared, global, bytes);
        else if (action == LOAD)
            memset(ctx.shared + shared, map->fills_nan ? 0xFF : 0, bytes);
    }
}

static void bulk_apply(const BulkCopy &copy, BulkAction action)
{
    if (copy.is_tensor)
        bulk_apply_tensor(copy, action);
    else
        bulk_apply_linear(copy, action);
}

static bool copies_eagerly()
{
    static const bool eager = emu::environment_is("EMU_CPASYNC", 'e');
    return eager;
}

// Lands the pending copies of an mbarrier.
static void bulk_land(uint32_t mbarrier, int line)
{
    auto &loads = async_state().loads;
    for (size_t i = 0; i < loads.size();) {
        BulkCopy copy = loads[i];
        if (copy.mbarrier != mbarrier) {
            i++;
            continue;
        }
        loads.erase(loads.begin() + i);
        bulk_apply(copy, LOAD);
        const emu::TensorMap *map =
            copy.is_tensor ? *(const emu::TensorMap **)copy.global : nullptr;
        MBarrier &barrier = mbarrier_at(mbarrier, line);
        barrier.bytes -= map ? box_elements(map) * map->element_bytes : copy.bytes;
        mbarrier_changed(barrier);
    }
}

static void bulk_load(const BulkCopy &copy, int line)
{
    mbarrier_at(copy.mbarrier, line);
    emu::context().stats.copies++;
    async_state().loads.push_back(copy);
    if (copies_eagerly())
        bulk_land(copy.mbarrier, line);
    else
        bulk_apply(copy, POISON);
}

static BulkStores &bulk_stores()
{
    return async_state().stores[emu::context().thread->linear];
}

static void bulk_store(const BulkCopy &copy)
{
    skip_race_check();
    emu::context().stats.copies++;
    if (copies_eagerly())
        bulk_apply(copy, STORE);
    else
        bulk_stores().pending.push_back(copy);
}

static void bulk_commit()
{
    bulk_stores().groups.push_back(bulk_stores().pending.size());
}

static void bulk_wait(unsigned groups_left)
{
    auto &pending = bulk_stores().pending;
    auto &groups = bulk_stores().groups;
    if (groups.size() <= groups_left)
        return;
    size_t done = groups.size() - groups_left, end = groups[done - 1];
    for (size_t i = 0; i < end; i++)
        bulk_apply(pending[i], STORE);
    pending.erase(pending.begin(), pending.begin() + end);
    groups.erase(groups.begin(), groups.begin() + done);
    for (auto &group : groups)
        group -= end;
}

static void bulk_check_exit(int line)
{
    if (!async_state().stores.empty() && !bulk_stores().pending.empty())
        emu::fault("thread exits with a bulk store not waited for", line);
}

// One poll. `state`: the phase's parity, or a phase of mbarrier_arrive().
static bool mbarrier_test(uint32_t address, uint64_t state, bool is_parity, int line)
{
    mbarrier_at(address, line);
    bulk_land(address, line);
    uint32_t phase = mbarrier_at(address, line).phase;
    if (is_parity ? (phase & 1) != (state & 1) : phase != (uint32_t)state)
        return true;
    if (++async_state().polls > 100000ull * emu::context().n_threads)
        emu::fault("mbarrier wait is never satisfied (deadlock)", line);
    emu::yield_ready();
    return false;
}

struct WgmmaArg {
    float *d;          // N / 2 accumulators
    const uint32_t *a; // registers; NULL: a_descriptor
    uint64_t a_descriptor, b_descriptor;
    bool adds; // to d
    int a_sign, b_sign;
    bool a_transposed, b_transposed;
};

// Element (row, k) of the operand that a matrix descriptor names; `row` of A, or column of B.
// Transposed: `row` is contiguous in memory, else k is.
static uint16_t operand(uint64_t descriptor, uint32_t row, uint32_t k, bool is_transposed)
{
    static const uint32_t row_bytes[] = {16, 128, 64, 32}, swizzles[] = {0, 3, 2, 1};
    emu::Context &ctx = emu::context();
    uint32_t base = (descriptor & 0x3fff) << 4, mode = descriptor >> 62, bytes = row_bytes[mode];
    uint32_t leading = (descriptor >> 16 & 0x3fff) << 4, stride = (descriptor >> 32 & 0x3fff) << 4;
    uint32_t inner = is_transposed ? row : k, outer = is_transposed ? k : row, address;
    if (mode == 0)
        address = base + row / 8 * stride + k / 8 * leading + outer % 8 * 16 + inner % 8 * 2;
    else if (is_transposed)
        address = base + row / (bytes / 2) * leading + k / 8 * stride + k % 8 * bytes +
                  row % (bytes / 2) * 2;
    else
        address = base + row / 8 * stride + row % 8 * bytes + k * 2;
    address = swizzled(address, swizzles[mode]);
    if (address + 2 > ctx.shared_bytes)
        emu::fault("wgmma operand beyond shared memory", 0, ILLEGAL_ADDRESS);
    proxy_check_read(address, 2);
    return load<uint16_t>(ctx.shared + address);
}

// One warp's 16 rows of wgmma.m64nNk16.
template <int N, int TYPE> static void wgmma(void **args, unsigned)
{
    static thread_local float a[16][16], b[16][N], sums[16][N];
    emu::Context &ctx = emu::context();
    const WgmmaArg &first = *(WgmmaArg *)args[0];
    int warp = ctx.thread->linear / emu::WARP_LANES % 4;
    auto convert = [](uint16_t bits) {
        return TYPE == FP16 ? half_to_float(bits) : bf16_to_float(bits);
    };
    ctx.stats.products++;
    for_lanes<WgmmaArg>(args, ~0u, [&](int lane, WgmmaArg &arg) {
        if (arg.a_descriptor != first.a_descriptor || arg.b_descriptor != first.b_descriptor ||
            arg.adds != first.adds)
            emu::fault("wgmma: lanes disagree about descriptors");
        for (int i = 0; first.a && i < 8; i++)
            a[lane / 4 + i / 2 % 2 * 8][lane % 4 * 2 + i % 2 + i / 4 * 8] = element<TYPE>(arg.a, i);
    });
    for (int row = 0; !first.a && row < 16; row++)
        for (int k = 0; k < 16; k++)
            a[row][k] =
                convert(operand(first.a_descriptor, warp * 16 + row, k, first.a_transposed));
    for (int n = 0; n < N; n++)
        for (int k = 0; k < 16; k++)
            b[k][n] = convert(operand(first.b_descriptor, n, k, first.b_transposed)) *
                      (first.a_sign * first.b_sign);
    for (int row = 0; row < 16; row++) {
        std::fill(sums[row], sums[row] + N, 0.f);
        for (int k = 0; k < 16; k++)
            for (int n = 0; n < N; n++)
                sums[row][n] += a[row][k] * b[k][n];
    }
    for_lanes<WgmmaArg>(args, ~0u, [&](int lane, WgmmaArg &arg) {
        for (int i = 0; i < N / 2; i++) {
            float sum = sums[lane / 4 + i / 2 % 2 * 8][i / 4 * 8 + lane % 4 * 2 + i % 2];
            arg.d[i] = arg.adds ? arg.d[i] + sum : sum;
        }
    });
}

enum { MAX_ACCUMULATORS = 128 };

// A product that was issued and not yet waited for, of one thread. The values of its accumulators
// at issue, unless they are the results of a product before it that is pending, too (`chained`).
struct WgmmaPending {
    emu::WarpFunction function;
    WgmmaArg arg;
    uint32_t a[4];
    std::vector<uint32_t *> registers;
    std::vector<float> values;
    std::vector<char> chained;
};

struct WgmmaQueue {
    std::vector<WgmmaPending> pending;
    std::vector<size_t> groups;                    // ends of committed groups in `pending`
    std::unordered_map<uint32_t *, float> results; // of accumulators of pending products
    bool is_fenced = false;
};

static WgmmaQueue &wgmma_queue()
{
    static thread_local uint64_t block = ~0ull;
    static thread_local std::unordered_map<unsigned, WgmmaQueue> queues; // by thread
    emu::Context &ctx = emu::context();
    if (block != ctx.stats.blocks) {
        block = ctx.stats.blocks;
        queues.clear();
    }
    return queues[ctx.thread->linear];
}

static void wgmma_fence(int line)
{
    emu::warp_op(emu::warp_sync, nullptr, ~0u, line);
    wgmma_queue().is_fenced = true;
}

static void wgmma_at_once(emu::WarpFunction function, WgmmaArg arg, uint32_t *const *registers,
                          int count, int line)
{
    float d[MAX_ACCUMULATORS];
    for (int i = 0; i < count; i++)
        d[i] = F(*registers[i]);
    arg.d = d;
    emu::warp_op(function, &arg, ~0u, line);
    for (int i = 0; i < count; i++)
        *registers[i] = U(d[i]);
}

// `registers`: the `count` accumulators.
static void wgmma_issue(emu::WarpFunction function, const WgmmaArg &arg, uint32_t *const *registers,
                        int count, int line)
{
    static const bool eager = emu::environment_is("EMU_WGMMA", 'e');
    skip_race_check();
    if (!wgmma_queue().is_fenced)
        emu::fault("wgmma with no wgmma.fence since the start or the last wait", line);
    if (eager)
        return wgmma_at_once(function, arg, registers, count, line);
    emu::warp_op(emu::warp_sync, nullptr, ~0u, line);
    WgmmaQueue &queue = wgmma_queue();
    WgmmaPending product;
    product.function = function;
    product.arg = arg;
    if (arg.a)
        memcpy(product.a, arg.a, sizeof product.a);
    for (int i = 0; i < count; i++) {
        product.registers.push_back(registers[i]);
        product.chained.push_back(queue.results.count(registers[i]) > 0);
        product.values.push_back(F(*registers[i]));
        queue.results[registers[i]];
        *registers[i] = 0xffffffffu; // NaN
    }
    queue.pending.push_back(std::move(product));
}

static void wgmma_commit(int line)
{
    emu::warp_op(emu::warp_sync, nullptr, ~0u, line);
    wgmma_queue().groups.push_back(wgmma_queue().pending.size());
}

static void wgmma_compute(WgmmaQueue &queue, const WgmmaPending &product, int line)
{
    float d[MAX_ACCUMULATORS];
    size_t count = product.registers.size();
    for (size_t i = 0; i < count; i++)
        d[i] = product.chained[i] ? queue.results[product.registers[i]] : product.values[i];
    WgmmaArg arg = product.arg;
    arg.d = d;
    if (arg.a)
        arg.a = product.a;
    emu::warp_op(product.function, &arg, ~0u, line);
    for (size_t i = 0; i < count; i++)
        queue.results[product.registers[i]] = d[i];
}

static void wgmma_wait(unsigned groups_left, int line)
{
    emu::warp_op(emu::warp_sync, nullptr, ~0u, line);
    WgmmaQueue &queue = wgmma_queue();
    auto &pending = queue.pending;
    auto &groups = queue.groups;
    queue.is_fenced = false;
    if (groups.size() <= groups_left)
        return;
    size_t done = groups.size() - groups_left, end = groups[done - 1];
    for (size_t i = 0; i < end; i++)
        wgmma_compute(queue, pending[i], line);
    std::unordered_map<uint32_t *, float> still_pending;
    for (size_t i = end; i < pending.size(); i++)
        for (auto *r : pending[i].registers)
            still_pending[r] = queue.results[r];
    for (auto &result : queue.results)
        if (!still_pending.count(result.first))
            *result.first = U(result.second);
    queue.results = std::move(still_pending);
    pending.erase(pending.begin(), pending.begin() + end);
    groups.erase(groups.begin(), groups.begin() + done);
    for (auto &group : groups)
        group -= end;
}

static void wgmma_check_exit(int line)
{
    if (!wgmma_queue().pending.empty())
        emu::fault("thread exits with a wgmma not waited for", line);
}

#endif
