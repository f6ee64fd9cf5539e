/* test_conv VARIANT [SIZES [SEED]]: a variant's convolution against the definition in double
 * precision, on the device or the emulator: every shape of the networks, every epilogue, SIZES (3)
 * pairs of width and height for each, with guards around every output. test_conv VARIANT row ROW:
 * 41 pairs of a width and a height out of 1..40 and 138, each number once a side, and the shapes in
 * turn; rows 0..40 have every width with every height, and each of them with every shape.
 *
 * The bound. Inputs and weights are fp16 values, so products are exact in fp32. A sum of n = 9 cin
 * products and the bias has n / 8 or more roundings or truncations of at most 2^-23 of the sum of
 * magnitudes: (n / 8 + 8) * 2^-23 * sum(|x w|); the fp16 output adds 2^-11 of the value (and 2^-25,
 * half of the smallest subnormal), one of bf16 2^-8. Variant wgmma sums, where the input is
 * enlarged, the taps that fall on one pixel and rounds again: 2^-11 * sum(|x w|) more (test_wgmma
 * knows those sums). One product left out of 1728 is 20 times that on the average. */

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "conv.cuh"
#include "conv_wgmma.cuh"

#define CHECK(call)                                                                                \
    do {                                                                                           \
        if ((call) != 0) {                                                                         \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #call);                             \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

enum { SKIP = 77, GUARD = 64 }; /* guard: elements before and behind each output */

typedef struct Case {
    const char *name;
    int cin, cout; /* the network's */
    int in_pitch, out_pitch, out_channel;
    int activation, upsample;
    bool trunk, base, add, keep_f32, in_place;
    int centre_from; /* input channels from here on have the centre tap alone */
} Case;

static const Case cases[] = {
    {"x4plus conv_first", 3, 64, 16, 192, 0, CONV_NONE, 0, 0, 0, 0, 1, 0, 0},
    {"x2plus conv_first", 12, 64, 16, 192, 0, CONV_NONE, 0, 0, 0, 0, 1, 0, 0},
    {"conv1", 64, 32, 192, 192, 64, CONV_LEAKY_RELU, 0, 0, 0, 0, 0, 1, 0},
    {"conv2", 96, 32, 192, 192, 96, CONV_LEAKY_RELU, 0, 0, 0, 0, 0, 1, 0},
    {"conv3", 128, 32, 192, 192, 128, CONV_LEAKY_RELU, 0, 0, 0, 0, 0, 1, 0},
    {"conv4", 160, 32, 192, 192, 160, CONV_LEAKY_RELU, 0, 0, 0, 0, 0, 1, 0},
    {"conv5", 192, 64, 192, 192, 0, CONV_NONE, 0, 1, 0, 0, 0, 0, 0},
    {"conv5, last of an RRDB", 192, 64, 192, 192, 0, CONV_NONE, 0, 1, 1, 0, 0, 0, 0},
    {"conv_body", 64, 64, 192, 64, 0, CONV_NONE, 0, 0, 0, 1, 0, 0, 0},
    {"conv_up", 64, 64, 64, 64, 0, CONV_LEAKY_RELU, 1, 0, 0, 0, 0, 0, 0},
    {"conv_last", 64, 3, 64, 0, 0, CONV_NONE, 0, 0, 0, 0, 1, 0, 0},
    {"compact head", 3, 64, 16, 64, 0, CONV_PRELU, 0, 0, 0, 0, 0, 0, 0},
    {"compact body", 64, 64, 64, 64, 0, CONV_PRELU, 0, 0, 0, 0, 0, 0, 0},
    {"compact tail x4", 64, 48, 64, 0, 0, CONV_NONE, 0, 0, 0, 0, 1, 0, 0},
    {"compact tail x3", 64, 27, 64, 0, 0, CONV_NONE, 0, 0, 0, 0, 1, 0, 0},
    {"compact tail x2", 64, 12, 64, 0, 0, CONV_NONE, 0, 0, 0, 0, 1, 0, 0},
    {"conv3 of 96 + 64", 224, 64, 352, 352, 224, CONV_LEAKY_RELU, 0, 0, 0, 0, 0, 1, 0},
    {"conv_up of 32", 32, 32, 32, 32, 0, CONV_LEAKY_RELU, 1, 0, 0, 0, 0, 0, 0},
    {"SPAN head", 3, 64, 16, 256, 64, CONV_NONE, 0, 0, 0, 0, 1, 0, 0},
    {"SPAN c1_r", 64, 64, 64, 256, 128, CONV_SILU, 0, 0, 0, 0, 0, 0, 0},
    {"SPAN c3_r", 64, 64, 64, 256, 0, CONV_GATE, 0, 1, 0, 0, 0, 0, 0},
    {"SPAN conv_cat", 256, 64, 256, 64, 0, CONV_NONE, 0, 0, 0, 0, 0, 0, 64},
};
enum { CASES = sizeof cases / sizeof *cases };

static uint64_t random_state = 1;

static float draw(void) /* in [-1, 1) */
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (float)(random_state >> 40) * 0x1p-23f - 1.0f;
}

static bool bf16; /* the variant's elements; else fp16 */

/* fp16 by the compiler's own type; bf16 by hand, to the nearest, ties to even. */
static uint16_t to_half(float value)
{
    _Float16 half = (_Float16)value;
    uint16_t bits;
    if (bf16) {
        uint32_t wide;
        memcpy(&wide, &value, 4);
        return (uint16_t)((wide + 0x7fff + (wide >> 16 & 1)) >> 16);
    }
    memcpy(&bits, &half, 2);
    return bits;
}

static float from_half(uint16_t bits)
{
    _Float16 half;
    if (bf16) {
        uint32_t wide = (uint32_t)bits << 16;
        float value;
        memcpy(&value, &wide, 4);
        return value;
    }
    memcpy(&half, &bits, 2);
    return (float)half;
}

static int round_up(int value, int step)
{
    return (value + step - 1) / step * step;
}

static void *on_device(const void *from, size_t bytes)
{
    void *to;
    CHECK(cudaMalloc(&to, bytes));
    CHECK(cudaMemcpy(to, from, bytes, cudaMemcpyHostToDevice));
    return to;
}

static float *random_floats(size_t n, float scale)
{
    float *values = malloc(n * sizeof *values);
    for (size_t i = 0; i < n; i++)
        values[i] = draw() * scale;
    return values;
}

/* Everything of one case, on the host. */
typedef struct Data {
    const Case *c;
    int tiles, height, width, padded_cin, padded_cout;
    size_t px, in_px;
    uint16_t *in, *out;
    float *weights, *bias, *slope, *trunk, *base, *add, *f32, *trunk_out;
    int f32_pitch;
    double weights_rounding; /* relative, of weights that the variant rounds again */
} Data;

static Data make_data(const Case *c, int tiles, int height, int width)
{
    Data d = {
        .c = c, .tiles = tiles, .height = height << c->upsample, .width = width << c->upsample};
    d.padded_cin = round_up(c->cin, 16);
    d.padded_cout = round_up(c->cout, 16);
    d.f32_pitch = round_up(c->cout, 4) + (c->out_pitch ? 0 : 4);
    if (c->out_pitch)
        d.f32_pitch = 64;
    d.in_px = (size_t)tiles * (size_t)(height * width);
    d.px = d.in_px << (2 * c->upsample);
    size_t in_halves = d.in_px * (size_t)c->in_pitch + 2 * GUARD;
    d.in = malloc(in_halves * 2);
    for (size_t i = 0; i < in_halves; i++)
        d.in[i] = to_half(draw());
    size_t weights = (size_t)c->cout * (size_t)c->cin * 9;
    d.weights = random_floats(weights, sqrtf(3.0f / (9.0f * (float)c->cin)));
    for (size_t i = 0; i < weights; i++) {
        bool absent = c->centre_from && (int)(i / 9) % c->cin >= c->centre_from && i % 9 != 4;
        d.weights[i] = absent ? 0 : from_half(to_half(d.weights[i]));
    }
    d.bias = random_floats((size_t)d.padded_cout, 0.5f);
    d.slope = random_floats((size_t)d.padded_cout, 0.5f);
    size_t wide = d.px * 64 + 2 * GUARD;
    d.trunk = random_floats(wide, 1);
    d.base = random_floats(wide, 1);
    d.add = random_floats(wide, 1);
    d.trunk_out = random_floats(wide, 1);
    size_t out_halves = d.px * (size_t)(c->out_pitch ? c->out_pitch : 8) + 2 * GUARD;
    d.out = malloc(out_halves * 2);
    for (size_t i = 0; i < out_halves; i++)
        d.out[i] = to_half(draw());
    d.f32 = random_floats(d.px * (size_t)d.f32_pitch + 2 * GUARD, 1);
    return d;
}

static void free_data(Data *d)
{
    free(d->in);
    free(d->out);
    free(d->weights);
    free(d->bias);
    free(d->slope);
    free(d->trunk);
    free(d->base);
    free(d->add);
    free(d->f32);
    free(d->trunk_out);
}

/* The definition at one pixel and output; *magnitude: the sum of |x w| and of the addends. */
static double expected_at(const Data *d, size_t px, int co, double *magnitude)
{
    const Case *c = d->c;
    int x = (int)(px % (size_t)d->width), y = (int)(px / (size_t)d->width % (size_t)d->height);
    size_t tile = px / ((size_t)d->width * (size_t)d->height);
    int in_width = d->width >> c->upsample, in_height = d->height >> c->upsample;
    double v = d->bias[co], sum = fabs(v);
    for (int tap = 0; tap < 9; tap++) {
        int ty = y + tap / 3 - 1, tx = x + tap % 3 - 1;
        if (tx < 0 || ty < 0 || tx >= d->width || ty >= d->height)
            continue;
        size_t from = (tile * (size_t)in_height + (size_t)(ty >> c->upsample)) * (size_t)in_width +
                      (size_t)(tx >> c->upsample);
        for (int ci = 0; ci < c->cin; ci++) {
            double product =
                (double)from_half(d->in[GUARD + from * (size_t)c->in_pitch + (size_t)ci]) *
                (double)d->weights[(co * c->cin + ci) * 9 + tap];
            v += product;
            sum += fabs(product);
        }
    }
    size_t at = GUARD + px * 64 + (size_t)co;
    if (c->activation >= CONV_SILU) { /* the sums' error by the largest slope */
        double r = c->trunk ? d->trunk[at] : 0, less = c->trunk ? 0.5 : 0;
        *magnitude = sum * (c->trunk ? 0.5 + fabs(v + r) / 4 : 1.1) + fabs(v + r);
        return (v + r) * (1 / (1 + exp(-v)) - less);
    }
    if (c->activation != CONV_NONE && v < 0)
        v *= c->activation == CONV_PRELU ? (double)d->slope[co] : (double)0.2f;
    if (c->trunk)
        v = (double)0.2f * v + d->trunk[at];
    if (c->base)
        v = (double)0.2f * v + d->base[at];
    if (c->add)
        v += d->add[at];
    *magnitude = sum + fabs(v);
    return v;
}

typedef struct Verdict {
    size_t values, wrong, broken_guards;
    double worst; /* error / bound */
} Verdict;

static void judge(Verdict *verdict, double got, double expected, double bound)
{
    double ratio = fabs(got - expected) / bound;
    verdict->values++;
    verdict->wrong += !(ratio <= 1);
    if (!(ratio <= verdict->worst))
        verdict->worst = ratio;
}

/* Every element that the call had no business with must be as it was. */
static void judge_halves(Verdict *verdict, const Data *d, const uint16_t *got,
                         const uint16_t *before, size_t halves)
{
    const Case *c = d->c;
    for (size_t i = 0; i < halves; i++) {
        size_t at = i - GUARD;
        int channel = i < GUARD ? -1 : (int)(at % (size_t)c->out_pitch) - c->out_channel;
        if (i < GUARD || i >= halves - GUARD || channel < 0 || channel >= d->padded_cout) {
            verdict->broken_guards += got[i] != before[i];
            continue;
        }
        double magnitude, expected = 0, bound = 0;
        if (channel < c->cout) {
            expected = expected_at(d, at / (size_t)c->out_pitch, channel, &magnitude);
            bound = ((9.0 * d->padded_cin / 8 + 8) * 0x1p-23 + d->weights_rounding) * magnitude;
        } else {
            expected = d->bias[channel];
        }
        judge(verdict, from_half(got[i]), expected,
              bound + fabs(expected) * (bf16 ? 0x1p-8 : 0x1p-11) + 0x1p-25);
    }
}

static void judge_floats(Verdict *verdict, const Data *d, const float *got, const float *before,
                         int pitch, int count)
{
    size_t n = d->px * (size_t)pitch + 2 * GUARD;
    for (size_t i = 0; i < n; i++) {
        size_t at = i - GUARD;
        int channel = i < GUARD ? -1 : (int)(at % (size_t)pitch);
        if (i < GUARD || i >= n - GUARD || channel >= count) {
            verdict->broken_guards += memcmp(&got[i], &before[i], sizeof *got) != 0;
            continue;
        }
        if (channel >= d->c->cout)
            continue; /* padding: unspecified */
        double magnitude, expected = expected_at(d, at / (size_t)pitch, channel, &magnitude);
        judge(verdict, got[i], expected, (9.0 * d->padded_cin / 8 + 8) * 0x1p-23 * magnitude);
    }
}

static void fetch(void *to, const void *from, size_t bytes)
{
    CHECK(cudaMemcpy(to, from, bytes, cudaMemcpyDeviceToHost));
}

typedef struct Buffers {
    uint16_t *in, *out;
    float *bias, *slope, *trunk, *base, *add, *f32, *trunk_out;
    void *weights, *scratch;
} Buffers;

static void free_buffers(Buffers *b)
{
    void *all[] = {b->in,        b->out == b->in ? NULL : b->out,
                   b->bias,      b->slope,
                   b->trunk,     b->base,
                   b->add,       b->f32,
                   b->trunk_out, b->weights,
                   b->scratch};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        CHECK(cudaFree(all[i]));
}

static ConvCall make_call(const Data *d, Buffers *b, const ConvVariant *variant)
{
    const Case *c = d->c;
    size_t wide = (d->px * 64 + 2 * GUARD) * sizeof(float);
    b->in = on_device(d->in, (d->in_px * (size_t)c->in_pitch + 2 * GUARD) * 2);
    b->out = c->in_place
                 ? b->in
                 : on_device(d->out,
                             (d->px * (size_t)(c->out_pitch ? c->out_pitch : 8) + 2 * GUARD) * 2);
    b->bias = on_device(d->bias, (size_t)d->padded_cout * sizeof(float));
    b->slope = on_device(d->slope, (size_t)d->padded_cout * sizeof(float));
    b->trunk = on_device(d->trunk, wide);
    b->base = on_device(d->base, wide);
    b->add = on_device(d->add, wide);
    b->trunk_out = on_device(d->trunk_out, wide);
    b->f32 = on_device(d->f32, (d->px * (size_t)d->f32_pitch + 2 * GUARD) * sizeof(float));
    size_t packed_bytes = variant->packed_bytes(d->padded_cin, d->padded_cout);
    void *packed = malloc(packed_bytes);
    variant->pack(packed, d->weights, c->cin, c->cout, d->padded_cin, d->padded_cout);
    b->weights = on_device(packed, packed_bytes);
    free(packed);
    ConvCall call = {
        .in = b->in + GUARD,
        .out = c->out_pitch ? b->out + GUARD : NULL,
        .in_pitch = c->in_pitch,
        .out_pitch = c->out_pitch,
        .out_channel = c->out_channel,
        .cin = d->padded_cin,
        .cout = d->padded_cout,
        .centre_from = c->centre_from,
        .weights = b->weights,
        .bias = b->bias,
        .slope = c->activation == CONV_PRELU ? b->slope : NULL,
        .activation = c->activation,
        .trunk_in = c->trunk ? b->trunk + GUARD : NULL,
        .trunk_out = c->trunk ? b->trunk_out + GUARD : NULL,
        .base = c->base ? b->base + GUARD : NULL,
        .add = c->add ? b->add + GUARD : NULL,
        .out_f32 = c->keep_f32 ? b->f32 + GUARD : NULL,
        .out_f32_pitch = d->f32_pitch,
        .out_f32_count = round_up(c->cout, 4),
        .upsample = c->upsample,
        .tiles = d->tiles,
        .height = d->height,
        .width = d->width,
    };
    if (variant->scratch_bytes && variant->scratch_bytes(&call))
        CHECK(cudaMalloc(&b->scratch, variant->scratch_bytes(&call)));
    call.scratch = b->scratch;
    return call;
}

/* Runs one case of one size; true if all is as it should be. */
static bool run_case(const ConvVariant *variant, const Case *c, int tiles, int height, int width)
{
    Verdict verdict = {0};
    Buffers b = {0};
    Data d = make_data(c, tiles, height, width);
    ConvCall call = make_call(&d, &b, variant);
    d.weights_rounding = c->upsample && strncmp(variant->name, "wgmma", 5) == 0 ? 0x1p-11 : 0;
    if (!variant->supports(&call)) {
        free_buffers(&b);
        free_data(&d);
        return true;
    }
    CHECK(variant->run(&call, NULL));
    CHECK(cudaDeviceSynchronize());
    if (call.out) {
        const uint16_t *before = c->in_place ? d.in : d.out;
        size_t halves = d.px * (size_t)c->out_pitch + 2 * GUARD;
        uint16_t *got = malloc(halves * 2);
        fetch(got, b.out, halves * 2);
        judge_halves(&verdict, &d, got, before, halves);
        free(got);
    }
    if (call.out_f32) {
        float *got = malloc((d.px * (size_t)d.f32_pitch + 2 * GUARD) * sizeof *got);
        fetch(got, b.f32, (d.px * (size_t)d.f32_pitch + 2 * GUARD) * sizeof *got);
        judge_floats(&verdict, &d, got, d.f32, d.f32_pitch, round_up(c->cout, 4));
        free(got);
    }
    if (call.trunk_out) {
        float *got = malloc((d.px * 64 + 2 * GUARD) * sizeof *got);
        fetch(got, b.trunk_out, (d.px * 64 + 2 * GUARD) * sizeof *got);
        judge_floats(&verdict, &d, got, d.trunk_out, 64, 64);
        free(got);
    }
    bool good = verdict.wrong == 0 && verdict.broken_guards == 0 && verdict.values > 0;
    printf("%-24s %d tiles of %3d x %3d: %8zu values, error at most %.3f of the bound%s\n", c->name,
           tiles, width, height, verdict.values, verdict.worst, good ? "" : "  FAILED");
    if (!good)
        printf("    %zu values wrong, %zu guards broken\n", verdict.wrong, verdict.broken_guards);
    free_buffers(&b);
    free_data(&d);
    return good;
}

static const ConvVariant *find_variant(const char *name)
{
    static const ConvVariant *const variants[] = {
        &conv_variant_mma,
        &conv_variant_mma_bf16,
#if defined(RESR_CUDA_WGMMA)
        &conv_variant_wgmma,
        &conv_variant_wgmma_plain,
#endif
#if defined(RESR_CUDA_CUBLAS)
        &conv_variant_cublas,
#endif
    };
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++)
        if (strcmp(variants[i]->name, name) == 0)
            return variants[i];
    return NULL;
}

/* Widths and heights: the edges of the kernels' tiles first, by turns over the seeds; then pairs of
 * 1..40 (13 and 29 share no factor with 40: every number comes up in 40 cases), and for one shape a
 * tile's real size, 138, in either direction. */
static void size_of(int *height, int *width, size_t which, int i, int seed)
{
    static const int edges[][2] = {{1, 1}, {17, 33}, {16, 32}, {2, 40}, {40, 3}, {15, 31}};
    size_t turn = which + (size_t)seed, n = which * 7 + (size_t)(i + seed * 53);
    if (i < 1) {
        *height = edges[turn % 6][0];
        *width = edges[turn % 6][1];
        return;
    }
    *height = turn % 32 == 2 ? 138 : 1 + (int)(n * 13 % 40);
    *width = turn % 32 == 3 ? 138 : 1 + (int)(n * 29 % 40);
}

static int test_sizes(const ConvVariant *variant, int sizes, int seed)
{
    int failed = 0;
    for (size_t k = 0; k < CASES; k++)
        for (int i = 0; i < sizes; i++) {
            int height, width;
            size_of(&height, &width, k, i, seed);
            failed += !run_case(variant, &cases[k], 1 + (int)(k + (size_t)i) % 2, height, width);
        }
    return failed;
}

/* Shapes step by 2 along a row and by 5 from row to row: of a width those of all rows step by 5, of
 * a height by 3, neither of which shares a factor with their number, 16. */
static int test_row(const ConvVariant *variant, int row)
{
    enum { SIZES = 41 };
    _Static_assert(CASES % 2 == 0 && CASES % 3 != 0 && CASES % 5 != 0, "steps of 2, 3 and 5");
    int failed = 0;
    for (int i = 0; i < SIZES; i++) {
        int j = (i + row) % SIZES, width = i == 40 ? 138 : i + 1, height = j == 40 ? 138 : j + 1;
        failed +=
            !run_case(variant, &cases[(i * 2 + row * 5) % CASES], 1 + i % 3 / 2, height, width);
    }
    return failed;
}

int main(int argc, char **argv)
{
    struct cudaDeviceProp properties;
    const char *why = NULL;
    bool row = argc > 2 && strcmp(argv[2], "row") == 0;
    int sizes = argc > 2 ? atoi(argv[2]) : 3, seed = argc > 3 ? atoi(argv[3]) : 0;
    int failed, devices = 0;
    const ConvVariant *variant = argc > 1 ? find_variant(argv[1]) : NULL;
    if (!variant) {
        fprintf(stderr,
                "usage: test_conv VARIANT [SIZES [SEED] | row ROW] (\"%s\" is no variant of this "
                "build)\n",
                argc > 1 ? argv[1] : "");
        return 64;
    }
    if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
        printf("skipped: no device\n");
        return SKIP;
    }
    bf16 = variant->bf16;
    CHECK(cudaGetDeviceProperties(&properties, 0));
    int capability = properties.major * 10 + properties.minor;
    printf("%s, capability %d\n", properties.name, capability);
    if (!variant->available(capability, &why)) {
        printf("skipped: %s\n", why);
        return SKIP;
    }
    failed = row ? test_row(variant, seed) : test_sizes(variant, sizes, seed);
    printf("%d failed\n", failed);
    return failed > 0;
}
