#ifndef RESR_CUDA_WALK_MEMORY_H
#define RESR_CUDA_WALK_MEMORY_H

#include "pixels.cuh"
#include "walk.h"

/* Where everything of a walk lies on the device, as offsets into one allocation. What is dead is
 * overlaid: conv_hr's output over the body's buffers, the last convolution's and the planar output
 * over the first upsampling's. Of a body pixel RRDB takes 4.6 KB (x4plus), all activations fp16,
 * the trunk fp32. */
typedef struct WalkLayout {
    int tiles, width, height;           /* input pixels */
    int body_width, body_height, scale; /* the body's grid; output pixels of an input pixel */
    size_t flags, planar_in, head;
    size_t dense[2];           /* RRDB: [pixel][192]; SRVGG: [pixel][64], by turns */
    size_t feat, base, trunk;  /* fp32 [pixel][64] */
    size_t up1, up2, high_res; /* [pixel][64] at 2x, 4x, 4x */
    size_t last, planar_out;   /* fp32 */
    size_t bytes;
} WalkLayout;

WalkLayout resr_cuda_layout(const NetWeights *net, int tiles, int width, int height);

typedef struct Run {
    const NetWeights *net;
    cudaStream_t stream;
    int max_width, max_height, max_tiles; /* what memory is there for */
    int tiles;                            /* of the walk */
    int current;                          /* dense[] that holds the trunk */
    WalkLayout at;                        /* of the walk */
    ResrTileOut *outs;                    /* [max_tiles] */
    char *memory, *scratch;               /* on the device */
    float *host_in, *host_out;            /* pinned */
    PixelFlags *host_flags;
} Run;

/* Memory for walks of `tiles` tiles; RESR_CUDA_NO_MEMORY leaves the run as it was without any. */
RESR_MUST_CHECK int resr_cuda_alloc_walk(Run *run, int tiles);
void resr_cuda_free_walk(Run *run);

#endif
