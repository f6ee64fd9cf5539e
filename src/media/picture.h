#ifndef RESR_MEDIA_PICTURE_H
#define RESR_MEDIA_PICTURE_H

/* Still pictures: libpng, libjpeg-turbo, libtiff and libwebp read and write PNG, JPEG, TIFF and
 * WebP; lcms2 converts CMYK and Lab. FFmpeg reads and writes the other formats. Not for other
 * folders. */

#include <libavutil/frame.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

typedef enum ResrPictureKind {
    RESR_PICTURE_NONE, /* not one of these formats */
    RESR_PICTURE_PNG,
    RESR_PICTURE_JPEG,
    RESR_PICTURE_TIFF,
    RESR_PICTURE_WEBP,
    RESR_PICTURE_MOVING, /* a sequence of PNG or JPEG pictures, which FFmpeg reads */
} ResrPictureKind;

typedef struct ResrPictureBlob {
    uint8_t *data; /* from malloc(); NULL: none; in ResrPictureTags a zero follows */
    size_t bytes;
} ResrPictureBlob;

typedef struct ResrPictureText {
    char *key, *value; /* zero-terminated */
    bool utf8;         /* else Latin-1 */
} ResrPictureText;

#define RESR_PICTURE_LOST_BYTES 128

/* Data in a picture's file besides the pixels. */
typedef struct ResrPictureTags {
    int orientation;             /* EXIF's 1..8, as stored; 0 if unknown */
    double density_x, density_y; /* pixels per metre; 0: unknown */
    bool ratio;                  /* only their ratio is known */
    bool is_cmyk;                /* the pixels were converted from inks: `icc` is empty */
    bool is_ycbcr;               /* the pixels were converted from YCbCr, whose chroma was: */
    int chroma_shift_x, chroma_shift_y;
    ResrPictureBlob icc, exif, xmp; /* `exif` begins with its TIFF header */
    ResrPictureText *texts;
    size_t text_count, text_capacity;
    uint32_t gamma, white_and_primaries[8]; /* PNG's gAMA and cHRM, times 100,000; 0: none */
    int srgb_intent;                        /* PNG's sRGB plus 1; 0: none */
    char lost[RESR_PICTURE_LOST_BYTES];     /* names of further data in the file */
} ResrPictureTags;

void resr_picture_tags_free(ResrPictureTags *tags);

/* Determines a file's kind from its first bytes. Here and below, `stop` and the errors of opening
 * are as in resr_avio_open(). */
RESR_MUST_CHECK int resr_picture_kind(ResrPictureKind *out, const char *path,
                                      const atomic_bool *stop);

/* Reads a picture into `out` (empty on entry), upright, as gray8, gray16le, ya8, ya16le, rgb24,
 * rgba, rgb48le or rgba64le (in the machine's byte order); JPEG's and WebP's chroma is interpolated
 * as their libraries do. `tags` is overwritten, and the caller frees `tags`, also after a failure.
 * RESR_ERR_DATA: the picture is damaged, cut off, too large, animated, or of an unsupported kind;
 * the message names the reason. RESR_ERR_IO, RESR_ERR_STOPPED, RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_picture_read(AVFrame *out, ResrPictureTags *tags, const char *path,
                                      const atomic_bool *stop);

/* The same without the pixels. */
RESR_MUST_CHECK int resr_picture_read_tags(ResrPictureTags *tags, const char *path,
                                           const atomic_bool *stop);

/* Adds the names of all tags to tags->lost, for output formats without tags. */
void resr_picture_name_tags(ResrPictureTags *tags);

/* Name of the kind ("png", "jpeg", "tiff", "webp"), and its library with the version. */
const char *resr_picture_name(ResrPictureKind kind);
void resr_picture_library(ResrPictureKind kind, char *out, size_t out_bytes);

/* The kind that belongs to the ending of an output's name. */
ResrPictureKind resr_picture_kind_of_name(const char *path);

/* The pixel format in which this kind of file stores pictures of this depth and these channels: one
 * of the formats of resr_picture_read(). */
enum AVPixelFormat resr_picture_format(ResrPictureKind kind, bool grey, bool alpha, bool deep);

/* Refuses sizes that this kind of file cannot hold: RESR_ERR_USAGE, naming `path`. */
RESR_MUST_CHECK int resr_picture_check_size(ResrPictureKind kind, const char *path, int width_px,
                                            int height_px);

/* Refuses a quality out of range (negative: the default). RESR_ERR_USAGE. */
RESR_MUST_CHECK int resr_picture_check_quality(ResrPictureKind kind, double quality);

/* Encodes `frame`, which is in a format of resr_picture_format(). `tags` (NULL: none) are adapted
 * to the frame (upright, its size) and stored if the format can store them; the names of the other
 * tags are added to tags->lost. `quality`: of JPEG 0 (best) to 31, of WebP 0 to 100 (best);
 * negative: JPEG's quality 95 without subsampled chroma, lossless WebP. The caller frees out->data.
 * RESR_ERR_INTERNAL. */
RESR_MUST_CHECK int resr_picture_write(ResrPictureBlob *out, ResrPictureKind kind,
                                       const AVFrame *frame, ResrPictureTags *tags, double quality);

/* True if turning swaps width and height. */
bool resr_picture_swaps(int orientation);

/* Turns `in` upright into `out` (empty on entry). Subsampled chroma must have the same subsampling
 * in both directions. RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_picture_turn(AVFrame *out, const AVFrame *in, int orientation);

#endif
