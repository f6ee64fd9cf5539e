/* Tests of variant wgmma beyond test_conv: sizes, and that its ways and cuts change no bit.
 *
 * test_wgmma sizes ROW  41 pairs of a width and a height out of 1..40 and 138, each number once a
 *                       side (rows 0..40 are all pairs), shapes and ways in turn, against the
 *                       definition in double precision (bound: test_conv.c).
 * test_wgmma cuts       a batch of tiles at once, swizzled and plain, and each tile alone, in
 *                       widths round the strip's 64: all outputs equal to the bit.
 * test_wgmma absent     where only other architectures' empty kernels exist, neither way is
 *                       available, and the reason names the option.
 *
 * Where the input is enlarged, the definition is variant wgmma's: of the nine taps those that fall
 * on one pixel of the input are summed and rounded to fp16.
 *
 * Channels of the input that must not be read are NaN; everything that must not be written is
 * compared with what it was. */

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conv.cuh"
#include "conv_wgmma.cuh"

#define CHECK(call)                                                                                \
    do {                                                                                           \
        if ((call) != 0) {                                                                         \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #call);                             \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

enum { SKIP = 77, SIZES = 41, IN_PITCH = 200, OUT_PITCH = 80, OUT_CHANNEL = 8, WIDE = 64 };

typedef struct Shape {
    int cin, cout, activation;
    bool trunk, base, add;
    int upsample;
} Shape;

static const Shape shapes[] = {
    {64, 32, CONV_LEAKY_RELU, 0, 0, 0, 0},  {96, 32, CONV_LEAKY_RELU, 0, 0, 0, 0},
    {128, 32, CONV_LEAKY_RELU, 0, 0, 0, 0}, {160, 32, CONV_LEAKY_RELU, 0, 0, 0, 0},
    {192, 64, CONV_NONE, 1, 0, 0, 0},       {192, 64, CONV_NONE, 1, 1, 0, 0},
    {64, 64, CONV_NONE, 0, 0, 1, 0},        {64, 64, CONV_PRELU, 0, 0, 0, 0},
    {32, 32, CONV_PRELU, 0, 0, 0, 0},       {96, 64, CONV_LEAKY_RELU, 1, 0, 0, 0},
    {128, 64, CONV_PRELU, 0, 0, 1, 0},      {64, 64, CONV_SILU, 0, 0, 0, 0},
    {64, 64, CONV_GATE, 1, 0, 0, 0},        {64, 64, CONV_LEAKY_RELU, 0, 0, 0, 1},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

/* All of one call, on the host: `px` pixels. */
typedef struct Data {
    Shape shape;
    int tiles, height, width;
    size_t px, in_px;
    uint16_t *in;                                       /* [in_px][IN_PITCH] */
    float *weights, *bias, *slope, *trunk, *base, *add; /* the last three: [px][WIDE] */
} Data;

typedef struct Result {
    uint16_t *out;          /* [px][OUT_PITCH] */
    float *trunk, *out_f32; /* [px][WIDE] */
} Result;

static uint64_t random_state = 1;

static float draw(void) /* in [-1, 1) */
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (float)(random_state >> 40) * 0x1p-23f - 1.0f;
}

static uint16_t to_half(float value)
{
    _Float16 half = (_Float16)value;
    uint16_t bits;
    memcpy(&bits, &half, 2);
    return bits;
}

static float from_half(uint16_t bits)
{
    _Float16 half;
    memcpy(&half, &bits, 2);
    return (float)half;
}

static float *draw_floats(size_t n, float scale)
{
    float *values = malloc(n * sizeof *values);
    for (size_t i = 0; i < n; i++)
        values[i] = from_half(to_half(draw() * scale));
    return values;
}

static Data make_data(Shape shape, int tiles, int height, int width)
{
    Data d = {.shape = shape, .tiles = tiles};
    d.height = height << shape.upsample;
    d.width = width << shape.upsample;
    d.in_px = (size_t)tiles * (size_t)height * (size_t)width;
    d.px = d.in_px << (2 * shape.upsample);
    d.in = malloc(d.in_px * IN_PITCH * 2);
    for (size_t i = 0; i < d.in_px * IN_PITCH; i++)
        d.in[i] = (int)(i % IN_PITCH) < shape.cin ? to_half(draw()) : 0x7e00;
    size_t weights = (size_t)shape.cout * (size_t)shape.cin * 9;
    d.weights = draw_floats(weights, sqrtf(3.0f / (9.0f * (float)shape.cin)));
    d.bias = draw_floats((size_t)shape.cout, 0.5f);
    d.slope = draw_floats((size_t)shape.cout, 0.5f);
    d.trunk = draw_floats(d.px * WIDE, 1);
    d.base = draw_floats(d.px * WIDE, 1);
    d.add = draw_floats(d.px * WIDE, 1);
    return d;
}

static void free_data(Data *d)
{
    free(d->in);
    free(d->weights);
    free(d->bias);
    free(d->slope);
    free(d->trunk);
    free(d->base);
    free(d->add);
}

static void free_result(Result *r)
{
    free(r->out);
    free(r->trunk);
    free(r->out_f32);
}

static void *upload(const void *from, size_t bytes)
{
    void *to;
    CHECK(cudaMalloc(&to, bytes));
    CHECK(cudaMemcpy(to, from, bytes, cudaMemcpyHostToDevice));
    return to;
}

/* Contents of the outputs before the call. */
static const uint16_t untouched_half = 0x5c5c;
static const float untouched = 12345.5f;

static void *fetch(void *from, size_t bytes)
{
    void *to = malloc(bytes);
    CHECK(cudaMemcpy(to, from, bytes, cudaMemcpyDeviceToHost));
    CHECK(cudaFree(from));
    return to;
}

/* Runs tiles first..first+tiles-1 of `d` in one call. */
static Result run(const ConvVariant *variant, const Data *d, int first, int tiles)
{
    const Shape *s = &d->shape;
    size_t tile_px = (size_t)d->height * (size_t)d->width, px = tile_px * (size_t)tiles;
    size_t skip = tile_px * (size_t)first, wide = px * WIDE * sizeof(float);
    uint16_t *out = malloc(px * OUT_PITCH * 2);
    float *marks = malloc(wide);
    for (size_t i = 0; i < px * OUT_PITCH; i++)
        out[i] = untouched_half;
    for (size_t i = 0; i < px * WIDE; i++)
        marks[i] = untouched;
    size_t packed_bytes = variant->packed_bytes(s->cin, s->cout);
    void *packed = malloc(packed_bytes);
    variant->pack(packed, d->weights, s->cin, s->cout, s->cin, s->cout);
    void *in = upload(d->in + (skip >> (2 * s->upsample)) * IN_PITCH,
                      (px >> (2 * s->upsample)) * IN_PITCH * 2);
    void *weights = upload(packed, packed_bytes);
    float *bias = upload(d->bias, (size_t)s->cout * sizeof(float));
    float *slope = upload(d->slope, (size_t)s->cout * sizeof(float));
    float *trunk = upload(d->trunk + skip * WIDE, wide);
    float *base = upload(d->base + skip * WIDE, wide), *add = upload(d->add + skip * WIDE, wide);
    void *to = upload(out, px * OUT_PITCH * 2);
    float *f32 = upload(marks, wide);
    ConvCall call = {
        .in = in,
        .out = to,
        .in_pitch = IN_PITCH,
        .out_pitch = OUT_PITCH,
        .out_channel = OUT_CHANNEL,
        .cin = s->cin,
        .cout = s->cout,
        .weights = weights,
        .bias = bias,
        .slope = s->activation == CONV_PRELU ? slope : NULL,
        .activation = s->activation,
        .trunk_in = s->trunk ? trunk : NULL,
        .trunk_out = s->trunk ? trunk : NULL,
        .base = s->base ? base : NULL,
        .add = s->add ? add : NULL,
        .out_f32 = f32,
        .out_f32_pitch = WIDE,
        .out_f32_count = s->cout == 64 ? 64 : 20,
        .upsample = s->upsample,
        .tiles = tiles,
        .height = d->height,
        .width = d->width,
    };
    CHECK(!variant->supports(&call));
    CHECK(variant->run(&call, NULL));
    CHECK(cudaDeviceSynchronize());
    Result r = {fetch(to, px * OUT_PITCH * 2), fetch(trunk, wide), fetch(f32, wide)};
    void *used[] = {in, weights, bias, slope, base, add};
    for (size_t i = 0; i < sizeof used / sizeof *used; i++)
        CHECK(cudaFree(used[i]));
    free(packed);
    free(marks);
    free(out);
    return r;
}

/* The sum of products with one pixel of the input; taps are summed first. */
static double products(const Data *d, const uint16_t *in, int co, int ky[2], int kx[2],
                       double *magnitude)
{
    double sum = 0;
    for (int ci = 0; ci < d->shape.cin; ci++) {
        const float *taps = d->weights + ((size_t)co * (size_t)d->shape.cin + (size_t)ci) * 9;
        float weight = 0;
        for (int y = ky[0]; y <= ky[1]; y++)
            for (int x = kx[0]; x <= kx[1]; x++)
                weight += taps[y * 3 + x];
        double product = (double)from_half(in[ci]) * (double)from_half(to_half(weight));
        sum += product;
        *magnitude += fabs(product);
    }
    return sum;
}

/* First and last tap of three that fall on pixel `at` of the input, for output `to`. */
static void taps_on(int taps[2], int at, int to, int upsample)
{
    taps[0] = 3;
    taps[1] = -1;
    for (int k = 0; k < 3; k++)
        if ((to + k - 1) >> upsample == at) {
            taps[0] = taps[0] < k ? taps[0] : k;
            taps[1] = k;
        }
}

/* The definition at one pixel and output; *magnitude: the sum of |x w| and of the addends. */
static double expected_at(const Data *d, size_t px, int co, double *magnitude)
{
    const Shape *s = &d->shape;
    int x = (int)(px % (size_t)d->width), y = (int)(px / (size_t)d->width % (size_t)d->height);
    int width = d->width >> s->upsample, height = d->height >> s->upsample, taps_y[2], taps_x[2];
    size_t tile = px / (size_t)d->width / (size_t)d->height;
    double v = d->bias[co], sum = fabs(v);
    for (int iy = (y - 1) >> s->upsample; iy <= (y + 1) >> s->upsample; iy++)
        for (int ix = (x - 1) >> s->upsample; ix <= (x + 1) >> s->upsample; ix++) {
            if (ix < 0 || iy < 0 || ix >= width || iy >= height)
                continue;
            taps_on(taps_y, iy, y, s->upsample);
            taps_on(taps_x, ix, x, s->upsample);
            size_t from = (tile * (size_t)height + (size_t)iy) * (size_t)width + (size_t)ix;
            v += products(d, d->in + from * IN_PITCH, co, taps_y, taps_x, &sum);
        }
    size_t at = px * WIDE + (size_t)co;
    if (s->activation >= CONV_SILU) { /* the sums' error by the largest slope */
        double r = s->trunk ? d->trunk[at] : 0, less = s->trunk ? 0.5 : 0;
        *magnitude = sum * (s->trunk ? 0.5 + fabs(v + r) / 4 : 1.1) + fabs(v + r);
        return (v + r) * (1 / (1 + exp(-v)) - less);
    }
    if (s->activation != CONV_NONE && v < 0)
        v *= s->activation == CONV_PRELU ? (double)d->slope[co] : (double)0.2f;
    if (s->trunk)
        v = (double)0.2f * v + d->trunk[at];
    if (s->base)
        v = (double)0.2f * v + d->base[at];
    if (s->add)
        v += d->add[at];
    *magnitude = sum + fabs(v);
    return v;
}

/* Values and marks that are wrong; *worst: the largest error in units of its bound. */
static size_t count_wrong(const Data *d, const Result *r, double *worst)
{
    const Shape *s = &d->shape;
    size_t wrong = 0;
    int kept = s->cout == 64 ? 64 : 20;
    for (size_t px = 0; px < d->px; px++) {
        for (int i = 0; i < OUT_PITCH; i++)
            if (i < OUT_CHANNEL || i >= OUT_CHANNEL + s->cout)
                wrong += r->out[px * OUT_PITCH + (size_t)i] != untouched_half;
        for (int i = 0; i < WIDE; i++) {
            size_t at = px * WIDE + (size_t)i;
            if (i >= kept)
                wrong += r->out_f32[at] != untouched;
            if (i >= s->cout || !s->trunk)
                wrong += r->trunk[at] != d->trunk[at];
        }
        for (int co = 0; co < s->cout; co++) {
            size_t at = px * WIDE + (size_t)co;
            double magnitude, v = expected_at(d, px, co, &magnitude);
            double bound = (9.0 * s->cin / 8 + 8) * 0x1p-23 * magnitude;
            double half = from_half(r->out[px * OUT_PITCH + (size_t)(OUT_CHANNEL + co)]);
            double ratio = fabs(half - v) / (bound + fabs(v) * 0x1p-11 + 0x1p-25);
            if (co < kept)
                ratio = fmax(ratio, fabs((double)r->out_f32[at] - v) / bound);
            if (s->trunk)
                ratio = fmax(ratio, fabs((double)r->trunk[at] - v) / bound);
            wrong += !(ratio <= 1) || half != half;
            *worst = fmax(*worst, ratio);
        }
    }
    return wrong;
}

static int size_at(int i)
{
    return i % SIZES == 40 ? 138 : i % SIZES + 1;
}

static int test_sizes(int row)
{
    int failed = 0;
    for (int i = 0; i < SIZES; i++) {
        int width = size_at(i), height = size_at(i + row), k = (i + row) % SHAPES;
        if (width == 138 && height == 138)
            height = 3; /* 138 x 138 is "cuts" in the other direction, and half a minute */
        double worst = 0;
        Data d = make_data(shapes[k], 1 + i % 3 / 2, height, width);
        const ConvVariant *variant = i % 4 == 3 ? &conv_variant_wgmma_plain : &conv_variant_wgmma;
        Result r = run(variant, &d, 0, d.tiles);
        size_t wrong = count_wrong(&d, &r, &worst);
        failed += wrong > 0;
        printf("%3d -> %2d, %d tiles of %3d x %3d, %s: error at most %.3f of the bound",
               d.shape.cin, d.shape.cout, d.tiles, d.width, d.height, variant->name, worst);
        printf(wrong ? ", %zu WRONG\n" : "\n", wrong);
        free_result(&r);
        free_data(&d);
    }
    return failed;
}

/* Whether tiles first.. of `whole` are `part`, which has `tiles` of them, to the bit. */
static bool equal(const Data *d, const Result *whole, const Result *part, int first, int tiles)
{
    size_t tile_px = (size_t)d->height * (size_t)d->width, px = tile_px * (size_t)tiles;
    size_t skip = tile_px * (size_t)first, wide = px * WIDE * sizeof(float);
    return !memcmp(whole->out + skip * OUT_PITCH, part->out, px * OUT_PITCH * 2) &&
           !memcmp(whole->trunk + skip * WIDE, part->trunk, wide) &&
           !memcmp(whole->out_f32 + skip * WIDE, part->out_f32, wide);
}

static int test_cuts(void)
{
    static const int widths[] = {62, 63, 64, 65, 71, 127, 138, 20};
    int failed = 0;
    for (int i = 0; i < (int)(sizeof widths / sizeof *widths); i++) {
        double worst = 0;
        Data d = make_data(shapes[i % 2   ? (i * 3) % SHAPES
                                  : i % 4 ? 4
                                          : SHAPES - 1],
                           2 + i % 3, 2 + i, widths[i]);
        Result whole = run(&conv_variant_wgmma, &d, 0, d.tiles);
        size_t wrong = count_wrong(&d, &whole, &worst);
        Result plain = run(&conv_variant_wgmma_plain, &d, 0, d.tiles);
        bool same_ways = equal(&d, &whole, &plain, 0, d.tiles), same_cuts = true;
        for (int tile = 0; tile < d.tiles; tile++) {
            Result alone = run(&conv_variant_wgmma, &d, tile, 1);
            same_cuts = same_cuts && equal(&d, &whole, &alone, tile, 1);
            free_result(&alone);
        }
        failed += !same_ways || !same_cuts || wrong;
        printf("%3d -> %2d, %d tiles of %3d x %3d: %zu wrong, error at most %.3f of the bound, "
               "plain %s, tiles alone %s\n",
               d.shape.cin, d.shape.cout, d.tiles, d.width, d.height, wrong, worst,
               same_ways ? "equal" : "DIFFERENT", same_cuts ? "equal" : "DIFFERENT");
        free_result(&plain);
        free_result(&whole);
        free_data(&d);
    }
    return failed;
}

static int test_absent(int capability)
{
    const ConvVariant *const variants[] = {&conv_variant_wgmma, &conv_variant_wgmma_plain};
    int failed = 0;
    for (int i = 0; i < 2; i++) {
        const char *why = "";
        int offered = variants[i]->available(capability, &why);
        printf("%s on capability %d: %s\n", variants[i]->name, capability,
               offered ? "offered" : why);
        failed += offered || !strstr(why, "RESR_CUDA_ARCHS");
    }
    return failed;
}

int main(int argc, char **argv)
{
    struct cudaDeviceProp properties;
    const char *why = NULL;
    int failed, devices = 0;
    bool sizes = argc == 3 && strcmp(argv[1], "sizes") == 0;
    bool absent = argc == 2 && strcmp(argv[1], "absent") == 0;
    if (!sizes && !absent && !(argc == 2 && strcmp(argv[1], "cuts") == 0)) {
        fprintf(stderr, "usage: test_wgmma sizes ROW | cuts | absent\n");
        return 64;
    }
    if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
        printf("skipped: no device\n");
        return SKIP;
    }
    CHECK(cudaGetDeviceProperties(&properties, 0));
    int capability = properties.major * 10 + properties.minor;
    if (absent)
        return test_absent(capability) > 0;
    if (!conv_variant_wgmma.available(capability, &why)) {
        printf("skipped: %s\n", why);
        return SKIP;
    }
    failed = sizes ? test_sizes(atoi(argv[2])) : test_cuts();
    printf("%d failed\n", failed);
    return failed > 0;
}
