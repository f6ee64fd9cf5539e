#include <string.h>

#include "media/picture_formats.h"

#include "media/picture_tiff.h"

/* Larger files need the 64-bit offsets of BigTIFF, which fewer programs read. */
#define BIG_BYTES ((int64_t)7 << 29)

#define STRIP_BYTES (256 << 10)

/* A file in memory that libtiff writes and reads at any place. */
typedef struct TiffWriter {
    ResrPictureTarget *target;
    uint64_t place;
    TiffErrors errors;
} TiffWriter;

static tmsize_t read_back(thandle_t handle, void *data, tmsize_t bytes)
{
    TiffWriter *w = (TiffWriter *)handle;
    size_t held = w->target->file.bytes, wanted = (size_t)bytes;
    size_t left = w->place < held ? held - (size_t)w->place : 0, n = wanted < left ? wanted : left;
    if (n > 0)
        memcpy(data, w->target->file.data + w->place, n);
    w->place += n;
    return (tmsize_t)n;
}

static tmsize_t write_bytes(thandle_t handle, void *data, tmsize_t bytes)
{
    TiffWriter *w = (TiffWriter *)handle;
    static const uint8_t zeros[4096];
    const uint8_t *from = data;
    size_t n = (size_t)bytes;
    while (w->target->file.bytes < w->place) {
        size_t gap = (size_t)w->place - w->target->file.bytes;
        if (!resr_picture_append(w->target, zeros, gap < sizeof zeros ? gap : sizeof zeros))
            return 0;
    }
    size_t over = w->target->file.bytes - (size_t)w->place;
    over = over < n ? over : n;
    if (over > 0)
        memcpy(w->target->file.data + w->place, from, over);
    if (!resr_picture_append(w->target, from + over, n - over))
        return 0;
    w->place += n;
    return bytes;
}

static toff_t seek(thandle_t handle, toff_t offset, int whence)
{
    TiffWriter *w = (TiffWriter *)handle;
    w->place = whence == SEEK_SET   ? offset
               : whence == SEEK_CUR ? w->place + offset
                                    : w->target->file.bytes + offset;
    return w->place;
}

static int close_nothing(thandle_t handle)
{
    (void)handle;
    return 0;
}

static toff_t size_of(thandle_t handle)
{
    return ((TiffWriter *)handle)->target->file.bytes;
}

/* Writes the texts for which TIFF has fields: the picture's or, without texts, those of its EXIF.
 */
static void put_texts(TIFF *tiff, ResrPictureTarget *target)
{
    const ResrPictureTags *tags = target->tags;
    int field = 0;
    const char *key = resr_exif_text_of_field(0, &field);
    for (size_t i = 0; key; key = resr_exif_text_of_field(++i, &field)) {
        char value[1024];
        size_t bytes = 0;
        const char *text = resr_exif_text(&tags->exif, field, &bytes);
        if (text && snprintf(value, sizeof value, "%.*s", (int)(bytes & 0xFFFF), text) > 0)
            TIFFSetField(tiff, (uint32_t)field, value);
    }
    for (size_t i = 0; i < tags->text_count; i++) {
        field = resr_exif_field_of_text(tags->texts[i].key);
        if (field > 0)
            TIFFSetField(tiff, (uint32_t)field, tags->texts[i].value);
        else
            resr_picture_add_lost(target->lost, "texts");
    }
    /* Adds EXIF and GPS; their folders' places are known when everything else is written. */
    if (resr_exif_has_folder(&tags->exif, TIFFTAG_EXIFIFD))
        TIFFSetField(tiff, TIFFTAG_EXIFIFD, (uint64_t)0);
    if (resr_exif_has_folder(&tags->exif, TIFFTAG_GPSIFD))
        TIFFSetField(tiff, TIFFTAG_GPSIFD, (uint64_t)0);
}

static void put_tags(TIFF *tiff, ResrPictureTarget *target)
{
    const ResrPictureTags *tags = target->tags;
    double unit = tags->ratio ? 1 : 0.0254;
    if (tags->density_x > 0 && tags->density_y > 0) {
        TIFFSetField(tiff, TIFFTAG_RESOLUTIONUNIT, tags->ratio ? RESUNIT_NONE : RESUNIT_INCH);
        TIFFSetField(tiff, TIFFTAG_XRESOLUTION, tags->density_x * unit);
        TIFFSetField(tiff, TIFFTAG_YRESOLUTION, tags->density_y * unit);
    }
    if (resr_picture_profile_fits(target))
        TIFFSetField(tiff, TIFFTAG_ICCPROFILE, (uint32_t)tags->icc.bytes, tags->icc.data);
    if (tags->xmp.bytes > 0)
        TIFFSetField(tiff, TIFFTAG_XMLPACKET, (uint32_t)tags->xmp.bytes, tags->xmp.data);
    put_texts(tiff, target);
}

static bool write_picture(TIFF *tiff, ResrPictureTarget *target, int samples, int bits)
{
    const AVFrame *frame = target->frame;
    size_t row_bytes = (size_t)frame->width * (size_t)samples * (size_t)bits / 8;
    uint32_t rows = row_bytes < STRIP_BYTES ? (uint32_t)(STRIP_BYTES / row_bytes) : 1;
    bool alpha = samples == 2 || samples == 4, fine = true;
    TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, (uint32_t)frame->width);
    TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, (uint32_t)frame->height);
    TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, bits);
    TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, samples);
    TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, samples < 3 ? PHOTOMETRIC_MINISBLACK : PHOTOMETRIC_RGB);
    TIFFSetField(tiff, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG);
    TIFFSetField(tiff, TIFFTAG_COMPRESSION, COMPRESSION_ADOBE_DEFLATE);
    TIFFSetField(tiff, TIFFTAG_PREDICTOR, PREDICTOR_HORIZONTAL);
    TIFFSetField(tiff, TIFFTAG_ROWSPERSTRIP, rows);
    TIFFSetField(tiff, TIFFTAG_ORIENTATION, ORIENTATION_TOPLEFT);
    if (alpha)
        TIFFSetField(tiff, TIFFTAG_EXTRASAMPLES, 1, (uint16_t[]){EXTRASAMPLE_UNASSALPHA});
    put_tags(tiff, target);
    uint8_t *row = NULL; /* the predictor works in place */
    if (resr_alloc(&row, row_bytes, 1) < 0)
        return false;
    for (int y = 0; fine && y < frame->height; y++) {
        memcpy(row, frame->data[0] + (ptrdiff_t)y * frame->linesize[0], row_bytes);
        fine = TIFFWriteScanline(tiff, row, (uint32_t)y, 0) == 1;
    }
    free(row);
    return fine && TIFFWriteDirectory(tiff);
}

int resr_tiff_write(ResrPictureTarget *target)
{
    const AVFrame *frame = target->frame;
    enum AVPixelFormat format = frame->format;
    bool deep = format == AV_PIX_FMT_GRAY16 || format == AV_PIX_FMT_YA16 ||
                format == AV_PIX_FMT_RGB48 || format == AV_PIX_FMT_RGBA64;
    int samples = format == AV_PIX_FMT_GRAY8 || format == AV_PIX_FMT_GRAY16  ? 1
                  : format == AV_PIX_FMT_YA8 || format == AV_PIX_FMT_YA16    ? 2
                  : format == AV_PIX_FMT_RGB24 || format == AV_PIX_FMT_RGB48 ? 3
                                                                             : 4;
    bool big = (int64_t)frame->width * frame->height * samples * (deep ? 2 : 1) > BIG_BYTES;
    TiffWriter w = {.target = target};
    TIFFOpenOptions *options = resr_tiff_options(&w.errors);
    TIFF *tiff =
        options ? TIFFClientOpenExt("output", big ? "w8l" : "wl", (thandle_t)&w, read_back,
                                    write_bytes, seek, close_nothing, size_of, NULL, NULL, options)
                : NULL;
    bool fine = tiff && write_picture(tiff, target, samples, deep ? 16 : 8);
    if (tiff)
        TIFFClose(tiff);
    TIFFOpenOptionsFree(options);
    if (fine && !resr_exif_add_to_tiff(target, &target->tags->exif))
        resr_picture_add_lost(target->lost, "EXIF");
    return fine ? 0
                : resr_fail(RESR_ERR_INTERNAL, "the TIFF picture cannot be written: %s",
                            w.errors.text[0] ? w.errors.text : "out of memory");
}

void resr_tiff_version(char *out, size_t out_bytes)
{
    const char *text = TIFFGetVersion(); /* "LIBTIFF, Version 4.5.0", and more lines */
    const char *number = strstr(text, "Version ");
    number = number ? number + 8 : text;
    snprintf(out, out_bytes, "libtiff %.*s", (int)strcspn(number, "\n"), number);
}
