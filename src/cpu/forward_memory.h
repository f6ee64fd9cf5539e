#ifndef RESR_CPU_FORWARD_MEMORY_H
#define RESR_CPU_FORWARD_MEMORY_H

#include "cpu/packed_net.h"
#include "cpu/wavefront.h"
#include "cpu/winograd.h"

/* The memory of a forward pass on a CPU: which feature maps it has, which of them are whole and
 * which line buffers, and how its wavefronts are cut. */

/* The feature maps of a context: whole ones, then line buffers. */
enum {
    RESR_MAP_FEAT,    /* the head's output, then body_end's; SPAN: the four inputs of conv_cat */
    RESR_MAP_RRDB_IN, /* the trunk at the start of an RRDB; of the first one FEAT is used instead */
    RESR_MAP_TRUNK,   /* the body's input and output */
    RESR_MAP_TRUNK_2, /* SRVGG and SPAN: wavefronts read one of the two and write the other */
    RESR_MAP_INPUT,   /* the head's input */
    RESR_MAP_DENSE, /* a dense block's input and the outputs of conv1..4, side by side; not if V is
                       shared */
    RESR_MAP_INNER, /* outputs of conv1..4 if V is shared; SRVGG and SPAN: inside a wavefront */
    RESR_MAP_UP = RESR_MAP_INNER + RESR_WAVEFRONT_LAYERS - 1, /* outputs of conv_up1..3 */
    RESR_MAP_HIGH_RES = RESR_MAP_UP + 3,                      /* conv_hr's output */
    RESR_MAP_LAST,                                            /* the last layer's output */
    RESR_MAP_COUNT
};

/* How the work of a context is cut: panels, in columns of the body, and rows of a step, of the
 * body, and of the last layer in a tail with enlargements. */
typedef struct ResrForwardCut {
    int body_panel_px, tail_panel_px, body_rows, tail_rows;
} ResrForwardCut;

/* Memory of a context, laid out for a body of one size. */
typedef struct ResrForwardMemory {
    ResrFeatureMap maps[RESR_MAP_COUNT];
    ResrWinogradLineBuffer lines; /* a dense block's transformed inputs */
    char *scratch;                /* of all threads */
    size_t scratch_bytes;         /* of a thread */
} ResrForwardMemory;

/* Whether the convolutions of a dense block share transformed inputs. */
bool resr_forward_shares_v(const ResrPackedNet *net);

/* Side of the square of pixels that kernels compute as a whole; of all layers. */
int resr_grid_px(const ResrConvKernels *kernels);
int resr_max_grid_px(const ResrPackedNet *net);

/* For a body of width x height. The tail's panels are as wide in its last layer as the body's. */
ResrForwardCut resr_forward_cut(const ResrPackedNet *net, int width, int height, int threads,
                                int panel_px);

/* Rows of a step: of conv_first and conv_body, and of conv_up number `step`. */
int resr_forward_ends_rows(const ResrPackedNet *net, const ResrForwardCut *cut);
int resr_forward_up_rows(const ResrPackedNet *net, const ResrForwardCut *cut, int step);

/* Floats of a context's memory for a body of width x height: feature maps, transformed inputs and
 * the threads' scratch. Lays them over `data`, 64-byte aligned, unless `memory` is NULL. */
size_t resr_forward_place(ResrForwardMemory *memory, float *data, const ResrPackedNet *net,
                          int width, int height, int threads, const ResrForwardCut *cut);

#endif
