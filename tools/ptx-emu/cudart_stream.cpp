#include "cudart.h"

#include <set>

struct Capture {
    std::vector<Node> nodes;
    std::vector<Stream *> streams;
    Stream *origin;
    cudaStreamCaptureMode mode;
    bool is_broken = false;
};

struct Event {
    std::shared_ptr<Mark> mark; // NULL: never recorded
    unsigned flags;
};

struct Graph {
    std::vector<Node> nodes;
};

int global_captures;
static std::set<Stream *> streams;

enum Order { EAGER, LAZY, RANDOM };

static Order stream_order()
{
    static const Order order = [] {
        const char *value = getenv("EMU_STREAMS");
        return !value || *value == 'e' ? EAGER : *value == 'l' ? LAZY : RANDOM;
    }();
    return order;
}

static uint64_t random_bits()
{
    static uint64_t x =
        0x9E3779B97F4A7C15ull ^ environment("EMU_SHUFFLE", 0) * 0x2545F4914F6CDD1Dull;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return x >> 11;
}

Stream *legacy_stream()
{
    static std::map<int, Stream> of_device;
    Stream &stream = of_device[current_device];
    stream.device = current_device;
    return &stream;
}

Stream *find_stream(cudaStream_t stream)
{
    static std::map<int, Stream> per_thread;
    if (!stream || stream == cudaStreamLegacy)
        return legacy_stream();
    if (stream != cudaStreamPerThread)
        return (Stream *)stream;
    Stream &own = per_thread[current_device];
    own.device = current_device;
    streams.insert(&own);
    return &own;
}

static void run_next(Stream *stream);

// Runs the stream's work, up to a mark if one is given.
static void drain(Stream *stream, const Mark *until = nullptr)
{
    while (!stream->queue.empty() && !(until && until->done))
        run_next(stream);
}

static void run_next(Stream *stream)
{
    Operation next = std::move(stream->queue.front());
    stream->queue.pop_front();
    if (next.wait && !next.wait->done)
        drain(next.wait->stream, next.wait.get());
    int device = current_device;
    current_device = stream->device;
    if (next.work)
        next.work();
    current_device = device;
}

void drain_device(int device, bool blocking_only)
{
    for (auto *stream : streams)
        if (stream->device == device && !(blocking_only && stream->flags & cudaStreamNonBlocking))
            drain(stream);
}

void run_some_work()
{
    if (stream_order() != RANDOM || streams.empty())
        return;
    for (uint64_t n = random_bits() % 4; n > 0; n--) {
        auto chosen = streams.begin();
        std::advance(chosen, random_bits() % streams.size());
        if (!(*chosen)->queue.empty())
            run_next(*chosen);
    }
}

static Error break_capture(Capture *capture, Error error)
{
    capture->is_broken = true;
    return fail(error);
}

static void add_node(Stream *stream, Work work)
{
    auto &nodes = stream->capture->nodes;
    nodes.push_back({std::move(work), stream->dependencies});
    stream->dependencies = {(int)nodes.size() - 1};
    stream->joined[stream] = ++stream->nodes;
}

Error enqueue(Stream *stream, Work work, bool waits)
{
    if (stream->capture && waits)
        return break_capture(stream->capture, cudaErrorStreamCaptureUnsupported);
    if (stream->capture) {
        add_node(stream, std::move(work));
        return cudaSuccess;
    }
    if (stream == legacy_stream()) {
        REJECT(global_captures, cudaErrorStreamCaptureImplicit);
        drain_device(stream->device, true);
        work();
        return fail(sticky_error());
    }
    if (stream_order() == EAGER) {
        work();
        return fail(sticky_error());
    }
    stream->queue.push_back({std::move(work), nullptr});
    if (!waits)
        return cudaSuccess;
    drain(stream);
    return fail(sticky_error());
}

API Error cudaStreamCreateWithPriority(cudaStream_t *out, unsigned flags, int priority)
{
    ENTER;
    auto *stream = new Stream;
    stream->device = current_device;
    stream->flags = flags;
    stream->priority = priority;
    streams.insert(stream);
    *out = (cudaStream_t)stream;
    return cudaSuccess;
}

API Error cudaStreamCreateWithFlags(cudaStream_t *out, unsigned flags)
{
    return cudaStreamCreateWithPriority(out, flags, 0);
}

API Error cudaStreamCreate(cudaStream_t *out)
{
    return cudaStreamCreateWithPriority(out, 0, 0);
}

API Error cudaStreamDestroy(cudaStream_t handle)
{
    ENTER;
    Stream *stream = find_stream(handle);
    REJECT(!streams.count(stream), cudaErrorInvalidResourceHandle);
    drain(stream);
    streams.erase(stream);
    delete stream;
    return cudaSuccess;
}

API Error cudaStreamSynchronize(cudaStream_t handle)
{
    ENTER;
    Stream *stream = find_stream(handle);
    if (stream->capture)
        return break_capture(stream->capture, cudaErrorStreamCaptureUnsupported);
    if (stream == legacy_stream())
        drain_device(current_device, true);
    drain(stream);
    return fail(sticky_error());
}

// A step at a time, so that a caller who polls sees work in flight.
API Error cudaStreamQuery(cudaStream_t handle)
{
    ENTER;
    Stream *stream = find_stream(handle);
    if (stream->queue.empty())
        return cudaSuccess;
    run_next(stream);
    return stream->queue.empty() ? cudaSuccess : cudaErrorNotReady;
}

API Error cudaStreamGetFlags(cudaStream_t handle, unsigned *flags)
{
    ENTER;
    *flags = find_stream(handle)->flags;
    return cudaSuccess;
}

API Error cudaStreamGetPriority(cudaStream_t handle, int *priority)
{
    ENTER;
    *priority = find_stream(handle)->priority;
    return cudaSuccess;
}

API Error cudaDeviceSynchronize()
{
    ENTER;
    NOT_CAPTURING;
    drain_device(current_device);
    return fail(sticky_error());
}

API Error cudaEventCreateWithFlags(cudaEvent_t *out, unsigned flags)
{
    ENTER;
    *out = (cudaEvent_t) new Event{nullptr, flags};
    return cudaSuccess;
}

API Error cudaEventCreate(cudaEvent_t *out)
{
    return cudaEventCreateWithFlags(out, 0);
}

API Error cudaEventDestroy(cudaEvent_t event)
{
    ENTER;
    delete (Event *)event;
    return cudaSuccess;
}

static void complete(Mark *mark)
{
    mark->done = true;
    clock_gettime(CLOCK_MONOTONIC, &mark->time);
}

API Error cudaEventRecord(cudaEvent_t event, cudaStream_t handle)
{
    ENTER;
    Stream *s = find_stream(handle);
    auto mark = std::make_shared<Mark>(Mark{s, false, {}, s->capture, s->dependencies, s->joined});
    ((Event *)event)->mark = mark;
    if (s->capture)
        return cudaSuccess;
    if (s != legacy_stream())
        return enqueue(s, [mark] { complete(mark.get()); });
    drain_device(s->device, true);
    complete(mark.get());
    return cudaSuccess;
}

API Error cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t stream, unsigned)
{
    return cudaEventRecord(event, stream);
}

// A stream that waits for a captured mark becomes part of the capture.
static Error join_capture(Stream *stream, const Mark &mark)
{
    REJECT(stream->capture && stream->capture != mark.capture, cudaErrorStreamCaptureMerge);
    if (!stream->capture) {
        stream->capture = mark.capture;
        stream->capture->streams.push_back(stream);
        stream->dependencies.clear();
        stream->joined.clear();
        stream->nodes = 0;
    }
    stream->dependencies.insert(stream->dependencies.end(), mark.dependencies.begin(),
                                mark.dependencies.end());
    for (auto &joined : mark.joined)
        stream->joined[joined.first] = std::max(stream->joined[joined.first], joined.second);
    return cudaSuccess;
}

API Error cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event, unsigned)
{
    ENTER;
    Stream *stream = find_stream(handle);
    auto mark = ((Event *)event)->mark;
    if (!mark)
        return cudaSuccess;
    if (mark->capture)
        return join_capture(stream, *mark);
    if (stream->capture)
        return break_capture(stream->capture, cudaErrorStreamCaptureIsolation);
    if (mark->done)
        return cudaSuccess;
    if (stream == legacy_stream())
        drain(mark->stream, mark.get());
    else
        stream->queue.push_back({nullptr, mark});
    return cudaSuccess;
}

static bool is_captured(cudaEvent_t event)
{
    auto &mark = ((Event *)event)->mark;
    return mark && mark->capture;
}

API Error cudaEventSynchronize(cudaEvent_t event)
{
    ENTER;
    auto &mark = ((Event *)event)->mark;
    REJECT(is_captured(event), cudaErrorCapturedEvent);
    if (mark && !mark->done)
        drain(mark->stream, mark.get());
    return fail(sticky_error());
}

API Error cudaEventQuery(cudaEvent_t event)
{
    ENTER;
    auto &mark = ((Event *)event)->mark;
    REJECT(is_captured(event), cudaErrorCapturedEvent);
    if (!mark || mark->done)
        return cudaSuccess;
    run_next(mark->stream);
    return mark->done ? cudaSuccess : cudaErrorNotReady;
}

API Error cudaEventElapsedTime(float *ms, cudaEvent_t start, cudaEvent_t end)
{
    ENTER;
    auto *a = (Event *)start, *b = (Event *)end;
    REJECT(!a->mark || !b->mark || (a->flags | b->flags) & cudaEventDisableTiming,
           cudaErrorInvalidResourceHandle);
    if (!a->mark->done || !b->mark->done)
        return cudaErrorNotReady;
    const timespec &from = a->mark->time, &to = b->mark->time;
    *ms = (float)((to.tv_sec - from.tv_sec) * 1e3 + (to.tv_nsec - from.tv_nsec) * 1e-6);
    return cudaSuccess;
}

API Error cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode)
{
    ENTER;
    Stream *stream = find_stream(handle);
    REJECT(stream == legacy_stream(), cudaErrorStreamCaptureUnsupported);
    REJECT(stream->capture, cudaErrorIllegalState);
    stream->capture = new Capture;
    stream->capture->origin = stream;
    stream->capture->mode = mode;
    stream->capture->streams = {stream};
    stream->dependencies.clear();
    stream->joined.clear();
    stream->nodes = 0;
    global_captures += mode == cudaStreamCaptureModeGlobal;
    return cudaSuccess;
}

API Error cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t *graph)
{
    ENTER;
    Stream *stream = find_stream(handle);
    Capture *capture = stream->capture;
    bool is_joined = true;
    *graph = nullptr;
    REJECT(!capture, cudaErrorIllegalState);
    REJECT(capture->origin != stream, cudaErrorStreamCaptureUnmatched);
    for (auto *s : capture->streams) {
        is_joined &= stream->joined[s] >= s->nodes;
        s->capture = nullptr;
    }
    global_captures -= capture->mode == cudaStreamCaptureModeGlobal;
    Error error = capture->is_broken ? cudaErrorStreamCaptureInvalidated
                  : is_joined        ? cudaSuccess
                                     : cudaErrorStreamCaptureUnjoined;
    if (!error)
        *graph = (cudaGraph_t) new Graph{std::move(capture->nodes)};
    delete capture;
    return fail(error);
}

API Error cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus *status)
{
    ENTER;
    Capture *capture = find_stream(handle)->capture;
    *status = !capture             ? cudaStreamCaptureStatusNone
              : capture->is_broken ? cudaStreamCaptureStatusInvalidated
                                   : cudaStreamCaptureStatusActive;
    return cudaSuccess;
}

API Error cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode *)
{
    return cudaSuccess;
}

API Error cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t graph, unsigned long long)
{
    ENTER;
    REJECT(!graph, cudaErrorInvalidValue);
    *out = (cudaGraphExec_t) new Graph(*(Graph *)graph);
    return cudaSuccess;
}

API Error cudaGraphInstantiateWithFlags(cudaGraphExec_t *out, cudaGraph_t graph,
                                        unsigned long long flags)
{
    return cudaGraphInstantiate(out, graph, flags);
}

API Error cudaGraphExecUpdate(cudaGraphExec_t exec, cudaGraph_t graph,
                              cudaGraphExecUpdateResultInfo *info)
{
    ENTER;
    auto &to = ((Graph *)exec)->nodes, &from = ((Graph *)graph)->nodes;
    bool is_same = to.size() == from.size();
    for (size_t i = 0; is_same && i < to.size(); i++)
        is_same = to[i].dependencies == from[i].dependencies;
    if (info) {
        memset(info, 0, sizeof *info);
        info->result =
            is_same ? cudaGraphExecUpdateSuccess : cudaGraphExecUpdateErrorTopologyChanged;
    }
    REJECT(!is_same, cudaErrorGraphExecUpdateFailure);
    to = from;
    return cudaSuccess;
}

API Error cudaGraphUpload(cudaGraphExec_t, cudaStream_t)
{
    return cudaSuccess;
}

API Error cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t *, size_t *count)
{
    ENTER;
    *count = ((Graph *)graph)->nodes.size();
    return cudaSuccess;
}

API Error cudaGraphDestroy(cudaGraph_t graph)
{
    ENTER;
    delete (Graph *)graph;
    return cudaSuccess;
}

API Error cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    ENTER;
    delete (Graph *)exec;
    return cudaSuccess;
}

// Unfinished nodes whose dependencies are finished.
static std::vector<int> ready_nodes(const std::vector<Node> &nodes, const std::vector<char> &done)
{
    std::vector<int> ready;
    for (size_t i = 0; i < nodes.size(); i++) {
        bool is_ready = !done[i];
        for (int d : nodes[i].dependencies)
            is_ready &= done[d];
        if (is_ready)
            ready.push_back((int)i);
    }
    return ready;
}

// In the captured order, or in another one that the dependencies allow.
static void run_graph(const std::vector<Node> &nodes)
{
    std::vector<char> done(nodes.size());
    for (size_t n = 0; n < nodes.size(); n++) {
        int next = (int)n;
        if (stream_order() != EAGER) {
            std::vector<int> ready = ready_nodes(nodes, done);
            next = stream_order() == LAZY ? ready.back() : ready[random_bits() % ready.size()];
        }
        nodes[next].work();
        done[next] = 1;
    }
}

API Error cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t handle)
{
    ENTER;
    Stream *stream = find_stream(handle);
    REJECT(stream->capture, cudaErrorNotSupported);
    auto graph = std::make_shared<Graph>(*(Graph *)exec);
    return enqueue(stream, [graph] { run_graph(graph->nodes); });
}
