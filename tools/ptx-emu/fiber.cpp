#include "fiber.h"

#include <algorithm>
#include <sys/mman.h>

// emu_switch(save_sp, to_sp): saves the callee-saved registers on the stack and continues at to_sp.
asm(R"(
.pushsection .text
.globl emu_switch
.type emu_switch,@function
emu_switch:
 pushq %rbp
 pushq %rbx
 pushq %r12
 pushq %r13
 pushq %r14
 pushq %r15
 movq %rsp,(%rdi)
 movq %rsi,%rsp
 popq %r15
 popq %r14
 popq %r13
 popq %r12
 popq %rbx
 popq %rbp
 ret
.size emu_switch,.-emu_switch
.previous
)");

namespace emu
{
enum { SAVED_REGISTERS = 6, GUARD_BYTES = 4096 };

void fault(const char *message, int site, int error)
{
    Context &ctx = context();
    Dim3 tid = ctx.thread ? ctx.thread->tid : Dim3{};
    fprintf(stderr, "EMU FAULT kernel %s block(%u,%u,%u) thread(%u,%u,%u) site %d: %s\n",
            ctx.kernel, ctx.block_index.x, ctx.block_index.y, ctx.block_index.z, tid.x, tid.y,
            tid.z, site, message);
    if (error && environment_is("EMU_FAULT", 'e') && ctx.thread) {
        void *abandoned;
        ctx.error = error;
        emu_switch(&abandoned, ctx.main_sp);
    }
    abort();
}

static uint64_t random_bits()
{
    uint64_t &x = context().random;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return x;
}

static void switch_to(unsigned place)
{
    Context &ctx = context();
    Thread *from = ctx.thread;
    ctx.current = place;
    ctx.thread = &ctx.threads[ctx.order[place]];
    ctx.stats.switches++;
    emu_switch(&from->sp, ctx.thread->sp);
}

// The place that is `steps` (up to n_threads) after the current one.
static unsigned place_after(unsigned steps)
{
    const Context &ctx = context();
    unsigned place = ctx.current + steps;
    return place < ctx.n_threads ? place : place - ctx.n_threads;
}

static bool is_ready(unsigned place)
{
    Context &ctx = context();
    const Thread &thread = ctx.threads[ctx.order[place]];
    return thread.state == Thread::READY && &thread != ctx.thread;
}

void yield_blocked()
{
    Context &ctx = context();
    Thread *from = ctx.thread;
    unsigned n = ctx.n_threads, first = ctx.current / WARP_LANES * WARP_LANES;
    if (ctx.greedy && from->state == Thread::IN_WARP_OP)
        for (unsigned place = first; place < first + WARP_LANES && place < n; place++)
            if (is_ready(place))
                return switch_to(place);
    if (ctx.greedy)
        ctx.current = n - 1;
    for (unsigned k = 1; k <= n; k++)
        if (is_ready(place_after(k)))
            return switch_to(place_after(k));
    ctx.stats.switches++;
    emu_switch(&from->sp, ctx.main_sp);
}

void yield_ready()
{
    Context &ctx = context();
    for (unsigned k = 1; k < ctx.n_threads; k++)
        if (is_ready(place_after(k)))
            return switch_to(place_after(k));
}

void warp_op(WarpFunction function, void *args, unsigned mask, int site)
{
    Thread *thread = context().thread;
    Warp *warp = thread->warp;
    if (!(mask >> thread->lane & 1))
        fault("lane calls a warp operation with a mask that lacks it", site);
    if (mask & warp->exited)
        fault("warp operation waits for a lane that has exited", site);
    if ((mask & warp->exists) != mask)
        fault("warp operation names a lane that does not exist", site);
    if (warp->arrived == 0) {
        warp->mask = mask;
        warp->function = function;
        warp->site = site;
    } else if (warp->function != function || warp->mask != mask || warp->site != site) {
        fault("divergent warp operation (lanes of one warp at different ones)", site);
    }
    warp->args[thread->lane] = args;
    warp->arrived |= 1u << thread->lane;
    if (warp->arrived != mask) {
        thread->state = Thread::IN_WARP_OP;
        yield_blocked();
        return;
    }
    function(warp->args, mask);
    warp->arrived = 0;
    for (unsigned lane = 0; lane < WARP_LANES; lane++)
        if (mask >> lane & 1)
            warp->threads[lane]->state = Thread::READY;
}

static void apply(const AsyncCopy &copy)
{
    if (copy.filled)
        memcpy(copy.dst, copy.src, copy.filled);
    if (copy.filled < copy.bytes)
        memset((char *)copy.dst + copy.filled, 0, copy.bytes - copy.filled);
}

// EMU_CPASYNC=lazy (default): the copy lands at the wait, until then its target reads NaN.
void async_copy(void *dst, const void *src, unsigned bytes, unsigned filled, int site)
{
    if (((uintptr_t)dst | (filled ? (uintptr_t)src : 0)) & (bytes - 1))
        fault("cp.async: misaligned address", site);
    context().stats.copies++;
    AsyncCopy copy{dst, src, bytes, filled};
    static const bool eager = environment_is("EMU_CPASYNC", 'e');
    if (eager)
        return apply(copy);
    memset(dst, 0xFF, bytes);
    context().thread->copies.push_back(copy);
}

void async_copy_commit()
{
    Thread *thread = context().thread;
    thread->copy_groups.push_back(thread->copies.size());
}

void async_copy_wait(unsigned groups_left)
{
    Thread *thread = context().thread;
    auto &copies = thread->copies;
    auto &groups = thread->copy_groups;
    if (groups.size() <= groups_left)
        return;
    size_t done = groups.size() - groups_left, end = groups[done - 1];
    std::for_each(copies.begin(), copies.begin() + end, apply);
    copies.erase(copies.begin(), copies.begin() + end);
    groups.erase(groups.begin(), groups.begin() + done);
    for (auto &group : groups)
        group -= end;
}

void async_copy_wait_all()
{
    Thread *thread = context().thread;
    std::for_each(thread->copies.begin(), thread->copies.end(), apply);
    thread->copies.clear();
    thread->copy_groups.clear();
}

static void release(int id)
{
    Context &ctx = context();
    ctx.stats.barriers++;
    ctx.barriers[id] = Barrier();
    for (auto &thread : ctx.threads)
        if (thread.state == Thread::AT_BARRIER && thread.barrier == id)
            thread.state = Thread::READY;
}

// Counts the calling thread in.
static void arrive(int id, unsigned count, int site)
{
    Barrier &bar = context().barriers[id];
    if (bar.arrived == 0) {
        bar.expected = count;
        bar.site = site;
    } else if (bar.expected != count) {
        fault("barrier: threads disagree about the count", site);
    }
    bar.arrived++;
}

void barrier(int id, unsigned count, int site)
{
    Context &ctx = context();
    arrive(id, count, site);
    if (!count && ctx.barriers[id].site != site)
        fault("barrier: threads of the block are at different __syncthreads()", site);
    if (ctx.barriers[id].arrived == (count ? count : ctx.live))
        return release(id);
    ctx.thread->state = Thread::AT_BARRIER;
    ctx.thread->barrier = id;
    yield_blocked();
}

void barrier_arrive(int id, unsigned count, int site)
{
    arrive(id, count, site);
    if (context().barriers[id].arrived == count)
        release(id);
}

extern "C" void emu_fiber_main()
{
    context().body();
    Context &ctx = context();
    Thread *thread = ctx.thread;
    Warp *warp = thread->warp;
    if (!thread->copies.empty()) {
        fprintf(stderr, "EMU WARN kernel %s: thread exits with cp.async in flight\n", ctx.kernel);
        async_copy_wait_all();
    }
    thread->state = Thread::DONE;
    warp->exited |= 1u << thread->lane;
    ctx.live--;
    if (warp->arrived && (warp->mask & warp->exited))
        fault("lane exited while its warp waits for it in a warp operation", warp->site);
    for (unsigned id = 0; id < BARRIERS; id++) {
        const Barrier &bar = ctx.barriers[id];
        if (bar.arrived && !bar.expected && bar.arrived == ctx.live)
            release((int)id);
    }
    yield_blocked();
    abort(); // an exited fiber is never ready
}

// A fiber that starts in emu_fiber_main() when it is first switched to.
static void start_thread(unsigned linear, char *stack)
{
    Context &ctx = context();
    Thread &thread = ctx.threads[linear];
    Dim3 block = ctx.block;
    thread.state = Thread::READY;
    thread.copies.clear();
    thread.copy_groups.clear();
    thread.stack = stack;
    thread.linear = linear;
    thread.lane = linear % WARP_LANES;
    thread.tid = {linear % block.x, linear / block.x % block.y, linear / (block.x * block.y)};
    thread.warp = &ctx.warps[linear / WARP_LANES];
    thread.warp->exists |= 1u << thread.lane;
    thread.warp->threads[thread.lane] = &thread;
    void **sp = (void **)(((uintptr_t)stack + STACK_BYTES) & ~(uintptr_t)63);
    *--sp = nullptr; // keeps the stack aligned as after a call
    *--sp = (void *)emu_fiber_main;
    for (int i = 0; i < SAVED_REGISTERS; i++)
        *--sp = nullptr;
    thread.sp = sp;
}

template <class T> static void shuffle(std::vector<T> &items)
{
    for (size_t i = items.size(); i-- > 1;)
        std::swap(items[i], items[random_bits() % (i + 1)]);
}

// Warps in a random order, and lanes within each.
static void set_order()
{
    Context &ctx = context();
    std::vector<unsigned> warps;
    ctx.order.clear();
    for (unsigned i = 0; i < ctx.warps.size(); i++)
        warps.push_back(i);
    if (ctx.shuffled)
        shuffle(warps);
    for (unsigned warp : warps) {
        std::vector<unsigned> threads;
        for (unsigned i = warp * WARP_LANES; i < (warp + 1) * WARP_LANES && i < ctx.n_threads; i++)
            threads.push_back(i);
        if (ctx.shuffled)
            shuffle(threads);
        ctx.order.insert(ctx.order.end(), threads.begin(), threads.end());
    }
    ctx.greedy = ctx.shuffled && (random_bits() >> 33 & 1);
}

static void check_finished()
{
    Context &ctx = context();
    for (auto &thread : ctx.threads)
        if (thread.state != Thread::DONE) {
            bool at_barrier = thread.state == Thread::AT_BARRIER;
            ctx.thread = &thread;
            fprintf(stderr, "deadlock: %u threads left; ", ctx.live);
            fault(at_barrier ? "thread waits at a barrier others never reach"
                             : "thread waits in a warp operation others never reach",
                  at_barrier ? ctx.barriers[thread.barrier].site : thread.warp->site);
        }
}

static char *stacks()
{
    static thread_local char *arena = nullptr;
    if (!arena) {
        void *mapped =
            mmap(nullptr, (STACK_BYTES + GUARD_BYTES) * MAX_THREADS, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (mapped == MAP_FAILED)
            fault("no memory for stacks");
        arena = (char *)mapped;
    }
    return arena;
}

static void emulate_block()
{
    Context &ctx = context();
    if (ctx.shared)
        memset(ctx.shared, 0xFF, ctx.shared_bytes); // NaN in fp16, bf16 and fp32
    std::fill(ctx.barriers, ctx.barriers + BARRIERS, Barrier());
    ctx.warps.assign((ctx.n_threads + WARP_LANES - 1) / WARP_LANES, Warp());
    ctx.live = ctx.n_threads;
    ctx.stats.blocks++;
    ctx.stats.threads += ctx.n_threads;
    for (unsigned i = 0; i < ctx.n_threads; i++)
        start_thread(i, stacks() + (STACK_BYTES + GUARD_BYTES) * i);
    set_order();
    ctx.current = 0;
    ctx.thread = &ctx.threads[ctx.order[0]];
    ctx.stats.switches++;
    emu_switch(&ctx.main_sp, ctx.thread->sp);
    if (!ctx.error)
        check_finished();
}

int emulate_grid(const char *kernel, Dim3 grid, Dim3 block, size_t shared_bytes,
                 std::function<void()> body)
{
    Context &ctx = context();
    const char *seed = getenv("EMU_SHUFFLE");
    ctx.kernel = kernel;
    ctx.grid = grid;
    ctx.block = block;
    ctx.n_threads = block.x * block.y * block.z;
    ctx.body = std::move(body);
    ctx.error = 0;
    ctx.launches++;
    if (ctx.n_threads == 0 || ctx.n_threads > MAX_THREADS)
        fault("bad block size");
    ctx.shuffled = seed && *seed != '0';
    if (ctx.shuffled)
        ctx.random ^= strtoull(seed, nullptr, 10) * 0x2545F4914F6CDD1Dull;
    ctx.threads.resize(ctx.n_threads);
    ctx.shared_bytes = shared_bytes;
    ctx.shared =
        shared_bytes ? (char *)aligned_alloc(1024, (shared_bytes + 1023) / 1024 * 1024) : nullptr;
    Dim3 &index = ctx.block_index;
    for (index.z = 0; index.z < grid.z && !ctx.error; index.z++)
        for (index.y = 0; index.y < grid.y && !ctx.error; index.y++)
            for (index.x = 0; index.x < grid.x && !ctx.error; index.x++)
                emulate_block();
    free(ctx.shared);
    ctx.shared = nullptr;
    ctx.thread = nullptr;
    return ctx.error;
}
} // namespace emu
