// Shared by the files of the emulated CUDA runtime (libcudart.so): devices, streams and checks.
//
// cudart_device.cpp has devices, errors and tensor maps, cudart_memory.cpp memory and copies,
// cudart_stream.cpp streams, events and graphs, cudart_launch.cpp kernels. Work of a stream is a
// function; enqueue() runs it at once (EMU_STREAMS=eager), or when a caller waits for it (lazy), or
// in any order that events allow (random), so that a missing wait shows. One lock covers all calls.
#ifndef PTX_EMU_CUDART_H
#define PTX_EMU_CUDART_H

#include <cuda_runtime_api.h>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <time.h>
#include <vector>

#include "kernel.h"
#include "memory.h"

#define API extern "C" __attribute__((visibility("default")))

typedef cudaError_t Error;
typedef std::function<void()> Work;

extern std::recursive_mutex runtime_lock;
extern thread_local int current_device;

struct Device {
    size_t used_bytes = 0;
    uint64_t peers = 0;
    int sticky_error = 0; // of a lost device: every later call returns it
    long launches = 0;
};

long environment(const char *name, long otherwise);
int device_count();
std::vector<Device> &devices();
size_t device_bytes();
int sticky_error();    // of the current device
Error fail(int error); // also sets the result of cudaGetLastError()

// Limits of the emulated devices, by their architecture: $EMU_ARCH, else the newest of a kernel.
int device_arch();
size_t max_block_shared();
size_t max_sm_shared();
unsigned max_sm_threads();
int sm_count();

// Begins a call that a lost device fails.
#define ENTER                                                                                      \
    std::lock_guard<std::recursive_mutex> lock_(runtime_lock);                                     \
    if (int sticky_ = sticky_error())                                                              \
        return fail(sticky_);                                                                      \
    run_some_work()

#define REJECT(condition, error)                                                                   \
    do {                                                                                           \
        if (condition)                                                                             \
            return fail(error);                                                                    \
    } while (0)

// Of legacy or global calls while a stream is captured.
#define NOT_CAPTURING REJECT(global_captures, cudaErrorStreamCaptureUnsupported)

struct Stream;
struct Capture;

// A record of an event: complete once the stream has reached it. Within a capture it stands for the
// graph nodes before it.
struct Mark {
    Stream *stream;
    bool done;
    timespec time;
    Capture *capture;
    std::vector<int> dependencies;
    std::map<Stream *, int> joined;
};

struct Operation {
    Work work;
    std::shared_ptr<Mark> wait; // before the work
};

struct Node {
    Work work;
    std::vector<int> dependencies; // earlier nodes
};

struct Stream {
    int device = 0, priority = 0;
    unsigned flags = 0;
    std::deque<Operation> queue;
    Capture *capture = nullptr; // and within it:
    std::vector<int> dependencies;
    int nodes = 0;
    std::map<Stream *, int> joined; // nodes of each stream that come before the next one
};

extern int global_captures;

Stream *find_stream(cudaStream_t stream);
Stream *legacy_stream();
void drain_device(int device, bool blocking_only = false); // runs the work of its streams
void run_some_work();                                      // with EMU_STREAMS=random

// `waits`: the host waits for the work.
Error enqueue(Stream *stream, Work work, bool waits = false);

void load_kernels();
std::vector<emu::Variable> *find_variable(const void *symbol); // NULL: unknown

#endif
