/* Every pixel format of libavutil: frames from a decoder and to an encoder have the right values,
 * or the format is refused by name. The layouts are stated here again, from the formats'
 * definitions, not from libavutil's descriptors. */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libavutil/imgutils.h>
#include <libavutil/pixdesc.h>

#include "media/repack.h"
#include "test_main.h"

typedef enum Kind { PLANAR, SEMIPLANAR, WORDS, FIELDS, BITS } Kind;

/* Places of a format's samples. `order`: components by letter; PLANAR: of the planes; SEMIPLANAR:
 * of the second plane; WORDS: of the words of a unit, '-' for none; FIELDS and BITS: of the fields
 * of a word or of a group of bits, the highest first, each with its width. */
typedef struct Layout {
    const char *name; /* without the ending for the byte order */
    Kind kind;
    const char *order;
    int bits;  /* of a sample; FIELDS: of the word; BITS: of a pixel */
    int shift; /* unused low bits below a sample */
    int chroma_x, chroma_y;
    bool big_endian, full_range;
} Layout;

/* clang-format off */
static const Layout layouts[] = {
    {"nv12", SEMIPLANAR, "UV", 8, 0, 1, 1, 0, 0}, {"nv21", SEMIPLANAR, "VU", 8, 0, 1, 1, 0, 0},
    {"nv16", SEMIPLANAR, "UV", 8, 0, 1, 0, 0, 0}, {"nv20", SEMIPLANAR, "UV", 10, 0, 1, 0, 0, 0},
    {"nv24", SEMIPLANAR, "UV", 8, 0, 0, 0, 0, 0}, {"nv42", SEMIPLANAR, "VU", 8, 0, 0, 0, 0, 0},
    {"p010", SEMIPLANAR, "UV", 10, 6, 1, 1, 0, 0}, {"p012", SEMIPLANAR, "UV", 12, 4, 1, 1, 0, 0},
    {"p016", SEMIPLANAR, "UV", 16, 0, 1, 1, 0, 0}, {"p210", SEMIPLANAR, "UV", 10, 6, 1, 0, 0, 0},
    {"p212", SEMIPLANAR, "UV", 12, 4, 1, 0, 0, 0}, {"p216", SEMIPLANAR, "UV", 16, 0, 1, 0, 0, 0},
    {"p410", SEMIPLANAR, "UV", 10, 6, 0, 0, 0, 0}, {"p412", SEMIPLANAR, "UV", 12, 4, 0, 0, 0, 0},
    {"p416", SEMIPLANAR, "UV", 16, 0, 0, 0, 0, 0},
    {"yuyv422", WORDS, "YUYV", 8, 0, 1, 0, 0, 0}, {"uyvy422", WORDS, "UYVY", 8, 0, 1, 0, 0, 0},
    {"yvyu422", WORDS, "YVYU", 8, 0, 1, 0, 0, 0}, {"y210", WORDS, "YUYV", 10, 6, 1, 0, 0, 0},
    {"y212", WORDS, "YUYV", 12, 4, 1, 0, 0, 0}, {"y216", WORDS, "YUYV", 16, 0, 1, 0, 0, 0},
    {"ayuv64", WORDS, "AYUV", 16, 0, 0, 0, 0, 0}, {"ayuv", WORDS, "AYUV", 8, 0, 0, 0, 0, 0},
    {"vuya", WORDS, "VUYA", 8, 0, 0, 0, 0, 0}, {"vuyx", WORDS, "VUY-", 8, 0, 0, 0, 0, 0},
    {"uyva", WORDS, "UYVA", 8, 0, 0, 0, 0, 0}, {"vyu444", WORDS, "VYU", 8, 0, 0, 0, 0, 0},
    {"xv36", WORDS, "UYV-", 12, 4, 0, 0, 0, 0}, {"xv48", WORDS, "UYV-", 16, 0, 0, 0, 0, 0},
    {"xv30", FIELDS, "-2V10Y10U10", 32, 0, 0, 0, 0, 0},
    {"v30x", FIELDS, "V10Y10U10-2", 32, 0, 0, 0, 0, 0},
    {"rgb24", WORDS, "RGB", 8, 0, 0, 0, 0, 0}, {"bgr24", WORDS, "BGR", 8, 0, 0, 0, 0, 0},
    {"argb", WORDS, "ARGB", 8, 0, 0, 0, 0, 0}, {"rgba", WORDS, "RGBA", 8, 0, 0, 0, 0, 0},
    {"abgr", WORDS, "ABGR", 8, 0, 0, 0, 0, 0}, {"bgra", WORDS, "BGRA", 8, 0, 0, 0, 0, 0},
    {"0rgb", WORDS, "-RGB", 8, 0, 0, 0, 0, 0}, {"rgb0", WORDS, "RGB-", 8, 0, 0, 0, 0, 0},
    {"0bgr", WORDS, "-BGR", 8, 0, 0, 0, 0, 0}, {"bgr0", WORDS, "BGR-", 8, 0, 0, 0, 0, 0},
    {"rgb48", WORDS, "RGB", 16, 0, 0, 0, 0, 0}, {"bgr48", WORDS, "BGR", 16, 0, 0, 0, 0, 0},
    {"rgba64", WORDS, "RGBA", 16, 0, 0, 0, 0, 0}, {"bgra64", WORDS, "BGRA", 16, 0, 0, 0, 0, 0},
    {"ya8", WORDS, "YA", 8, 0, 0, 0, 0, 0}, {"ya16", WORDS, "YA", 16, 0, 0, 0, 0, 0},
    {"rgb565", FIELDS, "R5G6B5", 16, 0, 0, 0, 0, 0}, {"bgr565", FIELDS, "B5G6R5", 16, 0, 0, 0, 0, 0},
    {"rgb555", FIELDS, "-1R5G5B5", 16, 0, 0, 0, 0, 0},
    {"bgr555", FIELDS, "-1B5G5R5", 16, 0, 0, 0, 0, 0},
    {"rgb444", FIELDS, "-4R4G4B4", 16, 0, 0, 0, 0, 0},
    {"bgr444", FIELDS, "-4B4G4R4", 16, 0, 0, 0, 0, 0},
    {"x2rgb10", FIELDS, "-2R10G10B10", 32, 0, 0, 0, 0, 0},
    {"x2bgr10", FIELDS, "-2B10G10R10", 32, 0, 0, 0, 0, 0},
    {"rgb8", FIELDS, "R3G3B2", 8, 0, 0, 0, 0, 0}, {"bgr8", FIELDS, "B2G3R3", 8, 0, 0, 0, 0, 0},
    {"rgb4_byte", FIELDS, "-4R1G2B1", 8, 0, 0, 0, 0, 0},
    {"bgr4_byte", FIELDS, "-4B1G2R1", 8, 0, 0, 0, 0, 0},
    {"rgb4", BITS, "R1G2B1", 4, 0, 0, 0, 0, 0}, {"bgr4", BITS, "B1G2R1", 4, 0, 0, 0, 0, 0},
    {"monow", BITS, "Y1", 1, 0, 0, 0, 0, 0}, {"monob", BITS, "Y1", 1, 0, 0, 0, 0, 0},
};

/* Floats, 32-bit integers, sensor mosaics, CIE XYZ, and luma that is not evenly spaced. */
static const char *const refused[] = {
    "grayf16", "grayf32", "yaf16", "yaf32", "gbrpf16", "gbrapf16", "gbrpf32", "gbrapf32", "rgbf16",
    "rgbf32", "rgbaf16", "rgbaf32", "gray32", "gbrap32", "rgb96", "rgba128", "xyz12", "uyyvyy411",
    "bayer_bggr8", "bayer_rggb8", "bayer_gbrg8", "bayer_grbg8", "bayer_bggr16", "bayer_rggb16",
    "bayer_gbrg16", "bayer_grbg16",
};
/* clang-format on */

static bool is_refused(const AVPixFmtDescriptor *desc, const char *name)
{
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (strcmp(name, refused[i]) == 0)
            return true;
    return desc->flags & AV_PIX_FMT_FLAG_HWACCEL;
}

/* Strips the byte order from a name; true if it is big-endian. */
static bool strip(char out[32], const char *name)
{
    size_t length = strlen(name);
    bool big = length > 2 && strcmp(name + length - 2, "be") == 0;
    bool little = length > 2 && strcmp(name + length - 2, "le") == 0;
    snprintf(out, 32, "%.*s", (int)(big || little ? length - 2 : length), name);
    return big;
}

/* yuv422p, yuva444p10, yuvj420p, gray12, gbrap, yuv444p10msb ... */
static bool parse_planar(Layout *out, const char *name)
{
    static const struct {
        const char *digits;
        int x, y;
    } chroma[] = {{"444", 0, 0}, {"440", 0, 1}, {"422", 1, 0},
                  {"420", 1, 1}, {"411", 2, 0}, {"410", 2, 2}};
    *out = (Layout){.name = name, .kind = PLANAR};
    if (strncmp(name, "gray", 4) == 0) {
        out->order = "Y";
        name += 4;
    } else if (strncmp(name, "gbr", 3) == 0) {
        out->order = name[3] == 'a' ? "GBRA" : "GBR";
        name += name[3] == 'a' ? 5 : 4;
    } else if (strncmp(name, "yuv", 3) == 0) {
        out->order = name[3] == 'a' ? "YUVA" : "YUV";
        out->full_range = name[3] == 'j';
        name += name[3] == 'a' || name[3] == 'j' ? 4 : 3;
        size_t i = 0;
        while (i < 6 && strncmp(name, chroma[i].digits, 3) != 0)
            i++;
        if (i == 6 || name[3] != 'p')
            return false;
        out->chroma_x = chroma[i].x;
        out->chroma_y = chroma[i].y;
        name += 4;
    } else {
        return false;
    }
    char *end;
    long bits = strtol(name, &end, 10);
    out->bits = end == name ? 8 : (int)bits;
    out->shift = strcmp(end, "msb") == 0 ? 16 - out->bits : 0;
    return *end == 0 || out->shift > 0;
}

static bool find_layout(Layout *out, const char *full_name)
{
    static char name[32];
    bool big = strip(name, full_name);
    bool found = parse_planar(out, name);
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts && !found; i++)
        if ((found = strcmp(layouts[i].name, name) == 0))
            *out = layouts[i];
    out->big_endian = big;
    return found;
}

static char letter(const ResrFormat *format, int c)
{
    return format->model == RESR_COLOUR_RGB   ? "RGBA"[c]
           : format->model == RESR_COLOUR_YUV ? "YUVA"[c]
                                              : "YA"[c];
}

typedef struct Place {
    int plane, offset, word_bytes, shift, bits;
} Place;

/* Width of the field of a component, and number of bits below it. */
static int field(int *below, const char *fields, char component)
{
    int bits = 0;
    *below = 0;
    for (char *end; *fields; fields = end) {
        int width = (int)strtol(fields + 1, &end, 10);
        if (bits)
            *below += width;
        if (*fields == component)
            bits = width;
    }
    return bits;
}

static Place locate(const Layout *l, char component, int x)
{
    int bytes = l->bits > 16 ? 4 : l->bits > 8 ? 2 : 1, units = (int)strlen(l->order), below;
    bool chroma = component == 'U' || component == 'V';
    Place place = {.word_bytes = bytes, .shift = l->shift, .bits = l->bits};
    if (l->kind == PLANAR) {
        place.plane = (int)(strchr(l->order, component) - l->order);
        place.offset = x * bytes;
    } else if (l->kind == SEMIPLANAR) {
        place.plane = chroma;
        place.offset = (chroma ? 2 * x + (l->order[1] == component) : x) * bytes;
    } else if (l->kind == WORDS) {
        const char *found = strchr(l->order, component);
        int pixels = strchr(found + 1, component) ? 2 : 1;
        if (x % pixels)
            found = strchr(found + 1, component);
        place.offset = (x / pixels * units + (int)(found - l->order)) * bytes;
    } else {
        int per_byte = l->kind == BITS ? 8 / l->bits : 1;
        place.bits = field(&below, l->order, component);
        place.shift = below + (l->kind == BITS ? l->bits * (per_byte - 1 - x % per_byte) : 0);
        place.offset = x / per_byte * bytes;
    }
    return place;
}

static uint32_t get_word(const uint8_t *p, int bytes, bool big_endian)
{
    uint32_t word = 0;
    for (int i = 0; i < bytes; i++)
        word |= (uint32_t)p[i] << 8 * (big_endian ? bytes - 1 - i : i);
    return word;
}

static void put_word(uint8_t *p, int bytes, bool big_endian, uint32_t word)
{
    for (int i = 0; i < bytes; i++)
        p[i] = (uint8_t)(word >> 8 * (big_endian ? bytes - 1 - i : i));
}

static uint32_t get(const AVFrame *frame, const Layout *l, const Place *at, int y)
{
    const uint8_t *p =
        frame->data[at->plane] + (ptrdiff_t)y * frame->linesize[at->plane] + at->offset;
    return get_word(p, at->word_bytes, l->big_endian) >> at->shift & ((1u << at->bits) - 1);
}

static void put(AVFrame *frame, const Layout *l, const Place *at, int y, uint32_t value)
{
    uint8_t *p = frame->data[at->plane] + (ptrdiff_t)y * frame->linesize[at->plane] + at->offset;
    uint32_t word = get_word(p, at->word_bytes, l->big_endian);
    word &= ~(((1u << at->bits) - 1) << at->shift);
    put_word(p, at->word_bytes, l->big_endian, word | value << at->shift);
}

static uint32_t noise(void)
{
    static uint32_t state = 2463534242u;
    state ^= state << 13;
    state ^= state >> 17;
    return state ^= state << 5;
}

/* A frame whose buffers are no larger than the format needs, filled with noise. */
static AVFrame *create_frame(enum AVPixelFormat format, int width, int height)
{
    AVFrame *frame = av_frame_alloc();
    int bytes = av_image_get_buffer_size(format, width, height, 1);
    assert_true(frame && bytes > 0);
    uint8_t *buffer = malloc((size_t)bytes);
    assert_non_null(buffer);
    for (int i = 0; i < bytes; i++)
        buffer[i] = (uint8_t)noise();
    av_image_fill_arrays(frame->data, frame->linesize, buffer, format, width, height, 1);
    frame->format = format;
    frame->width = width;
    frame->height = height;
    return frame;
}

static void free_frame(AVFrame *frame)
{
    free(frame->data[0]);
    av_frame_free(&frame);
}

/* One sample of a frame's plane. */
static uint8_t *sample(const ResrFormat *format, const ResrFrame *frame, char component, int x,
                       int y)
{
    const char *planes = format->model == RESR_COLOUR_RGB   ? "GBRA"
                         : format->model == RESR_COLOUR_YUV ? "YUVA"
                                                            : "YA";
    ResrPlane plane = resr_format_plane(format, (int)(strchr(planes, component) - planes));
    return frame->data + plane.offset_bytes + (size_t)y * plane.stride_bytes +
           (size_t)x * (format->depth_bits > 8 ? 2 : 1);
}

static uint32_t get_sample(const ResrFormat *format, const ResrFrame *frame, char component, int x,
                           int y)
{
    uint16_t deep;
    const uint8_t *p = sample(format, frame, component, x, y);
    memcpy(&deep, p, format->depth_bits > 8 ? 2 : 1);
    return format->depth_bits > 8 ? deep : *p;
}

static void put_sample(const ResrFormat *format, const ResrFrame *frame, char component, int x,
                       int y, uint32_t value)
{
    uint16_t deep = (uint16_t)value;
    uint8_t *p = sample(format, frame, component, x, y);
    if (format->depth_bits > 8)
        memcpy(p, &deep, 2);
    else
        *p = (uint8_t)value;
}

static int chroma_size(int size, int shift, char component)
{
    return component == 'U' || component == 'V' ? (size + (1 << shift) - 1) >> shift : size;
}

/* Calls `each` for all samples of a frame. */
typedef void (*Each)(void *user, const Place *at, char component, int x, int y);

static void for_all(const Layout *l, const ResrFormat *format, Each each, void *user)
{
    for (int c = 0; c < format->planes; c++) {
        char component = letter(format, c);
        int width = chroma_size(format->width_px, l->chroma_x, component);
        int height = chroma_size(format->height_px, l->chroma_y, component);
        for (int y = 0; y < height; y++)
            for (int x = 0; x < width; x++) {
                Place at = locate(l, component, x);
                each(user, &at, component, x, y);
            }
    }
}

typedef struct Compared {
    const Layout *l;
    const ResrFormat *format;
    AVFrame *av;
    ResrFrame *frame;
} Compared;

/* Bits above a sample are zero in decoders' planes; other unused bits are arbitrary. */
static void clear_above(void *user, const Place *at, char component, int x, int y)
{
    const Compared *is = user;
    uint32_t value = get(is->av, is->l, at, y);
    uint8_t *p = is->av->data[at->plane] + (ptrdiff_t)y * is->av->linesize[at->plane] + at->offset;
    (void)component;
    (void)x;
    if (is->l->kind <= SEMIPLANAR)
        put_word(p, at->word_bytes, is->l->big_endian, value << at->shift);
}

/* The ends of a scale of fewer bits become the ends of the 8-bit scale. monow's 1 is black. */
static void check_read(void *user, const Place *at, char component, int x, int y)
{
    const Compared *is = user;
    uint32_t value = get(is->av, is->l, at, y);
    if (strcmp(is->l->name, "monow") == 0)
        value = !value;
    double exact = at->bits < 8 ? value * 255.0 / ((1 << at->bits) - 1) : value;
    double got = get_sample(is->format, is->frame, component, x, y);
    if (fabs(got - exact) > 0.5)
        fail_msg("%s: %c of %d, %d is read as %g, expected %g", is->l->name, component, x, y, got,
                 exact);
}

static void fill(void *user, const Place *at, char component, int x, int y)
{
    const Compared *is = user;
    put(is->av, is->l, at, y, 0); /* the old content must not show */
    put_sample(is->format, is->frame, component, x, y,
               noise() & ((1u << is->format->depth_bits) - 1));
}

static void check_written(void *user, const Place *at, char component, int x, int y)
{
    const Compared *is = user;
    uint32_t value = get_sample(is->format, is->frame, component, x, y);
    double exact = at->bits < 8 ? value * ((1 << at->bits) - 1) / 255.0 : value;
    uint32_t got = get(is->av, is->l, at, y);
    if (strcmp(is->l->name, "monow") == 0)
        got = !got;
    if (fabs(got - exact) > 0.5)
        fail_msg("%s: %c of %d, %d is written as %u, expected %g", is->l->name, component, x, y,
                 got, exact);
}

static bool has(const Layout *l, char component)
{
    return strchr(l->order, component) || (l->kind == SEMIPLANAR && component == 'Y');
}

static void check_format(const ResrFormat *format, const Layout *l)
{
    int below, bits = l->kind < FIELDS ? l->bits : field(&below, l->order, has(l, 'G') ? 'G' : 'Y');
    int expected = bits < 8 ? 8 : bits;
    bool rgb = has(l, 'R'), yuv = has(l, 'U') || l->kind == SEMIPLANAR;
    assert_int_equal(format->model, rgb   ? RESR_COLOUR_RGB
                                    : yuv ? RESR_COLOUR_YUV
                                          : RESR_COLOUR_GREY);
    assert_int_equal(format->depth_bits, expected);
    assert_int_equal(format->has_alpha, has(l, 'A'));
    assert_int_equal(format->planes, (rgb || yuv ? 3 : 1) + has(l, 'A'));
    assert_int_equal(format->chroma_shift_x, l->chroma_x);
    assert_int_equal(format->chroma_shift_y, l->chroma_y);
    assert_int_equal(format->full_range, !yuv || l->full_range);
}

static void play(enum AVPixelFormat id, const Layout *l, int width, int height)
{
    ResrFormat format;
    Compared is = {l, &format, create_frame(id, width, height), NULL};
    if (resr_format_of_frame(&format, is.av) != 0)
        fail_msg("%s is refused: %s", l->name, resr_error_text());
    check_format(&format, l);
    for_all(l, &format, clear_above, &is);
    assert_int_equal(resr_frame_create(&is.frame, &format), 0);
    assert_int_equal(resr_repack(is.frame, &format, is.av), 0);
    for_all(l, &format, check_read, &is);
    for_all(l, &format, fill, &is);
    assert_int_equal(resr_repack_for_encoder(is.av, &format, is.frame), 0);
    for_all(l, &format, check_written, &is);
    resr_frame_free(is.frame);
    free_frame(is.av);
}

static void every_format(void **state)
{
    const AVPixFmtDescriptor *desc = NULL;
    int right = 0, others = 0;
    (void)state;
    while ((desc = av_pix_fmt_desc_next(desc))) {
        enum AVPixelFormat id = av_pix_fmt_desc_get_id(desc);
        AVFrame frame = {.format = id, .width = 16, .height = 16};
        ResrFormat format;
        Layout layout;
        char name[32];
        strip(name, desc->name);
        if (strcmp(name, "pal8") == 0)
            continue; /* below */
        if (is_refused(desc, name)) {
            assert_int_equal(resr_format_of_frame(&format, &frame), RESR_ERR_DATA);
            assert_non_null(strstr(resr_error_text(), desc->name));
            assert_int_equal(resr_holder_of(id), AV_PIX_FMT_NONE);
            others++;
        } else if (find_layout(&layout, desc->name)) {
            play(id, &layout, 16, 6);
            play(id, &layout, 13, 7);
            play(id, &layout, 1, 1);
            right++;
        } else {
            fail_msg("%s is neither played nor refused here", desc->name);
        }
    }
    printf("%d formats right, %d refused by name\n", right, others);
    assert_true(right > 150);
}

/* Red, green, blue, grey at 25 % and an unused entry, with the alpha given. */
static AVFrame *create_palette(int alpha, int unused_alpha)
{
    static const uint32_t colours[] = {0xff0000, 0x00ff00, 0x0000ff, 0x404142};
    AVFrame *frame = create_frame(AV_PIX_FMT_PAL8, 8, 3);
    uint32_t *palette = (uint32_t *)frame->data[1];
    for (int i = 0; i < 256; i++)
        palette[i] =
            (uint32_t)(i < 4 ? alpha : unused_alpha) << 24 | (i < 4 ? colours[i] : 0x123456);
    for (int y = 0; y < 3; y++)
        for (int x = 0; x < 8; x++)
            frame->data[0][y * frame->linesize[0] + x] = (uint8_t)((x + y) % 4);
    return frame;
}

static void check_palette(const ResrFormat *format, const AVFrame *av, int alpha)
{
    static const uint8_t expected[4][3] = {
        {255, 0, 0}, {0, 255, 0}, {0, 0, 255}, {0x40, 0x41, 0x42}};
    ResrFrame *frame;
    assert_int_equal(resr_frame_create(&frame, format), 0);
    assert_int_equal(resr_repack(frame, format, av), 0);
    for (int y = 0; y < 3; y++)
        for (int x = 0; x < 8; x++) {
            for (int c = 0; c < 3; c++)
                assert_int_equal(get_sample(format, frame, "RGB"[c], x, y),
                                 expected[(x + y) % 4][c]);
            if (format->has_alpha)
                assert_int_equal(get_sample(format, frame, 'A', x, y), alpha);
        }
    resr_frame_free(frame);
}

static void palettes(void **state)
{
    ResrFormat opaque, transparent;
    AVFrame *solid = create_palette(255, 0), *clear = create_palette(100, 255);
    (void)state;
    assert_int_equal(resr_format_of_frame(&opaque, solid), 0);
    assert_string_equal(opaque.pix_fmt, "gbrp"); /* no pixel uses the transparent entry */
    assert_true(opaque.full_range);
    check_palette(&opaque, solid, 255);
    assert_int_equal(resr_format_of_frame(&transparent, clear), 0);
    assert_string_equal(transparent.pix_fmt, "gbrap");
    check_palette(&transparent, clear, 100);
    /* A frame without transparency fits a video with transparency, but not the reverse. */
    assert_true(resr_format_accepts(&transparent, &opaque));
    assert_false(resr_format_accepts(&opaque, &transparent));
    check_palette(&transparent, solid, 255);
    assert_int_equal(resr_holder_of(AV_PIX_FMT_PAL8), AV_PIX_FMT_NONE);
    free_frame(solid);
    free_frame(clear);
}

/* An opaque picture in an encoder's format with alpha. */
static void opaque_output(void **state)
{
    static const enum AVPixelFormat formats[] = {AV_PIX_FMT_BGRA, AV_PIX_FMT_GBRAP,
                                                 AV_PIX_FMT_ARGB};
    ResrFormat format = {.width_px = 5, .height_px = 3};
    ResrFrame *frame;
    (void)state;
    resr_format_set_pixels(&format, AV_PIX_FMT_GBRP);
    assert_int_equal(resr_frame_create(&frame, &format), 0);
    memset(frame->data, 77, frame->bytes);
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        AVFrame *av = create_frame(formats[i], 5, 3);
        Layout l;
        assert_true(find_layout(&l, av_get_pix_fmt_name(formats[i])));
        assert_int_equal(resr_repack_for_encoder(av, &format, frame), 0);
        for (int x = 0; x < 5; x++) {
            Place alpha = locate(&l, 'A', x), green = locate(&l, 'G', x);
            assert_int_equal(get(av, &l, &alpha, 2), 255);
            assert_int_equal(get(av, &l, &green, 2), 77);
        }
        free_frame(av);
    }
    resr_frame_free(frame);
}

/* Untagged grey is full range, untagged YUV limited; tags decide, except for RGB. */
static void ranges(void **state)
{
    static const struct {
        enum AVPixelFormat format;
        enum AVColorRange tag;
        int full;
    } cases[] = {{AV_PIX_FMT_GRAY8, AVCOL_RANGE_UNSPECIFIED, 1},
                 {AV_PIX_FMT_GRAY8, AVCOL_RANGE_MPEG, 0},
                 {AV_PIX_FMT_YA8, AVCOL_RANGE_UNSPECIFIED, 1},
                 {AV_PIX_FMT_YA8, AVCOL_RANGE_MPEG, 0},
                 {AV_PIX_FMT_NV12, AVCOL_RANGE_UNSPECIFIED, 0},
                 {AV_PIX_FMT_NV12, AVCOL_RANGE_JPEG, 1},
                 {AV_PIX_FMT_YUVJ420P, AVCOL_RANGE_UNSPECIFIED, 1},
                 {AV_PIX_FMT_RGB24, AVCOL_RANGE_UNSPECIFIED, 1}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        AVFrame frame = {
            .format = cases[i].format, .width = 4, .height = 4, .color_range = cases[i].tag};
        ResrFormat format;
        assert_int_equal(resr_format_of_frame(&format, &frame), 0);
        assert_int_equal(format.full_range, cases[i].full);
        ResrFormat other = format;
        other.full_range = !format.full_range; /* the range of a video does not change */
        assert_false(resr_format_accepts(&other, &format));
    }
}

TEST_MAIN(every_format, palettes, opaque_output, ranges)
