#ifndef RESR_CUDA_WALK_MEMORY_H
#define RESR_CUDA_WALK_MEMORY_H

#include "colour.cuh"
#include "pixels.cuh"
#include "walk.h"

/* Where everything of a walk lies on the device, as offsets into one allocation. What is dead is
 * overlaid: conv_hr's output over the body's buffers, the last convolution's and the planar output
 * over the first upsampling's. Of a body pixel RRDB takes 4.6 KB (x4plus), all activations fp16,
 * the trunk fp32; where everything behind the body is done in bands of rows, 1.6 KB. */
typedef struct WalkLayout {
    int tiles, width, height;           /* input pixels */
    int body_width, body_height, scale; /* the body's grid; output pixels of an input pixel */
    int band_rows; /* of the body, for what is behind it; 0: all at once. One tile only */
    size_t flags, planar_in, head;
    size_t dense[2];           /* RRDB: [pixel][192]; SRVGG: [pixel][64], by turns */
    size_t feat, base, trunk;  /* fp32 [pixel][64] */
    size_t up1, up2, high_res; /* [pixel][64] at 2x, 4x, 4x; of a band and BAND_CONTEXT_ROWS */
    size_t last, planar_out;   /* fp32 */
    size_t bytes;
} WalkLayout;

/* What is behind an RRDB's body in bands: each is computed from this many rows of the body more on
 * either side, so that no pixel of its own sees where it was cut: conv_up1's row of zeros is two at
 * 4x, and conv_up2, conv_hr and conv_last pass on one each: 5 rows at 4x, 2 of the body. */
enum { BAND_CONTEXT_ROWS = 2, BAND_LEAST_ROWS = 4 };

/* `banded`: for RRDB and one tile. */
WalkLayout resr_cuda_layout(const NetWeights *net, int tiles, int width, int height, int banded);

/* Device memory that walks of that shape take, the rungs' scratch included. */
size_t resr_cuda_run_bytes(const NetWeights *net, int tiles, int width, int height, int banded);

/* Groups of frames under way: one computed, one going up or down. */
enum { FRAME_SLOTS = 2 };

typedef struct FrameSlot {
    int count;                             /* frames of the group */
    char *device_in, *device_out;          /* samples as the frames have them, frame after frame */
    char *host_in, *host_out;              /* pinned */
    PixelFlags *device_flags, *host_flags; /* of all tiles of the group */
    cudaEvent_t uploaded, computed, downloaded;
    cudaGraphExec_t recorded[RESR_MAX_GROUP_FRAMES]; /* the walk of 1, 2.. frames */
} FrameSlot;

/* Whole frames (net/ops.h), with streams of their own for what goes up and down. */
typedef struct Frames {
    ColourFrame in, out;       /* without data */
    ColourRgb rgb_in, rgb_out; /* the first frame's; the others follow */
    size_t in_bytes, out_bytes;
    int max_frames; /* of a group */
    int max_tiles;  /* of a frame, that there are flags for */
    int next_tile;  /* of the group that is submitted */
    int recording;
    unsigned seen;                 /* bit n: groups of n frames */
    unsigned submitted, collected; /* groups */
    cudaStream_t up, down;
    FrameSlot slots[FRAME_SLOTS];
} Frames;

typedef struct Run {
    const NetWeights *net;
    cudaStream_t stream;
    int max_width, max_height, max_tiles; /* what memory is there for */
    int banded;                           /* there is none for a whole tile's enlargement */
    int tiles;                            /* of the walk */
    int current;                          /* dense[] that holds the trunk */
    WalkLayout at;                        /* of the walk */
    int in_frame;                         /* the walk's tiles are parts of a frame on the device */
    ResrTileIn *ins;                      /* [max_tiles] */
    ResrTileOut *outs;                    /* [max_tiles] */
    char *memory, *scratch;               /* on the device */
    float *host_in, *host_out;            /* pinned */
    PixelFlags *host_flags;
    Frames frames;
} Run;

/* Memory for walks of `tiles` tiles; RESR_CUDA_NO_MEMORY leaves the run as it was without any. */
RESR_MUST_CHECK int resr_cuda_alloc_walk(Run *run, int tiles, int banded);
void resr_cuda_free_walk(Run *run);
void resr_cuda_free_frames(Frames *frames);

/* Tiles for which a layer of the body has two blocks for each place on the device, twice. */
int resr_cuda_filling_tiles(const Run *run);

/* Checks the results of tiles: RESR_NOT_FINITE for infinite values or NaN, RESR_ERR_DEVICE for a
 * constant tile of an input that is not constant. */
RESR_MUST_CHECK int resr_cuda_check_flags(const PixelFlags *flags, int tiles, int device);

#endif
