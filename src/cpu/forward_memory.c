#include "cpu/forward_memory.h"

#include "base/memory.h"
#include "base/minmax.h"

/* Most rows of a step. */
enum { MAX_ROWS = 128 };

typedef struct MapShape {
    int blocks;    /* 0: not used */
    int enlarged;  /* width and height, in those of the body */
    int step_rows; /* of a line buffer; 0: a whole map */
    int distance;  /* from a line buffer's first layer to the last one that reads it */
    int panel_px;  /* of a line buffer, in its own columns */
} MapShape;

bool resr_forward_shares_v(const ResrPackedNet *net)
{
    return resr_spec_is_rrdb(&net->spec) && net->body->winograd && net->body->winograd->shared;
}

int resr_grid_px(const ResrConvKernels *kernels)
{
    return kernels->winograd ? kernels->winograd->outputs : 1;
}

int resr_max_grid_px(const ResrPackedNet *net)
{
    return resr_max(resr_grid_px(net->body), resr_grid_px(net->ends));
}

static int round_up(int value, int multiple)
{
    return (int)resr_round_up((size_t)value, (size_t)multiple);
}

/* Pixels of a thread in a step. Shared V stays in cache with few pixels. Otherwise more are better,
 * since the weights are read once for each piece of a row: x4plus in fp32 on 128 x 128 pixels took
 * 0.84 s with 512 and 0.95 s with 256 (two threads of an Emerald Rapids, 2026-11-30). */
static int thread_px(const ResrPackedNet *net)
{
    return resr_forward_shares_v(net) ? 256 : 512;
}

static int panel_of(int width, int panel_px)
{
    int panels = (width + panel_px - 1) / panel_px;
    return resr_max(round_up((width + panels - 1) / panels, 4), RESR_MIN_PANEL_PX);
}

static int rows_of(const ResrPackedNet *net, int width, int height, int threads, int grid)
{
    int rows = resr_wavefront_rows(width, thread_px(net), threads, grid);
    return resr_min(resr_min(rows, MAX_ROWS), round_up(height, grid));
}

ResrForwardCut resr_forward_cut(const ResrPackedNet *net, int width, int height, int threads,
                                int panel_px)
{
    int steps = resr_spec_enlargements(&net->spec), grid = resr_grid_px(net->ends);
    ResrForwardCut cut = {.body_panel_px = panel_of(width, panel_px),
                          .tail_panel_px =
                              panel_of(width, resr_max(panel_px >> steps, RESR_MIN_PANEL_PX))};
    cut.body_rows =
        rows_of(net, resr_min(width, cut.body_panel_px), height, threads,
                resr_forward_shares_v(net) ? resr_grid_px(net->body) : resr_max_grid_px(net));
    if (steps > 1)
        grid <<= steps - 1; /* so that the first conv_up's rows are on the grid */
    cut.tail_rows =
        rows_of(net, resr_min(width, cut.tail_panel_px) << steps, height << steps, threads, grid);
    return cut;
}

int resr_forward_ends_rows(const ResrPackedNet *net, const ResrForwardCut *cut)
{
    return round_up(cut->body_rows, resr_grid_px(net->ends));
}

int resr_forward_up_rows(const ResrPackedNet *net, const ResrForwardCut *cut, int step)
{
    return cut->tail_rows >> (resr_spec_enlargements(&net->spec) - 1 - step);
}

static MapShape whole_map(int blocks)
{
    return (MapShape){.blocks = blocks, .enlarged = 1};
}

static MapShape body_buffer(const ResrForwardCut *cut, int blocks, int distance)
{
    return (MapShape){blocks, 1, cut->body_rows, distance, cut->body_panel_px};
}

static void list_compact_maps(MapShape shapes[RESR_MAP_COUNT], const ResrPackedNet *net,
                              const ResrForwardCut *cut)
{
    const ResrNetSpec *spec = &net->spec;
    int nf_blocks = resr_blocks(spec->nf);
    shapes[RESR_MAP_TRUNK] = shapes[RESR_MAP_TRUNK_2] = whole_map(nf_blocks);
    for (int i = RESR_MAP_INNER; i < RESR_MAP_UP; i++)
        shapes[i] = body_buffer(cut, nf_blocks, 1);
    shapes[RESR_MAP_LAST] =
        body_buffer(cut, resr_blocks(spec->channels * spec->scale * spec->scale), 0);
    if (spec->arch != RESR_ARCH_SPAN)
        return;
    shapes[RESR_MAP_FEAT] = whole_map(4 * nf_blocks);
    shapes[RESR_MAP_INNER + 2].distance =
        3; /* a block's output is added at the end of the next one */
}

static void list_rrdb_maps(MapShape shapes[RESR_MAP_COUNT], const ResrPackedNet *net,
                           const ResrForwardCut *cut)
{
    const ResrNetSpec *spec = &net->spec;
    int nf_blocks = resr_blocks(spec->nf), gc_blocks = resr_blocks(spec->gc);
    int steps = resr_spec_enlargements(spec), enlarged = 1 << steps;
    shapes[RESR_MAP_FEAT] = shapes[RESR_MAP_RRDB_IN] = shapes[RESR_MAP_TRUNK] =
        whole_map(nf_blocks);
    if (resr_forward_shares_v(net))
        for (int i = 0; i < 4; i++)
            shapes[RESR_MAP_INNER + i] = body_buffer(cut, gc_blocks, 1);
    else
        shapes[RESR_MAP_DENSE] = body_buffer(cut, nf_blocks + 4 * gc_blocks, 5);
    for (int i = 0; i < steps; i++)
        shapes[RESR_MAP_UP + i] = (MapShape){nf_blocks, 2 << i, resr_forward_up_rows(net, cut, i),
                                             1, cut->tail_panel_px * (2 << i)};
    shapes[RESR_MAP_HIGH_RES] =
        (MapShape){nf_blocks, enlarged, cut->tail_rows, 1, cut->tail_panel_px * enlarged};
    shapes[RESR_MAP_LAST] = (MapShape){resr_blocks(spec->channels), enlarged, cut->tail_rows, 0,
                                       cut->tail_panel_px * enlarged};
}

static void list_maps(MapShape shapes[RESR_MAP_COUNT], const ResrPackedNet *net,
                      const ResrForwardCut *cut)
{
    const ResrNetSpec *spec = &net->spec;
    for (int i = 0; i < RESR_MAP_COUNT; i++)
        shapes[i] = (MapShape){0};
    shapes[RESR_MAP_INPUT] =
        (MapShape){resr_blocks(spec->channels * spec->unshuffle * spec->unshuffle), 1,
                   resr_forward_ends_rows(net, cut), 1, cut->body_panel_px};
    if (resr_spec_is_rrdb(spec))
        list_rrdb_maps(shapes, net, cut);
    else
        list_compact_maps(shapes, net, cut);
}

/* Floats of a map and its border; lays them over `data` unless `map` is NULL. */
static size_t set_map(ResrFeatureMap *map, const MapShape *shape, const ResrPackedNet *net,
                      int width, int height, float *data)
{
    int columns = width * shape->enlarged, rows = height * shape->enlarged, border_px = 0;
    if (shape->blocks == 0)
        return 0;
    if (shape->step_rows > 0) {
        border_px = resr_wavefront_border_px(shape->distance, resr_max(resr_max_grid_px(net), 2));
        rows = resr_wavefront_buffer_rows(shape->step_rows, shape->distance);
        columns = resr_wavefront_buffer_columns(columns, shape->panel_px);
    }
    size_t floats = resr_feature_map_floats(shape->blocks, columns, rows);
    if (map) {
        resr_feature_map_set(map, data, shape->blocks, width * shape->enlarged,
                             height * shape->enlarged, columns, rows);
        map->border = data + floats;
        map->border_px = border_px;
    }
    return floats +
           resr_feature_map_border_floats(shape->blocks, height * shape->enlarged, border_px);
}

/* Lays out a dense block's transformed inputs. A row of conv k's output is transformed by conv
 * k + 1, two steps of the wavefront later; conv5 reads it last, 8 - 2k steps after that. */
static void set_line_buffer(ResrWinogradLineBuffer *lines, const ResrPackedNet *net, int width,
                            int height, const ResrForwardCut *cut)
{
    const ResrWinogradKernels *kernels = net->body->winograd;
    int cells[RESR_WINOGRAD_GROUPS], tile_rows[RESR_WINOGRAD_GROUPS];
    for (int k = 0; k < RESR_WINOGRAD_GROUPS; k++) {
        cells[k] = resr_winograd_cells(kernels, k == 0 ? net->spec.nf : net->spec.gc);
        tile_rows[k] = (2 * (4 - k) + 1) * (cut->body_rows / kernels->outputs);
    }
    resr_winograd_line_buffer_set(lines, kernels,
                                  resr_wavefront_buffer_columns(width, cut->body_panel_px), height,
                                  cells, tile_rows);
}

/* Bytes of a thread's scratch. */
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

size_t resr_forward_place(ResrForwardMemory *memory, float *data, const ResrPackedNet *net,
                          int width, int height, int threads, const ResrForwardCut *cut)
{
    MapShape shapes[RESR_MAP_COUNT];
    size_t total = 0, scratch = scratch_bytes(net);
    list_maps(shapes, net, cut);
    for (int i = 0; i < RESR_MAP_COUNT; i++)
        total += set_map(memory ? &memory->maps[i] : NULL, &shapes[i], net, width, height,
                         memory ? data + total : NULL);
    if (resr_forward_shares_v(net)) {
        ResrWinogradLineBuffer lines;
        set_line_buffer(&lines, net, width, height, cut);
        size_t floats = resr_winograd_line_buffer_bytes(&lines) / sizeof(float);
        if (memory) {
            lines.data = (char *)(data + total);
            lines.border = (char *)(data + total + floats);
            memory->lines = lines;
        }
        total += floats + resr_winograd_border_bytes(&lines) / sizeof(float);
    }
    if (memory) {
        memory->scratch = (char *)(data + total);
        memory->scratch_bytes = scratch;
    }
    return total + scratch / sizeof(float) * (size_t)threads;
}
