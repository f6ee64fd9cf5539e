#ifndef RESR_MEDIA_PICTURE_FORMATS_H
#define RESR_MEDIA_PICTURE_FORMATS_H

/* Declarations that picture.c and the readers and writers of each format share. For picture*.c
 * only. */

#include <libavutil/pixfmt.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/memory.h"
#include "media/avio.h"
#include "media/picture.h"

/* Largest colour profile, EXIF block, XMP packet and text that is read; larger ones are damage or
 * an attack. Real profiles of printers reach 3 MB. */
#define RESR_PICTURE_MAX_BLOCK_BYTES (16 << 20)

/* Largest number of texts of a file. */
#define RESR_PICTURE_MAX_TEXTS 256

/* A picture that is being read. */
typedef struct ResrPictureSource {
    const char *path;
    AVIOContext *io; /* at the first byte */
    int64_t bytes;
    AVFrame *out; /* NULL: only the tags are wanted */
    ResrPictureTags *tags;
} ResrPictureSource;

/* The readers return pixels as stored, without rotation; tags.orientation is that of the format's
 * own field, if any. */
RESR_MUST_CHECK int resr_png_read(ResrPictureSource *source);
RESR_MUST_CHECK int resr_jpeg_read(ResrPictureSource *source);
RESR_MUST_CHECK int resr_tiff_read(ResrPictureSource *source);
RESR_MUST_CHECK int resr_webp_read(ResrPictureSource *source);

/* A picture that is being written. `tags` is never NULL and contains only data to write; the writer
 * adds the names of data that it cannot store to `lost`. */
typedef struct ResrPictureTarget {
    ResrPictureBlob file;
    size_t capacity;
    const AVFrame *frame;
    const ResrPictureTags *tags;
    double quality;
    char *lost;
} ResrPictureTarget;

RESR_MUST_CHECK int resr_png_write(ResrPictureTarget *target);
RESR_MUST_CHECK int resr_jpeg_write(ResrPictureTarget *target);
RESR_MUST_CHECK int resr_tiff_write(ResrPictureTarget *target);
RESR_MUST_CHECK int resr_webp_write(ResrPictureTarget *target);
void resr_png_version(char *out, size_t out_bytes);
void resr_jpeg_version(char *out, size_t out_bytes);
void resr_tiff_version(char *out, size_t out_bytes);
void resr_webp_version(char *out, size_t out_bytes);

/* Refuses a size beyond the limits; the message names the size. Else allocates the frame's buffers
 * if pixels are wanted. */
RESR_MUST_CHECK int resr_picture_create(ResrPictureSource *source, uint64_t width_px,
                                        uint64_t height_px, enum AVPixelFormat format);

/* "PATH: the PNG picture is damaged or cut off: REASON; use an undamaged copy" */
RESR_MUST_CHECK int resr_picture_damaged(const ResrPictureSource *source, const char *kind,
                                         const char *what);

/* Copies a block; an empty block or one larger than the limit is skipped. False if memory is
 * exhausted. */
bool resr_picture_copy_block(ResrPictureBlob *out, const void *data, size_t bytes);
bool resr_picture_add_text(ResrPictureTags *tags, const char *key, const char *value,
                           size_t value_bytes, bool utf8);

/* Appends a name to a list of RESR_PICTURE_LOST_BYTES, such as "EXIF, colour profile". */
void resr_picture_add_lost(char *lost, const char *name);

/* True if the target has a profile of the pixels' colour model (grey or colour); a profile of the
 * other model is added to `lost`. */
bool resr_picture_profile_fits(const ResrPictureTarget *target);

/* Appends to the file that is being written. False if memory is exhausted. */
bool resr_picture_append(ResrPictureTarget *target, const void *data, size_t bytes);

/* EXIF: the orientation (0: none) of a block; and a block adapted to other pixels: orientation 1,
 * `width_px` x `height_px` in fields of the size, no thumbnail. */
int resr_exif_orientation(const ResrPictureBlob *exif);
void resr_exif_adapt(ResrPictureBlob *exif, int width_px, int height_px);

/* A text of a block's first folder, of at most *bytes, not always zero-terminated; NULL if it does
 * not exist. */
const char *resr_exif_text(const ResrPictureBlob *exif, int field, size_t *bytes);

/* Orientation in an XMP packet, where it is text; and its reset to 1. */
int resr_xmp_orientation(const ResrPictureBlob *xmp);
void resr_xmp_adapt(ResrPictureBlob *xmp);

/* A block of the texts that EXIF has fields for (Description, Author, Copyright, Software ...); the
 * number of other texts in *others. Empty without such texts. */
RESR_MUST_CHECK int resr_exif_of_texts(ResrPictureBlob *out, size_t *others,
                                       const ResrPictureTags *tags);

/* A TIFF file, or a block in memory, from which folders are copied. */
typedef struct ResrExifSource {
    bool (*read)(void *from, uint64_t offset, void *out, size_t bytes); /* all of them, or false */
    void *from;
    bool little;
} ResrExifSource;

/* Appends a folder and its values, of at most 64 KiB each, in little-endian order. Returns the
 * folder's place in `out`, or 0 if no field was kept. */
uint32_t resr_exif_copy_folder(ResrPictureTarget *out, const ResrExifSource *from, uint32_t folder);

/* A block with the texts of `tags` and a file's folders of EXIF and GPS at `places` (0: none). */
RESR_MUST_CHECK int resr_exif_of_folders(ResrPictureBlob *out, const ResrPictureTags *tags,
                                         const ResrExifSource *from, const uint32_t places[2]);

/* Appends the folders of EXIF and GPS to a little-endian TIFF file that already contains the fields
 * for their places. False if a folder is not kept. */
bool resr_exif_add_to_tiff(ResrPictureTarget *tiff, const ResrPictureBlob *exif);

bool resr_exif_has_folder(const ResrPictureBlob *exif, int field);

/* The field of EXIF and TIFF for a text with this key, or 0; and the key and field number `index`,
 * or NULL after the last field. */
int resr_exif_field_of_text(const char *key);
const char *resr_exif_text_of_field(size_t index, int *field);

/* Converts inks to sRGB. `icc` is the profile of the inks; if it is empty, the result is (1 - c) *
 * (1 - k). `bits` a sample: 8 or 16. */
typedef struct ResrInks ResrInks;
typedef enum ResrInkKind { RESR_INKS_CMYK, RESR_INKS_LAB } ResrInkKind;
RESR_MUST_CHECK int resr_inks_open(ResrInks **out, ResrInkKind kind, const ResrPictureBlob *icc,
                                   int bits, const char *path);
/* `in`: 4 samples (Lab: 3) of `bits` a pixel, 0: no ink. `out`: 3 of `bits`. */
void resr_inks_convert(const ResrInks *inks, void *out, const void *in, size_t pixels);
void resr_inks_close(ResrInks *inks);

#endif
