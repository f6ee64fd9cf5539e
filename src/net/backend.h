#ifndef RESR_NET_BACKEND_H
#define RESR_NET_BACKEND_H

#include <stddef.h>
#include <stdint.h>

#include "base/frame.h"
#include "model/model.h"

/* A rectangle of planar float RGB in memory that belongs to somebody else: three planes, the
 * stride in floats. Input tiles (context included) and output tiles are passed so. */
typedef struct ResrTileIn {
    const float *plane[3];
    size_t stride;
    int32_t width_px, height_px;
    /* The part whose upscaled pixels are wanted, without the context; width 0: all of it. Outputs
     * for other pixels need not be computed: that never changes the bits of those that are. */
    int32_t keep_x_px, keep_y_px, keep_width_px, keep_height_px;
    int32_t frame, frame_x_px, frame_y_px; /* of those submitted together, and where in it */
} ResrTileIn;

typedef struct ResrTileOut {
    float *plane[3]; /* of the pixel (crop_x, crop_y) of the network's output */
    size_t stride;
    int32_t crop_x_px, crop_y_px, width_px, height_px; /* the part that is kept, in output pixels */
    int32_t frame, frame_x_px, frame_y_px; /* as the input's, in the network's output frame */
} ResrTileOut;

/* Frames that a backend takes at once at most: their tiles go through the network together. More
 * would fill a GPU a little better (a few per cent by cuda/model.py). But a rank holds two parts of
 * 8, and gets the next one for the results of the first: of groups of half a part one is always
 * computed meanwhile. */
enum { RESR_MAX_GROUP_FRAMES = 4 };

/* Frames whose colour conversion the backend does itself. */
typedef struct ResrFrameSetup {
    const ResrFormat *in, *out;    /* `out` has the size of the network's output */
    int32_t in_matrix, out_matrix; /* H.273, never unspecified */
    int32_t tiles;                 /* of a frame */
} ResrFrameSetup;

/* A backend: a table of stages that only enqueue work on `run`; results are there after wait().
 * Packed weights are shared by runs; a run belongs to one thread at a time. The walk over the
 * stages is in net/net.c and is the same for every backend. Stages return 0 or RESR_ERR_*.
 *
 * Numerics: inside a class every backend gives identical bits. Class `exact` is fp32 in these
 * operations, each rounded once; cpu/reference.c is the definition:
 *   convolution  acc = bias, then acc = fma(x, w, acc) in order ky, kx, ci; outside the tile x = +0
 *   LeakyReLU    x > 0 ? x : 0.2f * x          PReLU    x > 0 ? x : slope * x
 *   dense block  fma(0.2f, conv5, x)           last of an RRDB    fma(0.2f, that, RRDB's input)
 *   body_end     conv_body + head              SRVGG's end        conv + input
 *   clamp        v > 0 ? (v < 1 ? v : 1) : 0, so that a NaN becomes 0
 * RESR_NOT_FINITE reports an infinite value or NaN before the clamp: the weights exceed the class's
 * range, and the picture is unusable. */
enum { RESR_NOT_FINITE = 1 };

typedef struct ResrOps {
    const char *name;  /* "c", "avx2", "avx512" */
    const char *class; /* numerics class */

    /* 1 if this machine can run it under `cpumask` (bits of cpu/dispatch.h). */
    int (*available)(unsigned cpumask);

    /* Packs the model's weights into the backend's layout; *packed is freed by release(). */
    int (*prepare)(void **packed, const ResrModel *model);
    void (*release)(void *packed);

    /* Bytes of the packed weights and of a run for input tiles up to width_px x height_px (context
     * included). */
    size_t (*workspace_bytes)(const void *packed, int width_px, int height_px, int threads);
    int (*run_create)(void **run, const void *packed, int width_px, int height_px, int threads);
    void (*run_free)(void *run);

    /* RRDB stages, in this order; SRVGG uses head, compact_body, tail. Tile sizes are multiples of
     * the network's unshuffle factor. */
    int (*head)(void *run, const ResrTileIn *in); /* pixel unshuffle, conv_first */
    int (*dense_block)(void *run, int block, int dense, int last_of_rrdb);
    int (*body_end)(void *run);                     /* conv_body, plus the head's output */
    int (*compact_body)(void *run);                 /* SRVGG: the body's convolutions and PReLUs */
    int (*upsample)(void *run, int step);           /* step 0, 1: nearest x2, conv_up, LeakyReLU */
    int (*tail)(void *run, const ResrTileOut *out); /* RRDB: conv_hr, LeakyReLU, conv_last; SRVGG:
                                                      last conv, pixel shuffle, plus nearest input;
                                                      both: clamp to [0, 1], crop, planar RGB */
    int (*submit)(void *run);
    int (*wait)(void *run); /* also RESR_NOT_FINITE */

    /* Backends that take several tiles through each stage; NULL for others. reserve() follows
     * run_create(): memory for walks of up to `wanted` tiles; *tiles: of how many there is, at
     * least one (`context_px` of a tile's side are context: where not even one fits, the message
     * names the tile that would). set_tiles() comes before a walk's head: it and tail then get
     * arrays of that many tiles, which have the same size, the same part kept and the same crop. */
    int (*reserve)(void *run, int wanted, int context_px, int *tiles);
    void (*set_tiles)(void *run, int tiles);

    /* Backends that convert colours themselves, so that frames come and go in their own format;
     * NULL for others. frames_begin() comes before reserve(): the most frames of a group, 1 to
     * RESR_MAX_GROUP_FRAMES; 0 if these formats are not for it. For each group then:
     * frames_submit(), the walks over its tiles (planes NULL, no wait(); none if frames_submit()
     * returned 1, the backend has them recorded), frames_finish(). frames_collect() waits for the
     * oldest group that was finished, and fills as many frames as were submitted; up to two groups
     * may be in flight. Also RESR_NOT_FINITE, of any of their frames. */
    int (*frames_begin)(void *run, const ResrFrameSetup *setup);
    int (*frames_submit)(void *run, ResrFrame *const *in, int count);
    int (*frames_finish)(void *run);
    int (*frames_collect)(void *run, ResrFrame *const *out);
} ResrOps;

#endif
