/* Single convolutions of every backend with kernels against a plain sum in double: all channel
 * counts of the networks and some that fill vectors partly, all widths and heights 1..40, all
 * operations after a convolution, random and extreme values, guard values around every buffer.
 * Within a numerics class the bits are equal, whole or in pieces.
 *
 * The error limit is epsilon_of() x the largest magnitude that the output's tile reads x the sum of
 * the weights' magnitudes. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "check_net.h"
#include "cpu/backends.h"
#include "cpu/dispatch.h"
#include "cpu/layer.h"
#include "cpu/pack.h"
#include "cpu/packed_net.h"
#include "cpu/winograd.h"

enum { MAX_SIDE = 40, GUARD_FLOATS = 64 };

static const int cins[] = {3, 12, 64, 96, 128, 160, 192, 7, 24};
static const int couts[] = {3, 12, 27, 32, 48, 64, 5};
enum { N_CINS = 9, N_COUTS = 7 };

typedef enum Follow {
    NOTHING,
    LEAKY,
    PRELU,
    RESIDUAL,
    SILU,
    GATE,
    RESIDUAL_TRUNK_COPY,
    COPY,
    SILU_COPY,
    GATE_COPY,
    N_FOLLOWS
} Follow;
typedef enum Values { RANDOM, LARGE, ONE_INFINITE, ONE_NAN, TINY, HUGE_ONES, N_VALUES } Values;

/* All pairs of two parameters' values occur, as covers_all_pairs() checks. */
typedef struct Case {
    int width, height, cin, cout, follow, values, nearest;
    int is_1x1; /* of direct kernels only */
} Case;

static bool has_copy(const Case *c)
{
    return c->follow >= RESIDUAL_TRUNK_COPY;
}

static bool is_silu(const Case *c)
{
    return c->follow == SILU || c->follow == SILU_COPY;
}

static bool is_gate(const Case *c)
{
    return c->follow == GATE || c->follow == GATE_COPY;
}

static Case case_at(int width, int height)
{
    Case c = {.width = width,
              .height = height,
              .cin = (width + height) % N_CINS,
              .cout = (width + 2 * height) % N_COUTS,
              .follow = (width + 2 * height + height / 6) % N_FOLLOWS,
              .values = (5 * width + height / 2 + width / 6) % N_VALUES};
    c.nearest = width % 2 == 0 && height % 2 == 0 && (width / 2 + height / 2) % 2 == 0;
    return c;
}

/* A feature map in memory of its own, with guard values on both sides. */
typedef struct GuardedMap {
    ResrFeatureMap map;
    float *memory;
    size_t floats;
} GuardedMap;

static GuardedMap map_of(int channels, int width, int height, uint64_t seed)
{
    GuardedMap out;
    int blocks = resr_blocks(channels);
    out.floats = resr_feature_map_floats(blocks, width, height);
    assert_int_equal(
        posix_memalign((void **)&out.memory, 64, (out.floats + 2 * GUARD_FLOATS) * sizeof(float)),
        0);
    for (size_t i = 0; i < out.floats + 2 * GUARD_FLOATS; i++)
        out.memory[i] = NAN;
    resr_feature_map_set(&out.map, out.memory + GUARD_FLOATS, blocks, width, height, width, height);
    for (int y = 0; y < height; y++)
        for (int b = 0; b < blocks; b++) {
            float *row = resr_feature_map_row(&out.map, y, b);
            resr_random_fill(row, (size_t)width * RESR_BLOCK_LANES, seed + (uint64_t)(y * 64 + b));
            for (int i = 0; i < width * RESR_BLOCK_LANES; i++) /* lanes without a channel are 0 */
                row[i] = b * RESR_BLOCK_LANES + i % RESR_BLOCK_LANES < channels ? row[i] - 0.5f : 0;
        }
    return out;
}

static float *pixel(const ResrFeatureMap *map, int channel, int y, int x)
{
    return resr_feature_map_row(map, y, channel / RESR_BLOCK_LANES) + x * RESR_BLOCK_LANES +
           channel % RESR_BLOCK_LANES;
}

/* Fails the test unless guards and borders are as map_of() left them. */
static void check_map(const GuardedMap *map, const char *what)
{
    for (size_t i = 0; i < GUARD_FLOATS; i++)
        if (!isnan(map->memory[i]) || !isnan(map->memory[GUARD_FLOATS + map->floats + i]))
            fail_msg("%s: a guard value was written", what);
    for (int y = -1; y <= map->map.height; y++)
        for (int b = 0; b < map->map.blocks; b++) {
            bool inside = y >= 0 && y < map->map.height;
            const float *row = resr_feature_map_row(&map->map, y, b);
            for (int x = -1; x < map->map.width + RESR_FEATURE_MAP_RIGHT; x++)
                for (int c = 0; (x < 0 || x >= map->map.width || !inside) && c < RESR_BLOCK_LANES;
                     c++)
                    if (row[x * RESR_BLOCK_LANES + c] != 0)
                        fail_msg("%s: the border was written at x %d, y %d", what, x, y);
        }
}

static void set_values(const GuardedMap *in, const Case *c, int channels)
{
    static const float one[N_VALUES] = {0, 0, INFINITY, NAN, -0.0f, 3e38f};
    const ResrFeatureMap *map = &in->map;
    for (int ci = 0; ci < channels; ci++)
        for (int y = 0; y < map->height; y++)
            for (int x = 0; x < map->width; x++) {
                if (c->values == LARGE)
                    *pixel(map, ci, y, x) *= 1e15f;
                else if (c->values == TINY)
                    *pixel(map, ci, y, x) *= (x + y) % 3 ? 1e-38f : 1e-44f;
            }
    if (c->values >= ONE_INFINITE)
        *pixel(map, channels / 2, c->height * 3 % map->height, c->width * 5 % map->width) =
            one[c->values];
}

static ResrConv conv_of(const Case *c, float *memory)
{
    ResrConv conv = {.cout = couts[c->cout], .cin = cins[c->cin], .kernel_px = c->is_1x1 ? 1 : 3};
    size_t weights = resr_conv_weights(&conv);
    conv.weight = memory;
    conv.bias = memory + weights;
    resr_random_fill(memory, weights + (size_t)conv.cout, (uint64_t)(c->width * 64 + c->height));
    for (size_t i = 0; i < weights + (size_t)conv.cout; i++)
        memory[i] -= 0.5f;
    if (c->follow == PRELU) {
        conv.slope = conv.bias + conv.cout;
        resr_random_fill(conv.slope, (size_t)conv.cout, 3);
    }
    return conv;
}

/* Inputs of a case, and the expected sums without the operations after the convolution. */
typedef struct Bench {
    Case c;
    ResrConv conv;
    float *weights;
    double *sums, *magnitudes; /* [cout][height][width]; per output channel the sum of |w| */
    GuardedMap in, residual, trunk;
} Bench;

static int source(const Case *c, int position)
{
    return c->nearest ? position >> 1 : position;
}

static void expect_sums(Bench *bench)
{
    const Case *c = &bench->c;
    const ResrConv *conv = &bench->conv;
    int width = c->width, height = c->height;
    int taps = conv->kernel_px * conv->kernel_px, reach = conv->kernel_px / 2;
    for (int co = 0; co < conv->cout; co++) {
        double *sums = bench->sums + (size_t)(co * height * width);
        bench->magnitudes[co] = 0;
        for (int i = 0; i < height * width; i++)
            sums[i] = conv->bias[co];
        for (int ci = 0; ci < conv->cin; ci++)
            for (int tap = 0; tap < taps; tap++) {
                double w = conv->weight[(co * conv->cin + ci) * taps + tap];
                int dy = tap / 3 - reach, dx = tap % 3 - reach;
                bench->magnitudes[co] += fabs(w);
                for (int y = 0; y < height; y++) {
                    const float *row = pixel(&bench->in.map, ci, source(c, y + dy), 0);
                    for (int x = 0; x < width; x++)
                        sums[y * width + x] +=
                            w * (double)row[source(c, x + dx) * RESR_BLOCK_LANES];
                }
            }
    }
}

static Bench bench_create(Case c)
{
    Bench bench = {.c = c};
    size_t cout = (size_t)couts[c.cout], cin = (size_t)cins[c.cin];
    int half = c.nearest ? 2 : 1;
    bench.weights = malloc((cout * cin * 9 + 2 * cout) * sizeof(float));
    bench.sums = malloc(cout * (size_t)(c.width * c.height) * sizeof(double));
    bench.magnitudes = malloc(cout * sizeof(double));
    bench.in = map_of((int)cin, c.width / half, c.height / half, 1);
    bench.residual = map_of((int)cout, c.width, c.height, 1000);
    bench.trunk = map_of((int)cout, c.width, c.height, 2000);
    bench.conv = conv_of(&c, bench.weights);
    set_values(&bench.in, &c, (int)cin);
    expect_sums(&bench);
    return bench;
}

static void bench_free(Bench *bench)
{
    free(bench->weights);
    free(bench->sums);
    free(bench->magnitudes);
    free(bench->in.memory);
    free(bench->residual.memory);
    free(bench->trunk.memory);
}

/* Result of one backend for a case. */
typedef struct Result {
    GuardedMap out, copy;
    int grid_px;
} Result;

static Result compute(const Bench *bench, const ResrConvKernels *kernels, int pieces,
                      const char *what)
{
    const Case *c = &bench->c;
    int groups[] = {bench->conv.cin, 0}, half = c->nearest ? 2 : 1;
    size_t packed_bytes = resr_conv_packed_bytes(&bench->conv, groups, kernels);
    size_t scratch_bytes = 64, aligned = resr_round_up(packed_bytes, 64);
    ResrPackedConv packed;
    void *memory = aligned_alloc(64, aligned);
    memset(memory, 0, aligned);
    resr_conv_pack(&packed, &bench->conv, groups, c->follow == LEAKY, kernels, memory);
    if (kernels->winograd)
        scratch_bytes = resr_winograd_scratch_bytes(kernels->winograd, packed.in_cells);
    char *scratch = aligned_alloc(64, scratch_bytes + 64);
    memset(scratch + scratch_bytes, 0x5a, 64);

    Result result = {map_of(bench->conv.cout, c->width, c->height, 3000),
                     map_of(bench->conv.cout, c->width, c->height, 4000), 0};
    bool adds = c->follow == RESIDUAL || c->follow == RESIDUAL_TRUNK_COPY;
    ResrLayer layer = {
        .conv = &packed,
        .in = &bench->in.map,
        .nearest = c->nearest,
        .out = &result.out.map,
        .residual = adds || is_gate(c) ? &bench->residual.map : NULL,
        .trunk = c->follow == RESIDUAL_TRUNK_COPY ? &bench->trunk.map : NULL,
        .copy = has_copy(c) ? &result.copy.map : NULL,
        .activation = is_silu(c)   ? RESR_ACTIVATION_SILU
                      : is_gate(c) ? RESR_ACTIVATION_GATE
                                   : RESR_ACTIVATION_NONE,
        .factor = adds ? 0.2f : 1.0f,
        .needed = {0, 0, c->width, c->height},
        .scratch = scratch,
        .scratch_bytes = scratch_bytes,
    };
    resr_layer_prepare(&layer);
    result.grid_px = layer.row_px;
    for (int y = 0; y < c->height; y += layer.row_px)
        for (int piece = 0, columns = (c->width + layer.column_px - 1) / layer.column_px;
             piece < pieces; piece++) {
            int x0 = columns * piece / pieces * layer.column_px;
            int x1 = columns * (piece + 1) / pieces * layer.column_px;
            x1 = x1 < c->width ? x1 : c->width;
            if (x0 < x1)
                layer.rows(&layer, 0, y, x0, x1);
        }
    for (int i = 0; i < 64; i++)
        if (scratch[scratch_bytes + (size_t)i] != 0x5a)
            fail_msg("%s: written behind the scratch", what);
    check_map(&bench->in, what);
    check_map(&result.out, what);
    check_map(&result.copy, what);
    assert_int_equal(bench->in.map.width, c->width / half);
    free(memory);
    free(scratch);
    return result;
}

static void free_result(Result *result)
{
    free(result->out.memory);
    free(result->copy.memory);
}

/* Largest relative error that rounding explains. The largest one measured is half to three quarters
 * of it, with 3 input channels; sums of many channels have smaller errors. fp32: 2^-24 times the
 * growth of B^T and A^T; bf16: 2^-9 for data and for weights times this growth, larger for F(4x4).
 */
static double epsilon_of(const ResrConvKernels *kernels)
{
    const ResrWinogradKernels *winograd = kernels->winograd;
    if (!winograd)
        return 2e-7;
    return !winograd->bf16 ? 4e-6 : winograd->outputs == 2 ? 4e-3 : 2.5e-2;
}

/* Largest magnitude that the tile of an output pixel reads; infinite if any is not finite. */
static double footprint(const Bench *bench, int grid, int y, int x)
{
    const Case *c = &bench->c;
    const ResrFeatureMap *map = &bench->in.map;
    double most = 0;
    int y0 = source(c, y / grid * grid - 1), y1 = source(c, y / grid * grid + grid);
    int x0 = source(c, x / grid * grid - 1), x1 = source(c, x / grid * grid + grid);
    for (int in_y = y0 < 0 ? 0 : y0; in_y <= y1 && in_y < map->height; in_y++)
        for (int in_x = x0 < 0 ? 0 : x0; in_x <= x1 && in_x < map->width; in_x++)
            for (int ci = 0; ci < bench->conv.cin; ci++) {
                double value = fabs((double)*pixel(map, ci, in_y, in_x));
                most = !(value <= DBL_MAX) ? INFINITY : value > most ? value : most;
            }
    return most;
}

static double follow(const Bench *bench, int co, int y, int x, double value)
{
    const Case *c = &bench->c;
    if (c->follow == LEAKY)
        return value > 0 ? value : 0.2 * value;
    if (c->follow == PRELU)
        return value > 0 ? value : bench->conv.slope[co] * value;
    if (is_silu(c))
        return value / (1 + exp(-value));
    if (is_gate(c))
        return (value + (double)*pixel(&bench->residual.map, co, y, x)) *
               (1 / (1 + exp(-value)) - 0.5);
    if (c->follow == RESIDUAL || c->follow == RESIDUAL_TRUNK_COPY)
        value = 0.2 * value + (double)*pixel(&bench->residual.map, co, y, x);
    if (c->follow == RESIDUAL_TRUNK_COPY)
        value = 0.2 * value + (double)*pixel(&bench->trunk.map, co, y, x);
    return value;
}

static void check_values(const Bench *bench, const Result *result, double epsilon, const char *what)
{
    const Case *c = &bench->c;
    for (int y = 0; y < c->height; y++)
        for (int x = 0; x < c->width; x++) {
            double most = footprint(bench, result->grid_px, y, x);
            for (int co = 0; co < bench->conv.cout; co++) {
                double sum = bench->sums[(co * c->height + y) * c->width + x];
                double expected = follow(bench, co, y, x, sum);
                double got = *pixel(&result->out.map, co, y, x);
                double limit = 1.1 * epsilon * most * bench->magnitudes[co] + 1e-6 +
                               1e-6 * fabs(expected); /* SiLU's slope is at most 1.1 */
                if (c->values == TINY)                /* denormals may be flushed */
                    limit = 1e-6;
                if (has_copy(c) && /* a copy is a copy */
                    memcmp(pixel(&result->copy.map, co, y, x), pixel(&result->out.map, co, y, x),
                           sizeof(float)) != 0)
                    fail_msg("%s: the copy differs at channel %d, x %d, y %d", what, co, x, y);
                if (!isfinite(expected) && isfinite(got))
                    fail_msg("%s: channel %d, x %d, y %d: %g hides %g", what, co, x, y, got,
                             expected);
                if (most > 1e30)
                    continue; /* an intermediate value may overflow */
                if (!(fabs(got - expected) <= limit))
                    fail_msg("%s: channel %d, x %d, y %d: %.9g instead of %.9g, limit %.2g", what,
                             co, x, y, got, expected, limit);
            }
        }
}

static void check_same(const Bench *bench, const Result *a, const Result *b, const char *what)
{
    for (int co = 0; co < bench->conv.cout; co++)
        for (int y = 0; y < bench->c.height; y++)
            for (int x = 0; x < bench->c.width; x++) {
                float p = *pixel(&a->out.map, co, y, x), q = *pixel(&b->out.map, co, y, x);
                if (memcmp(&p, &q, sizeof p) != 0 && !(isnan(p) && isnan(q)))
                    fail_msg("%s: other bits at channel %d, x %d, y %d: %.9g, %.9g", what, co, x, y,
                             (double)p, (double)q);
            }
}

typedef struct Backend {
    const ResrOps *ops;
    void *packed;
    const ResrConvKernels *kernels;
} Backend;

enum { MAX_BACKENDS = 32 };

/* Lists every set of kernels that can run here: of each backend those for the body of RRDB, and
 * those for SRVGG if they differ. */
static int list_backends(Backend *backends)
{
    int n = 0;
    ResrModel *models[] = {check_model(check_rrdb(4, 1, 8, 4), 1),
                           check_model(check_srvgg(1, 1, 8), 1)};
    const ResrOps *all[MAX_BACKENDS / 2] = {&resr_ops_amx_emulated};
    int count = 1;
    for (int i = 1; resr_cpu_ops(i); i++)
        if (resr_cpu_can_run(resr_cpu_ops(i), ~0u))
            all[count++] = resr_cpu_ops(i);
    for (int m = 0; m < 2; m++)
        for (int i = 0; i < count; i++) {
            Backend *backend = &backends[n];
            backend->ops = all[i];
            assert_int_equal(all[i]->prepare(all[i], &backend->packed, models[m]), 0);
            backend->kernels = ((const ResrPackedNet *)backend->packed)->body;
            bool seen = false;
            for (int k = 0; k < n; k++)
                seen |= backends[k].kernels->winograd == backend->kernels->winograd &&
                        backends[k].kernels->direct == backend->kernels->direct;
            if (seen)
                backend->ops->release(backend->packed);
            else
                n++;
        }
    resr_model_free(models[0]);
    resr_model_free(models[1]);
    return n;
}

static void release_backends(Backend *backends, int n)
{
    for (int i = 0; i < n; i++)
        backends[i].ops->release(backends[i].packed);
}

static void run_case(Case c, const Backend *backends, int n)
{
    Bench bench = bench_create(c);
    Result first = {0};
    ResrNumerics first_numerics = RESR_NUMERICS_COUNT;
    for (int i = 0; i < n; i++) {
        char what[200];
        const ResrOps *ops = backends[i].ops;
        const ResrConvKernels *kernels = backends[i].kernels;
        bool emulated = ops == &resr_ops_amx_emulated;
        if (emulated && (c.width * c.height > 300 || c.values == RANDOM))
            continue; /* slow: a share of the cases */
        snprintf(what, sizeof what,
                 "%s of class %s, %d x %d, %d -> %d channels%s, follow %d, values %d", ops->name,
                 resr_ops_class(ops), c.width, c.height, bench.conv.cin, bench.conv.cout,
                 c.nearest ? ", nearest" : "", c.follow, c.values);
        Result result = compute(&bench, kernels, 1, what);
        check_values(&bench, &result, epsilon_of(kernels), what);
        Result pieces = compute(&bench, kernels, emulated ? 1 : 3, what);
        check_same(&bench, &result, &pieces, what);
        free_result(&pieces);
        if (first_numerics == ops->numerics && first.grid_px == result.grid_px) {
            check_same(&bench, &result, &first, what);
            free_result(&result);
        } else {
            free_result(&first);
            first = result;
            first_numerics = ops->numerics;
        }
    }
    free_result(&first);
    bench_free(&bench);
}

/* 1x1 convolutions, which only direct kernels compute. */
static void points(void **state)
{
    (void)state;
    Backend backends[MAX_BACKENDS], direct[MAX_BACKENDS];
    int n = list_backends(backends), count = 0;
    for (int i = 0; i < n; i++)
        if (backends[i].kernels->direct)
            direct[count++] = backends[i];
    assert_true(count > 0);
    for (int width = 1; width <= MAX_SIDE; width++) {
        Case c = case_at(width, 1 + width * 7 % 20);
        c.nearest = 0;
        c.is_1x1 = 1;
        run_case(c, direct, count);
    }
    release_backends(backends, n);
}

/* SiLU of values from -80 to 80, and of a 1024th of them, by a convolution that copies its input:
 * the sigmoid's error (cpu/sigmoid.h) and two roundings. */
static void silu_is_accurate(void **state)
{
    (void)state;
    Backend backends[MAX_BACKENDS];
    int n = list_backends(backends);
    Case c = {.width = 300, .height = 50, .cin = 1, .cout = 1, .follow = SILU, .is_1x1 = 1};
    Bench bench = bench_create(c);
    int channels = bench.conv.cin, last = channels * c.height * c.width - 1;
    assert_int_equal(channels, bench.conv.cout);
    memset(bench.weights, 0, (size_t)(channels * channels + channels) * sizeof(float));
    for (int ch = 0; ch < channels; ch++)
        bench.conv.weight[ch * channels + ch] = 1;
    for (int i = 0; i < n * 2; i++) {
        const Backend *backend = &backends[i / 2];
        if (!backend->kernels->direct)
            continue;
        for (int k = 0; k <= last; k++)
            *pixel(&bench.in.map, k % channels, k / channels / c.width, k / channels % c.width) =
                (float)(k - last / 2) / (float)last * (i % 2 ? 160.0f : 0.15625f);
        Result result = compute(&bench, backend->kernels, 1, backend->ops->name);
        for (int k = 0; k <= last; k++) {
            int y = k / channels / c.width, x = k / channels % c.width;
            double value = *pixel(&bench.in.map, k % channels, y, x);
            double expected = value / (1 + exp(-value));
            double got = *pixel(&result.out.map, k % channels, y, x);
            if (!(fabs(got - expected) <= 3.1e-7 * fabs(expected)))
                fail_msg("%s: SiLU of %.9g: %.9g instead of %.9g", backend->ops->name, value, got,
                         expected);
        }
        free_result(&result);
    }
    bench_free(&bench);
    release_backends(backends, n);
}

static void all_sizes(void **state)
{
    (void)state;
    Backend backends[MAX_BACKENDS];
    int n = list_backends(backends);
    int every = check_share();
    for (int width = 1; width <= MAX_SIDE; width++)
        for (int height = 1; height <= MAX_SIDE; height++)
            if ((width + height) % every == 0)
                run_case(case_at(width, height), backends, n);
    release_backends(backends, n);
}

/* Rows wider than a strip of tiles. */
static void wide_rows(void **state)
{
    (void)state;
    Backend backends[MAX_BACKENDS];
    int n = list_backends(backends);
    for (int width = 100; width < 520; width += 73) {
        Case c = case_at(width, 5);
        c.cin = 2;
        run_case(c, backends, n);
    }
    release_backends(backends, n);
}

/* Every value of a parameter occurs with every value of every other one; nearest with even sizes
 * only. */
static void covers_all_pairs(void **state)
{
    (void)state;
    enum { PARAMETERS = 7, LEVELS = MAX_SIDE + 1 };
    static const int levels[PARAMETERS] = {41, 41, N_CINS, N_COUTS, N_FOLLOWS, N_VALUES, 2};
    static char seen[PARAMETERS][LEVELS][PARAMETERS][LEVELS];
    for (int width = 1; width <= MAX_SIDE; width++)
        for (int height = 1; height <= MAX_SIDE; height++) {
            Case c = case_at(width, height);
            const int value[PARAMETERS] = {c.width,  c.height, c.cin,    c.cout,
                                           c.follow, c.values, c.nearest};
            for (int a = 0; a < PARAMETERS; a++)
                for (int b = 0; b < PARAMETERS; b++)
                    seen[a][value[a]][b][value[b]] = 1;
        }
    for (int a = 0; a < PARAMETERS; a++)
        for (int b = 0; b < a; b++)
            for (int i = a < 2 ? 1 : 0; i < levels[a]; i++)
                for (int j = b < 2 ? 1 : 0; j < levels[b]; j++)
                    if (!seen[a][i][b][j] && !(a == 6 && i == 1 && b < 2 && j % 2))
                        fail_msg("value %d of parameter %d never meets %d of %d", i, a, j, b);
}

TEST_MAIN(covers_all_pairs, points, silu_is_accurate, all_sizes, wide_rows)
