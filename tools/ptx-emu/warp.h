// Warp operations: shuffles, votes, reductions, ldmatrix, mma.sync and wmma, computed for all lanes
// at once (fiber.h's warp_op). Fragments lie in the lanes' registers as the PTX ISA says. Sums are
// taken in another order than a tensor core's.
#ifndef PTX_EMU_WARP_H
#define PTX_EMU_WARP_H

#include "arith.h"
#include "fiber.h"

// The argument of each lane in `mask`.
template <class Arg, class Function>
static inline void for_lanes(void **args, unsigned mask, Function function)
{
    for (unsigned lane = 0; lane < emu::WARP_LANES; lane++)
        if (mask >> lane & 1)
            function(lane, *(Arg *)args[lane]);
}

struct ShuffleArg {
    enum Mode { UP, DOWN, BUTTERFLY, INDEX };
    uint32_t value, lane, clamp;
    int mode;
    uint32_t result;
    bool in_range;
};

static void shuffle_lanes(void **args, unsigned mask)
{
    uint32_t values[emu::WARP_LANES] = {0};
    for_lanes<ShuffleArg>(args, mask, [&](int lane, ShuffleArg &arg) { values[lane] = arg.value; });
    for_lanes<ShuffleArg>(args, mask, [&](int lane, ShuffleArg &arg) {
        int segment = arg.clamp >> 8 & 31, operand = arg.lane & 31;
        int last = (lane & segment) | (arg.clamp & 31 & ~segment);
        int source = arg.mode == ShuffleArg::UP          ? lane - operand
                     : arg.mode == ShuffleArg::DOWN      ? lane + operand
                     : arg.mode == ShuffleArg::BUTTERFLY ? lane ^ operand
                                                         : (lane & segment) | (operand & ~segment);
        arg.in_range = arg.mode == ShuffleArg::UP ? source >= last : source <= last;
        if (!arg.in_range)
            source = lane;
        if (!(mask >> source & 1))
            emu::fault("shfl reads a lane outside its mask");
        arg.result = values[source];
    });
}

struct VoteArg {
    bool predicate;
    uint32_t ballot;
};

static void vote(void **args, unsigned mask)
{
    uint32_t ballot = 0;
    for_lanes<VoteArg>(args, mask,
                       [&](int lane, VoteArg &arg) { ballot |= (uint32_t)arg.predicate << lane; });
    for_lanes<VoteArg>(args, mask, [&](int, VoteArg &arg) { arg.ballot = ballot; });
}

struct ReduceArg {
    enum Operation { ADD, MIN, MAX, AND, OR, XOR };
    uint32_t value, result;
    int operation;
    bool is_signed;
};

static inline uint32_t reduce_pair(const ReduceArg &arg, uint32_t a, uint32_t b)
{
    bool less = arg.is_signed ? (int32_t)a < (int32_t)b : a < b;
    switch (arg.operation) {
    case ReduceArg::ADD:
        return a + b;
    case ReduceArg::MIN:
        return less ? a : b;
    case ReduceArg::MAX:
        return less ? b : a;
    case ReduceArg::AND:
        return a & b;
    case ReduceArg::OR:
        return a | b;
    default:
        return a ^ b;
    }
}

static void reduce(void **args, unsigned mask)
{
    bool is_first = true;
    uint32_t result = 0;
    for_lanes<ReduceArg>(args, mask, [&](int, ReduceArg &arg) {
        result = is_first ? arg.value : reduce_pair(arg, result, arg.value);
        is_first = false;
    });
    for_lanes<ReduceArg>(args, mask, [&](int, ReduceArg &arg) { arg.result = result; });
}

struct ElectArg {
    uint32_t lane;
    bool is_elected;
};

static void elect(void **args, unsigned mask)
{
    uint32_t leader = __builtin_ctz(mask);
    for_lanes<ElectArg>(args, mask, [&](uint32_t lane, ElectArg &arg) {
        arg = {leader, lane == leader};
    });
}

struct MatrixRow {
    uint32_t *registers;
    const void *row; // of 8 elements of 16 bits
};

// ldmatrix .xN: matrix i's rows come from lanes 8 * i .. 8 * i + 7.
template <int N, bool TRANSPOSED> static void load_matrix(void **args, unsigned)
{
    uint16_t matrix[N][8][8];
    for (int i = 0; i < N * 8; i++) {
        const void *row = ((MatrixRow *)args[i])->row;
        if ((uintptr_t)row & 15)
            emu::fault("ldmatrix: row address not 16-byte aligned");
        memcpy(matrix[i / 8][i % 8], row, 16);
    }
    for_lanes<MatrixRow>(args, ~0u, [&](int lane, MatrixRow &arg) {
        int r = lane / 4, c = lane % 4 * 2;
        for (int i = 0; i < N; i++) {
            uint16_t low = TRANSPOSED ? matrix[i][c][r] : matrix[i][r][c];
            uint16_t high = TRANSPOSED ? matrix[i][c + 1][r] : matrix[i][r][c + 1];
            arg.registers[i] = low | (uint32_t)high << 16;
        }
    });
}

// Types of operands of products.
enum { BF16, FP16, TF32 };

// Element i of a fragment: two to a register, tf32 one.
template <int TYPE> static inline float element(const uint32_t *registers, int i)
{
    if (TYPE == TF32)
        return tf32_to_float(registers[i]);
    uint16_t bits = registers[i / 2] >> (i % 2 * 16);
    return TYPE == FP16 ? half_to_float(bits) : bf16_to_float(bits);
}

struct MmaArg {
    float *d;
    const uint32_t *a, *b;
    const float *c;
};

// mma.sync.m16n8kK
template <int K, int TYPE> static void mma(void **args, unsigned)
{
    float a[16][K], b[K][8], d[16][8];
    emu::context().stats.products++;
    for_lanes<MmaArg>(args, ~0u, [&](int lane, MmaArg &arg) {
        int group = lane / 4, in_group = lane % 4;
        for (int i = 0; i < K / 2; i++) {
            int row = TYPE == TF32 ? i % 2 : i / 2 % 2;
            int column = TYPE == TF32 ? in_group + i / 2 * 4 : in_group * 2 + i % 2 + i / 4 * 8;
            a[group + row * 8][column] = element<TYPE>(arg.a, i);
        }
        for (int i = 0; i < K / 4; i++) {
            int row = TYPE == TF32 ? in_group + i * 4 : in_group * 2 + i % 2 + i / 2 * 8;
            b[row][group] = element<TYPE>(arg.b, i);
        }
    });
    for (int i = 0; i < 16; i++) {
        float sums[8] = {0};
        for (int k = 0; k < K; k++)
            for (int j = 0; j < 8; j++)
                sums[j] += a[i][k] * b[k][j];
        memcpy(d[i], sums, sizeof sums);
    }
    for_lanes<MmaArg>(args, ~0u, [&](int lane, MmaArg &arg) {
        for (int i = 0; i < 4; i++)
            arg.d[i] = arg.c[i] + d[lane / 4 + i / 2 * 8][lane % 4 * 2 + i % 2];
    });
}

static inline void unpack_halves(float *out, uint32_t a, uint32_t b)
{
    out[0] = half_to_float(a);
    out[1] = half_to_float(a >> 16);
    out[2] = half_to_float(b);
    out[3] = half_to_float(b >> 16);
}

// wmma: the layout of a fragment is the implementation's. Here a lane holds ROWS * COLUMNS / 32
// consecutive elements in row-major order, of BYTES bytes each.
template <int ROWS, int COLUMNS, int BYTES, bool COLUMN_MAJOR>
static inline size_t fragment_offset(unsigned lane, int i, unsigned stride)
{
    int at = lane * (ROWS * COLUMNS / 32) + i, row = at / COLUMNS, column = at % COLUMNS;
    return (size_t)(COLUMN_MAJOR ? column * stride + row : row * stride + column) * BYTES;
}

template <int ROWS, int COLUMNS, int BYTES, bool COLUMN_MAJOR>
static void load_fragment(unsigned lane, uint32_t *registers, int count, const char *base,
                          unsigned stride)
{
    memset(registers, 0, count * sizeof *registers);
    for (int i = 0; i < ROWS * COLUMNS / 32; i++) {
        const char *p = base + fragment_offset<ROWS, COLUMNS, BYTES, COLUMN_MAJOR>(lane, i, stride);
        if (BYTES == 4)
            registers[i] = load<uint32_t>(p);
        else
            registers[i / 2] |= (uint32_t)load<uint16_t>(p) << (i % 2 * 16);
    }
}

template <int ROWS, int COLUMNS, int BYTES, bool COLUMN_MAJOR>
static void store_fragment(unsigned lane, const uint32_t *registers, char *base, unsigned stride)
{
    for (int i = 0; i < ROWS * COLUMNS / 32; i++) {
        char *p = base + fragment_offset<ROWS, COLUMNS, BYTES, COLUMN_MAJOR>(lane, i, stride);
        if (BYTES == 4)
            store<uint32_t>(p, registers[i]);
        else
            store<uint16_t>(p, registers[i / 2] >> (i % 2 * 16));
    }
}

struct WmmaArg {
    uint32_t *a, *b, *c, *d;
};

template <int M, int N, int K, int TYPE, bool C_IS_FP32, bool D_IS_FP32>
static void wmma(void **args, unsigned)
{
    constexpr int A_LANE = M * K / 32, B_LANE = K * N / 32, C_LANE = M * N / 32;
    float a[M][K], b[K][N];
    emu::context().stats.products++;
    for (int i = 0; i < M * K; i++)
        a[i / K][i % K] = element<TYPE>(((WmmaArg *)args[i / A_LANE])->a, i % A_LANE);
    for (int i = 0; i < K * N; i++)
        b[i / N][i % N] = element<TYPE>(((WmmaArg *)args[i / B_LANE])->b, i % B_LANE);
    for (int i = 0; i < M * N; i++) {
        const WmmaArg *arg = (WmmaArg *)args[i / C_LANE];
        int at = i % C_LANE;
        float sum = 0;
        for (int k = 0; k < K; k++)
            sum += a[i / N][k] * b[k][i % N];
        sum += C_IS_FP32 ? F(arg->c[at]) : element<FP16>(arg->c, at);
        if (D_IS_FP32)
            arg->d[at] = U(sum);
        else if (at % 2)
            arg->d[at / 2] |= (uint32_t)float_to_half(sum) << 16;
        else
            arg->d[at / 2] = float_to_half(sum);
    }
}

#endif
