#ifndef RESR_BASE_FRAME_H
#define RESR_BASE_FRAME_H

#include <semaphore.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"

/* Planes of a frame: Y U V [A], G B R [A], or Y [A]. */
#define RESR_MAX_PLANES 4

typedef enum ResrColourModel {
    RESR_COLOUR_GREY,
    RESR_COLOUR_YUV,
    RESR_COLOUR_RGB, /* planes in FFmpeg's planar order: G, B, R */
} ResrColourModel;

/* Storage and meaning of the pixels of every frame of a stream. Plain data: it is sent
 * between ranks as it is. The code points are those of ITU-T H.273, which FFmpeg and zimg share;
 * 2 means unspecified. */
typedef struct ResrFormat {
    int32_t width_px, height_px;
    int32_t planes;
    int32_t depth_bits; /* 8..16; samples over 8 bits are native-endian uint16_t */
    int32_t model;      /* ResrColourModel */
    int32_t has_alpha;  /* the last plane is opacity */
    int32_t chroma_shift_x, chroma_shift_y; /* log2 of the chroma subsampling */
    int32_t matrix, transfer, primaries;
    int32_t full_range;      /* 0: limited, 1: full */
    int32_t chroma_location; /* AVChromaLocation: 0 unspecified, 1 left, 2 centre ... */
    char pix_fmt[32];        /* FFmpeg's name of the planar format; grey with alpha is in two planes
                                and named as the interleaved format */
} ResrFormat;

/* One plane inside a frame's buffer. Rows begin at multiples of RESR_ALIGN_BYTES. */
typedef struct ResrPlane {
    size_t offset_bytes, stride_bytes, row_bytes;
    int32_t width_px, height_px;
} ResrPlane;

/* Capacity of a frame's hash. */
#define RESR_FRAME_HASH_BYTES RESR_HASH_HEX_BYTES

/* State of a frame when the decoder's thread passes it on. In a resumed job some frames are already
 * complete. */
typedef enum ResrFrameStage {
    RESR_FRAME_DECODED,            /* in the input format: to be upscaled */
    RESR_FRAME_COMPUTED_ELSEWHERE, /* in the input format: its segment's owner has the result */
    RESR_FRAME_RESTORED,           /* in the output format, from a batch file */
    RESR_FRAME_DURABLE,            /* in a finished segment: a placeholder without pixels */
} ResrFrameStage;

/* A frame: one buffer with all planes in the layout of resr_format_plane(). Frames are counted
 * references (resr_frame_hold()); the last resr_frame_free() frees the frame and posts its credit.
 */
typedef struct ResrFrame {
    int64_t index;    /* place in the video, from 0 */
    int64_t pts;      /* in the stream's time base */
    int64_t duration; /* in the stream's time base; 0 if unknown */
    size_t bytes;
    uint8_t *data;
    char hash[RESR_FRAME_HASH_BYTES];   /* of the samples; empty: not computed */
    char source[RESR_FRAME_HASH_BYTES]; /* hash of the decoded frame; empty: unknown */
    ResrFrameStage stage;
    sem_t *credit; /* posted when the frame is freed; NULL: none */
    atomic_int holders;
} ResrFrame;

/* Refuses sizes, depths and plane counts out of range (RESR_ERR_DATA): for formats that came from
 * a file or a message. */
RESR_MUST_CHECK int resr_format_check(const ResrFormat *format);

int resr_format_sample_bytes(const ResrFormat *format);
ResrPlane resr_format_plane(const ResrFormat *format, int plane);

/* Index of the plane with component `c` (R, G, B, A or Y, U, V, A). */
int resr_format_plane_index(const ResrFormat *format, int c);
size_t resr_format_frame_bytes(const ResrFormat *format);

/* Record of an output frame that outlives its pixels: its times and its identity before encoding.
 */
typedef struct ResrFrameRecord {
    int64_t pts, duration;
    ResrHash hash;
    ResrHash source; /* of the decoded frame; zero: unknown */
} ResrFrameRecord;

/* Allocates a frame for `format`, its samples uninitialised but row padding zero; the caller frees
 * it with resr_frame_free(). */
RESR_MUST_CHECK int resr_frame_create(ResrFrame **out, const ResrFormat *format);

/* Allocates a buffer of `bytes` that is sent like a frame. */
RESR_MUST_CHECK int resr_frame_create_raw(ResrFrame **out, size_t bytes);

/* Allocates a placeholder without pixels (RESR_FRAME_DURABLE). */
RESR_MUST_CHECK int resr_frame_create_mark(ResrFrame **out);

/* Adds a reference and returns `frame`. Call from any thread. */
ResrFrame *resr_frame_hold(ResrFrame *frame);
void resr_frame_free(ResrFrame *frame); /* drops a reference; NULL is allowed */

/* Fills the last plane, of a format with alpha, with full opacity. */
void resr_frame_set_opaque(ResrFrame *frame, const ResrFormat *format);

/* A frame's identity: XXH3-128 (canonical form, 32 hex digits and a zero) over the samples of all
 * planes row by row, padding left out. */
void resr_frame_hash(char out[RESR_FRAME_HASH_BYTES], const ResrFormat *format,
                     const ResrFrame *frame);

/* Compares a frame's samples with the frame's `hash`. RESR_ERR_DATA names the frame. */
RESR_MUST_CHECK int resr_frame_verify(const ResrFrame *frame, const ResrFormat *format);

/* Fills *record from a frame. */
void resr_frame_describe(ResrFrameRecord *record, const ResrFrame *frame);

#endif
