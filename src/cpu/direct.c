#include "cpu/direct.h"

#include <stdlib.h>

#include "base/memory.h"
#include "cpu/packed_net.h"
#include "cpu/pixels.h"
#include "cpu/wave.h"
#include "cpu/workspace.h"

/* The maps of a run. */
enum {
    PIXELS,  /* the head's input */
    FEAT,    /* the head's output, then body_end's */
    RRDB_IN, /* the trunk at the start of an RRDB, but for the first: that is FEAT */
    DENSE,   /* dense blocks go from one into the other; SRVGG: the body's maps */
    DENSE_2,
    UP1,      /* twice the body's size */
    UP2,      /* four times the body's size, rings of rows: this one, */
    HIGH_RES, /* and conv_hr's output */
    LAST,     /* the last layer's output */
    N_MAPS
};

/* Bounds the rings of the tail's wave, whatever the number of threads. */
#define MAX_TAIL_ROWS 8

typedef struct Run {
    const ResrPackedNet *net;
    int threads, tail_rows; /* tail_rows: of a step of the tail's wave */
    ResrTileIn in;
    ResrTileOut out;
    ResrPixelsSink sink;
    int width, height; /* of the body */
    ResrRect keep;     /* of the body: what the tail makes pixels of */
    int current;       /* DENSE or DENSE_2: which holds the trunk */
    ResrMap maps[N_MAPS];
    size_t offsets[N_MAPS]; /* in `memory`, floats */
    float *memory;
    ResrWave *waves; /* queued by the stages, run by wait */
    int n_waves, max_waves;
} Run;

typedef struct MapShape {
    int blocks, enlarged, ring_rows; /* blocks 0: not used; ring_rows 0: all rows */
} MapShape;

static int is_rrdb(const ResrPackedNet *net)
{
    return net->spec.arch == RESR_ARCH_RRDB;
}

static void list_maps(MapShape shapes[N_MAPS], const ResrPackedNet *net, int tail_rows)
{
    const ResrNetSpec *spec = &net->spec;
    int nf_blocks = resr_blocks(spec->nf), ring = resr_wave_ring_rows(tail_rows);
    int dense_blocks = nf_blocks + 4 * resr_blocks(spec->gc);
    for (int i = 0; i < N_MAPS; i++)
        shapes[i] = (MapShape){0, 1, 0};
    shapes[PIXELS].blocks = resr_blocks(3 * spec->unshuffle * spec->unshuffle);
    shapes[DENSE].blocks = shapes[DENSE_2].blocks = dense_blocks;
    if (!is_rrdb(net)) {
        shapes[LAST].blocks = resr_blocks(3 * spec->scale * spec->scale);
        return;
    }
    shapes[FEAT].blocks = shapes[RRDB_IN].blocks = nf_blocks;
    shapes[UP1] = (MapShape){nf_blocks, 2, 0};
    shapes[UP2] = shapes[HIGH_RES] = (MapShape){nf_blocks, 4, ring};
    shapes[LAST] = (MapShape){1, 4, tail_rows};
}

/* Places the maps for a body of width x height one after the other; returns their floats. */
static size_t place_maps(size_t offsets[N_MAPS], const ResrPackedNet *net, int width, int height,
                         int tail_rows)
{
    MapShape shapes[N_MAPS];
    size_t total = 0;
    list_maps(shapes, net, tail_rows);
    for (int i = 0; i < N_MAPS; i++) {
        int rows = shapes[i].ring_rows ? shapes[i].ring_rows : height * shapes[i].enlarged;
        offsets[i] = total;
        total += resr_map_floats(shapes[i].blocks, width * shapes[i].enlarged, rows);
    }
    return total;
}

size_t resr_direct_workspace_bytes(const void *packed, int width_px, int height_px)
{
    const ResrPackedNet *net = packed;
    size_t offsets[N_MAPS];
    int width = width_px / net->spec.unshuffle, height = height_px / net->spec.unshuffle;
    return place_maps(offsets, net, width, height, MAX_TAIL_ROWS) * sizeof(float);
}

void resr_direct_run_free(void *context)
{
    Run *run = context;
    if (!run)
        return;
    free(run->memory);
    free(run->waves);
    free(run);
}

int resr_direct_run_create(void **out, const void *packed, int width_px, int height_px, int threads)
{
    Run *run = NULL;
    const ResrPackedNet *net = packed;
    int width = width_px / net->spec.unshuffle, height = height_px / net->spec.unshuffle;
    int ret = resr_alloc(&run, 1, sizeof *run);
    if (ret < 0)
        goto cleanup;
    run->net = net;
    run->threads = threads;
    int tail_rows = resr_wave_rows(width * 4, threads);
    run->tail_rows = tail_rows < MAX_TAIL_ROWS ? tail_rows : MAX_TAIL_ROWS;
    run->max_waves = net->n_convs; /* a wave has one layer at least */
    ret = resr_alloc(&run->waves, (size_t)run->max_waves, sizeof *run->waves);
    if (ret == 0)
        ret = resr_workspace_alloc(&run->memory,
                                   place_maps(run->offsets, net, width, height, run->tail_rows));
cleanup:
    if (ret < 0) {
        resr_direct_run_free(run);
        run = NULL;
    }
    *out = run;
    return ret;
}

static int max_int(int a, int b)
{
    return a > b ? a : b;
}

static int min_int(int a, int b)
{
    return a < b ? a : b;
}

/* A rectangle with `margin` pixels around it, as far as a width x height map goes. */
static ResrRect grow(ResrRect rect, int margin, int width, int height)
{
    return (ResrRect){.x0 = max_int(rect.x0 - margin, 0),
                      .y0 = max_int(rect.y0 - margin, 0),
                      .x1 = min_int(rect.x1 + margin, width),
                      .y1 = min_int(rect.y1 + margin, height)};
}

/* The body's pixels that are needed where `after` more 3x3 convolutions of the body follow. At its
 * end, RRDB's four convolutions at twice and four times the size reach 2 body pixels further. */
static ResrRect needed(const Run *run, int after)
{
    int end = is_rrdb(run->net) ? 2 : 0;
    return grow(run->keep, end + after, run->width, run->height);
}

static ResrLayer layer_of(const Run *run, int conv, int in, int out, ResrRect rect)
{
    return (ResrLayer){.conv = &run->net->convs[conv],
                       .kernels = run->net->kernels,
                       .in = &run->maps[in],
                       .out = &run->maps[out],
                       .factor = 1.0f,
                       .needed = rect};
}

/* Queues a wave, of as many layers as the caller then fills in. */
static ResrWave *queue_wave(Run *run, int layers, int rows)
{
    if (run->n_waves == run->max_waves) {
        resr_fail(RESR_ERR_INTERNAL, "more stages than the network has convolutions");
        return NULL;
    }
    ResrWave *wave = &run->waves[run->n_waves++];
    wave->count = layers;
    wave->rows = rows;
    return wave;
}

static int queue_layer(Run *run, ResrLayer layer)
{
    ResrWave *wave = queue_wave(run, 1, layer.out->height);
    if (!wave)
        return RESR_ERR_INTERNAL;
    wave->layers[0] = layer;
    return 0;
}

static void set_maps(Run *run)
{
    MapShape shapes[N_MAPS];
    list_maps(shapes, run->net, run->tail_rows);
    for (int i = 0; i < N_MAPS; i++) {
        int width = run->width * shapes[i].enlarged, height = run->height * shapes[i].enlarged;
        int rows = shapes[i].ring_rows ? shapes[i].ring_rows : height;
        if (shapes[i].blocks > 0)
            resr_map_set(&run->maps[i], run->memory + run->offsets[i], shapes[i].blocks, width,
                         height, rows);
    }
}

int resr_direct_head(void *context, const ResrTileIn *in)
{
    Run *run = context;
    const ResrNetSpec *spec = &run->net->spec;
    int factor = spec->unshuffle, rrdb = is_rrdb(run->net);
    run->in = *in;
    run->n_waves = 0;
    run->current = DENSE;
    run->width = in->width_px / factor;
    run->height = in->height_px / factor;
    run->keep = (ResrRect){0, 0, run->width, run->height};
    if (in->keep_width_px > 0)
        run->keep = (ResrRect){in->keep_x_px / factor, in->keep_y_px / factor,
                               (in->keep_x_px + in->keep_width_px) / factor,
                               (in->keep_y_px + in->keep_height_px) / factor};
    set_maps(run);
    for (int y = 0; y < run->height; y++)
        resr_pixels_load_row(&run->maps[PIXELS], in, factor, y);

    int after = rrdb ? 15 * spec->num_blocks + 1 : spec->num_blocks + 1;
    ResrLayer layer = layer_of(run, 0, PIXELS, run->current, needed(run, after));
    layer.copy = rrdb ? &run->maps[FEAT] : NULL;
    return queue_layer(run, layer);
}

int resr_direct_dense_block(void *context, int block, int dense, int last_of_rrdb)
{
    Run *run = context;
    const ResrNetSpec *spec = &run->net->spec;
    int index = block * 3 + dense, in = run->current, next = in == DENSE ? DENSE_2 : DENSE;
    int after = 1 + 5 * (3 * spec->num_blocks - 1 - index); /* convolutions after this block */
    ResrWave *wave = queue_wave(run, 5, resr_wave_rows(run->width, run->threads));
    if (!wave)
        return RESR_ERR_INTERNAL;
    for (int k = 0; k < 5; k++) {
        ResrLayer *layer = &wave->layers[k];
        *layer = layer_of(run, 1 + index * 5 + k, in, in, needed(run, after + 4 - k));
        layer->out_block = resr_blocks(spec->nf) + k * resr_blocks(spec->gc);
    }
    ResrLayer *last = &wave->layers[4];
    last->out = &run->maps[next];
    last->out_block = 0;
    last->residual = &run->maps[in];
    last->factor = 0.2f;
    if (last_of_rrdb) {
        last->trunk = &run->maps[block == 0 ? FEAT : RRDB_IN];
        last->copy = &run->maps[RRDB_IN];
    }
    run->current = next;
    return 0;
}

int resr_direct_body_end(void *context)
{
    Run *run = context;
    ResrLayer layer = layer_of(run, run->net->n_convs - 5, run->current, FEAT, needed(run, 0));
    layer.residual = &run->maps[FEAT];
    return queue_layer(run, layer);
}

int resr_direct_compact_body(void *context)
{
    Run *run = context;
    int ret = 0;
    for (int i = 1; ret == 0 && i <= run->net->spec.num_blocks; i++) {
        int next = run->current == DENSE ? DENSE_2 : DENSE;
        ResrRect rect = needed(run, run->net->spec.num_blocks + 1 - i);
        ret = queue_layer(run, layer_of(run, i, run->current, next, rect));
        run->current = next;
    }
    return ret;
}

/* The second step is the tail's affair: its output would be the largest map of all. */
int resr_direct_upsample(void *context, int step)
{
    Run *run = context;
    const ResrRect *keep = &run->keep;
    if (step != 0)
        return 0;
    ResrRect twice = {keep->x0 * 2, keep->y0 * 2, keep->x1 * 2, keep->y1 * 2};
    ResrRect rect = grow(twice, 2, run->width * 2, run->height * 2);
    ResrLayer layer = layer_of(run, run->net->n_convs - 4, FEAT, UP1, rect);
    layer.nearest = 1;
    return queue_layer(run, layer);
}

static int tail_rrdb(Run *run)
{
    int width = run->width * 4, height = run->height * 4, first = run->net->n_convs - 3;
    const ResrTileOut *out = &run->out;
    ResrRect rect = {out->crop_x_px, out->crop_y_px, out->crop_x_px + out->width_px,
                     out->crop_y_px + out->height_px};
    ResrRect up2_rect = grow(rect, 2, width, height);
    up2_rect.x0 &= ~1;
    up2_rect.x1 = (up2_rect.x1 + 1) & ~1;
    ResrWave *wave = queue_wave(run, 3, run->tail_rows);
    if (!wave)
        return RESR_ERR_INTERNAL;
    wave->layers[0] = layer_of(run, first, UP1, UP2, up2_rect);
    wave->layers[0].nearest = 1;
    wave->layers[1] = layer_of(run, first + 1, UP2, HIGH_RES, grow(rect, 1, width, height));
    wave->layers[2] = layer_of(run, first + 2, HIGH_RES, LAST, rect);
    wave->layers[2].finish = resr_pixels_store;
    wave->layers[2].context = &run->sink;
    return 0;
}

static int tail_srvgg(Run *run)
{
    int scale = run->net->spec.scale;
    const ResrTileOut *out = &run->out;
    ResrRect rect = {out->crop_x_px / scale, out->crop_y_px / scale,
                     (out->crop_x_px + out->width_px + scale - 1) / scale,
                     (out->crop_y_px + out->height_px + scale - 1) / scale};
    ResrLayer layer = layer_of(run, run->net->n_convs - 1, run->current, LAST, rect);
    layer.finish = resr_pixels_store_shuffled;
    layer.context = &run->sink;
    return queue_layer(run, layer);
}

int resr_direct_tail(void *context, const ResrTileOut *out)
{
    Run *run = context;
    run->out = *out;
    run->sink = (ResrPixelsSink){&run->in, &run->out, run->net->spec.scale};
    return is_rrdb(run->net) ? tail_rrdb(run) : tail_srvgg(run);
}

int resr_direct_submit(void *context)
{
    (void)context;
    return 0;
}

int resr_direct_wait(void *context)
{
    Run *run = context;
    resr_waves_run(run->waves, run->n_waves, run->threads);
    run->n_waves = 0;
    return 0;
}
