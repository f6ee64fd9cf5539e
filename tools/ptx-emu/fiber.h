// Runs CUDA blocks on the CPU, one block at a time, each CUDA thread as a fiber.
//
// emulate_grid() runs every block of a grid. A fiber runs until it has to wait: for the other lanes
// in a warp operation (warp_op), or at a barrier (barrier). It then switches to the next fiber that
// is ready; when none is left the block has finished or is deadlocked. The order of fibers is that
// of the threads, or with EMU_SHUFFLE a random order of warps and of lanes within a warp, so that
// code that depends on an order fails under some of them. All state is that of the calling host
// thread.
#ifndef PTX_EMU_FIBER_H
#define PTX_EMU_FIBER_H

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <vector>

namespace emu
{
constexpr size_t STACK_BYTES = 64 << 10;
constexpr unsigned MAX_THREADS = 1024, WARP_LANES = 32, BARRIERS = 16;

struct Dim3 {
    unsigned x, y, z;
};

// A cp.async: `filled` bytes are copied, the rest of `bytes` becomes zero.
struct AsyncCopy {
    void *dst;
    const void *src;
    unsigned bytes, filled;
};

struct Warp;

struct Thread {
    enum State : uint8_t { READY, IN_WARP_OP, AT_BARRIER, DONE };
    void *sp = nullptr; // while the fiber does not run
    char *stack = nullptr;
    Dim3 tid{};
    unsigned linear = 0, lane = 0;
    Warp *warp = nullptr;
    State state = READY;
    int barrier = -1;
    std::vector<AsyncCopy> copies;   // pending
    std::vector<size_t> copy_groups; // ends of committed groups in `copies`
};

// Computes a warp operation once all lanes of `mask` have called it; args[lane] is each lane's.
typedef void (*WarpFunction)(void **args, unsigned mask);

struct Warp {
    unsigned exists = 0, exited = 0, arrived = 0, mask = 0; // a bit for each lane
    WarpFunction function = nullptr;
    void *args[WARP_LANES];
    Thread *threads[WARP_LANES];
    int site = 0;
};

struct Barrier {
    unsigned expected = 0, arrived = 0; // expected 0: all threads of the block
    int site = 0;
};

struct Stats {
    uint64_t blocks = 0, threads = 0, switches = 0, barriers = 0, products = 0, copies = 0;
};

struct Context {
    const char *kernel = "?";
    Dim3 grid{}, block{}, block_index{};
    unsigned n_threads = 0, live = 0;
    std::function<void()> body; // of one thread
    std::vector<Thread> threads;
    std::vector<Warp> warps;
    Barrier barriers[BARRIERS];
    std::vector<unsigned> order; // of threads
    unsigned current = 0;        // place in `order`
    Thread *thread = nullptr;    // that runs
    void *main_sp = nullptr;
    char *shared = nullptr;
    size_t shared_bytes = 0;
    const char *params = nullptr;
    size_t param_bytes = 0;
    int device = 0;
    uint64_t peers = 0;    // a bit for each device that this one may access
    uint64_t launches = 0; // of this host thread
    int error = 0;         // cudaError_t of the fault that ended the kernel
    bool shuffled = false;
    bool greedy = false; // run a warp as far as possible before the next one
    uint64_t random = 0x9E3779B97F4A7C15ull;
    Stats stats;
};

inline Context &context()
{
    static thread_local Context ctx;
    return ctx;
}

extern "C" void emu_switch(void **save_sp, void *to_sp);
extern "C" void emu_fiber_main();

// Reports a fault of the running kernel. Ends the process; with EMU_FAULT=error and an `error`
// (cudaError_t) that a GPU would report, ends the kernel only. `site`: line of the translated
// kernel.
[[noreturn]] void fault(const char *message, int site = 0, int error = 0);

// Switches to the next fiber that is ready, or out of the block if there is none.
void yield_blocked();

// Switches to another ready fiber; the caller stays ready.
void yield_ready();

// Calls function(args of all lanes, mask) when every lane of `mask` has called this with the same
// function, mask and site.
void warp_op(WarpFunction function, void *args, unsigned mask, int site);

// A warp operation without effect: synchronises the lanes.
inline void warp_sync(void **, unsigned)
{
}

// `count` 0: all threads of the block that have not exited.
void barrier(int id, unsigned count, int site);
void barrier_arrive(int id, unsigned count, int site); // without waiting

void async_copy(void *dst, const void *src, unsigned bytes, unsigned filled, int site);
void async_copy_commit();
void async_copy_wait(unsigned groups_left);
void async_copy_wait_all();

// Runs body() for every thread of every block. Returns 0 or the error of fault().
int emulate_grid(const char *kernel, Dim3 grid, Dim3 block, size_t shared_bytes,
                 std::function<void()> body);

inline bool environment_is(const char *name, char first)
{
    const char *value = getenv(name);
    return value && *value == first;
}
} // namespace emu

#endif
