#ifndef RESR_NET_BACKEND_H
#define RESR_NET_BACKEND_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/frame.h"
#include "model/model.h"
#include "net/numerics.h"

/* The interface of backends: net/net.c drives them, cpu/, cuda/ and net/simulate.c implement them.
 *
 * A backend is a table of functions, one for each group of a network's layers, and of its data:
 * numerics class, instruction sets needed, kernels. To upscale a tile net.c calls
 *
 *   RRDB    head, dense_block x (3 x blocks), body_end, upsample x enlargements, tail, wait
 *   SRVGG   head, compact_body, tail, wait
 *   SPAN    head, attention_block x blocks, attention_end, tail, wait
 *
 * Each of these may only enqueue work; results are valid after wait(). Objects and their lifetimes:
 *
 *   self    the table; constant
 *   packed  a model's weights in the backend's layout, from prepare() to release(); any number of
 *           contexts share it
 *   ctx     buffers and queues of one evaluation at a time, from ctx_create() to ctx_free(); one
 *           thread at a time may use it
 *
 * Functions without another comment return 0 or RESR_ERR_*.
 *
 * Numerics: within a class every backend gives identical bits. Class `exact` is fp32 in these
 * operations, each rounded once; cpu/reference.c is the definition:
 *   convolution  acc = bias, then acc = fma(x, w, acc) in order ky, kx, ci; outside the tile x = +0
 *   LeakyReLU    x > 0 ? x : 0.2f * x          PReLU    x > 0 ? x : slope * x
 *   dense block  fma(0.2f, conv5, x)           last of an RRDB    fma(0.2f, that, RRDB's input)
 *   body_end     conv_body + head              SRVGG's end        conv + input
 *   SPAN's input (x - mean[c]) * factor, one rounding each; zero padding applies afterwards
 *   SiLU         x * sigmoid(x)            gate       (conv + input) * (sigmoid(conv) - 0.5)
 *   sigmoid      cpu/sigmoid.h
 *   clamp        v > 0 ? (v < 1 ? v : 1) : 0, so that a NaN becomes 0
 */

/* Input tile: planar float RGB (gray, RGB and alpha), nominally 0..1, context included. The memory
 * is the caller's. */
typedef struct ResrTileIn {
    const float *plane[4]; /* as many as the network has channels; plane 3 is alpha */
    size_t stride;         /* floats */
    int32_t width_px, height_px;
    /* The part whose upscaled pixels are kept, without the context; width 0: the whole tile. A
     * backend may leave out the outputs of other pixels; this changes no bit of the kept ones. */
    int32_t keep_x_px, keep_y_px, keep_width_px, keep_height_px;
    int32_t frame;                  /* index in the group of frames; 0 without frames_begin() */
    int32_t frame_x_px, frame_y_px; /* position of the tile in this frame */
} ResrTileIn;

/* Output tile: planar float RGB in 0..1. The memory is the caller's. */
typedef struct ResrTileOut {
    /* Receive the pixel (crop_x_px, crop_y_px) of the network's output; the three colours of a gray
     * network are equal. plane[3]: alpha, if the network has it; NULL: not wanted. */
    float *plane[4];
    size_t stride;                                     /* floats */
    int32_t crop_x_px, crop_y_px, width_px, height_px; /* the part kept, in output pixels */
    int32_t frame, frame_x_px, frame_y_px; /* as of the input tile, in the output frame */
} ResrTileOut;

/* Largest group of frames whose tiles go through the network together. Larger groups would fill a
 * GPU a few per cent better (cuda/model.py), but a rank holds two parts of 8 frames and receives
 * the next part for the results of the first: with groups of half a part, one group is always in
 * computation during this exchange. */
enum { RESR_MAX_GROUP_FRAMES = 4 };

/* Frames whose colours the backend converts. */
typedef struct ResrFrameSetup {
    const ResrFormat *in, *out;    /* `out` has the size of the network's output */
    int32_t in_matrix, out_matrix; /* H.273, never unspecified */
    int32_t tiles;                 /* of a frame */
} ResrFrameSetup;

/* Returned by wait() and frames_collect(): a value was infinite or NaN before the clamp. The
 * weights exceed the range of the numerics class, and the picture is not usable. */
enum { RESR_NOT_FINITE = 1 };

typedef struct ResrOps ResrOps;
struct ResrOps {
    const char *name; /* "c", "avx2", "avx512", "cuda", ...; several classes may share a name */
    ResrNumerics numerics;
    const char *class_name; /* of GPUs' classes; NULL: the name of `numerics` */
    bool by_name_only;      /* never chosen automatically, only by --backend NAME */
    unsigned cpu_needs;     /* instruction sets, bits of base/cpu_features.h */
    const void *kernels;    /* the backend's own tables, constant */

    /* Conditions beyond cpu_needs; NULL: none. */
    bool (*available)(const ResrOps *self);

    /* Packs a model's weights; the model is not needed afterwards. RESR_ERR_INTERNAL (memory),
     * RESR_ERR_DEVICE. */
    int (*prepare)(const ResrOps *self, void **packed, const ResrModel *model);
    void (*release)(void *packed);

    /* Bytes of the packed weights and of a context for input tiles of up to width_px x height_px,
     * context included. */
    size_t (*workspace_bytes)(const void *packed, int width_px, int height_px, int threads);
    int (*ctx_create)(void **ctx, const void *packed, int width_px, int height_px, int threads);
    void (*ctx_free)(void *ctx);

    /* The layers, in this order. Sizes of tiles are multiples of the unshuffle factor. */
    int (*head)(void *ctx, const ResrTileIn *in); /* pixel unshuffle, first convolution */
    int (*dense_block)(void *ctx, int block, int dense, bool last_of_rrdb);
    int (*body_end)(void *ctx);           /* conv_body, plus the head's output */
    int (*compact_body)(void *ctx);       /* SRVGG: all convolutions and PReLUs of the body */
    int (*upsample)(void *ctx, int step); /* step 0, 1, ..: nearest x2, conv_up, LeakyReLU */
    /* SPAN: c1_r, SiLU, c2_r, SiLU, c3_r, gate: (c3_r + input) * (sigmoid(c3_r) - 0.5). */
    int (*attention_block)(void *ctx, int block);
    /* SPAN: conv_2 on the last block's output; conv_cat on the channels of head, conv_2, first
     * block and the last block's c1_r after its SiLU. */
    int (*attention_end)(void *ctx);
    /* RRDB: conv_hr, LeakyReLU, conv_last. SRVGG: last convolution, pixel shuffle, plus the input
     * enlarged by pixel repetition. SPAN: last convolution, pixel shuffle. All: clamp to 0..1,
     * crop, store. */
    int (*tail)(void *ctx, const ResrTileOut *out);
    /* Also RESR_NOT_FINITE. A backend may end early with RESR_ERR_STOPPED when *stop becomes true;
     * `stop` may be NULL. */
    int (*wait)(void *ctx, const atomic_bool *stop);
    /* Multiply-accumulates of all pixels computed since ctx_create(), counted as direct
     * convolutions; NULL for backends that do not count. */
    double (*computed_macs)(const void *ctx);

    /* Backends that compute several tiles together; NULL for others. reserve() follows ctx_create()
     * and allocates for up to `wanted` tiles; *tiles: the number that fits, at least 1.
     * `context_px` pixels of each side of a tile are context: if no tile fits, the message names
     * the size that would. set_tiles() precedes each head(), which then takes an array of `tiles`
     * tiles, as tail() does; all have one size, one kept part and one crop. */
    int (*reserve)(void *ctx, int wanted, int context_px, int *tiles);
    void (*set_tiles)(void *ctx, int tiles);

    /* Backends that convert colours, so that frames are copied in their own format; NULL for
     * others. frames_begin() precedes reserve() and returns the largest group of frames, 1 to
     * RESR_MAX_GROUP_FRAMES, or 0 if the backend does not convert these formats. Then, for each
     * group: frames_submit(); head() to tail() for its tiles with all planes NULL and without
     * wait(), or nothing if frames_submit() returned 1 (the backend replays a recorded sequence);
     * frames_finish(). frames_collect() waits for the oldest finished group and fills as many
     * frames as were submitted; it may return RESR_NOT_FINITE. Up to two groups may be in flight.
     */
    int (*frames_begin)(void *ctx, const ResrFrameSetup *setup);
    int (*frames_submit)(void *ctx, ResrFrame *const *in, int count);
    int (*frames_finish)(void *ctx);
    int (*frames_collect)(void *ctx, ResrFrame *const *out);
};

/* Name of the backend's numerics class, as in reports and job folders. */
static inline const char *resr_ops_class(const ResrOps *ops)
{
    return ops->class_name ? ops->class_name : resr_numerics(ops->numerics)->name;
}

#endif
