// hopper [FAULT]: TMA, mbarriers, wgmma and bulk stores on the emulator.
//
// C[64 x 64] = A[64 x K] * B through a ring of two stages: a fifth warp loads 128-byte swizzled
// boxes of both by TMA, four warps multiply them by wgmma. B is [N][K], then [K][N] (transposed by
// wgmma). Then shared memory is stored four times by bulk copies. Each FAULT is reported by the
// emulator; tests/cuda/emulator.cmake says the message.
#include <cmath>
#include <cstring>
#include <cuda.h>
#include <cuda_bf16.h>

#include "check.cuh"

constexpr int SIZE = 64, K = 320; // of the product
constexpr int K_STEP = 64, STAGES = 2, BOX_BYTES = SIZE * K_STEP * 2, STAGE_BYTES = 2 * BOX_BYTES;
constexpr int CONSUMERS = 128, THREADS = CONSUMERS + 32;
constexpr int ROUNDS = 4, STORED = 256; // of the bulk stores

enum Fault { NONE, NO_FENCE, NO_WAIT, EARLY_READ, NO_BARRIER, NO_PROXY_FENCE, NO_STORE_WAIT };
static const char *const fault_names[] = {
    "none", "no-fence", "no-wait", "early-read", "no-barrier", "no-proxy-fence", "no-store-wait"};

__device__ uint32_t shared_address(const void *p)
{
    return (uint32_t)__cvta_generic_to_shared(p);
}

// Of an operand in rows of 128 bytes with the 128-byte swizzle; offsets in bytes.
__device__ uint64_t descriptor(uint32_t address, uint32_t leading, uint32_t stride)
{
    return (uint64_t)(address >> 4 & 0x3fff) | (uint64_t)(leading >> 4) << 16 |
           (uint64_t)(stride >> 4) << 32 | 1ull << 62;
}

__device__ void init(uint64_t *barrier, uint32_t count)
{
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)),
                 "r"(count));
}

__device__ void arrive(uint64_t *barrier)
{
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier))
                 : "memory");
}

__device__ void expect(uint64_t *barrier, uint32_t bytes)
{
    asm volatile(
        "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)),
        "r"(bytes)
        : "memory");
}

__device__ void wait(uint64_t *barrier, uint32_t parity)
{
    asm volatile("{\n.reg .pred done;\n"
                 "again: mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
                 "@!done bra again;\n}" ::"r"(shared_address(barrier)),
                 "r"(parity)
                 : "memory");
}

__device__ void load_box(void *to, const CUtensorMap *map, int x, int y, uint64_t *barrier)
{
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
                 "[%0], [%1, {%2, %3}], [%4];" ::"r"(shared_address(to)),
                 "l"(map), "r"(x), "r"(y), "r"(shared_address(barrier))
                 : "memory");
}

// clang-format off
template <int TRANSPOSED> __device__ void multiply(float (&d)[32], uint64_t a, uint64_t b)
{
    asm volatile(
        "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 "
        "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"
        "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31}, "
        "%32, %33, 1, 1, 1, 0, %34;\n"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]),
          "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]),
          "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]),
          "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]),
          "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]),
          "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]),
          "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]),
          "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31])
        : "l"(a), "l"(b), "n"(TRANSPOSED));
}
// clang-format on

template <int TRANSPOSED>
__device__ void feed(unsigned char *stages, const CUtensorMap *a, const CUtensorMap *b,
                     uint64_t *full, uint64_t *empty)
{
    for (int i = 0; i < K / K_STEP; i++) {
        int s = i % STAGES;
        unsigned char *stage = stages + s * STAGE_BYTES;
        if (i >= STAGES)
            wait(&empty[s], (i / STAGES - 1) & 1);
        expect(&full[s], STAGE_BYTES);
        load_box(stage, a, i * K_STEP, 0, &full[s]);
        load_box(stage + BOX_BYTES, b, TRANSPOSED ? 0 : i * K_STEP, TRANSPOSED ? i * K_STEP : 0,
                 &full[s]);
    }
}

template <int TRANSPOSED>
__global__ void __launch_bounds__(THREADS)
    product(const __grid_constant__ CUtensorMap a, const __grid_constant__ CUtensorMap b, float *c,
            int fault)
{
    extern __shared__ __align__(1024) unsigned char stages[];
    __shared__ __align__(8) uint64_t full[STAGES], empty[STAGES];
    int t = threadIdx.x;
    for (int i = 0; t == 0 && i < STAGES; i++) {
        init(&full[i], 1);
        init(&empty[i], CONSUMERS);
    }
    __syncthreads();
    if (t >= CONSUMERS) {
        if (t == CONSUMERS)
            feed<TRANSPOSED>(stages, &a, &b, full, empty);
        return;
    }
    float d[32] = {0};
    for (int i = 0; i < K / K_STEP; i++) {
        int s = i % STAGES;
        uint32_t stage_a = shared_address(stages + s * STAGE_BYTES), stage_b = stage_a + BOX_BYTES;
        if (fault != NO_BARRIER)
            wait(&full[s], i / STAGES & 1);
        if (fault != NO_FENCE)
            asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
        for (int k = 0; k < K_STEP / 16; k++)
            multiply<TRANSPOSED>(d, descriptor(stage_a + k * 32, 16, 1024),
                                 TRANSPOSED ? descriptor(stage_b + k * 16 * 128, BOX_BYTES, 1024)
                                            : descriptor(stage_b + k * 32, 16, 1024));
        asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
        if (fault == EARLY_READ)
            asm volatile("wgmma.wait_group.sync.aligned 1;" ::: "memory");
        else if (fault != NO_WAIT)
            asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
        arrive(&empty[s]);
    }
    int row = t / 32 * 16 + t % 32 / 4, column = t % 4 * 2;
    for (int i = 0; i < 32; i++)
        c[(row + i / 2 % 2 * 8) * SIZE + i / 4 * 8 + column + i % 2] = d[i];
    if (fault == EARLY_READ)
        asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
}

// Fills and stores one buffer ROUNDS times.
__global__ void store(float *out, int fault)
{
    __shared__ __align__(128) float buffer[STORED];
    int t = threadIdx.x;
    for (int round = 0; round < ROUNDS; round++) {
        buffer[t] = (float)(round * 1000 + t);
        if (fault != NO_PROXY_FENCE)
            asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
        __syncthreads();
        if (t == 0) {
            asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" ::"l"(
                             out + round * STORED),
                         "r"(shared_address(buffer)), "n"(STORED * 4)
                         : "memory");
            asm volatile("cp.async.bulk.commit_group;");
            if (fault != NO_STORE_WAIT)
                asm volatile("cp.async.bulk.wait_group.read 0;" ::: "memory");
        }
        __syncthreads();
    }
    if (t == 0)
        asm volatile("cp.async.bulk.wait_group 0;" ::: "memory");
}

typedef int (*Encode)(CUtensorMap *, int, uint32_t, void *, const uint64_t *, const uint64_t *,
                      const uint32_t *, const uint32_t *, int, int, int, int);

static CUtensorMap make_map(void *data, uint64_t width, uint64_t height)
{
    static const uint32_t box[2] = {K_STEP, SIZE}, steps[2] = {1, 1};
    const uint64_t size[2] = {width, height}, stride[1] = {width * 2};
    void *function = nullptr;
    CUtensorMap map;
    cudaDriverEntryPointQueryResult result;
    CHECK(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000,
                                           cudaEnableDefault, &result));
    if (!function || ((Encode)function)(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, data, size,
                                        stride, box, steps, 0, CU_TENSOR_MAP_SWIZZLE_128B, 0, 0)) {
        printf("no tensor map\n");
        exit(1);
    }
    return map;
}

static int check_product(bool transposed, int fault)
{
    Random random{transposed ? 8u : 7u};
    std::vector<__nv_bfloat16> a(SIZE * K), b(SIZE * K);
    for (auto *values : {&a, &b})
        for (auto &value : *values)
            value = __float2bfloat16(random.unit());
    DeviceArray<__nv_bfloat16> device_a(a), device_b(b);
    DeviceArray<float> c(SIZE * SIZE);
    CUtensorMap map_a = make_map(device_a.data, K, SIZE);
    CUtensorMap map_b = make_map(device_b.data, transposed ? SIZE : K, transposed ? K : SIZE);
    auto kernel = transposed ? product<1> : product<0>;
    kernel<<<1, THREADS, STAGES * STAGE_BYTES>>>(map_a, map_b, c.data, fault);
    std::vector<float> got = c.download();
    double worst = 0;
    for (int i = 0; i < SIZE; i++)
        for (int j = 0; j < SIZE; j++) {
            double sum = 0;
            for (int k = 0; k < K; k++)
                sum += (double)__bfloat162float(a[i * K + k]) *
                       __bfloat162float(b[transposed ? k * SIZE + j : j * K + k]);
            double error = fabs(sum - got[i * SIZE + j]);
            worst = error <= worst ? worst : error; // NaN too
        }
    printf("wgmma, B %s: error %g\n", transposed ? "transposed" : "as stored", worst);
    return !(worst < 1e-3);
}

static int check_stores(int fault)
{
    DeviceArray<float> out(ROUNDS * STORED);
    store<<<1, STORED>>>(out.data, fault);
    std::vector<float> got = out.download();
    int wrong = 0;
    for (int i = 0; i < ROUNDS * STORED; i++)
        wrong += got[i] != (float)(i / STORED * 1000 + i % STORED);
    printf("bulk stores: %d of %d wrong\n", wrong, ROUNDS * STORED);
    return wrong;
}

int main(int argc, char **argv)
{
    int fault = NONE;
    for (int i = 0; argc > 1 && i <= NO_STORE_WAIT; i++)
        if (strcmp(argv[1], fault_names[i]) == 0)
            fault = i;
    int wrong = check_product(false, fault) + check_product(true, fault) + check_stores(fault);
    return wrong != 0;
}
