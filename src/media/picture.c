#include "media/picture.h"

#include <libavutil/imgutils.h>
#include <libavutil/pixdesc.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "media/picture_formats.h"

static const struct {
    const char *name;
    int (*read)(ResrPictureSource *source);
    int (*write)(ResrPictureTarget *target);
    void (*version)(char *out, size_t out_bytes);
    int max_side_px;
    double max_quality; /* 0: the format is lossless */
} formats[] = {
    [RESR_PICTURE_PNG] = {"png", resr_png_read, resr_png_write, resr_png_version, INT32_MAX, 0},
    [RESR_PICTURE_JPEG] = {"jpeg", resr_jpeg_read, resr_jpeg_write, resr_jpeg_version, 65500, 31},
    [RESR_PICTURE_TIFF] = {"tiff", resr_tiff_read, resr_tiff_write, resr_tiff_version, INT32_MAX,
                           0},
    [RESR_PICTURE_WEBP] = {"webp", resr_webp_read, resr_webp_write, resr_webp_version, 16383, 100},
};

static void free_blob(ResrPictureBlob *blob)
{
    free(blob->data);
    *blob = (ResrPictureBlob){0};
}

void resr_picture_tags_free(ResrPictureTags *tags)
{
    free_blob(&tags->icc);
    free_blob(&tags->exif);
    free_blob(&tags->xmp);
    for (size_t i = 0; i < tags->text_count; i++) {
        free(tags->texts[i].key);
        free(tags->texts[i].value);
    }
    free(tags->texts);
    *tags = (ResrPictureTags){0};
}

bool resr_picture_copy_block(ResrPictureBlob *out, const void *data, size_t bytes)
{
    free_blob(out);
    if (bytes == 0 || bytes > RESR_PICTURE_MAX_BLOCK_BYTES)
        return true;
    out->data = malloc(bytes + 1);
    if (!out->data)
        return false;
    memcpy(out->data, data, bytes);
    out->data[bytes] = 0; /* XMP is used as a string */
    out->bytes = bytes;
    return true;
}

bool resr_picture_add_text(ResrPictureTags *tags, const char *key, const char *value,
                           size_t value_bytes, bool utf8)
{
    if (tags->text_count >= RESR_PICTURE_MAX_TEXTS || value_bytes > RESR_PICTURE_MAX_BLOCK_BYTES)
        return true;
    if (resr_grow(&tags->texts, &tags->text_capacity, tags->text_count, sizeof *tags->texts) < 0)
        return false;
    ResrPictureText *text = &tags->texts[tags->text_count];
    *text = (ResrPictureText){strdup(key), strndup(value, value_bytes), utf8};
    tags->text_count++;
    return text->key && text->value;
}

void resr_picture_add_lost(char *lost, const char *name)
{
    size_t used = strlen(lost);
    if (!strstr(lost, name))
        snprintf(lost + used, RESR_PICTURE_LOST_BYTES - used, "%s%s", used > 0 ? ", " : "", name);
}

bool resr_picture_profile_fits(const ResrPictureTarget *target)
{
    const ResrPictureBlob *icc = &target->tags->icc;
    bool grey = av_pix_fmt_desc_get(target->frame->format)->nb_components <= 2;
    bool of_grey = icc->bytes >= 20 && memcmp(icc->data + 16, "GRAY", 4) == 0;
    if (icc->bytes > 0 && grey != of_grey)
        resr_picture_add_lost(target->lost, "colour profile");
    return icc->bytes > 0 && grey == of_grey;
}

bool resr_picture_append(ResrPictureTarget *target, const void *data, size_t bytes)
{
    size_t needed;
    if (!resr_checked_add(&needed, target->file.bytes, bytes))
        return false;
    if (needed > target->capacity) {
        size_t capacity = target->capacity ? target->capacity : 1 << 16;
        while (capacity < needed)
            capacity += capacity / 2;
        uint8_t *grown = realloc(target->file.data, capacity);
        if (!grown)
            return false;
        target->file.data = grown;
        target->capacity = capacity;
    }
    memcpy(target->file.data + target->file.bytes, data, bytes);
    target->file.bytes = needed;
    return true;
}

int resr_picture_damaged(const ResrPictureSource *source, const char *kind, const char *what)
{
    return resr_fail(RESR_ERR_DATA, "%s: the %s picture is damaged or cut off: %s", source->path,
                     kind, what);
}

int resr_picture_create(ResrPictureSource *source, uint64_t width_px, uint64_t height_px,
                        enum AVPixelFormat format)
{
    if (width_px < 1 || height_px < 1 || width_px > RESR_MAX_SIDE_PX ||
        height_px > RESR_MAX_SIDE_PX || width_px * height_px > RESR_MAX_FRAME_PX)
        return resr_fail(RESR_ERR_DATA,
                         "%s: the picture has %llu x %llu pixels; a side may have 1 to %d pixels "
                         "and the picture at most %d; cut the picture into parts",
                         source->path, (unsigned long long)width_px, (unsigned long long)height_px,
                         RESR_MAX_SIDE_PX, RESR_MAX_FRAME_PX);
    if (!source->out)
        return 0;
    const AVPixFmtDescriptor *desc = av_pix_fmt_desc_get(format);
    AVFrame *out = source->out;
    out->format = format;
    out->width = (int)width_px;
    out->height = (int)height_px;
    out->color_range = AVCOL_RANGE_JPEG;
    out->colorspace = desc->flags & AV_PIX_FMT_FLAG_RGB ? AVCOL_SPC_RGB : AVCOL_SPC_UNSPECIFIED;
    if (av_frame_get_buffer(out, 0) < 0)
        return resr_fail(RESR_ERR_INTERNAL, "%s: out of memory: a picture of %d x %d", source->path,
                         out->width, out->height);
    return 0;
}

/* True for a PNG with an acTL chunk, which comes before the pixels, of more than one frame. */
static bool is_moving_png(AVIOContext *io)
{
    for (int i = 0; i < 10000 && !avio_feof(io); i++) {
        uint32_t bytes = avio_rb32(io), name = avio_rb32(io);
        if (name == MKBETAG('I', 'D', 'A', 'T'))
            return false;
        if (name == MKBETAG('a', 'c', 'T', 'L'))
            return avio_rb32(io) > 1;
        if (avio_skip(io, (int64_t)bytes + 4) < 0)
            return false;
    }
    return false;
}

/* The byte after the next FF; -1 at the end of the file. */
static int next_marker(AVIOContext *io)
{
    int c;
    do
        c = avio_r8(io);
    while (c != 0xFF && !avio_feof(io));
    while (c == 0xFF && !avio_feof(io))
        c = avio_r8(io);
    return avio_feof(io) ? -1 : c;
}

/* JPEG-LS and lossless JPEG are left to FFmpeg. A moving picture is a series of pictures without a
 * table of them (MPF), which photographs with further pictures have. */
static ResrPictureKind kind_of_jpeg(AVIOContext *io)
{
    bool table = false;
    for (int marker = next_marker(io); marker >= 0; marker = next_marker(io)) {
        if (marker <= 1 || (marker >= 0xD0 && marker <= 0xD8) || marker == 0xDA)
            continue; /* has no length, or is part of a scan */
        if (marker == 0xD9)
            return !table && avio_rb24(io) == 0xFFD8FF ? RESR_PICTURE_MOVING : RESR_PICTURE_JPEG;
        if (marker == 0xC3 || marker == 0xF7)
            return RESR_PICTURE_NONE;
        int bytes = (int)avio_rb16(io) - 2, read = bytes >= 4 ? 4 : 0;
        if (bytes < 0)
            break;
        uint32_t name = read > 0 ? avio_rb32(io) : 0;
        table = table || (marker == 0xE2 && name == MKBETAG('M', 'P', 'F', 0));
        if (avio_skip(io, bytes - read) < 0)
            break;
    }
    return RESR_PICTURE_JPEG;
}

/* Determines the kind from the first bytes, and rewinds the file. */
static ResrPictureKind kind_of(AVIOContext *io)
{
    uint8_t head[12] = {0};
    ResrPictureKind kind = RESR_PICTURE_NONE;
    int n = avio_read(io, head, sizeof head);
    if (n >= 8 && memcmp(head, "\x89PNG\r\n\x1a\n", 8) == 0)
        kind = avio_seek(io, 8, SEEK_SET) == 8 && is_moving_png(io) ? RESR_PICTURE_MOVING
                                                                    : RESR_PICTURE_PNG;
    else if (n >= 3 && memcmp(head, "\xFF\xD8\xFF", 3) == 0)
        kind = avio_seek(io, 2, SEEK_SET) == 2 ? kind_of_jpeg(io) : RESR_PICTURE_JPEG;
    else if (n >= 4 && (memcmp(head, "II*\0", 4) == 0 || memcmp(head, "MM\0*", 4) == 0 ||
                        memcmp(head, "II+\0", 4) == 0 || memcmp(head, "MM\0+", 4) == 0))
        kind = RESR_PICTURE_TIFF;
    else if (n >= 12 && memcmp(head, "RIFF", 4) == 0 && memcmp(head + 8, "WEBP", 4) == 0)
        kind = RESR_PICTURE_WEBP;
    avio_seek(io, 0, SEEK_SET);
    return kind;
}

int resr_picture_kind(ResrPictureKind *out, const char *path, const atomic_bool *stop)
{
    AVIOContext *io;
    int ret = resr_avio_open(&io, path, stop);
    if (ret < 0)
        return ret;
    *out = kind_of(io);
    return resr_avio_end(&io, path, 0);
}

/* Reads tags and, if `out` is given, pixels, as stored. */
static int read_stored(AVFrame *out, ResrPictureTags *tags, const char *path,
                       const atomic_bool *stop)
{
    ResrPictureSource source = {.path = path, .out = out, .tags = tags};
    *tags = (ResrPictureTags){0};
    int ret = resr_avio_open(&source.io, path, stop);
    if (ret < 0)
        return ret;
    ResrPictureKind kind = kind_of(source.io);
    source.bytes = avio_size(source.io);
    ret = kind == RESR_PICTURE_NONE || kind == RESR_PICTURE_MOVING
              ? resr_fail(RESR_ERR_DATA, "%s: not a PNG, JPEG, TIFF or WebP picture", path)
              : formats[kind].read(&source);
    ret = resr_avio_end(&source.io, path, ret);
    if (ret == 0 && tags->orientation == 0)
        tags->orientation = resr_exif_orientation(&tags->exif);
    if (ret == 0 && tags->orientation == 0)
        tags->orientation = resr_xmp_orientation(&tags->xmp);
    return ret;
}

int resr_picture_read(AVFrame *out, ResrPictureTags *tags, const char *path,
                      const atomic_bool *stop)
{
    int ret = read_stored(out, tags, path, stop);
    if (ret == 0 && tags->orientation > 1) {
        AVFrame *stored = av_frame_clone(out);
        av_frame_unref(out);
        ret = stored ? resr_picture_turn(out, stored, tags->orientation)
                     : resr_fail(RESR_ERR_INTERNAL, "%s: out of memory: turning the picture", path);
        av_frame_free(&stored);
    }
    if (ret == 0 && tags->ratio && tags->density_x > 0 && tags->density_y > 0)
        out->sample_aspect_ratio = av_d2q(tags->density_x / tags->density_y, 1 << 15);
    if (ret == 0 && tags->ratio && resr_picture_swaps(tags->orientation))
        out->sample_aspect_ratio = av_inv_q(out->sample_aspect_ratio);
    return ret;
}

int resr_picture_read_tags(ResrPictureTags *tags, const char *path, const atomic_bool *stop)
{
    return read_stored(NULL, tags, path, stop);
}

void resr_picture_name_tags(ResrPictureTags *tags)
{
    if (tags->icc.bytes > 0)
        resr_picture_add_lost(tags->lost, "colour profile");
    if (tags->exif.bytes > 0)
        resr_picture_add_lost(tags->lost, "EXIF");
    if (tags->xmp.bytes > 0)
        resr_picture_add_lost(tags->lost, "XMP");
    if (tags->text_count > 0)
        resr_picture_add_lost(tags->lost, "texts");
    if (tags->density_x > 0)
        resr_picture_add_lost(tags->lost, "resolution (dpi)");
}

const char *resr_picture_name(ResrPictureKind kind)
{
    return formats[kind].name;
}

void resr_picture_library(ResrPictureKind kind, char *out, size_t out_bytes)
{
    formats[kind].version(out, out_bytes);
}

ResrPictureKind resr_picture_kind_of_name(const char *path)
{
    static const struct {
        const char *ending;
        ResrPictureKind kind;
    } table[] = {
        {"png", RESR_PICTURE_PNG},   {"jpg", RESR_PICTURE_JPEG},  {"jpeg", RESR_PICTURE_JPEG},
        {"webp", RESR_PICTURE_WEBP}, {"tiff", RESR_PICTURE_TIFF}, {"tif", RESR_PICTURE_TIFF},
    };
    const char *ending = strrchr(path, '.');
    for (size_t i = 0; ending && i < sizeof table / sizeof *table; i++)
        if (strcasecmp(ending + 1, table[i].ending) == 0)
            return table[i].kind;
    return RESR_PICTURE_NONE;
}

enum AVPixelFormat resr_picture_format(ResrPictureKind kind, bool grey, bool alpha, bool deep)
{
    static const enum AVPixelFormat table[2][2][2] = {
        {{AV_PIX_FMT_RGB24, AV_PIX_FMT_RGB48}, {AV_PIX_FMT_RGBA, AV_PIX_FMT_RGBA64}},
        {{AV_PIX_FMT_GRAY8, AV_PIX_FMT_GRAY16}, {AV_PIX_FMT_YA8, AV_PIX_FMT_YA16}}};
    if (kind == RESR_PICTURE_JPEG)
        return table[grey][0][0];
    if (kind == RESR_PICTURE_WEBP)
        return table[0][alpha][0];
    return table[grey][alpha][deep];
}

int resr_picture_check_size(ResrPictureKind kind, const char *path, int width_px, int height_px)
{
    int limit = formats[kind].max_side_px;
    if (width_px <= limit && height_px <= limit)
        return 0;
    return resr_fail(RESR_ERR_USAGE,
                     "%s: the output has %d x %d pixels, but a side of a %s picture has at most "
                     "%d; use a .png or .tif output, or a smaller --outscale",
                     path, width_px, height_px, formats[kind].name, limit);
}

int resr_picture_check_quality(ResrPictureKind kind, double quality)
{
    double most = formats[kind].max_quality;
    if (quality >= 0 && most == 0)
        return resr_fail(RESR_ERR_USAGE,
                         "--crf: %s pictures are lossless and have no quality; remove --crf",
                         formats[kind].name);
    if (quality > most)
        return resr_fail(RESR_ERR_USAGE, "--crf: %g is out of range; %s pictures take 0 to %g",
                         quality, formats[kind].name, most);
    return 0;
}

int resr_picture_write(ResrPictureBlob *out, ResrPictureKind kind, const AVFrame *frame,
                       ResrPictureTags *tags, double quality)
{
    ResrPictureTags none = {0}, *all = tags ? tags : &none;
    ResrPictureTarget target = {.frame = frame, .tags = all, .quality = quality, .lost = all->lost};
    resr_exif_adapt(&all->exif, frame->width, frame->height);
    resr_xmp_adapt(&all->xmp);
    if (resr_picture_swaps(all->orientation)) {
        double x = all->density_x;
        all->density_x = all->density_y;
        all->density_y = x;
    }
    all->orientation = 0;
    int ret = formats[kind].write(&target);
    if (ret == 0 && target.file.bytes > INT32_MAX)
        ret = resr_fail(RESR_ERR_USAGE,
                        "the %s picture is larger than 2 GiB; use a smaller --outscale",
                        formats[kind].name);
    if (ret < 0)
        free(target.file.data);
    else
        *out = target.file;
    return ret;
}

bool resr_picture_swaps(int orientation)
{
    return orientation >= 5;
}

/* Turns one plane of `step` bytes per pixel, `width` x `height` before the turn. */
static void turn_plane(uint8_t *out, ptrdiff_t out_stride, const uint8_t *in, ptrdiff_t in_stride,
                       size_t step, int width, int height, int orientation)
{
    bool swap = resr_picture_swaps(orientation);
    bool flip_x = orientation == 2 || orientation == 3 || orientation >= 7;
    bool flip_y = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    int out_width = swap ? height : width, out_height = swap ? width : height;
    ptrdiff_t along_x = (flip_x ? -1 : 1) * (ptrdiff_t)step;
    ptrdiff_t along_y = (flip_y ? -1 : 1) * in_stride;
    const uint8_t *first =
        in + (flip_x ? (ptrdiff_t)step * (width - 1) : 0) + (flip_y ? in_stride * (height - 1) : 0);
    for (int y = 0; y < out_height; y++) {
        const uint8_t *from = first + y * (swap ? along_x : along_y);
        uint8_t *to = out + y * out_stride;
        for (int x = 0; x < out_width; x++, from += swap ? along_y : along_x, to += step)
            memcpy(to, from, step);
    }
}

int resr_picture_turn(AVFrame *out, const AVFrame *in, int orientation)
{
    const AVPixFmtDescriptor *desc = av_pix_fmt_desc_get(in->format);
    int steps[4] = {0};
    bool swap = resr_picture_swaps(orientation);
    out->format = in->format;
    out->width = swap ? in->height : in->width;
    out->height = swap ? in->width : in->height;
    if (av_frame_get_buffer(out, 0) < 0 || av_frame_copy_props(out, in) < 0)
        return resr_fail(RESR_ERR_INTERNAL, "out of memory: turning a picture of %d x %d",
                         in->width, in->height);
    av_image_fill_max_pixsteps(steps, NULL, desc);
    for (int p = 0; p < 4 && steps[p] > 0 && in->data[p]; p++) {
        bool chroma = p == 1 || p == 2;
        int width = chroma ? AV_CEIL_RSHIFT(in->width, desc->log2_chroma_w) : in->width;
        int height = chroma ? AV_CEIL_RSHIFT(in->height, desc->log2_chroma_h) : in->height;
        turn_plane(out->data[p], out->linesize[p], in->data[p], in->linesize[p], (size_t)steps[p],
                   width, height, orientation);
    }
    return 0;
}
