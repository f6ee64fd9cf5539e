#ifndef RESR_MEDIA_PICTURE_H
#define RESR_MEDIA_PICTURE_H

/* Still pictures: PNG, JPEG, TIFF and WebP, read and written by libpng, libjpeg-turbo, libtiff and
 * libwebp, CMYK and Lab converted by lcms2. Other formats are FFmpeg's. Not for other folders. */

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
    RESR_PICTURE_MOVING, /* PNG or JPEG pictures in a row, which are FFmpeg's */
} ResrPictureKind;

typedef struct ResrPictureBlob {
    uint8_t *data; /* NULL: none; of tags: a zero follows; from malloc() */
    size_t bytes;
} ResrPictureBlob;

typedef struct ResrPictureText {
    char *key, *value; /* zero-terminated */
    bool utf8;         /* else Latin-1 */
} ResrPictureText;

#define RESR_PICTURE_LOST_BYTES 128

/* What a picture's file holds beside the pixels. */
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
    char lost[RESR_PICTURE_LOST_BYTES];     /* names what the file holds and nothing here does */
} ResrPictureTags;

void resr_picture_tags_free(ResrPictureTags *tags);

/* What the file is, by its first bytes. `stop` and the errors of opening are resr_avio_open()'s,
 * here and below. */
RESR_MUST_CHECK int resr_picture_kind(ResrPictureKind *out, const char *path,
                                      const atomic_bool *stop);

/* Reads a picture into `out` (empty on entry), upright, as gray8, gray16le, ya8, ya16le, rgb24,
 * rgba, rgb48le or rgba64le (in the machine's byte order); JPEG's and WebP's chroma is interpolated
 * as their libraries do. `tags` is overwritten and the caller's to free, also after a failure.
 * RESR_ERR_DATA: damaged, cut off, too large, animated, or of a kind that is not read: the message
 * says which. RESR_ERR_IO, RESR_ERR_STOPPED, RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_picture_read(AVFrame *out, ResrPictureTags *tags, const char *path,
                                      const atomic_bool *stop);

/* The same without the pixels. */
RESR_MUST_CHECK int resr_picture_read_tags(ResrPictureTags *tags, const char *path,
                                           const atomic_bool *stop);

/* Adds the names of all tags to tags->lost: for a file that holds none. */
void resr_picture_name_tags(ResrPictureTags *tags);

/* "png", "jpeg", "tiff", "webp"; and the library with its version. */
const char *resr_picture_name(ResrPictureKind kind);
void resr_picture_library(ResrPictureKind kind, char *out, size_t out_bytes);

/* The kind that the ending of an output's name asks for. */
ResrPictureKind resr_picture_kind_of_name(const char *path);

/* The format, of those that resr_picture_read() makes, in which this kind of file holds pictures
 * of this depth and these channels. */
enum AVPixelFormat resr_picture_format(ResrPictureKind kind, bool grey, bool alpha, bool deep);

/* Refuses sizes that this kind of file cannot hold: RESR_ERR_USAGE, naming `path`. */
RESR_MUST_CHECK int resr_picture_check_size(ResrPictureKind kind, const char *path, int width_px,
                                            int height_px);

/* Refuses a quality out of range (negative: the default). RESR_ERR_USAGE. */
RESR_MUST_CHECK int resr_picture_check_quality(ResrPictureKind kind, double quality);

/* Makes a file of `frame`, in a format of resr_picture_format(). `tags` (NULL: none) are made to
 * fit the frame (upright, its size) and kept where the format can hold them; the names of the
 * others are added to tags->lost. `quality`: of JPEG 0 (best) to 31, of WebP 0 to 100 (best);
 * negative: JPEG's quality 95 without subsampled chroma, lossless WebP. out->data is the caller's
 * to free(). RESR_ERR_INTERNAL. */
RESR_MUST_CHECK int resr_picture_write(ResrPictureBlob *out, ResrPictureKind kind,
                                       const AVFrame *frame, ResrPictureTags *tags, double quality);

/* True if turning swaps width and height. */
bool resr_picture_swaps(int orientation);

/* Turns `in` upright into `out` (empty on entry). Chroma must not be subsampled unless both
 * directions are alike. RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_picture_turn(AVFrame *out, const AVFrame *in, int orientation);

#endif
