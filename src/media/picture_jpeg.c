#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

#include "media/picture_formats.h"

/* Scans of a progressive picture. Encoders make about ten; each costs a pass over the whole
 * picture, however few bytes it has. */
#define MAX_SCANS 200

/* Markers before the pixels: EXIF, profile, XMP. */
#define MAX_MARKER_BYTES (64 << 20)

/* Largest rest of a scan whose pixels are complete, because some cameras pad; a larger rest is lost
 * synchronism. */
#define MAX_PADDING_BYTES 32

#define MAX_MEMORY_BYTES (3L << 30)

#define EXIF_NAME "Exif\0\0"
#define XMP_NAME "http://ns.adobe.com/xap/1.0/\0"
enum { EXIF_NAME_BYTES = 6, XMP_NAME_BYTES = 29, EXIF_MOST = 65533, APP1 = JPEG_APP0 + 1 };

/* Quality 95 as the percentage by which libjpeg scales its tables; 12.5 percent correspond to one
 * step of FFmpeg's quantiser. */
#define DEFAULT_SCALE 10
#define SCALE_OF_QUALITY 12.5

/* State of reader and writer. It survives the longjmp() with which libjpeg reports an error. */
typedef struct JpegErrors {
    struct jpeg_error_mgr manager; /* first: libjpeg passes this pointer to handlers */
    jmp_buf jump;
    char text[JMSG_LENGTH_MAX];
} JpegErrors;

static void on_error(j_common_ptr common)
{
    JpegErrors *errors = (JpegErrors *)common->err;
    errors->manager.format_message(common, errors->text);
    longjmp(errors->jump, 1);
}

/* Warnings of damage are errors; warnings of unusual but complete files are not. */
static void on_message(j_common_ptr common, int level)
{
    const struct jpeg_error_mgr *manager = common->err;
    bool padding = manager->msg_code == JWRN_EXTRANEOUS_DATA &&
                   manager->msg_parm.i[0] <= MAX_PADDING_BYTES && manager->msg_parm.i[1] == 0xD9;
    if (level < 0 && !padding && manager->msg_code != JWRN_JFIF_MAJOR &&
        manager->msg_code != JWRN_ADOBE_XFORM && manager->msg_code != JWRN_BOGUS_ICC)
        on_error(common);
}

static struct jpeg_error_mgr *install(JpegErrors *errors)
{
    jpeg_std_error(&errors->manager);
    errors->manager.error_exit = on_error;
    errors->manager.emit_message = on_message;
    return &errors->manager;
}

typedef struct JpegReader {
    JpegErrors errors;
    struct jpeg_decompress_struct c;
    struct jpeg_progress_mgr progress;
    struct jpeg_source_mgr manager;
    uint8_t buffer[1 << 14];
    ResrPictureSource *source;
    ResrInks *inks;
    uint8_t *row;
} JpegReader;

static void on_progress(j_common_ptr common)
{
    struct jpeg_decompress_struct *c = (struct jpeg_decompress_struct *)common;
    if (c->input_scan_number > MAX_SCANS) {
        JpegErrors *errors = (JpegErrors *)common->err;
        snprintf(errors->text, sizeof errors->text, "it has more than %d scans", MAX_SCANS);
        longjmp(errors->jump, 1);
    }
}

/* Measures the markers before the first scan, because libjpeg keeps all of them in memory. */
static bool markers_fit(AVIOContext *io)
{
    int64_t sum = 0;
    avio_seek(io, 2, SEEK_SET);
    while (!avio_feof(io) && avio_r8(io) == 0xFF && avio_r8(io) != 0xDA) {
        int bytes = (int)avio_rb16(io);
        if (bytes < 2 || avio_skip(io, bytes - 2) < 0)
            break;
        sum += bytes;
        if (sum > MAX_MARKER_BYTES)
            return false;
    }
    return avio_seek(io, 0, SEEK_SET) == 0;
}

static void start_source(j_decompress_ptr c)
{
    (void)c;
}

/* At the end of the file libjpeg gets the missing end mark, after a warning. */
static boolean fill_buffer(j_decompress_ptr c)
{
    JpegReader *r = c->client_data;
    int n = avio_read(r->source->io, r->buffer, sizeof r->buffer);
    if (n <= 0) {
        WARNMS(c, JWRN_JPEG_EOF);
        r->buffer[0] = 0xFF;
        r->buffer[1] = JPEG_EOI;
        n = 2;
    }
    c->src->next_input_byte = r->buffer;
    c->src->bytes_in_buffer = (size_t)n;
    return TRUE;
}

static void skip_bytes(j_decompress_ptr c, long bytes)
{
    for (; bytes > (long)c->src->bytes_in_buffer; fill_buffer(c))
        bytes -= (long)c->src->bytes_in_buffer;
    if (bytes > 0) {
        c->src->next_input_byte += bytes;
        c->src->bytes_in_buffer -= (size_t)bytes;
    }
}

static void open_source(JpegReader *r)
{
    r->c.client_data = r;
    r->manager = (struct jpeg_source_mgr){.init_source = start_source,
                                          .fill_input_buffer = fill_buffer,
                                          .skip_input_data = skip_bytes,
                                          .resync_to_restart = jpeg_resync_to_restart,
                                          .term_source = start_source};
    r->c.src = &r->manager;
}

static bool has_name(const struct jpeg_marker_struct *marker, int code, const char *name,
                     size_t bytes)
{
    return marker->marker == code && marker->data_length > bytes &&
           memcmp(marker->data, name, bytes) == 0;
}

static bool read_markers(ResrPictureTags *tags, jpeg_saved_marker_ptr marker)
{
    bool kept = true;
    for (; marker && kept; marker = marker->next) {
        const char *data = (const char *)marker->data;
        if (has_name(marker, APP1, EXIF_NAME, EXIF_NAME_BYTES) && tags->exif.bytes == 0)
            kept = resr_picture_copy_block(&tags->exif, data + EXIF_NAME_BYTES,
                                           marker->data_length - EXIF_NAME_BYTES);
        else if (has_name(marker, APP1, XMP_NAME, XMP_NAME_BYTES) && tags->xmp.bytes == 0)
            kept = resr_picture_copy_block(&tags->xmp, data + XMP_NAME_BYTES,
                                           marker->data_length - XMP_NAME_BYTES);
        else if (marker->marker == JPEG_COM)
            kept = resr_picture_add_text(tags, "Comment", data, marker->data_length, false);
        else if (has_name(marker, JPEG_APP0 + 2, "MPF", 4))
            resr_picture_add_lost(tags->lost, "further pictures");
        else if (has_name(marker, JPEG_APP0 + 13, "Photoshop 3.0", 14))
            resr_picture_add_lost(tags->lost, "Photoshop data");
    }
    return kept;
}

static bool read_tags(JpegReader *r)
{
    ResrPictureTags *tags = r->source->tags;
    double unit = r->c.density_unit == 1 ? 1 / 0.0254 : r->c.density_unit == 2 ? 100 : 1;
    JOCTET *icc = NULL;
    unsigned bytes = 0;
    bool kept = read_markers(tags, r->c.marker_list);
    if (kept && jpeg_read_icc_profile(&r->c, &icc, &bytes))
        kept = resr_picture_copy_block(&tags->icc, icc, bytes);
    free(icc);
    if (r->c.saw_JFIF_marker && (unit > 1 || r->c.X_density != r->c.Y_density)) {
        tags->density_x = r->c.X_density * unit;
        tags->density_y = r->c.Y_density * unit;
        tags->ratio = unit == 1;
    }
    if (r->c.jpeg_color_space == JCS_YCbCr) {
        const jpeg_component_info *luma = &r->c.comp_info[0], *chroma = &r->c.comp_info[1];
        tags->is_ycbcr = true;
        tags->chroma_shift_x = luma->h_samp_factor > chroma->h_samp_factor;
        tags->chroma_shift_y = luma->v_samp_factor > chroma->v_samp_factor;
    }
    return kept;
}

/* libjpeg's output: gray, RGB or CMYK. */
static int choose_colours(JpegReader *r)
{
    switch (r->c.jpeg_color_space) {
    case JCS_GRAYSCALE:
        r->c.out_color_space = JCS_GRAYSCALE;
        return 0;
    case JCS_RGB:
    case JCS_YCbCr:
        r->c.out_color_space = JCS_RGB;
        return 0;
    case JCS_CMYK:
    case JCS_YCCK:
        r->c.out_color_space = JCS_CMYK;
        r->source->tags->is_cmyk = true;
        return 0;
    default:
        return resr_fail(RESR_ERR_DATA,
                         "%s: the JPEG picture has %d components of an unknown colour space; "
                         "convert the picture to RGB first",
                         r->source->path, r->c.num_components);
    }
}

static int open_rows(JpegReader *r)
{
    ResrPictureTags *tags = r->source->tags;
    if (!tags->is_cmyk)
        return 0;
    int ret = resr_inks_open(&r->inks, RESR_INKS_CMYK, &tags->icc, 8, r->source->path);
    free(tags->icc.data);
    tags->icc = (ResrPictureBlob){0};
    return ret < 0 ? ret : resr_alloc(&r->row, r->c.image_width, 4);
}

static void read_rows(JpegReader *r)
{
    AVFrame *out = r->source->out;
    jpeg_start_decompress(&r->c);
    for (size_t bytes = (size_t)r->c.output_width * 4; r->c.output_scanline < r->c.output_height;) {
        uint8_t *to = out->data[0] + (ptrdiff_t)r->c.output_scanline * out->linesize[0];
        JSAMPROW row = r->inks ? r->row : to;
        jpeg_read_scanlines(&r->c, &row, 1);
        for (size_t i = 0; r->inks && i < bytes; i++)
            r->row[i] =
                (uint8_t)~r->row[i]; /* files store the absence of ink, as Adobe's programs do */
        if (r->inks)
            resr_inks_convert(r->inks, to, r->row, r->c.output_width);
    }
    jpeg_finish_decompress(&r->c);
}

static int read_all(JpegReader *r)
{
    if (setjmp(r->errors.jump))
        return resr_picture_damaged(r->source, "JPEG", r->errors.text);
    jpeg_create_decompress(&r->c);
    r->c.mem->max_memory_to_use = MAX_MEMORY_BYTES;
    r->progress.progress_monitor = on_progress;
    r->c.progress = &r->progress;
    open_source(r);
    static const int kept[] = {JPEG_APP0 + 1, JPEG_APP0 + 2, JPEG_APP0 + 13, JPEG_COM};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        jpeg_save_markers(&r->c, kept[i], 0xFFFF);
    jpeg_read_header(&r->c, TRUE);
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        jpeg_save_markers(&r->c, kept[i], 0);
    if (!read_tags(r))
        return resr_fail(RESR_ERR_INTERNAL, "%s: out of memory: its EXIF", r->source->path);
    int ret = choose_colours(r);
    if (ret == 0)
        ret = resr_picture_create(r->source, r->c.image_width, r->c.image_height,
                                  r->c.out_color_space == JCS_GRAYSCALE ? AV_PIX_FMT_GRAY8
                                                                        : AV_PIX_FMT_RGB24);
    if (ret == 0)
        ret = open_rows(r);
    if (ret == 0 && r->source->out)
        read_rows(r);
    return ret;
}

int resr_jpeg_read(ResrPictureSource *source)
{
    JpegReader r = {.source = source};
    if (!markers_fit(source->io))
        return resr_picture_damaged(source, "JPEG", "its markers are larger than 64 MiB");
    r.c.err = install(&r.errors);
    int ret = read_all(&r);
    jpeg_destroy_decompress(&r.c);
    resr_inks_close(r.inks);
    free(r.row);
    return ret;
}

/* Replaces libjpeg's destination in memory, which hides errors. */
typedef struct JpegWriter {
    JpegErrors errors;
    struct jpeg_compress_struct c;
    struct jpeg_destination_mgr destination;
    uint8_t buffer[1 << 14];
    ResrPictureTarget *target;
} JpegWriter;

static JpegWriter *writer_of(j_compress_ptr c)
{
    return c->client_data;
}

static void restart_buffer(j_compress_ptr c)
{
    c->dest->next_output_byte = writer_of(c)->buffer;
    c->dest->free_in_buffer = sizeof writer_of(c)->buffer;
}

static void append(j_compress_ptr c, size_t bytes)
{
    if (!resr_picture_append(writer_of(c)->target, writer_of(c)->buffer, bytes))
        ERREXIT1(c, JERR_OUT_OF_MEMORY, 0);
    restart_buffer(c);
}

static boolean append_full(j_compress_ptr c)
{
    append(c, sizeof writer_of(c)->buffer);
    return TRUE;
}

static void append_rest(j_compress_ptr c)
{
    append(c, sizeof writer_of(c)->buffer - c->dest->free_in_buffer);
}

static void put_app1(JpegWriter *w, const char *name, size_t name_bytes,
                     const ResrPictureBlob *blob, const char *what)
{
    if (blob->bytes == 0)
        return;
    if (blob->bytes > EXIF_MOST - name_bytes) {
        resr_picture_add_lost(w->target->lost, what);
        return;
    }
    jpeg_write_m_header(&w->c, APP1, (unsigned)(name_bytes + blob->bytes));
    for (size_t i = 0; i < name_bytes; i++)
        jpeg_write_m_byte(&w->c, name[i]);
    for (size_t i = 0; i < blob->bytes; i++)
        jpeg_write_m_byte(&w->c, blob->data[i]);
}

/* EXIF, or an EXIF block with another format's texts; a single text becomes a comment. */
static void put_texts(JpegWriter *w, const ResrPictureBlob *made, size_t others)
{
    const ResrPictureTags *tags = w->target->tags;
    put_app1(w, EXIF_NAME, EXIF_NAME_BYTES, made->bytes > 0 ? made : &tags->exif, "EXIF");
    for (size_t i = 0; i < tags->text_count; i++) {
        const char *value = tags->texts[i].value;
        if (strcmp(tags->texts[i].key, "Comment") != 0 || strlen(value) > EXIF_MOST)
            continue;
        jpeg_write_marker(&w->c, JPEG_COM, (const JOCTET *)value, (unsigned)strlen(value));
        others -= others > 0;
    }
    if (others > 0)
        resr_picture_add_lost(w->target->lost, "texts");
}

static void put_tags(JpegWriter *w, const ResrPictureBlob *made, size_t others)
{
    const ResrPictureTags *tags = w->target->tags;
    put_texts(w, made, others);
    put_app1(w, XMP_NAME, XMP_NAME_BYTES, &tags->xmp, "XMP");
    if (resr_picture_profile_fits(w->target))
        jpeg_write_icc_profile(&w->c, tags->icc.data, (unsigned)tags->icc.bytes);
}

static void set_density(JpegWriter *w)
{
    const ResrPictureTags *tags = w->target->tags;
    double unit = tags->ratio ? 1 : 0.0254, x = tags->density_x * unit, y = tags->density_y * unit;
    if (x < 0.5 || y < 0.5 || x > 65535 || y > 65535)
        return;
    w->c.density_unit = tags->ratio ? 0 : 1;
    w->c.X_density = (UINT16)(x + 0.5);
    w->c.Y_density = (UINT16)(y + 0.5);
}

static int write_all(JpegWriter *w, const ResrPictureBlob *made, size_t others)
{
    const AVFrame *frame = w->target->frame;
    double quality = w->target->quality;
    if (setjmp(w->errors.jump))
        return resr_fail(RESR_ERR_INTERNAL, "the JPEG picture cannot be written: %s",
                         w->errors.text);
    jpeg_create_compress(&w->c);
    w->c.client_data = w;
    w->destination = (struct jpeg_destination_mgr){.init_destination = restart_buffer,
                                                   .empty_output_buffer = append_full,
                                                   .term_destination = append_rest};
    w->c.dest = &w->destination;
    w->c.image_width = (JDIMENSION)frame->width;
    w->c.image_height = (JDIMENSION)frame->height;
    w->c.input_components = frame->format == AV_PIX_FMT_GRAY8 ? 1 : 3;
    w->c.in_color_space = w->c.input_components == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(&w->c);
    jpeg_set_linear_quality(&w->c, quality < 0 ? DEFAULT_SCALE : (int)(quality * SCALE_OF_QUALITY),
                            TRUE);
    w->c.comp_info[0].h_samp_factor = w->c.comp_info[0].v_samp_factor = 1; /* 4:4:4 */
    w->c.optimize_coding = TRUE;
    set_density(w);
    jpeg_start_compress(&w->c, TRUE);
    put_tags(w, made, others);
    while (w->c.next_scanline < w->c.image_height) {
        JSAMPROW row = frame->data[0] + (ptrdiff_t)w->c.next_scanline * frame->linesize[0];
        jpeg_write_scanlines(&w->c, &row, 1);
    }
    jpeg_finish_compress(&w->c);
    return 0;
}

int resr_jpeg_write(ResrPictureTarget *target)
{
    ResrPictureBlob made = {0};
    size_t others = target->tags->text_count;
    JpegWriter w = {.target = target};
    int ret = target->tags->exif.bytes == 0 ? resr_exif_of_texts(&made, &others, target->tags) : 0;
    w.c.err = install(&w.errors);
    if (ret == 0)
        ret = write_all(&w, &made, others);
    jpeg_destroy_compress(&w.c);
    free(made.data);
    return ret;
}

#define TEXT_OF(number) TEXT_OF_IT(number)
#define TEXT_OF_IT(number) #number

void resr_jpeg_version(char *out, size_t out_bytes)
{
    snprintf(out, out_bytes, "libjpeg-turbo %s", TEXT_OF(LIBJPEG_TURBO_VERSION));
}
