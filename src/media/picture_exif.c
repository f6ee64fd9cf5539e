#include <stdlib.h>
#include <string.h>

#include "media/picture_formats.h"

enum { ORIENTATION = 0x0112, EXIF_FOLDER = 0x8769, WIDTH = 0xA002, HEIGHT = 0xA003 };
enum { ASCII = 2, SHORT = 3, LONG = 4 };

/* A block in the form of a TIFF file: folders of 12-byte entries. */
typedef struct Exif {
    uint8_t *data;
    size_t bytes;
    bool little;
} Exif;

static uint32_t get(const Exif *e, size_t offset, int bytes)
{
    uint32_t value = 0;
    for (int i = 0; i < bytes && offset + (size_t)i < e->bytes; i++)
        value |= (uint32_t)e->data[offset + (size_t)i] << 8 * (e->little ? i : bytes - 1 - i);
    return value;
}

static void put(const Exif *e, size_t offset, int bytes, uint32_t value)
{
    for (int i = 0; i < bytes && offset + (size_t)i < e->bytes; i++)
        e->data[offset + (size_t)i] = (uint8_t)(value >> 8 * (e->little ? i : bytes - 1 - i));
}

/* Offset of the first folder; 0 if this is no block. */
static size_t open_exif(Exif *e, const ResrPictureBlob *blob)
{
    *e = (Exif){.data = blob->data, .bytes = blob->bytes};
    if (blob->bytes < 14 || (memcmp(blob->data, "II*\0", 4) != 0 && memcmp(blob->data, "MM\0*", 4)))
        return 0;
    e->little = blob->data[0] == 'I';
    return get(e, 4, 4);
}

/* Offset of a field's entry in a folder; 0 if it is not there or not whole. */
static size_t find(const Exif *e, size_t folder, uint32_t field)
{
    size_t entry = folder + 2;
    uint32_t count = folder > 0 ? get(e, folder, 2) : 0;
    for (; count > 0 && entry + 12 <= e->bytes; count--, entry += 12)
        if (get(e, entry, 2) == field)
            return entry;
    return 0;
}

/* Sets a number that a folder may hold. */
static void set(const Exif *e, size_t folder, uint32_t field, uint32_t value)
{
    size_t entry = find(e, folder, field);
    if (entry > 0 && (get(e, entry + 2, 2) == SHORT || get(e, entry + 2, 2) == LONG))
        put(e, entry + 8, get(e, entry + 2, 2) == SHORT ? 2 : 4, value);
}

int resr_exif_orientation(const ResrPictureBlob *exif)
{
    Exif e;
    size_t entry = find(&e, open_exif(&e, exif), ORIENTATION);
    uint32_t value = entry > 0 && get(&e, entry + 2, 2) == SHORT ? get(&e, entry + 8, 2) : 0;
    return value <= 8 ? (int)value : 0;
}

const char *resr_exif_text(const ResrPictureBlob *exif, int field, size_t *bytes)
{
    Exif e;
    size_t entry = find(&e, open_exif(&e, exif), (uint32_t)field);
    if (entry == 0 || get(&e, entry + 2, 2) != ASCII)
        return NULL;
    *bytes = get(&e, entry + 4, 4);
    size_t place = *bytes <= 4 ? entry + 8 : get(&e, entry + 8, 4);
    if (*bytes == 0 || place > e.bytes || *bytes > e.bytes - place)
        return NULL;
    return (const char *)e.data + place;
}

void resr_exif_settle(ResrPictureBlob *exif, int width_px, int height_px)
{
    Exif e;
    size_t first = open_exif(&e, exif), inner = find(&e, first, EXIF_FOLDER);
    if (first == 0)
        return;
    set(&e, first, ORIENTATION, 1);
    if (inner > 0) {
        set(&e, get(&e, inner + 8, 4), WIDTH, (uint32_t)width_px);
        set(&e, get(&e, inner + 8, 4), HEIGHT, (uint32_t)height_px);
    }
    put(&e, first + 2 + 12 * (size_t)get(&e, first, 2), 4, 0); /* the thumbnail's folder */
}

/* The digit of tiff:Orientation, as an attribute or as an element; NULL if there is none. */
static uint8_t *xmp_digit(const ResrPictureBlob *xmp)
{
    static const char name[] = "tiff:Orientation";
    uint8_t *at = xmp->bytes > 0 ? memmem(xmp->data, xmp->bytes, name, sizeof name - 1) : NULL;
    if (!at)
        return NULL;
    const uint8_t *end = xmp->data + xmp->bytes;
    for (at += sizeof name - 1; at < end && strchr(" =>\"'\t\n\r", *at); at++)
        ;
    return at < end && *at >= '1' && *at <= '8' ? at : NULL;
}

int resr_xmp_orientation(const ResrPictureBlob *xmp)
{
    const uint8_t *digit = xmp_digit(xmp);
    return digit ? *digit - '0' : 0;
}

void resr_xmp_settle(ResrPictureBlob *xmp)
{
    uint8_t *digit = xmp_digit(xmp);
    if (digit)
        *digit = '1';
}

/* Sorted by field, as folders are. */
static const struct {
    int field;
    const char *key;
} texts[] = {
    {0x010E, "Description"}, {0x010F, "Make"},   {0x0110, "Model"},     {0x0131, "Software"},
    {0x0132, "DateTime"},    {0x013B, "Author"}, {0x8298, "Copyright"},
};

int resr_exif_field_of_text(const char *key)
{
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (strcmp(texts[i].key, key) == 0)
            return texts[i].field;
    return 0;
}

const char *resr_exif_text_of_field(size_t index, int *field)
{
    if (index >= sizeof texts / sizeof *texts)
        return NULL;
    *field = texts[index].field;
    return texts[index].key;
}

static const char *value_of(const ResrPictureTags *tags, int field)
{
    for (size_t i = 0; i < tags->text_count; i++)
        if (resr_exif_field_of_text(tags->texts[i].key) == field)
            return tags->texts[i].value;
    return NULL;
}

int resr_exif_of_texts(ResrPictureBlob *out, size_t *others, const ResrPictureTags *tags)
{
    const size_t most = sizeof texts / sizeof *texts;
    size_t bytes = 8 + 2 + 12 * most + 4, used = bytes, count = 0;
    *out = (ResrPictureBlob){0};
    for (size_t i = 0; i < most; i++) {
        const char *value = value_of(tags, texts[i].field);
        bytes += value ? strlen(value) + 5 : 0;
    }
    int ret = resr_alloc(&out->data, bytes, 1);
    if (ret < 0)
        return ret;
    Exif e = {.data = out->data, .bytes = out->bytes = bytes, .little = true};
    memcpy(e.data, "II*\0\x08\0\0\0", 8);
    for (size_t i = 0; i < most; i++) {
        const char *value = value_of(tags, texts[i].field);
        size_t entry = 10 + 12 * count, length = value ? strlen(value) + 1 : 0;
        if (!value)
            continue;
        put(&e, entry, 2, (uint32_t)texts[i].field);
        put(&e, entry + 2, 2, ASCII);
        put(&e, entry + 4, 4, (uint32_t)length);
        size_t place = length <= 4 ? entry + 8 : used;
        memcpy(e.data + place, value, length);
        if (length > 4) {
            put(&e, entry + 8, 4, (uint32_t)place);
            used += length + (length & 1);
        }
        count++;
    }
    put(&e, 8, 2, (uint32_t)count);
    *others = tags->text_count - count;
    if (count == 0) {
        free(out->data);
        *out = (ResrPictureBlob){0};
    }
    return 0;
}
