#ifndef RESR_CUDA_FORWARD_MEMORY_H
#define RESR_CUDA_FORWARD_MEMORY_H

#include "frames.h"
#include "pixels.cuh"
#include "weights.h"

/* The buffers of a pass on the device, as offsets into one allocation. Dead buffers are reused:
 * conv_hr's output overlays the body's buffers, the last convolution's and the planar output
 * overlay the first upsampling's. RRDB takes 4.6 KB per body pixel (x4plus; activations fp16,
 * trunk fp32), or 1.6 KB where the layers behind the body run in bands of rows. */
typedef struct ForwardLayout {
    int tiles, width, height;           /* input pixels */
    int body_width, body_height, scale; /* the body's grid; output pixels of an input pixel */
    int band_rows; /* rows of the body in a band of the layers behind it; 0: no bands. One tile */
    size_t flags, planar_in, head;
    size_t dense[2]; /* by turns; RRDB: [pixel][features + 4 x growth]; others: [features] */
    size_t concat;   /* SPAN: [pixel][3 or 4 x features] */
    size_t feat, base, trunk; /* fp32 [plane][pixel][64]; SPAN: the trunk alone */
    size_t up[3], high_res;  /* [pixel][features] at 2x, 4x, 8x and the last of these; of a band and
                              * BAND_CONTEXT_ROWS */
    size_t last, planar_out; /* fp32 */
    size_t bytes;
} ForwardLayout;

/* A band of the layers behind an RRDB's body is computed with this many more rows of the body on
 * either side, so that its own pixels do not depend on the cut: conv_up1's row of zeros is two rows
 * at 4x, and conv_up2, conv_hr and conv_last spread it by one each: 5 rows at 4x, 2 of the body. At
 * 2x it is 3 rows and at 8x 9: 2 of the body again. */
enum { BAND_CONTEXT_ROWS = 2, BAND_LEAST_ROWS = 4 };

/* `banded`: RRDB with enlargements and one tile only. */
ForwardLayout resr_cuda_layout(const NetWeights *net, int tiles, int width, int height, int banded);

/* Bytes of device memory for passes of that shape, with the variants' scratch memory. */
size_t resr_cuda_run_bytes(const NetWeights *net, int tiles, int width, int height, int banded);

typedef struct Run {
    const NetWeights *net;
    cudaStream_t stream;
    int max_width, max_height, max_tiles; /* that memory is allocated for */
    int banded;                           /* the enlargement is computed in bands of rows */
    int tiles;                            /* of the pass */
    int current;                          /* dense[] that was written last */
    char *map;                            /* the current feature map, fp16 [pixel][map_pitch] */
    int map_pitch;
    ForwardLayout at;          /* of the pass */
    int in_frame;              /* the pass's tiles are parts of a frame on the device */
    ResrTileIn *ins;           /* [max_tiles] */
    ResrTileOut *outs;         /* [max_tiles] */
    char *memory, *scratch;    /* on the device */
    float *host_in, *host_out; /* pinned */
    PixelFlags *host_flags;
    Frames frames;
} Run;

/* Allocates memory for passes of `tiles` tiles. RESR_CUDA_NO_MEMORY: the run has none then. */
RESR_MUST_CHECK int resr_cuda_alloc_tiles(Run *run, int tiles, int banded);
void resr_cuda_free_tiles(Run *run);

/* The number of tiles that fill the device: a layer of the body then has four blocks per SM. */
int resr_cuda_filling_tiles(const Run *run);

/* Checks the results of tiles: RESR_NOT_FINITE for infinite values or NaN, RESR_ERR_DEVICE for a
 * constant tile of an input that is not constant. */
RESR_MUST_CHECK int resr_cuda_check_flags(const PixelFlags *flags, int tiles, int device);

#endif
