/* How it works. Most files are read band by band: read_unit() decodes a strip, or the tiles of one
 * row of tiles, into a band of samples as stored; then each row is converted, by the file's colour
 * model, to the output's format: grey and RGB (any depth up to 16 bits, scaled to 8 or 16),
 * palettes, CMYK and Lab through picture_inks.c. Only YCbCr that the codec does not convert goes
 * through libtiff's RGBA interface, all at once.
 *
 * Fields that libtiff would guess are checked here, so that a picture is either read by the
 * specification (TIFF 6.0) or refused. */

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "media/picture_formats.h"

#include "media/picture_tiff.h"

/* One strip of a picture at the limits, of 4 channels of 16 bits. */
#define MAX_ALLOCATION_BYTES ((tmsize_t)1 << 31)

#define MAX_SAMPLES 8

/* Layout of the stored pixels, and their conversion. */
typedef struct TiffReader {
    ResrPictureSource *source;
    TIFF *tiff;
    TiffErrors errors;
    uint32_t width, height, unit_width, unit_height; /* unit: a strip or a tile */
    uint16_t bits, samples, photometric, compression;
    bool tiled, separate;
    int colours; /* samples per colour; an alpha sample follows if has_alpha */
    bool has_alpha, premultiplied;
    uint16_t *map[3]; /* a palette; owned by libtiff */
    int map_shift;
    size_t row_bytes; /* of a unit */
    uint8_t *unit;
    uint16_t *band; /* unit_height rows of all samples, as stored */
    ResrInks *inks;
    uint16_t *wide; /* a row for the inks, in and out */
} TiffReader;

static int on_error(TIFF *tiff, void *user, const char *module, const char *format, va_list args)
{
    TiffErrors *errors = user;
    (void)tiff;
    (void)module;
    if (!errors->text[0])
        vsnprintf(errors->text, sizeof errors->text, format, args);
    return 1;
}

static int on_warning(TIFF *tiff, void *user, const char *module, const char *format, va_list args)
{
    TiffErrors *errors = user;
    /* JPEG strips may be larger than the picture. */
    if (errors->in_pixels && !strstr(format, "Improper JPEG")) {
        errors->warned = true;
        on_error(tiff, user, module, format, args);
    }
    return 1;
}

TIFFOpenOptions *resr_tiff_options(TiffErrors *errors)
{
    TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
    if (!options)
        return NULL;
    TIFFOpenOptionsSetMaxSingleMemAlloc(options, MAX_ALLOCATION_BYTES);
    TIFFOpenOptionsSetErrorHandlerExtR(options, on_error, errors);
    TIFFOpenOptionsSetWarningHandlerExtR(options, on_warning, errors);
    return options;
}

static int damaged(TiffReader *r, const char *what)
{
    return resr_picture_damaged(r->source, "TIFF", r->errors.text[0] ? r->errors.text : what);
}

static int refuse(const TiffReader *r, const char *what, int number)
{
    return resr_fail(RESR_ERR_DATA,
                     "%s: a TIFF picture with %s %d is not supported; convert the picture to RGB "
                     "of 8 or 16 bits first",
                     r->source->path, what, number);
}

/* Lab as in ICC profiles: relative to D50, light of 5000 K. */
static int check_lab(const TiffReader *r)
{
    const float *white = NULL;
    if (r->bits != 8 && r->bits != 16)
        return refuse(r, "Lab and BitsPerSample", r->bits);
    if (!TIFFGetField(r->tiff, TIFFTAG_WHITEPOINT, &white) ||
        (white[0] > 0.34F && white[0] < 0.35F && white[1] > 0.355F && white[1] < 0.365F))
        return 0;
    return refuse(r, "Lab and a white point of 1000 x =", (int)(white[0] * 1000));
}

static int choose_colours(TiffReader *r)
{
    switch (r->photometric) {
    case PHOTOMETRIC_MINISBLACK:
    case PHOTOMETRIC_MINISWHITE:
        r->colours = 1;
        return 0;
    case PHOTOMETRIC_PALETTE: {
        if (!TIFFGetField(r->tiff, TIFFTAG_COLORMAP, &r->map[0], &r->map[1], &r->map[2]))
            return damaged(r, "it has no colour map");
        for (size_t c = 0; c < 3; c++) /* old writers stored 8 bits */
            for (size_t i = 0; i < (size_t)1 << r->bits; i++)
                r->map_shift = r->map[c][i] > 255 ? 8 : r->map_shift;
        r->colours = 1;
        return 0;
    }
    case PHOTOMETRIC_RGB:
        r->colours = 3;
        return 0;
    case PHOTOMETRIC_YCBCR:
        r->colours = 3;
        return r->bits == 8 ? 0 : refuse(r, "YCbCr and BitsPerSample", r->bits);
    case PHOTOMETRIC_CIELAB:
        r->colours = 3;
        return check_lab(r);
    case PHOTOMETRIC_SEPARATED: {
        uint16_t inks = INKSET_CMYK;
        TIFFGetFieldDefaulted(r->tiff, TIFFTAG_INKSET, &inks);
        r->colours = 4;
        return inks == INKSET_CMYK && r->samples >= 4 ? 0 : refuse(r, "InkSet", inks);
    }
    default:
        return refuse(r, "PhotometricInterpretation (colour model)", r->photometric);
    }
}

static int check_compression(const TiffReader *r)
{
    switch (r->compression) {
    case COMPRESSION_NONE:
    case COMPRESSION_CCITTRLE:
    case COMPRESSION_CCITTRLEW:
    case COMPRESSION_CCITTFAX3:
    case COMPRESSION_CCITTFAX4:
    case COMPRESSION_LZW:
    case COMPRESSION_JPEG:
    case COMPRESSION_PACKBITS:
    case COMPRESSION_DEFLATE:
    case COMPRESSION_ADOBE_DEFLATE:
    case COMPRESSION_LZMA:
    case COMPRESSION_ZSTD:
        break;
    default:
        return refuse(r, "Compression", r->compression);
    }
    return TIFFIsCODECConfigured(r->compression) ? 0 : refuse(r, "Compression", r->compression);
}

static void choose_alpha(TiffReader *r)
{
    uint16_t extras = 0, *types = NULL;
    int more = r->samples - r->colours;
    if (more < 1)
        return;
    if (!TIFFGetField(r->tiff, TIFFTAG_EXTRASAMPLES, &extras, &types))
        extras = 0; /* not declared: one further sample is alpha */
    r->has_alpha = extras == 0 ? more == 1 : types[0] != EXTRASAMPLE_UNSPECIFIED;
    r->premultiplied = extras > 0 && types[0] == EXTRASAMPLE_ASSOCALPHA;
    if (more > (r->has_alpha ? 1 : 0))
        resr_picture_add_lost(r->source->tags->lost, "further channels");
}

static int describe(TiffReader *r)
{
    TIFF *tiff = r->tiff;
    uint32_t kind = 0;
    uint16_t planar = PLANARCONFIG_CONTIG, sample_format = SAMPLEFORMAT_UINT;
    TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &r->width);
    TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &r->height);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_BITSPERSAMPLE, &r->bits);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLESPERPIXEL, &r->samples);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_COMPRESSION, &r->compression);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_PLANARCONFIG, &planar);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLEFORMAT, &sample_format);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_SUBFILETYPE, &kind);
    if (!TIFFGetField(tiff, TIFFTAG_PHOTOMETRIC, &r->photometric))
        return damaged(r, "its colour model is missing");
    if (kind & FILETYPE_REDUCEDIMAGE && !TIFFLastDirectory(tiff))
        return resr_fail(RESR_ERR_DATA,
                         "%s: begins with a preview, like a camera raw file; convert the file to a "
                         "plain TIFF first",
                         r->source->path);
    r->separate = planar == PLANARCONFIG_SEPARATE && r->samples > 1;
    if (r->bits < 1 || r->bits > 16)
        return refuse(r, "BitsPerSample", r->bits);
    if (r->samples < 1 || r->samples > MAX_SAMPLES)
        return refuse(r, "SamplesPerPixel", r->samples);
    if (sample_format != SAMPLEFORMAT_UINT && sample_format != SAMPLEFORMAT_VOID)
        return refuse(r, "SampleFormat (signed or floating point)", sample_format);
    int ret = check_compression(r);
    if (ret == 0)
        ret = choose_colours(r);
    if (ret == 0 && r->samples < r->colours)
        ret = damaged(r, "it has fewer samples than its colour model");
    if (ret == 0)
        choose_alpha(r);
    return ret;
}

static bool read_tags(TiffReader *r)
{
    ResrPictureTags *tags = r->source->tags;
    uint32_t bytes = 0;
    void *data = NULL;
    uint16_t orientation = 0, unit = RESUNIT_INCH;
    float x = 0, y = 0;
    int field = 0;
    if (TIFFGetField(r->tiff, TIFFTAG_ORIENTATION, &orientation) && orientation <= 8)
        tags->orientation = orientation;
    TIFFGetFieldDefaulted(r->tiff, TIFFTAG_RESOLUTIONUNIT, &unit);
    if (TIFFGetField(r->tiff, TIFFTAG_XRESOLUTION, &x) &&
        TIFFGetField(r->tiff, TIFFTAG_YRESOLUTION, &y) && x > 0 && y > 0 && x < 1e7F && y < 1e7F) {
        double scale = unit == RESUNIT_INCH ? 1 / 0.0254 : unit == RESUNIT_CENTIMETER ? 100 : 1;
        tags->ratio = scale == 1;
        tags->density_x = tags->ratio && x == y ? 0 : x * scale;
        tags->density_y = tags->ratio && x == y ? 0 : y * scale;
    }
    if (TIFFGetField(r->tiff, TIFFTAG_ICCPROFILE, &bytes, &data) &&
        !resr_picture_copy_block(&tags->icc, data, bytes))
        return false;
    if (TIFFGetField(r->tiff, TIFFTAG_XMLPACKET, &bytes, &data) &&
        !resr_picture_copy_block(&tags->xmp, data, bytes))
        return false;
    const char *key = resr_exif_text_of_field(0, &field);
    for (size_t i = 0; key; key = resr_exif_text_of_field(++i, &field)) {
        const char *value = NULL;
        if (TIFFGetField(r->tiff, (uint32_t)field, &value) && value && value[0] &&
            !resr_picture_add_text(tags, key, value, strlen(value), false))
            return false;
    }
    if (TIFFGetField(r->tiff, TIFFTAG_RICHTIFFIPTC, &bytes, &data))
        resr_picture_add_lost(tags->lost, "IPTC");
    return true;
}

static bool read_at(void *from, uint64_t offset, void *out, size_t bytes)
{
    return offset < INT64_MAX && avio_seek(from, (int64_t)offset, SEEK_SET) == (int64_t)offset &&
           avio_read(from, out, (int)bytes) == (int)bytes;
}

/* Makes a block of the folders of EXIF and GPS, with the texts, if the file has such folders. */
static int read_exif(TiffReader *r)
{
    static const uint32_t fields[] = {TIFFTAG_EXIFIFD, TIFFTAG_GPSIFD};
    ResrPictureTags *tags = r->source->tags;
    ResrExifSource from = {read_at, r->source->io, !TIFFIsBigEndian(r->tiff)};
    uint32_t places[2] = {0};
    uint64_t place;
    for (size_t i = 0; i < 2; i++)
        if (TIFFGetField(r->tiff, fields[i], &place) && place < UINT32_MAX)
            places[i] = (uint32_t)place;
    if (places[0] == 0 && places[1] == 0)
        return 0;
    if (TIFFIsBigTIFF(r->tiff)) { /* its folders have another form */
        resr_picture_add_lost(tags->lost, "EXIF");
        return 0;
    }
    int ret = resr_exif_of_folders(&tags->exif, tags, &from, places);
    for (; ret == 0 && tags->text_count > 0; tags->text_count--) {
        free(tags->texts[tags->text_count - 1].key);
        free(tags->texts[tags->text_count - 1].value);
    }
    return ret;
}

static int open_inks(TiffReader *r)
{
    ResrPictureTags *tags = r->source->tags;
    bool lab = r->photometric == PHOTOMETRIC_CIELAB;
    if (!lab && r->photometric != PHOTOMETRIC_SEPARATED)
        return 0;
    tags->is_cmyk = true;
    int ret = resr_inks_open(&r->inks, lab ? RESR_INKS_LAB : RESR_INKS_CMYK, &tags->icc, 16,
                             r->source->path);
    free(tags->icc.data);
    tags->icc = (ResrPictureBlob){0};
    return ret < 0 ? ret : resr_alloc(&r->wide, r->width, 8 * sizeof *r->wide);
}

/* A strip or tile as rows of samples. */
static int open_units(TiffReader *r)
{
    uint32_t rows = r->height;
    r->tiled = TIFFIsTiled(r->tiff);
    if (r->tiled) {
        TIFFGetField(r->tiff, TIFFTAG_TILEWIDTH, &r->unit_width);
        TIFFGetField(r->tiff, TIFFTAG_TILELENGTH, &rows);
        r->row_bytes = (size_t)TIFFTileRowSize(r->tiff);
    } else {
        TIFFGetFieldDefaulted(r->tiff, TIFFTAG_ROWSPERSTRIP, &rows);
        r->unit_width = r->width;
        r->row_bytes = (size_t)TIFFScanlineSize(r->tiff);
    }
    bool huge = rows > r->height && !r->tiled;
    r->unit_height = huge ? r->height : rows;
    size_t in_unit = r->separate ? 1 : r->samples, bytes;
    if (r->unit_width < 1 || r->unit_height < 1 || r->unit_width > 1 << 20 ||
        r->unit_height > 1 << 20 ||
        r->row_bytes < ((size_t)r->unit_width * in_unit * r->bits + 7) / 8 ||
        !resr_checked_mul(&bytes, r->row_bytes, r->unit_height) ||
        bytes > (size_t)MAX_ALLOCATION_BYTES)
        return damaged(r, "its strips or tiles have an invalid size");
    size_t band_rows = r->unit_height < r->height ? r->unit_height : r->height;
    int ret = resr_alloc(&r->unit, bytes, 1);
    if (ret == 0)
        ret = resr_alloc(&r->band, band_rows * r->width, r->samples * sizeof *r->band);
    return ret;
}

/* Reads the `n` samples of a row into every `step`th place of `out`. */
static void unpack(uint16_t *out, size_t step, const uint8_t *in, size_t n, int bits)
{
    uint32_t value = 0;
    int held = 0;
    for (size_t i = 0; i < n; i++, out += step) {
        if (bits == 8) {
            *out = in[i];
        } else if (bits == 16) {
            memcpy(out, in + 2 * i, 2);
        } else {
            for (; held < bits; held += 8)
                value = value << 8 | *in++;
            held -= bits;
            *out = (uint16_t)(value >> held & ((1u << bits) - 1));
        }
    }
}

/* Copies one strip or tile to its place in the band. */
static int read_unit(TiffReader *r, uint32_t x, uint32_t y, uint16_t plane)
{
    uint32_t rows = r->height - y < r->unit_height ? r->height - y : r->unit_height;
    uint32_t width = r->width - x < r->unit_width ? r->width - x : r->unit_width;
    size_t in_unit = r->separate ? 1 : r->samples;
    tmsize_t wanted = (tmsize_t)(r->row_bytes * (r->tiled ? r->unit_height : rows));
    uint32_t number =
        r->tiled ? TIFFComputeTile(r->tiff, x, y, 0, plane) : TIFFComputeStrip(r->tiff, y, plane);
    tmsize_t got = r->tiled ? TIFFReadEncodedTile(r->tiff, number, r->unit, wanted)
                            : TIFFReadEncodedStrip(r->tiff, number, r->unit, wanted);
    if (got != wanted || r->errors.warned)
        return damaged(r, "a strip or tile is not complete");
    for (uint32_t row = 0; row < rows; row++) {
        uint16_t *out = r->band + ((size_t)row * r->width + x) * r->samples + plane;
        unpack(out, r->separate ? r->samples : 1, r->unit + row * r->row_bytes, width * in_unit,
               r->bits);
    }
    return 0;
}

/* A sample scaled to 16 bits, or to 8 if it has no more. */
static uint32_t scale(const TiffReader *r, uint32_t value)
{
    uint32_t from = (1u << r->bits) - 1, to = r->bits > 8 ? 65535 : 255;
    return from == to ? value : (value * to + from / 2) / from;
}

static void put(uint8_t *out, size_t place, uint32_t value, bool deep)
{
    if (deep)
        memcpy(out + 2 * place, &(uint16_t){(uint16_t)value}, 2);
    else
        out[place] = (uint8_t)value;
}

/* Writes the colours of one pixel at the output's depth. */
static void colours_of(const TiffReader *r, uint32_t out[4], const uint16_t *in, size_t x)
{
    uint32_t most = r->bits > 8 ? 65535 : 255;
    for (int c = 0; c < 3; c++) {
        if (r->inks)
            out[c] = r->bits > 8 ? r->wide[4 * (size_t)r->width + 3 * x + (size_t)c]
                                 : (r->wide[4 * (size_t)r->width + 3 * x + (size_t)c] + 128u) / 257;
        else if (r->map[0])
            out[c] = (uint32_t)r->map[c][in[0]] >> r->map_shift;
        else
            out[c] = scale(r, in[r->colours == 1 ? 0 : c]);
        if (r->photometric == PHOTOMETRIC_MINISWHITE)
            out[c] = most - out[c];
    }
    out[3] = r->has_alpha ? scale(r, in[r->colours]) : most;
    for (int c = 0; r->premultiplied && c < 3; c++) {
        uint64_t whole = out[3] > 0 ? ((uint64_t)out[c] * most + out[3] / 2) / out[3] : 0;
        out[c] = whole < most ? (uint32_t)whole : most;
    }
}

/* Converts a row of inks of 16 bits. Lab's signed a and b are moved to the middle of the scale, as
 * lcms2 expects. */
static void convert_inks(const TiffReader *r, const uint16_t *in)
{
    size_t n = (size_t)r->colours;
    for (size_t x = 0; x < r->width; x++)
        for (size_t c = 0; c < n; c++) {
            uint32_t value = in[x * r->samples + c];
            if (n == 3 && c > 0)
                value ^= r->bits == 8 ? 0x80 : 0x8000;
            if (n == 3 && c > 0 && r->bits == 16)
                value = (value + (value >> 8)) < 65535 ? value + (value >> 8) : 65535;
            r->wide[x * n + c] = (uint16_t)(r->bits == 16  ? value
                                            : r->bits == 8 ? value * 257
                                            : r->bits < 8  ? scale(r, value) * 257
                                                           : scale(r, value));
        }
    resr_inks_convert(r->inks, r->wide + 4 * (size_t)r->width, r->wide, r->width);
}

static void convert_row(const TiffReader *r, uint8_t *out, const uint16_t *in)
{
    bool grey = r->colours == 1 && !r->map[0];
    bool deep = r->bits > 8 && !r->map[0];
    size_t colours = grey ? 1 : 3, place = 0;
    uint32_t pixel[4];
    if (r->inks)
        convert_inks(r, in);
    for (size_t x = 0; x < r->width; x++, in += r->samples) {
        colours_of(r, pixel, in, x);
        for (size_t c = 0; c < colours; c++)
            put(out, place++, pixel[c], deep);
        if (r->has_alpha)
            put(out, place++, pixel[3], deep);
    }
}

static int read_units(TiffReader *r)
{
    AVFrame *out = r->source->out;
    int ret = open_units(r);
    for (uint32_t y = 0; ret == 0 && y < r->height; y += r->unit_height) {
        for (uint32_t plane = 0; plane < (r->separate ? r->samples : 1u); plane++)
            for (uint32_t x = 0; ret == 0 && x < r->width; x += r->unit_width)
                ret = read_unit(r, x, y, (uint16_t)plane);
        for (uint32_t row = 0; ret == 0 && row < r->unit_height && y + row < r->height; row++)
            convert_row(r, out->data[0] + (ptrdiff_t)(y + row) * out->linesize[0],
                        r->band + (size_t)row * r->width * r->samples);
    }
    return ret;
}

/* Reads YCbCr that the codec does not convert, through libtiff's conversion of the whole picture.
 */
static int read_rgba(TiffReader *r)
{
    AVFrame *out = r->source->out;
    TIFFRGBAImage image;
    char text[1024] = "";
    uint32_t *raster;
    if (!TIFFRGBAImageOK(r->tiff, text) || !TIFFRGBAImageBegin(&image, r->tiff, 1, text))
        return damaged(r, text);
    image.req_orientation = image.orientation; /* as stored */
    int ret = resr_alloc(&raster, (size_t)r->width * r->height, sizeof *raster);
    if (ret == 0 && (!TIFFRGBAImageGet(&image, raster, r->width, r->height) || r->errors.warned))
        ret = damaged(r, "a strip or tile is not complete");
    for (size_t y = 0; ret == 0 && y < r->height; y++)
        for (size_t x = 0; x < r->width; x++) {
            uint32_t pixel = raster[y * r->width + x];
            uint8_t *to = out->data[0] + y * (size_t)out->linesize[0] + 3 * x;
            to[0] = (uint8_t)TIFFGetR(pixel);
            to[1] = (uint8_t)TIFFGetG(pixel);
            to[2] = (uint8_t)TIFFGetB(pixel);
        }
    TIFFRGBAImageEnd(&image);
    free(raster);
    return ret;
}

/* True for a smaller copy of the picture, which may be dropped without a warning. */
static void warn_of_pages(TiffReader *r)
{
    uint32_t kind = 0;
    if (TIFFLastDirectory(r->tiff) || !TIFFReadDirectory(r->tiff))
        return;
    TIFFGetFieldDefaulted(r->tiff, TIFFTAG_SUBFILETYPE, &kind);
    if (!(kind & FILETYPE_REDUCEDIMAGE))
        resr_log_warn("%s: contains more than one page, and only the first page is read; tiffsplit "
                      "writes each page to a file",
                      r->source->path);
}

static int read_picture(TiffReader *r)
{
    int ret = describe(r);
    if (ret < 0)
        return ret;
    bool ycbcr = r->photometric == PHOTOMETRIC_YCBCR;
    bool by_codec = ycbcr && r->compression == COMPRESSION_JPEG && !r->separate;
    bool grey = r->colours == 1 && !r->map[0];
    if (ycbcr && r->has_alpha)
        resr_picture_add_lost(r->source->tags->lost, "transparency");
    if (ycbcr)
        r->has_alpha = false;
    if (!read_tags(r))
        return resr_fail(RESR_ERR_INTERNAL, "%s: out of memory: its tags", r->source->path);
    ret = read_exif(r);
    if (ret == 0)
        ret = resr_picture_create(
            r->source, r->width, r->height,
            resr_picture_format(RESR_PICTURE_TIFF, grey, r->has_alpha, r->bits > 8 && !r->map[0]));
    if (ret == 0)
        ret = open_inks(r);
    if (ret < 0 || !r->source->out)
        return ret;
    r->errors.text[0] = 0;
    r->errors.in_pixels = true;
    if (by_codec)
        TIFFSetField(r->tiff, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
    return ycbcr && !by_codec ? read_rgba(r) : read_units(r);
}

static tmsize_t read_bytes(thandle_t handle, void *data, tmsize_t bytes)
{
    int n = avio_read(handle, data, bytes < 1 << 30 ? (int)bytes : 1 << 30);
    return n > 0 ? n : 0;
}

static tmsize_t write_nothing(thandle_t handle, void *data, tmsize_t bytes)
{
    (void)handle;
    (void)data;
    (void)bytes;
    return -1;
}

static toff_t seek(thandle_t handle, toff_t offset, int whence)
{
    int64_t place = offset <= INT64_MAX ? avio_seek(handle, (int64_t)offset, whence) : -1;
    return place < 0 ? (toff_t)-1 : (toff_t)place;
}

static int close_nothing(thandle_t handle)
{
    (void)handle;
    return 0;
}

static toff_t size_of(thandle_t handle)
{
    int64_t bytes = avio_size(handle);
    return bytes > 0 ? (toff_t)bytes : 0;
}

int resr_tiff_read(ResrPictureSource *source)
{
    TiffReader r = {.source = source};
    TIFFOpenOptions *options = resr_tiff_options(&r.errors);
    /* m: not mapped into memory */
    r.tiff = options ? TIFFClientOpenExt("TIFF", "rm", source->io, read_bytes, write_nothing, seek,
                                         close_nothing, size_of, NULL, NULL, options)
                     : NULL;
    TIFFOpenOptionsFree(options);
    int ret = r.tiff ? read_picture(&r) : damaged(&r, "it cannot be opened");
    if (ret == 0 && source->out)
        warn_of_pages(&r);
    if (r.tiff)
        TIFFClose(r.tiff);
    resr_inks_close(r.inks);
    free(r.unit);
    free(r.band);
    free(r.wide);
    return ret;
}
