#include "cpu/forward.h"

#include <stdlib.h>

#include "base/memory.h"
#include "cpu/pixels.h"
#include "cpu/wavefront.h"
#include "cpu/winograd.h"
#include "cpu/workspace.h"

/* The maps of a run. */
enum {
    PIXELS,  /* the head's input */
    FEAT,    /* the head's output, then body_end's */
    RRDB_IN, /* the trunk at the start of an RRDB, but for the first: that is FEAT */
    TRUNK,   /* the body's input and output, with conv1..4's outputs behind it unless V is shared */
    TRUNK_2, /* dense blocks go from one into the other, unless V is shared; SRVGG: so do waves */
    INNER,   /* rings of rows: outputs of conv1..4 if V is shared; SRVGG: inside a wave */
    UP1 = INNER + RESR_WAVEFRONT_LAYERS - 1, /* twice the body's size */
    UP2,      /* four times the body's size, rings of rows: this one, */
    HIGH_RES, /* and conv_hr's output */
    LAST,     /* the last layer's output */
    N_MAPS
};

/* Bounds the rings, whatever the number of threads: rows of a step of the tail's wave, of others.
 */
enum { MAX_TAIL_ROWS = 8, MAX_BODY_ROWS = 32 };

typedef struct Run {
    const ResrPackedNet *net;
    int threads, body_rows, tail_rows; /* rows: of a step of a wave */
    ResrTileIn in;
    ResrTileOut out;
    ResrPixelsSink sink;
    int width, height; /* of the body */
    ResrRect body_end; /* of the body: what its end has to give, for what is kept of the output */
    ResrRect up1, up2, high_res, last; /* the same of these maps */
    int current;                       /* TRUNK or TRUNK_2: which holds the trunk */
    ResrFeatureMap maps[N_MAPS];
    ResrWinogradRing ring;      /* a dense block's transformed inputs */
    size_t offsets[N_MAPS + 2]; /* of maps, ring and scratch in `memory`, floats */
    float *memory;
    size_t scratch_bytes; /* of a thread */
    ResrWavefront *waves; /* queued by the stages, run by wait */
    int n_waves, max_waves;
} Run;

typedef struct MapShape {
    int blocks, enlarged, ring_rows; /* blocks 0: not used; ring_rows 0: all rows */
} MapShape;

static int is_rrdb(const ResrPackedNet *net)
{
    return net->spec.arch == RESR_ARCH_RRDB;
}

/* Whether the convolutions of a dense block share transformed inputs. */
static int shares_v(const ResrPackedNet *net)
{
    return is_rrdb(net) && net->body->winograd && net->body->winograd->shared;
}

/* Of a square that kernels compute as a whole. */
static int grid_px(const ResrConvKernels *kernels)
{
    return kernels->winograd ? kernels->winograd->outputs : 1;
}

static int max_int(int a, int b)
{
    return a > b ? a : b;
}

static int min_int(int a, int b)
{
    return a < b ? a : b;
}

static void list_maps(MapShape shapes[N_MAPS], const ResrPackedNet *net, int body_rows,
                      int tail_rows)
{
    const ResrNetSpec *spec = &net->spec;
    int shared = shares_v(net);
    int nf_blocks = resr_blocks(spec->nf), gc_blocks = resr_blocks(spec->gc);
    int inner = is_rrdb(net) ? (shared ? gc_blocks : 0) : nf_blocks;
    for (int i = 0; i < N_MAPS; i++)
        shapes[i] = (MapShape){0, 1, 0};
    shapes[PIXELS].blocks = resr_blocks(3 * spec->unshuffle * spec->unshuffle);
    for (int i = INNER; i < UP1; i++)
        shapes[i] = (MapShape){inner, 1, resr_wavefront_ring_rows(body_rows)};
    shapes[TRUNK].blocks = shapes[TRUNK_2].blocks = nf_blocks;
    if (!is_rrdb(net)) {
        shapes[LAST].blocks = resr_blocks(3 * spec->scale * spec->scale);
        return;
    }
    if (shared)
        shapes[TRUNK_2].blocks = 0;
    else
        shapes[TRUNK].blocks = shapes[TRUNK_2].blocks = nf_blocks + 4 * gc_blocks;
    shapes[FEAT].blocks = shapes[RRDB_IN].blocks = nf_blocks;
    int tail_ring = resr_wavefront_ring_rows(tail_rows);
    shapes[UP1] = (MapShape){nf_blocks, 2, 0};
    shapes[UP2] = shapes[HIGH_RES] = (MapShape){nf_blocks, 4, tail_ring};
    shapes[LAST] = (MapShape){1, 4, tail_rows};
}

/* Lays out a dense block's transformed inputs; returns their bytes. A row of conv k's output is
 * transformed by conv k + 1, two steps of the wave later, and last read by conv5, 8 - 2k later. */
static size_t set_ring(ResrWinogradRing *ring, const ResrPackedNet *net, int width, int body_rows)
{
    const ResrWinogradKernels *kernels = net->body->winograd;
    int cells[RESR_WINOGRAD_RING_GROUPS], tile_rows[RESR_WINOGRAD_RING_GROUPS];
    if (!shares_v(net))
        return 0;
    for (int k = 0; k < RESR_WINOGRAD_RING_GROUPS; k++) {
        cells[k] = resr_winograd_cells(kernels, k == 0 ? net->spec.nf : net->spec.gc);
        tile_rows[k] = (2 * (4 - k) + 1) * (body_rows / kernels->outputs);
    }
    return resr_winograd_ring_set(ring, kernels, width, cells, tile_rows);
}

/* Of a thread. */
static size_t scratch_bytes(const ResrPackedNet *net)
{
    size_t most = 0;
    for (int i = 0; i < net->n_convs; i++) {
        const ResrWinogradKernels *kernels = net->convs[i].kernels->winograd;
        size_t bytes = kernels ? resr_winograd_scratch_bytes(kernels, net->convs[i].in_cells) : 0;
        most = bytes > most ? bytes : most;
    }
    return most;
}

/* Places the maps for a body of width x height, the ring and the threads' scratch one after the
 * other; returns their floats. */
static size_t place(size_t offsets[N_MAPS + 2], const ResrPackedNet *net, int width, int height,
                    int threads, int body_rows, int tail_rows)
{
    MapShape shapes[N_MAPS];
    ResrWinogradRing ring;
    size_t total = 0;
    list_maps(shapes, net, body_rows, tail_rows);
    for (int i = 0; i < N_MAPS; i++) {
        int rows = shapes[i].ring_rows ? shapes[i].ring_rows : height * shapes[i].enlarged;
        offsets[i] = total;
        if (shapes[i].blocks > 0)
            total += resr_feature_map_floats(shapes[i].blocks, width * shapes[i].enlarged, rows);
    }
    offsets[N_MAPS] = total;
    total += set_ring(&ring, net, width, body_rows) / sizeof(float);
    offsets[N_MAPS + 1] = total;
    return total + scratch_bytes(net) / sizeof(float) * (size_t)threads;
}

/* Pixels of a thread in a step. Shared V asks for few, to stay in cache. Others do better with
 * whole rows of tiles for a thread, since weights are read once for each part of one: x4plus in
 * fp32, 128 px, two threads of an Emerald Rapids (2026-11-30) took 0.84 s with 512 and 0.95 with
 * 256. */
static int thread_px(const ResrPackedNet *net)
{
    return shares_v(net) ? 256 : 512;
}

static int body_rows_for(const ResrPackedNet *net, int width, int threads)
{
    return min_int(resr_wavefront_rows(width, thread_px(net), threads, grid_px(net->body)),
                   MAX_BODY_ROWS);
}

static int tail_rows_for(const ResrPackedNet *net, int width, int threads)
{
    return min_int(resr_wavefront_rows(width * 4, thread_px(net), threads, grid_px(net->ends)),
                   MAX_TAIL_ROWS);
}

size_t resr_forward_workspace_bytes(const void *packed, int width_px, int height_px, int threads)
{
    const ResrPackedNet *net = packed;
    size_t offsets[N_MAPS + 2];
    int width = width_px / net->spec.unshuffle, height = height_px / net->spec.unshuffle;
    return net->memory_bytes + place(offsets, net, width, height, threads,
                                     body_rows_for(net, width, threads),
                                     tail_rows_for(net, width, threads)) *
                                   sizeof(float);
}

void resr_forward_run_free(void *context)
{
    Run *run = context;
    if (!run)
        return;
    free(run->memory);
    free(run->waves);
    free(run);
}

int resr_forward_run_create(void **out, const void *packed, int width_px, int height_px,
                            int threads)
{
    Run *run = NULL;
    const ResrPackedNet *net = packed;
    int width = width_px / net->spec.unshuffle, height = height_px / net->spec.unshuffle;
    int ret = resr_alloc(&run, 1, sizeof *run);
    if (ret < 0)
        goto cleanup;
    run->net = net;
    run->threads = threads;
    run->body_rows = body_rows_for(net, width, threads);
    run->tail_rows = tail_rows_for(net, width, threads);
    run->scratch_bytes = scratch_bytes(net);
    run->max_waves = net->n_convs; /* a wave has one layer at least */
    ret = resr_alloc(&run->waves, (size_t)run->max_waves, sizeof *run->waves);
    if (ret == 0)
        ret = resr_workspace_alloc(&run->memory, place(run->offsets, net, width, height, threads,
                                                       run->body_rows, run->tail_rows));
cleanup:
    if (ret < 0) {
        resr_forward_run_free(run);
        run = NULL;
    }
    *out = run;
    return ret;
}

static void set_maps(Run *run)
{
    MapShape shapes[N_MAPS];
    list_maps(shapes, run->net, run->body_rows, run->tail_rows);
    for (int i = 0; i < N_MAPS; i++) {
        int width = run->width * shapes[i].enlarged, height = run->height * shapes[i].enlarged;
        int rows = shapes[i].ring_rows ? shapes[i].ring_rows : height;
        if (shapes[i].blocks > 0)
            resr_feature_map_set(&run->maps[i], run->memory + run->offsets[i], shapes[i].blocks,
                                 width, height, rows);
    }
    set_ring(&run->ring, run->net, run->width, run->body_rows);
    run->ring.data = (char *)(run->memory + run->offsets[N_MAPS]);
}

/* A rectangle with `margin` pixels around it, extended to a grid, as far as a width x height map
 * goes. */
static ResrRect grow(ResrRect rect, int margin, int grid, int width, int height)
{
    return (ResrRect){.x0 = max_int(rect.x0 - margin, 0) / grid * grid,
                      .y0 = max_int(rect.y0 - margin, 0) / grid * grid,
                      .x1 = min_int((rect.x1 + margin + grid - 1) / grid * grid, width),
                      .y1 = min_int((rect.y1 + margin + grid - 1) / grid * grid, height)};
}

/* What is read of a map behind which a nearest enlargement and a convolution of `rect` follow. */
static ResrRect before_nearest(ResrRect rect, int grid, int width, int height)
{
    ResrRect read = {(rect.x0 - 1) >> 1, (rect.y0 - 1) >> 1, rect.x1 / 2 + 1, rect.y1 / 2 + 1};
    return grow(read, 0, grid, width, height);
}

/* From the part of the output that is kept back to the end of the body. */
static void find_needed(Run *run)
{
    const ResrTileIn *in = &run->in;
    int factor = run->net->spec.unshuffle, grid = grid_px(run->net->ends);
    int width = run->width, height = run->height;
    ResrRect keep = {0, 0, width, height};
    if (in->keep_width_px > 0)
        keep = (ResrRect){in->keep_x_px / factor, in->keep_y_px / factor,
                          (in->keep_x_px + in->keep_width_px) / factor,
                          (in->keep_y_px + in->keep_height_px) / factor};
    run->body_end = grow(keep, 0, grid, width, height);
    if (!is_rrdb(run->net))
        return;
    ResrRect output = {keep.x0 * 4, keep.y0 * 4, keep.x1 * 4, keep.y1 * 4};
    int even_grid = grid > 1 ? grid : 2; /* kernels behind an enlargement start at even columns */
    run->last = grow(output, 0, grid, width * 4, height * 4);
    run->high_res = grow(run->last, 1, grid, width * 4, height * 4);
    run->up2 = grow(run->high_res, 1, even_grid, width * 4, height * 4);
    run->up1 = before_nearest(run->up2, even_grid, width * 2, height * 2);
    run->body_end = before_nearest(run->up1, grid, width, height);
}

/* The pixels of a convolution of the body, or the first, that are needed where `after` more 3x3
 * convolutions follow up to the body's end. */
static ResrRect needed(const Run *run, int conv, int after)
{
    int margin = after * grid_px(run->net->body);
    return grow(run->body_end, margin, grid_px(run->net->convs[conv].kernels), run->width,
                run->height);
}

static ResrLayer layer_of(const Run *run, int conv, int in, int out, ResrRect rect)
{
    return (ResrLayer){.conv = &run->net->convs[conv],
                       .in = &run->maps[in],
                       .out = &run->maps[out],
                       .factor = 1.0f,
                       .needed = rect,
                       .scratch = (char *)(run->memory + run->offsets[N_MAPS + 1]),
                       .scratch_bytes = run->scratch_bytes};
}

/* Queues a wave, of as many layers as the caller then fills in. */
static ResrWavefront *queue_wave(Run *run, int layers, int rows)
{
    if (run->n_waves == run->max_waves) {
        resr_fail(RESR_ERR_INTERNAL, "more stages than the network has convolutions");
        return NULL;
    }
    ResrWavefront *wave = &run->waves[run->n_waves++];
    wave->count = layers;
    wave->rows = rows;
    return wave;
}

static int queue_layer(Run *run, ResrLayer layer)
{
    int grid = grid_px(layer.conv->kernels);
    ResrWavefront *wave = queue_wave(run, 1, (layer.out->height + grid - 1) / grid * grid);
    if (!wave)
        return RESR_ERR_INTERNAL;
    wave->layers[0] = layer;
    return 0;
}

int resr_forward_head(void *context, const ResrTileIn *in)
{
    Run *run = context;
    const ResrNetSpec *spec = &run->net->spec;
    int factor = spec->unshuffle, rrdb = is_rrdb(run->net);
    run->in = *in;
    run->n_waves = 0;
    run->current = TRUNK;
    run->width = in->width_px / factor;
    run->height = in->height_px / factor;
    find_needed(run);
    set_maps(run);
    for (int y = 0; y < run->height; y++)
        resr_pixels_load_row(&run->maps[PIXELS], in, factor, y);

    int after = rrdb ? 15 * spec->num_blocks + 1 : spec->num_blocks + 1;
    ResrLayer layer = layer_of(run, 0, PIXELS, run->current, needed(run, 0, after));
    layer.copy = rrdb ? &run->maps[FEAT] : NULL;
    return queue_layer(run, layer);
}

/* conv1..4 append to the map they read. With shared V, conv k reads what is new to it, the last
 * output, and the rest from the ring. */
static ResrLayer dense_layer(const Run *run, int conv, int k, ResrRect rect)
{
    const ResrNetSpec *spec = &run->net->spec;
    if (!shares_v(run->net)) {
        ResrLayer layer = layer_of(run, conv, run->current, run->current, rect);
        layer.out_block = resr_blocks(spec->nf) + k * resr_blocks(spec->gc);
        return layer;
    }
    int in = k == 0 ? TRUNK : INNER + k - 1, out = k == 4 ? TRUNK : INNER + k;
    ResrLayer layer = layer_of(run, conv, in, out, rect);
    layer.ring = &run->ring;
    layer.new_cell = run->ring.first_cell[k];
    return layer;
}

int resr_forward_dense_block(void *context, int block, int dense, int last_of_rrdb)
{
    Run *run = context;
    const ResrNetSpec *spec = &run->net->spec;
    int index = block * 3 + dense, in = run->current;
    int after = 1 + 5 * (3 * spec->num_blocks - 1 - index); /* convolutions after this block */
    ResrWavefront *wave = queue_wave(run, 5, run->body_rows);
    if (!wave)
        return RESR_ERR_INTERNAL;
    for (int k = 0; k < 5; k++) {
        int conv = 1 + index * 5 + k;
        wave->layers[k] = dense_layer(run, conv, k, needed(run, conv, after + 4 - k));
    }
    if (!shares_v(run->net))
        run->current = in == TRUNK ? TRUNK_2 : TRUNK;
    ResrLayer *last = &wave->layers[4];
    last->out = &run->maps[run->current];
    last->out_block = 0;
    last->residual = &run->maps[in];
    last->factor = 0.2f;
    if (last_of_rrdb) {
        last->trunk = &run->maps[block == 0 ? FEAT : RRDB_IN];
        last->copy = &run->maps[RRDB_IN];
    }
    return 0;
}

int resr_forward_body_end(void *context)
{
    Run *run = context;
    ResrLayer layer = layer_of(run, run->net->n_convs - 5, run->current, FEAT, run->body_end);
    layer.residual = &run->maps[FEAT];
    return queue_layer(run, layer);
}

/* In waves of a few layers each, from one of the trunk's maps to the other. */
int resr_forward_compact_body(void *context)
{
    Run *run = context;
    int blocks = run->net->spec.num_blocks;
    for (int done = 0; done < blocks;) {
        int layers = min_int(RESR_WAVEFRONT_LAYERS, blocks - done);
        int next = run->current == TRUNK ? TRUNK_2 : TRUNK;
        ResrWavefront *wave = queue_wave(run, layers, run->body_rows);
        if (!wave)
            return RESR_ERR_INTERNAL;
        for (int k = 0; k < layers; k++, done++)
            wave->layers[k] =
                layer_of(run, 1 + done, k == 0 ? run->current : INNER + k - 1,
                         k == layers - 1 ? next : INNER + k, needed(run, 1 + done, blocks - done));
        run->current = next;
    }
    return 0;
}

/* The second step is the tail's affair: its output would be the largest map of all. */
int resr_forward_upsample(void *context, int step)
{
    Run *run = context;
    if (step != 0)
        return 0;
    ResrLayer layer = layer_of(run, run->net->n_convs - 4, FEAT, UP1, run->up1);
    layer.nearest = 1;
    return queue_layer(run, layer);
}

static int tail_rrdb(Run *run)
{
    int first = run->net->n_convs - 3;
    ResrWavefront *wave = queue_wave(run, 3, run->tail_rows);
    if (!wave)
        return RESR_ERR_INTERNAL;
    wave->layers[0] = layer_of(run, first, UP1, UP2, run->up2);
    wave->layers[0].nearest = 1;
    wave->layers[1] = layer_of(run, first + 1, UP2, HIGH_RES, run->high_res);
    wave->layers[2] = layer_of(run, first + 2, HIGH_RES, LAST, run->last);
    wave->layers[2].finish = resr_pixels_store;
    wave->layers[2].context = &run->sink;
    return 0;
}

static int tail_srvgg(Run *run)
{
    ResrLayer layer = layer_of(run, run->net->n_convs - 1, run->current, LAST, run->body_end);
    layer.finish = resr_pixels_store_shuffled;
    layer.context = &run->sink;
    return queue_layer(run, layer);
}

int resr_forward_tail(void *context, const ResrTileOut *out)
{
    Run *run = context;
    run->out = *out;
    run->sink = (ResrPixelsSink){&run->in, &run->out, run->net->spec.scale, false};
    return is_rrdb(run->net) ? tail_rrdb(run) : tail_srvgg(run);
}

int resr_forward_submit(void *context)
{
    (void)context;
    return 0;
}

int resr_forward_wait(void *context)
{
    Run *run = context;
    for (int i = 0; i < run->n_waves; i++)
        for (int k = 0; k < run->waves[i].count; k++)
            resr_layer_prepare(&run->waves[i].layers[k]);
    resr_wavefronts_run(run->waves, run->n_waves, run->threads);
    run->n_waves = 0;
    return run->sink.not_finite ? RESR_NOT_FINITE : 0;
}

void resr_forward_release(void *packed)
{
    resr_packed_net_free(packed);
}
