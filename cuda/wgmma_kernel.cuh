#ifndef RESR_CUDA_WGMMA_KERNEL_CUH
#define RESR_CUDA_WGMMA_KERNEL_CUH

/* The kernel of conv_wgmma.cu, which says how it works. */

#include "conv.cuh"
#include "epilogue.cuh"
#include "gpu_hopper.cuh"

namespace
{

enum {
    GROUPS = 2,                   /* warpgroups that multiply */
    THREADS = GROUPS * 128 + 128, /* the last warpgroup feeds: a warp for each of the others */
    FEEDER_REGISTERS = 40,
    GROUP_REGISTERS = 232,
    SLICE = 32,   /* input channels of a stage */
    STRIP_X = 64, /* pixels of a product */
    BOX_X = 8,    /* pixels of the smallest copy */
    STAGE_X = STRIP_X + BOX_X,
    STAGE_BYTES = STAGE_X * SLICE * 2, /* 9 periods of the 64-byte swizzle (512) */
    STAGES_MAX = 8,
    BARRIER_BYTES = 512,
    SHARED_BYTES = 232448, /* of a block, on compute capability 9.0 */
    BOXES = 4,
};

/* A pass of a kernel: `OUTPUTS` outputs of each input row, or, where the input is enlarged, of
 * every second column of two rows. Weights in shared memory: [slice][tap column][8 channels][tap
 * rows x outputs][16 bytes]. */
template <int OUTPUTS, bool UP> struct Shape {
    static constexpr int outputs = OUTPUTS;
    static constexpr bool up = UP;
    static constexpr int rows = UP ? 2 : 1;    /* of outputs, finished by an input row */
    static constexpr int slots = UP ? 4 : 3;   /* output rows that an input row adds to */
    static constexpr int turns = UP ? 2 : 3;   /* of the slots until they are as they were */
    static constexpr int columns = UP ? 2 : 3; /* of taps */
    static constexpr int stored = slots + 2;   /* tap rows in shared memory, the first two twice */
    static constexpr int row_sums = OUTPUTS / 2; /* of a thread, of an output row */
    static constexpr int piece = OUTPUTS * 16;   /* bytes: 8 channels of one tap */
    static constexpr int lead = stored * piece;
    static constexpr int column_bytes = SLICE / 8 * lead;
    static constexpr int slice_bytes = columns * column_bytes;
    static constexpr bool early = OUTPUTS == 32 && !UP; /* registers for loads ahead of a row */
    static constexpr bool smooth = OUTPUTS == 64;       /* SiLU and the gate */
};

struct Job {
    CUtensorMap boxes[BOXES]; /* of 8, 16, 32, 64 pixels */
    ConvCall call;
    int in_height, in_width, tile_columns, strips, segments, stages, passes;
};

#if !defined(__CUDA_ARCH__) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define HOPPER 1
#define KERNEL_THREADS THREADS
#else
#define KERNEL_THREADS 32
#endif

#ifdef HOPPER
/* A warpgroup's unit of work: the outputs of a strip's rows first..end-1, from input rows
 * in..in_end-1. */
struct Item {
    int column, first, end, in, in_end;
};

__device__ __forceinline__ Item find_item(const Job &job, int index)
{
    int segment = index / job.strips, height = job.in_height;
    Item item;
    item.column = (index - segment * job.strips) * STRIP_X;
    item.first = height * segment / job.segments;
    item.end = height * (segment + 1) / job.segments;
    item.in = item.first ? item.first - 1 : 0;
    item.in_end = item.end < height ? item.end + 1 : height;
    return item;
}

/* A ring of stages: its place in shared memory, and how far one side has come in it. */
struct Ring {
    uint32_t data, full, empty;
    int stage, stages;
    uint32_t parity;

    __device__ __forceinline__ void next()
    {
        if (++stage == stages) {
            stage = 0;
            parity ^= 1;
        }
    }
};

/* [ring of group 0][of group 1][weights][barriers: weights, then full and empty of each group]. */
__device__ __forceinline__ Ring make_ring(uint32_t shared, uint32_t barriers, int group, int stages)
{
    Ring ring;
    ring.data = shared + group * stages * STAGE_BYTES;
    ring.full = barriers + 8 + group * STAGES_MAX * 16;
    ring.empty = ring.full + STAGES_MAX * 8;
    ring.stage = 0;
    ring.stages = stages;
    ring.parity = 0;
    return ring;
}

/* The boxes of a strip's row: each begins in one tile and ends before the next. */
template <bool SWIZZLED>
__device__ __forceinline__ void copy_row(const Job &job, uint32_t to, uint32_t barrier, int tile,
                                         int x, int y, int slice)
{
    for (int left = STAGE_X / BOX_X; left > 0;) {
        int fit = (job.tile_columns - x) / BOX_X, box = 31 - __clz(left < fit ? left : fit);
        box = box < BOXES - 1 ? box : BOXES - 1;
        const CUtensorMap *map = &job.boxes[box];
        if constexpr (SWIZZLED) {
            gpu_tensor_copy(to, map, slice * SLICE, x - 1, y, tile, barrier);
            to += (BOX_X << box) * SLICE * 2;
        } else {
            for (int k8 = 0; k8 < SLICE / 8; k8++)
                gpu_tensor_copy(to + k8 * STAGE_X * 16, map, 0, slice * (SLICE / 8) + k8, x - 1, y,
                                tile, barrier);
            to += (BOX_X << box) * 16;
        }
        left -= 1 << box;
        x += BOX_X << box;
        if (x == job.tile_columns) {
            x = 0;
            tile++;
        }
    }
}

/* One thread: keeps a ring full. */
template <bool SWIZZLED>
__device__ __forceinline__ void feed(const Job &job, Ring ring, int worker, int workers)
{
    int slices = job.call.cin / SLICE;
    for (int index = worker; index < job.strips * job.segments; index += workers) {
        Item item = find_item(job, index);
        int tile = item.column / job.tile_columns, x = item.column - tile * job.tile_columns;
        for (int y = item.in; y < item.in_end; y++)
            for (int slice = 0; slice < slices; slice++) {
                gpu_barrier_wait(ring.empty + ring.stage * 8, ring.parity ^ 1);
                gpu_barrier_expect(ring.full + ring.stage * 8, STAGE_BYTES);
                copy_row<SWIZZLED>(job, ring.data + ring.stage * STAGE_BYTES,
                                   ring.full + ring.stage * 8, tile, x, y, slice);
                ring.next();
            }
    }
}

/* A warp: the weights of this block's pass, once; the first two tap rows again behind the last. */
template <class S>
__device__ __forceinline__ void feed_weights(const Job &job, uint32_t to, uint32_t barrier,
                                             int pass)
{
    int pieces = job.call.cin / 8 * S::columns, lane = threadIdx.x & 31;
    const char *from = static_cast<const char *>(job.call.weights) +
                       static_cast<size_t>(pass) * pieces * S::slots * S::piece;
    if (lane == 0)
        gpu_barrier_expect(barrier, pieces * S::lead);
    __syncwarp();
    for (int i = lane; i < pieces; i += 32) {
        const char *taps = from + i * S::slots * S::piece;
        gpu_bulk_copy(to + i * S::lead, taps, S::slots * S::piece, barrier);
        gpu_bulk_copy(to + i * S::lead + S::slots * S::piece, taps, 2 * S::piece, barrier);
    }
}

/* From a pixel of a stage to its neighbour, bytes. */
template <bool SWIZZLED> __device__ __forceinline__ constexpr int pixel_shift()
{
    return SWIZZLED ? SLICE * 2 : 16;
}

/* A stage's products: the tap columns x 2 x 16 channels. */
template <class S, bool SWIZZLED>
__device__ __forceinline__ void multiply(float (&sums)[S::slots * S::row_sums], uint32_t pixels,
                                         uint32_t weights)
{
    constexpr int shift = pixel_shift<SWIZZLED>() >> 4;
    constexpr int deeper = (SWIZZLED ? 32 : 2 * STAGE_X * 16) >> 4;
    uint64_t a = SWIZZLED ? gpu_operand(pixels, 16, 8 * SLICE * 2, GPU_SWIZZLE_64)
                          : gpu_operand(pixels, STAGE_X * 16, 128, GPU_PLAIN);
    uint64_t b = gpu_operand(weights, S::lead, 128, GPU_PLAIN);
    gpu_pin(sums);
    gpu_wgmma_fence();
#pragma unroll
    for (int dx = 0; dx < S::columns; dx++)
#pragma unroll
        for (int k = 0; k < SLICE / 16; k++)
            gpu_wgmma(sums, a + dx * shift + k * deeper,
                      b + ((dx * S::column_bytes + k * 2 * S::lead) >> 4));
    gpu_wgmma_commit();
}

/* Where a thread's two pixels of a strip lie, and whether they are pixels of a tile. */
struct Place {
    size_t px[2];
    bool real[2];
};

template <class S>
__device__ __forceinline__ Place find_place(const Job &job, int column, int phase)
{
    Place place;
    int row = (threadIdx.x & 127) / 32 * 16 + (threadIdx.x & 31) / 4;
#pragma unroll
    for (int h = 0; h < 2; h++) {
        int at = column + row + h * 8, tile = at / job.tile_columns,
            x = at - tile * job.tile_columns;
        place.real[h] = x < job.in_width && tile < job.call.tiles;
        place.px[h] =
            static_cast<size_t>(tile) * job.call.height * job.call.width + x * S::rows + phase;
    }
    return place;
}

/* Bias and slope of a lane's channels, the same for every pixel; used where S::early. */
template <class S> struct Constants {
    float4 bias[S::early ? 2 : 1], slope[S::early ? 2 : 1];
};

template <class S>
__device__ __forceinline__ Constants<S> load_constants(const ConvCall &call, int first)
{
    Constants<S> c;
#pragma unroll
    for (int q = 0; q < (S::early ? 2 : 0); q++) {
        c.bias[q] = load4(call.bias + first + q * 4);
        c.slope[q] = load_slope(call, first + q * 4);
    }
    return c;
}

/* Residuals of the next finished row, loaded while its products run; used where S::early. */
template <class S> struct Ahead {
    float4 trunk[S::early ? 4 : 1], base[S::early ? 4 : 1];
};

/* Of the lane's quad `k` of four (two pixels x two quads): from registers if S::early. */
template <class S> struct Operands : EpilogueOperands {
    const Constants<S> &constants;
    const Ahead<S> &ahead;
    int k;

    __device__ __forceinline__ Operands(const ConvCall &call, size_t px, int channel,
                                        const Constants<S> &c, const Ahead<S> &a, int quad)
        : EpilogueOperands{call, px * EPILOGUE_PITCH + channel, channel}, constants(c), ahead(a),
          k(quad)
    {
    }
    __device__ __forceinline__ float4 bias() const
    {
        return S::early ? constants.bias[k % 2] : EpilogueOperands::bias();
    }
    __device__ __forceinline__ float4 slope() const
    {
        return S::early ? constants.slope[k % 2] : EpilogueOperands::slope();
    }
    __device__ __forceinline__ float4 trunk() const
    {
        return S::early ? ahead.trunk[k] : EpilogueOperands::trunk();
    }
    __device__ __forceinline__ float4 base() const
    {
        return S::early ? ahead.base[k] : EpilogueOperands::base();
    }
};

/* A finished row: a lane has `outputs / 4` neighbouring channels of two pixels. */
template <class S>
__device__ __forceinline__ void store_row(const ConvCall &call, const Place &place, int y,
                                          int first, const float *done, const Constants<S> &c,
                                          const Ahead<S> &ahead)
{
#pragma unroll
    for (int h = 0; h < 2; h++) {
        if (!place.real[h])
            continue;
        size_t px = place.px[h] + static_cast<size_t>(y) * call.width;
        __half *to = static_cast<__half *>(call.out) + px * call.out_pitch + call.out_channel;
#pragma unroll
        for (int j = 0; j < S::outputs / 8; j += 4) {
            const float *v = done + j * 4 + h * 2;
            int channel = first + j * 2;
            uint2 low =
                epilogue<__half, S::smooth>(call, make_float4(v[0], v[1], v[4], v[5]), px, channel,
                                            Operands<S>(call, px, channel, c, ahead, h * 2));
            uint2 high = epilogue<__half, S::smooth>(
                call, make_float4(v[8], v[9], v[12], v[13]), px, channel + 4,
                Operands<S>(call, px, channel + 4, c, ahead, h * 2 + 1));
            if (call.out)
                *reinterpret_cast<uint4 *>(to + channel) = make_uint4(low.x, low.y, high.x, high.y);
        }
    }
}

template <class S> using Done = float[S::rows * S::row_sums];

/* Loads the residuals of output row y if the row belongs to the item. */
template <class S>
__device__ __forceinline__ void load_ahead(Ahead<S> &ahead, const ConvCall &call,
                                           const Place &place, const Item &item, int y, int first)
{
    if constexpr (S::early) {
        if (!call.trunk_in || y < item.first || y >= item.end)
            return;
#pragma unroll
        for (int k = 0; k < 4; k++)
            if (place.real[k / 2]) {
                size_t at = (place.px[k / 2] + static_cast<size_t>(y) * call.width) * 64 + first +
                            k % 2 * 4;
                ahead.trunk[k] = load4(call.trunk_in + at);
                if (call.base)
                    ahead.base[k] = load4(call.base + at);
            }
    }
}

/* The finished rows from y on, as far as they are the item's. */
template <class S>
__device__ __forceinline__ void store_rows(const ConvCall &call, const Place &place,
                                           const Item &item, int y, int first, const Done<S> &done,
                                           const Constants<S> &c, const Ahead<S> &ahead)
{
#pragma unroll
    for (int i = 0; i < S::rows; i++)
        if (y + i >= S::rows * item.first && y + i < S::rows * item.end)
            store_row<S>(call, place, y + i, first, done + i * S::row_sums, c, ahead);
}

/* Takes a slot of the sums out and leaves zeros. */
template <class S, int SLOT>
__device__ __forceinline__ void take_slot(float *done, float (&sums)[S::slots * S::row_sums])
{
#pragma unroll
    for (int i = 0; i < S::row_sums; i++) {
        done[i] = sums[SLOT * S::row_sums + i];
        sums[SLOT * S::row_sums + i] = 0.0f;
    }
}

/* The rows that the input row of this turn finished. */
template <class S>
__device__ __forceinline__ void take(int turn, Done<S> &done, float (&sums)[S::slots * S::row_sums])
{
    if constexpr (S::up) {
        if (turn == 0) {
            take_slot<S, 3>(done, sums);
            take_slot<S, 0>(done + S::row_sums, sums);
        } else {
            take_slot<S, 1>(done, sums);
            take_slot<S, 2>(done + S::row_sums, sums);
        }
    } else {
        if (turn == 0)
            take_slot<S, 2>(done, sums);
        else if (turn == 1)
            take_slot<S, 0>(done, sums);
        else
            take_slot<S, 1>(done, sums);
    }
}

/* A warpgroup's part of an item; `shift`: bytes to the first pixel of the first tap column.
 *
 * Output row y has slot (y - in) % 3, where the input is enlarged (y - 2 * in) % 4. Input row r
 * adds to rows r-1..r+1 (2r-1..2r+2) and finishes the first of them (the first two); the turn,
 * (r - in) % turns, says which slots those are. They are stored while the next row's products
 * run. */
template <class S, bool SWIZZLED>
__device__ __forceinline__ void compute_item(const Job &job, const Item &item, const Place &place,
                                             Ring &ring, uint32_t shift, uint32_t weights,
                                             int first, const Constants<S> &c)
{
    Ahead<S> ahead = {};
    int slices = job.call.cin / SLICE, turn = 0;
    bool leader = (threadIdx.x & 31) == 0;
    float sums[S::slots * S::row_sums];
    Done<S> done;
#pragma unroll
    for (int i = 0; i < S::slots * S::row_sums; i++)
        sums[i] = 0.0f;

    for (int y = item.in; y < item.in_end; y++) {
        uint32_t b = weights + (S::up ? 2 * turn : (turn ? 3 - turn : 0)) * S::piece;
        uint32_t before = 0;
        for (int slice = 0; slice < slices; slice++) {
            gpu_barrier_wait(ring.full + ring.stage * 8, ring.parity);
            multiply<S, SWIZZLED>(sums, ring.data + ring.stage * STAGE_BYTES + shift,
                                  b + slice * S::slice_bytes);
            if (slice == 0) {
                if (y > item.in)
                    store_rows<S>(job.call, place, item, S::rows * (y - 1) - 1, first, done, c,
                                  ahead);
                load_ahead<S>(ahead, job.call, place, item, y - 1, first);
            }
            gpu_wgmma_wait<1>();
            gpu_pin(sums);
            if (slice && leader)
                gpu_barrier_arrive(before);
            before = ring.empty + ring.stage * 8;
            ring.next();
        }
        gpu_wgmma_wait<0>();
        gpu_pin(sums);
        if (leader)
            gpu_barrier_arrive(before);
        take<S>(turn, done, sums);
        turn = turn == S::turns - 1 ? 0 : turn + 1;
    }
    store_rows<S>(job.call, place, item, S::rows * (item.in_end - 1) - 1, first, done, c, ahead);
    load_ahead<S>(ahead, job.call, place, item, item.in_end - 1, first);
    take<S>(turn, done, sums); /* the tile's last row has no row below it */
    store_rows<S>(job.call, place, item, S::rows * item.in_end - 1, first, done, c, ahead);
}
#endif

/* Empty for every architecture but sm_90a. KERNEL_THREADS distinguishes both: an empty kernel
 * cannot run a block of THREADS, and conv_wgmma.cu checks this before it offers the variant. */
template <class S, bool SWIZZLED>
__global__ void __launch_bounds__(KERNEL_THREADS, 1)
    conv_wgmma_kernel(const __grid_constant__ Job job)
{
#ifdef HOPPER
    extern __shared__ __align__(1024) unsigned char shared[];
    uint32_t base = gpu_shared_address(shared);
    uint32_t weights = base + GROUPS * job.stages * STAGE_BYTES;
    uint32_t barriers = weights + job.call.cin / SLICE * S::slice_bytes;
    int warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
    int group = warp < GROUPS * 4 ? warp >> 2 : warp - GROUPS * 4;
    int pass = blockIdx.x % job.passes, half = S::up ? pass >> 1 : pass;
    int phase = S::up ? pass & 1 : 0; /* odd columns begin one pixel further right */
    int worker = blockIdx.x / job.passes * GROUPS + group;
    int workers = gridDim.x / job.passes * GROUPS;
    Ring ring = make_ring(base, barriers, group, job.stages);

    if (threadIdx.x == 0) {
        gpu_barrier_init(barriers, 1);
        for (int i = 0; i < GROUPS * job.stages; i++) {
            Ring all = make_ring(base, barriers, i / job.stages, job.stages);
            gpu_barrier_init(all.full + i % job.stages * 8, 1);
            gpu_barrier_init(all.empty + i % job.stages * 8, 4);
        }
        gpu_barrier_publish();
    }
    __syncthreads();

    if (warp >= GROUPS * 4) {
        gpu_registers_down<FEEDER_REGISTERS>();
        if (group == 0)
            feed_weights<S>(job, weights, barriers, pass);
        if (group < GROUPS && lane == 0)
            feed<SWIZZLED>(job, ring, worker, workers);
        return;
    }
    gpu_registers_up<GROUP_REGISTERS>();
    int first = half * S::outputs + lane % 4 * (S::outputs / 4);
    Constants<S> constants = load_constants<S>(job.call, first);
    gpu_barrier_wait(barriers, 0);
    for (int index = worker; index < job.strips * job.segments; index += workers) {
        Item item = find_item(job, index);
        compute_item<S, SWIZZLED>(job, item, find_place<S>(job, item.column, phase), ring,
                                  phase * pixel_shift<SWIZZLED>(), weights, first, constants);
    }
#endif
}

} // namespace

#endif
