/* The scalar reference: the definition of numerics class `exact`, one plain loop nest for each
 * operation. Frozen: other backends are compared with it bit for bit, so it stays obvious rather
 * than fast.
 *
 * A feature map is planar, [channel][row][column], with a border of one zero pixel around each
 * plane, so that a convolution at the edge reads zeros. The feature maps of a dense block are
 * consecutive planes, so a concatenation is only a larger number of planes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cpu/backends.h"
#include "cpu/sigmoid.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__SANITIZE_THREAD__)
/* Compiled twice: fmaf() is a library call without FMA hardware and an instruction with it, with
 * the same bits. ThreadSanitizer is initialised too late for the choice between the two. */
#define WITH_FMA __attribute__((target_clones("fma", "default")))
#else
#define WITH_FMA
#endif

enum { N_MAPS = 7 };

typedef struct Map {
    float *data;
    int width, height; /* without the border */
} Map;

typedef struct Context {
    const ResrModel *model;
    int threads;
    ResrTileIn in;
    int width, height;     /* of the body: the tile's, divided by the unshuffle factor */
    Map pixels;            /* the head's input */
    Map feat;              /* the head's output */
    Map concat;            /* a dense block's input and its four growing outputs */
    Map rrdb_in, conv_out; /* the RRDB's input; output of a body convolution */
    Map wide, wide_out;    /* up to the full output size */
    const Map *enlarged;   /* the tail's input: feat or wide_out */
    float *memory[N_MAPS];
    bool not_finite; /* a value of the output was infinite or NaN */
} Context;

static size_t plane_floats(int width, int height)
{
    return (size_t)(width + 2) * (size_t)(height + 2);
}

/* Pixel (0, 0) of a channel; the border lies at -1. */
static float *plane_of(const Map *map, int channel)
{
    size_t row = (size_t)map->width + 2;
    return map->data + (size_t)channel * plane_floats(map->width, map->height) + row + 1;
}

static Map planes_from(const Map *map, int channel)
{
    Map part = *map;
    part.data += (size_t)channel * plane_floats(map->width, map->height);
    return part;
}

static void map_reset(Map *map, int channels, int width, int height)
{
    map->width = width;
    map->height = height;
    memset(map->data, 0, (size_t)channels * plane_floats(width, height) * sizeof(float));
}

/* One channel of a convolution. Each output starts from the bias and adds its products in the
 * order ky, kx, ci; the loop over x may be the innermost, since outputs are independent of each
 * other. */
WITH_FMA static void conv_plane(const Map *out, const Map *in, const ResrConv *conv, int co)
{
    int side = conv->kernel_px, reach = side / 2;
    const float *weight = conv->weight + (size_t)(co * conv->cin * side * side);
    ptrdiff_t stride = in->width + 2;
    for (int y = 0; y < in->height; y++) {
        float *restrict acc = plane_of(out, co) + y * stride;
        for (int x = 0; x < in->width; x++)
            acc[x] = conv->bias[co];
        for (int ky = 0; ky < side; ky++)
            for (int kx = 0; kx < side; kx++)
                for (int ci = 0; ci < conv->cin; ci++) {
                    const float *from = plane_of(in, ci) + (y + ky - reach) * stride + (kx - reach);
                    float w = weight[(ci * side + ky) * side + kx];
                    for (int x = 0; x < in->width; x++)
                        acc[x] = fmaf(from[x], w, acc[x]);
                }
    }
}

static void convolve(const Context *ctx, const Map *out, const Map *in, const ResrConv *conv)
{
#pragma omp parallel for num_threads(ctx->threads) schedule(dynamic)
    for (int co = 0; co < conv->cout; co++)
        conv_plane(out, in, conv, co);
}

/* x > 0 ? x : slope * x, with a slope per channel, or 0.2 for all (LeakyReLU). */
static void activate(const Map *map, int channels, const float *slope)
{
    for (int c = 0; c < channels; c++)
        for (int y = 0; y < map->height; y++) {
            float *row = plane_of(map, c) + (ptrdiff_t)y * (map->width + 2);
            for (int x = 0; x < map->width; x++)
                row[x] = row[x] > 0.0f ? row[x] : (slope ? slope[c] : 0.2f) * row[x];
        }
}

/* cpu/sigmoid.h has the definition. */
static float sigmoid(float x)
{
    float t = 0.0f - x;
    t = RESR_SIGMOID_MAX < t ? RESR_SIGMOID_MAX : t;
    t = -RESR_SIGMOID_MAX > t ? -RESR_SIGMOID_MAX : t;
    float k = fmaf(t, RESR_SIGMOID_LOG2_E, RESR_SIGMOID_MAGIC) - RESR_SIGMOID_MAGIC;
    float r = fmaf(-k, RESR_SIGMOID_LN2_HIGH, t);
    r = fmaf(-k, RESR_SIGMOID_LN2_LOW, r);
    float p = fmaf(RESR_SIGMOID_C5, r, RESR_SIGMOID_C4);
    p = fmaf(p, r, RESR_SIGMOID_C3);
    p = fmaf(p, r, RESR_SIGMOID_C2);
    p = fmaf(p, r, 1.0f);
    p = fmaf(p, r, 1.0f);
    return 1.0f / fmaf(p, isnan(k) ? k : ldexpf(1.0f, (int)k), 1.0f);
}

static void silu(const Map *map, int channels)
{
    for (int c = 0; c < channels; c++)
        for (int y = 0; y < map->height; y++) {
            float *row = plane_of(map, c) + (ptrdiff_t)y * (map->width + 2);
            for (int x = 0; x < map->width; x++)
                row[x] = row[x] * sigmoid(row[x]);
        }
}

/* out = (out + base) * (sigmoid(out) - 0.5). */
static void gate(const Map *out, const Map *base, int channels)
{
    for (int c = 0; c < channels; c++)
        for (int y = 0; y < out->height; y++) {
            float *row = plane_of(out, c) + (ptrdiff_t)y * (out->width + 2);
            const float *add = plane_of(base, c) + (ptrdiff_t)y * (out->width + 2);
            for (int x = 0; x < out->width; x++) {
                float attention = sigmoid(row[x]) - 0.5f;
                row[x] = (row[x] + add[x]) * attention;
            }
        }
}

/* out = fma(factor, value, base). */
WITH_FMA static void scaled_add(const Map *out, float factor, const Map *value, const Map *base,
                                int channels)
{
    for (int c = 0; c < channels; c++)
        for (int y = 0; y < out->height; y++) {
            ptrdiff_t row = (ptrdiff_t)y * (out->width + 2);
            for (int x = 0; x < out->width; x++)
                plane_of(out, c)[row + x] =
                    fmaf(factor, plane_of(value, c)[row + x], plane_of(base, c)[row + x]);
        }
}

static void copy(const Map *out, const Map *in, int channels)
{
    size_t floats = (size_t)channels * plane_floats(in->width, in->height);
    memcpy(out->data, in->data, floats * sizeof(float));
}

static void nearest_x2(const Map *out, const Map *in, int channels)
{
    for (int c = 0; c < channels; c++)
        for (int y = 0; y < out->height; y++)
            for (int x = 0; x < out->width; x++)
                plane_of(out, c)[(ptrdiff_t)y * (out->width + 2) + x] =
                    plane_of(in, c)[(ptrdiff_t)(y / 2) * (in->width + 2) + x / 2];
}

static float clamp01(Context *ctx, float value)
{
    if (!isfinite(value))
        ctx->not_finite = true;
    return value > 0.0f ? (value < 1.0f ? value : 1.0f) : 0.0f;
}

static const ResrConv *conv_from_end(const Context *ctx, int index)
{
    return &ctx->model->convs[ctx->model->n_convs - 1 - index];
}

static int head(void *pointer, const ResrTileIn *in)
{
    Context *ctx = pointer;
    const ResrNetSpec *spec = &ctx->model->spec;
    const ResrNormalisation *normal = resr_spec_normalisation(spec);
    int factor = spec->unshuffle;
    ctx->in = *in;
    ctx->not_finite = false;
    ctx->width = in->width_px / factor;
    ctx->height = in->height_px / factor;
    map_reset(&ctx->pixels, spec->channels * factor * factor, ctx->width, ctx->height);
    map_reset(&ctx->feat, spec->nf, ctx->width, ctx->height);
    map_reset(&ctx->concat, spec->nf + 4 * spec->gc, ctx->width, ctx->height);
    map_reset(&ctx->rrdb_in, spec->nf, ctx->width, ctx->height);
    map_reset(&ctx->conv_out, spec->nf, ctx->width, ctx->height);

    for (int c = 0; c < spec->channels; c++)
        for (int dy = 0; dy < factor; dy++)
            for (int dx = 0; dx < factor; dx++) {
                float *to = plane_of(&ctx->pixels, (c * factor + dy) * factor + dx);
                for (int y = 0; y < ctx->height; y++)
                    for (int x = 0; x < ctx->width; x++) {
                        float sample = in->plane[c][(size_t)(y * factor + dy) * in->stride +
                                                    (size_t)(x * factor + dx)];
                        to[(ptrdiff_t)y * (ctx->width + 2) + x] =
                            normal ? (sample - normal->mean[c]) * normal->factor : sample;
                    }
            }
    const ResrConv *first = &ctx->model->convs[0];
    convolve(ctx, &ctx->feat, &ctx->pixels, first);
    if (spec->arch == RESR_ARCH_SRVGG)
        activate(&ctx->feat, spec->nf, first->slope);
    copy(&ctx->concat, &ctx->feat, spec->nf);
    return 0;
}

static int dense_block(void *pointer, int block, int dense, bool last_of_rrdb)
{
    Context *ctx = pointer;
    const ResrNetSpec *spec = &ctx->model->spec;
    const ResrConv *convs = &ctx->model->convs[1 + (block * 3 + dense) * 5];
    if (dense == 0)
        copy(&ctx->rrdb_in, &ctx->concat, spec->nf);
    for (int k = 0; k < 4; k++) {
        Map grown = planes_from(&ctx->concat, spec->nf + k * spec->gc);
        convolve(ctx, &grown, &ctx->concat, &convs[k]);
        activate(&grown, spec->gc, NULL);
    }
    convolve(ctx, &ctx->conv_out, &ctx->concat, &convs[4]);
    scaled_add(&ctx->concat, 0.2f, &ctx->conv_out, &ctx->concat, spec->nf);
    if (last_of_rrdb)
        scaled_add(&ctx->concat, 0.2f, &ctx->concat, &ctx->rrdb_in, spec->nf);
    return 0;
}

static int body_end(void *pointer)
{
    Context *ctx = pointer;
    convolve(ctx, &ctx->conv_out, &ctx->concat,
             &ctx->model->convs[resr_spec_conv_body(&ctx->model->spec)]);
    scaled_add(&ctx->feat, 1.0f, &ctx->conv_out, &ctx->feat, ctx->model->spec.nf);
    ctx->enlarged = &ctx->feat;
    return 0;
}

static int compact_body(void *pointer)
{
    Context *ctx = pointer;
    const ResrNetSpec *spec = &ctx->model->spec;
    for (int i = 0; i < spec->num_blocks; i++) {
        const ResrConv *conv = &ctx->model->convs[1 + i];
        convolve(ctx, &ctx->conv_out, &ctx->concat, conv);
        activate(&ctx->conv_out, spec->nf, conv->slope);
        copy(&ctx->concat, &ctx->conv_out, spec->nf);
    }
    return 0;
}

/* ctx->wide collects the inputs of conv_cat: the outputs of the head, of conv_2, of the first
 * block, and of the last block's c1_r. */
static int attention_block(void *pointer, int block)
{
    Context *ctx = pointer;
    const ResrNetSpec *spec = &ctx->model->spec;
    const ResrConv *convs = &ctx->model->convs[1 + 3 * block];
    if (block == 0) {
        map_reset(&ctx->wide, 4 * spec->nf, ctx->width, ctx->height);
        copy(&ctx->wide, &ctx->feat, spec->nf);
    }
    Map first = planes_from(&ctx->wide, 2 * spec->nf), c1 = planes_from(&ctx->wide, 3 * spec->nf);
    convolve(ctx, &c1, &ctx->concat, &convs[0]);
    silu(&c1, spec->nf);
    convolve(ctx, &ctx->conv_out, &c1, &convs[1]);
    silu(&ctx->conv_out, spec->nf);
    convolve(ctx, &ctx->rrdb_in, &ctx->conv_out, &convs[2]);
    gate(&ctx->rrdb_in, &ctx->concat, spec->nf);
    copy(&ctx->concat, &ctx->rrdb_in, spec->nf);
    if (block == 0)
        copy(&first, &ctx->concat, spec->nf);
    return 0;
}

static int attention_end(void *pointer)
{
    Context *ctx = pointer;
    const ResrNetSpec *spec = &ctx->model->spec;
    Map second = planes_from(&ctx->wide, spec->nf);
    convolve(ctx, &second, &ctx->concat, conv_from_end(ctx, 2));
    convolve(ctx, &ctx->conv_out, &ctx->wide, conv_from_end(ctx, 1));
    copy(&ctx->concat, &ctx->conv_out, spec->nf);
    return 0;
}

static int upsample(void *pointer, int step)
{
    Context *ctx = pointer;
    int nf = ctx->model->spec.nf;
    const Map *in = ctx->enlarged;
    int conv = resr_spec_conv_body(&ctx->model->spec) + 1 + step;
    map_reset(&ctx->wide, nf, in->width * 2, in->height * 2);
    nearest_x2(&ctx->wide, in, nf);
    map_reset(&ctx->wide_out, nf, ctx->wide.width, ctx->wide.height);
    convolve(ctx, &ctx->wide_out, &ctx->wide, &ctx->model->convs[conv]);
    activate(&ctx->wide_out, nf, NULL);
    ctx->enlarged = &ctx->wide_out;
    return 0;
}

/* The network's channel for a plane of the output: a gray network's only one for all. */
static int channel_of(const Context *ctx, int plane)
{
    return ctx->model->spec.channels == 1 ? 0 : plane;
}

static int tail_rrdb(Context *ctx, const ResrTileOut *out)
{
    const Map *in = ctx->enlarged;
    map_reset(&ctx->wide, ctx->model->spec.nf, in->width, in->height);
    convolve(ctx, &ctx->wide, in, conv_from_end(ctx, 1));
    activate(&ctx->wide, ctx->model->spec.nf, NULL);
    map_reset(&ctx->wide_out, ctx->model->spec.channels, in->width, in->height);
    convolve(ctx, &ctx->wide_out, &ctx->wide, conv_from_end(ctx, 0));
    for (int c = 0; c < 4 && out->plane[c]; c++)
        for (int y = 0; y < out->height_px; y++) {
            const float *from = plane_of(&ctx->wide_out, channel_of(ctx, c)) + out->crop_x_px +
                                (ptrdiff_t)(out->crop_y_px + y) * (ctx->wide_out.width + 2);
            for (int x = 0; x < out->width_px; x++)
                out->plane[c][(size_t)y * out->stride + (size_t)x] = clamp01(ctx, from[x]);
        }
    return 0;
}

/* Channel (c * scale + dy) * scale + dx of the last convolution is output pixel (dx, dy) of the
 * scale x scale ones of an input pixel, which SRVGG adds to all of them. */
static int tail_shuffled(Context *ctx, const ResrTileOut *out)
{
    const ResrNetSpec *spec = &ctx->model->spec;
    int scale = spec->scale;
    map_reset(&ctx->wide, spec->channels * scale * scale, ctx->width, ctx->height);
    convolve(ctx, &ctx->wide, &ctx->concat, conv_from_end(ctx, 0));
    for (int c = 0; c < 4 && out->plane[c]; c++)
        for (int y = 0; y < out->height_px; y++)
            for (int x = 0; x < out->width_px; x++) {
                int from_y = out->crop_y_px + y, from_x = out->crop_x_px + x;
                int channel =
                    (channel_of(ctx, c) * scale + from_y % scale) * scale + from_x % scale;
                int in_y = from_y / scale, in_x = from_x / scale;
                float value =
                    plane_of(&ctx->wide, channel)[(ptrdiff_t)in_y * (ctx->width + 2) + in_x];
                const float *base = ctx->in.plane[channel_of(ctx, c)];
                if (spec->arch == RESR_ARCH_SRVGG)
                    value += base[(size_t)in_y * ctx->in.stride + (size_t)in_x];
                out->plane[c][(size_t)y * out->stride + (size_t)x] = clamp01(ctx, value);
            }
    return 0;
}

static int tail(void *pointer, const ResrTileOut *out)
{
    Context *ctx = pointer;
    return ctx->model->spec.arch == RESR_ARCH_RRDB ? tail_rrdb(ctx, out) : tail_shuffled(ctx, out);
}

static int wait_for(void *pointer, const atomic_bool *stop)
{
    (void)stop; /* the layers were computed when they were called */
    const Context *ctx = pointer;
    return ctx->not_finite ? RESR_NOT_FINITE : 0;
}

/* The packed form is a copy of the model. */
static int prepare(const ResrOps *self, void **packed, const ResrModel *model)
{
    (void)self;
    ResrModel *copied = NULL;
    int ret = resr_model_create(&copied, &model->spec);
    if (ret == 0)
        memcpy(copied->arena, model->arena, model->arena_floats * sizeof(float));
    *packed = copied;
    return ret;
}

static void release(void *packed)
{
    resr_model_free(packed);
}

/* Floats of the feature maps in the order of ctx_create()'s table. */
static void map_sizes(size_t floats[N_MAPS], const ResrNetSpec *spec, int width_px, int height_px)
{
    int factor = spec->unshuffle, enlargements = resr_spec_enlargements(spec);
    int width = width_px / factor, height = height_px / factor;
    size_t plane = plane_floats(width, height), nf = (size_t)spec->nf;
    size_t channels = (size_t)spec->channels;
    size_t wide = channels * (size_t)(spec->scale * spec->scale) * plane; /* last convolution */
    if (spec->arch == RESR_ARCH_RRDB)
        wide = (nf > 4 ? nf : 4) * plane_floats(width << enlargements, height << enlargements);
    if (spec->arch == RESR_ARCH_SPAN && wide < 4 * nf * plane)
        wide = 4 * nf * plane;
    floats[0] = channels * (size_t)(factor * factor) * plane;
    floats[1] = floats[3] = floats[4] = nf * plane;
    floats[2] = (nf + 4 * (size_t)spec->gc) * plane;
    floats[5] = wide;
    floats[6] = spec->arch == RESR_ARCH_RRDB ? wide : 0;
}

static size_t workspace_bytes(const void *packed, int width_px, int height_px, int threads)
{
    (void)threads;
    size_t floats[N_MAPS], sum = 0;
    const ResrModel *model = packed;
    map_sizes(floats, &model->spec, width_px, height_px);
    for (int i = 0; i < N_MAPS; i++)
        sum += floats[i];
    return sum * sizeof(float);
}

static void ctx_free(void *pointer)
{
    Context *ctx = pointer;
    for (int i = 0; ctx && i < N_MAPS; i++)
        free(ctx->memory[i]);
    free(ctx);
}

static int ctx_create(void **out, const void *packed, int width_px, int height_px, int threads)
{
    size_t floats[N_MAPS];
    Context *ctx = NULL;
    int ret = resr_alloc(&ctx, 1, sizeof *ctx);
    if (ret < 0)
        goto cleanup;
    ctx->model = packed;
    ctx->threads = threads;
    map_sizes(floats, &ctx->model->spec, width_px, height_px);
    for (int i = 0; i < N_MAPS; i++)
        if ((ret = resr_alloc_uninitialised(&ctx->memory[i], floats[i], sizeof(float))) < 0)
            goto cleanup;
    Map *const maps[N_MAPS] = {&ctx->pixels,   &ctx->feat, &ctx->concat,  &ctx->rrdb_in,
                               &ctx->conv_out, &ctx->wide, &ctx->wide_out};
    for (int i = 0; i < N_MAPS; i++)
        maps[i]->data = ctx->memory[i];
cleanup:
    if (ret < 0) {
        ctx_free(ctx);
        ctx = NULL;
    }
    *out = ctx;
    return ret;
}

const ResrOps resr_ops_c = {
    .name = "c",
    .numerics = RESR_NUMERICS_EXACT,
    .prepare = prepare,
    .release = release,
    .workspace_bytes = workspace_bytes,
    .ctx_create = ctx_create,
    .ctx_free = ctx_free,
    .head = head,
    .dense_block = dense_block,
    .body_end = body_end,
    .compact_body = compact_body,
    .upsample = upsample,
    .attention_block = attention_block,
    .attention_end = attention_end,
    .tail = tail,
    .wait = wait_for,
};
