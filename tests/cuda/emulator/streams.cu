// The emulator's host side: streams, events, graphs, several devices, limits of memory, named
// barriers.
//
// `streams`: an upload, two kernels and a download on three streams, two slots in turn, direct and
// as graphs. `streams nowait`: the same without the wait between kernels and download, which has to
// give wrong results with EMU_STREAMS=lazy (exit 0 if it does).
#include <cstring>

#include "check.cuh"

enum { N = 1000, HALF = 512, BATCHES = 6, SLOTS = 2, THREADS = 128 };

__global__ void add(float *out, const float *in, float value, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        out[i] = in[i] + value;
}

// Warps 1 to 3 produce and arrive, warp 0 waits for them at a named barrier.
__global__ void sum_three_warps(float *out, const float *in)
{
    __shared__ float values[96];
    float sum = 0;
    if (threadIdx.x >= 32) {
        values[threadIdx.x - 32] = in[threadIdx.x - 32];
        asm volatile("bar.arrive 1, 128;" ::: "memory");
        return;
    }
    asm volatile("bar.sync 1, 128;" ::: "memory");
    for (int i = threadIdx.x; i < 96; i += 32)
        sum += values[i];
    out[threadIdx.x] = sum;
}

struct Slot {
    cudaEvent_t uploaded, computed, downloaded;
    float *host_in, *host_out, *in, *middle, *out;
    cudaGraphExec_t graph;
};

// The second kernel in two halves, on two streams.
static void capture(Slot *slot, cudaStream_t stream)
{
    cudaGraph_t graph;
    cudaStream_t side;
    cudaEvent_t fork, join;
    CHECK(cudaStreamCreate(&side));
    CHECK(cudaEventCreate(&fork));
    CHECK(cudaEventCreate(&join));
    CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    add<<<(N + THREADS - 1) / THREADS, THREADS, 0, stream>>>(slot->middle, slot->in, 1, N);
    CHECK(cudaEventRecord(fork, stream));
    CHECK(cudaStreamWaitEvent(side, fork, 0));
    add<<<1, HALF, 0, side>>>(slot->out, slot->middle, 1, HALF);
    CHECK(cudaEventRecord(join, side));
    add<<<1, HALF, 0, stream>>>(slot->out + HALF, slot->middle + HALF, 1, N - HALF);
    CHECK(cudaStreamWaitEvent(stream, join, 0));
    CHECK(cudaStreamEndCapture(stream, &graph));
    CHECK(cudaGraphInstantiate(&slot->graph, graph, 0));
    CHECK(cudaGraphDestroy(graph));
}

static void create_slot(Slot *slot)
{
    CHECK(cudaEventCreateWithFlags(&slot->uploaded, cudaEventDisableTiming));
    CHECK(cudaEventCreateWithFlags(&slot->computed, cudaEventDisableTiming));
    CHECK(cudaEventCreateWithFlags(&slot->downloaded, cudaEventDisableTiming));
    CHECK(cudaMallocHost(&slot->host_in, N * sizeof(float)));
    CHECK(cudaMallocHost(&slot->host_out, N * sizeof(float)));
    for (float **p : {&slot->in, &slot->middle, &slot->out})
        CHECK(cudaMalloc(p, N * sizeof(float)));
}

// Compares a finished batch; returns the number of wrong values.
static int check_batch(const Slot *slot, int batch)
{
    int wrong = 0;
    CHECK(cudaEventSynchronize(slot->downloaded));
    for (int i = 0; i < N; i++)
        wrong += slot->host_out[i] != batch * N + i + 2;
    return wrong;
}

static int pipeline(bool as_graph, bool waits)
{
    cudaStream_t up, compute, down;
    Slot slots[SLOTS] = {};
    int wrong = 0;
    for (cudaStream_t *stream : {&up, &compute, &down})
        CHECK(cudaStreamCreateWithFlags(stream, cudaStreamNonBlocking));
    for (Slot &slot : slots) {
        create_slot(&slot);
        if (as_graph)
            capture(&slot, compute);
    }
    for (int batch = 0; batch < BATCHES + SLOTS; batch++) {
        Slot *slot = &slots[batch % SLOTS];
        if (batch >= SLOTS)
            wrong += check_batch(slot, batch - SLOTS);
        if (batch >= BATCHES)
            continue;
        for (int i = 0; i < N; i++)
            slot->host_in[i] = (float)(batch * N + i);
        CHECK(cudaMemcpyAsync(slot->in, slot->host_in, N * sizeof(float), cudaMemcpyHostToDevice,
                              up));
        CHECK(cudaEventRecord(slot->uploaded, up));
        CHECK(cudaStreamWaitEvent(compute, slot->uploaded, 0));
        if (as_graph) {
            CHECK(cudaGraphLaunch(slot->graph, compute));
        } else {
            const int blocks = (N + THREADS - 1) / THREADS;
            add<<<blocks, THREADS, 0, compute>>>(slot->middle, slot->in, 1, N);
            add<<<blocks, THREADS, 0, compute>>>(slot->out, slot->middle, 1, N);
        }
        CHECK(cudaGetLastError());
        CHECK(cudaEventRecord(slot->computed, compute));
        if (waits)
            CHECK(cudaStreamWaitEvent(down, slot->computed, 0));
        CHECK(cudaMemcpyAsync(slot->host_out, slot->out, N * sizeof(float), cudaMemcpyDeviceToHost,
                              down));
        CHECK(cudaEventRecord(slot->downloaded, down));
    }
    printf("streams%s: %d of %d wrong\n", as_graph ? " with graphs" : "", wrong, BATCHES * N);
    return wrong;
}

static int check_named_barrier()
{
    std::vector<float> values;
    int wrong = 0;
    for (int i = 0; i < 96; i++)
        values.push_back((float)i);
    DeviceArray<float> in(values), out(32);
    sum_three_warps<<<1, 128>>>(out.data, in.data);
    std::vector<float> got = out.download();
    for (int i = 0; i < 32; i++)
        wrong += got[i] != (float)(3 * i + 96);
    printf("named barrier: %d of 32 wrong\n", wrong);
    return wrong;
}

static int check_memory_limit()
{
    cudaDeviceProp properties;
    void *all;
    CHECK(cudaGetDeviceProperties(&properties, 0));
    cudaError_t error = cudaMalloc(&all, properties.totalGlobalMem + 1);
    bool is_right = error == cudaErrorMemoryAllocation &&
                    cudaGetLastError() == cudaErrorMemoryAllocation &&
                    cudaPeekAtLastError() == cudaSuccess;
    printf("more memory than a device has: %s\n", cudaGetErrorName(error));
    return !is_right;
}

// A kernel on device 1 reads memory of device 0.
static int check_peers()
{
    std::vector<float> values(96, 1.f);
    DeviceArray<float> in(values);
    int devices, wrong = 0;
    CHECK(cudaGetDeviceCount(&devices));
    if (devices < 2)
        return 1;
    CHECK(cudaSetDevice(1));
    DeviceArray<float> out(96);
    CHECK(cudaDeviceEnablePeerAccess(0, 0));
    add<<<1, 96>>>(out.data, in.data, 5, 96);
    for (float value : out.download())
        wrong += value != 6;
    printf("peer access: %d of 96 wrong\n", wrong);
    return wrong;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "nowait") == 0)
        return pipeline(false, false) == 0 || pipeline(true, false) == 0;
    int wrong = pipeline(false, true) + pipeline(true, true) + check_named_barrier() +
                check_memory_limit() + check_peers();
    return wrong != 0;
}
