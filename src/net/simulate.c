#include "net/simulate.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/memory.h"

#define USAGE                                                                                      \
    "expected SECONDS/FRAMES or a number with TF (TFLOP/s), then any of ,jitter=P%% "              \
    ",seed=N ,slow=RANK:FACTOR ,fail=RANK:FRAMES ,time=FACTOR; for instance "                      \
    "simulate:3.2/8,slow=11:4"

/* A wait that ends late shortens the next one, up to this much, as long as there is work. A part
 * then takes the time of its frames even if other programs delay the rank. */
#define MAX_DEBT_NS 100000000

/* Interval at which a wait polls for a request to stop. */
#define POLL_NS 100000000

/* The process's device, from resr_simulation_set(). */
static struct {
    double px_seconds, jitter, frame_px;
    double frames_to_failure; /* infinite: never */
    int64_t idle_until_ns;    /* end of its last idle period */
    const atomic_bool *stop;  /* ends waits; may be NULL */
    uint64_t random;
} device;

/* Parses a number >= 0 followed by `ending`, and moves *text past both. */
static int parse_number(double *out, const char **text, const char *ending)
{
    char *end;
    errno = 0;
    *out = strtod(*text, &end);
    if (end == *text || errno || !(*out >= 0) || !(*out <= 1e15) ||
        strncmp(end, ending, strlen(ending)) != 0)
        return RESR_ERR_USAGE;
    *text = end + strlen(ending);
    return 0;
}

static int parse_speed(ResrSimulation *out, const char **text)
{
    const char *start = *text;
    double frames;
    if (parse_number(&out->flops, text, "TF") == 0) {
        out->flops *= 1e12;
        return out->flops > 0 ? 0 : RESR_ERR_USAGE;
    }
    out->flops = 0;
    *text = start;
    if (parse_number(&out->frame_seconds, text, "/") < 0 || parse_number(&frames, text, "") < 0 ||
        !(frames > 0) || !(out->frame_seconds > 0))
        return RESR_ERR_USAGE;
    out->frame_seconds /= frames;
    return 0;
}

static int parse_option(ResrSimulation *out, const char **text)
{
    double rank, value = 0;
    if (strncmp(*text, "jitter=", 7) == 0) {
        *text += 7;
        int ret = parse_number(&out->jitter, text, "%");
        out->jitter /= 100;
        return ret < 0 || out->jitter > 1 ? RESR_ERR_USAGE : 0;
    }
    if (strncmp(*text, "time=", 5) == 0) {
        *text += 5;
        return parse_number(&out->speedup, text, "") < 0 || !(out->speedup > 0) ? RESR_ERR_USAGE
                                                                                : 0;
    }
    if (strncmp(*text, "seed=", 5) == 0) {
        *text += 5;
        int ret = parse_number(&value, text, "");
        out->seed = (uint64_t)value;
        return ret;
    }
    bool slow = strncmp(*text, "slow=", 5) == 0;
    if (!slow && strncmp(*text, "fail=", 5) != 0)
        return RESR_ERR_USAGE;
    *text += 5;
    if (parse_number(&rank, text, ":") < 0 || rank > 1e6 || parse_number(&value, text, "") < 0 ||
        (slow && !(value > 0)))
        return RESR_ERR_USAGE;
    int32_t *count = slow ? &out->slow_count : &out->fail_count;
    if (*count == RESR_SIMULATION_MAX)
        return RESR_ERR_USAGE;
    (slow ? out->slow : out->fail)[*count].rank = (int32_t)rank;
    (slow ? out->slow : out->fail)[(*count)++].value = value;
    return 0;
}

int resr_simulation_parse(ResrSimulation *out, const char *spec)
{
    const char *text = spec;
    *out = (ResrSimulation){.speedup = 1};
    int ret = parse_speed(out, &text);
    while (ret == 0 && *text == ',') {
        text++;
        ret = parse_option(out, &text);
    }
    return ret < 0 || *text
               ? resr_fail(RESR_ERR_USAGE, "--backend simulate:%s: near '%s': " USAGE, spec, text)
               : 0;
}

double resr_simulation_frame_seconds(const ResrSimulation *simulation, int rank, double frame_flops)
{
    double seconds =
        simulation->frame_seconds > 0 ? simulation->frame_seconds : frame_flops / simulation->flops;
    for (int i = 0; i < simulation->slow_count; i++)
        if (simulation->slow[i].rank == rank)
            seconds *= simulation->slow[i].value;
    return seconds / simulation->speedup;
}

/* SplitMix64's output function (Steele, Lea, Flood): similar inputs give unrelated numbers. */
static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

void resr_simulation_set(const ResrSimulation *simulation, int rank, double frame_px,
                         double frame_flops)
{
    device.px_seconds = resr_simulation_frame_seconds(simulation, rank, frame_flops) / frame_px;
    device.frame_px = frame_px;
    device.jitter = simulation->jitter;
    device.random = mix(simulation->seed ^ mix((uint64_t)rank)) | 1;
    device.frames_to_failure = INFINITY;
    for (int i = 0; i < simulation->fail_count; i++)
        if (simulation->fail[i].rank == rank)
            device.frames_to_failure = simulation->fail[i].value;
}

void resr_simulation_reset_debt(void)
{
    device.idle_until_ns = resr_clock_ns();
}

void resr_simulation_watch(const atomic_bool *stop)
{
    device.stop = stop;
}

typedef struct Context {
    int scale;
    ResrTileIn in;
    double px; /* of the tile, without context */
    double done_px;
    int64_t due_ns; /* when the last tile was due */
} Context;

static int prepare(const ResrOps *self, void **packed, const ResrModel *model)
{
    (void)self;
    int *scale;
    int ret = resr_alloc(&scale, 1, sizeof *scale);
    if (ret == 0)
        *scale = model->spec.scale;
    *packed = scale;
    return ret;
}

static void release(void *packed)
{
    free(packed);
}

static size_t workspace_bytes(const void *packed, int width_px, int height_px, int threads)
{
    (void)packed, (void)width_px, (void)height_px, (void)threads;
    return sizeof(Context);
}

static int ctx_create(void **out, const void *packed, int width_px, int height_px, int threads)
{
    Context *ctx;
    (void)width_px, (void)height_px, (void)threads;
    int ret = resr_alloc(&ctx, 1, sizeof *ctx);
    if (ret == 0)
        *ctx = (Context){.scale = *(const int *)packed};
    *out = ctx;
    return ret;
}

static void ctx_free(void *ctx)
{
    free(ctx);
}

static int head(void *pointer, const ResrTileIn *in)
{
    Context *ctx = pointer;
    ctx->in = *in;
    ctx->px = in->keep_width_px ? (double)in->keep_width_px * in->keep_height_px
                                : (double)in->width_px * in->height_px;
    return 0;
}

static int dense_block(void *ctx, int block, int dense, bool last_of_rrdb)
{
    (void)ctx, (void)block, (void)dense, (void)last_of_rrdb;
    return 0;
}

static int nothing(void *ctx)
{
    (void)ctx;
    return 0;
}

static int upsample(void *ctx, int step)
{
    (void)ctx, (void)step;
    return 0;
}

static int tail(void *pointer, const ResrTileOut *out)
{
    const Context *ctx = pointer;
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < out->height_px; y++) {
            const float *from =
                ctx->in.plane[c] + (size_t)((out->crop_y_px + y) / ctx->scale) * ctx->in.stride;
            for (int x = 0; x < out->width_px; x++)
                out->plane[c][(size_t)y * out->stride + (size_t)x] =
                    from[(out->crop_x_px + x) / ctx->scale];
        }
    return 0;
}

/* A random number between -1 and 1, by xorshift64 (Marsaglia). */
static double next_random(void)
{
    device.random ^= device.random << 13;
    device.random ^= device.random >> 7;
    device.random ^= device.random << 17;
    return (double)(device.random >> 11) * 0x1p-52 - 1;
}

static int wait_for_device(void *pointer, const atomic_bool *stop)
{
    (void)stop; /* device.stop is the same */
    Context *ctx = pointer;
    ctx->done_px += ctx->px;
    if (ctx->done_px > device.frames_to_failure * device.frame_px)
        return resr_fail(RESR_ERR_DEVICE, "the simulated device failed, as requested");
    int64_t now_ns = resr_clock_ns();
    if (now_ns - ctx->due_ns > MAX_DEBT_NS)
        ctx->due_ns = now_ns;
    if (ctx->due_ns < device.idle_until_ns)
        ctx->due_ns = device.idle_until_ns;
    ctx->due_ns +=
        (int64_t)(1e9 * ctx->px * device.px_seconds * (1 + device.jitter * next_random()));
    while ((now_ns = resr_clock_ns()) < ctx->due_ns) {
        int64_t left_ns = ctx->due_ns - now_ns;
        if (device.stop && *device.stop)
            return resr_fail(RESR_ERR_STOPPED, "stopped on request");
        nanosleep(&(struct timespec){0, (long)(left_ns < POLL_NS ? left_ns : POLL_NS)}, NULL);
    }
    return 0;
}

const ResrOps resr_ops_simulate = {
    .name = "simulate",
    .numerics = RESR_NUMERICS_SIMULATED,
    .by_name_only = true,
    .prepare = prepare,
    .release = release,
    .workspace_bytes = workspace_bytes,
    .ctx_create = ctx_create,
    .ctx_free = ctx_free,
    .head = head,
    .dense_block = dense_block,
    .body_end = nothing,
    .compact_body = nothing,
    .upsample = upsample,
    .tail = tail,
    .wait = wait_for_device,
};
