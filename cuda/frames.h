#ifndef RESR_CUDA_FRAMES_H
#define RESR_CUDA_FRAMES_H

#include "colour.cuh"
#include "net/backend.h"
#include "pixels.cuh"

/* Groups of frames in flight: one is computed while another is copied. */
enum { FRAME_SLOTS = 2 };

typedef struct FrameSlot {
    int count;                             /* frames of the group */
    char *device_in, *device_out;          /* samples in the frames' format, frame after frame */
    char *host_in, *host_out;              /* pinned */
    PixelFlags *device_flags, *host_flags; /* of all tiles of the group */
    cudaEvent_t uploaded, computed, downloaded;
    cudaGraphExec_t recorded[RESR_MAX_GROUP_FRAMES]; /* the pass of 1, 2.. frames */
} FrameSlot;

/* Whole frames (net/backend.h). Copies to and from the device have a stream each. */
typedef struct Frames {
    ColourFrame in, out;       /* without data */
    ColourRgb rgb_in, rgb_out; /* the first frame's; the others follow */
    size_t in_bytes, out_bytes;
    int max_frames; /* of a group */
    int max_tiles;  /* of a frame, with flags */
    int next_tile;  /* of the group that is submitted */
    int recording;
    unsigned seen;                 /* bit n: groups of n frames */
    unsigned submitted, collected; /* groups */
    cudaStream_t up, down;
    FrameSlot slots[FRAME_SLOTS];
} Frames;

void resr_cuda_free_frames(Frames *frames);

/* Groups of whole frames: the functions of ResrOps. */
RESR_MUST_CHECK int resr_cuda_frames_begin(void *run, const ResrFrameSetup *setup);
RESR_MUST_CHECK int resr_cuda_frames_submit(void *run, ResrFrame *const *in, int count);
RESR_MUST_CHECK int resr_cuda_frames_finish(void *run);
RESR_MUST_CHECK int resr_cuda_frames_collect(void *run, ResrFrame *const *out);

#endif
